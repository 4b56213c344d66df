"""What a comparison gave, as plain data: the content of `results.json`. `analyse` makes it; tables, figures and pages read nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from SuggestiveAnnotationLib.experiment.families import Family
from SuggestiveAnnotationLib.experiment.plan import Endpoint, Over, Plan
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.words import measure_words

MEAN = "mean of classes"
WITHIN_A_PIXEL = "contour within 1 px needs no drawing"
"""Name of a variation of the price list."""
LOWER_IS_BETTER = ("hausdorff_mm", "hd95_mm", "false_mm3_on_empty", "false_slices_on_empty", "penalised")


@dataclass(frozen=True)
class Stand:
    """Where an arm stands after one model: mean cost over runs, and the metric over people.

    Attributes:
        model: 1 for the first.
        slices, contour_mm, minutes: paid by then.
        metric: primary metric, mean over classes.
    """

    model: int
    slices: float
    contour_mm: float
    minutes: float
    metric: Interval


@dataclass(frozen=True)
class Share:
    """Contour effort of slices, from lengths summed over all runs; None: undefined or not measured.

    Attributes:
        slices: how many. length_mm: L. exact, within_pixel, within_mm: C / L. overlap: 2C / (L + L_pred). false_components: a slice.
    """

    slices: int
    length_mm: float
    exact: float | None
    within_pixel: float | None
    within_mm: float | None
    overlap: float | None
    false_components: float


@dataclass(frozen=True)
class Effort:
    """What one batch's pre-annotations saved, against the reference.

    Attributes:
        batch: number; 0: all batches together.
        chosen: on the slices that the arm chose. random: the same models on random slices.
        by_class: the chosen slices, class by class.
    """

    batch: int
    chosen: Share
    random: Share | None
    by_class: Mapping[str, Share]


@dataclass(frozen=True)
class ArmResult:
    """One arm.

    Attributes:
        name, strategy, family: what it is. usable: it looks at no reference label.
        runs, failed, missing: done, failed, and still to be run.
        hours: of computing, without what arms share.
        area: area under the curve of the primary metric over each cost, on the support that all arms share.
        curve: after each model.
        final: class, region or `MEAN` -> metric -> of the last model.
        effort: of each batch after the first, and of all.
    """

    name: str
    strategy: str
    family: Family
    usable: bool
    runs: int
    failed: int
    missing: int
    hours: float
    area: Mapping[Over, Interval]
    curve: tuple[Stand, ...]
    final: Mapping[str, Mapping[str, Interval]]
    effort: tuple[Effort, ...]


@dataclass(frozen=True)
class Gain:
    """How much better an arm is than another in the area under the curve; positive is better, also where a lower metric is.

    Attributes:
        arm, against: paired by person, fold and seed, on the support that these two share.
        over: cost -> at the level of 95 %.
        at_once: over the primary cost, at a level at which all arms hold together (Bonferroni).
        narrow: over the primary cost, at 90 %, for equivalence.
        held: the mean over the primary cost, where between models the earlier one counts (steps instead of straight lines).
        shared: of what the arm and the one it is held against spent after the first batch over the primary cost, the shares that are
            compared, mean over folds and seeds; None where nothing is.
        wins, ties, losses: people, over the primary cost; a tie is a difference within the margin.
        by_person: the mean difference of each person, in the same order in every arm; None where there is none.
        by_seed: seed -> mean over people of what its runs say; seeds that say nothing are left out.
    """

    arm: str
    against: str
    over: Mapping[Over, Interval]
    at_once: Interval
    narrow: Interval
    held: float | None
    shared: tuple[float, float] | None
    wins: int
    ties: int
    losses: int
    by_person: tuple[float | None, ...]
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class EndpointResult:
    """A number that the plan named before anything ran.

    Attributes:
        endpoint: which. primary: of which there is one.
        gain: at 95 %, positive is better.
        narrow: at 90 % for the primary; for each of m secondaries at 1 - 0.1 / m, so that their equivalences hold together (Bonferroni).
        held: of an area, the mean gain where between models the earlier one counts; None: no area.
        equivalent: `narrow` lies inside the margin (two one-sided tests), and so does `held`.
        p: Wilcoxon's signed-rank test over seeds; None while runs are missing, in a screening, and of too few people or seeds.
        adjusted: for the number of secondaries (Holm); the primary's own p.
        conclusion: in words.
    """

    endpoint: Endpoint
    primary: bool
    gain: Interval
    narrow: Interval
    held: float | None
    equivalent: bool
    p: float | None
    adjusted: float | None
    conclusion: str


@dataclass(frozen=True)
class Noise:
    """How much trainings on identical slices differ in mean Dice.

    Attributes:
        by_model: model -> standard deviation, pooled over runs. sd: of all. groups, trainings: how many it comes from.
        typical: the median over sets of slices of the standard deviation inside each.
        lost: trainings with a class below 0.1 that at least half of the trainings of their set have above 0.2.
        of_an_arm: what is left of `sd` in the mean of an arm over all its trainings of one model.
    """

    by_model: Mapping[int, float]
    sd: float
    typical: float
    lost: int
    groups: int
    trainings: int
    of_an_arm: float


@dataclass(frozen=True)
class Prices:
    """Whether the order of arms hangs on the price list of simulated minutes.

    Attributes:
        ranking: arms, best first, at the prices as given. first: variation -> best arm.
        reversed_pairs: variation -> pairs that change places.
        largest_gap: the largest difference in area, at the prices as given, of any pair that changes places.
        primary: variation -> mean gain of the primary endpoint and its p-value, where there is one; None where the endpoint is no area
            over simulated minutes.
    """

    ranking: tuple[str, ...]
    first: Mapping[str, str]
    reversed_pairs: Mapping[str, tuple[tuple[str, str], ...]]
    largest_gap: float
    primary: Mapping[str, tuple[float, float | None] | None]

    @property
    def survives(self) -> bool:
        """No pair changes places under any variation."""
        return not self.reversed_pairs


@dataclass(frozen=True)
class Ablation:
    """Arms that differ in one option alone.

    Attributes:
        option: its name in the plan. title: in words. strategy: of all of them.
        points: value in words, arm, area over the primary cost on the support of these arms.
    """

    option: str
    title: str
    strategy: str
    points: tuple[tuple[str, str, Interval], ...]


@dataclass(frozen=True)
class Support:
    """The costs over which areas are taken, mean over blocks, and the arms that spend too little to take part."""

    start: float
    end: float
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """Everything.

    Attributes:
        plan, plan_key: frozen. metric, labels, over, margin: primary. baseline: the arm that others are held against.
        arms: with a run that is done, in the order of the plan. absent: arms without one.
        blocks: of fold and seed. people, folds: how many.
        classes, regions: names. ceiling: of the grid, by class and `MEAN` (all classes together).
        support: cost -> where areas are taken.
        gains: each arm against the baseline.
        failures: run, kind and sentence. missing: runs still to be done.
        machines: in words -> runs. versions: package -> version. hours: of computing in all. finished: when the last run was, UTC.
        resamples, seed: of the bootstrap.
        verdict: sentences.
    """

    plan: Plan
    plan_key: str
    metric: str
    labels: tuple[str, ...]
    over: Over
    margin: float
    baseline: str
    arms: tuple[ArmResult, ...]
    absent: tuple[str, ...]
    blocks: tuple[tuple[int, int], ...]
    people: int
    folds: int
    classes: tuple[str, ...]
    regions: tuple[str, ...]
    metrics: tuple[str, ...]
    ceiling: Mapping[str, Share]
    support: Mapping[Over, Support]
    gains: tuple[Gain, ...]
    endpoints: tuple[EndpointResult, ...]
    noise: Noise | None
    prices: Prices | None
    ablations: tuple[Ablation, ...]
    failures: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...]
    machines: Mapping[str, int]
    versions: Mapping[str, str]
    hours: float
    finished: str
    resamples: int
    seed: int
    verdict: tuple[str, ...]

    def arm(self, name: str) -> ArmResult:
        """KeyError where there is none."""
        for one in self.arms:
            if one.name == name:
                return one
        raise KeyError(name)

    @property
    def measure(self) -> str:
        """The primary metric as a person reads it."""
        return measure_words(self.metric, self.labels)

    def to_json(self) -> dict[str, Any]:
        """JSON values, no NaN among them; the plan as it was frozen; arms, gains and ablations by name."""
        data: dict[str, Any] = {**json.loads(json.dumps(asdict(self), allow_nan=False)), "plan": self.plan.to_json()}
        data["arms"] = {one["name"]: one for one in data["arms"]}
        data["gains"] = {one["arm"]: one for one in data["gains"]}
        return data
