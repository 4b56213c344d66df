"""Training the segmentation network (2022 paper, section 2.2)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.dropout import dropout_layers, sampled_dropout
from SuggestiveAnnotationLib.models.multi_scale import MultiScale
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.training.augment import AugmentSettings, augment
from SuggestiveAnnotationLib.training.cost import micro_batch_size
from SuggestiveAnnotationLib.training.data import ImageSource
from SuggestiveAnnotationLib.training.device import autocast_dtype, reproducible_convolutions
from SuggestiveAnnotationLib.training.losses import IGNORE, DiceSettings, balanced_weights
from SuggestiveAnnotationLib.training.objectives import objective, patch_settings
from SuggestiveAnnotationLib.training.patches import sample_patches
from SuggestiveAnnotationLib.training.predict import predict_probabilities
from SuggestiveAnnotationLib.training.sampling import Schedule, learning_rate_factor, shuffled_batches


@dataclass(frozen=True)
class SegmentationSettings:
    """How a segmentation network is trained; recorded with the model.

    Attributes:
        steps: optimiser steps, the same whatever the number of slices.
        batch_size: slices a step (2022 paper: 32); fewer where there are fewer slices, never less than two entries.
        learning_rate: of Adam (papers: 1e-3). schedule: of the learning rate.
        loss: what eq. 2 leaves open. Background counts and cross-entropy is added by default: with Dice over the foreground alone nothing
            holds background pixels in background, and a rare class stays unlearned. The paper's loss is `DiceSettings()`.
        balance: exponent of the cross-entropy's class weights, see `losses.balanced_weights`; 0: no weights.
        augment: None: slices as they are.
        ema: decay of the weights' moving average; None: the last weights.
        gradient_clip: largest norm of the gradient; None: unlimited.
        mixed_precision: bfloat16 where the device has it.
        micro_batch: slices at a time inside a step; the Dice sums run over them. None: as many as take about 0.3 s on this kind of device.
        validate_every: steps between looks at the validation set. patience: looks without gain before training stops early. The first look
            always gains, so that with these values a training of up to 350 steps takes all of them.
        seed: of weights (of a new network), order and augmentation.
    """

    steps: int = 600
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    loss: DiceSettings = field(default_factory=lambda: DiceSettings(background=True, cross_entropy=1.0))
    balance: float = 0.5
    augment: AugmentSettings | None = field(default_factory=AugmentSettings)
    ema: float | None = None
    gradient_clip: float | None = 10.0
    mixed_precision: bool = True
    micro_batch: int | None = None
    validate_every: int = 50
    patience: int = 6
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON values for a card."""
        return asdict(self)


@dataclass(frozen=True)
class ValidationSet:
    """Annotated slices that decide which weights of a training are kept and when it stops, and nothing else.

    Attributes:
        images: on the network grid.
        labels: integer `(n, H, W)`, 0..K, -1 ignore.
    """

    images: ImageSource
    labels: Tensor


@dataclass(frozen=True)
class TrainedSegmentation:
    """A trained network.

    Attributes:
        model: in evaluation mode. Without validation its last (or averaged) weights, with it the best ones, of equals the last.
        losses: one a step.
        validation_curve: (step, mean Dice of the foreground classes over the validation set).
        steps: taken. seconds: of training.
        stopped_early: on the validation set.
        slices: annotated slices that were used.
        micro_batch: slices at a time.
    """

    model: nn.Module
    losses: tuple[float, ...]
    validation_curve: tuple[tuple[int, float], ...]
    steps: int
    seconds: float
    stopped_early: bool
    slices: int
    micro_batch: int


def train_segmentation(
    model: nn.Module | Mapping[str, Any],
    images: ImageSource,
    labels: Tensor,
    *,
    settings: SegmentationSettings = SegmentationSettings(),
    validation: ValidationSet | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> TrainedSegmentation:
    """Train with fixed steps of Adam on the Dice loss of eq. 2, and on what `objectives.objective` adds for the network's architecture.

    Args:
        model: a spec for a new network, or a network to go on from; that one is copied, not changed.
        images: n slices on the network grid.
        labels: integer `(n, H, W)`, 0..K, -1 ignore, in the order of the images. Slices that are ignored everywhere are left out.
        settings: recorded with the model.
        validation: decides which weights are kept, and stops a long training early; None: all steps are taken and the last weights kept.
        progress: told once a step. cancel: asked before and after every backward pass of a micro-batch (about 0.3 s). What it does
            meanwhile has no influence on the weights: all randomness comes from a generator of its own.

    Raises:
        StudyError: no annotated slice, a label the network has no channel for, or training diverged.
        Cancelled: once the token is set.
    """
    usable = (labels != IGNORE).flatten(1).any(1).nonzero()[:, 0].cpu()
    if not len(usable):
        raise StudyError("There is no annotated slice to train on.", hint="Annotate and accept a few slices first.")
    stage = Stage("train", settings.steps, progress=progress, cancel=cancel)
    device = images.device
    network = copy.deepcopy(model) if isinstance(model, nn.Module) else build_network(model, seed=settings.seed)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _check_labels(network, labels)
    settings = _weighted(settings, labels[usable], network)
    dtype = autocast_dtype(device) if settings.mixed_precision else None
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=device.type in ("cpu", "cuda"))
    ema_rule = get_ema_multi_avg_fn(settings.ema) if settings.ema is not None else None  # type: ignore[no-untyped-call]
    average = None if settings.ema is None else AveragedModel(network, multi_avg_fn=ema_rule, use_buffers=True)
    generator = torch.Generator().manual_seed(settings.seed)
    order = shuffled_batches(len(usable), settings.batch_size, generator=generator)
    size = min(settings.batch_size, max(2, len(usable)))
    micro = settings.micro_batch or micro_batch_size(network, images.channels, images.size, batch_size=size, device=device, dtype=dtype)
    best = _Best(settings.patience)
    losses: list[float] = []
    dropout = dropout_layers(network)
    with reproducible_convolutions(device):
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, settings.steps, settings.schedule)
            network.train()
            for layer in dropout:
                layer.eval()
            optimiser.zero_grad()
            loss = 0.0
            parts = _split(usable[next(order)], micro)
            for part in parts:
                share = len(part) / sum(len(p) for p in parts)
                one: dict[str, Any] = {"share": share, "done": step / settings.steps, "settings": settings, "dtype": dtype}
                loss += share * _backward(network, images, labels, part, **one, generator=generator, cancel=cancel)
                if cancel is not None:
                    cancel.raise_if_cancelled()
            if not np.isfinite(loss):
                raise StudyError(f"Training diverged at step {step + 1}.", hint="Lower the learning rate or check the images.")
            if settings.gradient_clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
            optimiser.step()
            if average is not None:
                average.update_parameters(network)
            losses.append(loss)
            stage.advance(loss=loss)
            if validation is not None and ((step + 1) % settings.validate_every == 0 or step + 1 == settings.steps):
                judged = network if average is None else average.module
                score = mean_dice(judged, validation, batch_size=micro, mixed_precision=settings.mixed_precision, cancel=cancel)
                if best.stops(judged, step + 1, score):
                    break
    final = network if average is None else average.module
    if best.weights is not None:
        final.load_state_dict(best.weights)
    return TrainedSegmentation(
        model=final.eval(),
        losses=tuple(losses),
        validation_curve=tuple(best.curve),
        steps=len(losses),
        seconds=stage.seconds,
        stopped_early=len(losses) < settings.steps,
        slices=len(usable),
        micro_batch=micro,
    )


def mean_dice(
    model: nn.Module,
    validation: ValidationSet,
    *,
    batch_size: int = 16,
    mixed_precision: bool = True,
    cancel: CancelToken | None = None,
) -> float:
    """Mean of `class_dice` over the classes that have one; 1 if none has."""
    dice = class_dice(model, validation, batch_size=batch_size, mixed_precision=mixed_precision, cancel=cancel)
    known = dice[~dice.isnan()]
    return float(known.mean()) if len(known) else 1.0


def class_dice(
    model: nn.Module,
    validation: ValidationSet,
    *,
    batch_size: int = 16,
    mixed_precision: bool = True,
    cancel: CancelToken | None = None,
) -> Tensor:
    """Dice `(K,)` of each foreground class over all pixels of the set; NaN where a class is neither there nor predicted."""
    intersection = total = torch.zeros(1)
    indices = np.arange(len(validation.images))
    for batch, probabilities in predict_probabilities(
        model, validation.images, indices, batch_size=batch_size, mixed_precision=mixed_precision
    ):
        truth = validation.labels[torch.from_numpy(batch).to(validation.labels.device)].to(probabilities.device).long()
        classes = probabilities.shape[1]
        guess = probabilities.argmax(1)[truth != IGNORE]
        truth = truth[truth != IGNORE]
        intersection = intersection + torch.bincount(truth[guess == truth], minlength=classes).cpu()
        total = total + (torch.bincount(truth, minlength=classes) + torch.bincount(guess, minlength=classes)).cpu()
        if cancel is not None:
            cancel.raise_if_cancelled()
    return (2 * intersection / total)[1:]


class _Best:
    """Keeps the best weights on the validation set and says when to stop."""

    def __init__(self, patience: int) -> None:
        self.curve: list[tuple[int, float]] = []
        self.weights: dict[str, Tensor] | None = None
        self._patience = patience
        self._score = -1.0
        self._since = 0

    def stops(self, model: nn.Module, step: int, score: float) -> bool:
        self.curve.append((step, score))
        gains = score > self._score
        # Of equal looks the last one: where no look finds a rare structure, the first is merely trained least.
        if score >= self._score:
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        if gains:
            self._score, self._since = score, 0
            return False
        self._since += 1
        return self._since >= self._patience


def _backward(
    network: nn.Module,
    images: ImageSource,
    labels: Tensor,
    part: Tensor,
    *,
    share: float,
    done: float,
    settings: SegmentationSettings,
    dtype: torch.dtype | None,
    generator: torch.Generator,
    cancel: CancelToken | None,
) -> float:
    """Add the gradient of one micro-batch, weighted by its share of the batch; returns its loss."""
    x = images.images(part)
    y = labels[part.to(labels.device)].to(x.device)
    if settings.augment is not None:
        x, y = augment(x, y, settings=settings.augment, generator=generator)
    patches = patch_settings(network, images.size)
    if patches is not None:
        x, y = sample_patches(x, y, settings=patches, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    # Masks from the generator: the layers' own would come from the global one, which others use meanwhile.
    with sampled_dropout(network, [generator] * len(x)), torch.autocast(x.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
        loss = objective(network, x, y, settings=settings.loss, done=done)
    if cancel is not None:
        # On a slow processor the two passes together may take longer than a person should wait.
        cancel.raise_if_cancelled()
    (loss * share).backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _split(batch: Tensor, micro: int) -> list[Tensor]:
    """Parts of nearly equal size of at most `micro`, and of at least two: batch norm needs more than one."""
    parts = max(1, min(-(-len(batch) // micro), len(batch) // 2))
    return list(batch.tensor_split(parts))


def _weighted(settings: SegmentationSettings, labels: Tensor, network: nn.Module) -> SegmentationSettings:
    """The settings with class weights from the annotated slices, where cross-entropy is used and they are not given.

    Middle pixels of patches are drawn alike from all classes already.
    """
    channels = getattr(network, "classes", None)
    if (
        isinstance(network, MultiScale)
        or not settings.loss.cross_entropy
        or not settings.balance
        or settings.loss.class_weights
        or channels is None
    ):
        return settings
    weights = balanced_weights(labels, channels, exponent=settings.balance)
    return replace(settings, loss=replace(settings.loss, class_weights=weights))


def _check_labels(network: nn.Module, labels: Tensor) -> None:
    classes = getattr(network, "classes", None)
    highest = int(labels.max())
    if isinstance(classes, int) and highest >= classes:
        raise StudyError(f"The annotations hold class {highest}, but the network knows {classes - 1} classes.", hint="Train a new network.")
    if int(labels.min()) < IGNORE:
        raise ValueError("labels below -1")
