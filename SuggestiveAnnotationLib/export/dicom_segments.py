"""How the structures of a schema are described in a DICOM segmentation: numbers, codes, colours, and what drew them (PS3.3 C.8.20.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.labels.terminology import ALTERED, ANATOMY, UNSPECIFIED, Code, category_of, parse_code
from SuggestiveAnnotationLib.export.content import CaseContent, StudyContent
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

ALGORITHM = "SuggestiveAnnotation"
_CATEGORIES = {
    ANATOMY: Code("SCT", "91723000", "Anatomical Structure"),
    ALTERED: Code("SCT", "49755003", "Morphologically Abnormal Structure"),
    UNSPECIFIED: UNSPECIFIED,
}
"""Slicer's categories as PS3.16 CID 7150 has them now."""

LONGEST = 64
"""Characters of a long string (PS3.5 section 6.2), as names of segments are."""


def segment_numbers(schema: LabelSchema) -> NDArray[np.uint16]:
    """Value of the schema -> number of its segment, `(65536,)`: places in the schema from 1, as DICOM wants; background and ignore 0."""
    table = np.zeros(65536, np.uint16)
    for number, one in enumerate(schema.classes, start=1):
        table[one.value] = number
    return table


def segment_label(one: LabelClass) -> str:
    """The name of a structure as far as DICOM takes it."""
    return long_string(one.name) or f"Structure {one.value}"


def long_string(text: str) -> str:
    """A text as a DICOM long string: at most 64 characters, none of them a control character or a backslash, which separates values."""
    plain = "".join(" " if not c.isprintable() else c for c in text.replace("\\", "/"))
    return " ".join(plain.split())[:LONGEST].strip()


def describe_segments(case: CaseContent, content: StudyContent) -> list[Any]:
    """highdicom's descriptions of all structures of the schema, in the order of their numbers.

    A structure is semi-automatic where it has pixels in a slice that a reader accepted, corrected or not, from what a model of this
    program predicted; one without pixels, where there is any such slice. Everything else was drawn by hand, or came with the images.
    """
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    models = _models(case, content)
    described = []
    for number, one in enumerate(case.grid.schema.classes, start=1):
        code = parse_code(one.terminology)
        used = models.get(one.value, ())
        identification = None
        if used:
            identification = AlgorithmIdentificationSequence(
                name=ALGORITHM,
                family=codes.cid7162.ArtificialIntelligence,
                version=long_string(content.version) or "unknown",
                source=ALGORITHM,
                parameters={"models": " ".join(map(str, used))},
            )
        described.append(
            SegmentDescription(
                segment_number=number,
                segment_label=segment_label(one),
                segmented_property_category=_coded(_CATEGORIES[category_of(code)]),
                segmented_property_type=_coded(code or UNSPECIFIED),
                algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC if used else SegmentAlgorithmTypeValues.MANUAL,
                algorithm_identification=identification,
                display_color=CIELabColor.from_rgb(*one.colour),
            )
        )
    return described


def _models(case: CaseContent, content: StudyContent) -> Mapping[int, tuple[int, ...]]:
    """Value of a structure -> models of this program that proposed slices in which it was accepted."""
    brought = {model.id for model in content.models if model.kind == "imported"}
    found: dict[int, set[int]] = {}
    everywhere: set[int] = set()
    for annotation in case.shown().values():
        model = case.models.get(annotation.prediction_id) if annotation.prediction_id is not None else None
        if annotation.provenance not in ("unchanged", "corrected") or model is None or model in brought:
            continue
        everywhere.add(model)
        for value in np.unique(annotation.labels):
            found.setdefault(int(value), set()).add(model)
    drawn = {int(v) for annotation in case.shown().values() for v in np.unique(annotation.labels)}
    by_value = {one.value: found.get(one.value, set()) if one.value in drawn else everywhere for one in case.grid.schema.classes}
    return {value: tuple(sorted(models)) for value, models in by_value.items() if models}


def _coded(code: Code) -> Any:
    from pydicom.sr.coding import Code as Coded

    return Coded(code.value, long_string(code.scheme)[:16], long_string(code.meaning) or code.value)
