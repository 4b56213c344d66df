"""Oracles of the 2020 and 2022 papers: lowest Dice against the reference. For experiments only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import finite, model_of, reference_of
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy


@dataclass(frozen=True, kw_only=True)
class Oracle(ScoringStrategy):
    """Lowest Dice over all slices, literally.

    It picks slices without any structure first: one false pixel there makes the Dice 0. It is "hardest first", no upper bound.
    """

    name: ClassVar[str] = "oracle"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL, Requirement.REFERENCE})

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Minus the Dice of the model's labels, -1 to 0. Raises: StudyError, where the model gives something that is no number."""
        reference = reference_of(query)
        values = np.full(len(query.pool.refs), np.nan)
        for index, probabilities in model_of(query).probabilities(slices.tolist()):
            # The likeliest class of no number is a class too.
            finite(probabilities.sum((1, 2, 3)).cpu().double().numpy(), index, query.pool.refs, "model output")
            predicted = probabilities.argmax(1)
            truth = torch.from_numpy(np.stack([reference.channels(int(i)) for i in index])).to(predicted.device)
            values[index] = -mean_dice(predicted, truth, probabilities.shape[1]).cpu().numpy()
        return values[slices]

    def sentence(self, score: float, noun: str) -> str:
        """Name the Dice."""
        return f"The model's outline differs most from the reference here: Dice {-score:.3g}"


@dataclass(frozen=True, kw_only=True)
class OracleForeground(Oracle):
    """Lowest Dice over the slices whose reference shows a structure: the oracle to compare with."""

    name: ClassVar[str] = "oracle-foreground"

    def scores(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Minus the Dice of the model's labels; nan where the reference is empty."""
        reference = reference_of(query)
        shown = np.array([(reference.channels(int(i)) > 0).any() for i in slices], bool)
        values = np.full(len(slices), np.nan)
        if shown.any():
            values[shown] = super().scores(query, slices[shown])
        return values

    def shortfall_reason(self) -> str:
        """Slices with an empty reference are left out."""
        return "the reference of the other slices is empty"


def mean_dice(predicted: torch.Tensor, truth: torch.Tensor, classes: int) -> torch.Tensor:
    """Dice averaged over the classes 1..K that are predicted or true in a slice; 1 where there are none. Ignored pixels (-1) count nowhere.

    Args:
        predicted, truth: channel indices `(n, rows, columns)`.
        classes: K + 1.

    Returns: float64 `(n,)`.
    """
    predicted, truth = predicted.cpu(), truth.cpu()
    valid = truth >= 0
    dice = []
    for k in range(1, classes):
        p, t = (predicted == k) & valid, (truth == k) & valid
        dice.append(2.0 * (p & t).sum((1, 2)).double() / (p.sum((1, 2)) + t.sum((1, 2))))
    return torch.stack(dice).nanmean(0).nan_to_num(nan=1.0)
