"""Between native canonical slices and the network grid, on the device.

The network grid is centred on a point of the native slice and has its own spacing. Pixel coordinates count from 0 and are integral at pixel
centres, so network pixel `r` of `H` lies at native coordinate `centre + (r - (H - 1) / 2) * network spacing / native spacing`.

Resampling is separable, so each slice takes one small matrix per axis. This gives the same numbers as bilinear `grid_sample` with zeros
outside, averages over areas where pixels get coarser, and has deterministic gradients on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from SuggestiveAnnotationLib.types import PreprocessingRecord


def interpolation_matrix(positions: Tensor, length: int, *, scale: Tensor | None = None) -> Tensor:
    """Weights of linear interpolation, or of area averaging where pixels get coarser; zeros outside.

    A wanted pixel weighs each source pixel by how much of it it covers; no wanted pixel counts as narrower than a source pixel, which makes
    this linear interpolation.

    Args:
        positions: source coordinates of the wanted pixels, on the CPU, `(..., wanted)`.
        length: pixels of the source.
        scale: wanted pixel size over source pixel size, broadcastable to `positions`; None: linear interpolation everywhere.

    Returns:
        float32 `(..., wanted, length)`. Rows sum to 1 where the wanted pixel lies inside the source and to less near its border.
    """
    positions = positions.double()[..., None]
    width = torch.ones_like(positions) if scale is None else scale.double()[..., None].clamp(min=1.0)
    source = torch.arange(length, dtype=torch.float64)
    first = torch.maximum(source - 0.5, positions - width / 2)
    last = torch.minimum(source + 0.5, positions + width / 2)
    return ((last - first).clamp(min=0.0) / width).float()


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision and integers become float32; float64 stays."""
    return x if x.dtype is torch.float64 else x.float()


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows @ images @ columns^T` in float32 (float64 for float64 images) whatever autocast says.

    Args:
        images: `(n, C, h, w)`.
        rows, columns: `(n, H, h)` and `(n, W, w)`, or with n = 1 for all images.

    Returns:
        `(n, C, H, W)`.
    """
    images = at_least_float32(images)
    rows, columns = rows.to(images.dtype), columns.to(images.dtype)
    with torch.autocast(images.device.type, enabled=False):
        return torch.matmul(torch.matmul(rows[:, None], images), columns[:, None].transpose(-1, -2))


@dataclass(frozen=True)
class NetworkGrid:
    """The grid every image is resampled to before a network sees it.

    Attributes:
        size: pixels, (row, column).
        spacing: millimetres, (row, column).
        antialias: average over the area of a network pixel where it is larger than the native one.
    """

    size: tuple[int, int]
    spacing: tuple[float, float]
    antialias: bool = True

    @classmethod
    def of(cls, record: PreprocessingRecord) -> NetworkGrid:
        """The grid of a preprocessing record."""
        return cls(size=record.size, spacing=record.spacing)

    def to_network(self, images: Tensor, *, centre: Tensor | NDArray[Any], spacing: Tensor | NDArray[Any]) -> Tensor:
        """Native slices to the network grid: linear, or area averages where pixels get coarser; zeros outside; differentiable.

        Args:
            images: `(n, C, h, w)`, any float type.
            centre: centre of the network grid on each native slice, pixels (row, column), `(n, 2)` or `(2,)` for all.
            spacing: of the native pixels, millimetres (row, column), `(n, 2)` or `(2,)`.

        Returns:
            float32 `(n, C, H, W)` on the device of the images.
        """
        rows, columns = self._from_native(images, centre, spacing)
        return resample(images, rows, columns)

    def labels_to_network(self, channels: Tensor, *, centre: Tensor | NDArray[Any], spacing: Tensor | NDArray[Any]) -> Tensor:
        """Native label slices to the network grid by vote: each network pixel takes the channel that covers most of it.

        Outside the native slice is background (0): what lies beyond the scan is known not to be annotated tissue. Ignore (-1) votes like a
        channel, so a thin ignored rim does not eat its neighbours. Ties go to the lower channel, ignore last.

        Args:
            channels: integer `(n, h, w)`, 0..K, -1 ignore.
            centre, spacing: as in `to_network`.

        Returns:
            int64 `(n, H, W)`, 0..K, -1 ignore.
        """
        rows, columns = self._from_native(channels, centre, spacing)
        inside = rows.sum(-1)[:, :, None] * columns.sum(-1)[:, None, :]
        present = [int(c) for c in torch.unique(channels).tolist() if c > 0]
        votes = 1.0 - inside + resample((channels == 0)[:, None], rows, columns)[:, 0]
        best = torch.zeros_like(votes, dtype=torch.int64)
        for channel in [*present, -1]:
            share = resample((channels == channel)[:, None], rows, columns)[:, 0]
            # A hair of margin keeps ties on the lower channel whatever the order of summation.
            wins = share > votes + 1e-6
            best[wins] = channel
            votes = torch.where(wins, share, votes)
        return best

    def to_native(
        self, probabilities: Tensor, *, shape: tuple[int, int], centre: Tensor | NDArray[Any], spacing: Tensor | NDArray[Any]
    ) -> Tensor:
        """Class probabilities back to native pixels, linearly; the caller takes the argmax.

        Inside the outer half pixel of the network grid the border value holds; outside the field of view background has probability 1.

        Args:
            probabilities: `(n, K+1, H, W)`, channel 0 background.
            shape: native (rows, columns).
            centre, spacing: as in `to_network`.

        Returns:
            float32 `(n, K+1, rows, columns)`; sums over channels are kept.
        """
        device = probabilities.device
        middle, pixel = _pairs(centre), _pairs(spacing)
        matrices, inside = [], []
        for axis in (0, 1):
            length, ratio = self.size[axis], pixel[:, axis, None] / self.spacing[axis]
            native = torch.arange(shape[axis], dtype=torch.float64)
            position = (native - middle[:, axis, None]) * ratio + (length - 1) / 2
            seen = (position >= -0.5) & (position <= length - 0.5)
            weights = interpolation_matrix(position.clamp(0, length - 1), length, scale=ratio if self.antialias else None)
            # Coarse native pixels reach over the border of the network grid: their weights are made whole again.
            weights = weights / weights.sum(-1, keepdim=True)
            matrices.append((weights * seen[..., None]).to(device))
            inside.append(seen.to(device))
        out = resample(probabilities, *matrices)
        out[:, 0] += (~(inside[0][:, :, None] & inside[1][:, None, :])).to(out.dtype)
        return out

    def _from_native(self, images: Tensor, centre: Tensor | NDArray[Any], spacing: Tensor | NDArray[Any]) -> tuple[Tensor, Tensor]:
        middle, pixel = _pairs(centre), _pairs(spacing)
        matrices = []
        for axis in (0, 1):
            ratio = self.spacing[axis] / pixel[:, axis, None]
            steps = torch.arange(self.size[axis], dtype=torch.float64) - (self.size[axis] - 1) / 2
            position = middle[:, axis, None] + steps * ratio
            weights = interpolation_matrix(position, images.shape[axis - 2], scale=ratio if self.antialias else None)
            matrices.append(weights.to(images.device))
        return matrices[0], matrices[1]


def _pairs(values: Tensor | NDArray[Any] | Sequence[float]) -> Tensor:
    """float64 `(n, 2)` or `(1, 2)` on the CPU: not every device computes with float64, and coordinates need it."""
    return torch.as_tensor(values).detach().cpu().double().reshape(-1, 2)
