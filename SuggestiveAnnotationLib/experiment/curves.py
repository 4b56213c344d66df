"""The records of a comparison as arrays: what every run says of every person after every model, and what had been paid by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.effort.time_model import Matching, TimeCoefficients, Workload, missing_mm
from SuggestiveAnnotationLib.experiment.plan import Over, Plan
from SuggestiveAnnotationLib.experiment.plan_file import read_frozen
from SuggestiveAnnotationLib.experiment.record import Batch, Judged, Run, RunRecord, read_records
from SuggestiveAnnotationLib.experiment.statistics import RESAMPLES, Draws, Values, area, joint_support, mean

COSTS: tuple[Over, ...] = ("minutes", "slices", "contour_mm")
FALSE = ("false_mm3_on_empty", "false_slices_on_empty", "predicted_mm3", "reference_mm3", "penalised")
"""Metrics that mean something where the reference lacks the class too."""
Block = tuple[int, int]
"""Fold and seed: the runs of a block start from the same files."""


class Pricing(NamedTuple):
    """How simulated minutes are counted: the price list, and which contour of a pre-annotation needs no drawing."""

    coefficients: TimeCoefficients = TimeCoefficients()
    matching: Matching = "exact"


@dataclass(frozen=True)
class Curve:
    """One run.

    Attributes:
        tests: `(model, person, label, metric)`, mean over trainings and over the person's cases; NaN where undefined or not tested.
        trainings: for each model the Dice `(training, class)`, mean over people, for the noise of training.
    """

    record: RunRecord
    tests: NDArray[np.float64]
    trainings: tuple[Values, ...]

    def cost(self, over: Over, pricing: Pricing | None = None) -> list[float]:
        """What had been paid when each model was trained; minutes as declared, or counted otherwise.

        With a tolerance the classes that one switches to stay those with contour to draw without one.

        Raises:
            ValueError: the pricing asks for a tolerance that was not measured.
        """
        if over != "minutes" or pricing is None:
            return [float(getattr(p, over)) for p in self.record.points]
        paid = []
        for point in self.record.points:
            spared = [_within(b, pricing.matching) for b in self.record.batches if b.number < point.model]
            work = Workload(**point.workload) + Workload(drawn_mm=-sum(spared))  # type: ignore[arg-type]
            paid.append(work.minutes(pricing.coefficients))
        return paid


def _within(batch: Batch, matching: Matching) -> float:
    """Contour that lies within the tolerance of a batch's pre-annotations and not on the very same edge, millimetres."""
    if matching == "exact" or batch.saved_effort is None:
        return 0.0
    totals = SavedEffort.from_json(batch.saved_effort).totals
    return sum(missing_mm(c, "exact") - missing_mm(c, matching) for c in totals.classes)


@dataclass(frozen=True)
class Comparison:
    """All records of a plan, in the order of its arms.

    Attributes:
        plan: as it was frozen.
        records: all, failed ones too.
        resamples: of every bootstrap.
        seed: of every bootstrap.
    """

    plan: Plan
    records: tuple[RunRecord, ...]
    resamples: int = RESAMPLES
    seed: int = 0
    _areas: dict[tuple[object, ...], Values] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, folder: Path, *, resamples: int = RESAMPLES) -> Comparison:
        """The folder of a comparison. Raises: InputError, when it is none or a record cannot be read."""
        return cls(read_frozen(folder), tuple(read_records(folder)), resamples)

    @cached_property
    def done(self) -> tuple[RunRecord, ...]:
        """Runs that can be compared."""
        return tuple(r for r in self.records if r.status == "done" and r.points)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """Arms with at least one run that is done, in the order of the plan."""
        there = {r.arm for r in self.done}
        return tuple(arm.name for arm in self.plan.arms if arm.name in there)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Of the runs that are done; the runs of every array of values."""
        return tuple(sorted({(r.fold, r.seed) for r in self.done}))

    @cached_property
    def people(self) -> tuple[str, ...]:
        """Everybody who was tested; the people of every array of values."""
        return tuple(sorted({r.patients.get(case, case) for r in self.done for case in r.test}))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Classes, then regions."""
        return (*self.classes, *(self.done[0].regions if self.done else ()))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Classes of the schema."""
        return self.done[0].classes if self.done else ()

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that any run has."""
        cases = (case for r in self.done for p in r.points for t in p.trainings for case in t.tests.values())
        found = (metric for case in cases for by_metric in case.values() for metric in by_metric)
        return tuple(dict.fromkeys(found))

    @cached_property
    def curves(self) -> Mapping[tuple[str, Block], Curve]:
        """Every run that is done, by arm and block."""
        return {(r.arm, (r.fold, r.seed)): self._curve(r) for r in self.done}

    @cached_property
    def draws(self) -> Draws:
        """Resamples for every interval of the comparison."""
        return Draws.make(len(self.people), [seed for _, seed in self.blocks], resamples=self.resamples, seed=self.seed)

    def score(self, arm: str, block: Block, metric: str, labels: Sequence[str] = ()) -> Values:
        """A metric `(model, person)` of one run: the mean over those of some classes and regions that the person has, or of all classes."""
        tests = self.curves[arm, block].tests[..., self.metrics.index(metric)]
        return mean(tests[:, :, [self.labels.index(one) for one in labels or self.classes]], axis=2)

    def last(self, arm: str, metric: str, labels: Sequence[str] = ()) -> Values:
        """Values `(person, run)` of the last model."""
        return self._table(arm, lambda block: self.score(arm, block, metric, labels)[-1])

    def areas(
        self,
        arm: str,
        metric: str,
        over: Over,
        *,
        labels: Sequence[str] = (),
        among: Sequence[str] | None = None,
        pricing: Pricing | None = None,
        held: bool = False,
    ) -> Values:
        """Values `(person, run)`: area under the curve of a metric over a cost, divided by its width, see `statistics.area`.

        An arm that spends too little in any block has no area in all of them: to leave out the blocks where it did would be to choose by
        the outcome.

        Args:
            labels: see `score`.
            among: arms whose joint support it is taken over, in each block; None: all.
            pricing: of simulated minutes.
            held: between models the earlier one counts.
        """
        key = (arm, metric, over, tuple(labels), None if among is None else tuple(sorted(among)), pricing, held)
        if key not in self._areas:
            arms = tuple(self.arms) if among is None else tuple(among)
            supports = {block: self.support(block, over, arms, pricing) for block in self.blocks}
            short = any(arm in names for _, names in supports.values())

            def of_block(block: Block) -> Values:
                support = None if short else supports[block][0]
                scores = self.score(arm, block, metric, labels)
                x = self.curves[arm, block].cost(over, pricing)
                return np.array([area(x, y, support, held=held) for y in scores.T])

            self._areas[key] = self._table(arm, of_block)
        return self._areas[key]

    def support(
        self, block: Block, over: Over, arms: Sequence[str], pricing: Pricing | None = None
    ) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
        """`statistics.joint_support` of a block."""
        costs = {arm: self.curves[arm, block].cost(over, pricing) for arm in arms if (arm, block) in self.curves}
        return joint_support({arm: (x[0], x[-1]) for arm, x in costs.items()})

    def expected(self) -> tuple[Run, ...]:
        """Every run that the plan asks for, as far as its folds are known before the cohort is."""
        split = self.plan.split
        known = {"folds": split.folds, "random": split.draws, "fixed": 1}.get(split.kind)
        if known is None and self.people:
            known = len({person for r in self.done for person in r.patients.values()})
        folds = split.run or tuple(range(known or 0))
        return tuple(Run(arm.name, fold, seed) for seed in self.plan.seeds for fold in folds for arm in self.plan.arms)

    def _table(self, arm: str, of_block: Callable[[Block], Values]) -> Values:
        out = np.full((len(self.people), len(self.blocks)), np.nan)
        for at, block in enumerate(self.blocks):
            if (arm, block) in self.curves:
                out[:, at] = of_block(block)
        return out

    def _curve(self, record: RunRecord) -> Curve:
        everything = [[self._judged(record, one) for one in point.trainings] for point in record.points]
        tests = np.stack([mean(np.stack(trainings), axis=0) for trainings in everything])
        dice = self.metrics.index("dice_3d")
        classes = len(self.classes)
        by_class = tuple(np.stack([mean(one[:, :classes, dice], axis=0) for one in trainings]) for trainings in everything)
        return Curve(record, tests, by_class)

    def _judged(self, record: RunRecord, one: Judged) -> Values:
        """One training `(person, label, metric)`."""
        sums = np.zeros((len(self.people), len(self.labels), len(self.metrics)))
        counts = np.zeros_like(sums)
        for case, by_label in one.tests.items():
            person = self.people.index(record.patients.get(case, case))
            for label, by_metric in by_label.items():
                lacks = by_metric.get("reference_mm3") == 0
                for metric, value in by_metric.items():
                    # A class that a case lacks would count as 0 or not at all, by a single false voxel; its false volume says it better.
                    if value is not None and not (lacks and metric not in FALSE):
                        at = (person, self.labels.index(label), self.metrics.index(metric))
                        sums[at] += value
                        counts[at] += 1
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
