"""Dropout from given generators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from SuggestiveAnnotationLib.models.dropout import dropout_layers, sampled_dropout
from SuggestiveAnnotationLib.models.registry import build_network


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_half_of_the_channels_are_dropped_and_the_rest_counts_twice() -> None:
    layer = nn.Sequential(nn.Dropout2d(0.5)).eval()
    with sampled_dropout(layer, generators(0, 1)):
        out = layer(torch.ones(2, 1000, 3, 2))
    assert set(out.unique().tolist()) == {0, 2}
    assert torch.equal(out, out[..., :1, :1].expand_as(out))
    assert out[:, :, 0, 0].mean(1).tolist() == pytest.approx([1, 1], abs=0.1)
    assert not torch.equal(out[0], out[1])


def test_an_images_mask_is_its_generators_alone() -> None:
    layer = nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.3)).eval()
    x = torch.ones(3, 20, 4, 4)
    with sampled_dropout(layer, generators(5, 6, 7)):
        together = layer(x)
    with sampled_dropout(layer, generators(6)):
        alone = layer(x[:1])
    assert torch.equal(together[1:2], alone)


def test_tiles_of_an_image_pass_through_one_sampled_network() -> None:
    layer = nn.Dropout2d(0.5).eval()
    with sampled_dropout(layer, generators(1, 2)):
        out = layer(torch.ones(6, 50, 2, 2))
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[3], out[5])
    assert not torch.equal(out[2], out[3])


def test_outside_nothing_is_dropped_and_the_global_random_state_is_left_alone() -> None:
    layer, x = nn.Dropout(0.5).eval(), torch.ones(1, 8)
    state = torch.get_rng_state()
    with sampled_dropout(layer, generators(0)):
        assert not torch.equal(layer(x), x)
    assert torch.equal(layer(x), x)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", ["unet", "u-shape-patches", "voxresnet", "multi-scale-patches"])
def test_networks_have_dropout_where_they_are_asked_for_it(name: str) -> None:
    spec = {"network": name, "size": "tiny", "channels": 1, "classes": 3}
    assert dropout_layers(build_network(spec)) == []
    with_dropout = build_network({**spec, "dropout": 0.4}).eval()
    assert dropout_layers(with_dropout)
    x = torch.randn(1, 1, 80, 80)
    with torch.no_grad():
        plain = with_dropout(x)
        with sampled_dropout(with_dropout, generators(3)):
            assert not torch.allclose(with_dropout(x), plain)
