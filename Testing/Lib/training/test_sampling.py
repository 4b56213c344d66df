"""Order of slices, schedules, micro-batches."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.training.cost import forward_flops, micro_batch_size
from SuggestiveAnnotationLib.training.sampling import learning_rate_factor, shuffled_batches


def _batches(count: int, size: int, number: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [b.tolist() for b in islice(shuffled_batches(count, size, generator=generator), number)]


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 100))
def test_every_slice_comes_equally_often(count, size, seed):
    drawn = [i for batch in _batches(count, size, 30, seed) for i in batch]
    times = [drawn.count(i) for i in range(count)]
    assert max(times) - min(times) <= 1


def test_fewer_slices_than_the_batch_make_smaller_batches_but_never_a_single_entry():
    assert {len(b) for b in _batches(3, 16, 5)} == {3}
    assert _batches(1, 16, 2) == [[0, 0], [0, 0]]


def test_the_seed_decides_the_order():
    assert _batches(20, 4, 9, 1) == _batches(20, 4, 9, 1) != _batches(20, 4, 9, 2)


def test_schedules_start_at_one_and_cosine_ends_near_zero():
    assert [learning_rate_factor(s, 10, "constant") for s in (0, 9)] == [1, 1]
    assert learning_rate_factor(0, 10, "cosine") == 1
    assert learning_rate_factor(5, 10, "cosine") == pytest.approx(0.5)
    assert 0 < learning_rate_factor(9, 10, "cosine") < 0.05


def test_operations_are_counted_as_by_hand():
    """A 1x1 convolution from 3 to 5 channels on 4 x 6 pixels: 2 * 3 * 5 * 24 operations."""
    assert forward_flops(torch.nn.Conv2d(3, 5, 1), 3, (4, 6)) == 720


def test_micro_batches_shrink_with_cost_and_stay_between_4_and_the_batch():
    cpu = torch.device("cpu")
    thin = build_network({"network": "unet", "size": "thin", "channels": 1, "classes": 2})
    sizes = [micro_batch_size(thin, 1, (px, px), batch_size=24, device=cpu, dtype=None) for px in (32, 128, 512)]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (24, 4)
    assert micro_batch_size(thin, 1, (512, 512), batch_size=24, device=torch.device("cuda"), dtype=None) == 24
    assert micro_batch_size(thin, 1, (512, 512), batch_size=2, device=cpu, dtype=None) == 2
