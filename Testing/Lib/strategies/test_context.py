from __future__ import annotations

from typing import Any

import pytest

from SuggestiveAnnotationLib.strategies.context import with_context
from SuggestiveAnnotationLib.strategies.contract import Answer
from SuggestiveAnnotationLib.types import Rationale, Suggestion


@pytest.fixture
def batch(hand: Any) -> Any:
    def build(*indices: int, **pool: Any) -> Any:
        built = hand.pool({"a": 8, "b": 4}, **pool)
        reason = Rationale("random", "Drawn.")
        return Answer(tuple(Suggestion(built.refs[i], rank, reason) for rank, i in enumerate(indices)), "short", ("warned",)), built

    return build


def shown(answer: Answer) -> list[tuple[str, int, int, str]]:
    return [(s.ref.case, s.ref.native_index, s.rank, s.kind) for s in answer.suggestions]


def test_both_neighbours_follow_their_suggestion_with_its_rank(batch: Any) -> None:
    answer, pool = batch(3, 9)
    assert shown(with_context(answer, pool)) == [
        ("a", 3, 0, "suggested"),
        ("a", 2, 0, "context"),
        ("a", 4, 0, "context"),
        ("b", 1, 1, "suggested"),
        ("b", 0, 1, "context"),
        ("b", 2, 1, "context"),
    ]


def test_neighbours_outside_the_case_blank_annotated_closed_or_in_the_batch_are_left_out(batch: Any) -> None:
    answer, pool = batch(7, 5, 3, 1, blank=[2], labelled=[4], closed=[0])
    assert shown(with_context(answer, pool)) == [
        ("a", 7, 0, "suggested"),
        ("a", 6, 0, "context"),
        ("a", 5, 1, "suggested"),
        ("a", 3, 2, "suggested"),
        ("a", 1, 3, "suggested"),
    ]


def test_the_distance_is_given_in_millimetres_and_the_rest_is_kept(batch: Any) -> None:
    answer, pool = batch(3)
    result = with_context(answer, pool, 2)
    far = result.suggestions[-1]
    assert far.context_of == pool.refs[3]
    assert far.rationale.sentence == "Shown as context: it lies 5 mm after case a, slice 4."
    assert far.rationale.details == {"context_step": 2, "distance_mm": 5.0}
    assert (result.shortfall, result.warnings) == ("short", ("warned",))


def test_context_of_a_context_slice_is_never_added(batch: Any) -> None:
    answer, pool = batch(3)
    once = with_context(answer, pool)
    assert with_context(once, pool) == once
