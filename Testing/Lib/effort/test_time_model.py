"""Simulated minutes, and whether a ranking hangs on their prices."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.effort.contour import contour_agreement
from SuggestiveAnnotationLib.effort.time_model import (
    ALL_AS_GIVEN,
    TimeCoefficients,
    Workload,
    check_ranking,
    variations,
)

ROUND = TimeCoefficients(
    open_case_seconds=60.0,
    open_slice_seconds=30.0,
    inspect_seconds_per_mm=0.5,
    draw_seconds_per_mm=2.0,
    erase_seconds_per_component=10.0,
    class_switch_seconds=4.0,
)


def one_slice(**options):
    """Class 1 is right; of class 2 the prediction lacks a 2 x 2 square of two; of class 3 it has one false pixel."""
    reference, prediction = np.zeros((2, 12, 12), np.uint16)
    reference[1:3, 1:3] = prediction[1:3, 1:3] = 1
    reference[5:7, 1:3] = reference[5:7, 5:7] = prediction[5:7, 1:3] = 2
    prediction[10, 10] = 3
    return contour_agreement(reference, prediction, values=(1, 2, 3), spacing=(1.0, 1.0), **options)


def test_the_work_on_a_slice_is_counted():
    work = Workload.of_slices([one_slice()], cases=1)
    assert work == Workload(cases=1, slices=1, inspected_mm=24.0, drawn_mm=8.0, false_components=1, class_switches=2)


def test_minutes_are_the_price_list_applied():
    work = Workload.of_slices([one_slice(), one_slice()], cases=1)
    seconds = 60 + 2 * (30 + 24 * 0.5 + 8 * 2.0 + 10 + 2 * 4)
    assert work.minutes(ROUND) == pytest.approx(seconds / 60)


def test_a_right_prediction_costs_opening_and_looking_only():
    labels = np.ones((4, 4), np.uint16)
    work = Workload.of_slices([contour_agreement(labels, labels, values=(1, 2), spacing=(0.7, 0.3))], cases=0)
    assert work.minutes(ROUND) == pytest.approx((30 + 8 * (0.7 + 0.3) * 0.5) / 60)


def test_an_empty_slice_costs_its_opening():
    empty = np.zeros((4, 4), np.uint16)
    assert Workload.of_slices([contour_agreement(empty, empty, values=(1,), spacing=(1.0, 1.0))], cases=0) == Workload(slices=1)


def test_with_tolerance_a_shift_by_a_pixel_needs_no_drawing():
    reference = np.zeros((9, 9), np.uint16)
    reference[2:6, 2:6] = 1
    slices = [contour_agreement(reference, np.roll(reference, 1, axis=0), values=(1,), spacing=(1.0, 1.0))]
    assert Workload.of_slices(slices, cases=0).drawn_mm > 0
    for matching in ("pixels", "millimetres"):
        work = Workload.of_slices(slices, cases=0, matching=matching)
        assert (work.drawn_mm, work.class_switches) == (0.0, 0)


def test_a_tolerance_that_was_not_measured_is_an_error():
    with pytest.raises(ValueError, match="not measured"):
        Workload.of_slices([one_slice(tolerances=None)], cases=1, matching="pixels")


counts = st.integers(0, 1000)
workloads = st.builds(
    Workload, cases=counts, slices=counts, inspected_mm=counts, drawn_mm=counts, false_components=counts, class_switches=counts
)


@given(workloads, workloads)
def test_minutes_add(first, second):
    assert (first + second).minutes() == pytest.approx(first.minutes() + second.minutes())


@given(workloads)
def test_raising_a_price_never_makes_it_cheaper_and_the_effects_are_symmetric(work):
    minutes = {name: work.minutes(prices) for name, prices in variations(ROUND).items()}
    given_minutes = minutes.pop(ALL_AS_GIVEN)
    assert given_minutes == pytest.approx(work.minutes(ROUND))
    for f in fields(ROUND):
        low, high = minutes[f"{f.name} -50 %"], minutes[f"{f.name} +50 %"]
        assert low <= given_minutes + 1e-9
        assert high >= given_minutes - 1e-9
        assert low + high == pytest.approx(2 * given_minutes)
    assert sum(given_minutes - minutes[f"{f.name} -50 %"] for f in fields(ROUND)) == pytest.approx(given_minutes / 2)


def test_one_price_changes_at_a_time():
    lists = variations(ROUND)
    assert len(lists) == 1 + 2 * len(fields(ROUND))
    assert lists[ALL_AS_GIVEN] == ROUND
    assert lists["draw_seconds_per_mm +50 %"] == replace(ROUND, draw_seconds_per_mm=3.0)
    assert variations(ROUND, fraction=0.2)["open_case_seconds -20 %"] == replace(ROUND, open_case_seconds=48.0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction"):
        variations(fraction=fraction)


def test_every_price_names_its_unit_and_says_that_it_is_assumed():
    assert all("_seconds" in f.name for f in fields(TimeCoefficients))
    assert "ASSUMPTION" in (TimeCoefficients.__doc__ or "")


def by_minutes(arms, prices=None):
    return check_ranking(
        {variation: {name: work.minutes(price) for name, work in arms.items()} for variation, price in variations(prices).items()}
    )


def test_a_ranking_with_less_of_everything_survives():
    check = by_minutes({"more": Workload(1, 9, 90.0, 90.0, 9, 9), "less": Workload(1, 3, 30.0, 30.0, 3, 3)})
    assert check.survives
    assert check.ranking == ("less", "more")
    assert check.scores[ALL_AS_GIVEN]["less"] < check.scores[ALL_AS_GIVEN]["more"]


def test_a_ranking_that_hangs_on_a_price_names_the_price_and_the_pair():
    # 10 slices to open (300 s) against 160 mm to draw (320 s): a price of drawing 50 % lower turns them round.
    check = by_minutes({"many slices": Workload(slices=10), "much to draw": Workload(drawn_mm=160.0)}, ROUND)
    assert not check.survives
    assert check.ranking == ("many slices", "much to draw")
    assert check.reversed_pairs == {
        "open_slice_seconds +50 %": (("many slices", "much to draw"),),
        "draw_seconds_per_mm -50 %": (("many slices", "much to draw"),),
    }


def test_ties_reverse_nothing():
    same = Workload(slices=10)
    assert by_minutes({"a": same, "b": same}, ROUND).survives


def test_any_score_that_depends_on_the_prices_can_be_checked():
    check = check_ranking({name: {"a": price.draw_seconds_per_mm, "b": 2.5} for name, price in variations(ROUND).items()})
    assert check.reversed_pairs == {"draw_seconds_per_mm +50 %": (("a", "b"),)}
