"""The header of an NRRD file (teem's "Definition of NRRD File Format")."""

from __future__ import annotations

import math
import re
from pathlib import Path

from SuggestiveAnnotationLib.cohort.files.bytes_in import (
    COPY_HINT,
    Packing,
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

_TYPES = {
    1: "signed char, int8, int8_t, uchar, unsigned char, uint8, uint8_t",
    2: "short, short int, signed short, signed short int, int16, int16_t, ushort, unsigned short, unsigned short int, uint16, uint16_t",
    4: "int, signed int, int32, int32_t, uint, unsigned int, uint32, uint32_t, float",
    8: "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t, double, "
    "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
}
_BYTES = {name: size for size, names in _TYPES.items() for name in names.split(", ")}
_ENCODINGS: dict[str, Packing] = {"raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_AS_TEXT = {"ascii": 1, "txt": 1, "text": 1, "hex": 2}
"""Encoding -> fewest characters for a value (of text) or for a byte (of hex)."""
_VITAL = ("type", "dimension", "sizes", "encoding", "datafile")
_FREE = ("content", "datafile")
"""Fields that may hold a long word."""
_PER_AXIS: tuple[str, ...] = (
    "sizes",
    "spacings",
    "thicknesses",
    "axis mins",
    "axis maxs",
    "axismins",
    "axismaxs",
    "centers",
    "centerings",
    "kinds",
)
_PER_AXIS += ("labels", "units", "space directions", "space origin", "space units", "measurement frame")
_ANATOMICAL = re.compile(r"(?:(?:right|left)-(?:anterior|posterior)-superior|[rl][ap]s)(?:-time|t)?", re.IGNORECASE)
_MAX_WORD = 100
_MAX_FIELD = 2000
_MAX_HEADER = 2**24
_MAX_LINE = 2**20


def nrrd_header(path: Path, *, thorough: bool) -> RawHeader:
    """See `rawheader.inspect`."""
    head = first_bytes(path, 132, zipped=False)
    if not head.startswith(b"NRRD000") or head[7:8] not in (b"1", b"2", b"3", b"4", b"5"):
        raise not_the_format(path, "an NRRD", head)
    fields, start = _fields(path)
    try:
        dimension = whole_numbers(fields["dimension"], most=1)[0]
        sizes = whole_numbers(fields["sizes"])
        kind, encoding = fields["type"].lower(), fields["encoding"].lower()
        line_skip, byte_skip = int(fields.get("lineskip", "0")), int(fields.get("byteskip", "0"))
    except (KeyError, ValueError, IndexError):
        raise _damaged(path, "its type, dimension, sizes or encoding are missing or no numbers") from None
    if len(sizes) != dimension or not 1 <= dimension <= 16 or any(n < 1 for n in sizes):
        raise _damaged(path, f"its sizes are {fields['sizes'][:80]!r} in {dimension} dimensions")
    if kind not in _BYTES or encoding not in (*_ENCODINGS, *_AS_TEXT):
        raise InputError(f"{path} has voxels ({kind[:40]}, {encoding[:40]}) that cannot be read.", hint="Export it as float or short.")
    wanted = check_size(path, sizes, _BYTES[kind])
    spacing = _spacing(path, fields, dimension)
    check_spacing(path, spacing)
    if not 0 <= line_skip <= 10**6 or byte_skip < -1 or (byte_skip and encoding != "raw"):
        raise _damaged(path, f"it skips {line_skip} lines and {byte_skip} bytes")
    data, begin = _data_file(path, fields.get("datafile"), start)
    begin = _after_lines(data, begin, line_skip)
    there = data.stat().st_size
    begin = there - wanted if byte_skip == -1 else begin + byte_skip
    if encoding in _AS_TEXT:
        if there - begin < wanted * _AS_TEXT[encoding] // (1 if encoding == "hex" else _BYTES[kind]):
            raise incomplete(path)
    elif encoding == "raw":
        if begin < start * (data == path) or there - begin < wanted:
            raise incomplete(path)
        if has_surplus(data, begin + wanted):
            raise surplus(path, sizes)
    elif thorough and walk(data, begin=begin, skip=0, wanted=wanted, packing=_ENCODINGS[encoding])[0]:
        raise surplus(path, sizes)
    placed = "space directions" in fields and _ANATOMICAL.fullmatch(fields.get("space", ""))
    return RawHeader(spacing, voxels=math.prod(sizes), lacking="" if placed else "no anatomical space with directions")


def nrrd_voxels(path: Path) -> str:
    """What the header calls the file of its voxels; empty where it holds them itself. Raises: InputError, as `nrrd_header`; OSError."""
    return _fields(path)[0].get("datafile", "")


def _data_file(path: Path, name: str | None, start: int) -> tuple[Path, int]:
    """The file that holds the voxels, and the first byte that is not header."""
    if name is None:
        if path.name.lower().endswith(".nhdr"):
            raise _damaged(path, "it does not name the file of its voxels")
        return path, start
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(f"{path} keeps its voxels in several files.", hint="Open it in 3D Slicer and save it as one file.")
    data = beside(path, name)
    if data.samefile(path):
        raise _damaged(path, "it keeps its voxels in itself")
    return data, 0


def _after_lines(data: Path, begin: int, lines: int) -> int:
    if not lines:
        return begin
    with data.open("rb") as file:
        file.seek(begin)
        for _ in range(lines):
            file.readline(_MAX_LINE)
        return file.tell()


def _spacing(path: Path, fields: dict[str, str], dimension: int) -> tuple[float, ...]:
    """Millimetres along the axes that have a direction, or a spacing."""
    directions = fields.get("space directions")
    try:
        if directions is not None:
            vectors = [numbers(part) for part in directions.replace("none", "").split(")") if part.strip(" (\t")]
            if len(vectors) + directions.count("none") != dimension:
                raise ValueError
            lengths = [math.hypot(*vector) for vector in vectors]
        else:
            lengths = numbers(fields.get("spacings", ""))
            if lengths and len(lengths) != dimension:
                raise ValueError
        for name in ("space origin", "measurement frame"):
            numbers(fields.get(name, "").replace("none", ""))
    except ValueError:
        raise _damaged(path, "its directions, spacings or origin are no numbers, or not one for every axis") from None
    return tuple(lengths[:3])


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields by name, lower case, and the byte after the blank line that ends the header.

    Raises:
        InputError: a line that is too long, a header without end, or a vital field that is there twice.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_MAX_LINE + 1), b""):
            if len(line) > _MAX_LINE or file.tell() > _MAX_HEADER or b"\0" in line:
                raise _damaged(path, "it has no end")
            text = line.decode("latin-1").strip("\r\n")
            if not text:
                break
            name, found, value = text.partition(": ")
            key = {"data file": "datafile", "line skip": "lineskip", "byte skip": "byteskip"}.get(
                name.strip().lower(), name.strip().lower()
            )
            if text.startswith("#"):
                continue
            if not _is_utf8(line):
                raise _damaged(path, f"{text[:60]!r} is not text in UTF-8")
            if not found or ":=" in name:
                continue
            if len(name) > _MAX_WORD or len(value) > _MAX_FIELD or (key not in _FREE and _is_long(key, value)):
                # teem repeats what it does not know in a message of fixed length.
                raise _damaged(path, f"{name[:40]!r} is {value.strip()[:40]!r} ...")
            if key in fields and key in _VITAL:
                raise _damaged(path, f"it says {name} twice")
            fields[key] = value.strip()
        return fields, file.tell()


def _is_long(key: str, value: str) -> bool:
    words = value.split() if key in _PER_AXIS else [value.strip()]
    return len(words) > _MAX_WORD or any(len(word) > _MAX_WORD for word in words)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} has a damaged NRRD header: {what}.", hint=COPY_HINT)
