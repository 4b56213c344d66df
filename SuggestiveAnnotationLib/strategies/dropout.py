"""Disagreement among several predictions of the same slice: its measures, and Monte Carlo dropout (Gal and Ghahramani, ICML 2016)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import model_of, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy, over_batches

Measure = Literal["mutual information", "variance", "mean entropy"]


def mutual_information(probabilities: torch.Tensor) -> torch.Tensor:
    """BALD: entropy of the mean prediction minus the mean entropy, averaged over pixels; in nats, 0 where all agree.

    Args:
        probabilities: `(passes, n, K+1, rows, columns)`.

    Returns: `(n,)`.
    """
    of_mean, mean = _entropies(probabilities)
    # Where all agree the difference is rounding, of either sign.
    return (of_mean - mean).clamp(min=0)


def variance(probabilities: torch.Tensor) -> torch.Tensor:
    """Variance over the passes, summed over the classes, averaged over pixels: `(n,)`."""
    return probabilities.var(0, correction=0).sum(1).mean((1, 2))


def mean_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Half the entropy of the mean prediction plus half the mean entropy: `(n,)`.

    What the authors' code of the stochastic-batches paper computes (named there a weighted Jensen-Shannon divergence): mostly uncertainty,
    hardly disagreement.
    """
    of_mean, mean = _entropies(probabilities)
    return (of_mean + mean) / 2


def _entropies(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropy of the mean prediction, and mean entropy of the predictions; averaged over pixels, `(n,)` each."""
    of_mean = torch.special.entr(probabilities.mean(0)).sum(1).mean((1, 2))
    mean = torch.special.entr(probabilities).sum(2).mean((0, 2, 3))
    return of_mean, mean


_MEASURES: dict[Measure, Callable[[torch.Tensor], torch.Tensor]] = {
    "mutual information": mutual_information,
    "variance": variance,
    "mean entropy": mean_entropy,
}


@dataclass(frozen=True, kw_only=True)
class Disagreement(ScoringStrategy):
    """Disagreement among several predictions of the same slice, highest first.

    Attributes:
        measure: how it is measured. The stochastic-batches paper names none; its authors' code takes "mean entropy" for dropout and for
            augmentation alike.
        passes: number of predictions.
    """

    measure: Measure = "mutual information"
    passes: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.measure in get_args(Measure), "measure", self.measure, " or ".join(get_args(Measure)))
        require(self.passes >= 2, "passes", self.passes, "2 or more predictions")

    @abstractmethod
    def predictions(self, query: Query, slices: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Batches of (pool indices, class probabilities `(passes, n, K+1, rows, columns)`)."""

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """The measure, 0 or more."""
        return over_batches(query, slices, self.predictions(query, slices), _MEASURES[self.measure])


@dataclass(frozen=True, kw_only=True)
class McDropout(Disagreement):
    """Disagreement among predictions with dropout switched on."""

    name: ClassVar[str] = "mc-dropout"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL, Requirement.DROPOUT})

    def predictions(self, query: Query, slices: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """Predictions with dropout, the same masks for the same seed."""
        return model_of(query).sampled_probabilities(slices.tolist(), passes=self.passes, seed=query.seed)

    def sentence(self, score: float, noun: str) -> str:
        """Name the measure."""
        return f"The outline changes most here when parts of the network are switched off: {self.measure} {score:.2g}"
