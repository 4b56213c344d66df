"""Learning loss (Yoo and Kweon, CVPR 2019): the network predicts its own loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import model_of
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy, over_batches


@dataclass(frozen=True, kw_only=True)
class LearningLoss(ScoringStrategy):
    """Loss that the network's loss head predicts, highest first. Only the order of such losses has a meaning."""

    name: ClassVar[str] = "learning-loss"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL, Requirement.LOSS_HEAD})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """The predicted loss, any number."""
        return over_batches(query, slices, model_of(query).predicted_losses(slices.tolist()), lambda losses: losses)

    def sentence(self, score: float, noun: str) -> str:
        """The number itself says nothing."""
        return "The network expects its own outline to be worst here"
