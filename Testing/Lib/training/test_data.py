"""Slices of a study as network input, from real files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tensor_images import TensorImages

from SuggestiveAnnotationLib.models.grid import NetworkGrid
from SuggestiveAnnotationLib.training.data import NetworkSlices, batches, network_labels
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, PreprocessingRecord, SliceRef

RECORD = PreprocessingRecord(plane="axial", modalities=("T1", "T2"), reference="T1", spacing=(1.5, 1.5), size=(32, 16), schema_key="none")


@dataclass
class _Case:
    images: np.ndarray
    centre: tuple[float, float]
    spacing: tuple[float, float, float]


class _Study:
    """The part of a study that is asked for, over real `.npy` files."""

    record = RECORD

    def __init__(self, folder: Path) -> None:
        self.opened: list[str] = []
        self._folder = folder
        rng = np.random.default_rng(0)
        for name, shape in (("a", (4, 2, 40, 30)), ("b", (3, 2, 25, 33))):
            np.save(folder / f"{name}.npy", rng.normal(size=shape).astype(np.float16))

    def slices(self, case_name: str, /) -> _Case:
        self.opened.append(case_name)
        images = np.load(self._folder / f"{case_name}.npy", mmap_mode="r", allow_pickle=False)
        return _Case(images, {"a": (20.5, 14.0), "b": (11.0, 17.5)}[case_name], {"a": (3.0, 1.0, 1.0), "b": (2.0, 2.0, 0.8)}[case_name])


REFS = tuple(SliceRef(c, 0, k) for c, n in (("a", 4), ("b", 3)) for k in range(n))


@pytest.fixture
def study(tmp_path: Path) -> _Study:
    return _Study(tmp_path)


def _expected(study: _Study, ref: SliceRef) -> torch.Tensor:
    case = study.slices(ref.case)
    image = torch.from_numpy(np.array(case.images[ref.native_index]))[None]
    out = NetworkGrid.of(RECORD).to_network(image, centre=np.array(case.centre), spacing=np.array(case.spacing[1:]))
    return out[0].half().float()


@pytest.mark.parametrize("cache_bytes", [10**9, 0], ids=["cached", "streamed"])
def test_images_come_in_the_order_asked_for_with_repeats(study, cache_bytes):
    source = NetworkSlices(study, REFS, cache_bytes=cache_bytes)
    assert source.cached == (cache_bytes > 0)
    assert (len(source), source.channels, source.size) == (7, 2, (32, 16))
    for wanted in ([5, 0, 5, 3], [6, 1], np.array([2]), torch.tensor([4, 4])):
        images = source.images(wanted)
        assert images.dtype == torch.float32
        torch.testing.assert_close(images, torch.stack([_expected(study, REFS[int(i)]) for i in wanted]), atol=2e-3, rtol=0)


def test_the_cache_changes_no_number(study):
    cached, streamed = (NetworkSlices(study, REFS, cache_bytes=b) for b in (10**9, 0))
    order = [6, 2, 0, 4]
    assert torch.equal(cached.images(order), streamed.images(order))
    assert torch.equal(cached.images(order), cached.images(order))


def test_without_memory_for_the_cache_it_goes_on_without(study, monkeypatch):
    wanted = NetworkSlices(study, REFS).images([3, 0])
    empty = torch.empty

    def none_for_all(shape, **others):
        if shape[0] == len(REFS):
            raise RuntimeError("CUDA out of memory. Tried to allocate 512.00 MiB.")
        return empty(shape, **others)

    monkeypatch.setattr(torch, "empty", none_for_all)
    streamed = NetworkSlices(study, REFS)
    assert not streamed.cached
    assert torch.equal(streamed.images([3, 0]), wanted)


def test_a_slice_is_the_same_whatever_else_is_in_the_batch(study):
    source = NetworkSlices(study, REFS, cache_bytes=0)
    together = source.images(range(7))
    for i in range(7):
        torch.testing.assert_close(source.images([i])[0], together[i], atol=2e-3, rtol=0)


def test_every_case_is_opened_once(study):
    source = NetworkSlices(study, REFS, cache_bytes=0)
    source.images([6, 0, 5, 1])
    source.images([3, 4])
    assert sorted(study.opened) == ["a", "b"]


def test_a_cache_filled_in_inference_mode_serves_training_later(study):
    with torch.inference_mode():
        source = NetworkSlices(study, REFS)
        source.images([0, 1])
    images = source.images([0, 1, 2]).requires_grad_()
    images.square().sum().backward()
    assert images.grad is not None


def test_no_indices_give_no_images(study):
    for cache_bytes in (0, 10**9):
        assert NetworkSlices(study, REFS, cache_bytes=cache_bytes).images([]).shape == (0, 2, 32, 16)


def test_images_in_memory_behave_alike():
    images = torch.randn(5, 1, 8, 8)
    source = TensorImages(images.half())
    assert (len(source), source.channels, source.size) == (5, 1, (8, 8))
    assert torch.equal(source.images([3, 3, 0]), images.half().float()[[3, 3, 0]])


def test_native_labels_reach_the_network_grid_in_channels(study):
    schema = LabelSchema("two", (LabelClass(7, "one", (1, 2, 3)), LabelClass(9, "two", (1, 2, 3))))
    labels = [np.zeros((40, 30), np.uint16), np.full((25, 33), 9, np.uint16)]
    labels[0][10:30, 5:25] = 7
    labels[0][:3] = 255
    out = network_labels(study, schema, [REFS[0], REFS[5]], labels)
    assert out.shape == (2, 32, 16)
    assert out.dtype == torch.int16
    assert out[0, 16, 8] == 1
    assert out[1, 16, 8] == 2
    assert set(out.unique().tolist()) <= {-1, 0, 1, 2}


def test_batches_keep_order_and_lose_none():
    assert [b.tolist() for b in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
