"""What a segmentation network is trained to make small: the loss of the labels, and what its architecture or a loss head adds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.multi_scale import PATCH as MULTI_SCALE_PATCH
from SuggestiveAnnotationLib.models.multi_scale import MultiScale
from SuggestiveAnnotationLib.models.u_shape import PATCH as U_SHAPE_PATCH
from SuggestiveAnnotationLib.models.u_shape import UShape
from SuggestiveAnnotationLib.models.unet import UNet
from SuggestiveAnnotationLib.models.voxresnet import VoxResNet
from SuggestiveAnnotationLib.training.losses import DiceSettings, dice_loss, per_sample_dice_loss
from SuggestiveAnnotationLib.training.patches import PatchSettings

MARGIN = 0.5
"""Of the ranking loss (2022 paper, section 3.4: margin 0.5, weight 1)."""
DETACH_FROM = 0.6
"""Share of the training after which the loss head no longer reaches the segmentation's layers (2022 paper: epoch 30 of 50)."""
LAST_DEPTH_WEIGHT = 1e-3
"""Of VoxResNet's single depths at the end of training, from 1 at its beginning (Chen et al.: until marginal values)."""
PATCHES_PER_SLICE = 16


def patch_settings(network: nn.Module, size: tuple[int, int]) -> PatchSettings | None:
    """How a network wants its slices cut for training; None: whole.

    The U-shape network takes as many patches as hold the pixels of a slice.
    """
    if isinstance(network, MultiScale):
        return PatchSettings(MULTI_SCALE_PATCH, PATCHES_PER_SLICE, middle=True)
    if isinstance(network, UShape):
        return PatchSettings(U_SHAPE_PATCH, max(1, round(size[0] * size[1] / U_SHAPE_PATCH**2)))
    return None


def objective(network: nn.Module, images: Tensor, labels: Tensor, *, settings: DiceSettings, done: float) -> Tensor:
    """The loss of a micro-batch. Scalar; the forward passes run in the caller's precision.

    Args:
        network: in training mode.
        images: `(n, C, H, W)`, cut as `patch_settings` says.
        labels: integer `(n, H, W)`; `(n, 1, 1)` for the multi-scale network.
        settings: of the Dice loss.
        done: share of the training that is over, from 0 to 1.
    """
    if isinstance(network, MultiScale):
        return dice_loss(network.of_patches(images), labels, settings=settings)
    if isinstance(network, VoxResNet):
        depths = network.depths(network.pixel_features(images))
        weight = float(LAST_DEPTH_WEIGHT**done)
        loss = dice_loss(torch.stack(depths).sum(0), labels, settings=settings)
        return loss + weight * torch.stack([dice_loss(one, labels, settings=settings) for one in depths]).sum()
    if isinstance(network, UNet):
        logits, predicted = network.with_losses(images, detach=done >= DETACH_FROM)
        loss = dice_loss(logits, labels, settings=settings)
        if predicted is None:
            return loss
        return loss + ranking_loss(predicted, per_sample_dice_loss(logits, labels, settings=settings).detach())
    return dice_loss(network(images), labels, settings=settings)


def ranking_loss(predicted: Tensor, losses: Tensor, *, margin: float = MARGIN) -> Tensor:
    """Pairwise ranking loss of learning loss: `max(0, -sign(l_i - l_j) (p_i - p_j) + margin)`, mean over pairs (Yoo and Kweon, eq. 2).

    Args:
        predicted, losses: `(n,)`; neighbours form the pairs, a last one without a partner is left out. 0 for a single slice.
        margin: by how much predictions should differ.
    """
    pairs = len(losses) // 2 * 2
    if not pairs:
        return 0.0 * predicted.sum()
    sign = torch.sign(losses[0:pairs:2] - losses[1:pairs:2])
    return (margin - sign * (predicted[0:pairs:2] - predicted[1:pairs:2])).clamp(min=0).mean()
