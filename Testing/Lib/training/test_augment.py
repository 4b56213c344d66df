"""Random changes of a batch."""

from __future__ import annotations

import pytest
import torch

from SuggestiveAnnotationLib.training.augment import AugmentSettings, augment
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

STILL = {"rotation": 0, "zoom": 0, "shift": 0, "elastic": 0, "scale": 0, "offset": 0, "gamma": 0}


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch(n: int = 8, size: tuple[int, int] = (32, 48), classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    g = _generator(99)
    return torch.randn(n, 2, *size, generator=g), torch.randint(-1, classes, (n, *size), generator=g)


def test_at_probability_0_nothing_happens_not_even_a_flip():
    x, y = _batch()
    out_x, out_y = augment(x, y, settings=AugmentSettings(probability=0, flip=True), generator=_generator())
    assert torch.equal(out_x, x)
    assert torch.equal(out_y, y)


def test_the_same_seed_gives_the_same_batch_and_the_inputs_stay():
    x, y = _batch()
    kept = x.clone(), y.clone()
    settings = AugmentSettings(probability=0.7, flip=True)
    first, again, other = (augment(x, y, settings=settings, generator=_generator(s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])


def test_mirrored_slices_swap_left_and_right_labels_exactly():
    schema = LabelSchema(
        "sides",
        (
            LabelClass(10, "left hippocampus", (255, 0, 0), partner=20),
            LabelClass(20, "right hippocampus", (0, 255, 0), partner=10),
            LabelClass(30, "brain stem", (0, 0, 255)),
        ),
    )
    assert schema.channel_partner == (0, 2, 1, 3)
    x, y = _batch(64)
    settings = AugmentSettings(probability=1, flip=True, partner=schema.channel_partner, **STILL)
    out_x, out_y = augment(x, y, settings=settings, generator=_generator())
    swap = {-1: -1, 0: 0, 1: 2, 2: 1, 3: 3}
    expected = y.flip(-1).clone().apply_(lambda v: swap[v])
    mirrored = [not torch.equal(a, b) for a, b in zip(out_y, y, strict=True)]
    assert 16 < sum(mirrored) < 48
    for i, turned in enumerate(mirrored):
        assert torch.equal(out_y[i], expected[i] if turned else y[i])
        torch.testing.assert_close(out_x[i], x[i].flip(-1) if turned else x[i], atol=1e-4, rtol=0)


def test_without_flip_and_without_reach_everything_stays_where_it_is():
    x, y = _batch()
    out_x, out_y = augment(x, y, settings=AugmentSettings(probability=1, **STILL), generator=_generator())
    torch.testing.assert_close(out_x, x, atol=1e-4, rtol=0)
    assert torch.equal(out_y, y)


def test_warped_labels_are_old_labels_ignore_included():
    _, y = _batch(classes=6)
    y[y == 3] = 5
    _, out = augment(torch.zeros(8, 1, 32, 48), y, settings=AugmentSettings(probability=1), generator=_generator())
    assert set(out.unique().tolist()) == {-1, 0, 1, 2, 4, 5}
    assert out.dtype == y.dtype


def test_what_comes_from_outside_the_grid_is_ignored_and_zero():
    settings = AugmentSettings(probability=1, **{**STILL, "zoom": 3.0})
    x, y = augment(torch.ones(16, 1, 32, 32), torch.ones(16, 32, 32, dtype=torch.int16), settings=settings, generator=_generator())
    shrunk = (y == -1).flatten(1).any(1)
    assert shrunk.any()
    assert not shrunk.all()
    assert set(y.unique().tolist()) == {-1, 1}
    outside = x[:, 0] == 0
    assert (y[outside] == -1).all()
    assert (x[:, 0][y == 1] > 0.2).all()


def test_image_and_labels_move_together():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = ((rows - 30) ** 2 + (columns - 36) ** 2 < 15**2).float().expand(12, 1, 64, 64)
    settings = AugmentSettings(probability=1, flip=True, scale=0, offset=0, gamma=0, rotation=25, shift=0.1, elastic=0.04)
    x, y = augment(disc, disc[:, 0].long(), settings=settings, generator=_generator(3))
    inside = y != -1
    assert ((x[:, 0] > 0.5) == (y == 1))[inside].float().mean() > 0.99
    assert not torch.equal(x[0], x[1])


def test_a_rotation_keeps_angles_on_a_grid_that_is_not_square():
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(96.0), indexing="ij")
    disc = ((rows - 15.5) ** 2 + (columns - 47.5) ** 2 < 10**2).float().expand(6, 1, 32, 96)
    settings = AugmentSettings(probability=1, **{**STILL, "rotation": 45})
    x, _ = augment(disc, disc[:, 0].long(), settings=settings, generator=_generator())
    assert ((x > 0.5) == (disc > 0.5)).float().mean() > 0.98


def test_intensities_change_by_slice_and_channel_within_their_bounds():
    x = torch.rand(32, 2, 16, 16, generator=_generator(7))
    settings = AugmentSettings(probability=1, **{**STILL, "scale": 0.2, "offset": 0.1})
    out, _ = augment(x, torch.zeros(32, 16, 16, dtype=torch.int64), settings=settings, generator=_generator())
    slope = (out.amax((2, 3)) - out.amin((2, 3))) / (x.amax((2, 3)) - x.amin((2, 3)))
    assert slope.min() >= 0.8 - 1e-3
    assert slope.max() <= 1.2 + 1e-3
    assert len(slope.unique()) > 60


def test_gamma_keeps_order_and_range():
    x = torch.linspace(-3, 4, 256).view(1, 1, 16, 16).expand(8, 1, 16, 16)
    settings = AugmentSettings(probability=1, **{**STILL, "gamma": 1.0})
    out, _ = augment(x, torch.zeros(8, 16, 16, dtype=torch.int64), settings=settings, generator=_generator())
    flat = out.flatten(1)
    assert (flat.diff(dim=1) >= -1e-4).all()
    torch.testing.assert_close(flat[:, [0, -1]], torch.tensor([[-3.0, 4.0]]).expand(8, 2), atol=1e-3, rtol=0)
    assert (out - x).abs().max() > 0.1


@pytest.mark.gpu
def test_every_device_draws_the_same_changes():
    x, y = _batch()
    settings = AugmentSettings(probability=0.8, flip=True, partner=(0, 2, 1, 3))
    here = augment(x, y, settings=settings, generator=_generator())
    there = augment(x.cuda(), y.cuda(), settings=settings, generator=_generator())
    torch.testing.assert_close(there[0].cpu(), here[0], atol=1e-3, rtol=0)
    assert (there[1].cpu() == here[1]).float().mean() > 0.999
