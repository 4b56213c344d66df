"""Overlapping tiles."""

from __future__ import annotations

import pytest
import torch

from SuggestiveAnnotationLib.models.tiles import cut, put_together, tile_starts


@pytest.mark.parametrize(
    ("length", "starts"), [(8, [0]), (5, [0]), (9, [0, 1]), (12, [0, 4]), (16, [0, 4, 8]), (17, [0, 4, 8, 9]), (24, [0, 4, 8, 12, 16])]
)
def test_tiles_of_8_cover_every_length_half_a_tile_apart(length: int, starts: list[int]) -> None:
    assert tile_starts(length, 8) == starts


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (16, 12), (23, 9)])
def test_what_is_cut_and_put_together_is_what_it_was(size: tuple[int, int]) -> None:
    images = torch.randn(3, 2, *size)
    torch.testing.assert_close(put_together(cut(images, 8), size, 8), images)


def test_tiles_of_an_image_stand_together() -> None:
    images = torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 12)
    assert cut(images, 8)[:, 0, 0, 0].tolist() == [0, 0, 1, 1]


def test_the_middle_of_a_tile_counts_more_than_its_edge() -> None:
    """Two tiles of 4 over 6 pixels: weights 1 2 2 1; where they overlap (pixels 2, 3) the first has 2/3 and 1/3."""
    tiles = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    out = put_together(tiles, (4, 6), 4)[0, 0, 0]
    torch.testing.assert_close(out, torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]))


def test_gradients_pass() -> None:
    images = torch.randn(1, 1, 12, 12, requires_grad=True)
    put_together(cut(images, 8), (12, 12), 8).sum().backward()
    torch.testing.assert_close(images.grad, torch.ones_like(images))
