"""Strategies that look at no model: uniformly random, and evenly strided with jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, require
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.types import Rationale


@dataclass(frozen=True, kw_only=True)
class Random(BatchStrategy):
    """Uniformly at random without replacement: the baseline of all four papers."""

    name: ClassVar[str] = "random"

    def choose(self, query: Query, board: Board) -> Choice:
        """A random order of the open units, taken greedily under the minimum gap."""
        units = board.units
        order = np.random.default_rng(query.seed).permutation(units)
        reason = Rationale(self.name, f"Drawn at random from {len(units)} open {board.noun}s.", details={"open": len(units)})
        return Choice([(unit, reason) for unit in board.take_in_order(order)])


@dataclass(frozen=True, kw_only=True)
class Strided(BatchStrategy):
    """Evenly spaced slices of every case from a random start, the same number in every case of a batch (plus or minus one).

    Earlier batches do not count; `WidestGap` counts them.

    Cases with too few slices give what they have and the others share the rest. With whole cases as the unit, every n-th case from a
    random start. The rank goes round the cases, so that a batch cut short is equal per case too.

    Attributes:
        every: draw every so many slices of one case from a random start, before another case begins: what is drawn before filling between
            slices. 0: all cases alike. Without meaning for whole cases.

    Raises:
        InputError: `every` is negative.
    """

    name: ClassVar[str] = "strided"
    every: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.every >= 0, "every", self.every, "0 or more")

    def choose(self, query: Query, board: Board) -> Choice:
        """Systematic sampling inside every case; the start is random, the spacing even."""
        rng = np.random.default_rng(query.seed)
        units = board.units
        if self.every and query.unit == "slice":
            return self._case_by_case(query, board, rng)
        if query.unit == "case":
            count = min(query.budget, len(units))
            picks = units[strided_positions(np.arange(len(units)), count, gap=0, start=rng.random())]
            reason = Rationale(self.name, f"Every {len(units) / max(1, count):.3g}th case of the cohort, from a random start.")
            return Choice([(int(u), reason) for u in picks])
        case = board.case_of(units)
        groups = [units[case == c] for c in np.unique(case)]
        natives = [board.native_index(g) for g in groups]
        shares = equal_shares(np.array([capacity(n, query.min_gap) for n in natives]), query.budget, rng)
        chosen: list[tuple[int, int, float, int]] = []
        places = rng.permutation(len(groups))
        for place, group, native, share in zip(places, groups, natives, shares, strict=True):
            positions = strided_positions(native, int(share), gap=query.min_gap, start=rng.random())
            turns = rng.permutation(len(positions))
            stride = len(group) / max(1, len(positions))
            chosen += [(int(t), int(place), stride, int(group[p])) for t, p in zip(turns, positions, strict=True)]
        picks_out: list[tuple[int, Rationale]] = []
        for _, _, stride, unit in sorted(chosen):
            sentence = f"Evenly spaced through its case: about one in {max(1, round(stride))} open slices, from a random start."
            picks_out.append((unit, Rationale(self.name, sentence, details={"stride": stride})))
            board.take(unit)
        return Choice(picks_out)

    def _case_by_case(self, query: Query, board: Board, rng: np.random.Generator) -> Choice:
        units = board.units
        case, stride = board.case_of(units), max(self.every, query.min_gap + 1)
        sentence = f"One in {stride} slices of its case, from a random start: the slices between can be filled."
        reason = Rationale(self.name, sentence, details={"stride": float(stride)})
        picks: list[tuple[int, Rationale]] = []
        for one in rng.permutation(np.unique(case)):
            group = units[case == one]
            native = board.native_index(group)
            # As far up as all that is wanted still fits; where the case is too short, anywhere in the first stride.
            last = max(native[0] + stride - 1, native[-1] - stride * (query.budget - len(picks) - 1))
            start = int(rng.integers(native[0], min(last, native[-1]) + 1))
            row = group[(native >= start) & ((native - start) % stride == 0)]
            for unit in row[: query.budget - len(picks)].tolist():
                board.take(unit)
                picks.append((unit, reason))
            if len(picks) == query.budget:
                break
        short = f"no case has another open slice {stride} slices on from where its row began"
        return Choice(picks, reason="" if len(picks) == query.budget else short)


def equal_shares(capacities: NDArray[np.intp], total: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """How many each case gives: equal up to one, never more than its capacity; who gives the odd one is random."""
    shares = np.zeros(len(capacities), np.intp)
    while (left := total - int(shares.sum())) > 0 and (room := np.flatnonzero(shares < capacities)).size:
        each = left // len(room)
        if each:
            shares[room] = np.minimum(shares[room] + each, capacities[room])
        else:
            # The odd ones go where least was given, so that counts never differ by more than one.
            low = room[np.argsort(shares[room] + rng.random(len(room)))]
            shares[low[:left]] += 1
    return shares


def capacity(native: NDArray[np.intp], gap: int) -> int:
    """The most slices of ascending native indices that lie more than `gap` apart."""
    count, last = 0, -gap - 1
    for n in native.tolist():
        if n - last > gap:
            count, last = count + 1, n
    return count


def strided_positions(native: NDArray[np.intp], count: int, *, gap: int, start: float) -> list[int]:
    """Positions of `count` evenly spaced slices, more than `gap` apart; `count` must not exceed `capacity(native, gap)`.

    Args:
        native: ascending native slice indices that may be picked.
        start: in [0, 1), where inside the first stride to begin.
    """
    latest = [0] * count  # the last place each pick may take so that the ones after it still fit
    position, bound = len(native) - 1, None
    for k in reversed(range(count)):
        while bound is not None and bound - native[position] <= gap:
            position -= 1
        latest[k], bound = position, native[position]
        position -= 1
    picks: list[int] = []
    for k in range(count):
        earliest = picks[-1] + 1 if picks else 0
        while picks and native[earliest] - native[picks[-1]] <= gap:
            earliest += 1
        wanted = int((k + start) * len(native) / count)
        picks.append(min(max(wanted, earliest), latest[k]))
    return picks
