"""The vanilla U-Net of the gradient-guided papers (2022 paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.loss_head import LossHead
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork

WIDTHS: Mapping[str, tuple[int, ...]] = {
    "paper": (32, 64, 128, 256, 512),
    "thin": (16, 32, 64, 128, 256),
    "small": (8, 16, 32, 64, 128),
    "tiny": (4, 4, 8, 8, 8),
}
"""Filters of the four levels and of the bottleneck. "thin" is for computers without a GPU, "small" for comparisons of many runs on such,
"tiny" for tests."""


class UNet(SegmentationNetwork):
    """Four levels of two 3x3 convolutions with batch norm and ReLU, max pooling down, deconvolution up, a bottleneck below.

    Args:
        channels: image channels C.
        classes: output channels, background included (K + 1).
        size: a name in `WIDTHS`.
        dropout: probability with which channels are dropped in training, in the bottleneck and on the level above it, both ways: in the
            middle, where dropping tells most (Kendall et al., Bayesian SegNet, BMVC 2017). 0 is the papers'.
        loss_head: the network also predicts its own loss, from all levels on the way down and up.
    """

    def __init__(self, *, channels: int, classes: int, size: str = "paper", dropout: float = 0.0, loss_head: bool = False) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"network": "unet", "size": size, "channels": channels, "classes": classes}
        self.spec |= ({"dropout": dropout} if dropout else {}) | ({"loss_head": True} if loss_head else {})
        widths = WIDTHS[size]
        act, norm = ("relu", {"inplace": True}), "batch"
        self.first = TwoConv(2, channels, widths[0], act, norm, bias=False)
        self.down = nn.ModuleList(Down(2, a, b, act, norm, bias=False) for a, b in pairwise(widths))
        self.up = nn.ModuleList(UpCat(2, b, a, a, act, norm, bias=False) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.last = nn.Conv2d(widths[0], classes, kernel_size=1)
        self.drop = nn.Dropout2d(dropout)
        self.loss_head = LossHead((*widths, *widths[-2::-1]), nodes=4 * widths[0]) if loss_head else None

    @property
    def classes(self) -> int:
        """Output channels, background included."""
        return self.last.out_channels

    def levels(self, images: Tensor) -> list[Tensor]:
        """Encoder features, finest first; the last is the bottleneck `(n, widths[-1], H/16, W/16)`."""
        features = [self.first(images)]
        for block in self.down:
            features.append(block(features[-1]))
        return [*features[:-2], self.drop(features[-2]), self.drop(features[-1])]

    def bottleneck_features(self, images: Tensor) -> Tensor:
        """Bottleneck averaged over the image, `(n, widths[-1])`."""
        return self.levels(images)[-1].mean(dim=(2, 3))

    def pixel_features(self, images: Tensor) -> Tensor:
        """Features of the finest level, `(n, widths[0], H, W)`."""
        return self._all_levels(images)[-1]

    def with_losses(self, images: Tensor, *, detach: bool) -> tuple[Tensor, Tensor | None]:
        """Logits, and the predicted losses `(n,)` (None without a loss head); detached, those do not reach the segmentation's layers."""
        levels = self._all_levels(images)
        seen = [x.detach() for x in levels] if detach else levels
        return self.classify(levels[-1]), None if self.loss_head is None else self.loss_head(seen)

    def predicted_losses(self, images: Tensor) -> Tensor | None:
        """See `SegmentationNetwork.predicted_losses`."""
        return None if self.loss_head is None else self.loss_head(self._all_levels(images))

    def _all_levels(self, images: Tensor) -> list[Tensor]:
        """All levels on the way down and up; the last has the size of the images."""
        down = self.levels(images)
        features, x = list(down), down[-1]
        for place, (block, skip) in enumerate(zip(self.up, reversed(down[:-1]), strict=True)):
            x = block(x, skip)
            x = self.drop(x) if place == 0 else x
            features.append(x)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """See `SegmentationNetwork.classify`."""
        logits: Tensor = self.last(features)
        return logits


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over channels in float32."""
    return torch.softmax(logits.float(), dim=1)
