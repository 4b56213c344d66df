"""Committees of networks: their pixel-wise variance, and deep active learning ("suggestive annotation", Yang et al. 2017) on top of it.

Both follow the 2022 paper's re-implementation: 4 networks on bootstraps of the annotated slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, committee_of, finite, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.coverage import MaxCover
from SuggestiveAnnotationLib.strategies.points import Floats, Ids, by_unit, directions_of, sample, stacked
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy
from SuggestiveAnnotationLib.types import Rationale

TOGETHER = 32
"""Slices whose probabilities are held at a time."""

REPRESENTED = 4096
"""Open units that the cover is measured on, at the most."""


def committee_variance(query: Query, slices: Ids) -> NDArray[np.float64]:
    """Variance of the class probabilities over the networks, summed over the classes, averaged over the pixels, `(n,)`.

    Raises: StudyError, without a committee or where a network gives something that is not finite.
    """
    out = np.empty(len(slices))
    for start in range(0, len(slices), TOGETHER):
        some = slices[start : start + TOGETHER]
        mean = spread = torch.zeros(())
        for count, network in enumerate(committee_of(query), 1):
            # One pass over the networks (Welford), so that memory does not grow with their number.
            given = torch.cat([p.float() for _, p in network.probabilities(some.tolist())])
            before = given - mean
            mean = mean + before / count
            spread = spread + before * (given - mean)
        variance = spread / len(committee_of(query))
        out[start : start + TOGETHER] = variance.sum(1).cpu().double().mean((1, 2)).numpy()
    return finite(out, slices, query.pool.refs, "committee's output")


@dataclass(frozen=True, kw_only=True)
class CommitteeVariance(ScoringStrategy):
    """Highest variance of the committee first: deep active learning without its representative half."""

    name: ClassVar[str] = "committee-variance"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.COMMITTEE})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """See `committee_variance`; 0 where all networks agree."""
        return committee_variance(query, slices)

    def sentence(self, score: float, noun: str) -> str:
        """Name the variance."""
        return f"The networks trained on different draws of the annotations disagree most here: mean variance {score:.2g}"


@dataclass(frozen=True, kw_only=True)
class DeepActiveLearning(BatchStrategy):
    """Uncertain and representative: of the most uncertain candidates, chunk after chunk, those that stand for most of the pool.

    As the 2022 paper describes it: of the 20 most uncertain candidates max-cover takes 10, then of the next 20, until the budget is met,
    each chunk by itself. Similarity is the cosine of the bottleneck features, averaged over the networks. What a chunk leaves comes again
    only when all candidates have had their turn. The cover is measured on at most 4,096 open units, drawn by the seed. Whole cases have
    the mean over their open slices.

    Attributes:
        chunk: candidates looked at together.
        candidates: how many times more candidates than picks; 1: the committee's variance alone.
    """

    name: ClassVar[str] = "dal"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.COMMITTEE})

    chunk: int = 20
    candidates: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.chunk >= 1, "chunk", self.chunk, "1 or more slices")
        require(self.candidates >= 1, "candidates", self.candidates, "1 or more")

    def choose(self, query: Query, board: Board) -> Choice:
        """Walk down the order of uncertainty, a chunk at a time."""
        slices = board.slices
        units, variance = by_unit(board, slices, committee_variance(query, slices))
        ties = np.random.default_rng(query.seed).permutation(len(units))
        waiting = np.lexsort((ties, -variance))
        others = self._features(query, board, units[sample(np.arange(len(units)), REPRESENTED, [query.seed, 1])])
        picks: list[tuple[int, Rationale]] = []
        while len(picks) < query.budget and (waiting := waiting[board.open[units[waiting]]]).size:
            wanted = query.budget - len(picks)
            rows = waiting[: min(self.chunk, self.candidates * wanted)]
            quota = max(1, min(wanted, len(rows) // self.candidates))
            cover = MaxCover(self._features(query, board, units[rows]) @ others.T)
            left = np.ones(len(rows), bool)
            for _ in range(quota):
                best = cover.best(left & board.open[units[rows]])
                if best is None:
                    break
                place = best[0]
                left[place] = False
                cover.add(place)
                unit, value = int(units[rows[place]]), float(variance[rows[place]])
                picks.append((unit, self._rationale(query, value, best[1] / len(others), board.noun)))
                board.take(unit)
            waiting = np.concatenate([waiting[len(rows) :], rows[left]])
        return Choice(picks)

    def _features(self, query: Query, board: Board, units: Ids) -> Floats:
        """Rows whose products are the mean over the networks of the cosines of their features, in the order of `units`."""
        ascending = np.argsort(units)
        slices = np.concatenate([board.members(int(u)) for u in units[ascending]])
        parts = []
        for network in committee_of(query):
            rows = stacked(network.features(slices.tolist()), slices, query.pool.refs, "feature")
            parts.append(directions_of(by_unit(board, slices, rows)[1]))
        joined = np.concatenate(parts, axis=1) / np.float32(np.sqrt(len(parts)))
        out: Floats = np.empty_like(joined)
        out[ascending] = joined
        return out

    def _rationale(self, query: Query, variance: float, cover: float, noun: str) -> Rationale:
        count = len(committee_of(query))
        sentence = (
            f"Chosen because {count} networks disagree about it (mean variance {variance:.2g}) "
            f"and because it resembles other unannotated {noun}s more than the candidates beside it."
        )
        return Rationale(self.name, sentence, score=variance, details={"variance": variance, "cover_gain": cover, "networks": count})
