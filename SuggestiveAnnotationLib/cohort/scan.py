"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from SuggestiveAnnotationLib.cohort.naming import ImageFile
from SuggestiveAnnotationLib.cohort.read import SUFFIXES
from SuggestiveAnnotationLib.errors import InputError

MAX_DEPTH = 8
"""Folders below the cohort that are looked into."""


def scan(root: Path) -> list[ImageFile]:
    """Every image file below `root`, sorted by path. Hidden files and folders are left out; a linked folder is entered once.

    Raises:
        InputError: no such folder, or no image in it.
    """
    if not root.exists():
        raise InputError(f"The folder {root} does not exist.", hint="Check the path.")
    if not root.is_dir():
        raise InputError(f"{root} is a file, not a folder.", hint="Give the folder that holds all cases.")
    found = sorted(_walk(root, root, MAX_DEPTH, {os.path.realpath(root)}), key=lambda f: f.relative)
    if not found:
        raise InputError(f"There are no images in {root}.", hint=f"Images end in {', '.join(SUFFIXES)}; convert DICOM series first.")
    return found


def _walk(root: Path, folder: Path, depth: int, seen: set[str]) -> Iterator[ImageFile]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        if folder == root:
            raise InputError(f"The folder {root} cannot be read: {error.strerror}.", hint="Check its permissions.") from None
        return
    for entry in entries:
        if entry.name.startswith((".", "~", "__MACOSX")) or entry.name == "lost+found":
            continue
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if depth > 0 and real not in seen:
                seen.add(real)
                yield from _walk(root, Path(entry.path), depth - 1, seen)
        elif entry.name.lower().endswith(SUFFIXES) and ImageFile("", entry.name).stem:
            yield ImageFile(os.path.abspath(entry.path), Path(entry.path).relative_to(root).as_posix())
