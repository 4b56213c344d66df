"""The vanilla U-Net of the gradient-guided papers (2022 paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

WIDTHS: Mapping[str, tuple[int, ...]] = {"paper": (32, 64, 128, 256, 512), "thin": (16, 32, 64, 128, 256), "tiny": (4, 4, 8, 8, 8)}
"""Filters of the four levels and of the bottleneck. "thin" is for computers without a GPU, "tiny" for tests."""


class UNet(nn.Module):
    """Four levels of two 3x3 convolutions with batch norm and ReLU, max pooling down, deconvolution up, a bottleneck below.

    Args:
        channels: image channels C.
        classes: output channels, background included (K + 1).
        size: a name in `WIDTHS`.
    """

    def __init__(self, *, channels: int, classes: int, size: str = "paper") -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"network": "unet", "size": size, "channels": channels, "classes": classes}
        widths = WIDTHS[size]
        act, norm = ("relu", {"inplace": True}), "batch"
        self.first = TwoConv(2, channels, widths[0], act, norm, bias=False)
        self.down = nn.ModuleList(Down(2, a, b, act, norm, bias=False) for a, b in pairwise(widths))
        self.up = nn.ModuleList(UpCat(2, b, a, a, act, norm, bias=False) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.last = nn.Conv2d(widths[0], classes, kernel_size=1)

    @property
    def classes(self) -> int:
        """Output channels, background included."""
        return self.last.out_channels

    def levels(self, images: Tensor) -> list[Tensor]:
        """Encoder features, finest first; the last is the bottleneck `(n, widths[-1], H/16, W/16)`."""
        features = [self.first(images)]
        for block in self.down:
            features.append(block(features[-1]))
        return features

    def bottleneck_features(self, images: Tensor) -> Tensor:
        """Bottleneck averaged over the image, `(n, widths[-1])`."""
        return self.levels(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Images `(n, C, H, W)`, H and W multiples of 16, to logits `(n, K+1, H, W)`."""
        *skips, x = self.levels(images)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(x, skip)
        logits: Tensor = self.last(x)
        return logits


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over channels in float32."""
    return torch.softmax(logits.float(), dim=1)
