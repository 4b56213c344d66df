"""What a file's name says: which sequence it is, a label or a mask, and which words it is made of."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
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
        name = PurePosixPath(self.relative).name
        return next(name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s))

    @property
    def components(self) -> tuple[str, ...]:
        """Folders inside the cohort, outermost first, then the stem."""
        return (*PurePosixPath(self.relative).parts[:-1], self.stem)


@dataclass(frozen=True)
class Guess:
    """What a name says.

    Attributes:
        kind: image, label or mask.
        name: modality of an image; the telling word of a label or mask.
        rank: lower is more telling, among candidates for the same place.
        sure: False for an image that is one only because nothing else fits, and for a bare `mask`.
    """

    kind: Kind
    name: str
    rank: int = 0
    sure: bool = True


def words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits."""
    return tuple(re.findall(r"[^\W_]+", text))


def matches(pattern: str, file: ImageFile) -> bool:
    """Whether the glob fits the path inside the cohort or the file's name, whatever the case. `tissue` also means all below that folder."""
    relative, wanted = file.relative.casefold(), unicodedata.normalize("NFC", pattern).casefold().replace("\\", "/").removeprefix("./")
    name = relative.rpartition("/")[2]
    whole = wanted.rstrip("/")
    return fnmatchcase(relative, wanted) or fnmatchcase(name, wanted) or ("*" not in whole and relative.startswith(whole + "/"))


def guess(file: ImageFile, *, universal: frozenset[str] = frozenset()) -> Guess:
    """What the name says; the file's own name before its folders, the innermost folder before the outer ones.

    Args:
        file: one image file.
        universal: words (lower case) that every name of the cohort has; they tell nothing unless no other does.
    """
    texts = ["_".join(w.casefold() for w in words(part)) for part in reversed(file.components)]
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


def _guess_text(text: str) -> Guess | None:
    if _has(_MASKS, text) is not None:
        return Guess("mask", "mask")
    if (label := _has(_LABELS, text)) is not None:
        return Guess("label", label[1], rank=label[0])
    if _has(_BARE_MASK, text) is not None:
        return Guess("mask", "mask", rank=1, sure=False)
    first: tuple[int, int, str] | None = None
    for rank, (modality, pattern) in enumerate(_MODALITIES):
        found = _search(pattern, text)
        # A plain "image" or "anat" says less than a sequence named anywhere in the name.
        place = (found.start() if modality != IMAGE else len(text), rank, modality) if found else None
        if place is not None and (first is None or place < first):
            first = place
    return Guess("image", first[2], rank=first[1]) if first else None


def _has(patterns: tuple[str, ...], text: str) -> tuple[int, str] | None:
    for rank, pattern in enumerate(patterns):
        if found := _search(pattern, text):
            return rank, found[1]
    return None


def _search(pattern: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?:^|_)({pattern})(?=_|$)", text)
