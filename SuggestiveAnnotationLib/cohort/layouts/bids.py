"""Cohorts in the Brain Imaging Data Structure: anatomical images of subjects and sessions, labels and masks from derivatives.

After the BIDS specification, chapters "Magnetic Resonance Imaging" (anatomy imaging data), "BIDS derivatives" (imaging data types) and
"Common principles". Names are read as far as their entities go; datasets need not be valid in everything else.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_labels
from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.labels.structures import IGNORE, Structure, schema_of
from SuggestiveAnnotationLib.cohort.layouts.bids_names import BidsName, ignored, parse
from SuggestiveAnnotationLib.cohort.layouts.bids_sources import follow_labels, taken_for
from SuggestiveAnnotationLib.cohort.layouts.bids_tables import conflict, lookup_table, read_lookup, sites
from SuggestiveAnnotationLib.cohort.layouts.listing import Given, Listing, Person, Place
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, Kind
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import DRAWN_ON
from SuggestiveAnnotationLib.types import LabelSchema

MAX_LISTED = 64
"""Of a look-up table with more structures (FreeSurfer's has over a thousand) only those that occur in the labels are taken."""

_OF_THE_SOURCE = {"sub", "ses", "acq", "ce", "rec", "run", "echo", "part", "mod", "inv", "flip", "mt"}
"""Entities that a derivative has from the image it was made from; they tell no sorts of labels apart."""

_NO_DATA = {"sourcedata", "code", "stimuli", "phenotype"}
_PLAIN_SUFFIXES = {"T1w", "T2w", "PDw", "FLAIR"}


def is_bids(root: Path) -> bool:
    """Whether the folder holds subjects with anatomical images as BIDS names them; a derivatives dataset counts too."""
    for pattern in ("sub-*/anat/*", "sub-*/ses-*/anat/*"):
        for path in root.glob(pattern):
            relative = path.relative_to(root).as_posix()
            if relative.lower().endswith((".nii", ".nii.gz")) and parse(ImageFile(str(path), relative)) is not None:
                return True
    return False


def plan_bids(
    root: Path,
    *,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: Path | None = None,
    reference: str | None = None,
) -> CohortPlan:
    """The plan of a BIDS dataset, raw or of derivatives.

    One case a session, named `sub-01_ses-02`; sessions of one subject are one patient. Of several files for one sequence the one is taken
    whose run, acquisition, agent, reconstruction and echo are those of the case's label, else the one with the fewest entities and the
    lowest run. Labels are `*_dseg` files on the grid of an image of their case, of the pipeline with most cases; those whose names are of
    other images are left out. Masks are `desc-brain_mask` files. Structures are called as the look-up tables say. The site comes from
    `participants.tsv`.

    Args:
        root: of the dataset.
        images, label, mask, table, reference: as in `discover.discover`; files that patterns name need BIDS names too.

    Raises:
        InputError: as `discover.discover`.
    """
    given = Given(images, label, mask, table, reference)
    listing = Listing(root, "BIDS")
    listing.geometry_of = cache(read_geometry)
    names = _names(root, listing.warnings)
    pictures = [n for n in names if n.pipeline is None and _is_anatomy(n)]
    where = _Cases(pictures)
    for name, kind, what, rank in _ranked_images(pictures):
        _place(listing, given, name, name.case, (kind, what), name.glob, rank)
    _add_labels(listing, given, [n for n in names if not _is_anatomy(n) or n.pipeline is not None], where)
    follow_labels(listing, given)
    place_of, notice = sites(root)
    listing.warnings += [notice] if notice else []
    for place in listing.places:
        subject = place.case.partition("_")[0]
        listing.people[place.case] = Person(subject, place_of.get(subject, ""))
    listing.schema = _schema(root, listing)
    return listing.plan(given)


class _Cases:
    """The cases that images make, by subject."""

    def __init__(self, pictures: Iterable[BidsName]) -> None:
        self._of: dict[str, set[str]] = defaultdict(set)
        for name in pictures:
            self._of[name.subject].add(name.case)

    def of(self, name: BidsName) -> str:
        """The case of a derivative: its session's, or the only one of its subject where it names no session."""
        cases = self._of.get(name.subject, set())
        return next(iter(cases)) if len(cases) == 1 and "ses" not in name.entities else name.case


def _names(root: Path, warnings: list[str]) -> list[BidsName]:
    """Every file with a BIDS name, less what is ignored; sentences about what is left out."""
    left_out = ignored(root)
    names, strange, elsewhere = [], [], Counter[str]()
    absent = 0
    for file in scan(root, notes=warnings, without=_NO_DATA):
        if left_out(file.relative):
            continue
        name = parse(file)
        if name is None:
            strange += [] if file.components[0] == "derivatives" else [file.relative]
        elif name.datatype in ("anat", "") or name.pipeline is not None:
            names.append(name)
            absent += os.path.islink(file.path) and not os.path.exists(file.path)
        else:
            elsewhere[name.datatype] += 1
    if elsewhere:
        listed = ", ".join(f"{count} in {datatype}" for datatype, count in sorted(elsewhere.items()))
        warnings.append(f"Only anatomical images are read; left out: {listed}.")
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        warnings.append(f"Left out, since {'they have' if more else 'it has'} no valid BIDS name: {strange[0]}{more}.")
    if absent:
        are = "1 image is a link" if absent == 1 else f"{absent} images are links"
        warnings.append(f"{are} to content that is not here. In a DataLad dataset, fetch it with: datalad get .")
    return names


def _is_anatomy(name: BidsName) -> bool:
    return name.modality is not None and (name.datatype == "anat" or name.suffix in _PLAIN_SUFFIXES)


def _ranked_images(pictures: Sequence[BidsName]) -> list[tuple[BidsName, Kind, str, tuple[int | str, ...]]]:
    covered: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for name in pictures:
        covered[name.modality, name.sort].add(name.case)
    out: list[tuple[BidsName, Kind, str, tuple[int | str, ...]]] = []
    for name in pictures:
        out.append((name, "image", name.modality or "", _rank(name, cases=len(covered[name.modality, name.sort]))))
    return out


def _rank(name: BidsName, *, cases: int = 0) -> tuple[int | str, ...]:
    """The person's own space, few entities, a sort that many cases have, and low numbers come first."""
    return (name.template, _extras(name), -cases, name.sort, name.number("run"), name.number("echo"))


def _extras(name: BidsName) -> int:
    """Entities beside those that every image may have; the magnitude and a preprocessed image are the plain ones."""
    plain = {("part", "mag"), ("desc", "preproc")}
    return sum(key not in ("sub", "ses", "run", "echo") and (key, value) not in plain for key, value in name.entities.items())


def _place(
    listing: Listing, given: Given, name: BidsName, case: str, known: tuple[Kind, str] | None, glob: str, rank: tuple[int | str, ...] = ()
) -> None:
    if (part := given.part(name.file, known)) is not None:
        listing.places.append(Place(name.file, case, *part, glob, rank))


def _add_labels(listing: Listing, given: Given, names: Sequence[BidsName], where: _Cases) -> None:
    """Places for labels and masks: one sort of each, and whatever patterns name."""
    segmentations = [n for n in names if n.suffix == "dseg"]
    masks = [n for n in names if n.suffix == "mask"]
    brain = [n for n in masks if "brain" in (n.entities.get("desc"), n.entities.get("label"))]
    fitting = _Fitting(listing, where)
    labels = fitting.best(segmentations, "label") if given.label is None else []
    pipelines = {n.pipeline for n in labels}
    beside = [n for n in brain if n.pipeline in pipelines]
    covers = fitting.best(brain, "mask", prefer=beside) if given.mask is None else []
    if given.label is None:
        # Lesion masks may be what is to be annotated; a person decides. A mask beside a segmentation says where that one holds.
        twins = {_glob(n).replace("_dseg.", "_mask.") for n in segmentations}
        listing.alternatives["label"] += [glob for n in masks if n not in brain and (glob := _glob(n)) not in twins]
    known: dict[str, tuple[Kind, str]] = {n.file.path: ("label", "label") for n in labels} | {n.file.path: ("mask", "mask") for n in covers}
    for name in names:
        _place(listing, given, name, where.of(name), known.get(name.file.path), _glob(name), _rank(name))


@dataclass
class _Fitting:
    """Chooses labels and masks that lie on the grid of their case's images."""

    listing: Listing
    where: _Cases

    def best(self, names: Sequence[BidsName], what: str, *, prefer: Sequence[BidsName] = ()) -> list[BidsName]:
        """The files of one sort and pipeline: of those that fit an image the sort with most cases. The others become alternatives."""
        fits, misfits, templates = [], [], 0
        images = self._images()
        for name in names:
            taken = taken_for(name, images.get(self.where.of(name), ()))
            here = [place.file.path for place in taken if place.rank[0] == name.template]
            if name.template and not here:
                templates += 1
            elif taken and not self._on_a_grid(name, here):
                misfits.append(name)
            else:
                fits.append(name)
        self._say(what, misfits, templates)
        sorts: dict[tuple[str | None, tuple[tuple[str, str], ...]], list[BidsName]] = defaultdict(list)
        for name in fits:
            own = tuple((k, v) for k, v in name.entities.items() if k not in _OF_THE_SOURCE and (k, v) != ("space", "orig"))
            sorts[name.pipeline, own].append(name)
        if not sorts:
            return []
        preferred = {n.file.path for n in prefer}
        order = sorted(
            sorts,
            key=lambda s: (
                not any(n.file.path in preferred for n in sorts[s]),
                -len({self.where.of(n) for n in sorts[s]}),
                len(s[1]),
                s[0] or "",
                s[1],
            ),
        )
        self.listing.alternatives[what] += [_glob(sorts[s][0]) for s in order[1:]]
        return sorts[order[0]]

    def _images(self) -> dict[str, list[Place]]:
        """Case -> its images."""
        out: dict[str, list[Place]] = defaultdict(list)
        for place in self.listing.places:
            if place.kind == "image":
                out[place.case].append(place)
        return out

    def _on_a_grid(self, name: BidsName, images: Iterable[str]) -> bool:
        """Whether it fits one of the images; one that cannot be read fits, so that its case is excluded with the reason."""
        try:
            grid = self.listing.geometry_of(name.file.path)
        except InputError:
            return True
        for path in images:
            try:
                if self.listing.geometry_of(path).same_grid(grid, tolerance=DRAWN_ON):
                    return True
            except InputError:
                return True
        return False

    def _say(self, what: str, misfits: Sequence[BidsName], templates: int) -> None:
        if misfits:
            is_on = "1 file is" if len(misfits) == 1 else f"{len(misfits)} files are"
            where = misfits[0].pipeline
            advice = f" To use the images of that pipeline, open derivatives/{where} by itself." if where else ""
            example = misfits[0].file.relative
            self.listing.warnings.append(
                f"For {what}, {is_on} on another voxel grid than the images and left out, for example {example}.{advice}"
            )
        if templates:
            is_in = "1 file is" if templates == 1 else f"{templates} files are"
            self.listing.warnings.append(f"For {what}, {is_in} in a template space and left out.")


def _glob(name: BidsName) -> str:
    """Pattern for the same sort of derivative of any case."""
    folder = "" if name.pipeline is None else "/".join(filter(None, ("derivatives", name.pipeline))) + "/"
    return folder + name.glob


def _schema(root: Path, listing: Listing) -> LabelSchema | None:
    """What the look-up tables of the labels call the values. A case whose table contradicts the others is excluded."""
    known: dict[int, Structure] = {}
    contents: dict[Path, tuple[Structure, ...]] = {}
    labels = [p for p in listing.places if p.kind == "label"]
    for place in labels:
        path = Path(place.file.path)
        name = parse(place.file)
        top = root.absolute() if name is None or name.pipeline is None else root.absolute() / "derivatives" / name.pipeline
        table = lookup_table(path, top)
        if table is None:
            continue
        if table not in contents:
            try:
                contents[table] = read_lookup(table)
            except InputError as error:
                contents[table] = ()
                listing.warnings.append(f"{error.sentence} The table was not used.")
        if against := conflict(known, contents[table]):
            listing.reasons[place.case].append(f"{table} calls {against}. Give the structures of all cases the same values.")
            continue
        known |= {one.value: one for one in contents[table] if one.value not in known}
    ignore = next((one.value for one in known.values() if one.name.casefold() == IGNORE), None)
    structures = [one for one in known.values() if one.value != ignore]
    if len(structures) > MAX_LISTED:
        structures = _occurring(structures, labels)
        listing.warnings.append(
            f"The look-up tables list {len(known)} structures; the {len(structures)} that occur in the labels were taken."
        )
    if not structures:
        return None
    return schema_of(structures, name=f"look-up tables of {root.resolve().name}", ignore_value=ignore)


def _occurring(structures: Sequence[Structure], labels: Iterable[Place]) -> list[Structure]:
    found: set[int] = set()
    for place in labels:
        try:
            found.update(np.unique(read_labels(place.file.path)[0]).tolist())
        except InputError:
            # Its case is excluded with the reason when the plan is made or the study prepared.
            continue
    return [one for one in structures if one.value in found]
