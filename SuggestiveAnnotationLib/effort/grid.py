"""A reference and a prediction on one padded, cropped grid, laid out so that neighbours are a fixed step apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelPair:
    """Two label slices as flat arrays of schema values, one entry a pixel of the cropped grid.

    The outermost rows and columns hold no class, so a step never joins the end of a row to a class in the next. Class numbers are 0 for no
    class and k for the k-th value asked for, 1-based; only the few pixels beside an edge are ever translated to them.

    Attributes:
        reference, prediction: schema values; both the ignore value where the reference is to be ignored.
        ignored: reference pixels to ignore; None: there are none.
        mask: mask whose edge is left out; None: nothing is left out.
        width: pixels in a row, which is also the step to the pixel below.
        class_of: class number of every value `(65536,)`.
        classes: how many values were asked for.
        below, right: flat positions of the pixels that differ, in the reference or the prediction, from the pixel below or on the right.
    """

    reference: NDArray[Any]
    prediction: NDArray[Any]
    ignored: NDArray[np.bool_] | None
    mask: NDArray[np.bool_] | None
    width: int
    class_of: NDArray[Any]
    classes: int
    below: NDArray[np.intp]
    right: NDArray[np.intp]

    @property
    def height(self) -> int:
        """Rows of the cropped grid."""
        return self.reference.size // self.width


def pair(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    *,
    values: Sequence[int],
    ignore_value: int,
    mask: NDArray[np.bool_] | None,
) -> LabelPair:
    """Lay two label slices `(row, column)` out as a pair.

    Raises:
        ValueError: shapes differ or are not two-dimensional, labels are not integers from 0 to 65535, or values repeat or contain the
            ignore value.
    """
    _check(reference, prediction, values, ignore_value, mask)
    reference, prediction = reference.astype(np.uint16, copy=False), prediction.astype(np.uint16, copy=False)
    class_of = np.zeros(65536, np.uint8 if len(values) < 256 else np.uint16)
    class_of[list(values)] = np.arange(1, len(values) + 1)
    outside = ignore_value if 0 in values else 0  # a value of no class, to fill the frame with
    box = _box((reference != outside) | (prediction != outside))
    ref, pred = _framed(reference, box, outside), _framed(prediction, box, outside)
    ignored: NDArray[np.bool_] | None = None
    if (ref == ignore_value).any():
        ignored = _framed(reference == ignore_value, box, False)
        pred[ignored] = ignore_value
    width = box[3] - box[2]
    below, right = (np.flatnonzero((ref[:-step] != ref[step:]) | (pred[:-step] != pred[step:])) for step in (width, 1))
    return LabelPair(
        reference=ref,
        prediction=pred,
        ignored=ignored,
        mask=None if mask is None else _framed(np.asarray(mask, bool), box, False),
        width=width,
        class_of=class_of,
        classes=len(values),
        below=below,
        right=right,
    )


def _check(
    reference: NDArray[Any], prediction: NDArray[Any], values: Sequence[int], ignore_value: int, mask: NDArray[np.bool_] | None
) -> None:
    if reference.ndim != 2 or reference.shape != prediction.shape or (mask is not None and mask.shape != reference.shape):
        shapes = [reference.shape, prediction.shape] + ([] if mask is None else [mask.shape])
        raise ValueError(f"Reference, prediction and mask must be slices of one shape (row, column), got {shapes}.")
    for labels in (reference, prediction):
        fits = labels.dtype in (np.uint8, np.uint16) or not labels.size or 0 <= labels.min() <= labels.max() < 65536
        if labels.dtype.kind not in "iu" or not fits:
            raise ValueError(f"Labels must be integers from 0 to 65535, got {labels.dtype}.")
    if len({*values, ignore_value}) != len(values) + 1 or not all(0 <= v < 65536 for v in (*values, ignore_value)):
        raise ValueError(f"Class values and the ignore value must be distinct and from 0 to 65535, got {list(values)} and {ignore_value}.")


def _box(used: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Rows [top, bottom) and columns [left, right) of all classes and one pixel around; may reach one pixel beyond the slice."""
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    if not rows.size:
        return (-1, 1, -1, 1)
    return (int(rows[0]) - 1, int(rows[-1]) + 2, int(columns[0]) - 1, int(columns[-1]) + 2)


def _framed(array: NDArray[Any], box: tuple[int, int, int, int], outside: int) -> NDArray[Any]:
    """The box of the array, flat; what lies beyond the slice is `outside`."""
    top, bottom, left, right = box
    out = np.full((bottom - top, right - left), outside, array.dtype)
    part = array[max(top, 0) : bottom, max(left, 0) : right]
    row, column = max(-top, 0), max(-left, 0)
    out[row : row + part.shape[0], column : column + part.shape[1]] = part
    return out.ravel()
