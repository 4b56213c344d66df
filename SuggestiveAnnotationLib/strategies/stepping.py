"""Template of the strategies that step from annotated slices across the manifold: 2022 paper, eq. 3-6; 2020 paper, sections 2.4 and 3.2.

sources -> moves in latent space -> targets -> nearest open latent inside a cone, greedily without replacement.
"""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """What the sources give, one entry a source: a slice, or a case (then `slices` names the slice of highest loss).

    Attributes:
        slices: pool indices. losses: per-sample losses.
        starts: z, `(m, d)`. moves: the way from z, `(m, d)`; what its length means is the strategy's.
        noise: length below which a move is rounding, `(m,)`; 0 where the strategy has no such length.
    """

    slices: NDArray[np.intp]
    losses: Floats
    starts: Floats
    moves: Floats
    noise: Floats

    def __len__(self) -> int:
        return len(self.slices)

    def only(self, rows: NDArray[Any]) -> Moves:
        """Some of the sources."""
        return Moves(self.slices[rows], self.losses[rows], self.starts[rows], self.moves[rows], self.noise[rows])


@dataclass(frozen=True)
class Targets:
    """Where the sources point, one entry a source.

    Attributes:
        moves: the sources. points: z', `(m, d)`. directions: axis of the cone, `(m, d)`, any length; zero: no cone.
        details: of all picks. weak: sources whose direction means nothing. warnings: a sentence each.
    """

    moves: Moves
    points: Floats
    directions: Floats
    details: Mapping[str, Any]
    weak: NDArray[np.bool_]
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class SteppingStrategy(BatchStrategy):
    """Steps from annotated slices and picks what lies there.

    Sources are `Query.sources`; where those are none or show nothing, all annotated slices; slices with an empty annotation never. Sources
    take turns in a random order until the budget is met. With whole cases a case is the mean of its slices' latents (blank ones left out),
    and its move the mean of its slices' moves (2020 paper).

    Attributes:
        tau: least cosine between `z_j - z` and `z' - z` (eq. 6); None: no condition. The papers' value is lost; 0.5, 60 degrees, is ours.
    """

    tau: float | None = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tau is None or -1 <= self.tau <= 1, "tau", self.tau, "a cosine from -1 to 1, or none")

    @abstractmethod
    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Moves `(n, d)` of a batch of sources and the length below which each is rounding `(n,)`; float32 in, float32 out."""

    @abstractmethod
    def aim(self, query: Query, moves: Moves, spacing: float) -> Targets:
        """Targets of the sources; `spacing` is the pool's median distance to the nearest latent of another case."""

    @abstractmethod
    def sentence(self, source: str, pick: Pick, *, noun: str, weak: bool) -> str:
        """Why: one sentence. `source` names the annotated slice; `weak`: its direction means nothing."""

    def choose(self, query: Query, board: Board) -> Choice:
        """One pick a turn, nearest first, inside the cone where anything open lies there."""
        latents = manifold_of(query).latents
        shown = np.flatnonzero(~query.pool.blank)
        finite(np.asarray(latents[shown], np.float64), shown, query.pool.refs, "latent")
        points = board.mean(shown, latents[shown])
        moves, warnings = self._moves(query, board, points)
        if not len(moves):
            return Choice((), warnings, NO_SOURCE)
        known = np.isfinite(points).all(1)
        case_of = board.case_of(np.arange(len(latents))) if query.unit == "slice" else np.arange(len(points))
        targets = self.aim(query, moves, distance_to_other_cases(points[known], case_of[known]))
        warnings = (*warnings, *targets.warnings)
        if not len(targets.moves):
            return Choice((), warnings, "no annotated slice gives a direction")
        order = [turn % len(targets.moves) for turn in range(query.budget)]
        picks = ConeSearch(points, board.open).greedy(
            targets.moves.starts, targets.points, targets.directions, order, tau=self.tau, closes=board.closed_by
        )
        fallbacks = sum(not pick.in_cone for pick in picks)
        if fallbacks:
            warnings = (*warnings, self._empty_cones(fallbacks, len(picks), board.noun))
        reasons = [self._rationale(query, targets, pick, turn // len(targets.moves), points) for turn, pick in enumerate(picks)]
        return Choice([(pick.index, reason) for pick, reason in zip(picks, reasons, strict=True)], warnings)

    def _moves(self, query: Query, board: Board, points: Floats) -> tuple[Moves, tuple[str, ...]]:
        labelled = np.flatnonzero(query.pool.labelled).tolist()
        moves = self._collect(query, query.sources or labelled)
        warnings: tuple[str, ...] = ()
        if not len(moves) and query.sources:
            moves = self._collect(query, labelled)
            warnings = ("The slices of the last round show no structure: all annotated slices were used instead.",)
        if query.unit == "case" and len(moves):
            moves = _by_case(query, board, moves, points)
        return moves, warnings if len(moves) else ()

    def _collect(self, query: Query, sources: Sequence[int]) -> Moves:
        """Moves of the sources in random order; with slices as units no more sources than the budget has turns."""
        latents = manifold_of(query).latents
        shuffled = np.random.default_rng(query.seed).permutation(np.array(sorted(set(sources)), np.intp)).tolist()
        most = query.budget if query.unit == "slice" else len(shuffled)
        slices, losses, moves, noise = [np.empty(0, np.intp)], [np.empty(0)], [np.empty((0, latents.shape[1]))], [np.empty(0)]
        for index, images, loss, gradients in model_of(query).loss_gradients(shuffled):
            finite(loss.double().cpu().numpy(), index, query.pool.refs, "loss")
            moved, rounding = self.move(query, images, gradients)
            slices.append(index)
            losses.append(loss.double().cpu().numpy())
            moves.append(finite(moved.double().cpu().numpy(), index, query.pool.refs, "step on the manifold"))
            noise.append(rounding.double().cpu().numpy())
            if sum(map(len, slices)) >= most:
                break
        ids = np.concatenate(slices)
        starts = latents[ids].astype(np.float64)
        return Moves(ids, np.concatenate(losses), starts, np.concatenate(moves), np.concatenate(noise)).only(np.arange(len(ids))[:most])

    def _empty_cones(self, fallbacks: int, of: int, noun: str) -> str:
        angle = math.degrees(math.acos(self.tau if self.tau is not None else -1))
        text = (
            f"For {fallbacks} of {of} picks no open {noun} lies within {angle:.0f} degrees of the step's direction: "
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
        }
        source = f"case {ref.case} (mean of its annotated slices)" if by_case else describe(ref)
        return Rationale(
            self.name,
            self.sentence(source, pick, noun=query.unit, weak=bool(targets.weak[row])),
            source=ref,
            source_latent=tuple(moves.starts[row].tolist()),
            projected=tuple(targets.points[row].tolist()),
            chosen_latent=tuple(points[pick.index].tolist()),
            details=details,
        )


def _by_case(query: Query, board: Board, moves: Moves, points: Floats) -> Moves:
    """Cases as sources: z the mean of the case's latents, the move the mean over the same slices (those without gradient do not move)."""
    case = board.case_of(moves.slices)
    shown = board.case_of(np.flatnonzero(~query.pool.blank))
    rows, out = [], []
    for number in dict.fromkeys(case.tolist()):
        mine = np.flatnonzero(case == number)
        count = max(1, int((shown == number).sum()))
        rows.append(mine[int(moves.losses[mine].argmax())])
        move = moves.moves[mine].sum(0) / count
        out.append((float(moves.losses[mine].mean()), points[number], move, float(np.linalg.norm(moves.noise[mine])) / count))
    losses, starts, moved, noise = zip(*out, strict=True)
    return Moves(moves.slices[rows], np.array(losses), np.array(starts), np.array(moved), np.array(noise))
