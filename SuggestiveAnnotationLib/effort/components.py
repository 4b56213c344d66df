"""Areas and false components, from runs of pixels in a row instead of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from SuggestiveAnnotationLib.effort.grid import LabelPair


@dataclass(frozen=True)
class Runs:
    """Stretches of a row in which neither reference nor prediction changes, in order; the one that begins the grid is left out.

    Attributes:
        start, length: flat position of the first pixel, and pixels.
        reference, prediction: class numbers, 0 no class.
    """

    start: NDArray[np.intp]
    length: NDArray[np.intp]
    reference: NDArray[Any]
    prediction: NDArray[Any]


def find_runs(labels: LabelPair) -> Runs:
    """All runs of a pair."""
    start = labels.right + 1
    length = np.diff(start, append=labels.reference.size)
    return Runs(start, length, labels.class_of.take(labels.reference[start]), labels.class_of.take(labels.prediction[start]))


def count_differences(runs: Runs, classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels added, in the reference only, and removed, in the prediction only; each `(classes,)`."""
    differ = np.flatnonzero(runs.reference != runs.prediction)
    pixels = runs.length[differ]
    added, removed = (np.bincount(side[differ], pixels, classes + 1)[1:].astype(np.intp) for side in (runs.reference, runs.prediction))
    return added, removed


def false_components(runs: Runs, labels: LabelPair) -> NDArray[np.intp]:
    """8-connected components of the prediction that share no pixel with the reference of their class, `(classes,)`.

    Ignored pixels belong to no component; a component that they cut in two is two.
    """
    width = labels.width
    changes = np.flatnonzero(np.diff(runs.prediction, prepend=0))
    begins = changes[runs.prediction[changes] != 0]
    if not begins.size:
        return np.zeros(labels.classes, np.intp)
    cls_of = runs.prediction[begins]
    starts, ends = runs.start[begins], runs.start[changes[1:]][runs.prediction[changes[:-1]] != 0]
    true = np.logical_or.reduceat((runs.prediction == runs.reference) & (runs.prediction != 0), begins)
    # All runs with a true pixel are one node, 0: what hangs on any of them is no false component. So the graph is mostly small.
    node = np.cumsum(~true)
    node[true] = 0
    first, last = starts[~true], ends[~true]
    rows = np.array([-width, width])  # runs above and below count from corner to corner
    near_from = np.searchsorted(ends, first[:, None] + rows - 1, side="right")
    near_to = np.searchsorted(starts, last[:, None] + rows + 1, side="left")
    source, near = _pairs(near_from.ravel(), near_to.ravel())
    source //= 2
    linked = cls_of[near] == cls_of[~true][source]
    source, target = source[linked], node[near[linked]]
    bounds = np.zeros(first.size + 2, np.intp)  # of each node's links; node 0 needs none of its own
    np.cumsum(np.bincount(source, minlength=first.size), out=bounds[2:])
    graph = csr_array((np.ones(target.size), target, bounds), shape=(first.size + 1, first.size + 1))
    count, component = connected_components(graph, directed=False)
    cls = np.zeros(count, np.intp)
    cls[component[1:]] = cls_of[~true]
    cls[component[0]] = 0
    return np.bincount(cls, minlength=labels.classes + 1)[1:]


def _pairs(begin: NDArray[np.intp], end: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every (i, j) with begin[i] <= j < end[i], as two arrays."""
    length = end - begin
    index = np.repeat(np.arange(length.size), length)
    return index, np.arange(index.size) + np.repeat(begin - np.cumsum(length) + length, length)
