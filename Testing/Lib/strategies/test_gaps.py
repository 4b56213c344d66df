from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.gaps import even_targets, level
from SuggestiveAnnotationLib.strategies.registry import strategy


def suggest(hand: Any, pool: Any, **query: Any) -> Any:
    return strategy("widest-gap").suggest(Query(pool=pool, schema=hand.schema, **{"seed": 0} | query))


def places(answer: Any) -> list[int]:
    return sorted(s.ref.native_index for s in answer.suggestions)


def test_a_fresh_case_is_split_into_equal_parts(hand: Any) -> None:
    assert places(suggest(hand, hand.pool({"a": 29}), budget=1)) == [14]
    assert places(suggest(hand, hand.pool({"a": 29}), budget=2)) == [9, 19]
    assert places(suggest(hand, hand.pool({"a": 29}), budget=5)) == [4, 9, 14, 19, 24]


def test_blank_ends_are_no_part_of_the_case(hand: Any) -> None:
    assert places(suggest(hand, hand.pool({"a": 29}, blank=[*range(10), 27, 28]), budget=1)) == [18]


def test_the_widest_stretch_is_split_first(hand: Any) -> None:
    assert places(suggest(hand, hand.pool({"a": 29}, labelled=[4, 8]), budget=1)) == [18]
    assert places(suggest(hand, hand.pool({"a": 29}, labelled=[9, 19]), budget=3)) == [4, 14, 24]


def test_cases_come_to_the_same_number_in_all(hand: Any) -> None:
    pool = hand.pool({"a": 20, "b": 20, "c": 20}, labelled=[3, 6, 9, 25])
    for seed in range(5):
        counts = Counter(s.ref.case for s in suggest(hand, pool, budget=5, seed=seed).suggestions)
        assert counts["a"] + counts["b"] + counts["c"] == 5
        assert (counts["a"], counts["b"] + 1, counts["c"]) == (0, 3, 3)


def test_filled_slices_do_not_count_as_drawn_ones(hand: Any) -> None:
    # Two drawn slices in each case, and three filled between those of the first.
    pool = hand.pool({"a": 20, "b": 20}, labelled=[4, 5, 6, 7, 8, 24, 34], filled=[5, 6, 7])
    for seed in range(5):
        taken = {(s.ref.case, s.ref.native_index) for s in suggest(hand, pool, budget=2, seed=seed).suggestions}
        assert taken == {("a", 14), ("b", 9)}


def test_where_it_is_filled_there_is_no_gap(hand: Any) -> None:
    pool = hand.pool({"a": 29}, labelled=range(2, 17), filled=range(3, 16))
    assert places(suggest(hand, pool, budget=1)) == [22]


def test_whole_cases_are_counted_without_what_was_filled(hand: Any) -> None:
    pool = hand.pool({"a": 6, "b": 6}, labelled=[0, 1, 2, 3, 6, 7, 8], filled=[1, 2])
    answer = suggest(hand, pool, budget=1, unit="case")
    assert {s.ref.case for s in answer.suggestions} == {"a"}
    assert answer.suggestions[0].rationale.details["annotated"] == 2


def test_small_cases_give_what_they_have(hand: Any) -> None:
    counts = Counter(s.ref.case for s in suggest(hand, hand.pool({"a": 1, "b": 30}), budget=7).suggestions)
    assert counts == {"a": 1, "b": 6}


def test_the_gap_is_kept_and_the_batch_still_filled(hand: Any) -> None:
    chosen = places(suggest(hand, hand.pool({"a": 40}, labelled=[20]), budget=6, min_gap=3))
    assert len(chosen) == 6
    assert min(np.diff(sorted([*chosen, 20]))) > 3


def test_whole_cases_with_the_fewest_annotated_slices_come_first(hand: Any) -> None:
    pool = hand.pool({"a": 4, "b": 4, "c": 4}, labelled=[0, 1, 4])
    answer = suggest(hand, pool, budget=3, unit="case")
    assert list(dict.fromkeys(s.ref.case for s in answer.suggestions)) == ["c", "b", "a"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8), st.integers(0, 60), st.integers(0, 99))
def test_levels_are_filled_from_below(cases: list[tuple[int, int]], total: int, seed: int) -> None:
    counts, room = (np.array(column) for column in zip(*cases, strict=True))
    shares = level(counts, room, total, np.random.default_rng(seed))
    assert shares.sum() == min(total, room.sum())
    assert (shares <= room).all()
    unfilled = (counts + shares)[shares < room]
    raised = (counts + shares)[shares > 0]
    if len(unfilled) and len(raised):
        assert raised.max() <= unfilled.min() + 1


@given(st.sets(st.integers(1, 40), max_size=5), st.integers(0, 12))
def test_no_other_placing_leaves_a_narrower_widest_stretch(drawn: set[int], count: int) -> None:
    targets = even_targets((0, 41), sorted(drawn), count)
    assert len(targets) == count
    edges = np.array(sorted({0, 41, *drawn}))
    widest = np.diff(sorted([*edges, *(place for place, _ in targets)])).max()
    # A stretch of width w needs ceil(w / s) - 1 slices to have no part wider than s.
    needed = int(np.ceil(np.diff(edges) / (widest - 1e-6) - 1e-9).sum()) - (len(edges) - 1)
    assert needed > count
