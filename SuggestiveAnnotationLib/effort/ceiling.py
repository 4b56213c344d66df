"""The resolution ceiling of a network grid, to be printed beside every C / L."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.contour import DEFAULT_TOLERANCES, Tolerances, contour_agreement
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling
from SuggestiveAnnotationLib.types import LabelArray


def resolution_ceiling(
    references: Iterable[LabelArray],
    round_trip: Callable[[LabelArray], LabelArray],
    *,
    values: Sequence[int],
    spacing: tuple[float, float],
    ignore_value: int = 255,
    exclude_edges_of: Iterable[NDArray[np.bool_] | None] | None = None,
    tolerances: Tolerances | None = DEFAULT_TOLERANCES,
) -> ResolutionCeiling:
    """Compare reference slices with themselves after native grid -> network grid -> native grid.

    Cases with other spacing are measured by themselves and joined with `ResolutionCeiling.total`.

    Args:
        references: slices of schema values `(row, column)`.
        round_trip: what the pipeline does to labels on the way to the network and to its output on the way back; keeps the shape.
        values, spacing, ignore_value, tolerances: as in `contour_agreement`.
        exclude_edges_of: a mask for each slice (or None), as `exclude_edge_of` in `contour_agreement`.

    Raises:
        ValueError: there is no slice, the masks are not one for each slice, or the round trip changes the shape.
    """
    slices = list(references)
    masks = [None] * len(slices) if exclude_edges_of is None else list(exclude_edges_of)
    return ResolutionCeiling.of_slices(
        contour_agreement(
            labels,
            round_trip(labels),
            values=values,
            spacing=spacing,
            ignore_value=ignore_value,
            exclude_edge_of=mask,
            tolerances=tolerances,
        )
        for labels, mask in zip(slices, masks, strict=True)
    )
