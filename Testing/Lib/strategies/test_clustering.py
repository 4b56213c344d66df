"""Typical clustering and clusters with max-cover, on latents in plain groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies import clustering
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.strategies.registry import strategy


@pytest.fixture
def suggest(hand: Any) -> Any:
    def build(name: str, points: Any, *, options: Any = None, cases: Any = None, labelled: Any = (), **query: Any) -> Any:
        points = np.array(points, float)
        pool = hand.pool(cases or {f"{k}": 1 for k in range(len(points))}, labelled=labelled)
        manifold = hand.manifold(np.eye(4)[:2], np.eye(4)[:, :2], points, (1, 2, 2))
        return strategy(name, **(options or {})).suggest(Query(pool, hand.schema, **{"budget": 1, "seed": 0, **query}, manifold=manifold))

    return build


def picks(answer: Any) -> list[int]:
    return [int(s.ref.case) for s in answer.suggestions]


def ring(centre: Any, count: int, radius: float = 1.0) -> Any:
    """`count` points on a circle and one in its middle, which is the last."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.concatenate([np.stack([np.cos(angles), np.sin(angles)], 1) * radius, [[0, 0]]]) + centre


def nearly_twice(seed: int) -> Any:
    """60 points, and as many that most often differ from them in the last place only."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((60, 3)).astype(np.float32)
    beside = np.where(rng.random(points.shape) < 0.5, points, np.float32(9)).astype(np.float32)
    return np.concatenate([points, np.nextafter(points, beside)]).astype(float)


class TestTypicalClustering:
    # Rings around (0, 0), (50, 0) and (0, 50); their middles are 8, 15 and 21.
    POINTS = np.concatenate([ring([0, 0], 8), ring([50, 0], 6), ring([0, 50], 5)])

    def test_the_middle_of_every_group_comes_the_largest_group_first(self, suggest: Any) -> None:
        answer = suggest("typical-clustering", self.POINTS, budget=3)
        assert picks(answer) == [8, 15, 21]
        assert answer.suggestions[0].rationale.sentence == (
            "Chosen as the most typical of a group of 9 similar slices: none of them is annotated or suggested yet."
        )

    def test_groups_that_hold_an_annotation_come_last(self, suggest: Any) -> None:
        assert picks(suggest("typical-clustering", self.POINTS, budget=2, labelled=[3])) == [15, 21]

    def test_with_more_asked_for_than_groups_the_next_typical_ones_follow(self, suggest: Any) -> None:
        answer = suggest("typical-clustering", self.POINTS, options={"most_clusters": 3}, budget=6)
        groups = np.repeat([0, 1, 2], [9, 7, 6])[picks(answer)]
        assert groups.tolist() == [0, 1, 2, 0, 1, 2]
        assert answer.suggestions[3].rationale.details == {"cluster_size": 9, "covered": 1}

    def test_tiny_groups_are_left_to_the_end(self, suggest: Any) -> None:
        points = np.append(self.POINTS, [[500.0, 500.0]], axis=0)
        answer = suggest("typical-clustering", points, options={"most_clusters": 4}, budget=23)
        assert picks(answer)[:3] == [8, 15, 21]
        assert picks(answer)[-1] == 22

    def test_small_groups_wait_while_a_large_one_has_open_slices(self, suggest: Any) -> None:
        # One group of 50 and five of 3, far apart: as many groups as are asked for.
        small = [ring([1000 * k, 1000], 2) for k in range(1, 6)]
        points = np.concatenate([ring([0, 0], 49), *small])
        answer = suggest("typical-clustering", points, budget=6)
        assert [pick < 50 for pick in picks(answer)] == [True] * 6
        assert [s.rationale.details["covered"] for s in answer.suggestions] == [0, 1, 2, 3, 4, 5]

    def test_the_group_with_the_fewest_catches_up_first(self, suggest: Any) -> None:
        # Two annotations in the ring of 9, one in that of 7, none in that of 6: 0, then 1 (the larger first), 2 and so on.
        answer = suggest("typical-clustering", self.POINTS, options={"most_clusters": 3}, labelled=[0, 1, 9], budget=6)
        groups = np.repeat([0, 1, 2], [9, 7, 6])[picks(answer)]
        assert groups.tolist() == [2, 1, 2, 0, 1, 2]

    def test_the_most_typical_lies_nearest_to_its_20_nearest_neighbours(self, suggest: Any) -> None:
        points = np.random.default_rng(0).standard_normal((60, 2)) ** 3
        distances = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)
        expected = distances[:, 1:21].mean(1).argsort()[:8]
        assert picks(suggest("typical-clustering", points, options={"most_clusters": 1}, budget=8)) == expected.tolist()

    def test_slices_that_coincide_are_no_obstacle(self, suggest: Any) -> None:
        assert len(picks(suggest("typical-clustering", np.zeros((12, 2)), budget=5))) == 5

    def test_slices_that_coincide_up_to_rounding_are_no_obstacle(self, suggest: Any) -> None:
        assert len(picks(suggest("typical-clustering", nearly_twice(19), budget=120, seed=19))) == 120

    def test_whole_cases_are_grouped_by_their_means(self, suggest: Any) -> None:
        # Each case has its slices one to the left and one to the right of its place.
        points = np.repeat(self.POINTS, 2, axis=0) + np.tile([[0.1, 0], [-0.1, 0]], (22, 1))
        answer = suggest("typical-clustering", points, cases={f"{k}": 2 for k in range(22)}, unit="case", budget=3)
        assert picks(answer) == [8, 8, 15, 15, 21, 21]


def test_every_cluster_has_a_point_and_a_centre() -> None:
    points = nearly_twice(19)
    labels, centres = clustering.k_means(points, 120, 19)
    assert np.bincount(labels).all()
    assert len(centres) == labels.max() + 1 < 120
    means = [points[labels == cluster].mean(0) for cluster in range(len(centres))]
    np.testing.assert_allclose(centres, means, atol=1e-5)


def test_mini_batches_take_over_for_large_pools_and_give_the_same_twice(monkeypatch: Any) -> None:
    monkeypatch.setattr(clustering, "EXACT", 100)
    points = np.concatenate([np.random.default_rng(0).standard_normal((200, 2)), np.random.default_rng(1).standard_normal((200, 2)) + 30])
    labels = clustering.k_means(points, 2, 3)[0]
    assert len(set(labels[:200])) == len(set(labels[200:])) == 1
    assert labels[0] != labels[-1]
    assert (labels == clustering.k_means(points, 2, 3)[0]).all()


def test_large_pools_are_gathered_before_they_are_clustered(monkeypatch: Any) -> None:
    monkeypatch.setattr(clustering, "LEAVES", 20)
    points = np.random.default_rng(0).standard_normal((300, 2)) + np.repeat([[0, 0], [30, 0], [60, 0]], 100, axis=0)
    labels = clustering.agglomerated(points, 3, 0)
    assert [len(set(labels[100 * k : 100 * k + 100])) for k in range(3)] == [1, 1, 1]
    assert len(set(labels)) == 3


class TestClusterMaxCover:
    # Directions in degrees: five about 0 (their middle is 2), three about 120 (their middle is 6), and 8 alone at 240.
    ANGLES = np.radians([20, 10, 0, -10, -20, 110, 120, 130, 240])
    POINTS = 5 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)

    @pytest.mark.parametrize("clusters", [1, 3, 100])
    def test_what_stands_for_most_others_comes_first(self, suggest: Any, clusters: int) -> None:
        answer = suggest("cluster-max-cover", self.POINTS, options={"clusters": clusters}, budget=3)
        assert picks(answer) == [2, 6, 8]
        assert answer.suggestions[0].rationale.score == pytest.approx((1 + 2 * np.cos(np.pi / 18) + 2 * np.cos(np.pi / 9)) / 9)

    def test_a_later_round_goes_on_where_the_annotations_stop(self, suggest: Any) -> None:
        assert picks(suggest("cluster-max-cover", self.POINTS, options={"clusters": 3}, budget=2, labelled=[2])) == [6, 8]
        assert picks(suggest("cluster-max-cover", self.POINTS, options={"clusters": 3}, budget=1, labelled=[2, 7])) == [8]

    def test_what_a_group_puts_forward_adds_to_its_own_annotations(self, suggest: Any) -> None:
        # One group, of which two are put forward: without the annotations in it they would be one about 0 and one about 120.
        assert picks(suggest("cluster-max-cover", self.POINTS, options={"clusters": 1}, budget=1, labelled=[2, 6])) == [8]

    @pytest.mark.parametrize(("budget", "puts_it_forward"), [(1, False), (2, True)])
    def test_a_group_puts_forward_its_share_of_twice_the_budget(self, suggest: Any, budget: int, puts_it_forward: bool) -> None:
        # Far out four at 0 degrees and one at 20, near the origin four at 40. That at 20 stands for all best, for its own second best:
        # of 2 candidates each group has one, of 4 two.
        angles, radii = np.radians([0, 0, 0, 0, 20, 40, 40, 40, 40]), np.repeat([100, 1], [5, 4])
        points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        first = picks(suggest("cluster-max-cover", points, options={"clusters": 2}, budget=budget))[0]
        assert (first == 4) == puts_it_forward

    def test_no_model_is_asked(self, suggest: Any) -> None:
        assert suggest("cluster-max-cover", self.POINTS, budget=2, model=None).suggestions

    def test_large_clusters_are_compared_on_a_sample(self, suggest: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(clustering, "COMPARED", 4)
        points = np.random.default_rng(0).standard_normal((60, 2))
        answer = suggest("cluster-max-cover", points, options={"clusters": 2}, budget=30)
        assert len(set(picks(answer))) == 30

    def test_no_clusters_are_refused(self) -> None:
        with pytest.raises(InputError, match="clusters"):
            strategy("cluster-max-cover", clusters=0)
        with pytest.raises(InputError, match="most_clusters"):
            strategy("typical-clustering", most_clusters=0)
