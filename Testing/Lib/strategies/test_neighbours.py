from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SuggestiveAnnotationLib.strategies.neighbours import ConeSearch, distance_to_other_cases


def brute_force(
    points: Any, is_open: Any, starts: Any, targets: Any, directions: Any, order: Any, tau: Any, gap: int = 0
) -> list[tuple[int, bool]]:
    """The definition, one point after another in plain Python."""
    is_open, out = is_open.copy(), []
    for row in order:
        length = float(np.sqrt(sum(float(c) ** 2 for c in directions[row])))
        unit = directions[row] / np.linalg.norm(directions[row], keepdims=True) if length else None
        best: dict[bool, tuple[float, int]] = {}
        for j in np.flatnonzero(is_open):
            squared = dot = way = 0.0
            for d in range(points.shape[1]):
                squared += (points[j, d] - targets[row, d]) ** 2
                if unit is not None:
                    dot += (points[j, d] - starts[row, d]) * unit[d]
                way += (points[j, d] - starts[row, d]) * (points[j, d] - starts[row, d])
            inside = tau is None or unit is None or (dot >= tau * np.sqrt(way) and way > 0)
            for cone in {inside, False}:
                best[cone] = min(best.get(cone, (np.inf, -1)), (squared, int(j)))
        if not best:
            break
        inside = True in best
        pick = best[inside][1]
        out.append((pick, inside))
        is_open[max(0, pick - gap) : pick + gap + 1] = False
    return out


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size, dimensions, sources = draw(st.integers(1, 400)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    points = rng.standard_normal((size, dimensions))
    if draw(st.booleans()):  # many ties and duplicates
        points = np.round(points * draw(st.sampled_from([0.5, 1, 2])))
    starts = points[rng.integers(0, size, sources)] + draw(st.sampled_from([0.0, 0.1, 5.0]))
    directions = rng.standard_normal((sources, dimensions)) * draw(st.sampled_from([0.0, 1e-9, 1.0]))
    if draw(st.booleans()):  # sources that compete for the same points
        starts[:], directions[:] = starts[0], directions[0]
    return {
        "points": points,
        "is_open": rng.random(size) < draw(st.sampled_from([0.0, 0.1, 1.0])),
        "starts": starts,
        "targets": starts + directions * draw(st.sampled_from([1e-6, 0.5, 3.0])),
        "directions": directions,
        "order": [int(r) for r in rng.integers(0, sources, draw(st.integers(0, 60)))],
        "tau": draw(st.sampled_from([None, -1.0, 0.0, 0.5, 0.9, 1.0])),
        "gap": draw(st.integers(0, 2)),
    }


@settings(max_examples=150)
@given(problems())
def test_picks_equal_those_of_exact_greedy_search(problem: dict[str, Any]) -> None:
    expected = brute_force(**problem)
    gap, size = problem["gap"], len(problem["points"])
    picks = ConeSearch(problem["points"], problem["is_open"]).greedy(
        problem["starts"],
        problem["targets"],
        problem["directions"],
        problem["order"],
        tau=problem["tau"],
        closes=(lambda j: range(max(0, j - gap), min(size, j + gap + 1))) if gap else None,
    )
    assert [(p.index, p.in_cone) for p in picks] == expected


def vectorised(points: Any, starts: Any, targets: Any, directions: Any, tau: float) -> list[int]:
    is_open, out = np.ones(len(points), bool), []
    for s, t, u in zip(starts, targets, directions, strict=True):
        way = points - s
        inside = is_open & (way @ u >= tau * np.linalg.norm(way, axis=1))
        use = inside if inside.any() else is_open
        out.append(int(np.where(use, ((points - t) ** 2).sum(1), np.inf).argmin()))
        is_open[out[-1]] = False
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("away", "step"), [(0.0, 0.3), (0.0, 1e-6), (6.0, 1.0)])
def test_large_pools_give_the_exact_picks_whatever_the_type_of_number(dtype: Any, away: float, step: float) -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((30_000, 3)).astype(dtype)
    starts = np.asarray(rng.standard_normal((40, 3)) * (0.01 if away else 1.0) + [away, 0, 0], np.float64)
    directions = rng.standard_normal((40, 3)) * (0.1 if away else 1.0) + [away, 0, 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    picks = ConeSearch(points, np.ones(len(points), bool)).greedy(starts, starts + step * directions, directions, range(40), tau=0.5)
    assert [p.index for p in picks] == vectorised(points.astype(np.float64), starts, starts + step * directions, directions, 0.5)
    assert any(not p.in_cone for p in picks) == (away > 0)


def test_the_cone_is_about_the_start_not_the_target() -> None:
    points = np.array([[0.0, 1.0], [4.0, 0.0]])
    start, ahead = np.zeros((1, 2)), np.array([[1.0, 0.0]])
    (pick,) = ConeSearch(points, np.ones(2, bool)).greedy(start, 0.1 * ahead, ahead, [0], tau=0.5)
    assert (pick.index, pick.in_cone, pick.cosine) == (1, True, 1.0)
    assert pick.distance == pytest.approx(3.9)
    (without,) = ConeSearch(points, np.ones(2, bool)).greedy(start, 0.1 * ahead, ahead, [0], tau=None)
    assert without.index == 0


def test_an_empty_cone_falls_back_to_the_nearest_and_says_so() -> None:
    points = np.array([[-1.0, 0.0], [-3.0, 0.0]])
    ahead = np.array([[1.0, 0.0]])
    picks = ConeSearch(points, np.ones(2, bool)).greedy(np.zeros((1, 2)), ahead, ahead, [0, 0, 0], tau=0.5)
    assert [(p.index, p.in_cone) for p in picks] == [(0, False), (1, False)]


def test_a_pool_with_nothing_open_gives_nothing() -> None:
    assert ConeSearch(np.zeros((3, 2)), np.zeros(3, bool)).greedy(np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2)), [0], tau=0.5) == []


def test_masses_of_identical_latents_go_in_order_of_their_index() -> None:
    points = np.zeros((5000, 3), np.float32)
    ahead = np.array([[1.0, 0.0, 0.0]])
    picks = ConeSearch(points, np.ones(5000, bool)).greedy(-ahead, 0 * ahead, ahead, [0] * 200, tau=0.5)
    assert [p.index for p in picks] == list(range(200))


def test_the_neighbour_distance_counts_other_cases_only() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.1], [20.0]])
    assert distance_to_other_cases(points, np.array([0, 0, 1, 1, 2])) == pytest.approx(np.median([5.0, 4.9, 4.9, 5.0, 14.9]))


@given(st.integers(0, 1000), st.integers(2, 300), st.integers(1, 4))
def test_the_neighbour_distance_equals_the_definition(seed: int, size: int, cases: int) -> None:
    rng = np.random.default_rng(seed)
    points, case = rng.standard_normal((size, 2)), np.sort(rng.integers(0, cases, size))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    single = len(np.unique(case)) == 1
    distance[np.eye(size, dtype=bool) if single else case[:, None] == case[None]] = np.inf
    assert distance_to_other_cases(points, case) == pytest.approx(np.median(distance.min(1)))


def test_the_neighbour_distance_of_one_huge_case_is_exact_too() -> None:
    points = np.concatenate([np.zeros((4000, 2)) + np.linspace(0, 1, 4000)[:, None], [[9.0, 9.0]]])
    case = np.array([0] * 4000 + [1])
    nearest = np.linalg.norm(points[:4000] - [9, 9], axis=1)
    assert distance_to_other_cases(points, case) == pytest.approx(np.median([*nearest, nearest.min()]), rel=1e-3)


def test_coinciding_or_missing_latents_have_no_neighbour_distance() -> None:
    assert distance_to_other_cases(np.zeros((4, 2)), np.arange(4)) == 0
    assert distance_to_other_cases(np.zeros((1, 2)), np.arange(1)) == 0
