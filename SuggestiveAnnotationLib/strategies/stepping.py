"""Template of the strategies that step from annotated slices across the manifold: 2022 paper, eq. 3-6; 2020 paper, sections 2.4 and 3.2.

sources -> moves in latent space -> targets -> nearest open latent inside a cone, greedily without replacement.
"""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, finite, manifold_of, model_of, require
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.neighbours import ConeSearch, Pick, distance_to_other_cases
from SuggestiveAnnotationLib.types import Rationale, describe

logger = logging.getLogger(__name__)

FALLBACK = "nearest without the angular condition"
NO_SOURCE = (
    "no annotated slice shows a structure, and gradients start from such slices (annotate one, or draw a first batch with another strategy)"
)
NO_DIRECTION = "no annotated slice gives a direction"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """What the sources give, one entry a direction. A source is a slice, or a case (then `slices` names its slice of highest loss).

    Attributes:
        slices: pool indices. losses: per-sample losses.
        starts: z, `(m, d)`. moves: the way from z, `(m, d)`; what its length means is the strategy's.
        noise: length below which a move is rounding, `(m,)`; 0 where the strategy has no such length.
        ways: which of the source's directions it is, `(m,)`; what the number means is the strategy's.
    """

    slices: NDArray[np.intp]
    losses: Floats
    starts: Floats
    moves: Floats
    noise: Floats
    ways: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.slices)

    def only(self, rows: NDArray[Any]) -> Moves:
        """Some of the directions, in the order of `rows`."""
        return Moves(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True)
class Targets:
    """Where the sources point, one entry a direction, in the order of their turns.

    Attributes:
        moves: the sources. points: z', `(m, d)`. directions: axis of the cone, `(m, d)`, any length; zero: no cone.
        details: of all picks. weak: sources whose direction means nothing. warnings: a sentence each.
        multiples: how many steps away the target is, `(m,)`; None: one.
    """

    moves: Moves
    points: Floats
    directions: Floats
    details: Mapping[str, Any]
    weak: NDArray[np.bool_]
    warnings: tuple[str, ...] = field(default=())
    multiples: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Gradients:
    """A batch of loss gradients: a row a direction, so that a slice may come several times.

    Attributes:
        slices: pool indices `(n,)`. ways: which of the slice's directions, `(n,)`.
        images, gradients: `(n, C, rows, columns)`. losses: `(n,)`.
    """

    slices: NDArray[np.intp]
    images: torch.Tensor
    losses: torch.Tensor
    gradients: torch.Tensor
    ways: NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class SteppingStrategy(BatchStrategy):
    """Steps from annotated slices and picks what lies there.

    Sources are `Query.sources`; where those are none or show nothing, all annotated slices but filled ones; slices with an empty annotation
    never. Sources take turns in a random order until the budget is met. With whole cases a case is the mean of its slices' latents (blank
    ones left out), and its move the mean of its slices' moves (2020 paper).

    Attributes:
        tau: least cosine between `z_j - z` and `z' - z` (eq. 6); None: no condition. The papers' value is lost; 0.5, 60 degrees, is ours.
    """

    on_manifold: ClassVar[bool] = True
    """The latents of the reasons are the manifold's, so that they can be drawn there."""
    needs_direction: ClassVar[bool] = False
    """A slice that does not move is no source: it takes no place among those that get a turn."""

    tau: float | None = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tau is None or -1 <= self.tau <= 1, "tau", self.tau, "a cosine from -1 to 1, or none")

    @abstractmethod
    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Moves `(n, d)` of a batch of sources and the length below which each is rounding `(n,)`; float32 in, float32 out."""

    @abstractmethod
    def aim(self, query: Query, moves: Moves, spacing: float, points: Floats) -> Targets:
        """Targets of the sources; `spacing`: the pool's median distance to the nearest latent of another case; `points`: of all units."""

    def sentence(self, source: str, pick: Pick, *, error: str, noun: str, weak: bool) -> str:
        """Why: one sentence. `source` names the annotated slice, `error` what grows from there; `weak`: its direction means nothing."""
        if pick.in_cone:
            return f"Chosen because it lies in the direction in which {error} grows fastest from {source}."
        reach = self.within_reach(noun)
        return f"Chosen as the {noun} nearest to where {error} grows from {source}; no {reach} lies in that very direction."

    def gradients(self, query: Query, sources: Sequence[int]) -> Iterator[list[Gradients]]:
        """Loss gradients of the sources, in their order, together what belongs to the same slices: here one direction a source."""
        for index, images, losses, gradients in model_of(query).loss_gradients(sources):
            yield [Gradients(index, images, losses, gradients, np.zeros(len(index), np.intp))]

    def most_sources(self, query: Query) -> int | None:
        """How many sources can get a turn; None: all are wanted. A case is made of all its annotated slices."""
        return query.budget if query.unit == "slice" else None

    def error(self, query: Query, way: int) -> str:
        """What grows along one of the source's directions."""
        return "the model's error"

    def within_reach(self, noun: str) -> str:
        """What a pick is one of, for sentences."""
        return f"open {noun}"

    def pick(self, query: Query, board: Board, points: Floats, targets: Targets) -> list[Pick]:
        """At most `query.budget` picks: one a turn, nearest first, inside the cone where anything open lies there."""
        return self.search(ConeSearch(points, board.open), targets, self.turns(query, targets), board.closed_by)

    def search(self, search: ConeSearch, targets: Targets, turns: list[int], closes: Callable[[int], NDArray[np.intp]]) -> list[Pick]:
        """A pick a turn, while anything is open."""
        return search.greedy(targets.moves.starts, targets.points, targets.directions, turns, tau=self.tau, closes=closes)

    def turns(self, query: Query, targets: Targets) -> list[int]:
        """Rows of the targets in the order in which they pick."""
        return [turn % len(targets.moves) for turn in range(query.budget)]

    def choose(self, query: Query, board: Board) -> Choice:
        """Sources, moves, targets, picks, reasons."""
        latents = manifold_of(query).latents
        shown = np.flatnonzero(~query.pool.blank)
        finite(np.asarray(latents[shown], np.float64), shown, query.pool.refs, "latent")
        points = board.mean(shown, latents[shown])
        moves, warnings = self._moves(query, board, points)
        if not len(moves):
            return Choice((), warnings, NO_SOURCE)
        somewhere = np.flatnonzero(np.isfinite(moves.starts).all(1))
        if blank := len(moves) - len(somewhere):
            lost = f"{blank} of {len(moves)} annotated sources give no direction (all their slices are blank) and were left out."
            moves, warnings = moves.only(somewhere), (*warnings, lost)
        if not len(moves):
            return Choice((), warnings, NO_DIRECTION)
        known = np.isfinite(points).all(1)
        case_of = board.case_of(np.arange(len(latents))) if query.unit == "slice" else np.arange(len(points))
        targets = self.aim(query, moves, distance_to_other_cases(points[known], case_of[known]), points[known])
        warnings = (*warnings, *targets.warnings)
        if not len(targets.moves):
            return Choice((), warnings, NO_DIRECTION)
        picks = self.pick(query, board, points, targets)
        fallbacks = sum(not pick.in_cone for pick in picks)
        if fallbacks:
            warnings = (*warnings, self._empty_cones(fallbacks, len(picks), board.noun))
        turns: Counter[int] = Counter()
        reasons = []
        for pick in picks:
            source = int(targets.moves.slices[pick.row])
            reasons.append((pick.index, self._rationale(query, targets, pick, turns[source], points)))
            turns[source] += 1
        return Choice(reasons, warnings)

    def _moves(self, query: Query, board: Board, points: Floats) -> tuple[Moves, tuple[str, ...]]:
        annotated = np.flatnonzero(query.pool.by_people).tolist()
        moves = self._collect(query, query.sources or annotated)
        warnings: tuple[str, ...] = ()
        if not len(moves) and query.sources:
            moves = self._collect(query, annotated)
            warnings = ("The slices of the last round show no structure: all annotated slices were used instead.",)
        if query.unit == "case" and len(moves):
            moves = _by_case(query, board, moves, points)
        return moves, warnings if len(moves) else ()

    def _collect(self, query: Query, sources: Sequence[int]) -> Moves:
        """Moves of the sources in random order, of no more sources than can get a turn; what is no source is kept up to the last one."""
        latents = manifold_of(query).latents
        shuffled = np.random.default_rng(query.seed).permutation(np.array(sorted(set(sources)), np.intp)).tolist()
        most = self.most_sources(query)
        left = math.inf if most is None else most
        parts: list[Moves] = []
        counted: set[int] = set()
        for batch in self.gradients(query, shuffled):
            for given in batch:
                index, losses = given.slices, given.losses.cpu().double().numpy()
                finite(losses, index, query.pool.refs, "loss")
                moved, rounding = self.move(query, given.images, given.gradients)
                moves = finite(moved.cpu().double().numpy(), index, query.pool.refs, "step on the manifold")
                parts.append(Moves(index, losses, latents[index].astype(np.float64), moves, rounding.cpu().double().numpy(), given.ways))
                counted |= set(index[moves.any(1)].tolist() if self.needs_direction else index.tolist())
            if len(counted) >= left:
                break
        # The last batch may hold more than are needed.
        kept = []
        for one in shuffled:
            if left <= 0:
                break
            kept.append(one)
            left -= one in counted
        together = _joined(parts, latents.shape[1])
        return together.only(np.isin(together.slices, kept))

    def _empty_cones(self, fallbacks: int, of: int, noun: str) -> str:
        angle = math.degrees(math.acos(self.tau if self.tau is not None else -1))
        text = (
            f"For {fallbacks} of {of} picks no {self.within_reach(noun)} lies within {angle:.0f} degrees of the step's direction: "
            f"the nearest {noun} was taken instead."
        )
        logger.warning("%s: %s", self.name, text)
        return text

    def _rationale(self, query: Query, targets: Targets, pick: Pick, turn: int, points: Floats) -> Rationale:
        moves, row = targets.moves, pick.row
        ref, by_case = query.pool.refs[int(moves.slices[row])], query.unit == "case"
        details = {
            **targets.details,
            "tau": self.tau,
            "step_length": float(np.linalg.norm(targets.points[row] - moves.starts[row])),
            "cosine": pick.cosine,
            "distance_to_projected": pick.distance,
            "fallback": None if pick.in_cone else FALLBACK,
            "weak_direction": bool(targets.weak[row]),
            "source_loss": float(moves.losses[row]),
            "turn": turn,
            "source_is_case_mean": by_case,
            **({"votes": pick.votes, "directions": pick.of} if pick.of > 1 else {}),
        }
        source = f"case {ref.case} (mean of its slices that are not blank)" if by_case else describe(ref)
        error = self.error(query, int(moves.ways[row]))
        sentence = self.sentence(source, pick, error=error, noun=query.unit, weak=bool(targets.weak[row]))
        if not self.on_manifold:
            return Rationale(self.name, sentence, source=ref, details=details)
        return Rationale(
            self.name,
            sentence,
            source=ref,
            source_latent=tuple(moves.starts[row].tolist()),
            projected=tuple(targets.points[row].tolist()),
            chosen_latent=tuple(points[pick.index].tolist()),
            details=details,
        )


def _by_case(query: Query, board: Board, moves: Moves, points: Floats) -> Moves:
    """Cases as sources: z the mean of the case's latents, a move the mean over the same slices (those without gradient do not move)."""
    case = board.case_of(moves.slices)
    shown = board.case_of(np.flatnonzero(~query.pool.blank))
    out = []
    for number, way in dict.fromkeys(zip(case.tolist(), moves.ways.tolist(), strict=True)):
        rows = np.flatnonzero((case == number) & (moves.ways == way))
        mine, count = moves.only(rows), max(1, int((shown == number).sum()))
        # The source is named by one slice of the case, the same for all its directions.
        name = moves.slices[case == number][int(moves.losses[case == number].argmax())]
        noise = float(np.linalg.norm(mine.noise)) / count
        out.append((name, float(mine.losses.mean()), points[number], mine.moves.sum(0) / count, noise, way))
    slices, losses, starts, moved, noises, ways = zip(*out, strict=True)
    return Moves(np.array(slices), np.array(losses), np.array(starts), np.array(moved), np.array(noises), np.array(ways))


def _joined(parts: Sequence[Moves], dimensions: int) -> Moves:
    nothing = Moves(
        np.empty(0, np.intp), np.empty(0), np.empty((0, dimensions)), np.empty((0, dimensions)), np.empty(0), np.empty(0, np.intp)
    )
    return Moves(*(np.concatenate([getattr(part, f.name) for part in (nothing, *parts)]) for f in fields(Moves)))
