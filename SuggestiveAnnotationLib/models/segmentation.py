"""What every segmentation network is: pixel features, a linear layer on them, and a bottleneck."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class SegmentationNetwork(nn.Module, ABC):
    """From images `(n, C, H, W)` of any size to logits `(n, K+1, H, W)`, by a last layer that is linear in every pixel by itself.

    Attributes:
        spec: rebuilds the network, see `models.registry.build_network`.
    """

    spec: dict[str, Any]

    @property
    @abstractmethod
    def classes(self) -> int:
        """Output channels, background included (K + 1)."""

    @abstractmethod
    def pixel_features(self, images: Tensor) -> Tensor:
        """What the last layer sees, `(n, F, H, W)`."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Pixel features to logits; linear in every pixel by itself, so it commutes with averages over networks' views of a pixel."""

    @abstractmethod
    def bottleneck_features(self, images: Tensor) -> Tensor:
        """The deepest features averaged over the image, `(n, features)`."""

    def forward(self, images: Tensor) -> Tensor:
        """Images `(n, C, H, W)` to logits `(n, K+1, H, W)`."""
        return self.classify(self.pixel_features(images))

    def predicted_losses(self, images: Tensor) -> Tensor | None:
        """The loss that the network expects of itself on every image, `(n,)`; None where it has no loss head."""
        return None
