"""Test-time augmentation: views, and the way back."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from SuggestiveAnnotationLib.training.views import ViewSettings, held_inside, views

STILL = ViewSettings(rotation=0, shift=0, scale=0, offset=0)


def generators(n: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + i) for i in range(n)]


def smooth(n: int, channels: int, rows: int = 40, columns: int = 56) -> torch.Tensor:
    """A wide blob a channel, which interpolation hardly blurs."""
    r, c = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    middles = torch.rand(n, channels, 2, 1, 1, generator=torch.Generator().manual_seed(0)) * 0.6 - 0.3
    return torch.exp(-4 * ((r - middles[:, :, 0]) ** 2 + (c - middles[:, :, 1]) ** 2))


def test_nothing_to_change_changes_nothing() -> None:
    x = torch.randn(4, 2, 12, 9)
    seen, back = views(x, settings=STILL, generators=generators(4))
    torch.testing.assert_close(seen, x)
    torch.testing.assert_close(back(x), x, atol=1e-5, rtol=0)


def test_what_a_view_shows_comes_back_to_its_own_pixels() -> None:
    """Seen as probabilities, a view carried back is the image, but for interpolation."""
    x = smooth(12, 3)
    settings = ViewSettings(flip=True, rotation=10, shift=0.1, scale=0, offset=0)
    seen, back = views(x, settings=settings, generators=generators(12))
    assert (seen - x).abs().amax((1, 2, 3)).min() > 0.1
    inner = (slice(None), slice(None), slice(12, -12), slice(16, -16))
    torch.testing.assert_close(back(seen)[inner], x[inner], atol=0.02, rtol=0)


def test_mirrored_views_swap_the_classes_of_both_sides_back() -> None:
    """A network that calls the left half channel 1 and the right half channel 2, whatever it sees."""
    says = torch.zeros(1, 3, 4, 6)
    says[:, 1, :, :3] = says[:, 2, :, 3:] = 1
    settings = ViewSettings(flip=True, partner=(0, 2, 1), rotation=0, shift=0, scale=0, offset=0)
    x = torch.arange(6.0).expand(20, 1, 4, 6)
    seen, back = views(x, settings=settings, generators=generators(20))
    mirrored = seen[:, 0, 0, 0] > 4
    assert 4 < mirrored.sum() < 16
    torch.testing.assert_close(back(says.expand(20, -1, -1, -1)), says.expand(20, -1, -1, -1), atol=1e-5, rtol=0)
    without, plain = views(x, settings=STILL, generators=generators(20))
    assert (without[:, 0, 0, 0] < 1).all()
    torch.testing.assert_close(plain(says.expand(20, -1, -1, -1))[0], says[0], atol=1e-5, rtol=0)


def test_probabilities_still_sum_to_one_at_the_border() -> None:
    probabilities = torch.randn(5, 4, 30, 20).softmax(1)
    _, back = views(torch.randn(5, 1, 30, 20), settings=ViewSettings(rotation=30, shift=0.2), generators=generators(5))
    torch.testing.assert_close(back(probabilities).sum(1), torch.ones(5, 30, 20))


@pytest.mark.parametrize("shape", [(30, 20), (7, 64), (1, 5)])
def test_points_held_inside_need_no_padding(shape: tuple[int, int]) -> None:
    x = torch.randn(6, 3, *shape, generator=torch.Generator().manual_seed(0))
    grid = torch.rand(6, *shape, 2, generator=torch.Generator().manual_seed(1)) * 3 - 1.5
    padded = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    held = functional.grid_sample(x, held_inside(grid, x.shape[-2:]), padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(held, padded, atol=2e-5, rtol=0)


def test_intensities_change_a_little() -> None:
    x = torch.ones(50, 2, 8, 8)
    seen, _ = views(x, settings=ViewSettings(rotation=0, shift=0, scale=0.1, offset=0.2), generators=generators(50))
    values = seen[:, :, 4, 4]
    assert values.min() >= 0.7
    assert values.max() <= 1.3
    assert values.std() > 0.05
    assert not torch.equal(values[:, 0], values[:, 1])


def test_a_view_depends_on_its_own_generator_alone() -> None:
    x = torch.randn(3, 1, 16, 16)
    together, _ = views(x, settings=ViewSettings(), generators=generators(3))
    alone, _ = views(x[2:], settings=ViewSettings(), generators=generators(1, first=2))
    torch.testing.assert_close(together[2:], alone)
