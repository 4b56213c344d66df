"""Test-time augmentation (Gaillochet et al., TAAL, MICCAI DALI 2022; stochastic-batches paper)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import model_of
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.dropout import Disagreement


@dataclass(frozen=True, kw_only=True)
class TestTimeAugmentation(Disagreement):
    """Disagreement among predictions of slightly changed images, each carried back onto the slice.

    The authors' code rotates by up to 10 degrees, adds noise and counts the unchanged image as one of the predictions; here every
    prediction is of a changed image.
    """

    name: ClassVar[str] = "test-time-augmentation"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def predictions(self, query: Query, slices: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Predictions of changed images, the same changes for the same seed."""
        return model_of(query).augmented_probabilities(slices.tolist(), passes=self.passes, seed=query.seed)

    def sentence(self, score: float, noun: str) -> str:
        """Name the measure."""
        return f"The outline changes most here when the image is turned or changed a little: {self.measure} {score:.2g}"
