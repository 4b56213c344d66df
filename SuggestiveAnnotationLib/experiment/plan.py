"""The plan of a comparison: what is compared, on what, how often, and by which numbers it will be judged. Fixed before the first run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions, TrainingOptions
from SuggestiveAnnotationLib.types import GridSpacing, Plane, Unit, content_key

Amount = int | float
"""Slices or cases; a float is a share of the pool's cases, or of its slices that are not blank (0.06 is 6 %)."""
SplitKind = Literal["folds", "leave-one-out", "random", "fixed"]
Over = Literal["minutes", "slices", "contour_mm"]
Judge = Literal["area", "last"]
WhichModels = Literal["all", "last", "none"]
Sources = Literal["previous", "initial", "all"]


@dataclass(frozen=True)
class EmbeddedSource:
    """Cases that are made. Fields as in `cohort.embedded.EmbeddedCohort`."""

    cases: int = 14
    seed: int = 0
    modalities: tuple[str, ...] = ("t1", "flair")
    lesions: float = 0.6
    spacing: tuple[float, float, float] = (3.0, 2.0, 2.0)
    orientation_variety: bool = True


@dataclass(frozen=True)
class FolderSource:
    """Cases of a folder. Fields as in `cohort.recognise.plan_folder`; `folder` may begin with `${DATA}`, which `--data` names."""

    folder: str
    layout: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    mask: str | None = None
    table: str | None = None
    reference: str | None = None
    schema: str | None = None


@dataclass(frozen=True)
class Split:
    """Who is held out; always whole people.

    Attributes:
        kind: "folds": every person is held out once; "leave-one-out": one person a fold; "random": `test` people drawn anew for each of
            `draws` folds; "fixed": `names` are held out, and there is one fold.
        folds, test, draws: as the kind says. names: globs of cases or people.
        run: which folds run; empty: all.
        seed: of the draw. among: glob of the cases that take part.
        redraw: "folds" divides the people anew for every seed of the plan; else all seeds have the same pools.
    """

    kind: SplitKind = "folds"
    folds: int = 3
    test: int = 0
    draws: int = 1
    names: tuple[str, ...] = ()
    run: tuple[int, ...] = ()
    seed: int = 0
    among: str = "*"
    redraw: bool = False


@dataclass(frozen=True)
class Transfer:
    """A network that has learnt elsewhere before the first batch, from annotations that cost nothing here (2020 paper, section 3.2).

    Attributes:
        cases: glob of the cases of the other site; they are neither in the pool nor tested.
        steps: optimiser steps on them.
        every: only every so many slices of them.
    """

    cases: str
    steps: int
    every: int = 1


@dataclass(frozen=True)
class Arm:
    """One thing to compare: a strategy with its options, and whatever else differs. What is not given is the plan's.

    Attributes:
        name: in the records and on the page.
        strategy, unit, options, min_gap, context, sources: as in `engine.settings.SuggestOptions`.
        budget: of rounds 1, 2, ...; the last one holds for all rounds after it.
        fill: slices between annotated ones at most so many slices apart are filled by interpolation after every batch, trained on, and
            cost nothing, since nobody looks at them; 0: none.
        training, manifold: complete.
    """

    name: str
    strategy: str
    unit: Unit
    options: Mapping[str, Any]
    budget: tuple[Amount, ...]
    min_gap: int
    context: int
    sources: Sources
    training: TrainingOptions
    manifold: ManifoldOptions
    fill: int = 0

    def round_options(self, *, budget: int, seed: int) -> RoundOptions:
        """Everything that a round of this arm needs."""
        return RoundOptions(
            **asdict(self.training), strategy=self.strategy, budget=budget, unit=self.unit, min_gap=self.min_gap, context=self.context,
            sources=self.sources, strategy_options=dict(self.options), fill=self.fill, seed=seed,
        )  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """One number by which two arms are compared, named before anything ran.

    Attributes:
        name: one line.
        arm, against: the difference is the first minus the second.
        metric: of `record.Judged.tests`. labels: classes or regions that it is averaged over; all classes where none is named.
        judge: area under the curve of the metric, or its value at the end. over: the cost that is the curve's axis.
        margin: differences smaller than this do not matter.
    """

    name: str
    arm: str
    against: str
    metric: str = "dice_3d"
    judge: Judge = "area"
    over: Over = "minutes"
    margin: float = 0.01
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A whole comparison.

    Attributes:
        name: in the records. question: what the comparison is to answer, one sentence.
        cohort, plane, pixels, grid_spacing: what is compared on, the last three as in `engine.prepare.prepare`; without a plane the one it
            was acquired in.
        split, seeds: every arm runs in every fold with every seed.
        first_batch, first_strategy, first_unit: what all arms start from.
        rounds: batches after the first.
        repeats: trainings per selected set; the first one chooses the next batch.
        volume_metrics: models whose surfaces are measured on top of Dice, which takes longer than Dice.
        primary, secondaries: endpoints.
        transfer: where the network starts from; None: from nothing.
    """

    name: str
    question: str
    cohort: EmbeddedSource | FolderSource
    plane: Plane | None
    pixels: int | None
    split: Split
    seeds: tuple[int, ...]
    first_batch: Amount
    first_strategy: str
    first_unit: Unit
    rounds: int
    repeats: int
    volume_metrics: WhichModels
    training: TrainingOptions
    manifold: ManifoldOptions
    arms: tuple[Arm, ...]
    primary: Endpoint | None = None
    secondaries: tuple[Endpoint, ...] = ()
    transfer: Transfer | None = None
    grid_spacing: GridSpacing | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        # Options that are younger than comparisons that were frozen without them: the hash of those stays what it was.
        for arm in made["arms"]:
            if not arm["fill"]:
                del arm["fill"]
        if made["grid_spacing"] is None:
            del made["grid_spacing"]
        if not made["split"]["redraw"]:
            del made["split"]["redraw"]
        for one in (made["primary"], *made["secondaries"]):
            if one is not None and not one["labels"]:
                del one["labels"]
        for one in (made, *made["arms"]):
            if one["manifold"]["manifold_members"] == 1:
                del one["manifold"]["manifold_members"]
        return made

    @property
    def key(self) -> str:
        """Hash of the content, 12 hexadecimal digits; comments and order of the file do not count."""
        return content_key(self.to_json())

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The primary, where there is one, then the secondaries."""
        return (*(() if self.primary is None else (self.primary,)), *self.secondaries)

    def arm(self, name: str) -> Arm:
        """KeyError where there is none."""
        for one in self.arms:
            if one.name == name:
                return one
        raise KeyError(name)


def resolve(amount: Amount, there: int) -> int:
    """Slices or cases for an amount, of a pool with so many of them."""
    return amount if isinstance(amount, int) else max(1, round(amount * there))
