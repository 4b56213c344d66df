"""A small pool with real networks, and hand-made accesses whose right answers are known by construction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.strategies.access import ModelAccess, VaeAccess
from SuggestiveAnnotationLib.strategies.contract import Pool, Query
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

SCHEMA = LabelSchema("two", (LabelClass(1, "one", (255, 0, 0)), LabelClass(7, "seven", (0, 255, 0))))


def make_pool(
    cases: dict[str, int],
    *,
    blank: Sequence[int] = (),
    labelled: Sequence[int] = (),
    closed: Sequence[int] = (),
    filled: Sequence[int] = (),
) -> Pool:
    refs = tuple(SliceRef(name, 0, k) for name, count in cases.items() for k in range(count))
    given = {"blank": blank, "labelled": labelled, "closed": closed, "filled": filled}
    return Pool(refs, np.full(len(refs), 2.5), **{name: np.isin(np.arange(len(refs)), list(which)) for name, which in given.items()})


class Network(SegmentationNetwork):
    """Two convolutions with dropout between them, and a head that predicts a loss."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Conv2d(6, 3, 3, padding=1)
            )
            self.body[1].running_mean += 0.1
            self.body[1].running_var *= 1.3
            self.head = nn.Linear(6, 1)

    @property
    def classes(self) -> int:
        return 3

    def pixel_features(self, images: Tensor) -> Tensor:
        return self.body[:-1](images)

    def classify(self, features: Tensor) -> Tensor:
        return self.body[-1](features)

    def bottleneck_features(self, images: Tensor) -> Tensor:
        return self.body[:3](images).mean((2, 3))

    def predicted_losses(self, images: Tensor) -> Tensor:
        return self.head(self.bottleneck_features(images))[:, 0]


class Autoencoder(nn.Module):
    def __init__(self, size: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 4, 3, stride=2, padding=1),
                nn.BatchNorm2d(4),
                nn.LeakyReLU(0.01, inplace=True),
                nn.Flatten(),
                nn.Linear(256, 2 * size),
            )
            self.decoder = nn.Sequential(
                nn.Linear(size, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 256), nn.Unflatten(1, (1, 16, 16))
            )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(images).chunk(2, dim=1)  # type: ignore[return-value]

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents)


class Labels:
    """Reference labels as an array `(slices, rows, columns)`."""

    def __init__(self, channels: NDArray[np.int16]) -> None:
        self.array = channels

    def channels(self, index: int) -> NDArray[np.int16]:
        return self.array[index]


class GivenModel:
    """What a model says, as arrays by pool index; serves batches of two.

    Args:
        probabilities: `(slices, K+1, rows, columns)`.
        gradients: pool index -> `(C, rows, columns)`. images: of the slices that have one.
        features: `(slices, F)`. losses: `(slices,)`. embeddings: `(slices, E)`.
        sampled, augmented: `(passes, slices, K+1, rows, columns)`; the first `passes` of them are served whatever the seed.
    """

    def __init__(
        self,
        probabilities: NDArray[Any] | None = None,
        gradients: dict[int, NDArray[Any]] | None = None,
        images: Any = None,
        *,
        features: NDArray[Any] | None = None,
        sampled: NDArray[Any] | None = None,
        augmented: NDArray[Any] | None = None,
        losses: NDArray[Any] | None = None,
        embeddings: NDArray[Any] | None = None,
    ) -> None:
        self._probabilities, self._gradients, self._images = probabilities, gradients or {}, images
        self._features, self._sampled, self._augmented, self._losses, self._embeddings = features, sampled, augmented, losses, embeddings

    def probabilities(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve(self._probabilities, indices)

    def features(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve(self._features, indices)

    def predicted_losses(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve(self._losses, indices)

    def gradient_embeddings(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve(self._embeddings, indices)

    def sampled_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve_passes(self._sampled, indices, passes)

    def augmented_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        return self._serve_passes(self._augmented, indices, passes)

    def _serve_passes(self, array: NDArray[Any] | None, indices: Sequence[int], passes: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        assert array is not None
        assert passes <= len(array), "the test gives fewer passes than the strategy asks for"
        for batch, slices in self._serve(array[:passes].swapaxes(0, 1), indices):
            yield batch, slices.swapaxes(0, 1)

    @staticmethod
    def _serve(array: NDArray[Any] | None, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        assert array is not None
        for k in range(0, len(indices), 2):
            batch = np.array(indices[k : k + 2], np.intp)
            yield batch, torch.from_numpy(array[batch]).float()

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor, Tensor]]:
        known = [i for i in indices if i in self._gradients]
        for k in range(0, len(known), 2):
            batch = known[k : k + 2]
            gradient = torch.from_numpy(np.stack([self._gradients[i] for i in batch])).float()
            images = torch.zeros_like(gradient) if self._images is None else self._images[batch]
            yield np.array(batch, np.intp), images, torch.tensor([0.5 + 0.001 * i for i in batch]), gradient


class LinearManifold:
    """`encode(x) = E x`, `decode(z) = D z` over flattened images."""

    def __init__(self, encoder: NDArray[Any], decoder: NDArray[Any], latents: NDArray[Any], shape: tuple[int, int, int]) -> None:
        self._e, self._d, self._shape = torch.from_numpy(encoder).float(), torch.from_numpy(decoder).float(), shape
        self.latents = latents.astype(np.float32)

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self._e.T

    def decode(self, latents: Tensor) -> Tensor:
        return (latents @ self._d.T).reshape(-1, *self._shape)


@dataclass
class World:
    """Six cases of ten slices: the first and the last of each blank, six annotated (one of them empty), three closed."""

    pool: Pool
    images: Tensor
    reference: NDArray[np.int16]
    accepted: NDArray[np.int16]
    network: Network
    autoencoder: Autoencoder
    members: tuple[Network, ...]

    def query(self, *, budget: int = 7, pool: Pool | None = None, reference: NDArray[np.int16] | None = None, **changes: Any) -> Query:
        model, *committee = (
            ModelAccess(network, lambda i: self.images[list(i)], self._accepted, SCHEMA, batch_size=4, flip=True)
            for network in (self.network, *self.members)
        )
        with torch.no_grad():
            latents = self.autoencoder.eval().encode(self.images)[0].numpy()
        self.autoencoder.train()
        return Query(
            pool=pool or self.pool,
            schema=SCHEMA,
            budget=budget,
            seed=changes.pop("seed", 3),
            model=model,
            committee=tuple(committee),
            manifold=VaeAccess(self.autoencoder, latents),
            reference=Labels(self.reference if reference is None else reference),
            **changes,
        )

    def _accepted(self, index: int) -> NDArray[np.int16] | None:
        return self.accepted[index] if self.pool.labelled[index] else None

    def with_flags(self, **flags: NDArray[np.bool_]) -> Pool:
        return replace(self.pool, **flags)


@pytest.fixture
def world() -> World:
    rng = np.random.default_rng(0)
    ends = [10 * c + k for c in range(6) for k in (0, 9)]
    pool = make_pool({f"case {c}": 10 for c in range(6)}, blank=ends, labelled=[3, 6, 14, 25, 36, 47], closed=[5, 12, 58])
    labels = np.zeros((60, 16, 16), np.int16)
    for i in range(60):
        if i % 10 not in (0, 8, 9):
            row, column = rng.integers(2, 8, 2)
            labels[i, row : row + 6, column : column + 5] = 1
            labels[i, row + 2 : row + 4, column + 1 : column + 4] = 2
    images = torch.from_numpy(labels + 0.4 * rng.standard_normal(labels.shape)).float()[:, None]
    images[ends] = 0
    accepted = labels.copy()
    accepted[47] = 0
    return World(pool, images, labels, accepted, Network().train(), Autoencoder().train(), tuple(Network(s).train() for s in (1, 2, 3, 4)))


@pytest.fixture
def hand() -> Any:
    """The hand-made accesses by name."""

    @dataclass(frozen=True)
    class Hand:
        schema: LabelSchema = SCHEMA
        model: type = GivenModel
        manifold: type = LinearManifold
        labels: type = Labels

        def pool(self, cases: dict[str, int], **flags: Sequence[int]) -> Pool:
            return make_pool(cases, **flags)

    return Hand()
