"""Fill between slices: labels of the slices between annotated ones, by shape-based interpolation (Raya and Udupa, IEEE TMI 9(1), 1990).

The way a clinic has without any model: draw every n-th slice, fill the rest, correct. Each structure's signed distance to its outline is
blended between the two nearest annotated slices. 3D Slicer's "Fill between slices" uses morphological contour interpolation (Albu et al.,
IEEE TBME 55(8), 2008), which also moves parts that do not overlap; tried on one MALC brain it came, on the whole, no nearer to the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelArray


def fill_between(labels: Mapping[int, LabelArray], *, spacing: tuple[float, float] = (1.0, 1.0)) -> dict[int, LabelArray]:
    """Labels of all slices that lie between two given ones; nothing before the first or after the last.

    A structure that only one of the two neighbours shows shrinks and is gone half way. The ignore value is carried like a structure.

    Args:
        labels: slice index on one axis of one case -> labels `(rows, columns)`, schema values with 0 the background.
        spacing: of the pixels, (row, column), millimetres.

    Returns: index -> labels of the filled slices only, ascending.

    Raises: InputError, when the slices differ in size.
    """
    shapes = {slice_.shape for slice_ in labels.values()}
    if len(shapes) > 1:
        raise InputError(f"The slices to fill between differ in size: {' and '.join(map(str, sorted(shapes)))}.", hint="Give one case.")
    out: dict[int, LabelArray] = {}
    for first, last in pairwise(sorted(labels)):
        between = range(first + 1, last)
        if between:
            out |= dict(zip(between, _blended(labels[first], labels[last], len(between), spacing), strict=True))
    return out


def _blended(first: LabelArray, last: LabelArray, count: int, spacing: tuple[float, float]) -> list[LabelArray]:
    """Labels of `count` evenly spaced slices between two."""
    out = [np.zeros_like(first) for _ in range(count)]
    structures = np.setdiff1d(np.union1d(first, last), [0])
    if not len(structures):
        return out
    box = _box((first != 0) | (last != 0))
    a, b = first[box], last[box]
    every = _depths(a != 0, b != 0, spacing)
    each = [_depths(a == value, b == value, spacing) for value in structures]
    for step, filled in enumerate(out, start=1):
        # Whole numbers as weights: both directions give the same.
        whole, *single = ((count + 1 - step) * start + step * end for start, end in [every, *each])
        depth = np.stack(single)
        # What is inside all structures together is one of them, also where one takes the place of another.
        inside = (whole > 0) | (depth > 0).any(0)
        filled[box] = np.where(inside, structures[depth.argmax(0)], 0)
    return out


def _depths(first: NDArray[np.bool_], last: NDArray[np.bool_], spacing: tuple[float, float]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Signed distances of a structure in both slices, finite."""
    a, b = _signed_distance(first, spacing), _signed_distance(last, spacing)
    return _in_place_of(a, b), _in_place_of(b, a)


def _in_place_of(distance: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The distance; where it is infinite, as far from the outline as the other slice goes at the most: half way both weigh alike."""
    if np.isfinite(distance).all():
        return distance
    sign = np.sign(distance.flat[0])
    furthest = (-sign * other).max() if np.isfinite(other).all() else 1.0
    return np.full_like(distance, sign * furthest)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Bounding box of a mask that is not empty, with a margin of one pixel: inside it all distances to outlines are exact."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2)


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[Any]:
    """Distance to the nearest pixel on the other side of the outline, positive inside; -inf everywhere without any pixel, inf with all."""
    if not mask.any():
        return np.full(mask.shape, -np.inf)
    if mask.all():
        return np.full(mask.shape, np.inf)
    distance: NDArray[Any] = ndimage.distance_transform_edt(mask, spacing) - ndimage.distance_transform_edt(~mask, spacing)
    return distance
