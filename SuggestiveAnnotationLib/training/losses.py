"""Losses of the 2022 paper: VAE (eq. 1) and multi-class Dice (eq. 2), with ignored pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = -1
"""Channel index of pixels that enter no loss."""


class VaeLoss(NamedTuple):
    """Terms of eq. 1, each summed over an image and averaged over the batch; `total = reconstruction + kl_weight * kl`."""

    total: Tensor
    reconstruction: Tensor
    kl: Tensor


def vae_loss(images: Tensor, reconstruction: Tensor, mean: Tensor, log_variance: Tensor, *, kl_weight: float = 1.0) -> VaeLoss:
    """`||dec(z) - x||^2 + KL(q(z|x) || N(0, I))`, 2022 paper eq. 1.

    The squared error is summed over an image's pixels: averaged over them it would be thousands of times smaller than the
    divergence, and the posterior would collapse onto the prior.

    Args:
        images, reconstruction: `(n, C, H, W)`.
        mean, log_variance: of the posterior, `(n, d)`.
        kl_weight: 1 is the paper's.
    """
    squared = (reconstruction.float() - images.float()).square().flatten(1).sum(1).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1).mean()
    return VaeLoss(squared + kl_weight * kl, squared, kl)


@dataclass(frozen=True)
class DiceSettings:
    """What eq. 2 leaves open.

    Attributes:
        background: background counts among the K classes.
        smooth: s, added to numerator and denominator; positive, so that a class that is neither there nor predicted costs nothing.
        cross_entropy: weight of a mean cross-entropy added to the Dice loss; 0 is the paper's.
        class_weights: of the cross-entropy, one a channel with background first; empty: all 1. See `balanced_weights`.
    """

    background: bool = False
    smooth: float = 1.0
    cross_entropy: float = 0.0
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.smooth <= 0:
            raise ValueError(f"smooth must be positive, not {self.smooth}")


def dice_loss(logits: Tensor, labels: Tensor, *, settings: DiceSettings = DiceSettings()) -> Tensor:
    """Batch Dice for training: the sums of eq. 2 run over all pixels of the batch. Scalar.

    Args:
        logits: `(n, K+1, H, W)`.
        labels: integer `(n, H, W)`, 0..K, -1 ignore.
        settings: what eq. 2 leaves open.
    """
    overlap, total = _sums(logits, labels)
    loss = _dice(overlap.sum(0), total.sum(0), settings)
    if settings.cross_entropy:
        valid = (labels != IGNORE).sum().clamp(min=1)
        loss = loss + settings.cross_entropy * _cross_entropy(logits, labels, settings).sum() / valid
    return loss


def per_sample_dice_loss(logits: Tensor, labels: Tensor, *, settings: DiceSettings = DiceSettings()) -> Tensor:
    """Eq. 2 for every slice by itself, `(n,)`; its sum gives per-sample gradients that do not depend on the batch.

    Args and settings as in `dice_loss`.
    """
    overlap, total = _sums(logits, labels)
    loss = _dice(overlap, total, settings)
    if settings.cross_entropy:
        valid = (labels != IGNORE).flatten(1).sum(1).clamp(min=1)
        loss = loss + settings.cross_entropy * _cross_entropy(logits, labels, settings).flatten(1).sum(1) / valid
    return loss


def per_class_dice_loss(logits: Tensor, labels: Tensor, *, smooth: float = 1.0) -> Tensor:
    """Eq. 2 for every slice and class 1..K by itself, `(n, K)`; nan for classes that the slice's labels do not show.

    Args:
        logits: `(n, K+1, H, W)`.
        labels: integer `(n, H, W)`, 0..K, -1 ignore.
        smooth: s of eq. 2.
    """
    overlap, total = _sums(logits, labels)
    losses = 1.0 - (2.0 * overlap + smooth) / (total + smooth)
    shown = functional.one_hot(labels.long().clamp(min=0), logits.shape[1]).flatten(1, 2).any(1)
    return torch.where(shown[:, 1:], losses[:, 1:], torch.nan)


def _sums(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Per slice and class: `sum p y` and `sum p + sum y` over the pixels that are not ignored, each `(n, K+1)`."""
    probabilities = torch.softmax(logits.float(), dim=1)
    valid = (labels != IGNORE)[:, None]
    probabilities = probabilities * valid
    target = functional.one_hot(labels.long().clamp(min=0), logits.shape[1]).movedim(-1, 1).to(probabilities.dtype) * valid
    overlap = (probabilities * target).sum(dim=(2, 3))
    return overlap, probabilities.sum(dim=(2, 3)) + target.sum(dim=(2, 3))


def _dice(overlap: Tensor, total: Tensor, settings: DiceSettings) -> Tensor:
    score = (2.0 * overlap + settings.smooth) / (total + settings.smooth)
    return 1.0 - (score if settings.background else score[..., 1:]).mean(-1)


def balanced_weights(labels: Tensor, channels: int, *, exponent: float = 0.5) -> tuple[float, ...]:
    """Class weights `frequency ** -exponent`, scaled so that the mean over pixels is 1. An absent class weighs like the rarest present.

    Args:
        labels: integer, 0..K, -1 ignore, any shape.
        channels: K + 1.
        exponent: 0 all alike, 1 every class alike whatever its size.
    """
    counts = torch.bincount(labels[labels != IGNORE].long(), minlength=channels).cpu().double()  # MPS has no float64
    present = counts > 0
    if not present.any():
        return (1.0,) * channels
    frequency = counts.clamp(min=float(counts[present].min())) / counts.sum()
    weights = frequency**-exponent
    return tuple((weights / (weights * counts / counts.sum()).sum()).tolist())


def _cross_entropy(logits: Tensor, labels: Tensor, settings: DiceSettings) -> Tensor:
    weight = torch.tensor(settings.class_weights, device=logits.device) if settings.class_weights else None
    return functional.cross_entropy(logits.float(), labels.long(), weight=weight, ignore_index=IGNORE, reduction="none")
