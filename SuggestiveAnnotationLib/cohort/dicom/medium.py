"""What a DICOMDIR lists (PS3.3 annex F)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.dicom.headers import MALFORMED, calm_pydicom
from SuggestiveAnnotationLib.errors import InputError


def listed_files(directory: Path) -> list[str]:
    """Absolute paths of the files that a DICOMDIR lists, whether they are there or not; none outside its folder.

    A copy of a medium has its names in capitals or not, as the system that copied it liked.

    Raises:
        InputError: it is no DICOMDIR, or damaged.
    """
    with calm_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(directory)
            records = list(dataset.DirectoryRecordSequence)
        except (*MALFORMED, pydicom.errors.InvalidDicomError):
            raise InputError(f"{directory} is no readable DICOMDIR.", hint="Give the folder itself instead.") from None
        listed = [_parts(record) for record in records]
    root = directory.absolute().parent
    return [str(_found(root, parts)) for parts in dict.fromkeys(filter(None, listed))]


def _parts(record: Any) -> tuple[str, ...]:
    """The path of a record's file inside the medium; empty for a record without one, and for one that leads elsewhere."""
    try:
        value = record.get("ReferencedFileID")
    except MALFORMED:
        return ()
    parts = tuple(part for text in ([value] if isinstance(value, str) else value or ()) for part in str(text).split("\\"))
    harmless = all(part.strip() and part not in (".", "..") and not set(part) & set("/:\0") for part in parts)
    return parts if harmless else ()


def _found(root: Path, parts: tuple[str, ...]) -> Path:
    plain = root.joinpath(*parts)
    return next((path for path in _spellings(root, parts) if path.is_file()), plain)


def _spellings(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    yield root.joinpath(*parts)
    yield root.joinpath(*(part.lower() for part in parts))
    yield root.joinpath(*(part.upper() for part in parts))
