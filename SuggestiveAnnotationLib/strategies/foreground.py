"""Random among the slices that show a structure: the baseline that large comparisons found hard to beat."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, pick_phrase, reference_of, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import over_probabilities
from SuggestiveAnnotationLib.types import Rationale

Weight = Literal["equal", "proportional", "structure"]


@dataclass(frozen=True, kw_only=True)
class ForegroundRandom(BatchStrategy):
    """Random without replacement, a share of the batch among units with foreground; where those run out, random among the rest.

    Attributes:
        weight: "equal": every unit with any foreground alike. "proportional": by the mean fraction of foreground pixels. "structure": every
            structure alike, and every unit that shows it alike, so that rare structures are not missed.
        foreground_share: of the batch, rounded; the rest is drawn from all units, foreground or not. The authors of nnActive draw two in
            three patches (1 in 3 with the weaker variant) inside or on the border of a structure, and which structure at random.
    """

    weight: Weight = "equal"
    foreground_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weight in get_args(Weight), "weight", self.weight, " or ".join(get_args(Weight)))
        require(0 <= self.foreground_share <= 1, "foreground_share", self.foreground_share, "a share from 0 to 1")

    @abstractmethod
    def fractions(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Fraction of the pixels of every slice that shows structure 1 to K, `(n, K)`."""

    @abstractmethod
    def seen(self, fraction: float, among: int, noun: str) -> str:
        """Why a unit was drawn from those with foreground, or, with a fraction of 0, to fill the batch; one sentence."""

    @abstractmethod
    def filled(self, units: str) -> str:
        """Warning that so many units were drawn because there was no more foreground."""

    def choose(self, query: Query, board: Board) -> Choice:
        """Weighted random order (Efraimidis and Spirakis: the largest log(u) / w first), and a plain one for the rest of the batch."""
        slices, units = board.slices, board.units
        fractions = board.mean(slices, self.fractions(query, slices))[units]
        fraction = fractions.sum(1)
        rng = np.random.default_rng(query.seed)
        weight = self._weights(fractions)
        shown = weight > 0
        draw = np.log(rng.random(len(units)))
        key = np.where(shown, draw / np.where(shown, weight, 1.0), draw)
        with_foreground = deque(units[np.lexsort((-key, ~shown))].tolist())
        every = deque(rng.permutation(units).tolist())
        aimed = rng.permutation(np.arange(query.budget) < round(query.budget * self.foreground_share)).tolist()
        known = dict(zip(units.tolist(), fraction.tolist(), strict=True))
        picks: list[tuple[int, Rationale]] = []
        missed = 0
        for wanted in aimed:
            order = with_foreground if wanted else every
            while order and not board.open[order[0]]:
                order.popleft()
            if not order:
                break
            unit = order.popleft()
            board.take(unit)
            missed += wanted and not known[unit]
            picks.append((unit, self._rationale(known[unit], int(shown.sum()), board, aimed=wanted)))
        return Choice(picks, (self.filled(pick_phrase(missed, board.noun)),) if missed else ())

    def _weights(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        shows = fractions > 0
        per_structure = {"equal": shows.any(1, keepdims=True), "proportional": fractions, "structure": shows / np.maximum(1, shows.sum(0))}
        weights: NDArray[np.float64] = per_structure[self.weight].astype(np.float64).sum(1)
        return weights

    def _rationale(self, fraction: float, among: int, board: Board, *, aimed: bool) -> Rationale:
        details = {
            "foreground_fraction": fraction,
            "among": among,
            "weight": self.weight,
            "filled": aimed and fraction == 0,
            "aimed": aimed,
        }
        sentence = self.seen(fraction, among, board.noun) if aimed else f"Drawn at random from all {board.noun}s, whatever they show."
        return Rationale(self.name, sentence, details=details)


@dataclass(frozen=True, kw_only=True)
class PredictedForegroundRandom(ForegroundRandom):
    """Foreground as the model predicts it."""

    name: ClassVar[str] = "predicted-foreground-random"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    def fractions(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of the predicted labels."""
        return over_probabilities(query, slices, _predicted_fractions)

    def seen(self, fraction: float, among: int, noun: str) -> str:
        """Name the prediction."""
        if fraction == 0:
            return f"Drawn at random to fill the batch: the model predicts nothing in this {noun}."
        how = f"Drawn at random from {pick_phrase(among, noun)} in which the model sees a structure"
        return f"{how} (here {100 * fraction:.2g} % of the image)."

    def filled(self, units: str) -> str:
        """Nothing predicted."""
        return f"The model predicts nothing in {units} of the batch: drawn at random to fill it."


@dataclass(frozen=True, kw_only=True)
class ReferenceForegroundRandom(ForegroundRandom):
    """Foreground as the reference has it: an oracle, for experiments only."""

    name: ClassVar[str] = "reference-foreground-random"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.REFERENCE})

    foreground_share: float = 0.66

    def fractions(self, query: Query, slices: NDArray[np.intp]) -> NDArray[np.float64]:
        """Of the reference labels."""
        reference = reference_of(query)
        channels = np.arange(1, query.schema.channels)
        return np.array([[(labels == k).mean() for k in channels] for labels in map(reference.channels, slices.tolist())])

    def seen(self, fraction: float, among: int, noun: str) -> str:
        """Name the reference."""
        if fraction == 0:
            return f"Drawn at random to fill the batch: the reference shows nothing in this {noun}."
        return (
            f"Drawn at random from {pick_phrase(among, noun)} whose reference shows a structure (here {100 * fraction:.2g} % of the image)."
        )

    def filled(self, units: str) -> str:
        """Nothing in the reference."""
        return f"The reference shows nothing in {units} of the batch: drawn at random to fill it."


def _predicted_fractions(probabilities: torch.Tensor) -> torch.Tensor:
    finite = torch.isfinite(probabilities).flatten(1).all(1).cpu()
    labels = probabilities.argmax(1).cpu()
    fractions = torch.stack([(labels == k).double().mean((1, 2)) for k in range(1, probabilities.shape[1])], dim=1)
    return torch.where(finite[:, None], fractions, torch.nan)
