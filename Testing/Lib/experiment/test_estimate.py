"""What a step takes, from the three short trainings that are timed."""

from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.experiment.estimate import FEW, MORE, _step


def test_the_beginning_is_no_part_of_a_step() -> None:
    # The first try pays for what a process does once; a beginning of 3 s is in both others.
    assert _step([60.0, 3 + FEW * 0.5, 3 + MORE * 0.5]) == pytest.approx(0.5)


def test_a_clock_too_coarse_for_a_difference_gives_no_nothing() -> None:
    assert _step([1.0, 1.2, 1.2]) == pytest.approx(1.2 / MORE)
    assert _step([0.0, 0.0, 0.0]) > 0
