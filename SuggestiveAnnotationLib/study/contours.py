"""Contour agreement on slices of a study: its schema, its spacing, and the mask's edge left out where the schema says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.contour import DEFAULT_TOLERANCES, SliceAgreement, Tolerances, contour_agreement
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, SliceRef


def slice_agreement(
    study: Study,
    ref: SliceRef,
    *,
    reference: LabelArray,
    prediction: LabelArray,
    tolerances: Tolerances | None = DEFAULT_TOLERANCES,
) -> SliceAgreement:
    """How much of the contours of `reference` lies in `prediction`, all classes of the schema; see `effort.contour.contour_agreement`."""
    _, row_mm, column_mm = study.frame(ref.case).spacing
    return contour_agreement(
        reference,
        prediction,
        values=study.schema.values[1:],
        spacing=(row_mm, column_mm),
        ignore_value=study.schema.ignore_value,
        exclude_edge_of=excluded_mask(study, ref),
        tolerances=tolerances,
    )


def excluded_mask(study: Study, ref: SliceRef) -> NDArray[np.bool_] | None:
    """The mask whose edge is left out on this slice; None where every contour counts."""
    if not study.schema.exclude_mask_edge:
        return None
    mask = study.slice_store.open_mask(ref.case)
    return None if mask is None else mask[ref.native_index] > 0
