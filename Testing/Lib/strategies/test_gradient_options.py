"""What gradient-guided sampling can do beyond the papers, each on a manifold where the right pick is known by construction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.strategies.access import ModelAccess
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.directions import encoder_direction
from SuggestiveAnnotationLib.strategies.feature_space import feature_space
from SuggestiveAnnotationLib.strategies.registry import strategy

IDENTITY = np.eye(4)[:2]  # the latents are the first two pixels
RIGHT, UP, LEFT, NOWHERE = ([1e-6, 0], [0, 1e-6], [-1e-6, 0], [0, 0])


def way(direction: Any) -> Any:
    """A gradient image that leads this way."""
    return torch.tensor([*direction, 0, 0]).float().reshape(1, 2, 2)


class Model:
    """Loss gradients of annotated slices by pool index, in as many variants as asked for; features are the first two pixels."""

    def __init__(self, images: Any, gradients: Any = None, losses: Any = None, by_class: Any = None, varied: Any = None) -> None:
        self.images, self._gradients, self._losses = images, gradients or {}, losses or {}
        self._by_class, self._varied = by_class or {}, varied or {}

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[Any]:
        for i in [i for i in indices if i in self._gradients]:
            yield np.array([i]), self.images[[i]], torch.tensor([self._losses.get(i, 0.5)]), way(self._gradients[i])[None]

    def class_gradients(self, indices: Sequence[int]) -> Iterator[Any]:
        """None: the slice does not show the class."""
        for i in [i for i in indices if i in self._by_class]:
            given = self._by_class[i]
            losses = torch.tensor([[np.nan if d is None else 0.5] for d in given])
            yield np.array([i]), self.images[[i]], losses, torch.stack([way(d or NOWHERE)[None] for d in given])

    def varied_gradients(self, indices: Sequence[int], *, by: str, passes: int, noise: float, seed: int) -> Iterator[Any]:
        for i in [i for i in indices if i in self._varied]:
            given = self._varied[i][:passes]
            yield (
                np.array([i]),
                self.images[[i]],
                torch.full((passes, 1), self._losses.get(i, 0.5)),
                torch.stack([way(d)[None] for d in given]),
            )

    def features(self, indices: Sequence[int]) -> Iterator[Any]:
        yield np.array(indices, np.intp), self.feature_map(self.images[list(indices)])

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :3]


@pytest.fixture
def plane(hand: Any) -> Any:
    """Ten slices in ten cases: slice 0 annotated at the origin, the others at 1, 2, 3 to the right (1-3), up (4-6) and left (7-9)."""

    def build(*, points: Any = None, cases: Any = None, labelled: Any = (0,), **given: Any) -> Query:
        axes = [[d * s for d in axis] for axis in ([1, 0], [0, 1], [-1, 0]) for s in (1, 2, 3)]
        latents = np.array([[0.0, 0.0], *axes] if points is None else points, float)
        images = torch.zeros(len(latents), 1, 2, 2)
        images[:, 0, 0] = torch.from_numpy(latents)
        model = {name: given.pop(name) for name in ("gradients", "losses", "by_class", "varied") if name in given}
        pool = hand.pool(cases or {f"{k}": 1 for k in range(len(latents))}, labelled=labelled)
        manifold = hand.manifold(IDENTITY, IDENTITY.T, latents, (1, 2, 2))
        return Query(pool, hand.schema, **{"budget": 1, "seed": 0, **given}, model=Model(images, **model), manifold=manifold)

    return build


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


class TestPerClass:
    def test_every_structure_leads_its_own_way_and_they_take_turns(self, plane: Any) -> None:
        query = plane(by_class={0: (RIGHT, UP)}, budget=4)
        answer = strategy("gradient-guided", step=1.0, per_class=True).suggest(query)
        assert {frozenset(picks(answer)[:2]), frozenset(picks(answer)[2:])} == {frozenset({1, 4}), frozenset({2, 5})}
        sentences = {s.rationale.sentence for s in answer.suggestions}
        assert sentences == {
            f"Chosen because it lies in the direction in which the model's error in {name} grows fastest from case 0, slice 1."
            for name in ("one", "seven")
        }

    def test_structures_a_slice_does_not_show_give_no_direction(self, plane: Any) -> None:
        query = plane(by_class={0: (None, UP)}, budget=3)
        answer = strategy("gradient-guided", step=1.0, per_class=True).suggest(query)
        assert picks(answer) == [4, 5, 6]
        assert answer.warnings == ()

    def test_structures_take_turns_over_all_sources(self, plane: Any) -> None:
        # Three sources show the first structure, one the second: of two picks each has one.
        query = plane(by_class={0: (RIGHT, None), 1: (RIGHT, None), 2: (RIGHT, None), 4: (None, UP)}, labelled=[0, 1, 2, 4], budget=4)
        for seed in range(4):
            answer = strategy("gradient-guided", step=1.0, per_class=True).suggest(replace(query, seed=seed))
            names = ["seven" in s.rationale.sentence for s in answer.suggestions[:2]]
            assert sorted(names) == [False, True]

    def test_a_structure_without_gradient_is_counted(self, plane: Any) -> None:
        answer = strategy("gradient-guided", step=1.0, per_class=True).suggest(plane(by_class={0: (NOWHERE, UP)}))
        assert picks(answer) == [4]
        assert answer.warnings == ("1 of 2 gradients of annotated slices are zero and were left out.",)

    def test_a_source_without_any_gradient_takes_no_place(self, plane: Any) -> None:
        query = plane(by_class={0: (NOWHERE, None), 1: (None, NOWHERE), 4: (NOWHERE, UP)}, labelled=[0, 1, 4])
        for seed in range(6):
            (s,) = strategy("gradient-guided", step=1.0, per_class=True).suggest(replace(query, seed=seed)).suggestions
            assert s.rationale.source.case == "4"

    def test_whole_cases_move_by_the_mean_of_each_structure(self, plane: Any) -> None:
        points = [[0, 0], [2, 0], [1, 4], [1, 6], [-4, -1], [-4, 1]]
        query = plane(
            by_class={0: (UP, LEFT), 1: (UP, LEFT)}, points=points, cases={"0": 2, "1": 2, "2": 2}, labelled=[0, 1], unit="case", budget=2
        )
        assert sorted(set(picks(strategy("gradient-guided", step=1.0, per_class=True).suggest(query)))) == [1, 2]


class TestWeighting:
    def test_sources_get_turns_in_proportion_to_their_loss(self, plane: Any) -> None:
        query = plane(gradients={0: RIGHT, 9: RIGHT}, losses={0: 0.2, 9: 0.6}, labelled=[0, 9], budget=4)
        answer = strategy("gradient-guided", weighting="loss").suggest(query)
        turns = Counter(s.rationale.source.case for s in answer.suggestions)
        assert turns == {"0": 1, "9": 3}
        assert answer.suggestions[0].rationale.source.case == "9"

    def test_the_highest_losses_are_found_among_more_sources_than_the_budget(self, plane: Any) -> None:
        query = plane(gradients=dict.fromkeys(range(6), RIGHT), losses={k: 0.1 * k for k in range(6)}, labelled=range(6), budget=2)
        for seed in range(5):
            answer = strategy("gradient-guided", weighting="loss").suggest(replace(query, seed=seed))
            assert [s.rationale.source.case for s in answer.suggestions] == ["5", "4"]

    def test_the_control_can_be_weighted_too(self, plane: Any) -> None:
        query = plane(gradients={0: RIGHT, 9: RIGHT}, losses={0: 0.2, 9: 0.6}, labelled=[0, 9], budget=1)
        (s,) = strategy("random-direction", weighting="loss").suggest(query).suggestions
        assert s.rationale.source.case == "9"
        assert s.rationale.details["weighting"] == "loss"


class TestTargets:
    def test_a_source_aims_at_one_two_and_three_steps(self, plane: Any) -> None:
        answer = strategy("gradient-guided", step=1.0, targets=3).suggest(plane(gradients={0: UP}, budget=3))
        assert picks(answer) == [4, 5, 6]
        assert [s.rationale.projected for s in answer.suggestions] == [(0, 1), (0, 2), (0, 3)]

    def test_a_batch_starts_from_so_many_fewer_sources(self, plane: Any) -> None:
        query = plane(gradients=dict.fromkeys(range(4), UP), labelled=range(4), budget=4)
        for targets, sources in ((1, 4), (2, 2), (4, 1)):
            answer = strategy("gradient-guided", step=1.0, targets=targets).suggest(query)
            assert len({s.rationale.source for s in answer.suggestions}) == sources

    def test_a_batch_starts_from_so_many_fewer_directions_of_structures(self, plane: Any) -> None:
        # The structures lead right (1, 2, 3) and up (4, 5, 6): two targets of one of them, four of both.
        query = plane(by_class={0: (RIGHT, UP)}, budget=2)
        guided = strategy("gradient-guided", step=1.0, targets=2, per_class=True)
        assert {tuple(picks(guided.suggest(replace(query, seed=seed)))) for seed in range(8)} == {(1, 2), (4, 5)}
        assert {tuple(picks(guided.suggest(replace(query, seed=seed, budget=4)))) for seed in range(8)} == {(1, 4, 2, 5), (4, 1, 5, 2)}
        # An odd budget: the direction that came first has one more.
        assert {tuple(picks(guided.suggest(replace(query, seed=seed, budget=3)))) for seed in range(8)} == {(1, 4, 2), (4, 1, 5)}

    def test_a_batch_starts_from_so_many_fewer_cases(self, plane: Any) -> None:
        # Cases 0 and 1 have annotated slices and step up; 2 to 5 lie 1 and 2 above the one and the other.
        points = [[0, 0], [0, 0], [9, 0], [9, 0], [0, 1], [0, 2], [9, 1], [9, 2]]
        cases = {"0": 2, "1": 2, **{f"{k}": 1 for k in range(2, 6)}}
        query = plane(gradients={0: UP, 2: UP}, points=points, cases=cases, labelled=range(4), unit="case", budget=2)
        spacing = 1.0
        assert strategy("gradient-guided").suggest(query).suggestions[0].rationale.details["neighbour_distance"] == spacing
        one = {tuple(picks(strategy("gradient-guided", step=1.0).suggest(replace(query, seed=s)))) for s in range(8)}
        two = {tuple(picks(strategy("gradient-guided", step=1.0, targets=2).suggest(replace(query, seed=s)))) for s in range(8)}
        assert one == {(2, 4), (4, 2)}
        assert two == {(2, 3), (4, 5)}

    def test_all_directions_of_a_source_vote_at_each_of_its_steps(self, plane: Any) -> None:
        # Two cases as sources, three directions each: the votes are complete at both steps of the one that has its turn.
        points = [[0, 0], [0, 0], [9, 0], [9, 0], [0, 1], [0, 2], [9, 1], [9, 2]]
        cases = {"0": 2, "1": 2, **{f"{k}": 1 for k in range(2, 6)}}
        query = plane(varied={0: [UP] * 3, 2: [UP] * 3}, points=points, cases=cases, labelled=range(4), unit="case", budget=2)
        for seed in range(8):
            answer = strategy("consensus", step=1.0, targets=2, passes=3).suggest(replace(query, seed=seed))
            assert picks(answer) in ([2, 3], [4, 5])
            assert [s.rationale.details["votes"] for s in answer.suggestions] == [3, 3]

    def test_under_weights_all_sources_keep_their_turns(self, plane: Any) -> None:
        query = plane(gradients={0: UP, 9: RIGHT}, losses={0: 0.6, 9: 0.2}, labelled=[0, 9], budget=4)
        answer = strategy("gradient-guided", step=1.0, targets=2, weighting="loss").suggest(query)
        # Weights 0.6, 0.2 at either step: 0.6 and 0.6 first, then again before 0.2 has its turn.
        assert [s.rationale.source.case for s in answer.suggestions[:2]] == ["0", "0"]
        assert [s.rationale.projected for s in answer.suggestions[:2]] == [(0, 1), (0, 2)]


class TestBalance:
    POINTS = ([0, 0], *[[4 + 0.1 * k, 0] for k in range(6)], [9, 0], [9, 0.1], [9, 0.2])
    CASES: ClassVar = {"0": 1, "1": 6, "2": 3}

    def test_no_case_gives_more_than_its_share_and_one(self, plane: Any) -> None:
        query = plane(gradients={0: RIGHT}, points=self.POINTS, cases=self.CASES, budget=4)
        assert Counter(picks(strategy("gradient-guided", step=1.0).suggest(query))) == {1: 4}
        # Two cases have open slices: 4 / 2 + 1.
        assert Counter(picks(strategy("gradient-guided", step=1.0, balance=True).suggest(query))) == {1: 3, 2: 1}

    def test_the_reason_says_that_the_shares_closed_what_lay_there(self, plane: Any) -> None:
        # To the right lies case 1 alone, six slices; its share is 4 / 2 + 1, and the fourth pick lies elsewhere.
        points = ([0, 0], *[[4 + 0.1 * k, 0] for k in range(6)], [-9, 0], [-9, 0.1], [-9, 0.2])
        query = plane(gradients={0: RIGHT}, points=points, cases=self.CASES, budget=4)
        answer = strategy("gradient-guided", step=1.0, balance=True).suggest(query)
        assert picks(answer) == [1, 1, 1, 2]
        nothing = "no slice that the shares of the cases left open lies"
        assert answer.suggestions[3].rationale.sentence.endswith(f"; {nothing} in that very direction.")
        assert answer.warnings[0].startswith(f"For 1 of 4 picks {nothing} within 60 degrees")
        query = replace(query, model=Model(query.model.images, varied={0: [RIGHT] * 8}))
        answer = strategy("consensus", step=1.0, balance=True).suggest(query)
        assert answer.suggestions[3].rationale.sentence.endswith(f"; {nothing} in those very directions.")

    def test_what_the_shares_leave_of_the_budget_is_picked_without_them(self, plane: Any) -> None:
        query = plane(gradients={0: RIGHT}, points=self.POINTS, cases=self.CASES, budget=9)
        answer = strategy("gradient-guided", step=1.0, balance=True).suggest(query)
        assert Counter(picks(answer)) == {1: 6, 2: 3}
        assert answer.shortfall == ""

    def test_the_minimum_gap_still_holds(self, plane: Any) -> None:
        query = plane(gradients={0: RIGHT}, points=self.POINTS, cases=self.CASES, budget=5, min_gap=1)
        answer = strategy("gradient-guided", step=1.0, balance=True).suggest(query)
        taken = sorted((s.ref.case, s.ref.native_index) for s in answer.suggestions)
        assert len(taken) == 5
        assert all(a[0] != b[0] or b[1] - a[1] > 1 for a, b in pairwise(taken))


class TestDensity:
    def test_targets_are_pulled_toward_the_mean_around_them(self, plane: Any) -> None:
        # Of 9 points the 3 nearest to the target at (4, 0) are 1, 2 and 3, whose mean is (4, 2).
        points = [[0, 0], [4, 1], [4, 2], [4, 3], [-9, -1], [-9, 0], [-9, 1], [-9, 2], [-9, 3]]
        query = plane(gradients={0: RIGHT}, points=points)

        def aimed(density: float) -> Any:
            answer = strategy("gradient-guided", step=4.0 / spacing, density=density).suggest(query)
            return answer.suggestions[0].rationale.projected, picks(answer)[0]

        spacing = strategy("gradient-guided").suggest(query).suggestions[0].rationale.details["neighbour_distance"]
        assert aimed(0.0) == (pytest.approx((4, 0)), 1)
        assert aimed(0.5) == (pytest.approx((4, 1)), 1)
        assert aimed(1.0) == (pytest.approx((4, 2)), 2)


class TestNetworkFeatures:
    def test_the_pick_lies_along_the_gradient_in_the_networks_features(self, plane: Any) -> None:
        query = replace(plane(gradients={0: UP}, budget=3), manifold=None)
        answer = strategy("gradient-guided-network", step=1.0, size=2).suggest(query)
        assert picks(answer) == [4, 5, 6]
        assert answer.suggestions[0].rationale.chosen_latent is None

    @pytest.mark.parametrize("derivative", ["forward mode", "finite difference"])
    def test_it_runs_through_a_real_network(self, world: Any, derivative: str) -> None:
        query = replace(world.query(), manifold=None)
        assert len(strategy("gradient-guided-network", derivative=derivative).suggest(query).suggestions) == 7

    def test_the_components_are_those_of_largest_variance_and_keep_distances(self, plane: Any) -> None:
        query = plane(gradients={0: UP})
        space = feature_space(query, 2)
        latents = query.manifold.latents.astype(float)
        ours = np.linalg.norm(space.latents[:, None] - space.latents[None], axis=2)
        np.testing.assert_allclose(ours, np.linalg.norm(latents[:, None] - latents[None], axis=2), atol=1e-5)
        assert space.latents.var(0)[0] > space.latents.var(0)[1]
        torch.testing.assert_close(space.encode(query.model.images), torch.from_numpy(space.latents))
        assert feature_space(query, 99).latents.shape == (10, 3)
        with pytest.raises(StudyError, match="no decoder"):
            space.decode(torch.zeros(1, 2))


class TestConsensus:
    VARIED: ClassVar = [*[RIGHT] * 3, *[UP] * 5]

    def test_the_slice_that_most_directions_reach_wins(self, plane: Any) -> None:
        (s,) = strategy("consensus", step=1.0).suggest(plane(varied={0: self.VARIED})).suggestions
        assert int(s.ref.case) == 4
        assert s.rationale.sentence == (
            "Chosen because 5 of 8 directions in which the model's error grows from case 0, slice 1 lead here first."
        )
        assert (s.rationale.details["votes"], s.rationale.details["directions"]) == (5, 8)

    def test_a_pick_is_out_of_the_next_vote(self, plane: Any) -> None:
        # Three to the right and five up: 4, 5, 6 by five votes each; then nothing is left upward and the right has its say.
        answer = strategy("consensus", step=1.0).suggest(plane(varied={0: self.VARIED}, budget=5))
        assert picks(answer) == [4, 5, 6, 1, 2]
        assert [s.rationale.details["votes"] for s in answer.suggestions] == [5, 5, 5, 3, 3]

    def test_of_equal_votes_the_one_nearest_to_its_target_wins(self, plane: Any) -> None:
        points = [[0, 0], [1.2, 0], [0, 1.1], [8, 8], [9, 8]]
        answer = strategy("consensus", step=1.0, passes=2).suggest(plane(varied={0: [RIGHT, UP]}, points=points))
        assert picks(answer) == [2]

    def test_sources_vote_in_turn_each_for_itself(self, plane: Any) -> None:
        query = plane(varied={0: [UP] * 8, 9: [RIGHT] * 8}, labelled=[0, 9], budget=4)
        answer = strategy("consensus", step=1.0).suggest(query)
        assert Counter(s.rationale.source.case for s in answer.suggestions) == {"0": 2, "9": 2}
        assert [s.rationale.details["turn"] for s in answer.suggestions] == [0, 0, 1, 1]

    def test_where_no_direction_has_anything_open_the_nearest_is_taken_and_counted(self, plane: Any) -> None:
        answer = strategy("consensus", step=1.0).suggest(plane(varied={0: [[0, -1e-6]] * 8}, budget=1))
        assert "no open slice lies in those very directions" in answer.suggestions[0].rationale.sentence
        assert answer.warnings[0].startswith("For 1 of 1 picks no open slice lies within 60 degrees")

    def test_structures_can_be_the_ones_who_vote(self, plane: Any) -> None:
        answer = strategy("consensus", step=1.0, vary="structures").suggest(plane(by_class={0: (UP, UP)}))
        assert picks(answer) == [4]
        assert answer.suggestions[0].rationale.details["votes"] == 2

    def test_sources_are_weighted_by_their_loss_where_asked_for(self, plane: Any) -> None:
        query = plane(varied={0: [UP] * 8, 9: [RIGHT] * 8}, losses={0: 0.9, 9: 0.1}, labelled=[0, 9], budget=3)
        answer = strategy("consensus", step=1.0, weighting="loss").suggest(query)
        assert {s.rationale.source.case for s in answer.suggestions} == {"0"}

    def test_dropout_needs_dropout(self, world: Any) -> None:
        for part in world.network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        with pytest.raises(StudyError, match="no dropout"):
            strategy("consensus", vary="dropout").suggest(world.query())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradient-guided", {"targets": 0}),
        ("gradient-guided", {"density": 1.5}),
        ("gradient-guided", {"balance": 1}),
        ("gradient-guided", {"per_class": "yes"}),
        ("gradient-guided-network", {"size": 0}),
        ("consensus", {"passes": 1}),
        ("consensus", {"noise": 0.0}),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(name: str, options: Any) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        strategy(name, **options)


def test_all_extensions_together_keep_the_budget(world: Any) -> None:
    everything = {"per_class": True, "weighting": "loss", "targets": 2, "balance": True, "density": 0.3}
    for unit, budget, expected in (("slice", 7, 7), ("slice", 100, 39), ("case", 3, 3)):
        answer = strategy("gradient-guided", **everything).suggest(world.query(unit=unit, budget=budget))
        assert len({s.rank for s in answer.suggestions}) == expected
    details = answer.suggestions[0].rationale.details
    assert {k: details[k] for k in ("targets", "weighting", "balance", "density")} == {
        k: everything[k] for k in ("targets", "weighting", "balance", "density")
    }


def test_a_real_networks_features_are_differentiated_exactly(hand: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    images, gradients = (torch.randn(6, 1, 32, 32, generator=generator) for _ in range(2))
    torch.manual_seed(0)
    network = build_network({"network": "unet", "size": "tiny", "channels": 1, "classes": 3}).eval()
    access = ModelAccess(network, lambda i: images[list(i)], lambda i: None, hand.schema)
    space = feature_space(Query(hand.pool({"a": 6}), hand.schema, budget=1, seed=0, model=access), 3)
    x = images.clone().requires_grad_()
    backward = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in space.encode(x).T]
    by_hand = torch.stack([(g * gradients).sum((1, 2, 3)) for g in backward], dim=1)
    torch.testing.assert_close(encoder_direction(space, images, gradients), by_hand, rtol=1e-3, atol=1e-6 * float(by_hand.abs().max()))
