"""Diverse gradients: k-means++ sampling over gradient embeddings, after BADGE (Ash et al., ICLR 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, model_of
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.points import by_unit, squared_lengths, squared_to, stacked
from SuggestiveAnnotationLib.types import Rationale


@dataclass(frozen=True, kw_only=True)
class GradientEmbedding(BatchStrategy):
    """k-means++ over the last layer's gradients against the model's own labels: long gradients and different ones are likelier.

    The published method is for classification; here a slice's embedding is the mean over its pixels, and a case's the mean over its open
    slices. The first pick has the longest embedding; each further one is drawn with a probability in proportion to its squared distance
    to the nearest pick.
    """

    name: ClassVar[str] = "badge"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def choose(self, query: Query, board: Board) -> Choice:
        """Keep the distance to the nearest pick up to date."""
        slices = board.slices
        gradients = stacked(model_of(query).gradient_embeddings(slices.tolist()), slices, query.pool.refs, "gradient embedding")
        units, points = by_unit(board, slices, gradients)
        # The size of gradients is arbitrary and may be tiny; squares must not underflow.
        largest = float(np.abs(points).max(initial=0))
        points = points / np.float32(largest or 1.0)
        norms = squared_lengths(points)
        squared, rng = np.full(len(units), np.inf), np.random.default_rng(query.seed)
        picks: list[tuple[int, Rationale]] = []
        while len(picks) < query.budget and (live := np.flatnonzero(board.open[units])).size:
            weights = squared[live]
            if not picks:
                row = int(live[norms[live].argmax()])
            elif weights.sum() > 0:
                row = int(rng.choice(live, p=weights / weights.sum()))
            else:
                row = int(rng.choice(live))
            distance = largest * float(np.sqrt(squared[row])) if picks else None
            picks.append((int(units[row]), self._rationale(largest * float(np.sqrt(norms[row])), distance)))
            board.take(int(units[row]))
            squared = np.minimum(squared, squared_to(points, norms, points[row]).astype(np.float64))
        return Choice(picks)

    def _rationale(self, length: float, distance: float | None) -> Rationale:
        if distance is None:
            sentence = "Chosen because the model is least sure of its own outline here: its gradient is the longest."
        else:
            sentence = "Drawn because the model would learn something else from it than from the picks before it: its gradient differs."
        return Rationale(self.name, sentence, score=length, details={"gradient_length": length, "distance": distance})
