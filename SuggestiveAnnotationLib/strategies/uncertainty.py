"""Uncertainty of the model's class probabilities: mean pixel entropy, and Average BvSB (annotation-effort paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy, over_probabilities


@dataclass(frozen=True, kw_only=True)
class Entropy(ScoringStrategy):
    """Mean over pixels of `-sum_k p_k log p_k`, in nats; highest first."""

    name: ClassVar[str] = "entropy"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Mean pixel entropy, 0 to log(K + 1)."""
        return over_probabilities(query, slices, lambda p: torch.special.entr(p).sum(1).mean((1, 2)))

    def sentence(self, score: float, noun: str) -> str:
        """Name the entropy."""
        return f"The model is least sure of its outline here: mean entropy {score:.2g}"


@dataclass(frozen=True, kw_only=True)
class AverageBvSB(ScoringStrategy):
    """Mean over pixels of the best minus the second best class probability; lowest first. The score is its negative."""

    name: ClassVar[str] = "average-bvsb"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Minus Average BvSB, -1 (sure) to 0."""
        return over_probabilities(query, slices, _minus_margin)

    def sentence(self, score: float, noun: str) -> str:
        """Name the margin."""
        return f"The model's two likeliest answers lie closest together here: mean difference {-score:.3g}"


def _minus_margin(probabilities: torch.Tensor) -> torch.Tensor:
    best = probabilities.topk(2, dim=1).values
    return -(best[:, 0] - best[:, 1]).mean((1, 2))


@dataclass(frozen=True, kw_only=True)
class LeastConfidence(ScoringStrategy):
    """Mean over pixels of one minus the best class probability; highest first."""

    name: ClassVar[str] = "least-confidence"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Mean lack of confidence, 0 (sure) to K / (K + 1)."""
        return over_probabilities(query, slices, lambda p: (1 - p.amax(1)).mean((1, 2)))

    def sentence(self, score: float, noun: str) -> str:
        """Name the confidence."""
        return f"The model's likeliest answer is least likely here: mean probability {1 - score:.3g}"
