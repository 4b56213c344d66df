"""What a person can set, with one line of help each. Command line and protocol are generated from these; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Unit

NetworkSize = Literal["thin", "paper", "tiny"]
FIRST_BATCH = "strided"
DEFAULT_STRATEGY = "gradient-guided"


@dataclass(frozen=True)
class Options:
    """Base: numbers below the `least` of their field are refused. Raises: InputError."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, least = getattr(self, one.name), one.metadata.get("least")
            if least is not None and not (isfinite(value) and value >= least):
                raise InputError(f"--{one.name.replace('_', '-')} is {value}.", hint=f"Give a number from {least} on.")


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
    manifold_pixels: int = field(default=64, metadata={"help": "side of the VAE's own grid, a multiple of 16", "least": 16})
    manifold_network: NetworkSize = field(default="thin", metadata={"help": "width of the VAE; 'paper' for GPUs"})
    manifold_rate: float = field(default=1e-3, metadata={"help": "learning rate of Adam (papers: 1e-4)", "least": 1e-08})


@dataclass(frozen=True)
class TrainingOptions(DeviceOptions):
    """How the segmentation network is trained."""

    network: NetworkSize = field(default="thin", metadata={"help": "width of the U-Net; 'paper' for GPUs"})
    steps: int = field(default=300, metadata={"help": "optimiser steps a round, the same in every round", "least": 1})
    batch: int = field(default=16, metadata={"help": "slices a step", "least": 2})
    rate: float = field(default=3e-3, metadata={"help": "learning rate of Adam (papers: 1e-3 over many more steps)", "least": 1e-08})
    warm_start: bool = field(default=False, metadata={"help": "continue from the last model instead of starting from scratch"})
    loss: Literal["dice+ce", "dice"] = field(
        default="dice+ce", metadata={"help": "'dice' is the papers', 'dice+ce' adds background and balanced cross-entropy"}
    )
    augment: bool = field(default=True, metadata={"help": "flips, intensity and elastic augmentation"})


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
        metadata={"help": "annotated slices that gradients start from: the previous round's (2022), the first batch's (2020), or all"},
    )
    strategy_options: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "option of the strategy as NAME=VALUE, may be given several times"}
    )


@dataclass(frozen=True)
class RoundOptions(TrainingOptions, SuggestOptions):
    """Everything a round needs; kept with the round, so that it resumes with what it began with."""

    seed: int = field(
        default=0, metadata={"help": "of all randomness; the same seed on the same machine gives the same suggestions", "least": 0}
    )
