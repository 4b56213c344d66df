"""Patches of slices for networks that are trained on patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from SuggestiveAnnotationLib.training.losses import IGNORE


@dataclass(frozen=True)
class PatchSettings:
    """Which patches a slice gives.

    Attributes:
        size: side, pixels of the network grid. They are the scan's own pixels where the network grid is as fine as the scans.
        count: patches a slice.
        middle: the label is that of the middle pixel alone; zeros lie outside the slice. Else every pixel of the patch has its label, and
            patches lie inside the slice.
    """

    size: int
    count: int
    middle: bool = False


def sample_patches(images: Tensor, labels: Tensor, *, settings: PatchSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Patches around pixels drawn such that every class of a slice is as likely as every other. Ignored pixels are never drawn.

    A slice that is no larger than a patch is taken whole, once.

    Args:
        images: `(n, C, H, W)`.
        labels: integer `(n, H, W)`, 0..K, -1 ignore.
        settings: which patches.
        generator: on the CPU, so that every device draws the same patches.

    Returns:
        Patches `(n * count, C, size, size)` and labels `(n * count, size, size)`, or `(n * count, 1, 1)` of the middle pixels.
    """
    height, width = labels.shape[-2:]
    size = settings.size
    if not settings.middle and max(height, width) <= size:
        return images, labels
    drawn = torch.multinomial(_weights(labels.cpu()), settings.count, replacement=True, generator=generator)
    rows, columns = drawn // width, drawn % width
    slices = torch.arange(len(labels)).repeat_interleave(settings.count).tolist()
    if settings.middle:
        edge = size // 2
        images = functional.pad(images, (edge, edge, edge, edge))
        of_middle = labels[slices, rows.flatten().to(labels.device), columns.flatten().to(labels.device)]
        corners = list(zip(slices, rows.flatten().tolist(), columns.flatten().tolist(), strict=True))
        return torch.stack([images[i, :, r : r + size, c : c + size] for i, r, c in corners]), of_middle[:, None, None]
    # The drawn pixel may lie anywhere in its patch.
    starts = [
        (place - torch.randint(size, place.shape, generator=generator)).clamp(min=0).clamp(max=max(0, length - size)).flatten().tolist()
        for place, length in ((rows, height), (columns, width))
    ]
    corners = list(zip(slices, *starts, strict=True))
    return (
        torch.stack([images[i, :, r : r + size, c : c + size] for i, r, c in corners]),
        torch.stack([labels[i, r : r + size, c : c + size] for i, r, c in corners]),
    )


def _weights(labels: Tensor) -> Tensor:
    """Of every pixel `(n, H * W)`: one over the size of its class in the slice; 0 where ignored, unless all of the slice is."""
    flat = labels.flatten(1).long()
    valid = flat != IGNORE
    counts = torch.zeros(len(flat), int(flat.max().clamp(min=0)) + 1)
    counts.scatter_add_(1, flat.clamp(min=0), valid.float())
    weights = valid / counts.gather(1, flat.clamp(min=0)).clamp(min=1)
    return torch.where(valid.any(1, keepdim=True), weights, torch.ones_like(weights))
