"""The U-shape network on patches of the annotation-effort paper (figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.models.tiles import cut, put_together

WIDTHS: Mapping[str, tuple[int, ...]] = {
    "paper": (64, 128, 256, 512, 1024),
    "thin": (16, 32, 64, 128, 256),
    "small": (8, 16, 32, 64, 128),
    "tiny": (8, 8, 8, 8, 8),
}
"""Filters of the four levels and of the bottleneck. "paper" has the 3.1e7 parameters that the paper counts."""

PATCH = 64
"""Side of the input, pixels."""


class UShape(SegmentationNetwork):
    """Two 3x3 convolutions with ReLU a level and no normalisation; max pooling down; enlarging and a 2x2 convolution of stride one up.

    The paper's network sees patches of 64x64. Larger images are seen in overlapping patches whose features are averaged; what the last
    layer makes of the mean is the mean of what it makes of the patches.

    Args:
        channels: image channels C.
        classes: output channels, background included (K + 1).
        size: a name in `WIDTHS`.
        dropout: probability with which channels around the bottleneck are dropped in training; 0 is the paper's.
    """

    def __init__(self, *, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"network": "u-shape-patches", "size": size, "channels": channels, "classes": classes}
        if dropout:
            self.spec["dropout"] = dropout
        widths = WIDTHS[size]
        self.down = nn.ModuleList(_two(a, b) for a, b in pairwise((channels, *widths)))
        self.enlarge = nn.ModuleList(nn.Conv2d(b, a, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_two(2 * a, a) for a in widths[:-1])
        self.drop = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(widths[0], classes, 1)
        for layer in self.modules():
            # Without normalisation the signal would fade on its way down.
            if isinstance(layer, nn.Conv2d) and layer is not self.last:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    @property
    def classes(self) -> int:
        """See `SegmentationNetwork.classes`."""
        return self.last.out_channels

    def pixel_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.pixel_features`: those of one patch, or averaged over overlapping ones."""
        height, width = images.shape[-2:]
        if max(height, width) <= PATCH:
            return self._of_patch(images)
        return put_together(self._of_patch(cut(images, PATCH)), (height, width), PATCH)

    def classify(self, features: Tensor) -> Tensor:
        """See `SegmentationNetwork.classify`."""
        logits: Tensor = self.last(features)
        return logits

    def bottleneck_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.bottleneck_features`: averaged over the patches too."""
        patches = cut(images, PATCH)
        means = self._levels(_whole(patches))[-1].mean((2, 3))
        return means.reshape(len(images), -1, means.shape[1]).mean(1)

    def _levels(self, patches: Tensor) -> list[Tensor]:
        features = [self.down[0](patches)]
        for block in list(self.down)[1:]:
            features.append(block(functional.max_pool2d(features[-1], 2)))
        # Around the bottleneck, where dropping tells most (Kendall et al., Bayesian SegNet).
        return [*features[:-2], self.drop(features[-2]), self.drop(features[-1])]

    def _of_patch(self, patches: Tensor) -> Tensor:
        *skips, x = self._levels(_whole(patches))
        for level in range(len(skips) - 1, -1, -1):
            larger = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            # Padded at the end alone: a kernel of two has no middle.
            larger = torch.relu(self.enlarge[level](functional.pad(larger, (0, 1, 0, 1))))
            x = self.up[level](torch.cat([skips[level], larger], dim=1))
        return x[..., : patches.shape[-2], : patches.shape[-1]]


def _whole(patches: Tensor) -> Tensor:
    """Padded with zeros at the end to multiples of 16."""
    height, width = patches.shape[-2:]
    return functional.pad(patches, (0, -width % 16, 0, -height % 16))


def _two(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)
    )
