"""Which sequence a DICOM series is, from its description and a few elements of its header, and whether it is one to annotate on."""

from __future__ import annotations

import re

from SuggestiveAnnotationLib.cohort.dicom.index import Series
from SuggestiveAnnotationLib.cohort.layouts.naming import IMAGE, ImageFile, guess

FEW_SLICES = 5
"""A stack with fewer slices is a localizer or a test, unless a person says otherwise."""

_BY_MODALITY = {"CT": "CT", "PT": "PET", "NM": "NM"}
_LOCALIZER = re.compile(r"\b(?:loc|locali[sz]er|scout|survey|topogram|3[- ]?plane|plan ?scan|smartbrain|aahscout|aahead\w*)(?![a-z])", re.I)
_CONTRAST = re.compile(r"(?:\+ ?(?:c|gd|km|k)|(?:^|[^a-z])(?:post|gd|gad\w*|km|kontrast\w*|contrast|ce|nach ?km|mdc))(?![a-z])", re.I)
_NO_CONTRAST = re.compile(r"(?:^|[^a-z])(?:pre|nativ\w*|without|no|ohne|non|blanco)(?![a-z])", re.I)
_TELLING = (
    ("FLAIR", re.compile(r"dark[- _]?fluid|flair", re.I)),
    ("ADC", re.compile(r"(?:^|[^a-z])adc(?![a-z])", re.I)),
    ("SWI", re.compile(r"t2 ?\*|_hemo(?![a-z])", re.I)),
)
_DERIVED = {"MPR", "MIP", "MINIP", "PROJECTION IMAGE", "SUBTRACTION", "SUB", "CSA REPORT", "CSAPARALLEL", "SCREEN SAVE", "REFORMATTED"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_GREY = ("MONOCHROME1", "MONOCHROME2")


def guess_sequence(series: Series) -> str:
    """The modality as a study calls it (`T1c`, `FLAIR`, `CT`); empty where nothing tells it."""
    if series.modality in _BY_MODALITY:
        return _BY_MODALITY[series.modality]
    # Philips puts a letter before the weighting: `sT1W_3D_TFE`.
    text = re.sub(r"\b[a-z](?=T[12]W)", "", series.description.replace("/", " "))
    for name, pattern in _TELLING:
        if pattern.search(text):
            return name
    found = guess(ImageFile("", f"{text}.nii"))
    name = found.name if found.kind == "image" and found.sure and found.name != IMAGE else ""
    contrast = series.contrast or _CONTRAST.search(text) is not None
    return "T1c" if name == "T1" and contrast and not _NO_CONTRAST.search(text) else name


def why_not_used(series: Series) -> str:
    """Why a series is none to annotate on unless a person says so, in a few words; empty where it is one."""
    if series.samples != 1 or series.photometric not in _GREY:
        return "colour"
    if series.sop_class.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    if "LOCALIZER" in series.image_type or _LOCALIZER.search(series.description.replace("_", " ")):
        return "localizer"
    if len(series.frames) < FEW_SLICES:
        return "few slices"
    if series.image_type[:1] == ("DERIVED",) and (series.image_type[1:2] == ("SECONDARY",) or _DERIVED & set(series.image_type)):
        return "derived"
    return ""
