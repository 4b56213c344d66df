"""Arrays in a `.npz` file that somebody else may have made: no pickles, nothing compressed, no more memory than the file has bytes."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAX_HEADER = 10_000
_DAMAGED = (SyntaxError, RecursionError, OverflowError, TypeError, KeyError, MemoryError, EOFError, tokenize.TokenError)
"""What numpy raises over the text of a damaged header, besides ValueError."""


def open_npy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file, mapped into memory and not read.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, holds objects, or claims more than it holds.
    """
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r", max_header_size=_MAX_HEADER)
    except _DAMAGED as error:
        raise ValueError("its header is damaged") from error
    return array


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of a `.npz` file as `numpy.savez` writes it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, compressed, holds objects, or claims more than it holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise ValueError(f"{member.filename} is compressed")
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = _read_npy(file, member.file_size)
            return found
    except (*_DAMAGED, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, struct.error) as error:
        raise ValueError(str(error) or "it ends early") from error


def _read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    elif version == (2, 0):
        shape, fortran, kind = np.lib.format.read_array_header_2_0(file, max_header_size=_MAX_HEADER)
    else:
        raise ValueError("an array of an unknown version")
    if kind.hasobject or kind.names is not None or any(n < 0 for n in shape):
        raise ValueError(f"an array of {kind}")
    wanted = math.prod(shape) * kind.itemsize
    if wanted > size:
        raise ValueError("an array that ends early")
    data = file.read(wanted)
    if len(data) != wanted or file.read(1):
        raise ValueError("an array that is shorter or longer than it says")
    array = np.frombuffer(data, kind) if kind.itemsize else np.zeros(shape, kind)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
