"""The multi-scale patch network that the annotation-effort paper compares with (Moeskops et al., IEEE TMI 2016, arXiv 1704.03295).

One pixel is classified from three patches around it, 25, 51 and 75 pixels wide. A slice costs one pass: pooling keeps its stride of one and
later layers take steps between their inputs instead, which computes for every pixel exactly what the patches would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork

WIDTHS: Mapping[str, tuple[int, int, int, int]] = {
    "paper": (24, 32, 48, 256),
    "thin": (12, 16, 24, 64),
    "small": (8, 12, 16, 32),
    "tiny": (6, 6, 8, 16),
}
"""Filters of the three convolutions of a branch, and nodes of its fully connected layer."""

PATCHES = (25, 51, 75)
KERNELS = ((6, 3, 3), (8, 5, 4), (10, 6, 5))
"""Of the three convolutions of each branch: the wider the patch, the wider the kernels, and such that pooling leaves no pixel of a patch
out. They are ours: the annotation-effort paper names the patches alone."""

PATCH = max(PATCHES)


class MultiScale(SegmentationNetwork):
    """Three branches of three convolutions with ReLU, each with 2x2 max pooling, and a fully connected layer; joined by a last one.

    Args:
        channels: image channels C.
        classes: output channels, background included (K + 1).
        size: a name in `WIDTHS`.
        dropout: probability with which nodes of the fully connected layers are dropped in training.
    """

    def __init__(self, *, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"network": "multi-scale-patches", "size": size, "channels": channels, "classes": classes}
        if dropout:
            self.spec["dropout"] = dropout
        self.branches = nn.ModuleList(Branch(channels, WIDTHS[size], patch, k) for patch, k in zip(PATCHES, KERNELS, strict=True))
        self.drop = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(len(PATCHES) * WIDTHS[size][-1], classes, 1)

    @property
    def classes(self) -> int:
        """See `SegmentationNetwork.classes`."""
        return self.last.out_channels

    def pixel_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.pixel_features`: the nodes of the three branches; zeros lie outside of the image."""
        nodes: Tensor = self.drop(torch.cat([branch.everywhere(images) for branch in self.branches], dim=1))  # type: ignore[operator]
        return nodes

    def classify(self, features: Tensor) -> Tensor:
        """See `SegmentationNetwork.classify`."""
        logits: Tensor = self.last(features)
        return logits

    def bottleneck_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.bottleneck_features`: the nodes averaged over the image."""
        return self.pixel_features(images).mean((2, 3))

    def of_patches(self, patches: Tensor) -> Tensor:
        """Logits `(n, K+1, 1, 1)` of the middle pixels of patches `(n, C, 75, 75)`; the same as `forward` gives there, for training."""
        edges = [(PATCH - size) // 2 for size in PATCHES]
        seen = [patches[..., e : PATCH - e, e : PATCH - e] for e in edges]
        return self.classify(self.drop(torch.cat([b(x) for b, x in zip(self.branches, seen, strict=True)], dim=1)))


class Branch(nn.Module):
    """One patch width: three times a convolution, ReLU and 2x2 max pooling, then a fully connected layer written as a convolution."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int], patch: int, kernels: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch = patch
        side = patch
        for kernel in kernels:
            side = (side - kernel + 1) // 2
        sizes = zip((channels, *widths[:2]), widths[:3], kernels, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k) for a, b, k in sizes)
        self.connected = nn.Conv2d(widths[2], widths[3], side)
        for layer in (*self.convolutions, self.connected):
            # Without normalisation the signal would fade from layer to layer.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, patches: Tensor) -> Tensor:
        """Patches `(n, C, patch, patch)` to nodes `(n, nodes, 1, 1)`."""
        x = patches
        for layer in self.convolutions:
            x = functional.max_pool2d(torch.relu(layer(x)), 2)
        return torch.relu(self.connected(x))

    def everywhere(self, images: Tensor) -> Tensor:
        """Nodes of the patch around every pixel of `(n, C, H, W)`: `(n, nodes, H, W)`."""
        edge = self.patch // 2
        x, step = functional.pad(images, (edge, edge, edge, edge)), 1
        for layer in self.convolutions:
            x = torch.relu(functional.conv2d(x, layer.weight, layer.bias, dilation=step))  # type: ignore[arg-type]
            x = functional.max_pool2d(x, 2, stride=1, dilation=step)
            step *= 2
        return torch.relu(functional.conv2d(x, self.connected.weight, self.connected.bias, dilation=step))
