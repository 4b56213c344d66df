"""Images in overlapping tiles, and back: for networks that see patches of one size.

Tiles overlap by half and are weighted towards their middle, where a network sees the most around a pixel, so that no seam shows. Where they
lie depends on the size of the image alone: neither the batch nor the other images have a part in the result.
"""

from __future__ import annotations

import torch
from torch import Tensor


def tile_starts(length: int, tile: int) -> list[int]:
    """First pixels of tiles that cover `length` pixels: half a tile apart, the last one flush with the end."""
    step = max(1, tile // 2)
    return sorted({*range(0, max(length - tile, 0), step), max(length - tile, 0)})


def cut(images: Tensor, tile: int) -> Tensor:
    """`(n, C, H, W)` to tiles `(n * tiles, C, min(tile, H), min(tile, W))`, all tiles of an image together."""
    height, width = images.shape[-2:]
    parts = [images[..., r : r + tile, c : c + tile] for r in tile_starts(height, tile) for c in tile_starts(width, tile)]
    return torch.stack(parts, dim=1).flatten(0, 1)


def put_together(tiles: Tensor, shape: tuple[int, int], tile: int) -> Tensor:
    """Weighted mean of overlapping tiles, the inverse of `cut`; differentiable.

    Args:
        tiles: `(n * tiles, F, min(tile, H), min(tile, W))`, in the order of `cut`.
        shape: H, W.
        tile: as given to `cut`.

    Returns:
        `(n, F, H, W)`, float32 at least.
    """
    corners = [(r, c) for r in tile_starts(shape[0], tile) for c in tile_starts(shape[1], tile)]
    rows, columns = tiles.shape[-2:]
    window = _ramp(rows)[:, None] * _ramp(columns)[None, :]
    total = torch.zeros(shape)
    for r, c in corners:
        total[r : r + rows, c : c + columns] += window
    split = tiles.reshape(-1, len(corners), *tiles.shape[1:])
    out = torch.zeros(len(split), tiles.shape[1], *shape, device=tiles.device)
    for place, (r, c) in enumerate(corners):
        share = window / total[r : r + rows, c : c + columns]
        out[..., r : r + rows, c : c + columns] += split[:, place].float() * share.to(tiles.device)
    return out


def _ramp(length: int) -> Tensor:
    """1, 2, ..., 2, 1."""
    place = torch.arange(length, dtype=torch.float32)
    return torch.minimum(place + 1, length - place)
