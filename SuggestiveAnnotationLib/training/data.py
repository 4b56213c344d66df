"""Slices of a study as network input, resampled on the device and kept there while they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from SuggestiveAnnotationLib.models.grid import NetworkGrid
from SuggestiveAnnotationLib.training.device import is_out_of_memory
from SuggestiveAnnotationLib.types import LabelSchema, PreprocessingRecord, SliceRef

CACHE_BYTES = 512 * 2**20


class CaseSlices(Protocol):
    """Stored slices of one case; see the slice store of the study."""

    @property
    def images(self) -> NDArray[np.float16]:
        """`(slice, channel, row, column)`."""

    @property
    def centre(self) -> Any:
        """Centre of the network grid on the native slice, pixels (row, column)."""

    @property
    def spacing(self) -> Any:
        """Millimetres (slice, row, column)."""


class SliceStudy(Protocol):
    """What is asked of a study."""

    @property
    def record(self) -> PreprocessingRecord:
        """How images are prepared."""

    def slices(self, case_name: str, /) -> CaseSlices:
        """Stored slices of a case."""


class ImageSource(Protocol):
    """Images on the network grid by index."""

    def __len__(self) -> int: ...

    @property
    def channels(self) -> int:
        """Image channels C."""

    @property
    def size(self) -> tuple[int, int]:
        """Network grid, pixels (row, column)."""

    @property
    def device(self) -> torch.device:
        """Where the images are."""

    def images(self, indices: Sequence[int] | NDArray[np.intp] | Tensor) -> Tensor:
        """float32 `(n, C, H, W)` on the device."""


class ChosenImages:
    """Some images of a source, in an order of their own; repeats are allowed.

    Args:
        source: where the images come from.
        chosen: index in the source of every image.
    """

    def __init__(self, source: ImageSource, chosen: Sequence[int] | NDArray[np.intp]) -> None:
        self._source, self._chosen = source, torch.as_tensor(np.asarray(chosen, np.int64))

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def channels(self) -> int:
        """Image channels C."""
        return self._source.channels

    @property
    def size(self) -> tuple[int, int]:
        """Network grid, pixels (row, column)."""
        return self._source.size

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._source.device

    def images(self, indices: Sequence[int] | NDArray[np.intp] | Tensor) -> Tensor:
        """float32 `(n, C, H, W)` on the device."""
        return self._source.images(self._chosen[torch.as_tensor(indices, dtype=torch.int64).cpu()])


class NetworkSlices:
    """Slices of a study on the network grid.

    Images are rounded to float16 after resampling, cached or not, so the cache never changes a number.

    Args:
        study: prepared study.
        refs: slices, in the order of the indices.
        device: where images are wanted.
        cache_bytes: resampled images are kept on the device when all fit into this and into its memory; else every call reads and resamples
            again.

    Raises:
        StudyError: the study is not prepared (from the study).
    """

    def __init__(
        self, study: SliceStudy, refs: Sequence[SliceRef], *, device: torch.device | str = "cpu", cache_bytes: int = CACHE_BYTES
    ) -> None:
        record = study.record
        self.refs = tuple(refs)
        self.grid = NetworkGrid.of(record)
        self._study = study
        self._channels = len(record.modalities)
        self._device = torch.device(device)
        self._cases: dict[str, CaseSlices] = {}
        shape = (len(self.refs), self._channels, *self.grid.size)
        fits = 2 * int(np.prod(shape)) <= cache_bytes
        self._cache = _space(shape, self._device) if fits else None
        self._filled = np.zeros(len(self.refs), bool)

    def __len__(self) -> int:
        return len(self.refs)

    @property
    def channels(self) -> int:
        """Image channels C."""
        return self._channels

    @property
    def size(self) -> tuple[int, int]:
        """Network grid, pixels (row, column)."""
        return self.grid.size

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._device

    @property
    def cached(self) -> bool:
        """There is room for all slices in the cache."""
        return self._cache is not None

    def images(self, indices: Sequence[int] | NDArray[np.intp] | Tensor) -> Tensor:
        """Images in the order of `indices` (repeats are allowed), float32 `(n, C, H, W)` on the device."""
        wanted = np.asarray(indices.cpu() if isinstance(indices, Tensor) else indices, np.intp)
        if self._cache is None:
            unique, places = np.unique(wanted, return_inverse=True)
            return self._read(unique)[torch.from_numpy(places).to(self._device)].float()
        missing = np.unique(wanted[~self._filled[wanted]])
        if len(missing):
            self._cache[torch.from_numpy(missing).to(self._device)] = self._read(missing)
            self._filled[missing] = True
        return self._cache[torch.from_numpy(wanted).to(self._device)].float()

    def _read(self, indices: NDArray[np.intp]) -> Tensor:
        """Read and resample distinct slices, case by case, in native order; float16."""
        out = torch.empty((len(indices), self._channels, *self.grid.size), dtype=torch.float16, device=self._device)
        order = sorted(range(len(indices)), key=lambda i: self.refs[indices[i]])
        for case_name, group in groupby(order, key=lambda i: self.refs[indices[i]].case):
            case = self._case(case_name)
            for places in _chunks(list(group), 64):
                native = case.images[[self.refs[indices[i]].native_index for i in places]]
                images = torch.from_numpy(np.ascontiguousarray(native)).to(self._device)
                resampled = self.grid.to_network(images, centre=np.asarray(case.centre), spacing=np.asarray(case.spacing)[1:])
                out[torch.tensor(places, device=self._device)] = resampled.half()
        return out

    def _case(self, name: str) -> CaseSlices:
        if name not in self._cases:
            self._cases[name] = self._study.slices(name)
        return self._cases[name]


def network_labels(
    study: SliceStudy, schema: LabelSchema, refs: Sequence[SliceRef], labels: Sequence[NDArray[Any]], *, device: torch.device | str = "cpu"
) -> Tensor:
    """Native label slices on the network grid.

    Args:
        study: prepared study.
        schema: of the labels.
        refs: n slices.
        labels: their native label slices, schema values `(row, column)`.
        device: where the result goes.

    Returns:
        int16 `(n, H, W)`, 0..K, -1 ignore.
    """
    grid = NetworkGrid.of(study.record)
    out = torch.full((len(refs), *grid.size), -1, dtype=torch.int16)
    for place, (ref, label) in enumerate(zip(refs, labels, strict=True)):
        case = study.slices(ref.case)
        channels = torch.from_numpy(schema.to_channels(label))[None]
        out[place] = grid.labels_to_network(channels, centre=np.asarray(case.centre), spacing=np.asarray(case.spacing)[1:])[0]
    return out.to(device)


def batches(indices: Sequence[int] | NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    """Indices in order, `size` at a time."""
    array = np.asarray(indices, np.intp)
    for start in range(0, len(array), size):
        yield array[start : start + size]


def _space(shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """Room for float16 images, not filled; None where memory runs out: what is computed from the images needs it more."""
    try:
        # A tensor made in the caller's inference mode could not be filled outside it.
        with torch.inference_mode(False):
            return torch.empty(shape, dtype=torch.float16, device=device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def _chunks(values: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
