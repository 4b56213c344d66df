"""The image files below a folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from SuggestiveAnnotationLib.cohort.files.read import SUFFIXES
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile
from SuggestiveAnnotationLib.errors import InputError

MAX_DEPTH = 8
"""Folders below the cohort that are looked into."""
MAX_ENTRIES = 1_000_000
"""A folder with more files and folders than this is a disk, not a cohort."""


def scan(root: Path, *, notes: list[str] | None = None, without: Collection[str] = ()) -> list[ImageFile]:
    """Every image file below `root`, sorted by path. Hidden files and folders are left out; a linked folder is entered once.

    Names are composed (Unicode NFC) in `ImageFile.relative`, so that a name typed on another system is the same name.

    Args:
        root: the cohort.
        notes: gets sentences about what was left out: folders that cannot be read or lie too deep, names with control characters.
        without: folders directly below `root` that are not entered.

    Raises:
        InputError: no such folder, no image in it, or more than `MAX_ENTRIES` files and folders.
    """
    try:
        there, folder = root.exists(), root.is_dir()
    except (OSError, ValueError):
        there, folder = False, False
    if not there:
        raise InputError(f"The folder {root} does not exist.", hint="Check the path.")
    if not folder:
        raise InputError(f"{root} is a file, not a folder.", hint="Give the folder that holds all cases.")
    walk = _Walk(root, [] if notes is None else notes, without)
    found = sorted(walk.files(root, MAX_DEPTH), key=lambda f: (f.relative, f.path))
    if not found:
        raise InputError(f"There are no images in {root}.", hint=f"Images end in {', '.join(SUFFIXES)}, or are DICOM files.")
    return found


@dataclass
class _Walk:
    root: Path
    notes: list[str]
    without: Collection[str]
    entries: int = 0
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.seen.add(os.path.realpath(self.root))

    def files(self, folder: Path, depth: int) -> Iterator[ImageFile]:
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda e: e.name)
        except OSError as error:
            if folder == self.root:
                raise InputError(f"The folder {folder} cannot be read: {error.strerror}.", hint="Check its permissions.") from None
            self.notes.append(f"The folder {folder} cannot be read ({error.strerror}) and was left out.")
            return
        self.entries += len(entries)
        if self.entries > MAX_ENTRIES:
            hint = "Give the folder that holds the cases and little else."
            raise InputError(f"{self.root} holds more than {MAX_ENTRIES:,} files and folders.", hint=hint)
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if folder == self.root and entry.name in self.without and is_folder(entry):
                continue
            if not entry.name.isprintable():
                if entry.name.lower().endswith(SUFFIXES) or is_folder(entry):
                    self.notes.append(f"{entry.path!a} has characters in its name that cannot be shown, and was left out; rename it.")
            elif is_folder(entry):
                real = os.path.realpath(entry.path)
                if depth <= 0:
                    self.notes.append(f"The folder {entry.path} lies too deep in {self.root} and was left out.")
                elif real not in self.seen:
                    self.seen.add(real)
                    yield from self.files(Path(entry.path), depth - 1)
            elif entry.name.lower().endswith(SUFFIXES) and ImageFile("", entry.name).stem:
                relative = Path(entry.path).relative_to(self.root).as_posix()
                yield ImageFile(os.path.abspath(entry.path), unicodedata.normalize("NFC", relative))


def is_hidden(name: str) -> bool:
    """Whether people do not see a file or folder of this name as theirs: what begins with a dot, and what systems leave behind."""
    return name.startswith((".", "~", "__MACOSX")) or name == "lost+found"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or leads to one; a link in a circle does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False
