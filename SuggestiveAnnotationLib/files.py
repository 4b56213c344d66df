"""Files that are whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import ExistsError, StorageError

_LONGEST = 150
"""Bytes of a case's name in a file name, which may have 255 in all."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix; on success it is synced and takes the place of `path`.

    A crash or an error leaves what was at `path` before.

    Raises:
        StorageError: the folder is read-only or the disk is full.
    """
    path = Path(path)
    name = path.name
    stem, dot, suffix = name.partition(".")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{stem}-", suffix=dot + suffix, dir=path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    os.close(handle)
    scratch = Path(temporary)
    try:
        yield scratch
        with open(scratch, "rb+") as file:
            os.fsync(file.fileno())
        scratch.chmod(0o666 & ~_umask())
        os.replace(scratch, path)
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        scratch.unlink(missing_ok=True)


def file_stem(name: str) -> str:
    """The name of a case as part of a file name. One with characters that files must not have, or too many, gets a hash, so that two never
    meet.
    """
    plain = re.sub(r"[^\w.-]", "-", name)
    if plain == name and not plain.startswith((".", "-")) and len(name.encode()) <= _LONGEST:
        return name
    while len(plain.encode()) > _LONGEST:
        plain = plain[:-1]
    return f"case{plain if plain[:1] in '.-' else '-' + plain}-{_hash(name)}"


def quoted_stem(name: str) -> str:
    """The name of a case as a file name inside a study: percent-encoded; one that would be hidden or too long gets a hash instead."""
    plain = quote(name, safe=" ", errors="surrogatepass")
    return plain if len(plain) <= _LONGEST and not plain.startswith(".") else f"%{_hash(name)}{_hash(name[::-1])}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits. Raises: OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_present(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raises: ExistsError, when one of the files is there and may not be replaced. All of one folder."""
    present = [path for path in paths if path.exists()]
    if present and not overwrite:
        more = f" and {len(present) - 3} more" if len(present) > 3 else ""
        what = f"{present[0].parent} already has {' and '.join(path.name for path in present[:3])}{more}."
        raise ExistsError(what, hint="Choose another folder or allow overwriting.")


def stamp(path: Path | str) -> tuple[int, int] | None:
    """Size and time of change of a file, by which it is known to be the same; None when it cannot be reached."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def write_text(path: Path, text: str) -> None:
    """Write a text file whole (see `whole_file`)."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a `.npy` file as `numpy.save` does, which loses the error when the disk is full at the last block of a file."""
    plain = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(plain))
        file.write(plain.reshape(-1).view(np.uint8).data)


def storage_error(error: OSError, path: Path) -> StorageError:
    """The sentence a person reads when writing `path` failed."""
    # numpy reports a short write without a number.
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None):
        full = "The disk is full" if error.errno != errno.EFBIG else "The disk is full, or files may not grow this large"
        return StorageError(f"{full}: {path} could not be written.", hint="Free some space and run the same again; nothing is lost.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        sentence = f"{path.parent} is read-only: {path.name} could not be written."
        return StorageError(sentence, hint="Choose a folder you may write to.")
    return StorageError(f"{path} could not be written: {error.strerror or error}.", hint="Check the disk and try again.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where folders can be synced (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
