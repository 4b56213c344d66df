"""Bytes of a file as far as somebody asks for them: regular files only, and no more decompressed than was promised."""

from __future__ import annotations

import bz2
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, Literal

import numpy as np

from SuggestiveAnnotationLib.errors import InputError

COPY_HINT = "Copy or export the file again; the copy at hand is incomplete or damaged."
PADDING = 4096
"""Bytes of zeros that may follow the last voxel."""

Packing = Literal["", "gzip", "bzip2", "zlib"]
_CHUNK = 1 << 22
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_LOOKS_LIKE = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"NRRD", "an NRRD file"),
    (b"SQLite format 3", "a database"),
    (b"\x89HDF", "an HDF5 file"),
)


def regular_file(path: Path) -> os.stat_result:
    """Status of a file that can be read to its end: opening a pipe would wait for ever, and a device never ends.

    Raises:
        InputError: it is missing, a link to nothing or in a circle, a folder, a pipe, a socket, a device, or cannot be reached.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise InputError(f"{path} is a link to a file that is not there.", hint="Put the file back, or remove the link.") from None
        raise InputError(f"{path} does not exist.", hint="Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "Check the disk, the network drive and your permissions."
        raise InputError(f"{path} cannot be read: {reason}.", hint=hint) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder, not a file.", hint="Give a file.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is {_KINDS.get(stat.S_IFMT(status.st_mode), 'something else')}, not a file.", hint="Give a file.")
    return status


def incomplete(path: Path) -> InputError:
    """The error for a file that ends too early or does not decompress."""
    return InputError(f"{path} is truncated or damaged: not all of its voxels can be read.", hint=COPY_HINT)


def surplus(path: Path, size: tuple[int, ...]) -> InputError:
    """The error for a file with more voxels than its header says: the header is wrong, and the image would be sheared or cut."""
    shown = " x ".join(map(str, size))
    return InputError(f"{path} holds more voxels than the {shown} that its header promises: the header is wrong.", hint=COPY_HINT)


def not_the_format(path: Path, name: str, head: bytes) -> InputError:
    """The error for a file that is something else than its name says; tells what, where the first bytes do."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        what = "it is empty (0 bytes)"
    elif start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        what = "it is a web page, as a failed download leaves it"
    else:
        found = next((text for magic, text in _LOOKS_LIKE if head.startswith(magic)), "")
        found = found or ("a DICOM file" if head[128:132] == b"DICM" else "")
        what = f"it is {found}" if found else ""
    sentence = f"{path} is not {name} file, although its name says so" + (f": {what}." if what else ".")
    return InputError(sentence, hint="Download or export the file again.")


def beside(path: Path, name: str) -> Path:
    """The file in which a header keeps its voxels.

    Raises:
        InputError: it is not named by a path inside the header's own folder, it is not there, or not a regular file.
    """
    if not in_its_folder(name):
        raise InputError(
            f"{path} keeps its voxels in {name!r}, which is outside its folder.", hint="Put both files into one folder, and name it so."
        )
    data = path.parent / name
    if not data.exists():
        raise InputError(f"{path} keeps its voxels in {data}, which is not there.", hint="Copy both files into the same folder.")
    try:
        regular_file(data)
    except InputError as error:
        raise InputError(f"{path} keeps its voxels in another file: {error.sentence}", hint=error.hint) from None
    return data


def in_its_folder(name: str) -> bool:
    """Whether what a header calls the file of its voxels is a path inside the header's own folder."""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root or ".." in parts
    return bool(name) and not outside and "\0" not in name


def first_bytes(path: Path, number: int, *, zipped: bool) -> bytes:
    """The first bytes of a file, decompressed. Raises: InputError, when it does not decompress."""
    try:
        with path.open("rb") as file:
            return gzip.GzipFile(fileobj=file).read(number) if zipped else file.read(number)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise incomplete(path) from None


def gzip_trailer_size(path: Path) -> int:
    """What the end of a gzip file says about its decompressed size, modulo 2^32; of several members, the last."""
    if path.stat().st_size < 18:
        return -1
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little")


def walk(path: Path, *, begin: int, skip: int, wanted: int, packing: Packing, kind: np.dtype[Any] | None = None) -> tuple[bool, int]:
    """Decompress what a header promises and no more, so that a small file that never ends costs nothing.

    Args:
        path: of the data. begin: first byte of them in the file. skip: bytes before the voxels, after decompression. wanted: of voxels.
        packing: how they are compressed. kind: floating-point type of the voxels, to count those that are not finite.

    Returns:
        Whether more follows than padding, and the number of voxels of `kind` that are not finite.

    Raises:
        InputError: the data end early, or are damaged.
    """
    bad = 0
    try:
        with _opened(path, begin, packing) as file:
            for block in _blocks(file, skip):
                skip -= len(block)
            left = wanted
            for block in _blocks(file, wanted):
                left -= len(block)
                if kind is not None:
                    voxels = np.frombuffer(block, kind, len(block) // kind.itemsize)
                    bad += len(voxels) - int(np.isfinite(voxels).sum())
            if skip or left:
                raise incomplete(path)
            return _is_surplus(file.read(PADDING + 1)), bad
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise incomplete(path) from None


def has_surplus(path: Path, end: int) -> bool:
    """Whether more than padding follows the last voxel, which ends before byte `end` of an uncompressed file."""
    with path.open("rb") as file:
        file.seek(end)
        return _is_surplus(file.read(PADDING + 1))


def _is_surplus(rest: bytes) -> bool:
    return len(rest) > PADDING or any(rest)


def _blocks(file: IO[bytes], number: int) -> Iterator[bytes]:
    while number > 0 and (block := file.read(min(_CHUNK, number))):
        number -= len(block)
        yield block


@contextmanager
def _opened(path: Path, begin: int, packing: Packing) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        raw.seek(begin)
        if packing == "gzip":
            yield gzip.GzipFile(fileobj=raw)  # type: ignore[misc]
        elif packing == "bzip2":
            yield bz2.BZ2File(raw)
        elif packing == "zlib":
            yield _Zlib(raw)  # type: ignore[misc]
        else:
            yield raw


class _Zlib:
    """A zlib or gzip stream inside a file, read as far as asked for."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._stream = raw, zlib.decompressobj(wbits=47)

    def read(self, number: int) -> bytes:
        """At most `number` bytes; fewer at the end only. Raises: EOFError, when the stream is cut off."""
        pieces = bytearray()
        while len(pieces) < number and not self._stream.eof:
            block = self._stream.unconsumed_tail or self._raw.read(_CHUNK)
            piece = self._stream.decompress(block, number - len(pieces))
            if not block and not piece:
                raise EOFError
            pieces += piece
        return bytes(pieces)
