"""Test-time augmentation: slightly changed views of slices, and the way back for what a network says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ViewSettings:
    """How far views differ from the slice.

    Attributes:
        flip: half of the views are mirrored along columns. Only where columns run left-right (axial, coronal).
        partner: channel -> channel on the other side, swapped back after mirroring (`LabelSchema.channel_partner`); empty: none.
        rotation: largest angle, degrees. shift: largest translation, share of the image side.
        scale: largest relative change of contrast. offset: largest change of brightness (in z-scores).
    """

    flip: bool = False
    partner: tuple[int, ...] = ()
    rotation: float = 5.0
    shift: float = 0.03
    scale: float = 0.1
    offset: float = 0.1


def views(images: Tensor, *, settings: ViewSettings, generators: Sequence[torch.Generator]) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """One view of every image, and the function that carries class probabilities of the views back onto the images' own pixels.

    Pixels that a view does not show take the probabilities of its nearest border pixel, so that they still sum to 1.

    Args:
        images: float32 `(n, C, H, W)`.
        settings: how far views differ.
        generators: on the CPU, one an image.
    """
    n, channels = images.shape[:2]
    draws = torch.stack([torch.rand(4 + 2 * channels, generator=g) for g in generators])
    mirrored = (draws[:, 0] < 0.5) & settings.flip
    angle, right, down = ((draws[:, 1:4] * 2 - 1) * torch.tensor([settings.rotation, settings.shift, settings.shift])).unbind(1)
    scale, offset = ((draws[:, 4:] * 2 - 1).to(images.device)).reshape(n, 2, channels, 1, 1).unbind(1)
    forth, back = (m.to(images.device) for m in _rotations(angle, 2 * right, 2 * down, images.shape[-2:]))
    mirrored = mirrored.to(images.device)[:, None, None, None]
    out = torch.where(mirrored, images.flip(-1), images)
    out = _sample(out, forth, "zeros") * (1 + settings.scale * scale) + settings.offset * offset
    partner = torch.tensor(settings.partner, device=images.device)

    def carried_back(probabilities: Tensor) -> Tensor:
        upright = _sample(probabilities, back, "border")
        turned = upright.flip(-1)
        return torch.where(mirrored, turned[:, partner] if len(partner) else turned, upright)

    return out, carried_back


def _sample(x: Tensor, theta: Tensor, outside: str) -> Tensor:
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    if outside == "border" and x.device.type == "mps":
        # Apple's GPUs have no such padding before torch 2.13.
        grid, outside = held_inside(grid, x.shape[-2:]), "zeros"
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def held_inside(grid: Tensor, shape: torch.Size) -> Tensor:
    """Points of `grid_sample` `(..., 2)` in an image of this shape, moved to the middle of the nearest border pixel where they lie beyond.

    Sampled with any padding they give what padding "border" gives, but for rounding.
    """
    rows, columns = shape
    edge = grid.new_tensor([1 - 1 / columns, 1 - 1 / rows])
    return grid.clamp(-edge, edge)


def _rotations(angle: Tensor, right: Tensor, down: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Sampling matrices `(n, 2, 3)` of a rotation (degrees) with a shift (in half image sides), and of its inverse."""
    radians, (rows, columns) = angle * (math.pi / 180), shape
    cosine, sine = torch.cos(radians), torch.sin(radians)

    def turned(sine: Tensor) -> Tensor:
        first = torch.stack([cosine, -sine * rows / columns], dim=1)
        return torch.stack([first, torch.stack([sine * columns / rows, cosine], dim=1)], dim=1)

    moved = torch.stack([right, down], dim=1)[:, :, None]
    return torch.cat([turned(sine), moved], dim=2), torch.cat([turned(-sine), -turned(-sine) @ moved], dim=2)
