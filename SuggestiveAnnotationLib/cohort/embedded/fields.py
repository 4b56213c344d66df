"""Smooth random fields and deformations that do not fold, for the embedded cohort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

_SPLINE_DEVIATION = (151 / 315) ** 1.5  # of a cubic B-spline field with unit-variance coefficients, in three dimensions


def upsample(control: Floats, positions: Sequence[NDArray[Any]]) -> Floats:
    """Evaluate a cubic B-spline with coefficients `control` on a regular grid.

    Args:
        control: coefficients, `(a, b, c)`.
        positions: per axis, where to evaluate, in units of knots; knots beyond the ends repeat the last.

    Returns:
        float32 of shape `(len(positions[0]), len(positions[1]), len(positions[2]))`.
    """
    out = control.astype(np.float32)
    for axis in (2, 1, 0):  # the first axis last: there a plane is one block of memory
        where = np.asarray(positions[axis], np.float64)
        base = np.floor(where).astype(int)
        t = where - base
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        total: Floats | None = None
        for k, weight in enumerate(weights):
            part = np.take(out, np.clip(base + k - 1, 0, out.shape[axis] - 1), axis)
            part *= (weight / 6).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        out = total
    return out


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], knots: float) -> Floats:
    """A smooth random field of mean 0 and deviation 1.

    Args:
        shape, spacing: of the grid, spacing in millimetres.
        knots: millimetres between spline knots; structures are about twice as large.
    """
    size = [int(np.ceil(n * s / knots)) + 4 for n, s in zip(shape, spacing, strict=True)]
    control = rng.standard_normal(size, dtype=np.float32)
    positions = [np.arange(n) * s / knots + 1.5 for n, s in zip(shape, spacing, strict=True)]
    return upsample(control / np.float32(_SPLINE_DEVIATION), positions)


def exponential(velocity: Floats, step: float, *, squarings: int = 5) -> Floats:
    """Displacement of a stationary velocity field by scaling and squaring: smooth, invertible, without folds.

    Args:
        velocity: `(3, a, b, c)` in millimetres, on a lattice with `step` millimetres between points.
        step: see `velocity`.
        squarings: the field is divided by 2 to this power before it is composed with itself.

    Returns:
        The displacement in millimetres, same shape.
    """
    out = velocity / np.float32(2**squarings)
    for _ in range(squarings):
        out = compose(out, out, step)
    return out


def compose(outer: Floats, inner: Floats, step: float) -> Floats:
    """Displacement of first `inner`, then `outer`: `inner(u) + outer(u + inner(u))`, `(3, a, b, c)` in millimetres."""
    grid = np.indices(inner.shape[1:], dtype=np.float32)
    where = grid + inner / np.float32(step)
    moved = [ndimage.map_coordinates(part, where, order=1, mode="nearest", output=np.float32) for part in outer]
    return np.asarray(inner + np.stack(moved), np.float32)
