"""The header of a NIfTI-1 or NIfTI-2 file (nifti1.h and nifti2.h of the NIfTI Data Format Working Group)."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.bytes_in import (
    COPY_HINT,
    first_bytes,
    gzip_trailer_size,
    has_surplus,
    incomplete,
    not_the_format,
    surplus,
    walk,
)
from SuggestiveAnnotationLib.cohort.files.rawheader import RawHeader, check_size, check_spacing
from SuggestiveAnnotationLib.errors import InputError

_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64, 1792: 128, 2304: 32}
_FLOATS = {16: "f4", 64: "f8"}
_COMPOSED = {32, 128, 1792, 2304}
"""Complex and colour voxels: several values each."""
_MAX_OFFSET = 2**28
"""Voxels begin here at the latest; before them lie the header and its extensions."""


def nifti_header(path: Path, *, thorough: bool) -> RawHeader:
    """See `rawheader.inspect`."""
    zipped = path.name.lower().endswith(".gz")
    start = first_bytes(path, 132, zipped=False)
    if zipped and start[:2] != b"\x1f\x8b":
        if start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"):
            raise InputError(f"{path} is not compressed, although its name says so.", hint=f"Rename it to {path.name[:-3]}.")
        raise not_the_format(path, "a NIfTI", start)
    head = first_bytes(path, 540, zipped=zipped)
    order, size = _byte_order(path, head)
    field = _fields(head, order, size)
    dims, code, offset = field["dims"], field["code"], field["offset"]
    if not 1 <= dims[0] <= 7 or any(d < 1 for d in dims[1 : dims[0] + 1]):
        raise _damaged(path, f"its dimensions are {dims}")
    if code not in _BITS:
        raise InputError(f"{path} has voxels of a type (NIfTI code {code}) that cannot be read.", hint="Export it as float or int16.")
    if field["bits"] != _BITS[code]:
        raise _damaged(path, f"its voxels have {field['bits']} bits, those of their type (code {code}) have {_BITS[code]}")
    if not math.isfinite(offset) or not 0 <= offset <= _MAX_OFFSET:
        raise _damaged(path, f"its voxels begin at byte {offset:g}")
    shape = tuple(int(d) for d in dims[1 : dims[0] + 1])
    wanted = check_size(path, shape, _BITS[code] // 8)
    begin = max(int(offset), size)
    not_finite = _check_voxels(path, zipped, begin, wanted, shape, code, order, thorough)
    check_spacing(path, [float(p) for p in field["pixdim"][1 : min(dims[0], 3) + 1]])
    frames = _frames(field)
    for name, frame in frames.items():
        # ITK takes such a matrix apart all the same, and complains on the terminal.
        if not np.isfinite(frame[:, :3]).all():
            raise _damaged(path, f"the directions of its {name} are no numbers")
    spacing = tuple(float(p) for p in field["pixdim"][1 : min(dims[0], 3) + 1])
    shear = _shear(field["sform"]) if field["sform_code"] > 0 else 0.0
    voxels = None if code in _COMPOSED else math.prod(shape)
    scale = field["scale"][0] if math.isfinite(field["scale"][0]) and field["scale"][0] else 1.0
    lacking = "" if frames else "neither qform nor sform"
    return RawHeader(spacing, shear, not_finite, voxels, frames, lacking, 1 if size == 348 else 2, scale)


def _check_voxels(path: Path, zipped: bool, begin: int, wanted: int, shape: tuple[int, ...], code: int, order: str, thorough: bool) -> int:
    """How many voxels are not finite, where that was counted. Raises: InputError, when there are more or less than promised."""
    kind = np.dtype(order + _FLOATS[code]) if code in _FLOATS else None
    if not zipped:
        if path.stat().st_size < begin + wanted:
            raise incomplete(path)
        if has_surplus(path, begin + wanted):
            raise surplus(path, shape)
    # The size in the trailer covers the last member of a gzip file only, so a mismatch is no proof by itself.
    if thorough or (zipped and gzip_trailer_size(path) != (begin + wanted) % 2**32):
        more, not_finite = walk(path, begin=0, skip=begin, wanted=wanted, packing="gzip" if zipped else "", kind=kind)
        if more:
            raise surplus(path, shape)
        return not_finite
    return 0


def _byte_order(path: Path, head: bytes) -> tuple[str, int]:
    for order in "<>":
        size = struct.unpack_from(order + "i", head)[0] if len(head) >= 4 else 0
        if size in (348, 540) and len(head) >= size:
            break
    else:
        raise not_the_format(path, "a NIfTI", head)
    magic = head[344:348] if size == 348 else head[4:12]
    if magic in (b"ni1\0", b"ni2\0\r\n\x1a\n"):
        raise InputError(f"{path} keeps its voxels in another file (.hdr and .img).", hint="Convert the pair to one .nii.gz file.")
    if magic not in (b"n+1\0", b"n+2\0\r\n\x1a\n"):
        raise _damaged(path, f"it is marked as {magic!r}")
    return order, size


def _fields(head: bytes, order: str, size: int) -> dict[str, Any]:
    def read(code: str, place: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + code, head, place)

    if size == 348:
        places = {"dims": ("8h", 40), "types": ("2h", 70), "pixdim": ("8f", 76), "offset": ("f", 108), "codes": ("2h", 252)}
        frames = {"quaternion": ("3f", 256), "shift": ("3f", 268), "sform": ("12f", 280), "scale": ("f", 112)}
    else:
        places = {"dims": ("8q", 16), "types": ("2h", 12), "pixdim": ("8d", 104), "offset": ("q", 168), "codes": ("2i", 344)}
        frames = {"quaternion": ("3d", 352), "shift": ("3d", 376), "sform": ("12d", 400), "scale": ("d", 176)}
    found: dict[str, Any] = {name: read(*place) for name, place in {**places, **frames}.items()}
    found["code"], found["bits"] = found["types"]
    found["qform_code"], found["sform_code"] = found["codes"]
    found["offset"] = float(found["offset"][0])
    return found


def _frames(field: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    frames = {}
    if field["qform_code"] > 0:
        frames["qform"] = _quaternion_frame(field)
    if field["sform_code"] > 0:
        frames["sform"] = np.vstack([np.reshape(field["sform"], (3, 4)), (0, 0, 0, 1)]).astype(np.float64)
    return frames


def _quaternion_frame(field: dict[str, Any]) -> NDArray[np.float64]:
    """Method 2 of nifti1.h: a rotation as a unit quaternion, the sign of the third axis in pixdim[0]."""
    b, c, d = (float(v) for v in field["quaternion"])
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:
        length = math.sqrt(b * b + c * c + d * d) or math.nan
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    zooms = np.array([float(p) for p in field["pixdim"][1:4]])
    zooms[2] *= -1.0 if field["pixdim"][0] < 0 else 1.0
    frame = np.eye(4)
    with np.errstate(all="ignore"):
        frame[:3, :3] = rotation * zooms
    frame[:3, 3] = field["shift"]
    return frame


def _shear(rows: tuple[float, ...]) -> float:
    matrix = np.reshape(rows, (3, 4))[:, :3].astype(np.float64)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(matrix, axis=0)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            return math.inf
        unit = matrix / lengths
        return float(np.abs(unit.T @ unit - np.eye(3)).max())


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged NIfTI header: {what}.", hint=COPY_HINT)
