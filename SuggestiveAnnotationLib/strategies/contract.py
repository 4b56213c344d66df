"""The one contract every strategy keeps: a query in, a batch of suggestions with reasons out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

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
    DROPOUT = "dropout"
    """The model has dropout layers."""
    LOSS_HEAD = "loss head"
    """The model predicts its own loss."""
    COMMITTEE = "committee"
    """Several networks, each trained on its own bootstrap of the annotated slices."""


Variation = Literal["noise", "dropout"]
"""What gives several gradients of one loss: noise on the image, or dropout masks."""


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
        filled: the annotation was interpolated from others of the case, and nobody looked at it. Such slices are labelled too. None: no
            slice.
    """

    refs: tuple[SliceRef, ...]
    spacing_mm: NDArray[np.float64]
    blank: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    drawn: NDArray[np.bool_] | None = None
    filled: NDArray[np.bool_] | None = None

    @property
    def candidates(self) -> NDArray[np.intp]:
        """Indices of the slices that may be suggested."""
        return np.flatnonzero(~(self.blank | self.labelled | self.closed))

    @property
    def by_people(self) -> NDArray[np.bool_]:
        """Labelled, and not filled: somebody drew it."""
        return self.labelled if self.filled is None else self.labelled & ~self.filled

    @property
    def case_of(self) -> NDArray[np.intp]:
        """Number of each slice's case, counted in the order in which cases appear."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(r.case, len(numbers)) for r in self.refs], np.intp)


class SegmentationAccess(Protocol):
    """The published segmentation model over the pool, in evaluation mode; its buffers never change.

    Every method gives batches in the order of `indices`, on the device, on the network grid. Where a seed is asked for, what is drawn for a
    slice depends on the seed and its pool index alone, not on the batch.
    """

    def probabilities(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Batches of (pool indices, class probabilities `(n, K+1, rows, columns)` on the device, network grid), in order."""

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor, torch.Tensor, torch.Tensor]]:
        """For annotated slices: batches of (pool indices, images x, per-sample losses `(n,)`, gradients dL/dx).

        x and gradients are float32 `(n, C, rows, columns)`, against the *accepted* annotation.
        Slices whose annotation is empty are left out.
        """

    def class_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor, torch.Tensor, torch.Tensor]]:
        """As `loss_gradients`, class by class: losses `(K, n)` and gradients `(K, n, C, rows, columns)`, classes 1..K.

        Where a slice does not show a class its loss is nan and its gradient 0.
        """

    def varied_gradients(
        self, indices: Sequence[int], *, by: Variation, passes: int, noise: float, seed: int
    ) -> Iterator[tuple[NDArray[np.intp], torch.Tensor, torch.Tensor, torch.Tensor]]:
        """As `loss_gradients`, several times over: losses `(passes, n)` and gradients `(passes, n, C, rows, columns)`.

        Every pass sees the image with Gaussian noise of standard deviation `noise`, or (`by="dropout"`) a network with another dropout
        mask; the images given are those without noise. Raises: StudyError, when there is no dropout and it is asked for.
        """

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        """Bottleneck features of images on the network grid, float32 `(n, F)`; differentiable in the images."""

    def features(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Batches of (pool indices, bottleneck features averaged over the image, float32 `(n, F)`)."""

    def sampled_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Monte Carlo dropout: dropout alone is active, everything else in evaluation mode.

        Batches of (pool indices, class probabilities float32 `(passes, n, K+1, rows, columns)`). Raises: StudyError, when the model has no
        dropout.
        """

    def augmented_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Test-time augmentation: every pass predicts a changed image and is mapped back onto the slice's own pixels.

        Mirrored only where columns run from side to side, with the classes of both sides swapped back; small rotations, shifts and changes
        of intensity. Batches as in `sampled_probabilities`.
        """

    def predicted_losses(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Batches of (pool indices, the loss the model expects of itself `(n,)`). Only their order has a meaning.

        Raises: StudyError, when the model has no loss head.
        """

    def gradient_embeddings(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Gradient of the cross-entropy against the predicted labels with respect to the last layer's weights, averaged over pixels.

        Batches of (pool indices, float32 `(n, (K+1) * F)`): mean over pixels of `(p - onehot(argmax p))` times the last layer's input,
        class after class.
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
            While nothing is annotated: of slices whose labels the model presumes.
        model, manifold, reference: given where the strategy requires them, else None.
        round: number of this query; 1 is the first with a model.
        committee: networks trained on bootstraps, given where the strategy requires them.
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
    round: int = 1
    committee: tuple[SegmentationAccess, ...] = ()


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
