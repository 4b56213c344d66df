"""The header of a MetaImage file (MetaIO's documentation, "MetaImage")."""

from __future__ import annotations

import math
from pathlib import Path

from SuggestiveAnnotationLib.cohort.files.bytes_in import (
    COPY_HINT,
    beside,
    first_bytes,
    has_surplus,
    incomplete,
    not_the_format,
    surplus,
    walk,
)
from SuggestiveAnnotationLib.cohort.files.rawheader import RawHeader, check_size, check_spacing, numbers, whole_numbers
from SuggestiveAnnotationLib.errors import InputError

_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4, "FLOAT": 4, "DOUBLE": 8}
_BYTES |= {"LONG_LONG": 8, "ULONG_LONG": 8}
_PER_AXIS = ("elementspacing", "elementsize", "offset", "position", "origin", "centerofrotation")
_PER_AXIS_PAIR = ("transformmatrix", "rotation", "orientation")
_MAX_LINE = 4000
"""MetaIO keeps a line in a buffer of fixed size."""
_MAX_LINES = 1000


def meta_header(path: Path, *, thorough: bool) -> RawHeader:
    """See `rawheader.inspect`."""
    fields, start = _fields(path)
    try:
        ndims = whole_numbers(fields["ndims"], most=1)[0]
        dims = whole_numbers(fields["dimsize"])
        data_file, kind = fields["elementdatafile"], fields["elementtype"]
        channels = whole_numbers(fields.get("elementnumberofchannels", "1"), most=1)[0]
        skip = int(fields.get("headersize", "0"))
        packed = whole_numbers(fields.get("compresseddatasize", "0"), most=1)[0]
    except (KeyError, ValueError, IndexError):
        raise not_the_format(path, "a MetaImage", first_bytes(path, 132, zipped=False)) from None
    element = kind.removeprefix("MET_").removesuffix("_ARRAY")
    if element not in _BYTES:
        raise InputError(f"{path} has voxels of a type ({kind[:40]}) that cannot be read.", hint="Export it as float or short.")
    if len(dims) != ndims or not 1 <= ndims <= 10 or not 1 <= channels <= 1000 or any(d < 1 for d in dims):
        raise _damaged(path, f"its size is {fields['dimsize'][:80]!r} in {ndims} dimensions, with {channels} values per voxel")
    spacing = _numbers_of_axes(path, fields, ndims)
    check_spacing(path, spacing)
    if fields.get("binarydata", "true").lower() not in ("true", "1"):
        raise InputError(f"{path} keeps its voxels as text.", hint="Export it as a binary file.")
    if data_file.upper().startswith("LIST") or "%" in data_file:
        raise InputError(f"{path} keeps its voxels in several files.", hint="Open it in 3D Slicer and save it as one file.")
    compressed = fields.get("compresseddata", "false").lower() in ("true", "1")
    wanted = check_size(path, (*dims, channels), _BYTES[element])
    data = path if data_file.upper() == "LOCAL" else beside(path, data_file)
    if data != path and data.samefile(path):
        raise _damaged(path, "it keeps its voxels in itself")
    there = data.stat().st_size
    if skip < -1 or (skip == -1 and compressed):
        raise _damaged(path, f"HeaderSize is {skip}")
    # -1: the voxels are the end of the file.
    begin = start if data == path else (skip if skip >= 0 else there - wanted)
    if begin < 0 or there - begin < (packed or 1 if compressed else wanted):
        raise incomplete(path)
    if compressed and thorough:
        more, _ = walk(data, begin=begin, skip=0, wanted=wanted, packing="zlib")
        if more:
            raise surplus(path, dims)
    elif not compressed and has_surplus(data, begin + wanted):
        raise surplus(path, dims)
    lacking = "" if fields.keys() & {*_PER_AXIS_PAIR} else "no TransformMatrix"
    return RawHeader(spacing, voxels=math.prod(dims) if channels == 1 else None, lacking=lacking)


def meta_voxels(path: Path) -> str:
    """What the header calls the file of its voxels; empty where it holds them itself. Raises: InputError, as `meta_header`; OSError."""
    name = _fields(path)[0].get("elementdatafile", "")
    return "" if name.upper() == "LOCAL" else name


def _numbers_of_axes(path: Path, fields: dict[str, str], ndims: int) -> tuple[float, ...]:
    """Spacing as written. Raises: InputError, for a field that has not as many numbers as there are axes."""
    for names, wanted in ((_PER_AXIS, ndims), (_PER_AXIS_PAIR, ndims * ndims)):
        for name in names:
            try:
                complete = name not in fields or len(numbers(fields[name], most=200)) == wanted
            except ValueError:
                complete = False
            if not complete:
                raise _damaged(path, f"{name} is {fields[name][:80]!r}")
    return tuple(numbers(fields.get("elementspacing", fields.get("elementsize", "")))[:3])


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Header fields by lower-case name and the byte after the header.

    Raises:
        InputError: a line that is too long, too many of them, or a field that is there twice.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b"")):
            name, found, value = line.decode("latin-1").partition("=")
            key = name.strip().lower()
            if not found or not line.endswith(b"\n"):
                break
            if number > _MAX_LINES or b"\0" in line or len(name) > 100:
                raise _damaged(path, f"line {number + 1} is none of a header")
            if key in fields and key in ("ndims", "dimsize", "elementtype", "elementdatafile", "elementnumberofchannels"):
                raise _damaged(path, f"it says {name.strip()} twice")
            fields[key] = value.strip()
            if key == "elementdatafile":
                break
        return fields, file.tell()


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged MetaImage header: {what}.", hint=COPY_HINT)
