"""Labels that cover a part of a case, what each rule counts of them, and a round with chosen suggestions."""

from __future__ import annotations

import numpy as np

from SuggestiveAnnotationLib.engine.suggest import pre_annotate
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import AnnotatedRule, LabelUse, Rationale, SliceRef, Suggestion

IGNORE = 255
BY = "Dr Before"
COUNTED: dict[AnnotatedRule, list[int]] = {"all": [*range(8)], "labelled": [2, 5], "span": [2, 3, 4, 5], "marked": [0, 1, 2, 4, 5, 6, 7]}
SAYING = {rule: [k for k in counted if k != 3] for rule, counted in COUNTED.items()}
"""Slice 3 is the ignore value throughout, so it counts by some rules and says nothing by any."""


def partly(index: int, labels: np.ndarray) -> np.ndarray:
    """A square of 6 x 6 pixels in slice 2, a bar with one ignored pixel beside it in slice 5, slice 3 ignored, nothing elsewhere."""
    out = np.zeros_like(labels)
    out[2, 8:14, 6:12] = 1
    out[3] = IGNORE
    out[5, 10:12, 4:16] = 2
    out[5, 0, 0] = IGNORE
    return out


def settings(use: LabelUse, rule: AnnotatedRule) -> dict[str, str]:
    return {"labels_as": use, "annotated_slices": rule, "labels_by": BY}


def slices(refs: object) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for ref in sorted(refs):  # type: ignore[call-overload]
        found.setdefault(ref.case, []).append(ref.native_index)
    return found


def suggested(study: Study, *chosen: Suggestion) -> None:
    study.start_round(strategy="random", budget=2, seed=0, unit="slice", settings={}, suggestions=chosen)
    pre_annotate(study, device="cpu")


def suggestion(ref: SliceRef, rank: int, **fields: object) -> Suggestion:
    return Suggestion(ref, rank, Rationale("random", "Drawn."), **fields)  # type: ignore[arg-type]
