"""Distances between the surfaces of two volumes, in millimetres, on any voxel size.

A *surface voxel* belongs to the volume and shares a face with a voxel that is known to lie outside it. What lies beyond the grid is
outside. A face towards a voxel that is not known is no surface, as in contour effort, where an edge needs two known sides. Where all is
known these are the surfaces of MONAI's `compute_hausdorff_distance` and `compute_surface_dice` (edges by erosion), and so are the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Volume = NDArray[np.bool_]
Spacing = tuple[float, float, float]
_ROUNDING = 1 + 1e-9  # a distance that equals the tolerance counts, whatever the last bit of its square root


@dataclass(frozen=True)
class SurfaceDistances:
    """From every surface voxel of one volume to the nearest of the other; a voxel on both surfaces is at 0.

    Attributes:
        from_guess, from_truth: millimetres, one entry a surface voxel, in no order.
    """

    from_guess: NDArray[np.float64]
    from_truth: NDArray[np.float64]

    def percentile(self, percent: float) -> float:
        """The greater of the two directed percentiles (100: the Hausdorff distance), interpolated linearly."""
        return float(max(np.percentile(one, percent) for one in (self.from_guess, self.from_truth)))

    def within(self, tolerance: float) -> float:
        """Surface Dice: share of all surface voxels of both volumes that lie within the tolerance of the other's surface."""
        near = sum(int(np.count_nonzero(one <= tolerance * _ROUNDING)) for one in (self.from_guess, self.from_truth))
        return near / (len(self.from_guess) + len(self.from_truth))


def surface_distances(guess: Volume, truth: Volume, spacing: Spacing, *, known: Volume | None = None) -> SurfaceDistances | None:
    """Compare two volumes `(slice, row, column)`. None where one of them has no surface.

    Args:
        spacing: millimetres, of the same axes.
        known: voxels that count; the others must be in neither volume. None: all.
    """
    box = _box(guess | truth)
    if box is None:
        return None
    one, other = (_surface(v, known, box) for v in (guess, truth))
    if not one.any() or not other.any():
        return None
    return SurfaceDistances(_distances(one, other, spacing), _distances(other, one, spacing))


def surface_metrics(
    guess: Volume, truth: Volume, spacing: Spacing, *, known: Volume | None = None, tolerances: Sequence[float]
) -> dict[str, float | None]:
    """Hausdorff distance, its 95th percentile and surface Dice.

    *Penalty*: where one volume holds nothing and the other does, both distances are the diagonal of the grid (as BraTS does: 373 mm on its
    grid) and surface Dice is 0. Where both hold nothing, everything is undefined.

    Args:
        tolerances: of surface Dice, millimetres.

    Returns:
        "hausdorff_mm", "hd95_mm", "surface_dice_1mm", ... -> value, None where it is undefined; and "penalised", 1 or 0.
    """
    names = [f"surface_dice_{t:g}mm" for t in tolerances]
    out: dict[str, float | None] = {**dict.fromkeys(("hausdorff_mm", "hd95_mm", *names)), "penalised": 0.0}
    if guess.any() != truth.any():
        diagonal = hypot(*(n * s for n, s in zip(guess.shape, spacing, strict=True)))
        return {**out, "hausdorff_mm": diagonal, "hd95_mm": diagonal, **dict.fromkeys(names, 0.0), "penalised": 1.0}
    found = surface_distances(guess, truth, spacing, known=known)
    if found is None:
        return out
    within = {name: found.within(t) for name, t in zip(names, tolerances, strict=True)}
    return {**out, "hausdorff_mm": found.percentile(100), "hd95_mm": found.percentile(95), **within}


def _box(used: Volume) -> tuple[slice, ...] | None:
    """Where there is anything; None where there is nothing."""
    parts = []
    for axis in range(3):
        at = np.flatnonzero(used.any(axis=tuple({0, 1, 2} - {axis})))
        if not at.size:
            return None
        parts.append(slice(int(at[0]), int(at[-1]) + 1))
    return tuple(parts)


def _framed(array: Volume, box: tuple[slice, ...], beyond: bool) -> Volume:
    """The box and one voxel around it; what lies beyond the grid is `beyond`."""
    inner, widths = [], []
    for part, size in zip(box, array.shape, strict=True):
        inner.append(slice(max(part.start - 1, 0), min(part.stop + 1, size)))
        widths.append((int(part.start == 0), int(part.stop == size)))
    return np.pad(array[tuple(inner)], widths, constant_values=beyond)


def _surface(volume: Volume, known: Volume | None, box: tuple[slice, ...]) -> Volume:
    """Surface voxels inside the box, which holds the whole volume."""
    framed = _framed(volume, box, False)
    outside = ~framed if known is None else ~framed & _framed(known, box, True)
    beside = np.zeros_like(volume[box])
    for axis in range(3):
        for step in (slice(None, -2), slice(2, None)):
            at = [slice(1, -1)] * 3
            at[axis] = step
            beside |= outside[tuple(at)]
    beside &= volume[box]
    return beside


def _distances(surface: Volume, other: Volume, spacing: Spacing) -> NDArray[np.float64]:
    """From each voxel of `surface` to the nearest of `other`. A tree of the few surface voxels is faster than a map of all distances."""
    apart = np.argwhere(surface & ~other) * np.asarray(spacing)
    shared = np.zeros(int(np.count_nonzero(surface & other)))
    if not len(apart):
        return shared
    tree = cKDTree(np.argwhere(other) * np.asarray(spacing), balanced_tree=False, compact_nodes=False)
    return np.concatenate([shared, tree.query(apart)[0]])
