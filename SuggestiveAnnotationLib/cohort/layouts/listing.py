"""From files whose place in the cohort is known to a plan: one file for every place, what is missing, and on whose grid the labels lie.

The readers of known layouts (BIDS, nnU-Net, challenges) say which case a file belongs to and what it is; everything after that is the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from SuggestiveAnnotationLib.cohort.checks import label_modalities, quick_check
from SuggestiveAnnotationLib.cohort.files.read import read_geometry
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, Kind, matches, modality_order, natural_order
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Case, LabelSchema, Role

_SHOWN = 3
"""Patterns that stand in one line of the plan."""


@dataclass(frozen=True)
class Given:
    """What a person said about a cohort; it overrules its layout. Attributes as the arguments of `discover.discover`."""

    images: Mapping[str, str] | None = None
    label: str | None = None
    mask: str | None = None
    table: str | Path | None = None
    reference: str | None = None

    def part(self, file: ImageFile, known: tuple[Kind, str] | None) -> tuple[Kind, str] | None:
        """Kind and name (modality) of a file: by the patterns, else what the layout knows, unless files of that kind were given."""
        if self.mask and matches(self.mask, file):
            return "mask", "mask"
        if self.label and matches(self.label, file):
            return "label", "label"
        # `*_t1*` means the images, also where it fits a file that the layout knows to hold labels.
        may_be_image = known is None or known[0] == "image" or self.label is not None
        for modality, pattern in (self.images or {}).items():
            if may_be_image and matches(pattern, file):
                return "image", modality
        overruled = known is None or {"image": bool(self.images), "label": self.label is not None, "mask": self.mask is not None}[known[0]]
        return None if overruled else known


@dataclass(frozen=True)
class Place:
    """A file and where it goes.

    Attributes:
        file: it; `file.path` is what the case will name.
        case: it belongs to.
        kind, name: image and its modality, or label or mask twice.
        glob: pattern that files of this sort fit, for the plan.
        rank: of several files for one place the lowest is taken; two of the same rank are one too many.
    """

    file: ImageFile
    case: str
    kind: Kind
    name: str
    glob: str
    rank: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Whom a case shows, where, and what part it takes."""

    patient: str
    site: str = ""
    role: Role = "pool"


@dataclass
class Listing:
    """Everything a layout says about a cohort.

    Attributes:
        root: folder of the cohort. layout: as a person calls it.
        places: of files. people: case -> person; a case that is not there is its own patient.
        reasons: case -> sentences that exclude it; such a case need not have a file.
        modalities: in channel order, all of them needed; None: in their usual order, those that at least half of the cases have.
        schema, sources, warnings, alternatives: of the plan.
        geometry_of: path in a place -> grid.
    """

    root: Path
    layout: str
    places: list[Place] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    modalities: Sequence[str] | None = None
    schema: LabelSchema | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    alternatives: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    geometry_of: Callable[[str], Geometry] = read_geometry

    def plan(self, given: Given) -> CohortPlan:
        """The plan of the cohort. Headers are read, voxels are not.

        Raises:
            InputError: no image, a pattern that fits nothing, an unknown reference, or a table that does not fit.
        """
        self.geometry_of = cache(self.geometry_of)
        self._need_fitting(given)
        images = [p for p in self.places if p.kind == "image"]
        if not images and self.modalities is None:
            raise InputError(f"Only labels or masks were found in {self.root}, no images.", hint='Name them: --image T1="*_t1.nii.gz".')
        modalities = self._modalities(images, given)
        chosen = {m: self._one_each("image", m) for m in modalities}
        label, mask = self._one_each("label", "label"), self._one_each("mask", "mask")
        names = sorted({*self.reasons, *(case for found in chosen.values() for case in found)}, key=natural_order)
        self._stray(names, {"label": label, "mask": mask})
        reference = given.reference or modalities[0]
        if reference not in modalities:
            raise InputError(f"There is no modality {reference} in {self.root}.", hint=f"Found: {', '.join(modalities)}.")
        cases = [self._case(name, chosen, label, mask) for name in names]
        if given.reference is None and label and len(modalities) > 1:
            reference = self._reference_of_labels(cases, reference)
        checked: Sequence[Case] = [quick_check(c, reference, self.reasons.get(c.name, ()), geometry_of=self.geometry_of) for c in cases]
        if given.table is not None:
            checked, notes = apply_table(checked, read_table(given.table), source=str(given.table))
            self.warnings += notes
        return CohortPlan(
            folder=str(self.root.resolve()),
            cases=tuple(checked),
            modalities=tuple(modalities),
            reference=reference,
            patterns={m: (given.images or {}).get(m) or _shown(found.values()) for m, found in chosen.items()},
            label_pattern=(given.label or _shown(label.values())) if label else None,
            mask_pattern=(given.mask or _shown(mask.values())) if mask else None,
            alternatives={what: tuple(dict.fromkeys(globs)) for what, globs in self.alternatives.items() if globs},
            warnings=tuple(self.warnings),
            schema=self.schema,
            layout=self.layout,
            sources=dict(self.sources),
        )

    def _need_fitting(self, given: Given) -> None:
        wanted = [("image", m, pattern) for m, pattern in (given.images or {}).items()]
        wanted += [(kind, kind, pattern) for kind, pattern in (("label", given.label), ("mask", given.mask)) if pattern]
        for kind, name, pattern in wanted:
            if not any((p.kind, p.name) == (kind, name) for p in self.places):
                example = f"A file there is for example {self.places[0].file.relative}." if self.places else "Look at the folder."
                raise InputError(f'No file of a case fits the pattern "{pattern}" for {name}.', hint=example)

    def _modalities(self, images: Sequence[Place], given: Given) -> list[str]:
        if given.images:
            return list(given.images)
        if self.modalities is not None:
            return list(self.modalities)
        cases: dict[str, set[str]] = defaultdict(set)
        for place in images:
            cases[place.name].add(place.case)
        total = len({p.case for p in images})
        found = sorted(cases, key=modality_order)
        enough = [m for m in found if 2 * len(cases[m]) >= total] or [max(found, key=lambda m: len(cases[m]))]
        for m in found:
            if m not in enough:
                example = next(p.file.relative for p in images if p.name == m)
                self.warnings.append(
                    f"{_files(len(cases[m]))} of {m}, which less than half of the cases have, left out, for example {example}; "
                    "name the images (--image) to use them."
                )
        return enough

    def _one_each(self, kind: Kind, name: str) -> dict[str, Place]:
        """Case -> its file for this place; of several the one of lowest rank."""
        by_case: dict[str, list[Place]] = defaultdict(list)
        for place in self.places:
            if (place.kind, place.name) == (kind, name):
                by_case[place.case].append(place)
        out: dict[str, Place] = {}
        several: list[tuple[Place, Place]] = []
        for case, found in by_case.items():
            found.sort(key=lambda p: (p.rank, p.file.relative))
            out[case] = found[0]
            if len(found) > 1 and found[0].rank == found[1].rank:
                two = f"{found[0].file.path} and {found[1].file.path}"
                self.reasons[case].append(f"{case} has {len(found)} files for {name}: {two}. Keep one of them.")
                del out[case]
            elif len(found) > 1:
                several.append((found[0], found[1]))
                self.alternatives[name] += [p.glob for p in found[1:] if p.glob != found[0].glob]
        if several:
            taken, other = several[0]
            have = f"{len(several)} cases have" if len(several) > 1 else f"{taken.case} has"
            self.warnings.append(f"{have} several files for {name}: {taken.file.relative} is used, for example, not {other.file.relative}.")
        return out

    def _stray(self, names: Sequence[str], found: Mapping[str, Mapping[str, Place]]) -> None:
        for what, places in found.items():
            if stray := sorted(set(places) - set(names)):
                fit = "fits" if len(stray) == 1 else "fit"
                self.warnings.append(f"{_files(len(stray), what)} {fit} no image, for example {places[stray[0]].file.relative}.")

    def _case(self, name: str, images: Mapping[str, Mapping[str, Place]], label: Mapping[str, Place], mask: Mapping[str, Place]) -> Case:
        if not self.reasons.get(name):
            for modality, found in images.items():
                if name not in found:
                    self.reasons[name].append(f"{name} has no {modality} image. Add it, or name other images (--image).")
        folded = [other for found in images.values() for other in found if other != name and other.casefold() == name.casefold()]
        if folded:
            self.reasons[name].append(f"Two cases are called {name} and {folded[0]}, which differ in capitals only. Rename one of them.")
        person = self.people.get(name, Person(name))
        return Case(
            name=name,
            patient=person.patient,
            role=person.role,
            images={m: found[name].file.path for m, found in images.items() if name in found},
            label=label[name].file.path if name in label else None,
            mask=mask[name].file.path if name in mask else None,
            site=person.site,
        )

    def _reference_of_labels(self, cases: Sequence[Case], first: str) -> str:
        votes = Counter(m for case in cases[:20] for m in label_modalities(case, geometry_of=self.geometry_of))
        best = max(votes.values(), default=0)
        return first if votes[first] == best else max(votes, key=lambda m: votes[m])


def _shown(places: Iterable[Place]) -> str:
    counted = Counter(p.glob for p in places)
    return " or ".join(glob for glob, _ in counted.most_common(_SHOWN)) or "none"


def _files(number: int, what: str = "") -> str:
    return f"{number} {what + ' ' if what else ''}file{'' if number == 1 else 's'}"
