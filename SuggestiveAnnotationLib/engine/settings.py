"""What a person can set, with one line of help each. Command line and protocol are generated from these; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.models.catalogue import NETWORKS, WIDTHS
from SuggestiveAnnotationLib.types import Unit

NetworkSize = Literal["thin", "paper", "small", "tiny"]
Architecture = Literal["unet", "u-shape-patches", "voxresnet", "multi-scale-patches"]
FIRST_BATCH = "strided"
DEFAULT_STRATEGY = "gradient-core-set"
_OF_NETWORKS = {"lines": {one.name: one.help for one in NETWORKS}, "listing": "networks"}
_OF_WIDTHS = {"lines": WIDTHS, "listing": "networks"}
"""One line for each choice of a field, and the command that lists them."""


@dataclass(frozen=True)
class Options:
    """Base: numbers below the `least`, above the `most` or no `multiple` of their field, and unknown choices, are refused.

    Raises: InputError.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for one in fields(self):
            value, least, most = getattr(self, one.name), one.metadata.get("least"), one.metadata.get("most")
            if least is not None and not (isfinite(value) and least <= value and (most is None or value <= most)):
                allowed = f"from {least} on" if most is None else f"from {least} to {most}"
                raise InputError(f"--{one.name.replace('_', '-')} is {value}.", hint=f"Give a number {allowed}.")
            multiple = one.metadata.get("multiple", 1)
            if multiple > 1 and value % multiple:
                raise InputError(f"--{one.name.replace('_', '-')} is {value}.", hint=f"Give a multiple of {multiple}.")
            choices = get_args(hints[one.name]) if get_origin(hints[one.name]) is Literal else ()
            if choices and value not in choices:
                raise InputError(f"--{one.name.replace('_', '-')} is {value!r}.", hint=f"Choose one of: {', '.join(choices)}.")


@dataclass(frozen=True)
class DeviceOptions(Options):
    """Where the networks run."""

    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or cuda:N"})


@dataclass(frozen=True)
class ManifoldOptions(DeviceOptions):
    """How the VAE is trained."""

    latent_size: int = field(default=3, metadata={"help": "dimension of the latent space (papers: 5, 3 and 2)", "least": 1})
    manifold_steps: int = field(default=1500, metadata={"help": "optimiser steps of the VAE", "least": 1})
    manifold_batch: int = field(default=32, metadata={"help": "slices a step", "least": 2})
    manifold_pixels: int = field(default=64, metadata={"help": "side of the VAE's own grid, a multiple of 16", "least": 16, "multiple": 16})
    manifold_network: NetworkSize = field(default="thin", metadata={"help": "width of the VAE", **_OF_WIDTHS})
    manifold_rate: float = field(default=1e-3, metadata={"help": "learning rate of Adam (papers: 1e-4)", "least": 1e-08})
    manifold_members: int = field(
        default=1, metadata={"help": "VAEs whose latent spaces are put side by side (papers: 1); each takes its own time", "least": 1}
    )


@dataclass(frozen=True)
class TrainingOptions(DeviceOptions):
    """How the segmentation network is trained."""

    architecture: Architecture = field(default="unet", metadata={"help": "the segmentation network", **_OF_NETWORKS})
    network: NetworkSize = field(default="thin", metadata={"help": "width of the network", **_OF_WIDTHS})
    dropout: float = field(
        default=0.0,
        metadata={"help": "probability of dropping channels around the bottleneck, for Monte Carlo dropout", "least": 0, "most": 0.9},
    )
    loss_head: bool = field(default=False, metadata={"help": "the U-Net also learns to predict its own loss, for learning loss"})
    committee: int = field(
        default=4, metadata={"help": "networks on bootstraps, trained only for strategies that need them (papers: 4)", "least": 2}
    )
    steps: int = field(default=300, metadata={"help": "optimiser steps a round, the same in every round", "least": 1})
    batch: int = field(default=16, metadata={"help": "slices a step", "least": 2})
    rate: float = field(default=3e-3, metadata={"help": "learning rate of Adam (papers: 1e-3 over many more steps)", "least": 1e-08})
    warm_start: bool = field(default=False, metadata={"help": "continue from the last model instead of starting from scratch"})
    loss: Literal["dice+ce", "dice", "dice+background"] = field(
        default="dice+ce",
        metadata={
            "help": "'dice' is the gradient papers', 'dice+background' the effort paper's, 'dice+ce' adds balanced cross-entropy to that"
        },
    )
    augment: bool = field(default=True, metadata={"help": "flips, intensity and elastic augmentation"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss_head and self.architecture != "unet":
            raise InputError(f"--loss-head: the loss head sits on the U-Net, not on {self.architecture}.", hint="Use --architecture unet.")


@dataclass(frozen=True)
class SuggestOptions(Options):
    """Which slices are suggested."""

    strategy: str = field(default=DEFAULT_STRATEGY, metadata={"help": "name of the strategy (see `strategies`)"})
    budget: int = field(default=20, metadata={"help": "how many slices (or cases) to suggest", "least": 1})
    unit: Unit = field(default="slice", metadata={"help": "suggest single slices or whole cases"})
    min_gap: int = field(default=0, metadata={"help": "suggested slices of a case lie more than this many slices apart", "least": 0})
    context: int = field(default=0, metadata={"help": "neighbouring slices on each side to suggest along (2020 paper: 1)", "least": 0})
    audit: int = field(default=0, metadata={"help": "random slices on top, drawn without pre-annotation", "least": 0})
    sources: Literal["previous", "initial", "all"] = field(
        default="previous",
        metadata={
            "help": "annotated slices that steps along the gradient start from: the previous round's (2022), the first batch's (2020), or "
            "all; coverage (gradient-core-set) always looks from all"
        },
    )
    strategy_options: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "option of the strategy as NAME=VALUE, may be given several times (see `strategies NAME`)"}
    )


@dataclass(frozen=True)
class RoundOptions(TrainingOptions, SuggestOptions):
    """Everything a round needs; kept with the round, so that it resumes with what it began with."""

    fill: int = field(
        default=0,
        metadata={
            "help": "slices between annotated ones at most so many slices apart are filled by interpolation before training and cost "
            "nobody time; 0: none",
            "least": 0,
        },
    )
    seed: int = field(
        default=0,
        metadata={"help": "of all randomness; the same seed on as many threads of the same machine gives the same suggestions", "least": 0},
    )
