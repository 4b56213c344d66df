"""Who picks when, and how many of a case: the order of turns among sources, and equal shares of the cases."""

from __future__ import annotations

import heapq
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import Board

Ids = NDArray[np.intp]


def in_turn(ways: Ids, seed: int) -> Ids:
    """Rows in the order in which directions take turns: the ways (structures, say) in an order drawn by the seed, a row of each at a time.

    Inside a way the rows keep their order.
    """
    kinds, way = np.unique(ways, return_inverse=True)
    rank = np.random.default_rng([seed, 2]).permutation(len(kinds))[way]
    before = np.zeros(len(ways), np.intp)
    for kind in range(len(kinds)):
        mine = np.flatnonzero(way == kind)
        before[mine] = np.arange(len(mine))
    return np.lexsort((rank, before))


def in_proportion(weights: NDArray[np.float64], count: int) -> list[int]:
    """`count` turns among rows in proportion to their weights, spread evenly, the heaviest first (method of Sainte-Lague).

    Weights at or below 0 get turns only when there is nothing else. Equal ones: the lower row first.
    """
    # A turn is due at (turns so far + 1/2) / weight.
    floor = max(float(weights.max(initial=0)) * 1e-9, np.finfo(float).tiny)
    weight = np.maximum(weights, floor).tolist()
    due = [(0.5 / w, row) for row, w in enumerate(weight)]
    heapq.heapify(due)
    out: list[int] = []
    while len(out) < count and due:
        when, row = due[0]
        out.append(row)
        heapq.heapreplace(due, (when + 1 / weight[row], row))
    return out


class CaseShare:
    """Keeps a batch spread over the cases: a case is closed once it gave `ceil(budget / cases) + 1` slices.

    Args:
        board: with slices as units.
        budget: of the batch.
    """

    def __init__(self, board: Board, budget: int) -> None:
        self._board = board
        self._of = board.case_of(np.arange(len(board.open)))
        self._given: Counter[int] = Counter()
        cases = len(np.unique(board.case_of(board.units)))
        self.most = -(-budget // max(1, cases)) + 1

    def closes(self, unit: int) -> Ids:
        """What picking the slice closes. Counts the pick."""
        case = int(self._of[unit])
        self._given[case] += 1
        return np.flatnonzero(self._of == case) if self._given[case] >= self.most else self._board.closed_by(unit)
