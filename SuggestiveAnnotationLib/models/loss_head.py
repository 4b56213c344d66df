"""A head that predicts the loss of the network it sits on (Yoo and Kweon, CVPR 2019), on every level of a U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LossHead(nn.Module):
    """Every level is averaged over the image and passes through a fully connected layer of its own; a joint one gives one number.

    Args:
        widths: channels of the levels.
        nodes: of every level's layer.
    """

    def __init__(self, widths: Sequence[int], *, nodes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(nn.Linear(width, nodes), nn.ReLU()) for width in widths)
        self.joint = nn.Linear(nodes * len(widths), 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Features `(n, width, H, W)` of every level to predicted losses `(n,)`."""
        # In float32: half precision could not tell apart the losses of alike slices.
        with torch.autocast(levels[0].device.type, enabled=False):
            nodes = [layer(x.float().mean((2, 3))) for layer, x in zip(self.levels, levels, strict=True)]
            out: Tensor = self.joint(torch.cat(nodes, dim=1))[:, 0]
        return out
