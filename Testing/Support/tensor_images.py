"""Training images without a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class TensorImages:
    """Images that are in memory already.

    Args:
        images: `(n, C, H, W)` on the device.
    """

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def channels(self) -> int:
        """Image channels C."""
        return self._images.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Network grid, pixels (row, column)."""
        return (self._images.shape[2], self._images.shape[3])

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._images.device

    def images(self, indices: Sequence[int] | NDArray[np.intp] | Tensor) -> Tensor:
        """float32 `(n, C, H, W)`."""
        return self._images[torch.as_tensor(indices, dtype=torch.int64, device=self.device)].float()
