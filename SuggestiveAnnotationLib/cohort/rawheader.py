"""What the header of an image file says by itself, and whether the file holds all the voxels it promises.

SimpleITK fills the missing end of a truncated NIfTI file with zeros, turns its NaN and infinite voxels into zeros, replaces a spacing
of zero, and lets MetaIO print on the terminal; all of these are found here first. NRRD files are left to SimpleITK, which refuses
damaged ones by itself.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.errors import InputError

SHEAR_TOLERANCE = 0.01
"""Largest cosine between two voxel axes that still counts as orthonormal (0.6 degrees)."""

_CHUNK = 1 << 22
_META_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4, "FLOAT": 4, "DOUBLE": 8}
_NIFTI_FLOATS = {16: "f4", 64: "f8"}
_META_BYTES |= {"LONG_LONG": 8, "ULONG_LONG": 8}
_COPY_HINT = "Copy or export the file again; the copy at hand is incomplete or damaged."


@dataclass(frozen=True)
class RawHeader:
    """What the file itself says.

    Attributes:
        spacing: millimetres along i, j, k as written, of the axes that the file has; empty when it says nothing.
        shear: largest absolute cosine between two voxel axes of a NIfTI sform, 0 where there is none.
        not_finite: NaN and infinite voxels of a NIfTI file; counted only when it was inspected thoroughly.
    """

    spacing: tuple[float, ...] = ()
    shear: float = 0.0
    not_finite: int = 0


def inspect(path: Path, *, thorough: bool) -> RawHeader:
    """The raw header of a NIfTI or MetaImage file; checks that the file is complete.

    Args:
        path: of a file that exists.
        thorough: also decompress everything and compare checksums; otherwise sizes only.

    Raises:
        InputError: the header is no header, or voxels are missing or damaged.
    """
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti(path, thorough=thorough)
    if name.endswith((".mha", ".mhd")):
        return _meta(path, thorough=thorough)
    return RawHeader()


def incomplete(path: Path) -> InputError:
    """The error for a file that ends too early or does not decompress."""
    return InputError(f"{path} is truncated or damaged: not all of its voxels can be read.", hint=_COPY_HINT)


def _nifti(path: Path, *, thorough: bool) -> RawHeader:
    zipped = path.name.lower().endswith(".gz")
    try:
        with path.open("rb") as file:
            head = gzip.GzipFile(fileobj=file).read(540) if zipped else file.read(540)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise incomplete(path) from None
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", head) if len(head) >= 4 else (0,)
        if size in (348, 540) and len(head) >= size:
            break
    else:
        raise InputError(f"{path} is not a NIfTI file, although its name says so.", hint=_COPY_HINT)
    if size == 348:
        dims, (code, bits) = struct.unpack_from(order + "8h", head, 40), struct.unpack_from(order + "2h", head, 70)
        pixdim, offset = struct.unpack_from(order + "8f", head, 76), struct.unpack_from(order + "f", head, 108)[0]
        sform_code, sform = struct.unpack_from(order + "h", head, 254)[0], struct.unpack_from(order + "12f", head, 280)
    else:
        dims, (code, bits) = struct.unpack_from(order + "8q", head, 16), struct.unpack_from(order + "2h", head, 12)
        pixdim, offset = struct.unpack_from(order + "8d", head, 104), struct.unpack_from(order + "q", head, 168)[0]
        sform_code, sform = struct.unpack_from(order + "i", head, 348)[0], struct.unpack_from(order + "12d", head, 400)
    if not 1 <= dims[0] <= 7 or any(d < 1 for d in dims[1 : dims[0] + 1]) or not math.isfinite(offset):
        raise InputError(f"{path} has a damaged NIfTI header: its dimensions are {dims}.", hint=_COPY_HINT)
    expected = int(offset) + math.prod(dims[1 : dims[0] + 1]) * bits // 8
    not_finite = 0
    if not zipped and path.stat().st_size < expected:
        raise incomplete(path)
    # The size in the trailer covers the last member of a gzip file only, so a mismatch is no proof by itself.
    if thorough or (zipped and _gzip_trailer_size(path) != expected % 2**32):
        size, not_finite = _walk_nifti(path, zipped, int(offset), np.dtype(order + _NIFTI_FLOATS[code]) if code in _NIFTI_FLOATS else None)
        if size < expected:
            raise incomplete(path)
    spacing = tuple(float(p) for p in pixdim[1 : min(dims[0], 3) + 1])
    return RawHeader(spacing, _shear(sform) if sform_code > 0 else 0.0, not_finite)


def _shear(rows: tuple[float, ...]) -> float:
    matrix = np.reshape(rows, (3, 4))[:, :3]
    lengths = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        return math.inf
    unit = matrix / lengths
    return float(np.abs(unit.T @ unit - np.eye(3)).max())


def _gzip_trailer_size(path: Path) -> int:
    if path.stat().st_size < 18:
        return -1
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(4), "little")


def _walk_nifti(path: Path, zipped: bool, offset: int, kind: np.dtype[Any] | None) -> tuple[int, int]:
    """Bytes in the (decompressed) file, -1 when it is damaged, and how many voxels of the floating-point type `kind` are not finite."""
    total, bad = offset, 0
    try:
        with path.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if zipped else raw
            if len(file.read(offset)) < offset:
                return -1, 0
            while block := file.read(_CHUNK):
                total += len(block)
                if kind is not None:
                    voxels = np.frombuffer(block, kind, len(block) // kind.itemsize)
                    bad += len(voxels) - int(np.isfinite(voxels).sum())
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return -1, 0
    return total, bad


def _meta(path: Path, *, thorough: bool) -> RawHeader:
    fields, start = _meta_fields(path)
    try:
        dims = [int(d) for d in fields["dimsize"].split()]
        spacing = tuple(float(s) for s in fields.get("elementspacing", fields.get("elementsize", "")).split())[:3]
        data_file = fields["elementdatafile"]
        kind = fields["elementtype"].removeprefix("MET_").removesuffix("_ARRAY")
        channels = int(fields.get("elementnumberofchannels", "1"))
        skip, packed = int(fields.get("headersize", "0")), int(fields.get("compresseddatasize", "0"))
    except (KeyError, ValueError):
        raise InputError(f"{path} is not a MetaImage file, although its name says so, or its header is damaged.", hint=_COPY_HINT) from None
    if data_file.upper().startswith("LIST") or "%" in data_file or kind not in _META_BYTES:
        return RawHeader(spacing)
    data = path if data_file.upper() == "LOCAL" else path.parent / data_file
    if not data.is_file():
        raise InputError(f"{path} keeps its voxels in {data}, which is not there.", hint="Copy both files into the same folder.")
    begin = start if data == path else max(0, skip)
    expected = math.prod(dims) * channels * _META_BYTES[kind]
    compressed = fields.get("compresseddata", "false").lower() == "true"
    if data.stat().st_size - begin < (packed if compressed else expected):
        raise incomplete(path)
    if compressed and thorough and _zlib_size(data, begin) < expected:
        raise incomplete(path)
    return RawHeader(spacing)


def _meta_fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name and the byte after the header."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(4096), b""):
            name, found, value = line.decode("latin-1").partition("=")
            if not found or not line.endswith(b"\n"):
                break
            fields[name.strip().lower()] = value.strip()
            if name.strip().lower() == "elementdatafile":
                break
        return fields, file.tell()


def _zlib_size(path: Path, begin: int) -> int:
    """Bytes that the zlib or gzip stream at `begin` decompresses to; -1 when it is damaged."""
    stream, total = zlib.decompressobj(wbits=47), 0
    try:
        with path.open("rb") as file:
            file.seek(begin)
            while not stream.eof and (block := file.read(_CHUNK)):
                total += len(stream.decompress(block))
    except zlib.error:
        return -1
    return total if stream.eof else -1
