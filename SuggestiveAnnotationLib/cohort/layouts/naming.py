"""What a file's name says: which sequence it is, a label or a mask, and which words it is made of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES

Kind = Literal["image", "label", "mask"]

IMAGE = "image"
"""Modality of images whose name names none."""

# In the order in which sequences are listed; the first match within a name counts.
_MODALITIES: tuple[tuple[str, str], ...] = (
    ("T1c", r"t1_?(?:c|ce|gd|km|post|contrast)|ct1|t1w?_(?:post|gd|ce)"),
    ("T1", r"t1w?|t1n|t1_?pre|mprage|t1_?mprage|bravo|spgr"),
    ("FLAIR", r"(?:t2_?)?flair|t2f"),
    ("T2", r"t2w?|t2_?tse"),
    ("PD", r"pdw?"),
    ("SWI", r"swi|t2star"),
    ("ADC", r"adc"),
    ("DWI", r"dwi|b1000|trace"),
    ("CT", r"ct"),
    (IMAGE, r"image|images|imagests|imagestr|img|imgs|scan|volume|anat"),
)
_LABELS = (
    r"seg|segm|segs|segmentations?|labels?|labelmap|labelstr|labelsts|dseg|aseg",
    r"gt|truth|ground_?truth|gold_?standard|consensus|manual|annotations?",
    r"glm|ot_?multi\w*|ot|lesions?|wmh|tumou?r",
    r"classified|tissues?|parcellation",
)
_MASKS = (r"brain_?masks?|head_?mask|foreground|fg_?mask|(?:brain|head)_?roi|(?:brain|bet|head)_(?:\w+_)?masks?",)
_BARE_MASK = (r"masks?",)
_GROUPS = r"pd|ct|tumou?r|lesions?|wmh"
"""Words for a sequence or a label that groups of people are called by as well: those with Parkinson's disease, controls."""
_CONTROLS = frozenset({"control", "controls", "healthy", "hc", "normal", "normals"})
_SEQUENCE = "|".join(pattern for modality, pattern in _MODALITIES if modality != IMAGE)
_VOCABULARY = "|".join([*_MASKS, *_LABELS, *_BARE_MASK, *(pattern for _, pattern in _MODALITIES)])
_ANY = frozenset({*_MODALITIES[-1][1].split("|"), "brain"})
_LINK = re.compile(r"(?:to|in|on|onto|2|(?:co)?reg\w*|aligned|warped|resampled|space)")
_STEP = re.compile(r"n\d|\d+(?:mm|d|t)|mni\d*")


@dataclass(frozen=True)
class ImageFile:
    """An image file of a cohort folder.

    Attributes:
        path: absolute.
        relative: path inside the cohort, with `/`.
    """

    path: str
    relative: str

    @property
    def stem(self) -> str:
        """File name without folder and image suffix."""
        name = self.relative.rpartition("/")[2]
        return next(name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s))

    @property
    def components(self) -> tuple[str, ...]:
        """Folders inside the cohort, outermost first, then the stem."""
        return (*self.relative.split("/")[:-1], self.stem)


@dataclass(frozen=True)
class Guess:
    """What a name says.

    Attributes:
        kind: image, label or mask.
        name: modality of an image; the telling word of a label or mask.
        rank: lower is more telling, among candidates for the same place.
        sure: False for an image that is one only because nothing else fits, and for a bare `mask`.
        said: the words that say so, in lower case.
    """

    kind: Kind
    name: str
    rank: int = 0
    sure: bool = True
    said: frozenset[str] = frozenset()


def words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits."""
    return tuple(re.findall(r"[^\W_]+", text))


def matches(pattern: str, file: ImageFile) -> bool:
    """Whether the glob fits the path inside the cohort or the file's name, whatever the case. `tissue` also means all below that folder."""
    relative, wanted = file.relative.casefold(), unicodedata.normalize("NFC", pattern).casefold().replace("\\", "/").removeprefix("./")
    name = relative.rpartition("/")[2]
    whole = wanted.rstrip("/")
    return fnmatchcase(relative, wanted) or fnmatchcase(name, wanted) or ("*" not in whole and relative.startswith(whole + "/"))


def vocabulary(text: str) -> frozenset[str]:
    """The words of a text, in lower case, that stand for a kind of file: sequences, labels, masks."""
    found = re.finditer(rf"(?:^|(?<=_))(?:{_VOCABULARY})(?=_|$)", _plain(text))
    return frozenset(w for m in found for w in m[0].split("_"))


@cache
def is_number(word: str) -> bool:
    """Whether a word has a number that may tell people or visits apart, other than `3T`, `1mm`, `N4`."""
    return re.search(r"\d", word) is not None and not _STEP.fullmatch(word.casefold()) and not vocabulary(word)


def group_words(files: Iterable[ImageFile]) -> frozenset[str]:
    """Words (lower case) that stand for a sequence or a label in other cohorts, and for a group of people or a time in this one.

    `PD` of `PD_001_T1`: before the number and a sequence, and there is no `001_T1`. `PD` of `T1/PD_001` where there is a `T1/HC_001`.
    `tumor` of `tumor_001` where there is a `control_001`. `T1` of `P01_T1_FLAIR` where there is a `P01_T0_FLAIR`.
    """
    paths = [[_plain(part) for part in file.components] for file in files]
    times = {m[1] for path in paths for m in re.finditer(rf"(?:^|_)(t\d)(?=_(?:{_SEQUENCE})(?:_|$))", path[-1])}
    out = times if times - {"t1", "t2"} else set()
    placed = {(len(path), i, j, word) for path in paths for i, part in enumerate(path) for j, word in enumerate(part.split("_"))}
    controls = {place[:3] for place in placed if place[3] in _CONTROLS}
    out |= {place[3] for place in placed if place[:3] in controls and re.fullmatch(_GROUPS, place[3])}
    plain = {frozenset(path[-1].split("_")) - _ANY for path in paths}
    silent = {(*path[:-1], path[-1].count("_")) for path in paths if not vocabulary(path[-1])}
    refuted: set[str] = set()
    for *folders, text in paths:
        if found := re.search(rf"(?:^|_)({_GROUPS})_(.+?)(?:_({_SEQUENCE})(?=_|$)|$)", text):
            between = found[2].split("_")
            said_by_folder = (*folders, text.count("_")) in silent and not vocabulary(found[2]) and _names_images(folders)
            if any(map(is_number, between)) and not any(map(_LINK.fullmatch, between)) and (found[3] or said_by_folder):
                (refuted if frozenset(text.split("_")) - {found[1]} in plain else out).add(found[1])
    return frozenset(out - refuted)


def time_or_sequence(files: Iterable[ImageFile]) -> tuple[str, str, str] | None:
    """Two images such as `P01_T1_FLAIR` and `P01_T2_FLAIR`, which sequences as well as visits are called, and the word after; or None."""
    there = {tuple(_plain(part) for part in file.components): file for file in files}
    for (*folders, text), file in there.items():
        if found := re.search(rf"(?:^|_)t1_({_SEQUENCE})(?=_|$)", text):
            second = f"{text[: found.start(1) - 2]}2{text[found.start(1) - 1 :]}"
            if other := there.get((*folders, second)):
                return file.stem, other.stem, found[1].upper()
    return None


def guess(file: ImageFile, *, universal: frozenset[str] = frozenset(), groups: frozenset[str] = frozenset()) -> Guess:
    """What the name says; the file's own name before its folders, the innermost folder before the outer ones.

    Args:
        file: one image file.
        universal: words (lower case) that every name of the cohort has; they tell nothing unless no other does.
        groups: words from `group_words`; they tell nothing where another word follows.
    """
    texts = [_plain(part) for part in reversed(file.components)]
    if groups:
        group = rf"(?:^|(?<=_))(?:(?!t\d)(?:{'|'.join(groups)})|t\d(?=_(?:.+_)?(?:{_SEQUENCE})(?:_|$)))_"
        texts = [re.sub(group, "", text) for text in texts]
        texts[1:] = ["" if text in groups else text for text in texts[1:]]
    telling = ["_".join(w for w in t.split("_") if w not in universal) for t in texts]
    for text in (*telling, *texts):
        if found := _guess_text(text):
            return found
    return Guess("image", IMAGE, rank=len(_MODALITIES), sure=False)


def modality_order(name: str) -> tuple[int, str]:
    """Sorts modalities as `_MODALITIES` lists them, T1 first, others after them by name."""
    order = ["T1", *(m for m, _ in _MODALITIES if m != "T1")]
    return (order.index(name) if name in order else len(order), name)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people do: `case 2` before `case 10`."""
    return tuple((0, int(w), "") if w.isdecimal() and len(w) < 100 else (1, 0, w.casefold()) for w in words(name))


def nnunet_channel(file: ImageFile) -> tuple[str, str] | None:
    """`(case, channel)` of a file such as `imagesTr/case_001_0000.nii.gz`, None for other names."""
    found = re.fullmatch(r"(.+)_(\d{4})", file.stem)
    folder = file.components[-2].casefold() if len(file.components) > 1 else ""
    return (found[1], found[2]) if found and folder in {"imagestr", "imagests"} else None


def _plain(text: str) -> str:
    return "_".join(w.casefold() for w in words(text))


def _guess_text(text: str) -> Guess | None:
    if (mask := _has(_MASKS, text)) is not None:
        return Guess("mask", "mask", said=_said(mask[1]))
    if (label := _has(_LABELS, text)) is not None:
        return Guess("label", label[1], rank=label[0], said=_said(label[1]))
    if (mask := _has(_BARE_MASK, text)) is not None:
        return Guess("mask", "mask", rank=1, sure=False, said=_said(mask[1]))
    first: tuple[int, int, str, str] | None = None
    for rank, (modality, pattern) in enumerate(_MODALITIES):
        found = _search(pattern, text)
        # A plain "image" or "anat" says less than a sequence named anywhere in the name.
        place = (found.start() if modality != IMAGE else len(text), rank, modality, found[1]) if found else None
        if place is not None and (first is None or place < first):
            first = place
    return Guess("image", first[2], rank=first[1], said=_said(first[3])) if first else None


def _names_images(folders: Sequence[str]) -> bool:
    found = [_guess_text(folder) for folder in folders]
    return any(one is not None for one in found) and all(one is None or one.kind == "image" for one in found)


def _said(text: str) -> frozenset[str]:
    return frozenset(text.split("_"))


def _has(patterns: tuple[str, ...], text: str) -> tuple[int, str] | None:
    for rank, pattern in enumerate(patterns):
        if found := _search(pattern, text):
            return rank, found[1]
    return None


def _search(pattern: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?:^|_)({pattern})(?=_|$)", text)
