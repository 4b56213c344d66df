"""Which case a file belongs to: the part of its path that differs between cases, once the words for the sequence are taken away.

A path is taken apart into folders and file name, these into words. Words that every file of one kind has (`T1_brain/…_SS`), but not
every file of the cohort, tell the kind. What is left and still differs between files of one kind is the case.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from SuggestiveAnnotationLib.cohort.layouts.naming import Guess, ImageFile, guess, nnunet_channel, words


def case_keys(guesses: Mapping[ImageFile, Guess]) -> dict[ImageFile, str]:
    """The case name of every file; files of one case share it."""
    groups: dict[tuple[str, str, int], list[ImageFile]] = defaultdict(list)
    for file, found in guesses.items():
        groups[(found.kind, found.name, len(file.components))].append(file)
    everywhere = set.intersection(*(_all_words(f) for f in guesses)) if guesses else set()
    keys: dict[ImageFile, str] = {}
    lonely: list[ImageFile] = []
    for members in groups.values():
        if len(members) == 1:
            lonely += members
            continue
        own = set.intersection(*(_all_words(f) for f in members))
        drop = own - everywhere if len(groups) > 1 else set()
        keys.update(_group_keys(members, drop, everywhere if len(groups) > 1 else own))
    for file in lonely:
        keys[file] = _known_key(file, set(keys.values())) or _single_key(file, guesses)
    for file in keys:
        if channel := nnunet_channel(file):
            keys[file] = channel[0]
    return _reconcile(keys, guesses)


def signature(file: ImageFile, key: str) -> str:
    """The file's path inside the cohort as a glob, with `*` where its case stands: `labels/*_glm.nii.gz`."""
    mine = _folded(key)
    parts = []
    for component in file.components:
        spans = [(m.start(), m.end()) for m in re.finditer(r"[^\W_]+", component) if m[0].casefold() in mine]
        if component.casefold() == key.casefold() or (spans and component in key):
            parts.append("*")
            continue
        text, last, gap = "", 0, True
        for start, end in spans:
            between = component[last:start]
            text += between if words(between) or gap else ""
            text += "*" if not text.endswith("*") else ""
            last, gap = end, False
        parts.append(text + component[last:])
    name = file.relative.rpartition("/")[2]
    return "/".join(parts) + name[len(file.stem) :]


def _group_keys(members: Sequence[ImageFile], drop: set[str], common: set[str]) -> dict[ImageFile, str]:
    """Case names within one kind: the components that vary, without `drop` and without a common tail."""
    depth = len(members[0].components)
    cleaned = {f: [_without(c, drop, common, stem=i == depth - 1) for i, c in enumerate(f.components)] for f in members}
    varying = [i for i in range(depth) if len({cleaned[f][i] for f in members}) > 1]
    if len(varying) > 1 and varying[-1] == depth - 1 and _only_kinds([cleaned[f] for f in members]):
        varying.pop()
    return {f: _join([cleaned[f][i] for i in varying]) or f.stem for f in members}


def _only_kinds(rows: Sequence[Sequence[str]]) -> bool:
    """Whether file names in folders of cases tell kinds of images (`T1`, now and then `T1_repeat`), not cases."""
    folders, stems = {tuple(row[:-1]) for row in rows}, Counter(row[-1] for row in rows)
    usual = stems.most_common(1)[0][0]
    return 2 * len(folders) > len(rows) >= 2 * len(stems) and (not usual or guess(ImageFile("", f"{usual}.nii")).sure)


def _without(component: str, drop: set[str], common: set[str], *, stem: bool) -> str:
    """The component less the words in `drop` and, in a file name, less the words all files share at its end (numbers stay)."""
    found = list(re.finditer(r"[^\W_]+", component))
    kept = [m for m in found if m[0].casefold() not in drop]
    while stem and len(kept) > 1 and kept[-1][0].casefold() in common and not kept[-1][0].isdecimal():
        kept.pop()
    if len(kept) == len(found):
        return component
    text = ""
    for place, m in enumerate(kept):
        if place:
            before = component[kept[place - 1].end() : m.start()]
            text += before if not words(before) else "_"
        text += m[0]
    return text


def _join(parts: Sequence[str]) -> str:
    """Parts that say the same twice (`sub-01/anat/sub-01_T1w`) count once."""
    sets = [_folded(p) for p in parts]
    kept = []
    for i, part in enumerate(parts):
        contained = any(sets[i] < sets[j] or (sets[i] == sets[j] and j < i) for j in range(len(parts)) if j != i)
        if sets[i] and not contained:
            kept.append(part)
    return "_".join(kept)


def _known_key(file: ImageFile, known: set[str]) -> str | None:
    """The longest known case name whose words all stand in the file's path."""
    mine = _all_words(file)
    fitting = [k for k in known if _folded(k) <= mine]
    return max(fitting, key=lambda k: (len(words(k)), k)) if fitting else None


def _single_key(file: ImageFile, guesses: Mapping[ImageFile, Guess]) -> str:
    """A file with no fellow: its folder when that holds several kinds or the file's name tells one, else its name."""
    folders = file.components[:-1]
    beside = [f for f in guesses if f.components[:-1] == folders]
    if folders and (len(beside) > 1 or guess(ImageFile("", f"{file.stem}.nii")).sure):
        return folders[-1]
    stems = [_folded(f.stem) for f in beside]
    shared = set.intersection(*stems) if len(stems) > 1 else set()
    text = "_".join(w for w in words(file.stem) if w.casefold() in shared)
    return text or (PurePath(file.path).parent.name if len(beside) > 1 else file.stem)


def _reconcile(keys: dict[ImageFile, str], guesses: Mapping[ImageFile, Guess]) -> dict[ImageFile, str]:
    """Labels and masks whose name has more or fewer words than the images' take the one image name that fits."""
    images = {k for f, k in keys.items() if guesses[f].kind == "image"}
    if not images:
        return keys
    sets = {k: _folded(k) for k in images}
    folded = Counter(k.casefold() for k in images)
    out = {}
    for file, key in keys.items():
        out[file] = key
        if key.casefold() in folded:
            continue
        mine = _folded(key)
        fitting = [k for k, s in sets.items() if s <= mine or mine <= s]
        if len(fitting) == 1:
            out[file] = fitting[0]
    return out


def _all_words(file: ImageFile) -> set[str]:
    return {w.casefold() for c in file.components for w in words(c)}


def _folded(text: str) -> set[str]:
    return {w.casefold() for w in words(text)}
