"""How far each reference edge lies from the nearest predicted edge of its class, as far as the tolerances reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.edges import Edges, count_lengths
from SuggestiveAnnotationLib.effort.grid import LabelPair

_ROUNDING = 1 + 1e-9  # a distance that equals the tolerance counts, whatever the last bit of its square root


def shared_within(
    edges: Edges, labels: LabelPair, spacing: tuple[float, float], tolerances_mm: Sequence[float]
) -> list[NDArray[np.float64]]:
    """Length of the reference edges whose midpoint lies within each tolerance of the midpoint of a predicted edge of the class.

    Edge midpoints lie on the grid of half pixels. Reference edges look there at every offset in reach, nearest first, and leave when
    they have found one, so the cost grows with the square of the largest tolerance: meant for a few pixels.

    Returns:
        For each tolerance millimetres per class `(classes,)`.
    """
    offsets, distances = _reach(spacing, max(tolerances_mm))
    margin = int(np.abs(offsets).max())
    width = 2 * (labels.width + margin)
    row, column = np.divmod(edges.before, labels.width)
    place = (2 * row + (edges.across == 0) + margin) * width + 2 * column + edges.across + margin

    before, behind = np.zeros((2, 2 * (labels.height + margin) * width), labels.class_of.dtype)
    drawn = np.flatnonzero(edges.prediction_before != edges.prediction_behind)
    before[place[drawn]] = edges.prediction_before[drawn]
    behind[place[drawn]] = edges.prediction_behind[drawn]
    predicted = np.zeros(labels.classes + 1, bool)
    predicted[edges.prediction_before[drawn]] = predicted[edges.prediction_behind[drawn]] = True
    predicted[0] = False

    changes = np.flatnonzero(edges.reference_before != edges.reference_behind)
    index = np.concatenate([changes, changes])
    cls = np.concatenate([edges.reference_before[changes], edges.reference_behind[changes]])
    hopeful = predicted[cls]
    index, cls = index[hopeful], cls[hopeful]
    distance = _nearest(place[index], cls, before, behind, offsets[:, 0] * width + offsets[:, 1], distances)
    out = []
    for tolerance in tolerances_mm:
        near = distance <= tolerance * _ROUNDING
        out.append(count_lengths(edges, cls[near], index[near], classes=labels.classes))
    return out


def _nearest(
    place: NDArray[np.intp],
    cls: NDArray[Any],
    before: NDArray[Any],
    behind: NDArray[Any],
    steps: NDArray[np.intp],
    distances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distance of each edge to the first hit; infinite where there is none in reach."""
    out = np.full(place.size, np.inf)
    left = np.arange(place.size)
    for step, distance in zip(steps, distances, strict=True):
        there = place + step
        hit = (before[there] == cls) | (behind[there] == cls)
        out[left[hit]] = distance
        missed = ~hit
        left, place, cls = left[missed], place[missed], cls[missed]
        if not left.size:
            break
    return out


def _reach(spacing: tuple[float, float], tolerance: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Offsets (row, column) in half pixels between two edge midpoints, nearest first, and their lengths in millimetres."""
    half = (spacing[0] / 2, spacing[1] / 2)
    reach = [int(tolerance * _ROUNDING / h) for h in half]
    row, column = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1].reshape(2, -1)
    distance = np.hypot(row * half[0], column * half[1])
    # Parallel edges lie whole pixels apart, edges at right angles an odd number of half pixels both ways.
    keep = ((row - column) % 2 == 0) & (distance <= tolerance * _ROUNDING)
    order = np.argsort(distance[keep], kind="stable")
    return np.stack([row[keep], column[keep]], axis=1)[order], distance[keep][order]
