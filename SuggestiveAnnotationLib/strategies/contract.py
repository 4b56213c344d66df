"""The one contract every strategy keeps: a query in, a batch of suggestions with reasons out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.types import LabelSchema, SliceRef, Suggestion, Unit

if TYPE_CHECKING:
    import torch


class Requirement(Enum):
    """What a strategy needs beyond the pool."""

    MODEL = "model"
    MANIFOLD = "manifold"
    REFERENCE = "reference"


@dataclass(frozen=True)
class Pool:
    """The slices there are. All arrays have one entry a slice, in the order of `refs`.

    Attributes:
        refs: every slice of every pool case, cases together, native order inside a case.
        spacing_mm: distance between neighbouring slices of the slice's case.
        blank: nothing but background in the image.
        labelled: somebody accepted an annotation.
        closed: must not be suggested for another reason (skipped, unreadable, already suggested and open).
        drawn: somebody has begun to draw it in an earlier round and not accepted it. It may be suggested again; its neighbours within
            `Query.min_gap` may not. None: no slice.
    """

    refs: tuple[SliceRef, ...]
    spacing_mm: NDArray[np.float64]
    blank: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    drawn: NDArray[np.bool_] | None = None

    @property
    def candidates(self) -> NDArray[np.intp]:
        """Indices of the slices that may be suggested."""
        return np.flatnonzero(~(self.blank | self.labelled | self.closed))

    @property
    def case_of(self) -> NDArray[np.intp]:
        """Number of each slice's case, counted in the order in which cases appear."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(r.case, len(numbers)) for r in self.refs], np.intp)


class SegmentationAccess(Protocol):
    """The published segmentation model over the pool, in evaluation mode; its buffers never change."""

    def probabilities(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Batches of (pool indices, class probabilities `(n, K+1, rows, columns)` on the device, network grid), in order."""

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor, torch.Tensor, torch.Tensor]]:
        """For annotated slices: batches of (pool indices, images x, per-sample losses `(n,)`, gradients dL/dx).

        x and gradients are float32 `(n, C, rows, columns)`, against the *accepted* annotation.
        Slices whose annotation is empty are left out.
        """


class ManifoldAccess(Protocol):
    """The VAE over the pool, in evaluation mode; float32 throughout."""

    latents: NDArray[np.float32]
    """Posterior means of the whole pool, `(slices, latent size)`."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Posterior means of images on the network grid, `(n, latent size)`; differentiable."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Images on the network grid, `(n, C, rows, columns)`; differentiable."""


class ReferenceAccess(Protocol):
    """Reference labels of pool slices. Only for oracles in experiments: never offered to a clinician."""

    def channels(self, index: int) -> NDArray[np.int16]:
        """Channel indices on the network grid `(rows, columns)`, ignore -1."""


@dataclass(frozen=True)
class Query:
    """One request for a batch.

    Attributes:
        pool: what there is.
        schema: what is annotated.
        budget: how many units to suggest.
        unit: slices one by one, or whole cases.
        seed: of all randomness.
        min_gap: two suggested slices of one case, or a suggested and an annotated or drawn one, lie more than this many slices apart
            (0: adjacent is allowed).
        sources: pool indices of the annotated slices that gradients start from (2022 paper: the previous round's; 2020: the initial ones).
        model, manifold, reference: given where the strategy requires them, else None.
    """

    pool: Pool
    schema: LabelSchema
    budget: int
    seed: int
    unit: Unit = "slice"
    min_gap: int = 0
    sources: tuple[int, ...] = ()
    model: SegmentationAccess | None = None
    manifold: ManifoldAccess | None = None
    reference: ReferenceAccess | None = None


@dataclass(frozen=True)
class Answer:
    """A batch.

    Attributes:
        suggestions: ranked; distinct; never an annotated slice. With `unit="case"` every candidate slice of the chosen cases, rank counts
            cases.
        shortfall: one sentence when fewer units than the budget could be suggested, else "".
        warnings: what the person should know (a step below rounding, an empty cone), a sentence each.
    """

    suggestions: tuple[Suggestion, ...]
    shortfall: str = ""
    warnings: tuple[str, ...] = field(default=())


class Strategy(Protocol):
    """A registered strategy. Options are fields of the (frozen) dataclass that implements it."""

    @property
    def name(self) -> str:
        """Registered name, kebab-case."""

    @property
    def requires(self) -> frozenset[Requirement]:
        """What the query must give."""

    def suggest(self, query: Query) -> Answer:
        """A batch for the query."""
