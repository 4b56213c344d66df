"""The variational autoencoder that learns the data manifold (2022 paper, sections 2.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.blocks.convolutions import Convolution, ResidualUnit
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.grid import at_least_float32, interpolation_matrix, resample

WIDTHS: Mapping[str, tuple[int, ...]] = {
    "paper": (32, 64, 128, 256),
    "thin": (16, 32, 64, 128),
    "small": (8, 16, 32, 64),
    "tiny": (4, 8, 8, 8),
}
"""Filters of the four levels. "thin" is for computers without a GPU, "small" for comparisons of many runs on such, "tiny" for tests."""

_ACT = ("leakyrelu", {"negative_slope": 1e-2, "inplace": True})
_LOG_VARIANCE = (-20.0, 10.0)


class VAE(nn.Module):
    """Four levels, each one residual block with batch norm and leaky ReLU (0.01); strided down and up; linear output.

    The networks work on a grid of their own (`input_size`), usually coarser than the network grid; `encode` and `decode` resample on
    the way. In evaluation mode both are differentiable in forward and in reverse mode.

    Args:
        channels: image channels C.
        latent_size: dimension d of the manifold.
        grid_size: network grid, pixels (row, column).
        input_size: own grid, multiples of 16; None: the network grid.
        size: a name in `WIDTHS`.
    """

    def __init__(
        self,
        *,
        channels: int,
        latent_size: int,
        grid_size: tuple[int, int],
        input_size: tuple[int, int] | None = None,
        size: str = "paper",
    ) -> None:
        super().__init__()
        rows, columns = input_size or grid_size
        if rows % 16 or columns % 16:
            raise ValueError(f"input size {rows} x {columns} is not a multiple of 16")
        self.spec: dict[str, Any] = {
            "network": "vae",
            "size": size,
            "channels": channels,
            "latent_size": latent_size,
            "grid_size": list(grid_size),
            "input_size": [rows, columns],
        }
        self.latent_size = latent_size
        self.input_size = (rows, columns)
        widths = WIDTHS[size]
        self.encoder = nn.Sequential(*(_residual(a, b, stride=2) for a, b in zip((channels, *widths), widths, strict=False)), nn.Flatten())
        inner = widths[-1] * (rows // 16) * (columns // 16)
        self.posterior = nn.Linear(inner, 2 * latent_size)
        self.decoder = nn.Sequential(
            nn.Linear(latent_size, inner),
            nn.Unflatten(1, (widths[-1], rows // 16, columns // 16)),
            nn.LeakyReLU(1e-2),
            *(_up(a, b) for a, b in zip(widths[::-1], (*widths[-2::-1], widths[0]), strict=True)),
            nn.Conv2d(widths[0], channels, kernel_size=3, padding=1),
        )
        for name, wanted, given in (("rows", rows, grid_size[0]), ("columns", columns, grid_size[1])):
            self.register_buffer(f"_reduce_{name}", _aligned(wanted, given), persistent=False)
            self.register_buffer(f"_enlarge_{name}", _aligned(given, wanted), persistent=False)
        self._same_grid = (rows, columns) == tuple(grid_size)

    def reduce(self, images: Tensor) -> Tensor:
        """Images on the network grid to the own grid, float32, anti-aliased."""
        if self._same_grid:
            return at_least_float32(images)
        return resample(images, self._buffer("_reduce_rows"), self._buffer("_reduce_columns"))

    def enlarge(self, images: Tensor) -> Tensor:
        """Images on the own grid to the network grid, float32, linearly."""
        if self._same_grid:
            return at_least_float32(images)
        return resample(images, self._buffer("_enlarge_rows"), self._buffer("_enlarge_columns"))

    def encode_reduced(self, reduced: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log variance, each float32 `(n, d)`, of images on the own grid."""
        mean, log_variance = at_least_float32(self.posterior(self.encoder(reduced))).chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    def decode_reduced(self, latents: Tensor) -> Tensor:
        """Images on the own grid, float32 `(n, C, rows, columns)`."""
        return at_least_float32(self.decoder(latents))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log variance, each float32 `(n, d)`, of images on the network grid `(n, C, H, W)`."""
        return self.encode_reduced(self.reduce(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents `(n, d)` to images on the network grid, float32 `(n, C, H, W)`."""
        return self.enlarge(self.decode_reduced(latents))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction from the posterior mean on the network grid, mean and log variance."""
        mean, log_variance = self.encode(images)
        return self.decode(mean), mean, log_variance

    def _buffer(self, name: str) -> Tensor:
        matrix: Tensor = getattr(self, name)
        return matrix[None]


def _residual(inputs: int, outputs: int, *, stride: int) -> nn.Module:
    block: nn.Module = ResidualUnit(2, inputs, outputs, strides=stride, subunits=2, act=_ACT, norm="batch", bias=False)
    return block


def _up(inputs: int, outputs: int) -> nn.Module:
    up = Convolution(2, inputs, outputs, strides=2, act=_ACT, norm="batch", bias=False, is_transposed=True)
    return nn.Sequential(up, _residual(outputs, outputs, stride=1))


def _aligned(wanted: int, given: int) -> Tensor:
    """Matrix between two grids over the same extent, `(wanted, given)`; rows sum to 1, the border value holds beyond."""
    ratio = given / wanted
    positions = ((torch.arange(wanted, dtype=torch.float64) + 0.5) * ratio - 0.5).clamp(0, given - 1)
    weights = interpolation_matrix(positions, given, scale=torch.tensor([ratio]))
    return weights / weights.sum(-1, keepdim=True)
