"""What a step takes, and what is counted once because arms share it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.experiment.estimate import FEW, MORE, Pace, _kind, _step, estimate
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.record import Run
from SuggestiveAnnotationLib.experiment.runner import compare
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
