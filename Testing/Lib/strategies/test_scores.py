"""Scoring strategies, on probabilities whose order is known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.oracle import mean_dice
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, strategy
from SuggestiveAnnotationLib.strategies.scoring import ScoringStrategy


def flat(*vectors: Any) -> Any:
    """One slice of 4 x 4 pixels a class-probability vector."""
    return np.tile(np.array(vectors, float)[:, :, None, None], (1, 1, 4, 4))


def order(name: str, hand: Any, probabilities: Any, *, reference: Any = None, pool: Any = None, **query: Any) -> Any:
    pool = pool or hand.pool({"a": len(probabilities)})
    query = {"budget": len(probabilities), "seed": 0, **query}
    labels = None if reference is None else hand.labels(np.asarray(reference, np.int16))
    return strategy(name).suggest(Query(pool=pool, schema=hand.schema, model=hand.model(probabilities), reference=labels, **query))


def indices(answer: Any) -> list[int]:
    return [s.ref.native_index for s in answer.suggestions]


def test_entropy_takes_the_least_sure_slice_first(hand: Any) -> None:
    answer = order("entropy", hand, flat([0.8, 0.1, 0.1], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]))
    assert indices(answer) == [2, 3, 0, 1]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([np.log(3), np.log(2), 0.63903, 0], abs=1e-4)
    assert answer.suggestions[0].rationale.sentence == (
        "The model is least sure of its outline here: mean entropy 1.1 (among the top 25 % of 4 open slices)."
    )


def test_average_bvsb_and_entropy_may_disagree(hand: Any) -> None:
    probabilities = flat([0.5, 0.5, 0], [0.5, 0.25, 0.25])
    assert indices(order("average-bvsb", hand, probabilities)) == [0, 1]
    assert indices(order("entropy", hand, probabilities)) == [1, 0]
    assert order("average-bvsb", hand, probabilities).suggestions[1].rationale.score == pytest.approx(-0.25)


def test_scores_are_means_over_the_pixels_of_a_slice(hand: Any) -> None:
    p = np.moveaxis(np.random.default_rng(0).dirichlet([0.5] * 3, (6, 4, 5)), -1, 1)
    best = np.sort(p, axis=1)
    expected = {
        "entropy": -(p * np.log(p)).sum(1).mean((1, 2)),
        "average-bvsb": -(best[:, -1] - best[:, -2]).mean((1, 2)),
        "least-confidence": (1 - best[:, -1]).mean((1, 2)),
    }
    for name, scores in expected.items():
        given = {s.ref.native_index: s.rationale.score for s in order(name, hand, p).suggestions}
        assert [given[i] for i in range(6)] == pytest.approx(scores.tolist(), rel=1e-4)


def test_whole_cases_are_scored_by_the_mean_over_their_open_slices(hand: Any) -> None:
    sure, unsure, between = [1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]
    pool = hand.pool({"a": 3, "b": 2}, labelled=[0])  # the annotated slice would make "a" the least sure
    answer = order("entropy", hand, flat(unsure, sure, between, between, sure), pool=pool, unit="case", budget=2)
    assert [(s.ref.case, s.ref.native_index) for s in answer.suggestions][:2] in ([("a", 1), ("a", 2)], [("b", 0), ("b", 1)])
    assert answer.suggestions[0].rationale.score == pytest.approx(np.log(2) / 2)


@pytest.mark.parametrize("name", [e.name for e in ENTRIES if isinstance(strategy(e.name), ScoringStrategy)])
def test_every_score_ranks_whole_cases_by_the_mean_over_their_open_slices(world: Any, name: str) -> None:
    built: Any = strategy(name)
    query = world.query(unit="case", budget=6)
    candidates = query.pool.candidates
    scores = built.scores(query, candidates)
    case_of = query.pool.case_of[candidates]
    means = {f"case {c}": np.nanmean(scores[case_of == c]) for c in range(6)}
    answer = built.suggest(query)
    assert list(dict.fromkeys(s.ref.case for s in answer.suggestions)) == sorted(means, key=lambda c: -means[c])
    for s in answer.suggestions:
        assert s.rationale.score == pytest.approx(means[s.ref.case])


def test_least_confidence_looks_at_the_likeliest_class_alone(hand: Any) -> None:
    probabilities = flat([0.6, 0.4, 0], [0.55, 0.23, 0.22], [0.9, 0.1, 0])
    answer = order("least-confidence", hand, probabilities)
    assert indices(answer) == [1, 0, 2]
    assert indices(order("margin", hand, probabilities)) == [0, 1, 2]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([0.45, 0.4, 0.1])


def test_equal_scores_are_drawn_by_the_seed(hand: Any) -> None:
    firsts = {indices(order("entropy", hand, flat(*[[0.5, 0.5, 0]] * 6), seed=seed))[0] for seed in range(20)}
    assert len(firsts) > 2


def test_a_model_that_gives_no_numbers_is_refused_with_the_slice_named(hand: Any) -> None:
    probabilities = flat([0.8, 0.1, 0.1], [np.nan, 0.5, 0.5])
    for name in ("entropy", "average-bvsb", "predicted-foreground-random"):
        with pytest.raises(StudyError, match="case a, slice 2"):
            order(name, hand, probabilities)


def squares(*sizes: int) -> Any:
    """Slices of 4 x 4 pixels whose first `size` pixels are class 1."""
    out = np.zeros((len(sizes), 16), np.int16)
    for row, size in zip(out, sizes, strict=True):
        row[:size] = 1
    return out.reshape(-1, 4, 4)


def sure_of(channels: Any) -> Any:
    return np.moveaxis(np.eye(3)[channels], -1, 1)


def test_the_oracle_takes_the_lowest_dice_and_so_empty_slices_with_one_false_pixel_first(hand: Any) -> None:
    predicted, reference = sure_of(squares(4, 1, 4, 0)), squares(4, 0, 12, 0)  # Dice 1, 0, 0.5, 1 (nothing there, nothing predicted)
    answer = order("oracle", hand, predicted, reference=reference)
    assert indices(answer)[:2] == [1, 2]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([0, -0.5, -1, -1])


def test_the_oracle_with_foreground_leaves_empty_slices_out(hand: Any) -> None:
    answer = order("oracle-foreground", hand, sure_of(squares(4, 1, 4, 0)), reference=squares(4, 0, 12, 0))
    assert indices(answer) == [2, 0]
    assert answer.shortfall == "Suggested 2 of 4 slices: the reference of the other slices is empty."


def test_the_oracle_with_foreground_says_so_where_no_open_slice_has_any(hand: Any) -> None:
    answer = order("oracle-foreground", hand, sure_of(squares(4, 1)), reference=squares(0, 0))
    assert indices(answer) == []
    assert answer.shortfall == "Suggested 0 of 2 slices: the reference of the other slices is empty."


@pytest.mark.parametrize("name", ["entropy", "oracle", "oracle-foreground"])
def test_a_model_output_that_is_no_number_is_refused_with_the_slice_named(hand: Any, name: str) -> None:
    probabilities = sure_of(squares(4, 4, 4))
    probabilities[1, 0, 0, 0] = np.nan
    with pytest.raises(StudyError, match="model output of case a, slice 2"):
        order(name, hand, probabilities, reference=squares(4, 4, 4))


def test_dice_averages_the_classes_that_are_there_and_skips_ignored_pixels() -> None:
    truth = torch.tensor([[[1, 1, 2, -1]], [[0, 0, 0, 0]], [[0, 0, 0, -1]]])
    predicted = torch.tensor([[[1, 0, 2, 1]], [[2, 0, 0, 0]], [[0, 0, 0, 2]]])
    assert mean_dice(predicted, truth, 4).tolist() == pytest.approx([(2 / 3 + 1) / 2, 0, 1])


def test_foreground_random_draws_only_where_the_model_sees_something(hand: Any) -> None:
    probabilities = sure_of(squares(0, 3, 0, 8, 0, 1))
    drawn = {i for seed in range(30) for i in indices(order("predicted-foreground-random", hand, probabilities, seed=seed, budget=2))}
    assert drawn == {1, 3, 5}


def test_foreground_random_fills_the_batch_at_random_and_warns(hand: Any) -> None:
    answer = order("predicted-foreground-random", hand, sure_of(squares(0, 3, 0, 8, 0, 1)), budget=5)
    assert set(indices(answer)[:3]) == {1, 3, 5}
    assert [s.rationale.details["filled"] for s in answer.suggestions] == [False, False, False, True, True]
    assert answer.warnings == ("The model predicts nothing in 2 slices of the batch: drawn at random to fill it.",)


@pytest.mark.parametrize(("weight", "share"), [("equal", 0.5), ("proportional", 0.9)])
def test_foreground_random_weighs_slices_as_asked(hand: Any, weight: str, share: float) -> None:
    model, pool = hand.model(sure_of(squares(9, 1))), hand.pool({"a": 2})
    built = strategy("predicted-foreground-random", weight=weight)
    firsts = [indices(built.suggest(Query(pool=pool, schema=hand.schema, budget=1, seed=seed, model=model)))[0] for seed in range(400)]
    assert firsts.count(0) / 400 == pytest.approx(share, abs=0.07)
