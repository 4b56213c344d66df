"""Gradient-guided sampling on hand-made manifolds where the right pick is known by construction."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy
from SuggestiveAnnotationLib.strategies.stepping import FALLBACK

IDENTITY = np.eye(4)[:2]  # the latents are the first two pixels


def image(*pixels: float) -> Any:
    return np.array(pixels, float).reshape(1, 2, 2)


@pytest.fixture
def plane(hand: Any) -> Any:
    """Ten slices in ten cases: slice 0 annotated at the origin, the others on the axes at 1, 2, 3 (a median neighbour distance of 1)."""

    def build(
        gradients: dict[int, Any], *, labelled: Any = (0,), filled: Any = (), points: Any = None, cases: Any = None, **query: Any
    ) -> Query:
        axes = [[d * s for d in axis] for axis in ([1, 0], [0, 1], [-1, 0]) for s in (1, 2, 3)]
        latents = np.array([[0.0, 0.0], *axes] if points is None else points, float)
        images = np.zeros((len(latents), 1, 2, 2), np.float32)
        images[:, 0, 0] = latents
        import torch

        return Query(
            pool=hand.pool(cases or {f"{k}": 1 for k in range(len(latents))}, labelled=labelled, filled=filled),
            schema=hand.schema,
            model=hand.model(gradients=gradients, images=torch.from_numpy(images)),
            manifold=hand.manifold(IDENTITY, query.pop("decoder", IDENTITY.T), latents, (1, 2, 2)),
            **{"budget": 1, "seed": 0, **query},
        )

    return build


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


def test_the_pick_lies_along_the_gradient_at_the_asked_distance(plane: Any) -> None:
    for step, expected in ((1.0, 1), (2.0, 2), (3.2, 3), (100.0, 3)):
        assert picks(strategy("gradient-guided", step=step).suggest(plane({0: image(1e-6, 0, 0, 0)}))) == [expected]


def test_the_size_of_the_gradient_does_not_matter(plane: Any) -> None:
    for size in (1e-12, 1e-6, 1e3):
        assert picks(strategy("gradient-guided", step=2.0).suggest(plane({0: image(0, size, 0, 0)}))) == [5]


def test_the_reason_tells_the_whole_story(plane: Any) -> None:
    (s,) = strategy("gradient-guided", step=2.0).suggest(plane({0: image(0, 1e-6, 0, 0)})).suggestions
    assert s.rationale.sentence == "Chosen because it lies in the direction in which the model's error grows fastest from case 0, slice 1."
    assert (s.rationale.source_latent, s.rationale.projected, s.rationale.chosen_latent) == ((0, 0), (0, 2), (0, 2))
    assert s.rationale.source is not None
    assert s.rationale.source.case == "0"
    details = s.rationale.details
    assert details["direction"] == "encoder, forward mode"
    assert (details["neighbour_distance"], details["step_length"], details["cosine"], details["fallback"]) == (1, 2, 1, None)


def test_the_two_directions_differ_where_encoder_and_decoder_do(plane: Any) -> None:
    gradient = {0: image(1e-6, 0, 1e-6, 0)}
    decoder = np.array([[0, 0], [0, 0], [0, 1], [0, 0]])  # the decoder sees the second latent in the third pixel
    assert picks(strategy("gradient-guided", step=1.0).suggest(plane(gradient, decoder=decoder))) == [1]
    assert picks(strategy("gradient-guided", step=1.0, direction="manifold").suggest(plane(gradient, decoder=decoder))) == [4]


def test_finite_difference_and_forward_mode_pick_the_same(plane: Any) -> None:
    query = plane({0: image(1e-6, 0, 0, 0)}, budget=6)
    assert picks(strategy("gradient-guided").suggest(query)) == picks(
        strategy("gradient-guided", derivative="finite difference").suggest(query)
    )


def test_the_nearest_outside_the_cone_gives_way_to_the_next_nearest_inside(plane: Any) -> None:
    points = [[0, 0], [0, 1.2], [3, 0], [9, 9]]
    gradient = {0: image(1, 0, 0, 0)}
    assert picks(strategy("gradient-guided", step=0.1).suggest(plane(gradient, points=points))) == [2]
    assert picks(strategy("gradient-guided", step=0.1, tau=None).suggest(plane(gradient, points=points))) == [1]


def test_an_empty_cone_is_named_counted_and_logged(plane: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        answer = strategy("gradient-guided", step=1.0).suggest(plane({0: image(0, -1, 0, 0)}, budget=3))
    assert len(picks(answer)) == 3
    assert [s.rationale.details["fallback"] for s in answer.suggestions] == [FALLBACK] * 3
    assert "no open slice lies in that very direction" in answer.suggestions[0].rationale.sentence
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith("For 3 of 3 picks no open slice lies within 60 degrees")
    assert answer.warnings[0] in caplog.text


def test_sources_take_turns_until_the_budget_is_met(plane: Any) -> None:
    query = plane({0: image(1, 0, 0, 0), 4: image(0, 1, 0, 0)}, labelled=[0, 4], budget=4)
    answer = strategy("gradient-guided", step=1.0).suggest(query)
    assert sorted(picks(answer)) == [1, 2, 5, 6]
    assert [s.rationale.details["turn"] for s in answer.suggestions] == [0, 0, 1, 1]
    assert len({s.rationale.source for s in answer.suggestions[:2]}) == 2


def test_with_more_sources_than_budget_the_seed_draws_which(plane: Any) -> None:
    gradients = {i: image(1, 0, 0, 0) for i in range(4)}
    used = {
        s.rationale.source
        for seed in range(12)
        for s in strategy("gradient-guided").suggest(plane(gradients, labelled=range(4), seed=seed)).suggestions
    }
    assert len(used) > 1


def test_only_the_given_sources_are_used_and_all_annotated_ones_where_none_are_given(plane: Any) -> None:
    gradients = {0: image(1, 0, 0, 0), 4: image(0, 1, 0, 0)}
    given = strategy("gradient-guided").suggest(plane(gradients, labelled=[0, 4], budget=4, sources=(4,)))
    assert {s.rationale.source.case for s in given.suggestions} == {"4"}
    none = strategy("gradient-guided").suggest(plane(gradients, labelled=[0, 4], budget=4))
    assert {s.rationale.source.case for s in none.suggestions} == {"0", "4"}


def test_where_the_last_round_shows_nothing_all_annotated_slices_are_used(plane: Any) -> None:
    answer = strategy("gradient-guided").suggest(plane({0: image(1, 0, 0, 0)}, labelled=[0, 4], sources=(4,)))
    assert {s.rationale.source.case for s in answer.suggestions} == {"0"}
    assert "show no structure" in answer.warnings[0]


def test_filled_slices_are_no_sources_either(plane: Any) -> None:
    gradients = {0: image(1, 0, 0, 0), 7: image(0, 1, 0, 0)}
    for given in ({"sources": (4,)}, {}):
        answer = strategy("gradient-guided").suggest(plane(gradients, labelled=[0, 4, 7], filled=[7], budget=4, **given))
        assert {s.rationale.source.case for s in answer.suggestions} == {"0"}
    nothing = strategy("gradient-guided").suggest(plane(gradients, labelled=[4, 7], filled=[7]))
    assert "no annotated slice shows a structure" in nothing.shortfall


@pytest.mark.parametrize("name", ["gradient-guided", "gradient-guided-literal", "random-direction"])
def test_without_any_source_nothing_is_suggested_and_the_reason_is_given(plane: Any, name: str) -> None:
    answer = strategy(name).suggest(plane({}, labelled=[]))
    assert answer.suggestions == ()
    assert "no annotated slice shows a structure" in answer.shortfall


def test_a_zero_gradient_is_left_out_with_a_warning(plane: Any) -> None:
    answer = strategy("gradient-guided").suggest(plane({0: image(0, 0, 0, 0), 4: image(0, 1, 0, 0)}, labelled=[0, 4], budget=2))
    assert {s.rationale.source.case for s in answer.suggestions} == {"4"}
    assert "1 of 2 annotated sources give no direction" in answer.warnings[0]
    nothing = strategy("gradient-guided").suggest(plane({0: image(0, 0, 0, 0)}))
    assert nothing.shortfall == "Suggested 0 of 1 slice: no annotated slice gives a direction."


def test_a_zero_gradient_takes_no_place_among_the_sources(plane: Any) -> None:
    query = plane({0: image(0, 0, 0, 0), 4: image(0, 1, 0, 0), 7: image(1, 0, 0, 0)}, labelled=[0, 4, 7], budget=1)
    for seed in range(8):
        (s,) = strategy("gradient-guided").suggest(replace(query, seed=seed)).suggestions
        assert s.rationale.source.case in ("4", "7")
    for seed in range(8):
        answer = strategy("gradient-guided").suggest(replace(query, seed=seed, budget=2))
        assert [s.rationale.source.case for s in answer.suggestions] in (["4", "7"], ["7", "4"])


def test_zero_gradients_are_told_up_to_the_last_source_that_is_needed(plane: Any) -> None:
    # Of 12 sources all but three stand still; the order is that of the seed, whatever the batches of the model are.
    gradients = {i: image(0, float(i in (3, 6, 9)), 0, 0) for i in range(12)}
    query = plane(gradients, labelled=range(12), points=[[i, i % 5] for i in range(15)], budget=2)
    for seed in range(6):
        answer = strategy("gradient-guided").suggest(replace(query, seed=seed))
        order = np.random.default_rng(seed).permutation(12).tolist()
        used = [i for i in order if i in (3, 6, 9)][:2]
        assert [int(s.rationale.source.case) for s in answer.suggestions] == used
        seen = order.index(used[1]) + 1
        told = [f"{seen - 2} of {seen} annotated sources give no direction"] if seen > 2 else []
        assert [w[: len(t)] for w, t in zip(answer.warnings, told, strict=False)] == told


def test_whole_cases_start_from_the_mean_latent_and_move_by_the_mean_gradient(plane: Any) -> None:
    # Case a: annotated slices at (0, 0) and (2, 0); their gradients cancel along x and add along y.
    # Case means: a (1, 0), b (1, 5), c (-4, 0).
    points = [[0, 0], [2, 0], [1, 4], [1, 6], [-4, -1], [-4, 1]]
    gradients = {0: image(-1, 1, 0, 0), 1: image(1, 1, 0, 0)}
    query = plane(gradients, points=points, cases={"a": 2, "b": 2, "c": 2}, labelled=[0, 1], unit="case")
    answer = strategy("gradient-guided", step=1.0).suggest(query)
    assert [(s.ref.case, s.rank) for s in answer.suggestions] == [("b", 0), ("b", 0)]
    reason = answer.suggestions[0].rationale
    assert reason.source_latent == (1, 0)
    assert reason.chosen_latent == (1, 5)
    assert "from case a (mean of its slices that are not blank)" in reason.sentence


@pytest.mark.parametrize("name", ["gradient-guided", "gradient-guided-literal", "random-direction"])
def test_a_case_of_blank_slices_is_no_source(plane: Any, name: str) -> None:
    """Without a slice that shows something it lies nowhere in the latent space."""
    points = [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [0, 2], [-4, 0]]
    gradients = {0: image(0, 1, 0, 0), 2: image(0, 1, 0, 0)}
    query = plane(gradients, points=points, cases={"a": 2, "b": 2, "c": 2, "d": 1}, labelled=[0, 2], unit="case")
    query = replace(query, pool=replace(query.pool, blank=np.arange(7) < 2))
    answer = strategy(name).suggest(query)
    assert {s.rationale.source.case for s in answer.suggestions} == {"b"}
    assert "1 of 2 annotated sources give no direction (all their slices are blank)" in answer.warnings[0]
    alone = strategy(name).suggest(replace(query, pool=replace(query.pool, labelled=np.arange(7) == 0)))
    assert alone.shortfall == "Suggested 0 of 1 case: no annotated slice gives a direction."


def test_the_literal_form_equals_the_sound_direction_while_the_step_is_large(plane: Any) -> None:
    answer = strategy("gradient-guided-literal", alpha=2.1).suggest(plane({0: image(0, 1, 0, 0)}))
    assert picks(answer) == [5]
    assert answer.warnings == ()
    assert answer.suggestions[0].rationale.projected == pytest.approx((0, 2.1))


def test_the_literal_form_warns_when_the_step_is_below_rounding(plane: Any) -> None:
    points = np.array([[0, 0], [1, 0], [2, 0], [0, 2], [0, 3.0]]) + 100
    answer = strategy("gradient-guided-literal").suggest(plane({0: image(0, 1e-4, 0, 0)}, points=points))
    assert picks(answer) == [1]  # the nearest neighbour, although the gradient points at slice 3
    assert "below float32 rounding (alpha 0.001)" in answer.warnings[0]
    assert answer.suggestions[0].rationale.details["weak_direction"] is True
    assert "much like case 0, slice 1" in answer.suggestions[0].rationale.sentence
    assert picks(strategy("gradient-guided").suggest(plane({0: image(0, 1e-4, 0, 0)}, points=points, budget=1))) == [4]


@pytest.mark.parametrize(("alpha", "warned"), [(1e-4, True), (1e-3, True), (1e4, False)])
def test_with_real_networks_the_papers_alpha_is_below_rounding(world: Any, alpha: float, warned: bool) -> None:
    world.images += 50 * (world.images.abs().amax((1, 2, 3), keepdim=True) > 0)  # intensities far above the step, as in real images
    answer = strategy("gradient-guided-literal", alpha=alpha).suggest(world.query())
    assert any("below float32 rounding" in w for w in answer.warnings) == warned


def test_random_directions_keep_the_step_length_and_the_sources(plane: Any) -> None:
    query = plane({0: image(1, 0, 0, 0), 4: image(0, 1, 0, 0)}, labelled=[0, 4], budget=2, seed=5)
    control = strategy("random-direction", step=3.0).suggest(query).suggestions
    assert {s.rationale.source.case for s in control} == {"0", "4"}
    assert [s.rationale.details["step_length"] for s in control] == pytest.approx([3, 3])
    seeds = {
        strategy("random-direction").suggest(plane({0: image(1, 0, 0, 0)}, seed=seed)).suggestions[0].rationale.projected
        for seed in range(5)
    }
    assert len(seeds) == 5
