"""Random changes of a training batch, for all slices at once on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from SuggestiveAnnotationLib.training.losses import IGNORE


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly, and how often, slices are changed.

    Attributes:
        probability: of each of: warp, intensity change; for every slice by itself. 0: nothing is changed, flips included.
        flip: mirror half of the slices along columns. Only where columns run left-right (axial, coronal).
        partner: channel -> channel on the other side, swapped in mirrored slices (`LabelSchema.channel_partner`); empty: none.
        rotation: largest angle, degrees. zoom: largest relative change of size. shift: largest translation, share of the image side.
        elastic: standard deviation of the displacement at the control points, share of the image side.
        control_points: along each side, of the elastic displacement.
        scale: largest relative change of contrast. offset: largest change of brightness (in z-scores). gamma: largest log2 of the exponent.
    """

    probability: float = 0.5
    flip: bool = False
    partner: tuple[int, ...] = ()
    rotation: float = 10.0
    zoom: float = 0.1
    shift: float = 0.05
    elastic: float = 0.02
    control_points: int = 6
    scale: float = 0.2
    offset: float = 0.2
    gamma: float = 0.3


def augment(images: Tensor, labels: Tensor, *, settings: AugmentSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror, warp and change the intensities of a batch; the inputs are not written to.

    Images are interpolated linearly with zeros outside, as on the way to the network grid. Labels take the nearest pixel; ignore stays
    ignore, and what comes from outside the grid is ignored, since nobody annotated it.

    Args:
        images: float `(n, C, H, W)`.
        labels: integer `(n, H, W)`, 0..K, -1 ignore.
        settings: what may happen.
        generator: on the CPU, so that every device draws the same changes.

    Returns:
        Images and labels of the same shape, dtype and device.
    """
    if settings.probability <= 0:
        return images, labels
    n = len(images)
    if settings.flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
        images, labels = _mirror(images, labels, mirrored.to(images.device), settings.partner)
    warped = torch.rand(n, generator=generator) < settings.probability
    affine = torch.rand(n, 4, generator=generator) * 2 - 1
    points = torch.randn(n, 2, settings.control_points, settings.control_points, generator=generator)
    chosen = warped.nonzero()[:, 0]
    if len(chosen):
        grid = _grid(affine[chosen].to(images.device), points[chosen].to(images.device), images.shape[-2:], settings)
        images, labels = _warp(images, labels, chosen.to(images.device), grid)
    return _intensity(images, settings=settings, generator=generator), labels


def _mirror(images: Tensor, labels: Tensor, mirrored: Tensor, partner: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    turned = labels.flip(-1)
    if partner:
        # Ignore (-1) reads the last entry.
        table = torch.tensor([*partner, IGNORE], device=labels.device, dtype=labels.dtype)
        turned = table[turned.long()]
    return (
        torch.where(mirrored[:, None, None, None], images.flip(-1), images),
        torch.where(mirrored[:, None, None], turned, labels),
    )


def _grid(affine: Tensor, points: Tensor, shape: torch.Size, settings: AugmentSettings) -> Tensor:
    """Sampling positions `(n, H, W, 2)` in (x, y) from -1 to 1 over the pixels' outer edges: small affine plus elastic.

    Args:
        affine: angle, zoom, shift to the right and down, each from -1 to 1, `(n, 4)`.
        points: standard normal displacement of the control points, `(n, 2, points, points)`.
        shape: H, W.
        settings: how far the draws reach.
    """
    angle, zoom, right, down = affine.unbind(1)
    angle = angle * math.radians(settings.rotation)
    factor = torch.exp(zoom * math.log1p(settings.zoom))
    rows, columns = shape
    cosine, sine = torch.cos(angle) * factor, torch.sin(angle) * factor
    theta = torch.stack(
        [
            torch.stack([cosine, -sine * rows / columns, 2 * right * settings.shift], dim=1),
            torch.stack([sine * columns / rows, cosine, 2 * down * settings.shift], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, [len(affine), 1, rows, columns], align_corners=False)
    smooth = functional.interpolate(points * (2 * settings.elastic), (rows, columns), mode="bicubic", align_corners=True)
    moved: Tensor = grid + smooth.movedim(1, -1)
    return moved


def _warp(images: Tensor, labels: Tensor, chosen: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    images, labels = images.clone(), labels.clone()
    moved = functional.grid_sample(images[chosen].float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # One is added so that the zeros outside become ignore.
    shifted = (labels[chosen] - IGNORE)[:, None].float()
    nearest = functional.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0]
    images[chosen] = moved.to(images.dtype)
    labels[chosen] = nearest.round().to(labels.dtype) + IGNORE
    return images, labels


def _intensity(images: Tensor, *, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Contrast, brightness and gamma, for every slice and channel by itself."""
    n, channels = images.shape[:2]
    changed = (torch.rand(n, 1, generator=generator) < settings.probability).float()
    scale, offset, gamma = ((torch.rand(3, n, channels, generator=generator) * 2 - 1) * changed).to(images.device)[..., None, None]
    out: Tensor = images * (1 + scale * settings.scale) + offset * settings.offset
    chosen = changed[:, 0].nonzero()[:, 0].to(images.device)
    if settings.gamma and len(chosen):
        x = out[chosen]
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        reach = (high - low).clamp(min=1e-6)
        out[chosen] = low + reach * ((x - low) / reach).clamp(0, 1).pow(torch.exp2(gamma[chosen] * settings.gamma))
    return out
