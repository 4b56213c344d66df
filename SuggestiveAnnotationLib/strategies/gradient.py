"""Gradient-guided sampling (2020 and 2022 papers): the sound form, the papers' literal form, and the random-direction control."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

from SuggestiveAnnotationLib.strategies.base import Board, Choice, manifold_of, model_of, pick_phrase, require
from SuggestiveAnnotationLib.strategies.contract import ManifoldAccess, Query, Requirement
from SuggestiveAnnotationLib.strategies.directions import (
    Derivative,
    Direction,
    encoder_direction,
    finite_difference,
    manifold_direction,
)
from SuggestiveAnnotationLib.strategies.feature_space import feature_space
from SuggestiveAnnotationLib.strategies.neighbours import ConeSearch, Pick
from SuggestiveAnnotationLib.strategies.stepping import Floats, Gradients, Moves, SteppingStrategy, Targets
from SuggestiveAnnotationLib.strategies.turns import CaseShare, in_proportion, in_turn

_BOTH = frozenset({Requirement.MODEL, Requirement.MANIFOLD})

Weighting = Literal["equal", "loss"]


@dataclass(frozen=True, kw_only=True)
class FixedStep(SteppingStrategy):
    """Direction and length apart: `z' = z + step * spacing * u`, with `spacing` the pool's median distance to the nearest other case.

    Everything but the step is an extension of the papers, off by default.

    Attributes:
        step: length of the step, in multiples of that distance.
        targets: points that each source aims at along its direction, at 1, 2, ... times the step; a batch then starts from so many times
            fewer sources (directions, with `per_class`).
        weighting: "equal": sources take turns. "loss": turns in proportion to the loss, of all sources, the highest first.
        balance: at most `ceil(budget / cases) + 1` slices of a case, while others have any. Without meaning for whole cases.
        density: how far the target is pulled toward the mean of the latents around it (the nearest `sqrt(slices)`), from 0 to 1.
    """

    requires: ClassVar[frozenset[Requirement]] = _BOTH
    needs_direction: ClassVar[bool] = True

    step: float = 4.0
    targets: int = 1
    weighting: Weighting = "equal"
    balance: bool = False
    density: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.step > 0, "step", self.step, "positive")
        require(self.targets >= 1, "targets", self.targets, "1 or more")
        require(self.weighting in get_args(Weighting), "weighting", self.weighting, " or ".join(get_args(Weighting)))
        require(0 <= self.density <= 1, "density", self.density, "a share from 0 to 1")

    def most_sources(self, query: Query) -> int | None:
        """As many as get a turn; to know whose loss is highest, all."""
        return None if self.weighting == "loss" or query.unit == "case" else -(-query.budget // self.targets)

    def aim(self, query: Query, moves: Moves, spacing: float, points: Floats) -> Targets:
        """Steps of one length, or several of it; sources without a direction are left out."""
        length = np.linalg.norm(moves.moves, axis=1)
        usable = np.flatnonzero(length > 0)
        lost = f"{len(moves) - len(usable)} of {len(moves)} annotated sources give no direction (their gradient is zero) and were left out."
        if moves.ways.any():
            lost = f"{len(moves) - len(usable)} of {len(moves)} gradients of annotated slices are zero and were left out."
        once = usable[in_turn(moves.ways[usable], query.seed)]
        if self.weighting == "equal":
            once = self.first(moves, once, -(-query.budget // self.targets))
        # Everything at its first step, then everything at its second.
        rows, multiples = np.tile(once, self.targets), np.repeat(np.arange(1, self.targets + 1), len(once))
        kept, unit = moves.only(rows), moves.moves[rows] / length[rows][:, None]
        details = {"direction": self.direction_name(), "step_multiple": self.step, "neighbour_distance": spacing, **self._changed()}
        aimed = kept.starts + self.step * spacing * multiples[:, None] * unit
        if self.density and len(aimed):
            around = min(len(points), math.ceil(math.sqrt(len(points))))
            aimed += self.density * (points[KDTree(points).query(aimed, around)[1]].mean(1) - aimed)
        return Targets(kept, aimed, unit, details, np.zeros(len(kept), bool), () if len(usable) == len(moves) else (lost,), multiples)

    def first(self, moves: Moves, rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """Of the rows, in the order of their turns, those that the first `count` turns belong to."""
        return rows[:count]

    def turns(self, query: Query, targets: Targets) -> list[int]:
        """Round and round, or in proportion to the loss."""
        if self.weighting == "equal":
            return super().turns(query, targets)
        return in_proportion(targets.moves.losses, query.budget)

    def pick(self, query: Query, board: Board, points: Floats, targets: Targets) -> list[Pick]:
        """Under equal shares of the cases, where asked for; what those leave of the budget is picked without them."""
        if not self.balance or query.unit == "case":
            return super().pick(query, board, points, targets)
        turns = self.turns(query, targets)
        picks = self.search(ConeSearch(points, board.open), targets, turns, CaseShare(board, query.budget).closes)
        if len(picks) < query.budget:
            for pick in picks:
                board.take(pick.index)
            picks += self.search(ConeSearch(points, board.open), targets, turns[len(picks) :], board.closed_by)
        return picks

    def within_reach(self, noun: str) -> str:
        """Under equal shares of the cases not every open slice is."""
        return "slice that the shares of the cases left open" if self.balance and noun == "slice" else super().within_reach(noun)

    def direction_name(self) -> str:
        """What the details call the direction."""
        return self.name

    def _changed(self) -> dict[str, Any]:
        """The extensions that are on, for the record."""
        on = {"targets": self.targets, "weighting": self.weighting, "balance": self.balance, "density": self.density}
        off = {"targets": 1, "weighting": "equal", "balance": False, "density": 0.0}
        return {name: value for name, value in on.items() if value != off[name]}


@dataclass(frozen=True, kw_only=True)
class _AlongGradient(FixedStep):
    """Steps along the gradient, pushed through an encoder.

    Attributes:
        derivative: of the encoder: forward-mode differentiation, or a centred finite difference with `difference_rms`.
        difference_rms: root mean square of the finite difference's image step, in units of the normalised intensities.
        per_class: one direction for every structure that a source shows, from the Dice loss of that structure alone; the structures take
            turns. Else one direction a source, of all structures together.
    """

    derivative: Derivative = "forward mode"
    difference_rms: float = 1e-2
    per_class: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.derivative in get_args(Derivative), "derivative", self.derivative, " or ".join(get_args(Derivative)))
        require(self.difference_rms > 0, "difference_rms", self.difference_rms, "positive")

    def gradients(self, query: Query, sources: Sequence[int]) -> Iterator[list[Gradients]]:
        """Of the loss, or of every structure's own loss; the way is then the structure's channel."""
        return gradients_by_class(query, sources) if self.per_class else super().gradients(query, sources)

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient on the manifold; only its direction is used, and its size relative to the other slices of a case."""
        moved = self._pushed(manifold_of(query), images, gradients)
        return moved, moved.new_zeros(len(moved))

    def _pushed(self, manifold: ManifoldAccess, images: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        if self.derivative == "forward mode":
            return encoder_direction(manifold, images, gradients)
        return finite_difference(manifold, images, gradients, rms=self.difference_rms)

    def direction_name(self) -> str:
        """Direction and how it was computed."""
        return f"encoder, {self.derivative}"

    def error(self, query: Query, way: int) -> str:
        """Name the structure."""
        return f"the model's error in {query.schema.classes[way - 1].name}" if way else super().error(query, way)


def gradients_by_class(query: Query, sources: Sequence[int]) -> Iterator[list[Gradients]]:
    """Gradients of every structure's own loss, of the structures that a source shows; the way is the channel, from 1."""
    for index, images, losses, gradients in model_of(query).class_gradients(sources):
        together = []
        for channel, (loss, gradient) in enumerate(zip(losses, gradients, strict=True), 1):
            shown = ~torch.isnan(loss)
            rows = np.flatnonzero(shown.cpu().numpy())
            if len(rows):
                ways = np.full(len(rows), channel, np.intp)
                together.append(Gradients(index[rows], images[shown], loss[shown], gradient[shown], ways))
        yield together


@dataclass(frozen=True, kw_only=True)
class GradientGuided(_AlongGradient):
    """The sound form of eq. 3-6: the gradient's direction on the manifold, a step that reaches other slices, the nearest open slice there.

    The loss is always that of foreground Dice (2022 paper, eq. 2), whatever the network was trained with.

    Attributes:
        direction: "encoder": `J_enc(x) g`, what eq. 3 and 4 tend to for small alpha. "manifold": `J_dec(z)^T g`, the gradient along the
            decoder's surface. The two differ; which helps more is open.
    """

    name: ClassVar[str] = "gradient-guided"

    direction: Direction = "encoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.direction in get_args(Direction), "direction", self.direction, " or ".join(get_args(Direction)))

    def _pushed(self, manifold: ManifoldAccess, images: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        if self.direction == "manifold":
            return manifold_direction(manifold, images, gradients)
        return super()._pushed(manifold, images, gradients)

    def direction_name(self) -> str:
        """Direction and how it was computed."""
        return self.direction if self.direction == "manifold" else super().direction_name()


@dataclass(frozen=True, kw_only=True)
class GradientGuidedNetwork(_AlongGradient):
    """Gradient-guided sampling without a VAE: the manifold is the segmentation network's bottleneck, reduced to its principal components.

    Attributes:
        size: number of components.
    """

    name: ClassVar[str] = "gradient-guided-network"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})
    on_manifold: ClassVar[bool] = False

    size: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.size >= 1, "size", self.size, "1 or more")

    def choose(self, query: Query, board: Board) -> Choice:
        """Look at the whole pool once, then as ever."""
        return super().choose(replace(query, manifold=feature_space(query, self.size)), board)


@dataclass(frozen=True, kw_only=True)
class RandomDirection(FixedStep):
    """Control: the same sources, step length, cone and search, but a random direction, uniform over all directions of the latent space.

    It leaves no source out, since it needs no gradient: one of zero gradient takes its turn too.
    """

    name: ClassVar[str] = "random-direction"
    needs_direction: ClassVar[bool] = False

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One zero a source; the directions are drawn in `aim`, one a source, whatever the batches were."""
        zeros = torch.zeros(len(images), manifold_of(query).latents.shape[1])
        return zeros, zeros.new_zeros(len(images))

    def aim(self, query: Query, moves: Moves, spacing: float, points: Floats) -> Targets:
        """Random moves, then steps of one length."""
        drawn = np.random.default_rng([query.seed, 1]).standard_normal(moves.moves.shape)
        return super().aim(query, replace(moves, moves=drawn), spacing, points)

    def sentence(self, source: str, pick: Pick, *, error: str, noun: str, weak: bool) -> str:
        """Say that it is a control."""
        return f"Chosen by stepping in a random direction from {source} (control of an experiment)."


@dataclass(frozen=True, kw_only=True)
class GradientGuidedLiteral(SteppingStrategy):
    """The papers' form to the letter, in float32: `x' = x + alpha g`, `z' = enc(x')` (eq. 3 and 4).

    At the papers' alpha most pixels do not change and `z' - z` is rounding noise: the pick is then about the nearest neighbour of z. The
    strategy says so. The threshold of rounding is measured: how far one unit in the last place of every pixel moves the latent.

    Attributes:
        alpha: step length in image space; 1e-3 (2022 paper), 1e-4 (2020 paper).
    """

    name: ClassVar[str] = "gradient-guided-literal"
    requires: ClassVar[frozenset[Requirement]] = _BOTH

    alpha: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.alpha > 0, "alpha", self.alpha, "positive")

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`enc(x + alpha g) - enc(x)`, both encoded in batches of the same size, and the length of rounding."""
        encode = manifold_of(query).encode
        images = images.float()
        generator = torch.Generator().manual_seed(query.seed)
        signs = (torch.randint(0, 2, images.shape, generator=generator) * 2 - 1).to(images)
        with torch.no_grad():
            start, stepped = encode(images), encode(images + self.alpha * gradients.float())
            shaken = encode(images * (1 + signs * torch.finfo(torch.float32).eps))
        last_place = torch.finfo(torch.float32).eps * start.norm(dim=1)
        return stepped - start, torch.maximum((shaken - start).norm(dim=1), last_place)

    def aim(self, query: Query, moves: Moves, spacing: float, points: Floats) -> Targets:
        """z' as it is."""
        length: Floats = np.linalg.norm(moves.moves, axis=1)
        weak = length <= moves.noise
        details: dict[str, Any] = {"direction": "literal", "alpha": self.alpha, "neighbour_distance": spacing}
        warning = (
            f"The step of {int(weak.sum())} of {pick_phrase(len(moves), 'source')} is below float32 rounding (alpha {self.alpha:g}): "
            "its direction is noise and the picks are nearest neighbours. Use gradient-guided, or a larger alpha."
        )
        return Targets(moves, moves.starts + moves.moves, moves.moves, details, weak, (warning,) if weak.any() else ())

    def sentence(self, source: str, pick: Pick, *, error: str, noun: str, weak: bool) -> str:
        """Where the error grows, or that the step was too small to matter."""
        if weak:
            return f"Chosen as a {noun} much like {source}; the gradient's step was too small to say more."
        return super().sentence(source, pick, error=error, noun=noun, weak=weak)
