"""Stochastic batches (stochastic-batches paper, 2023): the best of many random batches, by the mean of any score."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.registry import entry, requirements, strategy
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy
from SuggestiveAnnotationLib.types import Rationale

Batches = Literal["partition", "independent"]


@dataclass(frozen=True, kw_only=True)
class StochasticBatches(BatchStrategy):
    """Q random batches of B units, B the budget and Q = units / B; the batch with the highest mean score wins.

    A score counts for a whole case as the mean over its slices. Under a minimum gap every batch keeps it by itself.

    Attributes:
        scorer: name of the scoring strategy.
        scorer_options: its options; in the catalogue they are given beside the strategy's own.
        batches: "partition": the units are shuffled once and dealt out, as in the authors' code. "independent": each batch is drawn anew
            from all units, as the paper may be read too.
    """

    name: ClassVar[str] = "stochastic-batches"

    scorer: str = "entropy"
    scorer_options: Mapping[str, Any] = field(default_factory=dict)
    batches: Batches = "partition"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.batches in get_args(Batches), "batches", self.batches, " or ".join(get_args(Batches)))
        self._scoring()

    @property
    def requires(self) -> frozenset[Requirement]:  # type: ignore[override]
        """What the scorer needs."""
        return requirements(self.scorer)

    def choose(self, query: Query, board: Board) -> Choice:
        """Score all, draw batches, take the best; inside it the highest score comes first."""
        if not query.budget:
            return Choice(())
        scorer = self._scoring()
        units, values = scorer.unit_scores(query, board)
        score = dict(zip(units.tolist(), values.tolist(), strict=True))
        batches = list(self._drawn(units, query, board))
        # A batch that the gap has cut short wins only where all are.
        most = max(map(len, batches), default=0)
        whole = [(float(np.mean([score[u] for u in batch])), batch) for batch in batches if len(batch) == most > 0]
        if not whole:
            return Choice((), reason=scorer.shortfall_reason())
        mean, best = max(whole, key=lambda one: one[0])
        picks = []
        for unit in sorted(best, key=lambda u: -score[u]):
            board.take(unit)
            picks.append((unit, self._rationale(score[unit], mean, len(whole), len(best), board.noun)))
        return Choice(picks, reason=scorer.shortfall_reason() if len(units) < query.budget else "")

    def _drawn(self, units: NDArray[np.intp], query: Query, board: Board) -> Iterator[list[int]]:
        rng = np.random.default_rng(query.seed)
        left = deque(rng.permutation(units).tolist())
        for _ in range(max(1, len(units) // query.budget)):
            order = map(int, rng.permutation(units)) if self.batches == "independent" else _emptied(left)
            batch, passed_over = _apart(order, query.budget, board)
            left.extendleft(reversed(passed_over))
            yield batch

    def _rationale(self, score: float, mean: float, of: int, size: int, noun: str) -> Rationale:
        scorer = entry(self.scorer)
        details = {"scorer": scorer.name, "scorer_options": dict(self.scorer_options), "batches": of, "batch_score": mean}
        among = f"In the best of {of} random batches of {size}" if of > 1 else f"In the only batch of {size} that could be drawn"
        # Acronyms in it stay as they are.
        by = scorer.title[:1].lower() + scorer.title[1:]
        sentence = f"{among}, by {by}: mean score {mean:.3g}, of this {noun} {score:.3g}."
        return Rationale(self.name, sentence, score=score, details=details)

    def _scoring(self) -> ScoringStrategy:
        """Raises: InputError, where the scorer is none or its options make no sense."""
        built: object = strategy(self.scorer, **self.scorer_options)
        if isinstance(built, ScoringStrategy):
            return built
        raise InputError(f"Option scorer cannot be {self.scorer!r}.", hint="It must be a strategy that scores slices one by one.")


def _emptied(left: deque[int]) -> Iterator[int]:
    while left:
        yield left.popleft()


def _apart(order: Iterator[int], count: int, board: Board) -> tuple[list[int], list[int]]:
    """The first units of an order that the minimum gap allows together, and those that were passed over."""
    batch: list[int] = []
    passed_over: list[int] = []
    closed: set[int] = set()
    for unit in order:
        if unit in closed:
            passed_over.append(unit)
            continue
        batch.append(unit)
        if len(batch) == count:
            break
        closed.update(board.closed_by(unit).tolist())
    return batch, passed_over
