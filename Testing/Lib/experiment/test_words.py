"""Intervals and grids in words."""

from __future__ import annotations

from typing import Any

import pytest

from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.words import bounds_words, grid_words, interval_words


@pytest.mark.parametrize(
    ("bounds", "options", "words"),
    [
        ((0.7123, 0.69, 0.7349), {}, "0.712 [0.690, 0.735]"),
        ((0.0125, -0.002, 0.028), {"signed": True}, "+0.013 [-0.002, +0.028]"),
        # What rounds to nought has no side.
        ((-0.0002, -0.0004, 0.0003), {"signed": True}, "+0.000 [+0.000, +0.000]"),
        ((1234.56, 1000.0, 2000.0), {"digits": 1}, "1,234.6 [1,000.0, 2,000.0]"),
        ((0.5, None, None), {}, "0.500"),
        ((None, None, None), {}, "\N{EN DASH}"),
    ],
)
def test_an_interval_in_words(bounds: tuple[float | None, ...], options: dict[str, object], words: str) -> None:
    assert interval_words(Interval(*bounds, people=3, runs=3), **options) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pixels", "spacing", "words"),
    [(96, None, "96 pixels"), (None, "native", "the scans' own spacing"), (64, 0.85, "64 pixels, 0.85 mm"), (None, 1.0, "1 mm")],
)
def test_a_grid_in_words(pixels: int | None, spacing: Any, words: str) -> None:
    assert grid_words(pixels, spacing) == words


def test_bounds_alone_with_their_level() -> None:
    assert bounds_words(Interval(0.0, -0.1, 0.1, 3, 3), signed=True, level="95 %: ") == "[95 %: -0.100, +0.100]"
    assert bounds_words(Interval(0.0, None, None, 3, 1)) == ""
