from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.strategies.base import Board
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.turns import CaseShare, in_proportion, in_turn


def test_one_way_keeps_its_order() -> None:
    assert in_turn(np.zeros(3, np.intp), 0).tolist() == [0, 1, 2]


def test_ways_take_turns_and_inside_a_way_the_sources() -> None:
    ways = np.array([1, 1, 1, 2, 5, 5])
    orders = set()
    for seed in range(12):
        rows = in_turn(ways, seed)
        assert sorted(rows) == list(range(6))
        assert sorted(ways[rows[:3]]) == [1, 2, 5]
        assert set(rows[:3]) == {0, 3, 4}
        assert set(rows[3:5]) == {1, 5}
        orders.add(tuple(ways[rows[:3]]))
    assert len(orders) > 1


def test_turns_follow_the_weights_the_heaviest_first() -> None:
    assert in_proportion(np.array([1.0, 3.0]), 4) == [1, 0, 1, 1] or in_proportion(np.array([1.0, 3.0]), 4) == [1, 1, 0, 1]
    assert in_proportion(np.array([0.1, 0.5, 0.3]), 3)[0] == 1
    assert in_proportion(np.array([0.2, 0.2]), 4) == [0, 1, 0, 1]
    assert in_proportion(np.array([0.0, 1.0, 0.0]), 3) == [1, 1, 1]
    assert sorted(in_proportion(np.zeros(3), 3)) == [0, 1, 2]
    assert in_proportion(np.empty(0), 3) == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 60))
def test_the_number_of_turns_is_the_share_up_to_one_of_the_rounding(weights: list[int], count: int) -> None:
    given_turns = Counter(in_proportion(np.array(weights, float), count))
    assert sum(given_turns.values()) == count
    for row, weight in enumerate(weights):
        share = count * weight / sum(weights)
        # Sainte-Lague can miss the quota by more than one only for very uneven weights among many.
        assert abs(given_turns[row] - share) < 2


def test_a_case_is_closed_when_it_gave_its_share(hand: Any) -> None:
    board = Board(Query(hand.pool({"a": 4, "b": 4}, closed=[7]), hand.schema, budget=3, seed=0, min_gap=1))
    share = CaseShare(board, 3)
    assert share.most == 3
    assert share.closes(0).tolist() == [0, 1]
    assert share.closes(5).tolist() == [4, 5, 6]
    assert share.closes(2).tolist() == [1, 2, 3]
    assert share.closes(3).tolist() == [0, 1, 2, 3]
