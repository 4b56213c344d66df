"""How long a comparison will take: a few steps of every kind, measured at the plan's own sizes, multiplied out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.predict import predict_case
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, TrainingOptions
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.experiment.judge import judge_case
from SuggestiveAnnotationLib.experiment.plan import Arm, Plan
from SuggestiveAnnotationLib.experiment.record import Run
from SuggestiveAnnotationLib.experiment.stem import WORK, Begin, begin_of, budget_of, copy_study
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import options, requirements
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import content_key

FEW, MORE = 2, 12
"""Steps of the two trainings whose difference is what a step takes."""
_TRIES = (FEW, FEW, MORE)
"""The first one is thrown away: it pays for what a process does once."""
_GRADIENT = 3
"""Predictions that take about as long as the gradient of one slice, forward and backward."""


@dataclass(frozen=True)
class Pace:
    """Seconds on this computer.

    Attributes:
        train: one step of the segmentation network, by `_kind` of its training. predict: one slice, to native labels; likewise.
        manifold: one step of the VAE, by `_kind` of the manifold. judge: one test case, without and with its surfaces.
    """

    train: dict[str, float]
    predict: dict[str, float]
    manifold: dict[str, float]
    judge: tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes:
        hours: of computing, summed over processes. wall_hours: with the processes side by side.
        runs: that are still to be done. shared_hours: of these hours, what arms share.
        by_arm: hours of all runs of an arm.
        pace: measured.
    """

    hours: float
    wall_hours: float
    runs: int
    shared_hours: float
    by_arm: dict[str, float]
    pace: Pace

    def lines(self) -> list[str]:
        """For a person."""
        said = f"{self.runs} runs, about {self.hours:.1f} hours of computing ({self.shared_hours:.1f} of them shared by arms), "
        slowest = sorted(self.by_arm.items(), key=lambda one: -one[1])[:3]
        listed = ", ".join(f"{name} {hours:.1f} h" for name, hours in slowest)
        return [said + f"{self.wall_hours:.1f} hours from now.", *([f"Most of it: {listed}."] if slowest else [])]


def measure(plan: Plan, folder: Path, base: Path, *, cancel: CancelToken) -> Pace:
    """A few steps of every kind of training and of manifold in the plan, in a copy of a fold's study. Tens of seconds."""
    path = folder / WORK / "pace"
    shutil.rmtree(path, ignore_errors=True)
    copy_study(base, path)
    trains, predicts, manifolds = {}, {}, {}
    try:
        with closing(Study(path)) as study:
            elsewhere = () if plan.transfer is None else (plan.training,)
            for training in {_kind(one): one for one in (*elsewhere, *(arm.training for arm in plan.arms))}.values():
                metrics: list[dict[str, Any]] = []
                for steps in _TRIES:
                    model = train(study, options=replace(training, steps=steps, warm_start=False), seed=0, cancel=cancel)
                    metrics.append(model.card["metrics"])
                # The first batch may be smaller than the batches of training that are to come.
                grown = training.batch / min(training.batch, int(metrics[-1]["annotated_slices"]))
                trains[_kind(training)] = grown * _step([float(one["seconds"]) for one in metrics])
                case = study.cases("test")[0]
                began = time.monotonic()
                predict_case(study, case.name, device=training.device, cancel=cancel)
                predicts[_kind(training)] = (time.monotonic() - began) / study.frame(case.name).count
            needed = {
                _kind(arm.manifold): arm.manifold for arm in plan.arms if Requirement.MANIFOLD in requirements(arm.strategy, arm.options)
            }
            for manifold in needed.values():
                spent = []
                for steps in _TRIES:
                    options = replace(manifold, manifold_steps=steps)
                    spent.append(float(fit_manifold(study, options=options, cancel=cancel).card["metrics"]["seconds"]))
                manifolds[_kind(manifold)] = _step(spent)
            return Pace(
                trains, predicts, manifolds, (_judging(study, surfaces=False), _judging(study, surfaces=plan.volume_metrics != "none"))
            )
    finally:
        shutil.rmtree(path, ignore_errors=True)


def estimate(plan: Plan, pace: Pace, base: Path, runs: Sequence[Run], *, processes: int) -> Estimate:
    """The hours of the runs that are still to be done.

    In every round each network of a strategy looks at the pool once, or as many times as it has passes; on the manifold it looks only at
    what is annotated.

    Args:
        base: study after a first batch; what it learnt elsewhere does not matter.
    """
    with closing(Study(base)) as study:
        tested = sum(study.frame(case.name).count for case in study.cases("test"))
        cases = len(study.cases("test"))
        pool = budget_of(study, 1.0, "slice")
        a_case = pool / max(1, len(study.cases("pool")))
        budgets = {arm.name: budget_of(study, arm.budget[-1], arm.unit) * (a_case if arm.unit == "case" else 1) for arm in plan.arms}
    by_arm: dict[str, float] = {}
    for run in runs:
        arm = plan.arm(run.arm)
        by_arm[run.arm] = by_arm.get(run.arm, 0.0) + _run_seconds(plan, arm, pace, tested, cases, pool, budgets[arm.name])
    # What has a manifold begins with the first model, as what has none.
    begins = {begin_of(plan.arm(run.arm), fold=run.fold, seed=run.seed) for run in runs}
    shared = sum(_stem_seconds(begin, pace, tested) for begin in begins | {replace(begin, manifold=None) for begin in begins})
    if plan.transfer is not None:
        shared += len({(run.fold, run.seed) for run in runs}) * plan.transfer.steps * pace.train[_kind(plan.training)]
    total = sum(by_arm.values()) + shared
    return Estimate(
        hours=total / 3600,
        wall_hours=total / 3600 / max(1, min(processes, len(runs))),
        runs=len(runs),
        shared_hours=shared / 3600,
        by_arm={name: seconds / 3600 for name, seconds in by_arm.items()},
        pace=pace,
    )


def _run_seconds(plan: Plan, arm: Arm, pace: Pace, tested: int, cases: int, pool: int, budget: float) -> float:
    kind = _kind(arm.training)
    networks = (plan.rounds + 1) * plan.repeats
    # The first network is shared.
    training = (networks - 1) * arm.training.steps * pace.train[kind]
    if Requirement.COMMITTEE in requirements(arm.strategy, arm.options):
        training += plan.rounds * arm.training.committee * arm.training.steps * pace.train[kind]
    predicting = (networks - 1) * tested * pace.predict[kind]
    surfaces = {"all": networks, "last": plan.repeats, "none": 0}[plan.volume_metrics]
    judging = cases * (networks * pace.judge[0] + surfaces * max(0.0, pace.judge[1] - pace.judge[0]))
    looks = _looks(arm, pool, annotated=(plan.rounds + 1) * budget)
    # Twice the budget: the suggested slices, and as many random ones.
    suggesting = plan.rounds * (looks + 2 * budget) * pace.predict[kind]
    return training + predicting + judging + suggesting


def _looks(arm: Arm, pool: int, *, annotated: float) -> float:
    """Predictions that it takes to suggest once; `annotated` is how many slices are in the end."""
    needs = requirements(arm.strategy, arm.options)
    networks = (Requirement.MODEL in needs) + (arm.training.committee if Requirement.COMMITTEE in needs else 0)
    defaults = {one.name: one.default for one in options(arm.strategy, arm.options)}
    passes = int({**defaults, **arm.options}.get("passes", 1))
    return networks * passes * (_GRADIENT * annotated if Requirement.MANIFOLD in needs else pool)


def _stem_seconds(begin: Begin, pace: Pace, tested: int) -> float:
    kind = _kind(begin.training)
    if begin.manifold is not None:
        return begin.manifold.manifold_steps * pace.manifold[_kind(begin.manifold)]
    return begin.training.steps * pace.train[kind] + tested * pace.predict[kind]


def _step(spent: Sequence[float]) -> float:
    """Seconds of a step from those of the tries; where the clock is too coarse for a difference, as if a beginning cost nothing."""
    _, few, more = spent
    return max(1e-4, (more - few) / (MORE - FEW) if more > few else more / MORE)


def _judging(study: Study, *, surfaces: bool) -> float:
    case = study.cases("test")[0]
    reference = study.reference_labels(case.name)
    began = time.monotonic()
    # A prediction that is off by a slice has surfaces all over, as a real one has.
    moved = reference[[*range(1, len(reference)), 0]]
    judge_case(moved, reference, study.schema, spacing=study.frame(case.name).spacing, surfaces=surfaces)
    return time.monotonic() - began


def _kind(options: TrainingOptions | ManifoldOptions) -> str:
    """Everything that changes how long a step takes."""
    free = {"steps", "rate", "warm_start", "manifold_steps", "manifold_rate"}
    plain: dict[str, Any] = {name: value for name, value in asdict(options).items() if name not in free}
    return content_key(plain)
