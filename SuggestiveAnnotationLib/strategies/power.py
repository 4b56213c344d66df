"""Predictive entropy with power noise, plain and stratified by class (ClaSP PE: Lueth et al., TMLR 2026, arXiv 2601.13677).

Power noise (Kirsch et al., "Stochastic batch acquisition", TMLR 2023) ranks by `log s + G / beta` with G from a standard Gumbel
distribution: scores count as weights of a draw without replacement, the more sharply the larger beta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.scoring import descending, over_probabilities
from SuggestiveAnnotationLib.types import Rationale

FIRST_BETA, LAST_BETA = 1.0, 100.0


def power_noised(scores: NDArray[np.float64], beta: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """`log s + G / beta`, one draw a score; -inf where the score is 0, which thereby comes last."""
    with np.errstate(divide="ignore"):
        noised: NDArray[np.float64] = np.log(scores) + rng.gumbel(0.0, 1.0 / beta, scores.shape)
    return noised


def beta_of(round_number: int, steps: int) -> float:
    """beta of a query: from 1 in the first to 100 in the `steps`-th, growing by the same factor each time; 100 from then on."""
    if steps == 1:
        return LAST_BETA
    through = min(max(round_number, 1), steps) - 1
    return float(FIRST_BETA * (LAST_BETA / FIRST_BETA) ** (through / (steps - 1)))


@dataclass(frozen=True, kw_only=True)
class PowerEntropy(BatchStrategy):
    """Mean pixel entropy with power noise.

    Attributes:
        beta: sharpness; large: plain entropy, near 0: random.
    """

    name: ClassVar[str] = "power-entropy"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.beta > 0, "beta", self.beta, "positive")

    def choose(self, query: Query, board: Board) -> Choice:
        """Rank the units by the noised mean of their slices' entropy."""
        slices = board.slices
        entropy = board.mean(slices, over_probabilities(query, slices, _entropies)[:, -1])
        units = board.units
        noised = power_noised(entropy[units], self.beta, np.random.default_rng(query.seed))
        taken = board.take_in_order(units[descending(noised, query.seed)].tolist())
        return Choice([(unit, self._rationale(float(entropy[unit]), board.noun)) for unit in taken])

    def _rationale(self, entropy: float, noun: str) -> Rationale:
        sentence = f"Drawn at random, likelier where the model is less sure of its outline: mean entropy {entropy:.2g} in this {noun}."
        return Rationale(self.name, sentence, score=entropy, details={"beta": self.beta})


@dataclass(frozen=True, kw_only=True)
class ClassStratifiedPowerEntropy(BatchStrategy):
    """ClaSP PE: a share of the batch goes in equal parts to the structures, each by its own noised entropy, the rest by the entropy of all.

    The entropy of a structure is the mean over pixels of `H(p) p_c`. Scores, shares and noise are those of the authors' code (nnActive,
    `class_power_pe66_exp`). It scores 3D patches by an ensemble of networks; here the units are slices or cases of one network.

    Attributes:
        foreground: share of the batch that goes to the structures (published: 0.66).
        steps: the query at which beta reaches 100. Published: the number of trainings that the experiment plans, which is one more than
            its queries, so that the last of 4 queries has beta 31.6.
    """

    name: ClassVar[str] = "clasp-pe"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MODEL})

    foreground: float = 0.66
    steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.foreground <= 1, "foreground", self.foreground, "a share from 0 to 1")
        require(self.steps >= 1, "steps", self.steps, "1 or more queries")

    def choose(self, query: Query, board: Board) -> Choice:
        """Structures take their shares one after the other in random order, then the entropy of all fills the batch."""
        slices, units = board.slices, board.units
        scores = board.mean(slices, over_probabilities(query, slices, _entropies))[units]
        rng, beta = np.random.default_rng(query.seed), beta_of(query.round, self.steps)
        column = {int(unit): place for place, unit in enumerate(units)}
        picks: list[tuple[int, Rationale]] = []
        for channel, share in self._shares(query, rng):
            values = scores[:, channel]
            order = units[descending(power_noised(values, beta, rng), query.seed)]
            for unit in order.tolist():
                if share == 0:
                    break
                if board.open[unit]:
                    board.take(unit)
                    share -= 1
                    picks.append((unit, self._rationale(query, channel, float(values[column[unit]]), beta, board.noun)))
        return Choice(picks)

    def _shares(self, query: Query, rng: np.random.Generator) -> list[tuple[int, int]]:
        """(column of the score table, number of picks), in the order in which they pick; the last column is the entropy of all."""
        structures = len(query.schema.classes)
        of_structures = int(query.budget * self.foreground)
        each, more = divmod(of_structures, structures)
        order = (rng.permutation(structures) + 1).tolist()
        shares = [(channel, each + (place < more)) for place, channel in enumerate(order)]
        return [*shares, (structures + 1, query.budget - of_structures)]

    def _rationale(self, query: Query, channel: int, score: float, beta: float, noun: str) -> Rationale:
        classes = query.schema.classes
        what = f"the outline of {classes[channel - 1].name}" if channel <= len(classes) else "its outline"
        details = {"beta": beta, "structure": classes[channel - 1].name if channel <= len(classes) else None}
        sentence = f"Drawn at random, likelier where the model is less sure of {what}: entropy {score:.2g} in this {noun}."
        return Rationale(self.name, sentence, score=score, details=details)


def _entropies(probabilities: torch.Tensor) -> torch.Tensor:
    """Mean over pixels of `H p_c` for every channel c, then of H itself: `(n, K+2)`."""
    entropy = torch.special.entr(probabilities).sum(1, keepdim=True)
    return torch.cat([entropy * probabilities, entropy], dim=1).mean((2, 3))
