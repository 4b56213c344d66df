"""Core set and maximum cover, on points whose right answers can be counted on one's fingers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.coverage import MaxCover
from SuggestiveAnnotationLib.strategies.points import nearest_of, sample
from SuggestiveAnnotationLib.strategies.registry import strategy


@pytest.fixture
def suggest(hand: Any) -> Any:
    """Indices that a strategy takes, of slices on the given points, each a case of its own."""

    def build(name: str, points: Any, *, cases: Any = None, labelled: Any = (), **query: Any) -> Any:
        points = np.array(points, np.float32).reshape(len(points), -1)
        pool = hand.pool(cases or {f"{k}": 1 for k in range(len(points))}, labelled=labelled, blank=query.pop("blank", ()))
        manifold = hand.manifold(np.eye(4)[: points.shape[1]], np.eye(4)[:, : points.shape[1]], points, (1, 2, 2))
        asked = Query(pool, hand.schema, **{"budget": 1, "seed": 0, **query}, model=hand.model(features=points), manifold=manifold)
        return strategy(name).suggest(asked)

    return build


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


@pytest.mark.parametrize("name", ["core-set", "core-set-network"])
class TestCoreSet:
    def test_the_farthest_from_everything_annotated_or_picked_comes_first(self, suggest: Any, name: str) -> None:
        # Annotated 0. Farthest 10; then 4 lies 4 from 0; then 7 is 3 away (from 4 and 10), 2 and 1 less.
        answer = suggest(name, [0, 1, 2, 4, 7, 10], labelled=[0], budget=5)
        assert picks(answer) == [5, 3, 4, 2, 1]
        assert [s.rationale.score for s in answer.suggestions] == pytest.approx([10, 4, 3, 2, 1], rel=1e-5)

    def test_the_reason_names_what_is_most_like_it(self, suggest: Any, name: str) -> None:
        first, second = suggest(name, [0, 1, 10], labelled=[0], budget=2).suggestions
        assert first.rationale.sentence == (
            "Chosen because it is the slice least like anything annotated or suggested before it; most like it is case 0, slice 1."
        )
        assert second.rationale.details["nearest"] == "case 0, slice 1"

    def test_without_annotation_the_first_is_drawn_and_the_rest_follows_from_it(self, suggest: Any, name: str) -> None:
        firsts = set()
        for seed in range(10):
            answer = suggest(name, [0, 1, 2, 3, 50], budget=2, seed=seed)
            firsts.add(picks(answer)[0])
            assert "at random to begin with" in answer.suggestions[0].rationale.sentence
            assert 4 in picks(answer)
        assert len(firsts) > 1

    def test_a_whole_case_is_the_mean_of_its_open_slices(self, suggest: Any, name: str) -> None:
        # Means: a is annotated at 0, b (10 and -10) at 0, c at 3.
        answer = suggest(name, [0, 0, 10, -10, 3, 3], cases={"a": 2, "b": 2, "c": 2}, labelled=[0, 1], unit="case", budget=2)
        assert [(s.ref.case, s.rank) for s in answer.suggestions] == [("c", 0), ("c", 0), ("b", 1), ("b", 1)]

    def test_a_point_that_is_no_number_is_refused(self, suggest: Any, name: str) -> None:
        with pytest.raises(StudyError, match="case 1, slice 1"):
            suggest(name, [0, np.nan, 10], labelled=[0])


@pytest.mark.parametrize("seed", range(5))
def test_max_cover_is_the_greedy_one_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-1, 1, (12, 30))
    cover, eligible, chosen = MaxCover(similarity), np.ones(12, bool), []
    while (best := cover.best(eligible)) is not None:
        gains = [
            np.maximum(similarity[[*chosen, c]].max(0), 0).sum() - (np.maximum(similarity[chosen].max(0), 0).sum() if chosen else 0)
            for c in np.flatnonzero(eligible)
        ]
        assert best[0] == np.flatnonzero(eligible)[int(np.argmax(gains))]
        assert best[1] == pytest.approx(max(gains))
        chosen.append(best[0])
        eligible[best[0]] = False
        cover.add(best[0])
    assert sorted(chosen) == list(range(12))


def test_max_cover_is_within_its_bound_of_the_best_there_is() -> None:
    similarity = np.random.default_rng(0).uniform(0, 1, (8, 20))
    cover, eligible, total = MaxCover(similarity), np.ones(8, bool), 0.0
    for _ in range(3):
        row, gain = cover.best(eligible) or pytest.fail("nothing was eligible")
        total, eligible[row] = total + gain, False
        cover.add(row)
    best = max(similarity[list(c)].max(0).sum() for c in combinations(range(8), 3))
    assert best >= total >= (1 - 1 / np.e) * best


def test_what_is_covered_already_counts_for_nothing() -> None:
    similarity = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.6]])
    assert (MaxCover(similarity).best(np.ones(2, bool)) or (-1,))[0] == 0
    assert MaxCover(similarity, np.array([1.0, 1.0, 0.0])).best(np.ones(2, bool)) == (1, pytest.approx(0.6))
    assert MaxCover(similarity).best(np.zeros(2, bool)) is None


def test_the_nearest_of_many_is_found_in_blocks(monkeypatch: Any) -> None:
    monkeypatch.setattr("SuggestiveAnnotationLib.strategies.points.CHUNK", 2)
    rng = np.random.default_rng(0)
    points, others = rng.standard_normal((7, 3)), rng.standard_normal((40, 3))
    distance = ((points[:, None] - others[None]) ** 2).sum(2)
    squared, which = nearest_of(points, others)
    np.testing.assert_allclose(squared, distance.min(1))
    assert which.tolist() == distance.argmin(1).tolist()


def test_a_sample_is_everything_where_that_is_few() -> None:
    assert sample(np.arange(5), 9, [0]).tolist() == [0, 1, 2, 3, 4]
    drawn = sample(np.arange(100), 9, [0])
    assert len(set(drawn.tolist())) == 9
    assert (np.diff(drawn) > 0).all()
