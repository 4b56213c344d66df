"""Stochastic batches, on scores that are known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy

BOTH = pytest.mark.parametrize("batches", ["partition", "independent"])


def suggest(hand: Any, scores: Any, *, budget: int, cases: dict[str, int] | None = None, unit: Any = "slice", **changes: Any) -> Any:
    scores = np.asarray(scores, float)
    query = {"seed": 0, "min_gap": 0} | {k: changes.pop(k) for k in ("seed", "min_gap") if k in changes}
    given = Query(
        pool=hand.pool(cases or {"a": len(scores)}), schema=hand.schema, budget=budget, unit=unit, model=hand.model(losses=scores), **query
    )
    return strategy("stochastic-batches", scorer="learning-loss", **changes).suggest(given)


def places(answer: Any) -> list[int]:
    return [s.ref.native_index for s in answer.suggestions]


def test_the_best_of_the_batches_of_a_partition_wins(hand: Any) -> None:
    # All slices are dealt out, so the one that outweighs all others is in the batch that wins.
    scores = np.zeros(40)
    scores[17] = 100
    for seed in range(20):
        answer = suggest(hand, scores, budget=4, seed=seed)
        assert places(answer)[0] == 17
        assert answer.suggestions[0].rationale.details["batches"] == 10
        assert answer.suggestions[0].rationale.details["batch_score"] == pytest.approx(25)


def test_independent_batches_may_miss_a_slice(hand: Any) -> None:
    scores = np.zeros(40)
    scores[17] = 100
    found = np.mean([17 in places(suggest(hand, scores, budget=4, seed=s, batches="independent")) for s in range(300)])
    assert found == pytest.approx(1 - 0.9**10, abs=0.08)


@BOTH
def test_the_mean_of_the_winner_is_distributed_as_the_best_of_q_random_batches(hand: Any, batches: str) -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(60)
    won = [suggest(hand, scores, budget=6, seed=s, batches=batches).suggestions[0].rationale.details["batch_score"] for s in range(200)]
    other = np.random.default_rng(6)
    best = [max(scores[other.choice(60, 6, replace=False)].mean() for _ in range(10)) for _ in range(2000)]
    assert stats.ks_2samp(won, best).pvalue > 0.01
    assert np.mean(won) > scores.mean() + 0.1


@BOTH
def test_the_whole_pool_is_the_only_batch_of_its_size(hand: Any, batches: str) -> None:
    answer = suggest(hand, [3, 1, 2], budget=3, batches=batches)
    assert places(answer) == [0, 2, 1]
    assert "the only batch of 3" in answer.suggestions[0].rationale.sentence


@BOTH
def test_every_batch_keeps_the_gap_and_is_full_where_it_can_be(hand: Any, batches: str) -> None:
    for seed in range(20):
        chosen = sorted(places(suggest(hand, np.arange(30), budget=5, seed=seed, min_gap=2, batches=batches)))
        assert len(chosen) == 5
        assert min(np.diff(chosen)) > 2


@BOTH
def test_where_the_gap_leaves_no_full_batch_the_best_of_the_longest_is_taken(hand: Any, batches: str) -> None:
    answer = suggest(hand, np.arange(6), budget=4, min_gap=2, batches=batches)
    assert 1 <= len(answer.suggestions) <= 2
    assert f"{len(answer.suggestions)} of 4 slices" in answer.shortfall


@BOTH
def test_whole_cases_form_batches_too(hand: Any, batches: str) -> None:
    cases = {f"{k}": 2 for k in range(12)}
    scores = np.repeat([0.0] * 11 + [50.0], 2)
    answer = suggest(hand, scores, budget=3, cases=cases, unit="case", batches=batches)
    assert {s.rank for s in answer.suggestions} == {0, 1, 2}
    assert answer.suggestions[0].rationale.details["batches"] == 4
    if batches == "partition":
        assert answer.suggestions[0].ref.case == "11"


def test_the_reason_names_the_score_the_batch_and_its_own_number(hand: Any) -> None:
    answer = suggest(hand, [4.0] * 4, budget=2)
    reason = answer.suggestions[0].rationale
    assert reason.sentence == "In the best of 2 random batches of 2, by predicted loss (learning loss): mean score 4, of this slice 4."
    assert reason.details["scorer"] == "learning-loss"


def test_options_reach_the_scorer(hand: Any) -> None:
    sampled = np.tile(np.array([[0.5, 0.5, 0.0], [1, 0, 0]])[None, :, :, None, None], (3, 1, 1, 2, 2))
    query = Query(pool=hand.pool({"a": 2}), schema=hand.schema, budget=1, seed=0, model=hand.model(sampled=sampled))
    answer = strategy("stochastic-batches", scorer="mc-dropout", passes=3, measure="mean entropy").suggest(query)
    assert places(answer) == [0]
    assert answer.suggestions[0].rationale.details["scorer_options"] == {"measure": "mean entropy", "passes": 3}
