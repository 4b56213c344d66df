"""Scores over several predictions of a slice, and the predicted loss, on hand-made predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.dropout import mean_entropy, mutual_information, variance
from SuggestiveAnnotationLib.strategies.registry import strategy

SURE, SPLIT, OTHER = [1.0, 0, 0], [0.5, 0.5, 0], [0, 1.0, 0]
AGREED_AND_SURE, AGREED_AND_UNSURE, AT_ODDS = (SURE, SURE), (SPLIT, SPLIT), (SURE, OTHER)


def passes(*slices: Any) -> Any:
    """`(passes, slices, 3, 4, 4)` from one tuple of class-probability vectors a slice."""
    vectors = np.array(slices, float).swapaxes(0, 1)
    return np.tile(vectors[..., None, None], (1, 1, 1, 4, 4))


def suggest(name: str, hand: Any, given: dict[str, Any], *, slices: int, **options: Any) -> Any:
    query = Query(pool=hand.pool({"a": slices}), schema=hand.schema, budget=slices, seed=0, model=hand.model(**given))
    return strategy(name, **options).suggest(query)


def indices(answer: Any) -> list[int]:
    return [s.ref.native_index for s in answer.suggestions]


KINDS = pytest.mark.parametrize(("name", "access"), [("mc-dropout", "sampled"), ("test-time-augmentation", "augmented")])


@KINDS
def test_mutual_information_asks_for_disagreement_and_not_for_doubt(hand: Any, name: str, access: str) -> None:
    answer = suggest(name, hand, {access: passes(AGREED_AND_UNSURE, AGREED_AND_SURE, AT_ODDS)}, slices=3, passes=2)
    assert indices(answer)[0] == 2
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([np.log(2), 0, 0], abs=1e-6)
    assert f"mutual information {np.log(2):.2g}" in answer.suggestions[0].rationale.sentence


@KINDS
def test_variance_is_summed_over_classes(hand: Any, name: str, access: str) -> None:
    # 0.2, 0.8 and 0.8, 0.2: every class of both varies by 0.09 around its mean.
    wavering = ([0.2, 0.8, 0], [0.8, 0.2, 0])
    answer = suggest(name, hand, {access: passes(AGREED_AND_UNSURE, wavering, AT_ODDS)}, slices=3, passes=2, measure="variance")
    assert indices(answer) == [2, 1, 0]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([0.5, 0.18, 0], abs=1e-6)


@KINDS
def test_the_published_measure_asks_for_doubt_first(hand: Any, name: str, access: str) -> None:
    given = {access: passes(AGREED_AND_UNSURE, AGREED_AND_SURE, AT_ODDS)}
    answer = suggest(name, hand, given, slices=3, passes=2, measure="mean entropy")
    assert indices(answer) == [0, 2, 1]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([np.log(2), np.log(2) / 2, 0], abs=1e-6)


def test_the_measures_agree_with_their_definitions_on_random_predictions() -> None:
    raw = np.random.default_rng(0).random((5, 2, 4, 3, 6))
    p = raw / raw.sum(2, keepdims=True)
    of_mean, mean = -(p.mean(0) * np.log(p.mean(0))).sum(1), -(p * np.log(p)).sum(2).mean(0)
    given = torch.from_numpy(p)
    assert mutual_information(given).numpy() == pytest.approx((of_mean - mean).mean((1, 2)))
    assert mean_entropy(given).numpy() == pytest.approx((of_mean + mean).mean((1, 2)) / 2)
    assert variance(given).numpy() == pytest.approx((p - p.mean(0)).__pow__(2).mean(0).sum(1).mean((1, 2)))


def test_dropout_is_asked_for_as_many_passes_as_wanted_with_the_seed_of_the_query(hand: Any) -> None:
    asked = []

    class Recording(hand.model):  # type: ignore[misc, name-defined]
        def sampled_probabilities(self, indices: Any, *, passes: int, seed: int) -> Any:
            asked.append((passes, seed))
            return super().sampled_probabilities(indices, passes=passes, seed=seed)

    model = Recording(sampled=passes(AGREED_AND_SURE * 2, AT_ODDS * 2))
    query = Query(pool=hand.pool({"a": 2}), schema=hand.schema, budget=1, seed=41, model=model)
    strategy("mc-dropout", passes=4).suggest(query)
    assert asked == [(4, 41)]


@pytest.mark.parametrize("measure", ["mutual information", "variance", "mean entropy"])
def test_a_prediction_that_is_no_number_is_refused_with_the_slice_named(hand: Any, measure: str) -> None:
    given = {"sampled": passes(AGREED_AND_SURE, ([np.nan] * 3, SURE))}
    with pytest.raises(StudyError, match="case a, slice 2"):
        suggest("mc-dropout", hand, given, slices=2, passes=2, measure=measure)


def test_the_highest_predicted_loss_comes_first(hand: Any) -> None:
    answer = suggest("learning-loss", hand, {"losses": np.array([0.2, -1.0, 3.0])}, slices=3)
    assert indices(answer) == [2, 0, 1]
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([3, 0.2, -1])
