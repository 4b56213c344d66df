"""Template of every strategy that scores slices one by one and takes the highest: score, reduce to units, rank."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, finite, model_of
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.types import Rationale

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ScoringStrategy(BatchStrategy):
    """Highest score first; ties are broken at random by the seed. With whole cases: the mean over the case's candidate slices."""

    @abstractmethod
    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Scores of pool slices, `(n,)`, higher means sooner; nan where the slice must not be suggested by this strategy.

        Other strategies (stochastic batches) rank by the same scores.
        """

    @abstractmethod
    def sentence(self, score: float, noun: str) -> str:
        """Why a unit with this score, up to the place in the pool, which is added in brackets."""

    def shortfall_reason(self) -> str:
        """Why slices without a score are left out, half a sentence; "" for strategies that score all."""
        return ""

    def unit_scores(self, query: Query, board: Board) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The open units that have a score, ascending, and the means of their slices' scores; both `(n,)`."""
        slices = board.slices
        values = self.scores(query, slices)
        scored = ~np.isnan(values)
        finite(values[scored], slices[scored], query.pool.refs, "score")
        means = board.mean(slices[scored], values[scored])
        units = board.units[~np.isnan(means[board.units])]
        return units, means[units]

    def choose(self, query: Query, board: Board) -> Choice:
        """Rank the units by their mean score."""
        every = len(board.units)
        units, means = self.unit_scores(query, board)
        order = descending(means, query.seed)
        place = {int(unit): number for number, unit in enumerate(units[order], start=1)}
        score = dict(zip(units.tolist(), means.tolist(), strict=True))
        taken = board.take_in_order(units[order].tolist())
        picks = [(unit, self._rationale(score[unit], place[unit], len(units), board.noun)) for unit in taken]
        return Choice(picks, reason=self.shortfall_reason() if len(units) < every else "")

    def _rationale(self, score: float, place: int, of: int, noun: str) -> Rationale:
        per_cent = max(1, math.ceil(100 * place / of))
        where = f"among the top {per_cent} % of {of} open {noun}s" if of > 1 else f"the only open {noun}"
        return Rationale(self.name, f"{self.sentence(score, noun)} ({where}).", score=score, details={"place": place, "of": of})


def over_probabilities(query: Query, slices: NDArray[np.intp], reduce: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float64]:
    """Numbers of every slice from the model's class probabilities, streamed in the model's batches and reduced on its device.

    Args:
        reduce: `(n, K+1, rows, columns)` -> `(n,)` or `(n, m)`.

    Raises:
        StudyError: the model gives something that is not a finite number.
    """
    return over_batches(query, slices, model_of(query).probabilities(slices.tolist()), reduce)


def over_batches(
    query: Query,
    slices: NDArray[np.intp],
    batches: Iterable[tuple[NDArray[np.intp], torch.Tensor]],
    reduce: Callable[[torch.Tensor], torch.Tensor],
) -> NDArray[np.float64]:
    """The same from any batches of (pool indices, tensor) that a model gives of `slices`; in the order of `slices`."""
    parts = [(index, reduce(p).cpu().double().numpy()) for index, p in batches]
    values = dict(zip(np.concatenate([i for i, _ in parts]).tolist(), np.concatenate([v for _, v in parts]).tolist(), strict=True))
    return finite(np.array([values[i] for i in slices.tolist()]), slices, query.pool.refs, "model output")


def descending(values: NDArray[np.float64], seed: int) -> NDArray[np.intp]:
    """Places by falling value; equal ones in an order drawn by the seed."""
    ties = np.random.default_rng(seed).permutation(len(values))
    return np.lexsort((ties, -values))
