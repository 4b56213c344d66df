"""Random among the slices in which the model predicts a structure: the baseline that large comparisons found hard to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, pick_phrase, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import over_probabilities
from SuggestiveAnnotationLib.types import Rationale

Weight = Literal["equal", "proportional"]


@dataclass(frozen=True, kw_only=True)
class PredictedForegroundRandom(BatchStrategy):
    """Random without replacement among units with predicted foreground; where those run out, random among the rest, with a warning.

    Attributes:
        weight: "equal": every unit with any predicted foreground alike. "proportional": by the mean fraction of foreground pixels.
    """

    name: ClassVar[str] = "predicted-foreground-random"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    weight: Weight = "equal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weight in get_args(Weight), "weight", self.weight, " or ".join(get_args(Weight)))

    def choose(self, query: Query, board: Board) -> Choice:
        """Weighted random order (Efraimidis and Spirakis: the largest log(u) / w first), then the units without foreground."""
        slices = board.slices
        fraction = over_probabilities(query, slices, _foreground_fraction)
        units = board.units
        share = board.mean(slices, fraction)[units]
        shown = share > 0
        weight = share if self.weight == "proportional" else np.ones(len(units))
        draw = np.log(np.random.default_rng(query.seed).random(len(units)))
        key = np.where(shown, draw / np.where(shown, weight, 1.0), draw)
        order = np.lexsort((-key, ~shown))
        shares = dict(zip(units.tolist(), share.tolist(), strict=True))
        picks = [(unit, self._rationale(shares[unit], int(shown.sum()), board.noun)) for unit in board.take_in_order(units[order].tolist())]
        filled = sum(shares[unit] == 0 for unit, _ in picks)
        warning = f"The model predicts nothing in {pick_phrase(filled, board.noun)} of the batch: drawn at random to fill it."
        return Choice(picks, (warning,) if filled else ())

    def _rationale(self, share: float, among: int, noun: str) -> Rationale:
        details = {"foreground_fraction": share, "among": among, "weight": self.weight, "filled": share == 0}
        if share == 0:
            return Rationale(self.name, f"Drawn at random to fill the batch: the model predicts nothing in this {noun}.", details=details)
        how = f"Drawn at random from {pick_phrase(among, noun)} in which the model sees a structure"
        return Rationale(self.name, f"{how} (here {100 * share:.2g} % of the image).", details=details)


def _foreground_fraction(probabilities: torch.Tensor) -> torch.Tensor:
    finite = torch.isfinite(probabilities).flatten(1).all(1)
    return torch.where(finite, (probabilities.argmax(1) > 0).double().mean((1, 2)), torch.nan)
