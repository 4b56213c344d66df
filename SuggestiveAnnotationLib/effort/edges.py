"""Crack boundaries: the pixel edges where the class changes, in the reference, in the prediction and in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.grid import LabelPair


@dataclass(frozen=True)
class Edges:
    """All edges where the reference or the prediction changes its value; arrays have one entry an edge.

    Attributes:
        before: flat position of the pixel above or left of the edge.
        across: direction, 0 to the pixel below, 1 to the pixel on the right.
        reference_before, reference_behind, prediction_before, prediction_behind: class numbers on both sides.
        lengths: millimetres of an edge of each direction `(2,)`.
    """

    before: NDArray[np.intp]
    across: NDArray[np.intp]
    reference_before: NDArray[Any]
    reference_behind: NDArray[Any]
    prediction_before: NDArray[Any]
    prediction_behind: NDArray[Any]
    lengths: NDArray[np.float64]


@dataclass(frozen=True)
class EdgeLengths:
    """Lengths in millimetres.

    Attributes:
        reference, prediction, shared: per class `(classes,)`.
        interfaces: the same three, every edge once.
    """

    reference: NDArray[np.float64]
    prediction: NDArray[np.float64]
    shared: NDArray[np.float64]
    interfaces: tuple[float, ...]


def find_edges(labels: LabelPair, spacing: tuple[float, float]) -> Edges:
    """Edges to the pixel below (as long as a column is wide) and to the right (as long as a row is high), excluded ones left out."""
    before = np.concatenate([labels.below, labels.right])
    across = np.repeat([0, 1], [labels.below.size, labels.right.size])
    behind = before + np.array([labels.width, 1])[across]
    if labels.ignored is not None or labels.mask is not None:
        keep = np.ones(before.size, bool)
        if labels.ignored is not None:
            keep &= ~(labels.ignored[before] | labels.ignored[behind])
        if labels.mask is not None:
            keep &= labels.mask[before] == labels.mask[behind]
        before, behind, across = before[keep], behind[keep], across[keep]
    values = (labels.reference[before], labels.reference[behind], labels.prediction[before], labels.prediction[behind])
    a, b, c, d = (labels.class_of.take(v) for v in values)
    return Edges(before, across, a, b, c, d, np.array(spacing[::-1], float))


def measure(edges: Edges, classes: int) -> EdgeLengths:
    """Add the lengths up, exactly: counts of edges times their length."""
    a, b, c, d = edges.reference_before, edges.reference_behind, edges.prediction_before, edges.prediction_behind
    reference, prediction = np.flatnonzero(a != b), np.flatnonzero(c != d)
    same_before, same_behind = a == c, b == d
    both = reference[c[reference] != d[reference]]
    before, behind = both[same_before[both]], both[same_behind[both]]
    return EdgeLengths(
        reference=_both_sides(edges, (a, reference), (b, reference), classes),
        prediction=_both_sides(edges, (c, prediction), (d, prediction), classes),
        shared=_both_sides(edges, (a, before), (b, behind), classes),
        interfaces=tuple(_length(edges, i) for i in (reference, prediction, before[same_behind[before]])),
    )


_Chosen = tuple[NDArray[Any], NDArray[np.intp]]  # class number of every edge on one side, and the edges to count


def _both_sides(edges: Edges, first: _Chosen, second: _Chosen, classes: int) -> NDArray[np.float64]:
    cls = np.concatenate([first[0][first[1]], second[0][second[1]]])
    return count_lengths(edges, cls, np.concatenate([first[1], second[1]]), classes=classes)


def _length(edges: Edges, index: NDArray[np.intp]) -> float:
    right = np.count_nonzero(edges.across[index])
    return float(edges.lengths[0] * (index.size - right) + edges.lengths[1] * right)


def count_lengths(edges: Edges, cls: NDArray[Any], index: NDArray[np.intp], *, classes: int) -> NDArray[np.float64]:
    """Length per class `(classes,)` of the edges `index`, each counted for the class number beside it in `cls`."""
    bins = cls + (classes + 1) * edges.across[index]
    counts = np.bincount(bins, minlength=2 * (classes + 1)).reshape(2, -1)[:, 1:]
    lengths: NDArray[np.float64] = edges.lengths[0] * counts[0] + edges.lengths[1] * counts[1]
    return lengths
