"""Statistics by hand, by brute force, and by what must hold for any numbers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SuggestiveAnnotationLib.experiment.statistics import (
    Draws,
    Interval,
    area,
    holm,
    interval,
    joint_support,
    mean,
    person_means,
    pooled_sd,
    signed_rank,
    unit_means,
    wins_ties_losses,
)

NAN = float("nan")
heights = st.lists(st.floats(0, 1), min_size=3, max_size=6)


def test_the_area_of_a_line_is_its_middle():
    assert area([0, 10], [0.2, 0.8], (0, 10)) == pytest.approx(0.5)
    assert area([0, 10], [0.2, 0.8], (5, 10)) == pytest.approx(0.65)


def test_the_area_of_two_lines_by_hand():
    # 0.5 over the first 4 of 8 on average, 1 after that up to 8.
    assert area([0, 4, 20], [0.0, 1.0, 1.0], (0, 8)) == pytest.approx((4 * 0.5 + 4 * 1) / 8)


@pytest.mark.parametrize("support", [None, (-1, 5), (0, 11), (5, 5), (6, 5)])
def test_no_area_outside_the_curve(support):
    assert np.isnan(area([0, 10], [0.2, 0.8], support))


def test_an_undefined_point_is_left_out():
    assert area([0, 5, 10], [0.0, NAN, 1.0], (0, 10)) == pytest.approx(0.5)
    assert np.isnan(area([0, 5, 10], [NAN, 0.5, 1.0], (0, 10)))


@settings(max_examples=60)
@given(heights, st.floats(0.1, 5), st.floats(-3, 3), st.integers(0, 100))
def test_the_area_is_that_of_fine_steps_and_blind_to_the_unit(y, scale, shift, seed):
    x = np.cumsum(np.random.default_rng(seed).uniform(0.5, 2, len(y)))
    support = (x[0] + 0.3, x[-1] - 0.2)
    fine = np.linspace(*support, 4001)
    assert area(x, y, support) == pytest.approx(np.interp(fine, x, y).mean(), abs=2e-3)
    moved = tuple(scale * one + shift for one in support)
    assert area(scale * x + shift, y, moved) == pytest.approx(area(x, y, support), abs=1e-6)
    assert min(y) - 1e-9 <= area(x, y, support) <= max(y) + 1e-9


def test_the_area_of_steps_by_hand():
    # Until 4 is paid the model of 0 counts, then that of 4.
    assert area([0, 4, 10], [1, 3, 9], (0, 10), held=True) == pytest.approx((4 * 1 + 6 * 3) / 10)
    assert area([0, 4, 10], [1, 3, 9], (2, 6), held=True) == pytest.approx((2 * 1 + 2 * 3) / 4)
    assert area([0, 4, 10], [1, NAN, 9], (0, 10), held=True) == pytest.approx(1)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(0, 1000))
def test_the_area_of_steps_is_that_of_fine_steps(y, seed):
    x = np.cumsum(np.random.default_rng(seed).uniform(0.5, 2, len(y)))
    fine = np.linspace(x[0], x[-1], 20_001)[:-1]
    brute = np.mean([y[np.flatnonzero(x <= one)[-1]] for one in fine])
    assert area(x, y, (x[0], x[-1]), held=True) == pytest.approx(brute, abs=1e-3)


def test_the_joint_support_is_what_all_cover():
    assert joint_support({"a": (2, 10), "b": (3, 12), "c": (1, 9)}) == ((3, 9), ())
    assert joint_support({"a": (0, 4), "b": (5, 9)}) == (None, ())
    assert joint_support({}) == (None, ())


def test_an_arm_that_spends_next_to_nothing_takes_no_part():
    assert joint_support({"a": (2, 10), "empty": (2, 2.5), "b": (2, 9)}) == ((2, 9), ("empty",))
    assert joint_support({"a": (2, 10), "half": (2, 6), "b": (2, 10)}) == ((2, 6), ())


def test_people_weigh_the_same_however_often_they_are_tested():
    values = np.array([[1.0, 1.0, 1.0], [0.0, NAN, NAN], [NAN, NAN, NAN]])
    assert person_means(values)[:2].tolist() == [1.0, 0.0]
    found = interval(values, Draws.make(3, [0, 0, 0], resamples=50))
    assert (found.mean, found.people, found.runs) == (0.5, 2, 3)


def test_means_of_resamples_equal_brute_force():
    generator = np.random.default_rng(3)
    values = generator.random((4, 6))
    values[0, 2], values[3] = NAN, NAN
    draws = Draws.make(4, [0, 0, 0, 1, 1, 1], resamples=40, seed=1)
    for drawn, people, runs in zip(draws.means(values), draws.people, draws.runs, strict=True):
        each = []
        for person in np.repeat(np.arange(4), people.astype(int)):
            pairs = [(v, w) for v, w in zip(values[person], runs, strict=True) if not np.isnan(v) and w > 0]
            if pairs:
                each.append(sum(v * w for v, w in pairs) / sum(w for _, w in pairs))
        assert (np.isnan(drawn) and not each) or drawn == pytest.approx(np.mean(each))


def test_runs_of_a_seed_are_drawn_together():
    draws = Draws.make(3, [7, 7, 8, 8, 9], resamples=200)
    assert draws.units == (0, 0, 1, 1, 2)
    assert (draws.people.sum(axis=1) == 2).all()
    assert (draws.runs[:, 0] == draws.runs[:, 1]).all()
    assert (draws.runs[:, 2] == draws.runs[:, 3]).all()
    assert (draws.runs[:, 0] != draws.runs[:, 2]).all()


def test_of_one_seed_runs_are_drawn():
    draws = Draws.make(3, [5, 5, 5], resamples=200)
    assert draws.units == (0, 1, 2)
    assert (draws.runs[:, 0] != draws.runs[:, 1]).all()


@pytest.mark.parametrize("count", [3, 5, 10])
def test_resampled_means_vary_as_means_do(count):
    """Over people alone, and over seeds alone: s^2 / n, which a plain bootstrap falls short of."""
    values = np.random.default_rng(count).normal(size=count)
    expected = values.std(ddof=1) / np.sqrt(count)
    people = Draws.make(count, [0], resamples=40_000).means(values[:, None])
    assert people.std() == pytest.approx(expected, rel=0.05)
    seeds = Draws.make(2, range(count), resamples=40_000).means(np.stack([values, values]))
    assert seeds.std() == pytest.approx(expected, rel=0.05)


def test_means_of_seeds_by_hand():
    # Seed 4 holds two folds with a person each, seed 6 one run with both.
    values = np.array([[1.0, NAN, 5.0], [NAN, 3.0, 9.0]])
    assert unit_means(values, Draws.make(2, [4, 4, 6], resamples=2)).tolist() == [2.0, 7.0]


def test_the_same_seed_draws_the_same():
    one, other = (Draws.make(3, [0, 0], resamples=9, seed=5) for _ in range(2))
    assert (one.people == other.people).all()
    assert (one.runs == other.runs).all()


def test_one_person_or_one_run_has_no_interval():
    values = np.array([[0.3, 0.5]])
    assert interval(values, Draws.make(1, [0, 0], resamples=9)) == Interval(pytest.approx(0.4), None, None, 1, 2)
    alone = np.array([[0.3], [0.5]])
    assert interval(alone, Draws.make(2, [0], resamples=9)) == Interval(pytest.approx(0.4), None, None, 2, 1)
    nobody = interval(np.full((2, 2), NAN), Draws.make(2, [0, 0], resamples=9))
    assert (nobody.mean, nobody.low, nobody.people) == (None, None, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-1, 1))
def test_moving_every_value_moves_the_interval(seed, by):
    values = np.random.default_rng(seed).random((5, 4))
    draws = Draws.make(5, [0, 0, 1, 1], resamples=300)
    one, other = interval(values, draws), interval(values + by, draws)
    assert (other.mean - by, other.low - by, other.high - by) == pytest.approx((one.mean, one.low, one.high), abs=1e-9)
    wide = interval(values, draws, level=0.99)
    assert wide.low <= one.low <= one.mean <= one.high <= wide.high


def test_an_interval_of_eight_people_covers_as_often_as_it_says():
    generator = np.random.default_rng(0)
    draws = Draws.make(8, range(6), resamples=1000)
    covered = 0
    for _ in range(300):
        values = 0.5 + 0.1 * generator.normal(size=(8, 1)) + 0.05 * generator.normal(size=(1, 6)) + 0.05 * generator.normal(size=(8, 6))
        found = interval(values, draws)
        covered += found.low <= 0.5 <= found.high
    assert 0.92 <= covered / 300 <= 0.995


@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize(
    ("seeds", "of_seed", "of_run"), [(1, 0, 0.008), *((n, *luck) for n in (3, 10) for luck in ((0, 0.008), (0.008, 0.008), (0.011, 0.004)))]
)
def test_without_a_true_difference_few_intervals_say_that_there_is_one(seeds, of_seed, of_run, redraw):
    """Three folds of eight people; what seeds, runs and people add is as large as in the finals."""
    generator = np.random.default_rng([seeds, int(1000 * of_seed), redraw])
    draws = Draws.make(24, np.repeat(range(seeds), 3).tolist(), resamples=300)
    wrong = 0
    for _ in range(200):
        values = np.full((24, 3 * seeds), NAN)
        people, fold_of = generator.normal(0, 0.009, 24), np.repeat(range(3), 8)
        for seed in range(seeds):
            fold_of = generator.permutation(fold_of) if redraw else fold_of
            luck = generator.normal(0, of_seed) + generator.normal(0, of_run, 3)
            for fold in range(3):
                there = fold_of == fold
                values[there, 3 * seed + fold] = people[there] + luck[fold] + generator.normal(0, 0.01, there.sum())
        found = interval(values, draws)
        wrong += found.above_zero or found.below_zero
    assert wrong / 200 <= 0.09


def test_many_intervals_at_once_are_rarely_wrong_with_five_people():
    generator = np.random.default_rng(1)
    draws = Draws.make(5, [0, 0, 0], resamples=400)
    wrong = 0
    for _ in range(80):
        found = [interval(generator.normal(0, 1, (5, 1)) + generator.normal(0, 1, (5, 3)), draws, level=1 - 0.05 / 10) for _ in range(10)]
        wrong += any(one.above_zero or one.below_zero for one in found)
    assert wrong / 80 < 0.15


def test_resampling_people_and_runs_sees_the_luck_of_runs():
    # Everybody is alike; only runs differ, and by the same for all: resampling people alone would say that the mean is certain.
    values = np.broadcast_to(np.array([0.1, 0.5, 0.9]), (6, 3)).copy()
    found = interval(values, Draws.make(6, [0, 0, 0], resamples=500))
    assert found.high - found.low > 0.5


def test_signs_of_an_interval():
    assert Interval(0.2, 0.1, 0.3, 5, 5).above_zero
    assert Interval(-0.2, -0.3, -0.1, 5, 5).below_zero
    assert not Interval(0.2, None, None, 1, 5).above_zero
    assert Interval(0.0, -0.005, 0.009, 5, 5).inside(0.01)
    assert not Interval(0.0, -0.005, 0.01, 5, 5).inside(0.01)
    assert not Interval(0.0, None, None, 1, 5).inside(0.01)


def test_wins_ties_and_losses():
    assert wins_ties_losses(np.array([0.02, 0.01, -0.01, -0.02, -0.5, NAN]), 0.01) == (1, 2, 2)


@pytest.mark.parametrize("seed", range(4))
def test_signed_rank_equals_all_signs(seed):
    """The exact p: over all ways to give the ranks signs, how often the sum of ranks is as far from its middle."""
    differences = np.random.default_rng(seed).normal(0.3, 1, 7)
    ranks = np.argsort(np.argsort(abs(differences))) + 1
    seen = abs(ranks[differences > 0].sum() - 14)
    sums = [abs(sum(r for r, plus in zip(ranks, signs, strict=True) if plus) - 14) for signs in product([0, 1], repeat=7)]
    assert signed_rank(differences) == pytest.approx(np.mean([s >= seen for s in sums]))


def test_signed_rank_where_there_is_nothing_to_rank():
    assert signed_rank(np.zeros(4)) == 1.0
    assert signed_rank(np.array([NAN])) is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.4, 0.9]) == pytest.approx((0.8, 0.9))
    assert holm([]) == ()


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p_values):
    found = holm(p_values)
    for p, adjusted in zip(p_values, found, strict=True):
        assert p <= adjusted <= min(1, len(p_values) * p) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= -1e-12).all()


def test_pooled_sd_by_hand():
    # Deviations 1, 1 (one degree) and 1, 0, 1 (two): 4 / 3.
    assert pooled_sd([[1, 3], [4, 5, 6], [7]]) == pytest.approx(np.sqrt(4 / 3))
    assert pooled_sd([[1.0], []]) is None


def test_mean_of_nothing_is_nothing():
    found = mean(np.array([[1.0, NAN], [NAN, NAN]]), axis=1)
    assert found[0] == 1
    assert np.isnan(found[1])
