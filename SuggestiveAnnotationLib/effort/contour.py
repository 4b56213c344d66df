"""Contour agreement of two label slices (annotation-effort, section 2.2, eq. 3), all classes at once.

Measured on pixel-edge ("crack") boundaries: an edge between a pixel of the class and one outside it counts once, weighted by its physical
length. The border of the slice counts: what lies beyond is outside every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, ContourTotals, InterfaceAgreement, SliceAgreement, Tolerances
from SuggestiveAnnotationLib.effort.components import count_differences, false_components, find_runs
from SuggestiveAnnotationLib.effort.edges import find_edges, measure
from SuggestiveAnnotationLib.effort.grid import pair
from SuggestiveAnnotationLib.effort.tolerance import shared_within
from SuggestiveAnnotationLib.types import LabelArray

__all__ = ["ClassAgreement", "ContourTotals", "InterfaceAgreement", "SliceAgreement", "Tolerances", "contour_agreement"]

DEFAULT_TOLERANCES = Tolerances()


def contour_agreement(
    reference: LabelArray,
    prediction: LabelArray,
    *,
    values: Sequence[int],
    spacing: tuple[float, float],
    ignore_value: int = 255,
    exclude_edge_of: NDArray[np.bool_] | None = None,
    tolerances: Tolerances | None = DEFAULT_TOLERANCES,
) -> SliceAgreement:
    """How much of the reference's contours the prediction has, for every class.

    C counts an edge only where the prediction has the same edge with the class on the same side. The tolerant lengths count a
    reference edge whose midpoint lies within the tolerance of the midpoint of any predicted edge of the class; exact <= tolerant <= L.

    *Ignore rule* ("an edge needs two known sides"): an edge beside a pixel that the reference ignores exists in neither contour, so it
    is in none of L, C and L_pred; ignored pixels are in no area and no component. The ignore value in the prediction is no class.

    Args:
        reference: schema values `(row, column)`.
        prediction: schema values, same shape.
        values: classes to measure, usually the schema's without background. Other values are outside every class.
        spacing: millimetres (row, column); an edge between two rows is as long as the column spacing.
        ignore_value: of the reference.
        exclude_edge_of: `(row, column)`; edges between a pixel of this mask and one outside it (the border of the slice included) exist in
            neither contour. For images stripped with the label mask, whose outer contour is no achievement.
        tolerances: None leaves the tolerant lengths out, which is faster.

    Raises:
        ValueError: shapes differ, labels or values are out of range, or the spacing is not positive.
    """
    if len(spacing) != 2 or not all(isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"Spacing must be two positive numbers in millimetres, got {spacing}.")
    labels = pair(np.asarray(reference), np.asarray(prediction), values=values, ignore_value=ignore_value, mask=exclude_edge_of)
    edges = find_edges(labels, spacing)
    lengths = measure(edges, labels.classes)
    runs = find_runs(labels)
    false = false_components(runs, labels)
    added, removed = count_differences(runs, labels.classes)
    pixel = spacing[0] * spacing[1]
    within: list[list[float]] | None = None
    if tolerances is not None:
        reach = (tolerances.pixels * min(spacing), tolerances.millimetres)
        within = [w.tolist() for w in shared_within(edges, labels, spacing, reach)]
    classes = tuple(
        ClassAgreement(
            value=int(value),
            reference_mm=float(lengths.reference[k]),
            prediction_mm=float(lengths.prediction[k]),
            shared_mm=float(lengths.shared[k]),
            shared_within_pixels_mm=None if within is None else within[0][k],
            shared_within_millimetres_mm=None if within is None else within[1][k],
            false_components=int(false[k]),
            added_pixels=int(added[k]),
            removed_pixels=int(removed[k]),
            added_mm2=int(added[k]) * pixel,
            removed_mm2=int(removed[k]) * pixel,
        )
        for k, value in enumerate(values)
    )
    interfaces = InterfaceAgreement(*lengths.interfaces)
    return SliceAgreement(classes=classes, interfaces=interfaces, spacing=(float(spacing[0]), float(spacing[1])), tolerances=tolerances)
