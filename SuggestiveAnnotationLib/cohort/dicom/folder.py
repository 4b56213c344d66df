"""DICOM files below a folder, told by their content: names and suffixes say nothing (PS3.10 section 7.1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES
from SuggestiveAnnotationLib.cohort.files.scan import is_folder, is_hidden
from SuggestiveAnnotationLib.progress import CancelToken

MAX_DEPTH = 16
"""Folders below the given one that are looked into; archives nest deeper than cohorts."""

DIRECTORY = "DICOMDIR"
"""Name of the file that lists what is on a medium (PS3.10 section 8.6)."""

_OTHER = (*SUFFIXES, ".json", ".csv", ".tsv", ".txt", ".md", ".xml", ".html", ".pdf", ".png", ".jpg", ".jpeg", ".gz", ".zip", ".py")
_LOOKED_AT = 1000


def walk(root: Path, cancel: CancelToken | None = None) -> Iterator[str]:
    """Absolute paths of every regular file below `root`, by name. Hidden files and folders are left out; a linked folder is entered once.

    A folder that cannot be read, `root` itself excepted, and a link in a circle are left out.

    Raises:
        OSError: `root` cannot be read.
        Cancelled: between two folders.
    """
    top = os.path.abspath(root)
    yield from _walk(top, MAX_DEPTH, {os.path.realpath(top)}, cancel)


def is_dicom_folder(folder: Path) -> bool:
    """Whether there are DICOM files below `folder`, by a DICOMDIR or the first bytes of at most 1000 files. Reads no header."""
    if (folder / DIRECTORY).is_file():
        return True
    looked_at = 0
    try:
        for path in walk(folder):
            if path.lower().endswith(_OTHER):
                continue
            if begins_as_dicom(path) == "magic":
                return True
            looked_at += 1
            if looked_at >= _LOOKED_AT:
                return False
    except OSError:
        return False
    return False


def begins_as_dicom(path: str) -> Literal["magic", "bare"] | None:
    """`"magic"` for a file of PS3.10, `"bare"` for one that may be a data set without its preamble, None for others and unreadable ones."""
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return None
    if start[128:132] == b"DICM":
        return "magic"
    # Old files begin with the first element of group 0002 or 0008, little endian: a group length, or a UID or text with its VR.
    if len(start) == 132 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0 and _plausible(start):
        return "bare"
    return None


def _plausible(start: bytes) -> bool:
    explicit = start[4:6] in (b"UL", b"UI", b"CS", b"DA", b"TM", b"LO", b"SH", b"OB")
    return explicit or int.from_bytes(start[4:8], "little") <= 64


def _walk(folder: str, depth: int, seen: set[str], cancel: CancelToken | None) -> Iterator[str]:
    if cancel is not None:
        cancel.raise_if_cancelled()
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        if depth == MAX_DEPTH:
            raise
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if is_folder(entry):
            real = os.path.realpath(entry.path)
            if depth > 0 and real not in seen:
                seen.add(real)
                yield from _walk(entry.path, depth - 1, seen, cancel)
        elif os.path.isfile(entry.path):
            yield entry.path
