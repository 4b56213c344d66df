"""What a step takes, and what is counted once because arms share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from SuggestiveAnnotationLib.experiment.estimate import FEW, MORE, Pace, _kind, _step, estimate
from SuggestiveAnnotationLib.experiment.plan import Plan, Transfer
from SuggestiveAnnotationLib.experiment.record import Run
from SuggestiveAnnotationLib.experiment.runner import compare
from SuggestiveAnnotationLib.experiment.stem import base_of
from SuggestiveAnnotationLib.study.study import Study


def test_the_beginning_is_no_part_of_a_step() -> None:
    # The first try pays for what a process does once; a beginning of 3 s is in both others.
    assert _step([60.0, 3 + FEW * 0.5, 3 + MORE * 0.5]) == pytest.approx(0.5)


def test_a_clock_too_coarse_for_a_difference_gives_no_nothing() -> None:
    assert _step([1.0, 1.2, 1.2]) == pytest.approx(1.2 / MORE)
    assert _step([0.0, 0.0, 0.0]) > 0


def test_first_model_and_manifold_of_a_fold_are_counted_once(plan: Plan, data: Path, tmp_path: Path) -> None:
    compare(plan, tmp_path / "out", data=data, threads=1, only_estimate=True)
    base = tmp_path / "out" / "work" / "base-fold-0-seed-0"
    with closing(Study(base)) as study:
        tested = sum(study.frame(case.name).count for case in study.cases("test"))
    # A second for a step of the network, ten for one of the manifold, nothing else.
    pace = Pace({_kind(plan.training): 1.0}, {_kind(plan.training): 0.0}, {_kind(plan.manifold): 10.0}, (0.0, 0.0))
    assert tested
    steps, manifold = plan.training.steps, 10.0 * plan.manifold.manifold_steps
    random, guided = Run("random", 0, 0), Run("guided", 0, 0)

    def seconds(*runs: Run) -> float:
        return estimate(plan, pace, base, runs, processes=1).hours * 3600

    # One round: two models, the first of which is shared.
    assert seconds(random) == pytest.approx(steps + steps)
    assert seconds(guided) == pytest.approx(steps + steps + manifold)
    assert seconds(random, guided) == pytest.approx(steps + 2 * steps + manifold)
    assert seconds(guided, replace(guided, fold=1)) == pytest.approx(2 * seconds(guided))


@pytest.fixture
def looking(plan: Plan, data: Path, tmp_path: Path) -> Callable[..., float]:
    """`looking(strategy, options)` gives the seconds of a run whose predictions take a second each and all else nothing."""
    compare(plan, tmp_path / "out", data=data, threads=1, only_estimate=True)

    def seconds(strategy: str, options: Mapping[str, Any] | None = None) -> float:
        arm = replace(plan.arms[0], strategy=strategy, options=options or {})
        kind = _kind(plan.training)
        pace = Pace({kind: 0.0}, {kind: 1.0}, {_kind(plan.manifold): 0.0}, (0.0, 0.0))
        one = replace(plan, arms=(arm,), primary=None)
        base = base_of(tmp_path / "out", 0, 0)
        return estimate(one, pace, base, [Run(arm.name, 0, 0)], processes=1).hours * 3600

    return seconds


@pytest.mark.parametrize(
    ("strategy", "options", "times"),
    [
        ("strided", {}, 0),
        ("entropy", {}, 1),
        ("mc-dropout", {}, 8),
        ("mc-dropout", {"passes": 3}, 3),
        ("test-time-augmentation", {}, 8),
        ("stochastic-batches", {}, 1),
        ("stochastic-batches", {"scorer": "mc-dropout"}, 8),
        ("stochastic-batches", {"scorer": "test-time-augmentation", "passes": 5}, 5),
        ("committee-variance", {}, 4),
        ("dal", {}, 4),
        ("stochastic-batches", {"scorer": "committee-variance"}, 4),
        ("oracle", {}, 1),
        ("core-set", {}, 0),
    ],
)
def test_every_look_of_every_network_at_the_pool_is_counted(
    looking: Callable[..., float], tmp_path: Path, strategy: str, options: Mapping[str, Any], times: int
) -> None:
    with closing(Study(base_of(tmp_path / "out", 0, 0))) as study:
        pool = sum(int((~study.slices(case.name).blank).sum()) for case in study.cases("pool"))
    # One round, so one suggestion beside what a random run predicts.
    assert looking(strategy, options) - looking("random") == pytest.approx(times * pool)
    assert pool > 10


def test_on_the_manifold_only_what_is_annotated_is_looked_at(looking: Callable[..., float]) -> None:
    # Two batches of two slices, and a gradient of each takes as long as three predictions.
    assert looking("gradient-guided") - looking("random") == pytest.approx(3 * 4)
    assert looking("consensus") - looking("random") == pytest.approx(8 * 3 * 4)


def test_what_is_learnt_elsewhere_is_counted_once_a_fold_and_seed(plan: Plan, data: Path, tmp_path: Path) -> None:
    compare(plan, tmp_path / "out", data=data, threads=1, only_estimate=True)
    base, kind = base_of(tmp_path / "out", 0, 0), _kind(plan.training)
    pace = Pace({kind: 1.0}, {kind: 0.0}, {_kind(plan.manifold): 0.0}, (0.0, 0.0))
    random, guided = Run("random", 0, 0), Run("guided", 0, 0)

    def seconds(plan: Plan, *runs: Run) -> float:
        return estimate(plan, pace, base, runs, processes=1).hours * 3600

    transferred = replace(plan, transfer=Transfer("case[45]", steps=700))
    for runs, bases in (
        ((random,), 1),
        ((random, guided), 1),
        ((random, replace(guided, fold=1)), 2),
        ((random, replace(random, seed=1)), 2),
    ):
        assert seconds(transferred, *runs) - seconds(plan, *runs) == pytest.approx(bases * 700)
    assert estimate(transferred, pace, base, [random], processes=1).shared_hours * 3600 == pytest.approx(700 + plan.training.steps)
