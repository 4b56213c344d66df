from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy
from SuggestiveAnnotationLib.strategies.sampling import capacity, equal_shares, strided_positions


def suggest(name: str, pool: Any, hand: Any, options: Mapping[str, Any] | None = None, **query: Any) -> Any:
    return strategy(name, **(options or {})).suggest(Query(pool=pool, schema=hand.schema, **query))


def test_random_draws_every_open_slice_equally_often(hand: Any) -> None:
    pool = hand.pool({"a": 3, "b": 3}, blank=[0], labelled=[4])
    counts = Counter(s.ref for seed in range(400) for s in suggest("random", pool, hand, budget=2, seed=seed).suggestions)
    assert set(counts) == {pool.refs[i] for i in (1, 2, 3, 5)}
    assert all(150 < n < 250 for n in counts.values())


def test_strided_takes_the_same_number_in_every_case_give_or_take_one(hand: Any) -> None:
    pool = hand.pool({"a": 50, "b": 12, "c": 31, "d": 20})
    for seed in range(20):
        counts = Counter(s.ref.case for s in suggest("strided", pool, hand, budget=18, seed=seed).suggestions)
        assert sorted(counts.values()) == [4, 4, 5, 5]


def test_strided_is_evenly_spaced_from_a_random_start(hand: Any) -> None:
    pool = hand.pool({"a": 40})
    starts = set()
    for seed in range(30):
        places = sorted(s.ref.native_index for s in suggest("strided", pool, hand, budget=4, seed=seed).suggestions)
        assert set(np.diff(places)) == {10}
        starts.add(places[0])
    assert len(starts) > 5
    assert max(starts) < 10


def test_a_strided_batch_cut_short_is_equal_per_case_too(hand: Any) -> None:
    pool = hand.pool({"a": 20, "b": 20, "c": 20})
    batch = suggest("strided", pool, hand, budget=9, seed=0).suggestions
    for cut in (3, 6):
        assert set(Counter(s.ref.case for s in batch[:cut]).values()) == {cut // 3}


def test_small_cases_give_what_they_have_and_the_others_share_the_rest(hand: Any) -> None:
    pool = hand.pool({"a": 2, "b": 30, "c": 30})
    counts = Counter(s.ref.case for s in suggest("strided", pool, hand, budget=12, seed=0).suggestions)
    assert counts == {"a": 2, "b": 5, "c": 5}


def test_strided_whole_cases_are_spread_over_the_cohort(hand: Any) -> None:
    pool = hand.pool({f"{k:02}": 2 for k in range(12)})
    cases = sorted({int(s.ref.case) for s in suggest("strided", pool, hand, budget=3, seed=1, unit="case").suggestions})
    assert np.diff(cases).tolist() == [4, 4]


def test_every_nth_slice_of_one_case_before_another_begins(hand: Any) -> None:
    pool = hand.pool({"a": 40, "b": 40, "c": 40})
    starts, cases = set(), set()
    for seed in range(30):
        batch = suggest("strided", pool, hand, budget=6, seed=seed, options={"every": 4}).suggestions
        assert np.diff([s.ref.native_index for s in batch]).tolist() == [4] * 5
        (case,) = {s.ref.case for s in batch}
        starts.add(batch[0].ref.native_index)
        cases.add(case)
    assert cases == {"a", "b", "c"}
    assert len(starts) > 10
    assert max(starts) <= 39 - 20


def test_a_case_too_short_for_every_nth_slice_is_followed_by_another(hand: Any) -> None:
    pool = hand.pool({"a": 10, "b": 10})
    batch = suggest("strided", pool, hand, budget=4, seed=0, options={"every": 4}).suggestions
    assert sorted(Counter(s.ref.case for s in batch).values()) in ([1, 3], [2, 2])
    answer = suggest("strided", pool, hand, budget=9, seed=0, options={"every": 4})
    assert 4 <= len(answer.suggestions) <= 6
    assert "no case has another open slice 4 slices on" in answer.shortfall


def test_a_minimum_gap_widens_the_stride_of_one_case(hand: Any) -> None:
    batch = suggest("strided", hand.pool({"a": 80}), hand, budget=6, seed=0, min_gap=4, options={"every": 4}).suggestions
    assert np.diff([s.ref.native_index for s in batch]).tolist() == [5] * 5


def test_every_is_refused_below_nought() -> None:
    with pytest.raises(InputError, match="Option every cannot be -1"):
        strategy("strided", every=-1)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 60), st.integers(0, 99))
def test_shares_are_equal_up_to_one_within_capacity(capacities: list[int], total: int, seed: int) -> None:
    shares = equal_shares(np.array(capacities), total, np.random.default_rng(seed))
    assert shares.sum() == min(total, sum(capacities))
    assert (shares <= capacities).all()
    unfilled = shares[shares < capacities]
    if len(unfilled):
        assert shares.max() <= unfilled.min() + 1


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 4), st.floats(0, 0.999), st.data())
def test_strided_positions_are_distinct_and_keep_the_gap_up_to_full_capacity(places: set[int], gap: int, start: float, data: Any) -> None:
    native = np.array(sorted(places))
    most = capacity(native, gap)
    count = data.draw(st.integers(0, most))
    positions = strided_positions(native, count, gap=gap, start=start)
    assert len(positions) == count
    assert (np.diff(native[positions]) > gap).all()
