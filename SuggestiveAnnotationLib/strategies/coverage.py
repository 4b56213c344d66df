"""Coverage of the pool: k-centre greedy ("core-set", Sener and Savarese 2018), and the max-cover that other strategies build on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.points import (
    Floats,
    Ids,
    by_unit,
    features_of,
    latents_of,
    nearest_of,
    squared_lengths,
    squared_to,
)
from SuggestiveAnnotationLib.types import Rationale, describe


@dataclass(frozen=True, kw_only=True)
class _KCentreGreedy(BatchStrategy):
    """The unit farthest from everything annotated or suggested, again and again.

    Annotated units are the first centres; without any the first pick is drawn at random. With whole cases a point is the mean over the
    case's open slices, and a centre the mean over its annotated ones. The robust form of the published method (a mixed-integer program
    that leaves outliers out) is not used.
    """

    @abstractmethod
    def points(self, query: Query, slices: Ids) -> Floats:
        """One row a slice."""

    def from_annotated(self, points: Floats, centres: Floats) -> tuple[Floats, Ids]:
        """Squared distance of every point to the nearest annotated unit and which it is, `(n,)` each; infinite and -1 without any."""
        return nearest_of(points, centres)

    def choose(self, query: Query, board: Board) -> Choice:
        """Keep the distance to the nearest centre up to date: memory of the pool once, time of the pool once a pick."""
        slices, labelled = board.slices, np.flatnonzero(query.pool.labelled)
        units, points = by_unit(board, slices, self.points(query, slices))
        offset = points.mean(0)
        points = points - offset
        centres = by_unit(board, labelled, self.points(query, labelled))[1] - offset if len(labelled) else points[:0]
        squared, which = self.from_annotated(points, centres)
        first = np.unique(board.unit_of(labelled), return_index=True)[1]
        nearest = labelled[first][which] if len(labelled) else which
        norms, rng = squared_lengths(points), np.random.default_rng(query.seed)
        picks: list[tuple[int, Rationale]] = []
        while len(picks) < query.budget and (live := np.flatnonzero(board.open[units])).size:
            row = int(live[squared[live].argmax()]) if np.isfinite(squared[live[0]]) else int(rng.choice(live))
            picks.append((int(units[row]), self._rationale(query, float(squared[row]), int(nearest[row]), board.noun)))
            board.take(int(units[row]))
            away = squared_to(points, norms, points[row])
            closer = np.flatnonzero(away < squared)
            squared[closer] = away[closer]
            nearest[closer] = board.members(int(units[row]))[0]
        return Choice(picks)

    def _rationale(self, query: Query, squared: float, nearest: int, noun: str) -> Rationale:
        if nearest < 0:
            return Rationale(self.name, f"Drawn at random to begin with: no {noun} is annotated yet.", details={"distance": None})
        ref = query.pool.refs[nearest]
        where = describe(ref) if noun == "slice" else f"case {ref.case}"
        sentence = f"Chosen because it is the {noun} least like anything annotated or suggested before it; most like it is {where}."
        distance = float(np.sqrt(squared))
        return Rationale(self.name, sentence, score=distance, details={"distance": distance, "nearest": where})


@dataclass(frozen=True, kw_only=True)
class CoreSet(_KCentreGreedy):
    """k-centre greedy on the latents of the manifold. It looks at no model, so that it can draw a first batch."""

    name: ClassVar[str] = "core-set"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MANIFOLD})

    def points(self, query: Query, slices: Ids) -> Floats:
        """Latents."""
        return latents_of(query, slices)


@dataclass(frozen=True, kw_only=True)
class CoreSetNetwork(_KCentreGreedy):
    """k-centre greedy on the segmentation network's bottleneck features, averaged over the image: the published space."""

    name: ClassVar[str] = "core-set-network"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def points(self, query: Query, slices: Ids) -> Floats:
        """Bottleneck features."""
        return features_of(query, slices)


class MaxCover:
    """Greedy maximum cover: candidates that are most like as many others as possible.

    The cover of a set S is the sum over all represented units x of `max(0, max_{s in S} similarity(s, x))`; the candidate that adds most
    comes first, of equal ones the lower index. What a candidate adds only falls as others are chosen, so an old value bounds it from
    above and most need not be looked at again.

    Args:
        similarity: `(candidates, represented)`.
        covered: how well each represented unit is covered already, `(represented,)`; None: not at all.
    """

    def __init__(self, similarity: Floats, covered: Floats | None = None) -> None:
        self._similarity = similarity
        self._covered = np.zeros(similarity.shape[1], similarity.dtype) if covered is None else np.maximum(covered, 0)
        self._bound = np.full(len(similarity), np.inf)
        self._fresh = np.zeros(len(similarity), bool)

    def best(self, eligible: NDArray[np.bool_]) -> tuple[int, float] | None:
        """The eligible candidate that adds most, and what it adds; None where none is eligible."""
        if not eligible.any():
            return None
        while True:
            row = int(np.where(eligible, self._bound, -1.0).argmax())
            if self._fresh[row]:
                return row, float(self._bound[row])
            self._bound[row] = np.maximum(self._similarity[row] - self._covered, 0).sum(dtype=np.float64)
            self._fresh[row] = True

    def add(self, row: int) -> None:
        """Choose a candidate."""
        self._covered = np.maximum(self._covered, self._similarity[row])
        self._fresh[:] = False
