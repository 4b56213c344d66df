"""Folders with a `dataset.json`: nnU-Net's raw datasets (versions 1 and 2) and the Medical Segmentation Decathlon.

After nnU-Net's documentation, `dataset_format.md` and `dataset_conversion.md` (version 1), and the files of medicaldecathlon.com.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.files.channels import channel_geometry
from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES, read_geometry
from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.layouts.dataset_labels import broken, channel_names, dataset_schema, load_description
from SuggestiveAnnotationLib.cohort.layouts.folders import say_kinds
from SuggestiveAnnotationLib.cohort.layouts.listing import Given, Listing, Person, Place
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, Kind
from SuggestiveAnnotationLib.cohort.layouts.visits import people_of_visits, say_visits
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Role

_FILE = "dataset.json"
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_FOLDERS: dict[str, tuple[str, Role]] = {"imagestr": ("labelstr", "pool"), "imagests": ("labelsts", "test")}


def is_dataset(root: Path) -> bool:
    """Whether the folder has a `dataset.json` of this kind; one that cannot be read counts beside a folder `imagesTr`."""
    file = root / _FILE
    if not file.is_file():
        return False
    if (root / "imagesTr").is_dir():
        return True
    try:
        data = load_description(file)
    except InputError:
        return False
    return "labels" in data and not data.keys().isdisjoint({"channel_names", "modality"})


def plan_dataset(
    root: Path,
    *,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: Path | None = None,
    reference: str | None = None,
) -> CohortPlan:
    """The plan of such a folder; sequences and structures are called as the file calls them.

    Cases of `imagesTs` have the role test. A listed file that is missing, or lies outside the folder, excludes its case. One channel of a
    4D file is the path of the file with `#` and the channel, which patterns may name: `imagesTr/*.nii.gz#1`.

    Args:
        root: with `dataset.json` in it.
        images, label, mask, table, reference: as in `discover.discover`.

    Raises:
        InputError: the file is damaged or breaks a rule of the format, images have a format that cannot be read, or as `discover.discover`.
    """
    given = Given(images, label, mask, table, reference)
    file = root / _FILE
    data = load_description(file)
    names = channel_names(file, data)
    listed, of_the_decathlon = _listed(root, file, data, names)
    listing = Listing(root, "Medical Segmentation Decathlon" if of_the_decathlon else "nnU-Net", modalities=names)
    listing.schema = dataset_schema(file, data, name=str(data.get("name") or root.resolve().name))
    _fill(listing, root, listed, names, given)
    _count(listing, data, listed)
    return listing.plan(given)


@dataclass
class _Listed:
    """A case as the file or the folder lists it: one path a channel or one of a 4D file, relative to the folder."""

    name: str
    images: tuple[str, ...]
    label: str | None
    role: Role


def _listed(root: Path, file: Path, data: Mapping[str, Any], names: tuple[str, ...]) -> tuple[list[_Listed], bool]:
    if "dataset" in data and "channel_names" in data:
        return list(_explicit(file, data["dataset"])), False
    if "channel_names" in data or not data.get("training"):
        return list(_by_folder(root, file, data, len(names))), False
    listed = list(_by_list(file, data))
    if any((path := _inside(root, c.images[0])) and not os.path.isfile(path) and _split(root, c.images[0], 1) for c in listed[:5]):
        # nnU-Net's first version lists `imagesTr/a.nii.gz` where the files are `imagesTr/a_0000.nii.gz`, ...
        return [_Listed(c.name, _split(root, c.images[0], len(names)) or c.images, c.label, c.role) for c in listed], False
    return listed, True


def _explicit(file: Path, dataset: Any) -> Iterator[_Listed]:
    if not isinstance(dataset, dict) or not dataset:
        raise broken(file, '"dataset" lists no case')
    for name, entry in dataset.items():
        paths = entry.get("images") if isinstance(entry, dict) else None
        if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in paths):
            raise broken(file, f'"{name}" in "dataset" has no list of images')
        label = entry.get("label")
        yield _Listed(name or "unnamed", tuple(paths), label if isinstance(label, str) and label else None, "pool")


def _by_list(file: Path, data: Mapping[str, Any]) -> Iterator[_Listed]:
    lists: tuple[tuple[str, Role], ...] = (("training", "pool"), ("validation", "validation"), ("test", "test"))
    for key, role in lists:
        entries = data.get(key) or []
        if not isinstance(entries, list):
            raise broken(file, f'"{key}" is not a list')
        for entry in entries:
            image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
            if not isinstance(image, str) or not image:
                raise broken(file, f'an entry of "{key}" names no image')
            name = os.path.basename(image)
            if not name.startswith("._"):
                yield _Listed(_stem(name) or image, (image,), label if isinstance(label, str) and label else None, role)


def _by_folder(root: Path, file: Path, data: Mapping[str, Any], channels: int) -> Iterator[_Listed]:
    ending = data.get("file_ending")
    if ending is not None and (not isinstance(ending, str) or not ending.lower().endswith(SUFFIXES)):
        raise InputError(f"{file} says that files end in {ending}, which cannot be read.", hint=f"Images end in {', '.join(SUFFIXES)}.")
    by_folder: dict[str, dict[str, dict[int, str]]] = {folder: {} for folder in _FOLDERS}
    labels: dict[tuple[str, str], str] = {}
    for found in scan(root):
        folder, _, name = found.relative.rpartition("/")
        if ending is not None and not name.endswith(ending):
            continue
        if folder.casefold() in _FOLDERS and (parts := _CHANNEL.fullmatch(found.stem)):
            by_folder[folder.casefold()].setdefault(parts["case"], {})[int(parts["channel"])] = found.relative
        labels[folder.casefold(), found.stem] = found.relative
    if not any(by_folder.values()):
        raise InputError(
            f"There are no images called <case>_0000{ending or SUFFIXES[0]} in {root / 'imagesTr'}.",
            hint='Check "file_ending" and the names.',
        )
    for folder, cases in by_folder.items():
        label_folder, role = _FOLDERS[folder]
        for name, found_channels in cases.items():
            # A gap leaves its place empty, which excludes the case.
            paths = tuple(found_channels.get(c, "") for c in range(max(channels, max(found_channels) + 1)))
            yield _Listed(name, paths, labels.get((label_folder, name)), role)


def _fill(listing: Listing, root: Path, listed: Iterable[_Listed], names: tuple[str, ...], given: Given) -> None:
    """Put the files of every case in their places."""
    grids: dict[str, Geometry] = {}
    listing.geometry_of = lambda path: grids[path] if path in grids else read_geometry(path)
    seen: set[str] = set()
    known: set[str] = set()
    for case in listed:
        name = case.name
        if name in seen:
            name = f"{name}_{'Ts' if case.role == 'test' else 'again'}"
            listing.warnings.append(f"There are two cases {case.name}; the second is called {name}. Say in a table if they are one person.")
        if name in seen:
            listing.reasons[name].append(f"{name} stands more than twice in {root / _FILE}. Give every case a name of its own.")
            continue
        seen.add(name)
        listing.people[name] = Person(name, role=case.role)
        reasons = listing.reasons[name]
        for path, relative, part, glob in _files(root, case, names, listing, grids, reasons):
            known.add(relative)
            _place(listing, given, ImageFile(path, relative), name, part, glob)
    visits = people_of_visits(list(listing.people))
    if visits or given.table is None:
        listing.warnings += say_visits(list(listing.people), visits)
    listing.people.update({name: replace(listing.people[name], patient=person) for name, person in visits.items()})
    if given.table is None:
        listing.warnings += say_kinds({name: person.patient for name, person in listing.people.items()})
    _extra(listing, root, known, seen, given)


def _files(
    root: Path, case: _Listed, names: tuple[str, ...], listing: Listing, grids: dict[str, Geometry], reasons: list[str]
) -> Iterator[tuple[str, str, tuple[Kind, str], str]]:
    """Path, name inside the cohort, part and pattern of the files of a case; what is wrong goes into `reasons`."""
    if len(case.images) == 1 and len(names) > 1:
        relative = os.path.normpath(case.images[0])
        path = _found(root, relative, reasons)
        if path:
            try:
                geometry, channels = channel_geometry(path)
                if channels != len(names):
                    have = "1 channel" if channels == 1 else f"{channels} channels"
                    reasons.append(f"{path} has {have}, but {root / _FILE} names {len(names)}.")
                    names = names[:channels]
            except InputError as error:
                reasons.append(str(error))
                return
            for channel, name in enumerate(names):
                key = f"{path}#{channel}"
                listing.sources[key] = Source("channel", (path,), channel)
                grids[key] = geometry
                yield key, f"{_slashes(relative)}#{channel}", ("image", name), f"images*/*{_suffix(relative)}#{channel}"
    else:
        if len(case.images) > len(names):
            reasons.append(f"{case.name} has {len(case.images)} channels, but {root / _FILE} names {len(names)}.")
        for channel, (given_path, name) in enumerate(zip(case.images, names, strict=False)):
            relative = os.path.normpath(given_path) if given_path else ""
            if not relative:
                reasons.append(f"{case.name} has no {name} image: there is none called {case.name}_{channel:04d}. Add it.")
            elif path := _found(root, relative, reasons):
                ending = (
                    _suffix(relative) if len(case.images) == 1 and not _CHANNEL.fullmatch(_stem(relative)) else _numbered(channel, relative)
                )
                yield path, _slashes(relative), ("image", name), f"images*/*{ending}"
    if case.label is not None and (path := _found(root, os.path.normpath(case.label), reasons)):
        yield path, _slashes(os.path.normpath(case.label)), ("label", "label"), f"labels*/*{_suffix(case.label)}"


def _place(listing: Listing, given: Given, file: ImageFile, case: str, known: tuple[Kind, str] | None, glob: str) -> None:
    if (part := given.part(file, known)) is not None:
        listing.places.append(Place(file, case, *part, glob))


def _extra(listing: Listing, root: Path, known: set[str], cases: set[str], given: Given) -> None:
    """Files that are not listed: those that patterns name, where their name is that of a case; of the rest those that look like images."""
    strangers = []
    whole = {re.sub(r"#\d+$", "", name) for name in known}
    for file in scan(root, notes=listing.warnings) if given.images or given.label or given.mask or whole else ():
        if file.relative in whole:
            continue
        parts = _CHANNEL.fullmatch(file.stem)
        case = file.stem if file.stem in cases else parts["case"] if parts and parts["case"] in cases else None
        if case is not None:
            _place(listing, given, file, case, None, file.relative.replace(case, "*"))
        if file.relative.split("/")[0].casefold() in _FOLDERS:
            strangers.append(file.relative)
    if strangers:
        number = "1 image is" if len(strangers) == 1 else f"{len(strangers)} images are"
        listing.warnings.append(f"{number} not what {root / _FILE} describes and left out, for example {strangers[0]}.")


def _count(listing: Listing, data: Mapping[str, Any], listed: Iterable[_Listed]) -> None:
    promised, there = data.get("numTraining"), sum(case.role != "test" for case in listed)
    if type(promised) is int and promised != there:
        listing.warnings.append(
            f"{listing.root / _FILE} promises {promised} training cases; there {'is' if there == 1 else 'are'} {there}."
        )


def _found(root: Path, relative: str, reasons: list[str]) -> str | None:
    path = _inside(root, relative)
    if path is None:
        reasons.append(f"{root / _FILE} names {relative}, which is outside {root}. Copy the file into the folder.")
    elif not os.path.isfile(path):
        reasons.append(f"{path} is missing, although {root / _FILE} lists it. Copy the whole dataset again.")
    elif not path.lower().endswith(SUFFIXES):
        reasons.append(f"{path} has a format that cannot be read. Images end in {', '.join(SUFFIXES)}.")
    else:
        return path
    return None


def _inside(root: Path, relative: str) -> str | None:
    """The absolute path, None when it leaves the folder."""
    base = os.path.abspath(root)
    path = os.path.normpath(os.path.join(base, relative))
    return path if path.startswith(os.path.join(base, "")) and "\0" not in path else None


def _split(root: Path, image: str, channels: int) -> tuple[str, ...]:
    """The files `a_0000.nii.gz`, ... that nnU-Net means by `a.nii.gz`; empty when the first is not there."""
    suffix = _suffix(image)
    paths = tuple(f"{image[: len(image) - len(suffix)]}_{c:04d}{suffix}" for c in range(channels))
    first = _inside(root, paths[0])
    return paths if first is not None and os.path.isfile(first) else ()


def _stem(name: str) -> str:
    base = os.path.basename(name)
    return base[: len(base) - len(_suffix(base))]


def _suffix(name: str) -> str:
    return next((name[-len(s) :] for s in SUFFIXES if name.lower().endswith(s)), "")


def _numbered(channel: int, name: str) -> str:
    found = _CHANNEL.fullmatch(_stem(name))
    return f"_{found['channel'] if found else f'{channel:04d}'}{_suffix(name)}"


def _slashes(path: str) -> str:
    return path.replace(os.sep, "/")
