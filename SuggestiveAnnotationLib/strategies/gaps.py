"""Evenly spaced between what is annotated already: what to draw before the slices between are filled in."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.types import Rationale


@dataclass(frozen=True, kw_only=True)
class WidestGap(BatchStrategy):
    """Slices that split the widest stretches without annotation evenly; every case comes to the same number in all, plus or minus one.

    The first and the last slice of a case that are not blank count as the ends of its stretches. With whole cases as the unit, those with
    the fewest annotated slices. Filled slices count nowhere, though there is no gap where they lie. The rank goes round the cases, so that
    a batch cut short is equal per case too.
    """

    name: ClassVar[str] = "widest-gap"

    def choose(self, query: Query, board: Board) -> Choice:
        """Share the budget out over the cases, place the shares; where a minimum gap gets in the way, again with what is left."""
        rng = np.random.default_rng(query.seed)
        pool = query.pool
        every = np.arange(len(pool.refs))
        case_of, native = board.case_of(every), board.native_index(every)
        annotated = np.bincount(case_of[pool.by_people], minlength=int(case_of.max()) + 1)
        if query.unit == "case":
            fewest = board.units[np.lexsort((rng.permutation(len(board.units)), annotated[board.units]))]
            return Choice([(unit, _of_case(self.name, int(annotated[unit]))) for unit in board.take_in_order(fewest.tolist())])
        drawn = pool.labelled.copy()
        shown = ~pool.blank
        chosen: list[tuple[int, int, int, float]] = []
        while len(chosen) < query.budget and board.open.any():
            open_in = np.bincount(case_of[board.units], minlength=len(annotated))
            shares = level(annotated, open_in, query.budget - len(chosen), rng)
            for place, case in enumerate(rng.permutation(np.flatnonzero(shares)).tolist()):
                of_case = native[(case_of == case) & shown]
                ends = (int(of_case.min()) - 1, int(of_case.max()) + 1)
                targets = even_targets(ends, native[(case_of == case) & drawn].tolist(), int(shares[case]))
                for turn, (target, stretch) in enumerate(rng.permutation(np.array(targets)).tolist()):
                    units = board.units[case_of[board.units] == case]
                    if not len(units):
                        break
                    unit = int(units[np.abs(native[units] - target).argmin()])
                    board.take(unit)
                    drawn[unit] = True
                    annotated[case] += 1
                    chosen.append((turn, place, unit, stretch))
        return Choice([(unit, _of_slice(self.name, stretch)) for _, _, unit, stretch in sorted(chosen)])


def level(counts: NDArray[np.intp], room: NDArray[np.intp], total: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """How many more each case gets so that all come to the same number, never more than it has room for; ties are random."""
    shares = np.zeros_like(counts)
    tie = rng.permutation(len(counts)).tolist()
    lowest = [(int(counts[c]), tie[c], c) for c in np.flatnonzero(room).tolist()]
    heapq.heapify(lowest)
    for _ in range(total):
        if not lowest:
            break
        count, order, case = heapq.heappop(lowest)
        shares[case] += 1
        if shares[case] < room[case]:
            heapq.heappush(lowest, (count + 1, order, case))
    return shares


def even_targets(ends: tuple[int, int], drawn: list[int], count: int) -> list[tuple[float, float]]:
    """Places of `count` new slices that leave the widest remaining stretch as narrow as can be, each with that stretch's width.

    Args:
        ends: places just outside the case. drawn: places of the slices there are.
    """
    stretches = list(pairwise(sorted({*ends, *drawn})))
    pieces = [1] * len(stretches)
    # Widest first.
    heap = [(-float(b - a), k) for k, (a, b) in enumerate(stretches)]
    heapq.heapify(heap)
    for _ in range(count):
        k = heapq.heappop(heap)[1]
        pieces[k] += 1
        a, b = stretches[k]
        heapq.heappush(heap, (-(b - a) / pieces[k], k))
    return [(a + (b - a) * j / n, (b - a) / n) for (a, b), n in zip(stretches, pieces, strict=True) for j in range(1, n)]


def _of_slice(name: str, stretch: float) -> Rationale:
    sentence = f"Evenly spaced between the annotated slices of its case: with it, one in about {max(1, round(stretch))} is."
    return Rationale(name, sentence, details={"stretch": stretch})


def _of_case(name: str, annotated: int) -> Rationale:
    sentence = f"Among the cases with the fewest annotated slices ({annotated})."
    return Rationale(name, sentence, details={"annotated": annotated})
