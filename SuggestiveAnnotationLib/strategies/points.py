"""Units as points of a feature space: rows streamed from an access, reduced to units, and distances that large pools can afford."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.strategies.base import Board, finite, manifold_of, model_of
from SuggestiveAnnotationLib.strategies.contract import Query
from SuggestiveAnnotationLib.types import SliceRef

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.intp]

CHUNK = 1024


def latents_of(query: Query, slices: Ids) -> Floats:
    """Latents of pool slices, float64 `(n, d)`. Raises: StudyError, without a manifold or where a latent is not finite."""
    return finite(np.asarray(manifold_of(query).latents[slices], np.float64), slices, query.pool.refs, "latent")


def features_of(query: Query, slices: Ids) -> Floats:
    """Bottleneck features of the model, float32 `(n, F)`. Raises: StudyError, without a model or where a feature is not finite."""
    return stacked(model_of(query).features(slices.tolist()), slices, query.pool.refs, "feature")


def stacked(batches: Iterable[tuple[Ids, torch.Tensor]], slices: Ids, refs: Sequence[SliceRef], what: str) -> Floats:
    """Rows of an access in the order of `slices`, float32 `(n, F)`; `(0, 0)` without slices. Raises: StudyError, where one is no number."""
    out: NDArray[np.float32] = np.empty((0, 0), np.float32)
    start = 0
    for index, rows in batches:
        if not start:
            out = np.empty((len(slices), rows.shape[1]), np.float32)
        out[start : start + len(index)] = rows.float().cpu().numpy()
        start += len(index)
        finite(out[start - len(index) : start].astype(np.float64), np.asarray(index), refs, what)
    return out


def by_unit(board: Board, slices: Ids, values: Floats) -> tuple[Ids, Floats]:
    """Units of the given ascending slices, ascending, and the mean of `values` `(slices, ...)` over the slices of each."""
    units, first, counts = np.unique(board.unit_of(slices), return_index=True, return_counts=True)
    if len(units) == len(slices):
        return units, values
    # Slices of a case lie together in the pool.
    means: Floats = np.add.reduceat(values, first) / counts.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
    return units, means


def squared_to(points: Floats, norms: Floats, centre: Floats) -> Floats:
    """Squared Euclidean distances of `points` `(n, d)` with squared lengths `norms` `(n,)` to one centre `(d,)`, never negative."""
    away: Floats = np.maximum(norms + centre @ centre - 2 * (points @ centre), 0)
    return away


def squared_lengths(points: Floats) -> Floats:
    """`(n,)`."""
    lengths: Floats = np.einsum("nd,nd->n", points, points)
    return lengths


def nearest_of(points: Floats, others: Floats) -> tuple[Floats, Ids]:
    """Squared distance to the nearest of `others` `(m, d)` and which it is, `(n,)` each; infinite and -1 without others.

    Looks at a block of others at a time, so that memory stays at points times the block.
    """
    best, which = np.full(len(points), np.inf, points.dtype), np.full(len(points), -1, np.intp)
    norms, block = squared_lengths(points), max(1, 8 * CHUNK * CHUNK // max(1, len(points)))
    for start in range(0, len(others), block):
        some = others[start : start + block]
        away = np.maximum(norms[:, None] + squared_lengths(some)[None] - 2 * (points @ some.T), 0)
        place = away.argmin(1)
        value = away[np.arange(len(points)), place]
        nearer = value < best
        best[nearer], which[nearer] = value[nearer], place[nearer] + start
    return best, which


def directions_of(points: Floats) -> Floats:
    """Rows at length 1, so that products are cosines; zero rows stay zero."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    unit: Floats = points / np.where(length > 0, length, 1).astype(points.dtype)
    return unit


def sample(ids: Ids, most: int, seed: Sequence[int]) -> Ids:
    """At most `most` of the ids, drawn uniformly, ascending."""
    if len(ids) <= most:
        return ids
    drawn: Ids = np.sort(np.random.default_rng(seed).choice(ids, most, replace=False))
    return drawn
