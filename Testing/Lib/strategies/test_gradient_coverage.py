"""Core set along the gradient, on a line and in a plane where distances can be counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy

IDENTITY = np.eye(4)[:2]  # the latents are the first two pixels


@pytest.fixture
def suggest(hand: Any) -> Any:
    """Cases that are picked, of slices on the given points; gradients are given in the two pixels that the latents are."""

    def build(
        points: Any, gradients: dict[int, Any], *, labelled: Any = (0,), filled: Any = (), cases: Any = None, budget: int = 1, **given: Any
    ) -> Any:
        latents = np.array(points, np.float32)
        images = np.zeros((len(latents), 1, 2, 2), np.float32)
        images[:, 0, 0] = latents
        given_gradients = {i: np.array([*g, 0, 0], float).reshape(1, 2, 2) for i, g in gradients.items()}
        unit = given.pop("unit", "slice")
        query = Query(
            pool=hand.pool(cases or {f"{k}": 1 for k in range(len(latents))}, labelled=labelled, filled=filled),
            schema=hand.schema,
            model=hand.model(gradients=given_gradients, images=torch.from_numpy(images)),
            manifold=hand.manifold(IDENTITY, IDENTITY.T, latents, (1, 2, 2)),
            budget=budget, seed=given.pop("seed", 0), unit=unit,
        )  # fmt: skip
        return strategy("gradient-core-set", **given).suggest(query)

    return build


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


CROSS = [[0, 0], [2, 0], [-2.5, 0], [0, 2.2]]


def test_a_distance_counts_more_along_the_gradient_than_against_it(suggest: Any) -> None:
    # Along +x: 2 * 1.5 = 3 and 2.5 * 0.5 = 1.25; across: 2.2.
    answer = suggest(CROSS, {0: (1e-6, 0)}, budget=3)
    assert picks(answer)[0] == 1
    assert answer.suggestions[0].rationale.score == pytest.approx(3)
    assert picks(suggest(CROSS, {0: (1e-6, 0)}, pull=0.0)) == [2]
    assert picks(suggest(CROSS, {0: (1e-6, 0)}, pull=-0.5)) == [2]
    assert picks(suggest(CROSS, {0: (-1e-6, 0)}, pull=-1.0)) == [1]


def test_the_nearest_annotated_slice_decides_whichever_gradient_it_has(suggest: Any) -> None:
    points = [[0, 0], [10, 0], [4, 0], [6, 0], [13, 0]]
    # From 0 along +x, from 10 against it. 4: min(4 * 1.5, 6 * 1.5) = 6; 6: min(9, 6) = 6; 13: min(13 * 1.5, 3 * 0.5) = 1.5.
    answer = suggest(points, {0: (1, 0), 1: (-1, 0)}, labelled=(0, 1), budget=3)
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([6, 2, 1.5])
    assert picks(answer) == [2, 3, 4]


def test_a_filled_slice_is_a_centre_without_a_gradient(suggest: Any) -> None:
    points = [[0, 0], [10, 0], [4, 0], [6, 0], [13, 0]]
    # From 0 along +x, from 10 by the plain distance. 4: min(4 * 1.5, 6) = 6; 6: min(9, 4) = 4; 13: min(19.5, 3) = 3.
    answer = suggest(points, {0: (1, 0), 1: (-1, 0)}, labelled=(0, 1), filled=(1,), budget=3)
    assert [s.rationale.score for s in answer.suggestions] == pytest.approx([6, 3, 2])
    assert picks(answer) == [2, 4, 3]


def test_without_a_gradient_it_is_core_set(suggest: Any, hand: Any) -> None:
    points = np.random.default_rng(0).normal(size=(20, 2))
    plain = strategy("core-set").suggest(
        Query(
            pool=hand.pool({f"{k}": 1 for k in range(20)}, labelled=(0, 3)), schema=hand.schema, budget=6, seed=0,
            manifold=hand.manifold(IDENTITY, IDENTITY.T, points.astype(np.float32), (1, 2, 2)),
        )
    )  # fmt: skip
    assert picks(suggest(points, {}, labelled=(0, 3), budget=6)) == picks(plain)
    assert picks(suggest(points, {0: (1, 2), 3: (-1, 0)}, labelled=(0, 3), budget=6, pull=0.0)) == picks(plain)


def test_it_is_the_greedy_choice_of_the_definition(suggest: Any) -> None:
    rng = np.random.default_rng(1)
    points, labelled = rng.normal(size=(25, 2)).astype(np.float32).astype(float), [0, 5, 9]
    gradients = {i: rng.normal(size=2) for i in labelled[:2]}
    distance = np.full(25, np.inf)
    for i in labelled:
        along = gradients[i] / np.linalg.norm(gradients[i]) if i in gradients else np.zeros(2)
        distance = np.minimum(distance, [np.linalg.norm(p - points[i]) + 0.7 * (p - points[i]) @ along for p in points])
    expected = []
    for _ in range(8):
        expected.append(max((k for k in range(25) if k not in [*labelled, *expected]), key=lambda k: distance[k]))
        distance = np.minimum(distance, np.linalg.norm(points - points[expected[-1]], axis=1))
    assert picks(suggest(points, gradients, labelled=labelled, budget=8, pull=0.7)) == expected


def test_the_direction_of_a_case_is_that_of_the_sum_of_its_moves(suggest: Any) -> None:
    # Case a lies at the origin and moves along +x in all; b at x = 2 counts 3, c at -2.5 counts 1.25.
    points = [[0, 1], [0, -1], [2, 0], [-2.5, 0]]
    answer = suggest(points, {0: (3, 1), 1: (1, -1)}, labelled=(0, 1), cases={"a": 2, "b": 1, "c": 1}, unit="case")
    assert [s.ref.case for s in answer.suggestions] == ["b"]


def test_the_reason_names_the_annotated_slice_whose_gradient_counted(suggest: Any) -> None:
    first, second, _ = suggest(CROSS, {0: (1e-6, 0)}, budget=3).suggestions
    assert first.rationale.sentence == (
        "Chosen because it is the slice least like anything annotated or suggested before it; most like it is case 0, slice 1, from which "
        "distances count more in the direction in which the model's error grows."
    )
    assert first.rationale.source is not None
    assert first.rationale.source.case == "0"
    assert (first.rationale.details["pull"], first.rationale.details["direction"]) == (0.5, "manifold")
    # As far along the gradient as the pick lies from its source.
    way = (first.rationale.source_latent, first.rationale.projected, first.rationale.chosen_latent)
    assert way == ((0, 0), pytest.approx((2, 0)), (2, 0))
    assert second.rationale.projected == pytest.approx((2.2, 0))
    assert second.rationale.chosen_latent == pytest.approx((0, 2.2))
    assert second.rationale.strategy == "gradient-core-set"


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({"pull": -0.5}, ", from which distances count less in the direction in which the model's error grows."),
        ({"direction": "random"}, ", from which distances count more in a random direction (a control)."),
        ({"pull": 0.0}, "most like it is case 0, slice 1."),
    ],
)
def test_the_reason_says_what_the_direction_did(options: dict[str, Any], end: str, suggest: Any) -> None:
    assert suggest(CROSS, {0: (1e-6, 0)}, budget=1, **options).suggestions[0].rationale.sentence.endswith(end)


def test_without_a_gradient_the_reason_is_that_of_the_core_set(suggest: Any) -> None:
    assert suggest(CROSS, {}, budget=1).suggestions[0].rationale.sentence.endswith("most like it is case 0, slice 1.")


def test_whole_cases_are_drawn_where_the_choice_saw_them(suggest: Any) -> None:
    # Case 0: annotated at 0 with a gradient along +x, open at 4. Case 1: annotated at 20 without one, open at 13.
    # 4: min(4 * 1.5, 16) = 6 from case 0; 13: min(13 * 1.5, 7) = 7 from case 1.
    points = [[0, 0], [4, 0], [20, 0], [13, 0]]
    first, second = suggest(points, {0: (1, 0)}, labelled=(0, 2), cases={"0": 2, "1": 2}, unit="case", budget=2).suggestions
    assert [(s.ref.case, s.rationale.score) for s in (first, second)] == [("1", pytest.approx(7)), ("0", pytest.approx(6))]
    assert first.rationale.source_latent is None
    way = (second.rationale.source_latent, second.rationale.projected, second.rationale.chosen_latent)
    assert way == ((0, 0), pytest.approx((4, 0)), (4, 0))


def test_a_random_direction_is_drawn_by_the_seed_for_slices_with_a_gradient_alone(suggest: Any) -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(30, 2))
    given = {0: (1e-6, 0)}
    firsts = {picks(suggest(points, given, direction="random", pull=1.0, seed=seed))[0] for seed in range(20)}
    assert len(firsts) > 2
    assert firsts == {picks(suggest(points, {0: (0, -5)}, direction="random", pull=1.0, seed=seed))[0] for seed in range(20)}
    plain = picks(suggest(points, {}, budget=5))
    assert picks(suggest(points, {}, budget=5, direction="random")) == plain


def test_a_pick_without_a_gradient_at_its_source_has_no_arrow(suggest: Any) -> None:
    (only,) = suggest(CROSS, {}, budget=1).suggestions
    assert only.rationale.source is not None
    assert (only.rationale.source_latent, only.rationale.projected, only.rationale.chosen_latent) == (None, None, None)


def test_the_encoder_carries_the_gradient_where_it_is_asked_to(suggest: Any) -> None:
    (only,) = suggest(CROSS, {0: (1e-6, 0)}, direction="encoder").suggestions
    assert only.ref.case == "1"
    assert only.rationale.details["direction"] == "encoder"


def test_a_pull_beyond_one_would_make_distances_negative_and_is_refused() -> None:
    with pytest.raises(InputError, match="pull"):
        strategy("gradient-core-set", pull=1.5)
