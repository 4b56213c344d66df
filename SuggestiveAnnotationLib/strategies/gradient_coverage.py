"""Coverage of the pool that reaches farther where the model's error grows: k-centre greedy with gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, finite, manifold_of, model_of, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.coverage import CoreSet
from SuggestiveAnnotationLib.strategies.directions import Direction, encoder_direction, manifold_direction
from SuggestiveAnnotationLib.strategies.points import Floats, Ids, directions_of, latents_of
from SuggestiveAnnotationLib.types import Rationale

AnyDirection = Literal[Direction, "random"]


@dataclass(frozen=True, kw_only=True)
class GradientCoreSet(BatchStrategy):
    """k-centre greedy on the latents, where a distance from an annotated slice counts more along its loss gradient than against it.

    The distance from an annotated unit at z with the gradient's direction u on the manifold (|u| = 1, as in `gradient.GradientGuided`) to
    a point z_j is that of a Randers metric, `|v| + pull <u, v>` with `v = z_j - z`: it is `|v| (1 + pull)` along u and `|v| (1 - pull)`
    against it. Units without a gradient (an empty or filled annotation, suggested a moment ago) have the plain distance. The 2022 paper
    steps along u and takes what is nearest; here the pool's farthest point is taken, so that picks do not crowd around what is annotated.
    While nothing is annotated, `Query.sources` stand in for what is, and may be picked themselves.

    Attributes:
        pull: from -1 to 1; 0: `core-set`; negative: away from the gradient, a control.
        direction: "encoder", "manifold": see `gradient.GradientGuided`. "random": a control, drawn for every unit with a gradient.
    """

    name: ClassVar[str] = "gradient-core-set"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL, Requirement.MANIFOLD})

    pull: float = 0.5
    direction: AnyDirection = "manifold"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(-1 <= self.pull <= 1, "pull", self.pull, "from -1 to 1")
        known = get_args(AnyDirection)
        require(self.direction in known, "direction", self.direction, " or ".join(known))

    def choose(self, query: Query, board: Board) -> Choice:
        """Directions first, then the greedy choice, then where each pick lies and where the gradient of its source points."""
        if query.sources and not query.pool.labelled.any():
            # The board was made before, so they stay open.
            stand_ins = np.isin(np.arange(len(query.pool.refs)), query.sources)
            query = replace(query, pool=replace(query.pool, labelled=stand_ins))
        annotated, ways = self._directions(query, board)
        labelled, slices = np.flatnonzero(query.pool.labelled), board.slices
        starts, ends = (board.mean(of, latents_of(query, of)) for of in (labelled, slices))
        choice = _Asymmetric(pull=self.pull, ways=ways).choose(query, board)
        way_of = dict(zip(annotated.tolist(), ways, strict=True))
        place_of = {query.pool.refs[index]: index for index in labelled}
        picks = []
        for unit, reason in choice.picks:
            if reason.source is not None:
                source = int(board.unit_of(np.array([place_of[reason.source]]))[0])
                start, end, way = starts[source], ends[unit], way_of[source]
                details = {**reason.details, "pull": self.pull, "direction": self.direction}
                reason = replace(reason, details=details)
                if way.any():
                    # As far along the gradient as the pick lies away: beside each other the two show how far it was followed.
                    projected = start + np.linalg.norm(end - start) * way
                    vectors = {"source_latent": start, "projected": projected, "chosen_latent": end}
                    told = {name: tuple(one.tolist()) for name, one in vectors.items()}
                    reason = replace(reason, sentence=self._sentence(reason.sentence), **told)  # type: ignore[arg-type]
            picks.append((unit, reason))
        return replace(choice, picks=picks)

    def _sentence(self, plain: str) -> str:
        """The core set's, and what the direction of the nearest annotated unit does to it."""
        if not self.pull:
            return plain
        which = "a random direction (a control)" if self.direction == "random" else "the direction in which the model's error grows"
        return f"{plain[:-1]}, from which distances count {'more' if self.pull > 0 else 'less'} in {which}."

    def _directions(self, query: Query, board: Board) -> tuple[Ids, Floats]:
        """Annotated units, ascending, and a unit direction each, of a case that of the sum; zero where no slice has a gradient."""
        order = np.unique(board.unit_of(np.flatnonzero(query.pool.labelled)))
        moves = np.zeros((len(order), manifold_of(query).latents.shape[1]))
        carry = manifold_direction if self.direction == "manifold" else encoder_direction
        for index, images, _, gradients in model_of(query).loss_gradients(np.flatnonzero(query.pool.by_people).tolist()):
            moved = carry(manifold_of(query), images, gradients).cpu().double().numpy()
            finite(moved, index, query.pool.refs, "step on the manifold")
            np.add.at(moves, np.searchsorted(order, board.unit_of(index)), moved)
        if self.direction == "random":
            drawn = np.random.default_rng([query.seed, 1]).standard_normal(moves.shape)
            moves = drawn * moves.any(axis=1, keepdims=True)
        return order, directions_of(moves)


@dataclass(frozen=True, kw_only=True)
class _Asymmetric(CoreSet):
    """The greedy choice, with a direction for every annotated unit, ascending: `ways` `(units, d)`."""

    name: ClassVar[str] = GradientCoreSet.name

    pull: float
    ways: Floats

    def from_annotated(self, points: Floats, centres: Floats) -> tuple[Floats, Ids]:
        """Squares of the asymmetric distances."""
        best, which = np.full(len(points), np.inf), np.full(len(points), -1, np.intp)
        for row, (centre, along) in enumerate(zip(centres, self.ways, strict=True)):
            way = points - centre
            distance = np.linalg.norm(way, axis=1) + self.pull * (way @ along)
            nearer = distance < best
            best[nearer], which[nearer] = distance[nearer], row
        # Against a full pull rounding may end just below nought.
        return np.maximum(best, 0) ** 2, which

    def _rationale(self, query: Query, squared: float, nearest: int, noun: str) -> Rationale:
        plain = super()._rationale(query, squared, nearest, noun)
        return replace(plain, source=query.pool.refs[nearest]) if nearest >= 0 and query.pool.labelled[nearest] else plain
