"""Nearest latent inside a cone, greedily without replacement: eq. 5 and 6 of the 2022 paper, exact, for pools up to millions.

For sources `i` in a given order, pick the open point `j` nearest to the target `t_i` among those with
`(p_j - s_i) . u_i >= tau |p_j - s_i|` and `p_j != s_i`, then close it (and whatever else the pick closes). Ties go to the lower index.
All distances are float64, summed dimension by dimension, so that every route below gives bit-identical values.

One query of a k-d tree proposes the neighbours of all targets. Where those do not decide (an empty cone, many closed points), asking the
tree for ever more would end at the whole pool; instead the tree's boxes are opened nearest first, and boxes outside the cone, or farther
than what was found, never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

FIRST_NEIGHBOURS = 32
BOX_POINTS = 128
ROUNDING = 1e-9  # relative; bounds from the tree are trusted up to this

Floats = NDArray[np.float64]
Ids = NDArray[np.intp]


@dataclass(frozen=True)
class Pick:
    """One pick: `index` of the point, of the source `row`, whether it lies in the cone, its distance to the target and its cosine.

    `votes` of `of` directions lead there, where a source has several.
    """

    row: int
    index: int
    in_cone: bool
    distance: float
    cosine: float
    votes: int = 1
    of: int = 1


@dataclass
class _Row:
    """A certain, sorted list of what is nearest for one source; refilled when used up."""

    near: list[int]
    asked: int
    complete: bool
    cursor: int = 0


class ConeSearch:
    """The search structure of one round, built once over the points that may be picked.

    Args:
        points: `(n, d)`, any float type.
        open_points: `(n,)`, which of them may be picked.
    """

    def __init__(self, points: NDArray[Any], open_points: NDArray[np.bool_]) -> None:
        self._total = len(open_points)
        self._ids: Ids = np.flatnonzero(open_points)
        self._columns: tuple[Floats, ...] = ()
        if not len(self._ids):
            return
        # The public tree of scikit-learn is float64 whatever it is given; say so.
        self._tree = KDTree(np.ascontiguousarray(points[self._ids], np.float64), leaf_size=32)
        data, order, nodes, bounds = self._tree.get_arrays()
        self._tree_order: Ids = np.asarray(order).astype(np.intp)
        self._columns = tuple(np.ascontiguousarray(c) for c in np.asarray(data).T)
        self._ordered = tuple(c[self._tree_order] for c in self._columns)
        first = _first_node(len(self._ids), len(nodes))
        level = slice(first, 2 * first + 1)
        self._starts: Ids = nodes["idx_start"][level].astype(np.intp)
        self._ends: Ids = nodes["idx_end"][level].astype(np.intp)
        self._low, self._high = np.array(bounds[0, level]), np.array(bounds[1, level])
        self._centre = (self._low + self._high) / 2
        self._radius = np.linalg.norm(self._high - self._low, axis=1) / 2

    def greedy(
        self,
        starts: NDArray[Any],
        targets: NDArray[Any],
        directions: NDArray[Any],
        order: Iterable[int],
        *,
        tau: float | None,
        closes: Callable[[int], Sequence[int] | Ids] | None = None,
    ) -> list[Pick]:
        """One pick for every entry of `order`, until nothing is open.

        Args:
            starts, targets, directions: `(m, d)`, one row a source. A zero direction has no cone: it takes the nearest.
            order: rows, in the order in which they pick; a row may come again.
            tau: least cosine; None: no cone.
            closes: index of a picked point -> all indices the pick closes; default: the point alone.

        Returns: picks in order. `in_cone` is False where no open point satisfied the condition and the nearest was taken instead.
        """
        rows = [int(r) for r in order]
        search = self.pass_over(starts, targets, directions, rows, tau=tau)
        picks: list[Pick] = []
        for row in rows:
            pick = search.nearest(row)
            if pick is None:
                break
            picks.append(pick)
            search.close([pick.index] if closes is None else closes(pick.index))
        return picks

    def pass_over(
        self, starts: NDArray[Any], targets: NDArray[Any], directions: NDArray[Any], rows: Iterable[int], *, tau: float | None
    ) -> GreedyPass:
        """One greedy pass, for callers that ask several rows before they pick. Arguments as in `greedy`; `rows` are those it will ask."""
        cones = _Cones(np.asarray(starts, np.float64), np.asarray(targets, np.float64), _unit(np.asarray(directions, np.float64)), tau)
        return GreedyPass(self, cones, self._ids, self._total, sorted(set(rows)))

    def propose(self, targets: Floats, count: int) -> tuple[Floats, Ids]:
        """The tree's `count` nearest of every target: distances to the farthest `(m,)`, positions `(m, count)`."""
        distance, position = self._tree.query(targets, count)
        return distance[:, -1], position

    def coordinates(self, positions: Ids) -> list[Floats]:
        """Columns of the points at the given positions."""
        return [c[positions] for c in self._columns]

    def best_first(self, cones: _Cones, row: int, in_cone: bool, is_open: NDArray[np.bool_], most: int) -> tuple[Ids, bool]:
        """Up to `most` nearest open positions of a row, sorted, by opening boxes in order of distance; and whether that is all there is."""
        target = cones.targets[row]
        gap = np.clip(target, self._low, self._high) - target
        bound = np.einsum("nd,nd->n", gap, gap) * (1 - ROUNDING)
        boxes = np.flatnonzero(cones.may_reach(row, self._centre, self._radius)) if in_cone else np.arange(len(bound))
        boxes = boxes[np.argsort(bound[boxes], kind="stable")]
        found, squared = np.empty(0, np.intp), np.empty(0)
        opened, step = 0, 8
        while opened < len(boxes) and not (len(found) == most and bound[boxes[opened]] > squared[-1]):
            ranges = [slice(self._starts[b], self._ends[b]) for b in boxes[opened : opened + step]]
            opened, step = opened + step, min(64, step * 2)
            position = np.concatenate([self._tree_order[r] for r in ranges])
            columns = [np.concatenate([c[r] for r in ranges]) for c in self._ordered]
            keep = is_open[position]
            if in_cone:
                keep &= cones.contains(row, columns)
            position = np.concatenate([found, position[keep]])
            squared = np.concatenate([squared, cones.squared_distance(row, [c[keep] for c in columns])])
            best = np.lexsort((position, squared))[:most]
            found, squared = position[best], squared[best]
        return found, len(found) < most


@dataclass(frozen=True)
class _Cones:
    starts: Floats
    targets: Floats
    directions: Floats
    tau: float | None

    def has_cone(self, row: int) -> bool:
        return self.tau is not None and bool(self.directions[row].any())

    def squared_distance(self, row: int | Ids, columns: list[Floats]) -> Floats:
        return _sum([(c - t) ** 2 for c, t in zip(columns, _columns(self.targets, row), strict=True)])

    def cosine(self, row: int | Ids, columns: list[Floats]) -> tuple[Floats, Floats]:
        """Dot product with the unit direction, and length, of the way from the start to the points."""
        way = [c - s for c, s in zip(columns, _columns(self.starts, row), strict=True)]
        dot = _sum([w * u for w, u in zip(way, _columns(self.directions, row), strict=True)])
        return dot, np.sqrt(_sum([w * w for w in way]))

    def contains(self, row: int | Ids, columns: list[Floats]) -> NDArray[np.bool_]:
        dot, length = self.cosine(row, columns)
        inside: NDArray[np.bool_] = (dot >= (-1.0 if self.tau is None else self.tau) * length) & (length > 0)
        return inside

    def may_reach(self, row: int, centre: Floats, radius: Floats) -> NDArray[np.bool_]:
        """Whether the cone can meet the balls; never False where it does."""
        way = centre - self.starts[row]
        length = np.linalg.norm(way, axis=1)
        apart = length > radius
        safe = np.where(apart, length, 1.0)
        angle = np.arccos(np.clip(way @ self.directions[row] / safe, -1, 1))
        ball = np.arcsin(np.clip(np.where(apart, radius, 0.0) / safe, 0, 1))
        half = np.arccos(np.clip(-1.0 if self.tau is None else self.tau, -1, 1))
        reached: NDArray[np.bool_] = ~apart | (angle - ball <= half + 1e-6)
        return reached


class GreedyPass:
    """One greedy pass. Positions are places in the search's own point list; indices are the caller's."""

    def __init__(self, search: ConeSearch, cones: _Cones, ids: Ids, total: int, rows: list[int]) -> None:
        self._search, self._cones, self._ids = search, cones, ids
        self._open = np.ones(len(ids), bool)
        self._place = np.full(total, -1, np.intp)
        self._place[ids] = np.arange(len(ids))
        self._rows: dict[tuple[int, bool], _Row] = {}
        if len(ids) and rows:
            self._propose(rows, [cones.has_cone(r) for r in rows])

    def nearest(self, row: int) -> Pick | None:
        """What the row would pick now: the nearest open point in its cone, or the nearest at all; None where nothing is open."""
        if not len(self._ids):
            return None
        wanted = self._cones.has_cone(row)
        position = self._nearest(row, wanted)
        in_cone = position is not None or not wanted
        if position is None and wanted:
            position = self._nearest(row, False)
        return None if position is None else self._pick(row, position, in_cone)

    def close(self, indices: Sequence[int] | Ids) -> None:
        """Rule points out for the rest of the pass."""
        shut = self._place[np.asarray(indices, np.intp)]
        self._open[shut[shut >= 0]] = False

    def _pick(self, row: int, position: int, in_cone: bool) -> Pick:
        columns = self._search.coordinates(np.array([position]))
        dot, length = self._cones.cosine(row, columns)
        cosine = float(dot[0] / length[0]) if length[0] else 0.0
        return Pick(row, int(self._ids[position]), in_cone, float(np.sqrt(self._cones.squared_distance(row, columns)[0])), cosine)

    def _propose(self, rows: list[int], in_cone: list[bool]) -> None:
        """First lists of all rows, with one query of the tree."""
        count = min(FIRST_NEIGHBOURS, len(self._ids))
        lists = self._certain(np.array(rows, np.intp), count, in_cone)
        for row, cone, near in zip(rows, in_cone, lists, strict=True):
            self._rows[row, cone] = _Row(near, count, count == len(self._ids))

    def _certain(self, rows: Ids, count: int, in_cone: list[bool]) -> list[list[int]]:
        """For every row the sorted positions that are certainly its nearest: strictly nearer than the tree's farthest proposal."""
        farthest, position = self._search.propose(self._cones.targets[rows], count)
        columns = self._search.coordinates(position)
        squared = self._cones.squared_distance(rows[:, None], columns)
        keep = self._cones.contains(rows[:, None], columns) | ~np.array(in_cone)[:, None]
        if count < len(self._ids):
            keep &= squared < (farthest**2 * (1 - ROUNDING))[:, None]
        order = np.lexsort((position, squared), axis=1)
        position, keep = np.take_along_axis(position, order, 1), np.take_along_axis(keep, order, 1)
        return [p[k].tolist() for p, k in zip(position, keep, strict=True)]

    def _nearest(self, row: int, in_cone: bool) -> int | None:
        if (row, in_cone) not in self._rows:
            self._propose([row], [in_cone])
        state = self._rows[row, in_cone]
        while True:
            while state.cursor < len(state.near):
                position = state.near[state.cursor]
                if self._open[position]:
                    return position
                state.cursor += 1
            if state.complete:
                return None
            self._refill(row, in_cone, state)

    def _refill(self, row: int, in_cone: bool, state: _Row) -> None:
        # Lists double, so that a source that picks often does not search the same boxes again and again.
        state.asked = min(len(self._ids), 2 * state.asked)
        found, state.complete = self._search.best_first(self._cones, row, in_cone, self._open, state.asked)
        state.near, state.cursor = found.tolist(), 0


def distance_to_other_cases(points: NDArray[Any], case_of: Ids, *, sample: int = 1024) -> float:
    """Median distance from a point to the nearest point of another case; the unit of the step length.

    Neighbouring slices of one case are near-duplicates, so the distance inside a case says nothing about the manifold. Of large pools an
    evenly spaced sample of points is asked; all points are searched. Cases that coincide are left out of the median.
    With a single case: the distance to the nearest other point. Fewer than two distinct points: 0.

    Args:
        points: `(n, d)` latents. case_of: `(n,)`.
    """
    if len(points) < 2:
        return 0.0
    data = np.ascontiguousarray(points, np.float64)
    group = case_of if (case_of != case_of[0]).any() else np.arange(len(data))
    asked = np.unique(np.linspace(0, len(data) - 1, min(sample, len(data))).astype(np.intp))
    nearest = np.full(len(asked), np.inf)
    tree = KDTree(data, leaf_size=32)
    todo, count = np.arange(len(asked)), 8
    while len(todo) and count <= 2048:
        distance, index = tree.query(data[asked[todo]], min(count, len(data)))
        other = group[index] != group[asked[todo]][:, None]
        nearest[todo] = np.where(other, distance, np.inf).min(1)
        todo, count = todo[~other.any(1)], count * 4
    for row in todo.tolist():
        away = data[group != group[asked[row]]] - data[asked[row]]
        nearest[row] = float(np.sqrt(np.einsum("nd,nd->n", away, away).min()))
    apart = nearest[nearest > 0]
    return float(np.median(apart)) if len(apart) else 0.0


def _first_node(points: int, nodes: int) -> int:
    """First node of the deepest full level of the binary tree whose boxes hold at least `BOX_POINTS` points."""
    level = 0
    while 2 ** (level + 2) - 1 <= nodes and points / 2 ** (level + 1) >= BOX_POINTS:
        level += 1
    return int(2**level - 1)


def _unit(directions: Floats) -> Floats:
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    usable = np.isfinite(length) & (length > 0)
    return np.where(usable, directions / np.where(usable, length, 1.0), 0.0)


def _columns(rows: Floats, row: int | Ids) -> list[Any]:
    return [rows[row, d] for d in range(rows.shape[1])]


def _sum(terms: list[Floats]) -> Floats:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
