"""Random with foreground awareness: shares of the batch, weights, and the reference as the one who knows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy


def labels_of(*slices: tuple[int, int]) -> Any:
    """Slices of 4 x 4 pixels with so many pixels of structure 1 and of structure 2."""
    out = np.zeros((len(slices), 16), np.int16)
    for row, (one, two) in zip(out, slices, strict=True):
        row[:one], row[one : one + two] = 1, 2
    return out.reshape(-1, 4, 4)


def suggest(
    name: str, hand: Any, labels: Any, *, budget: int, seed: int = 0, unit: Any = "slice", cases: Any = None, **options: Any
) -> Any:
    query = Query(
        pool=hand.pool(cases or {"a": len(labels)}),
        schema=hand.schema,
        budget=budget,
        seed=seed,
        unit=unit,
        model=hand.model(np.moveaxis(np.eye(3)[labels], -1, 1)),
        reference=hand.labels(labels),
    )
    return strategy(name, **options).suggest(query)


BOTH = pytest.mark.parametrize("name", ["predicted-foreground-random", "reference-foreground-random"])


@BOTH
@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.66, 7), (1.0, 10)])
def test_a_share_of_the_batch_is_drawn_where_there_is_foreground(hand: Any, name: str, share: float, expected: int) -> None:
    labels = labels_of(*[(4, 0)] * 20, *[(0, 0)] * 980)
    answer = suggest(name, hand, labels, budget=10, foreground_share=share)
    assert sum(s.rationale.details["aimed"] for s in answer.suggestions) == expected
    for s in answer.suggestions:
        if s.rationale.details["aimed"]:
            assert s.ref.native_index < 20
    # Of 1,000 slices 20 show something: the others hardly ever do.
    assert sum(s.ref.native_index < 20 for s in answer.suggestions) <= expected + 2


@BOTH
def test_the_rest_of_the_batch_comes_from_all_slices(hand: Any, name: str) -> None:
    labels = labels_of(*[(4, 0)] * 3, *[(0, 0)] * 3)
    answers = [suggest(name, hand, labels, budget=1, seed=seed, foreground_share=0.0) for seed in range(300)]
    drawn = Counter(answer.suggestions[0].ref.native_index for answer in answers)
    assert all(25 < drawn[i] < 80 for i in range(6))


def test_the_published_share_is_the_default_with_the_reference(hand: Any) -> None:
    answer = suggest("reference-foreground-random", hand, labels_of(*[(4, 0)] * 12), budget=6)
    assert sum(s.rationale.details["aimed"] for s in answer.suggestions) == 4


@BOTH
def test_every_structure_counts_alike_where_asked(hand: Any, name: str) -> None:
    # Structure 2 is in one slice of ten: drawn in half of the cases by structure, in a tenth otherwise.
    labels = labels_of(*[(8, 0)] * 9, (0, 1))

    def rare(weight: str) -> float:
        picks = [suggest(name, hand, labels, budget=1, seed=s, foreground_share=1.0, weight=weight) for s in range(400)]
        return float(np.mean([p.suggestions[0].ref.native_index == 9 for p in picks]))

    assert rare("structure") == pytest.approx(0.5, abs=0.07)
    assert rare("equal") == pytest.approx(0.1, abs=0.05)
    assert rare("proportional") == pytest.approx(1 / 73, abs=0.02)


def test_the_reference_is_asked_and_not_the_model(hand: Any) -> None:
    truth, predicted = labels_of((0, 0), (4, 0)), labels_of((4, 0), (0, 0))
    query = Query(
        pool=hand.pool({"a": 2}),
        schema=hand.schema,
        budget=1,
        seed=0,
        model=hand.model(np.moveaxis(np.eye(3)[predicted], -1, 1)),
        reference=hand.labels(truth),
    )
    for name, expected in (("reference-foreground-random", 1), ("predicted-foreground-random", 0)):
        answer = strategy(name, foreground_share=1.0).suggest(query)
        assert [s.ref.native_index for s in answer.suggestions] == [expected]


def test_a_reference_that_shows_too_little_is_filled_up_with_a_warning(hand: Any) -> None:
    answer = suggest("reference-foreground-random", hand, labels_of((4, 0), (0, 0), (0, 0)), budget=3, foreground_share=1.0)
    assert answer.suggestions[0].ref.native_index == 0
    assert answer.warnings == ("The reference shows nothing in 2 slices of the batch: drawn at random to fill it.",)


@BOTH
def test_whole_cases_show_a_structure_where_one_slice_does(hand: Any, name: str) -> None:
    labels = labels_of((0, 0), (1, 0), (0, 0), (0, 0))
    answer = suggest(name, hand, labels, budget=1, unit="case", cases={"a": 2, "b": 2}, foreground_share=1.0)
    assert {s.ref.case for s in answer.suggestions} == {"a"}
