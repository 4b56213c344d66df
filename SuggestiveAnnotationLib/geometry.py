"""Voxel grids and slices: from a volume in any orientation to canonical in-plane slices and back, without resampling.

Canonical in-plane orientation, as a radiologist sees it:

| plane    | rows run towards | columns run towards |
|----------|------------------|---------------------|
| axial    | posterior        | left                |
| coronal  | inferior         | left                |
| sagittal | inferior         | posterior           |

Slices keep the native order along their axis, so a slice's place in the store is its native index. Oblique grids take the axis that
lies nearest to the plane's normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.types import Plane, SliceRef

_IN_PLANE = {  # plane -> (anatomical axis of the normal, of the rows, sign of the rows, of the columns), LPS
    "axial": (2, 1, 1, 0),
    "coronal": (1, 2, -1, 0),
    "sagittal": (0, 2, -1, 1),
}

DRAWN_ON = 0.1
"""Voxels by which labels may lie beside the image they were drawn on: a NIfTI quaternion in single precision is no more exact."""


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in SimpleITK's terms (LPS).

    Attributes:
        size: voxels along i, j, k.
        spacing: millimetres along i, j, k.
        origin_lps: centre of voxel (0, 0, 0), millimetres.
        direction_lps: 3x3 direction cosines, row-major, columns are the directions of i, j, k.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin_lps: tuple[float, float, float]
    direction_lps: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array `(k, j, i)`."""
        i, j, k = self.size
        return (k, j, i)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Geometry:
        """The inverse of `to_json`. Raises: ValueError, when there can be no such grid."""
        try:
            grid = cls(**{name: tuple(value) for name, value in data.items()})
            lengths = (len(grid.size), len(grid.spacing), len(grid.origin_lps), len(grid.direction_lps))
            numbers = (*grid.spacing, *grid.origin_lps, *grid.direction_lps)
            good = lengths == (3, 3, 3, 9) and all(type(n) is int and n > 0 for n in grid.size)
            good = good and all(type(n) in (int, float) and abs(n) < math.inf for n in numbers) and min(grid.spacing) > 0
            matrix = np.reshape(np.asarray(grid.direction_lps, np.float64), (3, 3)) if good else np.zeros((3, 3))
            good = good and bool(np.abs(matrix).max() < 2 and np.abs(matrix.T @ matrix - np.eye(3)).max() < 0.1)
        except (AttributeError, TypeError, OverflowError) as error:
            raise ValueError("a voxel grid that cannot be read") from error
        if not good:
            raise ValueError("a voxel grid that there cannot be")
        return grid

    def same_grid(self, other: Geometry, *, tolerance: float = 1e-3) -> bool:
        """Same size, and every corner within `tolerance` of a voxel (as ITK compares grids)."""
        if self.size != other.size:
            return False
        return bool(np.abs(self._corners() - other._corners()).max() <= tolerance * min(self.spacing))

    def _corners(self) -> NDArray[np.float64]:
        matrix = np.reshape(self.direction_lps, (3, 3)) * np.asarray(self.spacing)
        last = np.asarray(self.size) - 1
        ijk = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])], float)
        corners: NDArray[np.float64] = ijk @ matrix.T + np.asarray(self.origin_lps)
        return corners


@dataclass(frozen=True)
class SliceFrame:
    """How the canonical slices of one plane lie in one native array.

    Attributes:
        axis: native array axis `(k, j, i)` that slices are taken across.
        transpose: in-plane axes are swapped.
        flip_rows, flip_columns: applied after the swap.
        count: number of slices. rows, columns: size of a canonical slice.
        spacing: millimetres (slice, row, column) in canonical order.
    """

    axis: int
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    count: int
    rows: int
    columns: int
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, geometry: Geometry, plane: Plane) -> SliceFrame:
        """The frame of `plane` in `geometry`; oblique grids take the nearest axes."""
        cosines = np.reshape(geometry.direction_lps, (3, 3))  # [anatomical, ijk]
        best = max(permutations(range(3)), key=lambda p: sum(abs(cosines[a, p[a]]) for a in range(3)))
        normal, row, row_sign, column = _IN_PLANE[plane]
        to_array = {ijk: 2 - ijk for ijk in range(3)}
        axis, row_axis, column_axis = (to_array[best[a]] for a in (normal, row, column))
        shape, spacing = geometry.shape, geometry.spacing[::-1]
        return cls(
            axis=axis,
            transpose=row_axis > column_axis,
            flip_rows=bool(cosines[row, best[row]] * row_sign < 0),
            flip_columns=bool(cosines[column, best[column]] < 0),
            count=shape[axis],
            rows=shape[row_axis],
            columns=shape[column_axis],
            spacing=(spacing[axis], spacing[row_axis], spacing[column_axis]),
        )

    def stack(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A view of a native volume `(k, j, i)` as canonical slices `(slice, row, column)`. Writing into it writes the volume."""
        view = np.moveaxis(volume, self.axis, 0)
        if self.transpose:
            view = view.swapaxes(1, 2)
        return view[:, :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def refs(self, case: str) -> tuple[SliceRef, ...]:
        """Every slice of the case, in native order."""
        return tuple(SliceRef(case, self.axis, k) for k in range(self.count))
