from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy


def suggest(hand: Any, embeddings: Any, *, cases: Any = None, **query: Any) -> Any:
    embeddings = np.array(embeddings, float)
    pool = hand.pool(cases or {f"{k}": 1 for k in range(len(embeddings))})
    return strategy("badge").suggest(Query(pool, hand.schema, **{"budget": 2, "seed": 0, **query}, model=hand.model(embeddings=embeddings)))


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


@pytest.mark.parametrize("scale", [1.0, 1e-25])
def test_the_longest_gradient_comes_first_and_then_what_differs_from_it(hand: Any, scale: float) -> None:
    embeddings = np.array([[3, 0], [4, 0], [4, 0], [0, 1e-4]]) * scale
    for seed in range(5):
        answer = suggest(hand, embeddings, seed=seed, budget=2)
        assert picks(answer)[0] == 1
        assert picks(answer)[1] in (0, 3)  # a copy of the first is never drawn while anything else is there
    assert answer.suggestions[0].rationale.score == pytest.approx(4 * scale)


def test_the_chance_grows_with_the_square_of_the_distance(hand: Any) -> None:
    # From the first (at 10) the others are 2 and 6 away: chances 4 : 36.
    seconds = Counter(picks(suggest(hand, [[10], [8], [4]], seed=seed))[1] for seed in range(400))
    assert seconds[2] / 400 == pytest.approx(0.9, abs=0.05)


def test_gradients_that_are_all_the_same_are_drawn_from_evenly(hand: Any) -> None:
    seconds = {picks(suggest(hand, np.zeros((4, 2)), seed=seed))[1] for seed in range(30)}
    assert seconds == {1, 2, 3}


def test_a_whole_case_has_the_mean_of_its_slices(hand: Any) -> None:
    answer = suggest(hand, [[9], [-9], [2], [2]], cases={"0": 2, "1": 2}, unit="case", budget=1)
    assert picks(answer) == [1, 1]
