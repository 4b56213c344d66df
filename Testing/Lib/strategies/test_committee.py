"""Committees, on class probabilities and features made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.strategies import committee
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy


def says(foreground: Any) -> Any:
    """Probabilities `(slices, 3, 2, 2)` of a network that gives class 1 this probability everywhere and class 2 none."""
    p = np.array(foreground, float)[:, None, None] * np.ones((1, 2, 2))
    return np.stack([1 - p, p, 0 * p], axis=1)


def query(hand: Any, networks: Any, *, features: Any = None, cases: Any = None, **changes: Any) -> Query:
    """Each network says so much about each slice; all see the same features."""
    count = len(networks[0])
    seen = np.eye(count) if features is None else np.array(features, float)
    members = tuple(hand.model(says(n), features=seen) for n in networks)
    pool = changes.pop("pool", hand.pool(cases or {f"{k}": 1 for k in range(count)}))
    return Query(pool, hand.schema, **{"budget": count, "seed": 0, **changes}, committee=members)


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


def test_the_variance_is_that_of_the_definition(hand: Any) -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(3), (4, 5, 2, 2)).transpose(0, 1, 4, 2, 3)
    members = tuple(hand.model(g) for g in given)
    asked = Query(hand.pool({"a": 5}), hand.schema, budget=1, seed=0, committee=members)
    np.testing.assert_allclose(committee.committee_variance(asked, np.arange(5)), given.var(0).sum(1).mean((1, 2)), rtol=1e-5)


def test_the_variance_does_not_depend_on_how_many_slices_are_held(hand: Any, monkeypatch: Any) -> None:
    networks = np.random.default_rng(0).random((3, 9))
    whole = committee.committee_variance(query(hand, networks), np.arange(9))
    monkeypatch.setattr(committee, "TOGETHER", 3)
    np.testing.assert_allclose(committee.committee_variance(query(hand, networks), np.arange(9)), whole)


def test_the_slice_the_networks_disagree_on_most_comes_first(hand: Any) -> None:
    answer = strategy("committee-variance").suggest(query(hand, [[0, 1, 0.4, 0.5], [1, 1, 0.6, 0.5]]))
    assert picks(answer)[:2] == [0, 2]
    # Variances 1/4 of two classes, and 1/100 of two.
    assert [s.rationale.score for s in answer.suggestions[:2]] == pytest.approx([0.5, 0.02])
    assert "disagree most here: mean variance 0.5" in answer.suggestions[0].rationale.sentence


def test_a_network_that_gives_no_number_is_named(hand: Any) -> None:
    with pytest.raises(StudyError, match="case 1, slice 1"):
        strategy("committee-variance").suggest(query(hand, [[0, np.nan], [0, 1]]))


class TestDeepActiveLearning:
    # The more sure the later; features: 0 and 1 alike, 2 like the three certain ones 4 to 6, 3 alone.
    NETWORKS = ([0, 0.05, 0.1, 0.15, 0.5, 0.5, 0.5], [1, 0.95, 0.9, 0.85, 0.5, 0.5, 0.5])
    FEATURES = ([1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 1, 0])

    def ask(self, hand: Any, **changes: Any) -> list[int]:
        options = changes.pop("options", {})
        return picks(strategy("dal", **options).suggest(query(hand, self.NETWORKS, features=self.FEATURES, **changes)))

    def test_of_the_uncertain_ones_those_that_stand_for_most_are_taken(self, hand: Any) -> None:
        # Candidates 0 to 3: 2 stands for itself and three more; then 0 (or its copy 1) for two.
        assert self.ask(hand, budget=2) == [2, 0]

    def test_without_further_candidates_the_variance_alone_decides(self, hand: Any) -> None:
        assert sorted(self.ask(hand, budget=2, options={"candidates": 1})) == [0, 1]

    def test_chunks_are_covered_one_after_the_other(self, hand: Any) -> None:
        # Of 0 and 1 one is taken, whatever else there is; then of 2 and 3.
        assert self.ask(hand, budget=2, options={"chunk": 2}) == [0, 2]

    def test_what_chunks_left_comes_again_until_the_budget_is_met(self, hand: Any) -> None:
        assert sorted(self.ask(hand, budget=7, options={"chunk": 2})) == list(range(7))

    def test_similarity_is_averaged_over_the_networks(self, hand: Any) -> None:
        # To one network everything is alike, however long its features are; the other decides.
        asked = query(hand, self.NETWORKS, features=self.FEATURES, budget=1)
        blind = hand.model(says(self.NETWORKS[1]), features=1e3 * np.ones((7, 3)))
        answer = strategy("dal", chunk=4, candidates=4).suggest(replace(asked, committee=(asked.committee[0], blind)))
        assert picks(answer) == [2]
        assert answer.suggestions[0].rationale.details["cover_gain"] == pytest.approx((4 + 7) / 2 / 7)

    def test_the_cover_of_large_pools_is_measured_on_a_sample(self, hand: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(committee, "REPRESENTED", 3)
        assert len(self.ask(hand, budget=4)) == 4

    def test_the_minimum_gap_holds_inside_a_chunk(self, hand: Any) -> None:
        asked = query(hand, self.NETWORKS, features=self.FEATURES, pool=hand.pool({"a": 7}), min_gap=1, budget=3)
        taken = sorted(s.ref.native_index for s in strategy("dal").suggest(asked).suggestions)
        assert len(taken) == 3
        assert (np.diff(taken) > 1).all()

    def test_a_whole_case_has_the_mean_of_its_slices(self, hand: Any) -> None:
        asked = query(hand, ([0, 0.5, 0.2, 0.2], [1, 0.5, 0.8, 0.8]), cases={"0": 2, "1": 2}, unit="case", budget=1)
        answer = strategy("dal", candidates=1).suggest(asked)
        assert picks(answer) == [0, 0]
        assert answer.suggestions[0].rationale.score == pytest.approx(0.25)

    @pytest.mark.parametrize("option", ["chunk", "candidates"])
    def test_values_that_make_no_sense_are_refused(self, option: str) -> None:
        with pytest.raises(InputError, match=option):
            strategy("dal", **{option: 0})
