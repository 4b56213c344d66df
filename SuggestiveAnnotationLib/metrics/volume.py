"""Every metric of one predicted case, by class and region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.metrics.surface import Spacing, Volume, surface_metrics
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema

TOLERANCES_MM = (1.0, 2.0)
"""Of surface Dice."""


def volume_metrics(
    prediction: LabelArray,
    reference: LabelArray,
    *,
    spacing: Spacing,
    schema: LabelSchema,
    surfaces: bool = True,
    tolerances: Sequence[float] = TOLERANCES_MM,
) -> dict[str, dict[str, float | None]]:
    """Compare two volumes of schema values `(slice, row, column)`. Voxels that the reference ignores are in neither.

    Values outside the schema are in no class; the ignore value in the prediction is none.

    Args:
        spacing: millimetres, of the same axes.
        surfaces: measure surfaces too, which takes longer than all the rest.
        tolerances: of surface Dice, millimetres.

    Returns:
        Class or region -> metric -> value, None where it is undefined:
        "dice_3d", undefined where neither volume holds the class;
        "dice_2d", mean over the slices where the reference holds the class;
        "false_mm3_on_empty" and "false_slices_on_empty", predicted volume on slices that the reference knows to lack the class, and their
        number; "reference_mm3" and "predicted_mm3"; and those of `surface.surface_metrics`.

    Raises:
        ValueError: shapes differ, or the spacing is not three positive numbers.
    """
    if prediction.shape != reference.shape or reference.ndim != 3:
        raise ValueError(f"Prediction and reference must be volumes of one shape, got {prediction.shape} and {reference.shape}.")
    if len(spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ValueError(f"Spacing must be three positive numbers in millimetres, got {spacing}.")
    known = reference != schema.ignore_value
    everything = bool(known.all())
    # A slice that is ignored throughout is no empty slice.
    seen = known.any(axis=(1, 2))
    out = {}
    for name, values in schema.judged.items():
        guess, truth = _volume(prediction, values), _volume(reference, values)
        if not everything:
            guess &= known
        out[name] = overlap(guess, truth, seen=seen, voxel_mm3=float(np.prod(spacing)))
        if surfaces:
            out[name] |= surface_metrics(guess, truth, spacing, known=None if everything else known, tolerances=tolerances)
    return out


def overlap(guess: Volume, truth: Volume, *, seen: NDArray[np.bool_], voxel_mm3: float) -> dict[str, float | None]:
    """The metrics that need no surface; see `volume_metrics`. `seen` `(slice,)`: slices of which the reference says anything."""
    in_guess, in_truth, in_both = (np.count_nonzero(v, axis=(1, 2)) for v in (guess, truth, guess & truth))
    total = in_guess + in_truth
    held, empty = in_truth > 0, seen & (in_truth == 0)
    return {
        "dice_3d": float(2 * in_both.sum() / total.sum()) if total.any() else None,
        "dice_2d": float(np.mean(2 * in_both[held] / total[held])) if held.any() else None,
        "false_mm3_on_empty": float(in_guess[empty].sum() * voxel_mm3),
        "false_slices_on_empty": float(np.count_nonzero(in_guess[empty])),
        "reference_mm3": float(in_truth.sum() * voxel_mm3),
        "predicted_mm3": float(in_guess.sum() * voxel_mm3),
    }


def _volume(labels: LabelArray, values: Sequence[int]) -> Volume:
    out: Volume = labels == values[0] if len(values) == 1 else np.isin(labels, values)
    return out
