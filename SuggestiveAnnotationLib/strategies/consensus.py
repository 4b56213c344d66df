"""Consensus of several gradient directions: what the 2022 paper names as its own future work (section 5).

"... generating multiple gradient-integrated images for the same image in each iteration so that the proposed method can search multiple
gradient directions ...; and a new image that is most frequently suggested based on these ... will be given to the expert".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import manifold_of, model_of, require
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.directions import Direction, encoder_direction, manifold_direction
from SuggestiveAnnotationLib.strategies.gradient import FixedStep, gradients_by_class
from SuggestiveAnnotationLib.strategies.neighbours import ConeSearch, Pick
from SuggestiveAnnotationLib.strategies.stepping import Gradients, Moves, Targets
from SuggestiveAnnotationLib.strategies.turns import in_proportion

Vary = Literal["noise", "structures", "dropout"]


@dataclass(frozen=True, kw_only=True)
class Consensus(FixedStep):
    """Every source steps along several gradients; the slice that most of them reach first wins, of equals the one nearest to its target.

    A direction whose cone holds nothing open has no vote, unless all of the source's are empty. With `targets` above 1 the source's
    directions vote at each step length apart.

    Attributes:
        vary: where several gradients come from. "noise": small noise on the image. "structures": the loss of every structure that the
            source shows. "dropout": dropout masks (the model must have dropout).
        passes: gradients a source, for noise and dropout.
        noise: standard deviation of the noise, in units of the normalised intensities.
        direction: see `GradientGuided`.
    """

    name: ClassVar[str] = "consensus"

    vary: Vary = "noise"
    passes: int = 8
    noise: float = 0.1
    direction: Direction = "encoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.vary in get_args(Vary), "vary", self.vary, " or ".join(get_args(Vary)))
        require(self.passes >= 2, "passes", self.passes, "2 or more")
        require(self.noise > 0, "noise", self.noise, "positive")
        require(self.direction in get_args(Direction), "direction", self.direction, " or ".join(get_args(Direction)))

    def gradients(self, query: Query, sources: Sequence[int]) -> Iterator[list[Gradients]]:
        """Several a source."""
        if self.vary == "structures":
            yield from gradients_by_class(query, sources)
            return
        model = model_of(query)
        given = model.varied_gradients(sources, by=self.vary, passes=self.passes, noise=self.noise, seed=query.seed)
        for index, images, losses, gradients in given:
            yield [Gradients(index, images, losses[p], gradients[p], np.full(len(index), p)) for p in range(self.passes)]

    def move(self, query: Query, images: torch.Tensor, gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient on the manifold."""
        pushed = encoder_direction if self.direction == "encoder" else manifold_direction
        moved = pushed(manifold_of(query), images, gradients)
        return moved, moved.new_zeros(len(moved))

    def first(self, moves: Moves, rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """All directions of the first `count` sources: a turn is a source's."""
        sources = list(dict.fromkeys(moves.slices[rows].tolist()))[:count]
        return rows[np.isin(moves.slices[rows], sources)]

    def turns(self, query: Query, targets: Targets) -> list[int]:
        """The first row of a source, source after source, or in proportion to the mean loss of the source."""
        first, losses = [], []
        for rows in _groups(targets).values():
            first.append(rows[0])
            losses.append(float(targets.moves.losses[rows].mean()))
        if self.weighting == "loss":
            return [first[place] for place in in_proportion(np.array(losses), query.budget)]
        return [first[turn % len(first)] for turn in range(query.budget)]

    def search(self, search: ConeSearch, targets: Targets, turns: list[int], closes: Callable[[int], NDArray[np.intp]]) -> list[Pick]:
        """A vote a turn, while anything is open."""
        groups = _groups(targets)
        moves = targets.moves
        asked = [row for turn in set(turns) for row in groups[_key(targets, turn)]]
        greedy = search.pass_over(moves.starts, targets.points, targets.directions, asked, tau=self.tau)
        picks: list[Pick] = []
        for turn in turns:
            reached = [pick for row in groups[_key(targets, turn)] if (pick := greedy.nearest(row)) is not None]
            if not reached:
                break
            picks.append(_winner(reached))
            greedy.close(closes(picks[-1].index))
        return picks

    def direction_name(self) -> str:
        """Direction and what varies."""
        return f"{self.direction}, {self.vary}"

    def sentence(self, source: str, pick: Pick, *, error: str, noun: str, weak: bool) -> str:
        """How many directions agree."""
        if pick.in_cone:
            return f"Chosen because {pick.votes} of {pick.of} directions in which the model's error grows from {source} lead here first."
        reach = self.within_reach(noun)
        return f"Chosen as the {noun} nearest to where the model's error grows from {source}; no {reach} lies in those very directions."


def _key(targets: Targets, row: int) -> tuple[int, int]:
    return int(targets.moves.slices[row]), 1 if targets.multiples is None else int(targets.multiples[row])


def _groups(targets: Targets) -> dict[tuple[int, int], list[int]]:
    """Rows of every source and step length, in the order in which sources come."""
    out: dict[tuple[int, int], list[int]] = {}
    for row in range(len(targets.moves)):
        out.setdefault(_key(targets, row), []).append(row)
    return out


def _winner(reached: list[Pick]) -> Pick:
    voting = [pick for pick in reached if pick.in_cone] or reached
    votes: dict[int, list[Pick]] = {}
    for pick in voting:
        votes.setdefault(pick.index, []).append(pick)
    best = min(votes.values(), key=lambda ps: (-len(ps), min(p.distance for p in ps), ps[0].index))
    return replace(min(best, key=lambda p: (p.distance, p.row)), votes=len(best), of=len(reached))
