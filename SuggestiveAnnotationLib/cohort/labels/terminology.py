"""Codes of structures, `scheme^code^meaning` in a schema, and what 3D Slicer and DICOM want beside them."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """A coded concept (PS3.3 section 8): designator of the coding scheme, value, meaning in words."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return "^".join(self)


ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
ALTERED = Code("SCT", "49755003", "Morphologically Altered Structure")
UNSPECIFIED = Code("SCT", "85756007", "Tissue")
"""What Slicer gives a segment, as category and as type, of which nobody said what it is; DICOM demands a code."""

# Lesion, and the types of this category in Slicer's two shipped lists.
_ALTERATIONS = frozenset({"52988006", "75753009", "367643001", "79654002", "55584005", "50960005", "4147007", "6574001", "27925004"})
_ALTERATIONS |= {"23583003", "44132006", "86049000", "14799000", "108369006"}
_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"


def parse_code(text: str | None) -> Code | None:
    """`SCT^12738006^Brain` as a code; None where it is none, or says nothing."""
    parts = [part.strip() for part in (text or "").split("^")]
    if len(parts) != 3 or not all(parts[:2]):
        return None
    code = Code(*parts)
    return None if code[:2] == UNSPECIFIED[:2] else code


def category_of(code: Code | None) -> Code:
    """The category of a structure: altered, anatomical, or unspecified where there is no code; as Slicer names them."""
    if code is None:
        return UNSPECIFIED
    return ALTERED if code.scheme == "SCT" and code.value in _ALTERATIONS else ANATOMY


def slicer_entry(text: str | None) -> str | None:
    """A code as Slicer writes a terminology: context, category, type, type modifier, then the same of the region. None without a code."""
    code = parse_code(text)
    if code is None:
        return None
    # Characters that separate the parts of the entry, and tags from each other.
    plain = Code(*(part.translate(str.maketrans("~|", "--")) for part in code))
    return f"{_CONTEXT}~{category_of(code)}~{plain}~^^~{_REGIONS}~^^~^^"


def from_slicer_entry(entry: str) -> str | None:
    """The type of such an entry, `scheme^code^meaning`; None where it says none."""
    parts = entry.split("~")
    code = parse_code(parts[2]) if len(parts) > 2 else None
    return None if code is None else str(code)
