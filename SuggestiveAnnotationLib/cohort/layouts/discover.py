"""Finds the cases of a cohort by itself: a folder per case, flat files, or a folder per sequence."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from SuggestiveAnnotationLib.cohort.checks import label_modalities, quick_check
from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES
from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.layouts.folders import people_of_folders, say_folders
from SuggestiveAnnotationLib.cohort.layouts.keys import case_keys, signature
from SuggestiveAnnotationLib.cohort.layouts.naming import (
    IMAGE,
    Guess,
    ImageFile,
    group_words,
    guess,
    matches,
    modality_order,
    natural_order,
    nnunet_channel,
    time_or_sequence,
    words,
)
from SuggestiveAnnotationLib.cohort.layouts.probable import say_probable_labels
from SuggestiveAnnotationLib.cohort.layouts.versions import (
    drawn_after,
    drawn_by_model,
    drawn_on,
    same_person,
    say_same_person,
    say_versions,
    without_versions,
)
from SuggestiveAnnotationLib.cohort.layouts.visits import patient_of, people_of_visits, say_visits
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case

_OWN_OUTPUT = re.compile(r"_(?:annotated-mask|model-completed|model-prediction)$")
"""Ends of names that exports of this program give to what is neither an image nor somebody's labels."""


@dataclass(frozen=True)
class _Slot:
    """The files of one modality, of the labels or of the masks: case name -> candidates, and the glob they were chosen by."""

    files: Mapping[str, tuple[ImageFile, ...]]
    pattern: str
    others: tuple[str, ...] = ()


def discover(
    folder: str | Path,
    *,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: str | Path | None = None,
    reference: str | None = None,
) -> CohortPlan:
    """Look for the cases in `folder`. Headers are read, voxels only where no name tells labels from images (see `checks.check_case`).

    Args:
        folder: of NIfTI, NRRD or MetaImage files, in any of the three layouts. Hidden files and folders are left out, links are followed
            once.
        images: modality -> glob on the path inside the cohort or on the file name, whatever the case, in channel order. None: guessed.
        label, mask: globs of the reference labels and the foreground masks. None: guessed; `""`: there are none.
        table: CSV file with patient, site and role per case, see `table.read_table`.
        reference: modality whose grid annotations live on. None: the one that the labels are on, else the first.

    Raises:
        InputError: no such folder, no image in it, a pattern that fits nothing, an unknown reference, or a table that does not fit.
    """
    root = Path(folder).expanduser()
    images = images or None
    warnings: list[str] = []
    files = scan(root, notes=warnings)
    guesses = _classify(files, images, label, mask, warnings)
    plain = without_versions(guesses)
    # Versions of an image are one file to the names of cases, lest what they share be taken for the name of a kind.
    once = {(plain[file].relative, found.kind, found.name): plain[file] for file, found in reversed(guesses.items())}
    kept = set(once.values())
    named = case_keys({plain[file]: found for file, found in guesses.items() if plain[file] in kept})
    keys = {file: named[once[one.relative, guesses[file].kind, guesses[file].name]] for file, one in plain.items()}
    warnings += say_versions(plain)
    slots = _image_slots(guesses, keys, images, warnings, drawn_on(plain, guesses))
    if images is None and (two := time_or_sequence([f for f, found in guesses.items() if found.kind == "image"])):
        what = f"{two[0]} and {two[1]} count as two sequences of one visit"
        warnings.append(f'{what}; if T1 and T2 are visits, name the images: --image {two[2]}="*{two[2]}*".')
    label_slot, mask_slot = _label_and_mask(guesses, keys, label, mask)
    if label_slot:
        slots = _as_drawn(slots, label_slot, guesses, keys)
    names = _case_names(slots, label_slot, mask_slot, warnings)
    there = set(names)
    warnings += _say_lost([f for f, g in guesses.items() if g.kind == "image" and g.name in slots and keys[f] not in there], keys)
    chosen_reference = reference or next(iter(slots))
    if chosen_reference not in slots:
        raise InputError(f"There is no modality {reference} in {root}.", hint=f"Found: {', '.join(slots)}.")
    build = _Builder(slots, label_slot, mask_slot)
    cases = [build.case(name, chosen_reference) for name in names]
    if reference is None and label_slot and len(slots) > 1:
        better = _reference_of_labels(cases, chosen_reference)
        if better != chosen_reference:
            chosen_reference = better
            cases = [build.case(name, better) for name in names]
    files_of = {case.name: build.image(case.name) for case in cases}
    person, said = _people(cases, files_of, same_person(guesses, keys), told=table is not None)
    warnings += said
    if label is None and label_slot is None and len(slots) == 1:
        warnings += say_probable_labels(files_of, person)
    finished: Sequence[Case] = [replace(case, patient=person[case.name]) for case in cases]
    if table is not None:
        finished, notes = apply_table(finished, read_table(table), source=str(table))
        warnings += notes
    parts = {**slots, **({"label": label_slot} if label_slot else {}), **({"mask": mask_slot} if mask_slot else {})}
    given = {*(images or {}), *(["label"] if label is not None else []), *(["mask"] if mask is not None else [])}
    return CohortPlan(
        folder=str(root.resolve()),
        cases=tuple(finished),
        modalities=tuple(slots),
        reference=chosen_reference,
        patterns={m: s.pattern for m, s in slots.items()},
        label_pattern=label_slot.pattern if label_slot else None,
        mask_pattern=mask_slot.pattern if mask_slot else None,
        guessed=frozenset(parts) - given,
        alternatives={what: slot.others for what, slot in parts.items() if slot.others},
        warnings=tuple(warnings),
    )


def _people(
    cases: Sequence[Case], files: Mapping[str, ImageFile], again: Mapping[str, str], *, told: bool
) -> tuple[dict[str, str], list[str]]:
    """Whom each case shows, and sentences about it.

    Args:
        cases: with the patients that their own names tell.
        files: case -> one of its images.
        again: case -> another one of the same person.
        told: there is a table of patients, so that nothing need be asked.
    """
    own = {case.name: case.patient for case in cases}
    again = {name: first for name, first in again.items() if name in own and own.get(first, own[name]) != own[name]}
    own |= {name: own[first] for name, first in again.items()}
    visits = people_of_visits(list(own.values()))
    by_folder = people_of_folders(files, {name: visits.get(one, one) for name, one in own.items()})
    if by_folder:
        own |= by_folder
        visits = people_of_visits(list(dict.fromkeys(own.values())))
    person = {name: visits.get(one, one) for name, one in own.items()}
    several = say_same_person(again) + say_folders(files, person, by_folder)
    notes = say_visits(list(own.values()), visits) if visits or not told else []
    return person, notes + (several if by_folder or not told else [])


def _classify(
    files: Sequence[ImageFile], images: Mapping[str, str] | None, label: str | None, mask: str | None, warnings: list[str]
) -> dict[ImageFile, Guess]:
    universal = frozenset(set.intersection(*({w.casefold() for c in f.components for w in words(c)} for f in files)))
    groups = group_words(files)
    images_of = _named_images(files, images or {}, universal, guard=label is None)
    guesses: dict[ImageFile, Guess] = {}
    drawn: list[ImageFile] = []

    def said(file: ImageFile) -> frozenset[str]:
        return guess(file, universal=universal, groups=groups).said

    for file in files:
        if mask and matches(mask, file):
            guesses[file] = Guess("mask", "mask", said=said(file))
        elif label and matches(label, file):
            guesses[file] = Guess("label", "label", said=said(file))
        elif file in images_of:
            guesses[file] = Guess("image", images_of[file], said=said(file))
        elif _OWN_OUTPUT.search(file.stem):
            continue
        elif channel := nnunet_channel(file):
            guesses[file] = Guess("image", channel[1], rank=50)
        else:
            found = guess(file, universal=universal, groups=groups)
            given = {"image": images is not None, "label": label is not None, "mask": mask is not None}[found.kind]
            if given:
                continue
            if drawn_by_model(file, universal=universal):
                drawn.append(file)
            else:
                guesses[file] = found
    if drawn:
        some = "1 file is" if len(drawn) == 1 else f"{len(drawn)} files are"
        how = "name images or reference labels (--image, --label) to use them"
        warnings.append(f"By name {some} drawn by a model and left out, for example {drawn[0].relative}; {how}.")
    for what, pattern in {**(images or {}), **{k: v for k, v in (("label", label), ("mask", mask)) if v}}.items():
        kind = what if what in ("label", "mask") and (images is None or what not in images) else "image"
        if not any(g.kind == kind and (kind != "image" or g.name == what) for g in guesses.values()):
            raise InputError(f'No file fits the pattern "{pattern}" for {what}.', hint=f"A file there is for example {files[0].relative}.")
    return _bare_masks(guesses, label, mask)


def _named_images(files: Sequence[ImageFile], images: Mapping[str, str], universal: frozenset[str], *, guard: bool) -> dict[ImageFile, str]:
    """File -> modality by the given patterns. With `guard`, `*_t1*` does not take `x_t1_seg` beside `x_t1`."""
    out: dict[ImageFile, str] = {}
    for modality, pattern in images.items():
        fitting = [f for f in files if f not in out and matches(pattern, f)]
        plain = [f for f in fitting if guess(f, universal=universal).kind == "image"]
        out.update(dict.fromkeys(plain if plain and guard else fitting, modality))
    return out


def _bare_masks(guesses: dict[ImageFile, Guess], label: str | None, mask: str | None) -> dict[ImageFile, Guess]:
    """Files called just `mask` are the labels when nothing else can be: a lesion mask, not a brain mask."""
    if label is None and mask is None and not any(g.kind == "label" or (g.kind == "mask" and g.sure) for g in guesses.values()):
        return {f: replace(g, kind="label", name="mask", rank=0, sure=True) if g.kind == "mask" else g for f, g in guesses.items()}
    return guesses


def _image_slots(
    guesses: Mapping[ImageFile, Guess],
    keys: Mapping[ImageFile, str],
    images: Mapping[str, str] | None,
    warnings: list[str],
    drawn: frozenset[ImageFile],
) -> dict[str, _Slot]:
    by_name: dict[str, list[ImageFile]] = defaultdict(list)
    for file, found in guesses.items():
        if found.kind == "image":
            by_name[found.name].append(file)
    if not by_name:
        raise InputError("Only labels or masks were found, no images.", hint='Name the images, for example --image T1="*_t1.nii.gz".')
    if images is not None:
        return {m: _slot(by_name[m], keys, guesses, images[m], drawn) for m in images}
    slots = {m: _slot(by_name[m], keys, guesses, None, drawn) for m in sorted(by_name, key=modality_order)}
    covered = {m: len(s.files) for m, s in slots.items()}
    total = len({c for s in slots.values() for c in s.files})
    # Without a word for the sequence, files count as images only where no other file does.
    named = [m for m in slots if m != IMAGE or any(guesses[f].sure for f in by_name[m])] or list(slots)
    enough = [m for m in named if covered[m] * 2 >= total] or [max(named, key=lambda m: covered[m])]
    for m in slots:
        if m not in enough:
            some = f"{covered[m]} file{'' if covered[m] == 1 else 's'} such as {by_name[m][0].relative}"
            why = "whose name names no sequence" if m == IMAGE else f"of {m}, which less than half of the cases have,"
            warnings.append(f"{some} {why} {'was' if covered[m] == 1 else 'were'} left out; name the images (--image) to use them.")
    return {m: slots[m] for m in enough}


def _label_and_mask(
    guesses: Mapping[ImageFile, Guess], keys: Mapping[ImageFile, str], label: str | None, mask: str | None
) -> tuple[_Slot | None, _Slot | None]:
    slots: list[_Slot | None] = []
    for kind, pattern in (("label", label), ("mask", mask)):
        files = [f for f, found in guesses.items() if found.kind == kind] if pattern != "" else []
        slots.append(_slot(files, keys, guesses, pattern) if files else None)
    return slots[0], slots[1]


def _slot(
    files: Sequence[ImageFile],
    keys: Mapping[ImageFile, str],
    guesses: Mapping[ImageFile, Guess],
    pattern: str | None,
    drawn: frozenset[ImageFile] = frozenset(),
) -> _Slot:
    """One candidate per case where it can be: of several files that differ in more than the case, the kind with the most telling word.

    Before all, the kind that labels are called after (`drawn`).

    A kind that less than half as many cases have as the most frequent one comes after all others. A further kind fills in only where it
    never stands beside those before it, as when each site names its files in its own way.
    """
    by_signature: dict[str, list[ImageFile]] = defaultdict(list)
    for file in files:
        by_signature[_bare(signature(file, keys[file]))].append(file)
    covered = {s: len({keys[f] for f in found}) for s, found in by_signature.items()}
    most = max(covered.values())
    rank = {s: (by_signature[s][0] not in drawn, guesses[by_signature[s][0]].rank) for s in by_signature}
    order = sorted(by_signature, key=lambda s: (2 * covered[s] < most, rank[s], -covered[s], len(s), s))
    chosen: dict[str, list[ImageFile]] = {}
    used: list[str] = []
    for name in order:
        mine: dict[str, list[ImageFile]] = defaultdict(list)
        for file in by_signature[name]:
            mine[keys[file]].append(file)
        if not mine.keys() & chosen.keys():
            chosen.update(mine)
            used.append(name)
    shown = pattern or " or ".join(signature(by_signature[s][0], keys[by_signature[s][0]]) for s in used[:3])
    rest = tuple(signature(by_signature[s][0], keys[by_signature[s][0]]) for s in order if s not in used)
    return _Slot({key: tuple(found) for key, found in chosen.items()}, shown, rest)


def _as_drawn(
    slots: Mapping[str, _Slot], label: _Slot, guesses: Mapping[ImageFile, Guess], keys: Mapping[ImageFile, str]
) -> dict[str, _Slot]:
    """The images, of each case the version that its labels were drawn on, where names or folders of the labels tell."""
    versions: dict[tuple[str, str], list[ImageFile]] = defaultdict(list)
    for file, found in guesses.items():
        if found.kind == "image":
            versions[found.name, keys[file]].append(file)
    out: dict[str, _Slot] = {}
    for modality, slot in slots.items():
        files = dict(slot.files)
        for case, chosen in slot.files.items():
            drawn = label.files.get(case, ())
            if len(chosen) == len(drawn) == 1 and (own := drawn_after(drawn[0], versions[modality, case])):
                files[case] = (own,)
        out[modality] = replace(slot, files=files)
    return out


def _bare(glob: str) -> str:
    """The signature less its suffix: the same name as .nii.gz and .nrrd is a duplicate, not another kind."""
    return next(glob[: -len(s)] for s in SUFFIXES if glob.lower().endswith(s)).casefold()


def _case_names(slots: Mapping[str, _Slot], label: _Slot | None, mask: _Slot | None, warnings: list[str]) -> list[str]:
    names = sorted({case for slot in slots.values() for case in slot.files}, key=natural_order)
    for what, slot in (("label", label), ("mask", mask)):
        stray = sorted(set(slot.files) - set(names)) if slot else []
        if slot and stray:
            example = slot.files[stray[0]][0].relative
            fit = f"{what} file fits" if len(stray) == 1 else f"{what} files fit"
            rule = "files of a case need the same words and numbers in their names, but for the kind (P1_T1, P1_seg)"
            warnings.append(f"{len(stray)} {fit} no image, for example {example}; {rule}.")
    return names


def _say_lost(images: Sequence[ImageFile], keys: Mapping[ImageFile, str]) -> list[str]:
    """A sentence for the plan on cases of which there are only images of a kind that is not used."""
    lost = len({keys[file] for file in images})
    if not lost:
        return []
    are = "1 case is" if lost == 1 else f"{lost} cases are"
    other = "another kind of image than the others"
    return [f"{are} left out with only {other}, for example {images[0].relative}; choose the images that all have (--image)."]


class _Builder:
    """Makes the `Case` of a name out of the chosen files."""

    def __init__(self, slots: Mapping[str, _Slot], label: _Slot | None, mask: _Slot | None) -> None:
        self._slots = slots
        self._label = label
        self._mask = mask
        self._folded = Counter(name.casefold() for name in {c for s in slots.values() for c in s.files})

    def case(self, name: str, reference: str) -> Case:
        """The case, checked by its headers; excluded with the reason when it cannot be used."""
        reasons: list[str] = []
        one = {m: self._one(name, s, m, reasons) for m, s in self._slots.items()}
        images = {m: f.path for m, f in one.items() if f is not None}
        absent = [m for m, slot in self._slots.items() if name not in slot.files]
        hint = "Add it, or name other images (--image)."
        reasons += [f"{name} has no {m} image ({self._slots[m].pattern}). {hint}" for m in absent]
        label = self._one(name, self._label, "label", reasons) if self._label else None
        mask = self._one(name, self._mask, "mask", reasons) if self._mask else None
        if self._folded[name.casefold()] > 1:
            twin = next(c for s in self._slots.values() for c in s.files if c != name and c.casefold() == name.casefold())
            where = f"{self.image(name).path} and {self.image(twin).path}"
            reasons.append(f"Two cases are called {name} and {twin}, which differ in capitals only: {where}. Rename one of them.")
        first = next(f for f in one.values() if f is not None) if images else self.image(name)
        case = Case(
            name=name,
            patient=patient_of(first, name),
            role="pool",
            images=images,
            label=label.path if label else None,
            mask=mask.path if mask else None,
        )
        return quick_check(case, reference, reasons)

    @staticmethod
    def _one(name: str, slot: _Slot, what: str, reasons: list[str]) -> ImageFile | None:
        found = slot.files.get(name, ())
        if len(found) > 1:
            reasons.append(f"{name} has {len(found)} files for {what}: {found[0].path} and {found[1].path}. Keep one of them.")
            return None
        return found[0] if found else None

    def image(self, name: str) -> ImageFile:
        """One of the images of a case."""
        return next(s.files[name][0] for s in self._slots.values() if name in s.files)


def _reference_of_labels(cases: Sequence[Case], first: str) -> str:
    """The modality on whose grid most labels lie; `first` unless another does better."""
    votes = Counter(m for case in cases[:20] for m in label_modalities(case))
    best = max(votes.values(), default=0)
    return first if votes[first] == best else max(votes, key=lambda m: votes[m])
