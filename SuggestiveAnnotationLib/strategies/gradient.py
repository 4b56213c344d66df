"""Gradient-guided sampling (2020 and 2022 papers): the sound form, the papers' literal form, and the random-direction control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import torch

from SuggestiveAnnotationLib.strategies.base import manifold_of, pick_phrase, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.directions import (
    Derivative,
    Direction,
    encoder_direction,
    finite_difference,
    manifold_direction,
)
from SuggestiveAnnotationLib.strategies.neighbours import Pick
from SuggestiveAnnotationLib.strategies.stepping import Floats, Moves, SteppingStrategy, Targets

_BOTH = frozenset({Requirement.MODEL, Requirement.MANIFOLD})


@dataclass(frozen=True, kw_only=True)
class _FixedStep(SteppingStrategy):
    """Direction and length apart: `z' = z + step * spacing * u`, with `spacing` the pool's median distance to the nearest other case.

    Attributes:
        step: length of the step, in multiples of that distance.
    """

    requires: ClassVar[frozenset[Requirement]] = _BOTH

    step: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.step > 0, "step", self.step, "positive")

    def aim(self, query: Query, moves: Moves, spacing: float) -> Targets:
        """Steps of one length; sources without a direction are left out."""
        length = np.linalg.norm(moves.moves, axis=1)
        usable = length > 0
        kept = moves.only(usable)
        unit = kept.moves / length[usable][:, None]
        lost = f"{int((~usable).sum())} of {len(moves)} annotated sources give no direction (their gradient is zero) and were left out."
        details = {"direction": self.direction_name(), "step_multiple": self.step, "neighbour_distance": spacing}
        points = kept.starts + self.step * spacing * unit
        return Targets(kept, points, unit, details, np.zeros(len(kept), bool), () if usable.all() else (lost,))

    def direction_name(self) -> str:
        """What the details call the direction."""
        return self.name


@dataclass(frozen=True, kw_only=True)
class GradientGuided(_FixedStep):
    """The sound form of eq. 3-6: the gradient's direction on the manifold, a step that reaches other slices, the nearest open slice there.

    Attributes:
        direction: "encoder": `J_enc(x) g`, what eq. 3 and 4 tend to for small alpha. "manifold": `J_dec(z)^T g`, the gradient along the
            decoder's surface. The two differ; which helps more is open.
        derivative: of the encoder: forward-mode differentiation, or a centred finite difference with `difference_rms`.
        difference_rms: root mean square of the finite difference's image step, in units of the normalised intensities.
    """

    name: ClassVar[str] = "gradient-guided"

    direction: Direction = "encoder"
    derivative: Derivative = "forward mode"
    difference_rms: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.direction in get_args(Direction), "direction", self.direction, " or ".join(get_args(Direction)))
        require(self.derivative in get_args(Derivative), "derivative", self.derivative, " or ".join(get_args(Derivative)))
        require(self.difference_rms > 0, "difference_rms", self.difference_rms, "positive")

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient on the manifold; only its direction is used, and its size relative to the other slices of a case."""
        manifold = manifold_of(query)
        if self.direction == "manifold":
            moved = manifold_direction(manifold, images, gradients)
        elif self.derivative == "forward mode":
            moved = encoder_direction(manifold, images, gradients)
        else:
            moved = finite_difference(manifold, images, gradients, rms=self.difference_rms)
        return moved, moved.new_zeros(len(moved))

    def direction_name(self) -> str:
        """Direction and how it was computed."""
        return self.direction if self.direction == "manifold" else f"encoder, {self.derivative}"

    def sentence(self, source: str, pick: Pick, *, noun: str, weak: bool) -> str:
        """Where the error grows."""
        if pick.in_cone:
            return f"Chosen because it lies where the model's error grows fastest from {source}."
        return f"Chosen as the {noun} nearest to where the model's error grows from {source}; no open {noun} lies in that very direction."


@dataclass(frozen=True, kw_only=True)
class RandomDirection(_FixedStep):
    """Control: the same sources, step length, cone and search, but a random direction, uniform over all directions of the latent space."""

    name: ClassVar[str] = "random-direction"

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One zero a source; the directions are drawn in `aim`, one a source, whatever the batches were."""
        zeros = torch.zeros(len(images), manifold_of(query).latents.shape[1])
        return zeros, zeros.new_zeros(len(images))

    def aim(self, query: Query, moves: Moves, spacing: float) -> Targets:
        """Random moves, then steps of one length."""
        drawn = np.random.default_rng([query.seed, 1]).standard_normal(moves.moves.shape)
        return super().aim(query, Moves(moves.slices, moves.losses, moves.starts, drawn, moves.noise), spacing)

    def sentence(self, source: str, pick: Pick, *, noun: str, weak: bool) -> str:
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

    def aim(self, query: Query, moves: Moves, spacing: float) -> Targets:
        """z' as it is."""
        length: Floats = np.linalg.norm(moves.moves, axis=1)
        weak = length <= moves.noise
        details: dict[str, Any] = {"direction": "literal", "alpha": self.alpha, "neighbour_distance": spacing}
        warning = (
            f"The step of {int(weak.sum())} of {pick_phrase(len(moves), 'source')} is below float32 rounding (alpha {self.alpha:g}): "
            "its direction is noise and the picks are nearest neighbours. Use gradient-guided, or a larger alpha."
        )
        return Targets(moves, moves.starts + moves.moves, moves.moves, details, weak, (warning,) if weak.any() else ())

    def sentence(self, source: str, pick: Pick, *, noun: str, weak: bool) -> str:
        """Where the error grows, or that the step was too small to matter."""
        if weak:
            return f"Chosen as a {noun} much like {source}; the gradient's step was too small to say more."
        if pick.in_cone:
            return f"Chosen because it lies where the model's error grows fastest from {source}."
        return f"Chosen as the {noun} nearest to where the model's error grows from {source}; no open {noun} lies in that very direction."
