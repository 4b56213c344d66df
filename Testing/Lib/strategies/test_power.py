"""Entropy with power noise, plain and by structure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.power import beta_of, power_noised
from SuggestiveAnnotationLib.strategies.registry import strategy
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema


def slices_of(*vectors: Any) -> Any:
    """One slice of 4 x 4 pixels a class-probability vector."""
    return np.tile(np.array(vectors, float)[:, :, None, None], (1, 1, 4, 4))


def suggest(name: str, hand: Any, probabilities: Any, *, budget: int, seed: int = 0, round: int = 1, **options: Any) -> list[Any]:
    query = Query(
        pool=hand.pool({"a": len(probabilities)}),
        schema=hand.schema,
        budget=budget,
        seed=seed,
        round=round,
        model=hand.model(probabilities),
    )
    return list(strategy(name, **options).suggest(query).suggestions)


def test_the_noise_is_a_gumbel_of_width_one_over_beta_on_the_logarithm() -> None:
    noised = power_noised(np.full(20_000, 0.3), 4.0, np.random.default_rng(0))
    assert stats.kstest(noised, stats.gumbel_r(loc=np.log(0.3), scale=0.25).cdf).pvalue > 0.01


def test_with_beta_one_scores_are_the_weights_of_a_draw(hand: Any) -> None:
    # Two slices with entropies 3 : 1. The largest of log s + Gumbel(0, 1) is the first with probability s1 / (s1 + s2).
    entropies = [0.6, 0.2]
    firsts = [int(power_noised(np.array(entropies), 1.0, np.random.default_rng(seed)).argmax()) for seed in range(4000)]
    assert firsts.count(0) / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_score_of_nothing_comes_last() -> None:
    assert power_noised(np.array([0.0, 1e-9]), 1.0, np.random.default_rng(0)).argmax() == 1


@pytest.mark.parametrize("steps", [2, 4, 5, 10])
def test_beta_grows_from_1_to_100_as_in_the_authors_schedule(steps: int) -> None:
    published = 1 * (100 / 1) ** np.linspace(0, 1, steps)
    assert [beta_of(n, steps) for n in range(1, steps + 1)] == pytest.approx(published)
    assert beta_of(steps + 3, steps) == 100
    assert beta_of(0, steps) == 1


def test_a_schedule_of_one_step_has_hardly_any_noise() -> None:
    assert beta_of(1, 1) == 100


def test_a_large_beta_is_plain_entropy_and_a_small_one_is_random(hand: Any) -> None:
    probabilities = slices_of([0.98, 0.02, 0], [0.5, 0.5, 0], [0.9, 0.1, 0])
    assert [s.ref.native_index for s in suggest("power-entropy", hand, probabilities, budget=3, beta=1e6)] == [1, 2, 0]
    firsts = Counter(suggest("power-entropy", hand, probabilities, budget=1, beta=1e-3, seed=s)[0].ref.native_index for s in range(150))
    assert min(firsts[i] for i in range(3)) > 30


def test_the_score_in_the_reason_is_without_noise(hand: Any) -> None:
    (only,) = suggest("power-entropy", hand, slices_of([0.5, 0.5, 0]), budget=1)
    assert only.rationale.score == pytest.approx(np.log(2))


def test_structures_get_equal_parts_and_the_rest_goes_by_the_entropy_of_all(hand: Any) -> None:
    # Slices 0-3 are unsure of structure 1, 4-7 of structure 2, 8-11 of background only (least sure of all).
    probabilities = slices_of(*[[0.1, 0.9, 0]] * 4, *[[0.1, 0, 0.9]] * 4, *[[0.6, 0.2, 0.2]] * 4, *[[1, 0, 0]] * 8)
    batch = suggest("clasp-pe", hand, probabilities, budget=6, round=5, foreground=0.67)
    assert Counter(s.rationale.details["structure"] for s in batch) == {"one": 2, "seven": 2, None: 2}
    assert {s.ref.native_index // 4 for s in batch if s.rationale.details["structure"] == "one"} == {0}
    assert {s.ref.native_index // 4 for s in batch if s.rationale.details["structure"] == "seven"} == {1}
    assert {s.ref.native_index // 4 for s in batch if s.rationale.details["structure"] is None} == {2}


def test_the_score_of_a_structure_is_the_entropy_weighted_by_its_probability(hand: Any) -> None:
    p = [0.1, 0.9, 0]
    batch = suggest("clasp-pe", hand, slices_of(p, [1, 0, 0]), budget=1, round=5, foreground=1.0)
    entropy = -sum(x * np.log(x) for x in p if x)
    assert batch[0].rationale.score in (pytest.approx(0.9 * entropy), pytest.approx(0))
    scores = {
        s.rationale.details["structure"]: s.rationale.score
        for seed in range(10)
        for s in suggest("clasp-pe", hand, slices_of(p, [1, 0, 0]), budget=1, round=5, foreground=1.0, seed=seed)
    }
    assert scores["one"] == pytest.approx(0.9 * entropy)


def test_scores_are_means_over_the_pixels_of_a_slice(hand: Any) -> None:
    p = np.moveaxis(np.random.default_rng(0).dirichlet([0.5] * 3, (9, 4, 5)), -1, 1)
    entropy = -(p * np.log(p)).sum(1)
    of_all = {s.ref.native_index: s.rationale.score for s in suggest("power-entropy", hand, p, budget=9)}
    assert [of_all[i] for i in range(9)] == pytest.approx(entropy.mean((1, 2)).tolist(), rel=1e-4)
    column = {"one": entropy * p[:, 1], "seven": entropy * p[:, 2], None: entropy}
    for s in suggest("clasp-pe", hand, p, budget=9):
        wanted = column[s.rationale.details["structure"]].mean((1, 2))[s.ref.native_index]
        assert s.rationale.score == pytest.approx(wanted, rel=1e-4)


def test_the_reason_owns_up_to_the_draw(hand: Any) -> None:
    sure = slices_of(*[[1, 0, 0]] * 4)
    sentences = {s.rationale.sentence for seed in range(10) for s in suggest("clasp-pe", hand, sure, budget=3, foreground=0.67, seed=seed)}
    drawn = "Drawn at random, likelier where the model is less sure of"
    assert sentences == {
        f"{drawn} the outline of one: entropy 0 in this slice.",
        f"{drawn} the outline of seven: entropy 0 in this slice.",
        f"{drawn} its outline: entropy 0 in this slice.",
    }


@pytest.mark.parametrize(("budget", "of_structures"), [(1, 0), (3, 1), (10, 6), (50, 33)])
def test_shares_are_rounded_down_as_in_the_authors_code(hand: Any, budget: int, of_structures: int) -> None:
    batch = suggest("clasp-pe", hand, slices_of(*[[0.6, 0.2, 0.2]] * 60), budget=budget)
    counts = Counter(s.rationale.details["structure"] for s in batch)
    assert len(batch) == budget
    assert counts["one"] + counts["seven"] == of_structures
    assert abs(counts["one"] - counts["seven"]) <= 1


def test_what_cannot_be_shared_out_evenly_goes_to_structures_drawn_by_the_seed(hand: Any) -> None:
    # Five of eight picks are the structures' (0.66 of 8, rounded down): two, two and one.
    schema = LabelSchema("three", tuple(LabelClass(k, f"structure {k}", (0, 0, 0)) for k in (1, 2, 3)))
    model = hand.model(slices_of(*[[0.4, 0.2, 0.2, 0.2]] * 20))
    fewest = set()
    for seed in range(12):
        query = Query(hand.pool({"a": 20}), schema, budget=8, seed=seed, model=model)
        counts = Counter(s.rationale.details["structure"] for s in strategy("clasp-pe").suggest(query).suggestions)
        assert counts.pop(None) == 3
        assert sorted(counts.values()) == [1, 2, 2]
        fewest.add(min(counts, key=lambda name: counts[name]))
    assert len(fewest) > 1


def test_noise_falls_off_over_the_rounds(hand: Any) -> None:
    rng = np.random.default_rng(0)
    raw = rng.dirichlet([1, 1, 1], 40)
    entropy = -(raw * np.log(raw)).sum(1)
    best = set(np.argsort(-entropy)[:8].tolist())

    def hits(number: int) -> float:
        batches = [suggest("clasp-pe", hand, slices_of(*raw), budget=8, foreground=0, round=number, seed=seed) for seed in range(20)]
        return float(np.mean([len(best & {s.ref.native_index for s in batch}) for batch in batches]))

    assert hits(1) < 5 < 7 < hits(5)
