"""VoxResNet in 2D: residual modules and auxiliary classifiers at four depths (Chen et al., NeuroImage 2018, arXiv 1608.05895)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork

WIDTHS: Mapping[str, tuple[int, int]] = {"paper": (32, 64), "thin": (16, 32), "small": (8, 16), "tiny": (4, 8)}
"""Filters at full resolution, and below."""

_FACTORS = (1, 2, 4, 8)


class VoxResNet(SegmentationNetwork):
    """Three strided convolutions, each followed by two residual modules; four depths are brought back to full size and classified.

    The 3D kernels of the paper become 3x3. The output is the sum of the four classifiers', which is what makes the last layer linear in
    the four depths' features side by side. In training every depth is also held to the labels by itself (`depths`).

    Args:
        channels: image channels C.
        classes: output channels, background included (K + 1).
        size: a name in `WIDTHS`.
        dropout: probability with which channels of the two coarsest depths are dropped in training; 0 is the paper's.
    """

    def __init__(self, *, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"network": "voxresnet", "size": size, "channels": channels, "classes": classes}
        if dropout:
            self.spec["dropout"] = dropout
        first, other = WIDTHS[size]
        self.first = nn.Sequential(nn.Conv2d(channels, first, 3, padding=1, bias=False), *_normal(first), _conv(first, first))
        self.down = nn.ModuleList(
            nn.Sequential(*_normal(inputs), _conv(inputs, other, stride=2), Residual(other), Residual(other))
            for inputs in (first, other, other)
        )
        self.enlarge = nn.ModuleList(
            nn.Sequential(*_normal(width), _deconvolution(width, factor), nn.ReLU(inplace=True))
            for width, factor in zip((first, other, other, other), _FACTORS, strict=True)
        )
        self.drop = nn.Dropout2d(dropout)
        self.widths = (first, other, other, other)
        self.classifiers = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in self.widths)

    @property
    def classes(self) -> int:
        """See `SegmentationNetwork.classes`."""
        return int(self.classifiers[0].out_channels)  # type: ignore[arg-type]

    def pixel_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.pixel_features`: the four depths at full size, side by side."""
        height, width = images.shape[-2:]
        enlarged = [block(x)[..., :height, :width] for block, x in zip(self.enlarge, self._levels(images), strict=True)]
        return torch.cat(enlarged, dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """See `SegmentationNetwork.classify`: the sum of the four classifiers."""
        return torch.stack(self.depths(features)).sum(0)

    def depths(self, features: Tensor) -> list[Tensor]:
        """What each depth says by itself, finest first: four logits `(n, K+1, H, W)`."""
        parts = torch.split(features, list(self.widths), dim=1)
        return [classifier(part) for classifier, part in zip(self.classifiers, parts, strict=True)]

    def bottleneck_features(self, images: Tensor) -> Tensor:
        """See `SegmentationNetwork.bottleneck_features`."""
        return self._levels(images)[-1].mean((2, 3))

    def _levels(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[-2:]
        features = [self.first(functional.pad(images, (0, -width % 8, 0, -height % 8)))]
        for block in self.down:
            features.append(block(features[-1]))
        return [*features[:-2], self.drop(features[-2]), self.drop(features[-1])]


class Residual(nn.Module):
    """Twice batch norm, ReLU and a 3x3 convolution, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_normal(width), _conv(width, width), *_normal(width), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """`(n, width, H, W)` to the same shape."""
        out: Tensor = x + self.body(x)
        return out


def _normal(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(width), nn.ReLU(inplace=False)


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _deconvolution(width: int, factor: int) -> nn.Module:
    """To `factor` times the size, with a kernel of twice the stride, so that neighbours overlap."""
    if factor == 1:
        return nn.Conv2d(width, width, 3, padding=1)
    return nn.ConvTranspose2d(width, width, 2 * factor, stride=factor, padding=factor // 2)
