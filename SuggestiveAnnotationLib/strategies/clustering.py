"""Strategies that cluster the manifold's latents and look at no model: typical clustering, and clustering with max-cover.

Both can draw a first batch. Clustering runs on one thread: sums over threads end differently from run to run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KDTree
from threadpoolctl import threadpool_limits

from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice, pick_phrase, require
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.strategies.coverage import MaxCover
from SuggestiveAnnotationLib.strategies.points import Floats, Ids, by_unit, directions_of, latents_of, sample
from SuggestiveAnnotationLib.types import Rationale

LEAVES = 1000
"""Points that agglomerative clustering is given, at the most: its memory grows with their square."""

COMPARED = 2000
"""Points of one cluster that max-cover compares with one another, at the most."""

EXACT = 10_000
"""Points up to which k-means looks at all of them in every step."""


def k_means(points: Floats, clusters: int, seed: int) -> tuple[Ids, Floats]:
    """Cluster of every point and the centres; on mini-batches for more than 10,000 points.

    Every cluster has a point: they are fewer where points coincide, if only up to rounding.
    """
    clusters = min(clusters, len(np.unique(points, axis=0)))
    kind = KMeans if len(points) <= EXACT else MiniBatchKMeans
    with _reproducible():
        fitted = kind(n_clusters=clusters, random_state=seed % 2**32, n_init=1).fit(points)
    used, labels = np.unique(fitted.labels_, return_inverse=True)
    return labels.astype(np.intp), fitted.cluster_centers_[used]


def agglomerated(points: Floats, clusters: int, seed: int) -> Ids:
    """Cluster of every point by Ward's linkage. More than 1,000 points are first gathered into 1,000 by k-means, each counting once."""
    if len(points) > LEAVES:
        leaf, centres = k_means(points, LEAVES, seed)
    else:
        leaf, centres = np.arange(len(points)), points
    if len(centres) <= clusters:
        return leaf
    with _reproducible():
        of_leaf = AgglomerativeClustering(n_clusters=clusters, linkage="ward").fit_predict(centres)
    labels: Ids = of_leaf.astype(np.intp)[leaf]
    return labels


@contextmanager
def _reproducible() -> Iterator[None]:
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Points that coincide up to rounding leave a cluster empty: nothing to tell anybody.
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _shown(query: Query, board: Board) -> tuple[Ids, Floats, NDArray[np.bool_]]:
    """Units with an image, ascending, the mean of their slices' latents, and whether any of their slices is annotated."""
    slices = np.flatnonzero(~query.pool.blank)
    units, points = by_unit(board, slices, latents_of(query, slices))
    annotated = np.isin(units, board.unit_of(np.flatnonzero(query.pool.labelled)))
    return units, points, annotated


@dataclass(frozen=True, kw_only=True)
class TypicalClustering(BatchStrategy):
    """TypiClust (Hacohen et al., ICML 2022) on the VAE's latents: the most typical slice of each large cluster without annotation.

    k-means makes as many clusters as there are annotated and asked-for units together, `most_clusters` at most. Clusters with the fewest
    annotated units come first, of those the largest; clusters of fewer than 5 come last. The most typical unit has the least mean distance
    to its (up to 20) nearest neighbours in the cluster. Beyond 10,000 units k-means works on mini-batches. The published method learns its
    features by self-supervision on images; here they are the VAE's.

    Attributes:
        most_clusters: limit to the number of clusters (published: 500).
    """

    name: ClassVar[str] = "typical-clustering"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MANIFOLD})

    most_clusters: int = 500

    NEIGHBOURS: ClassVar[int] = 20
    SMALL: ClassVar[int] = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.most_clusters >= 1, "most_clusters", self.most_clusters, "1 or more")

    def choose(self, query: Query, board: Board) -> Choice:
        """A pick of the cluster that comes first, again and again: every pick changes the order."""
        units, points, annotated = _shown(query, board)
        wanted = min(self.most_clusters, int(annotated.sum()) + query.budget, len(units))
        labels = k_means(points, max(1, wanted), query.seed)[0]
        members = [np.flatnonzero(labels == c) for c in range(int(labels.max()) + 1)]
        covered = np.array([int(annotated[m].sum()) for m in members])
        sizes = np.array([len(m) for m in members])
        waiting = [m[np.argsort(self._distance(points[m]), kind="stable")].tolist() for m in members]
        picks: list[tuple[int, Rationale]] = []
        while len(picks) < query.budget:
            for rows in waiting:
                while rows and not board.open[units[rows[0]]]:
                    rows.pop(0)
            left = np.flatnonzero([bool(rows) for rows in waiting])
            if not len(left):
                break
            cluster = int(left[np.lexsort((-sizes[left], covered[left], sizes[left] < self.SMALL))[0]])
            unit = int(units[waiting[cluster][0]])
            picks.append((unit, self._rationale(int(sizes[cluster]), int(covered[cluster]), board.noun)))
            board.take(unit)
            covered[cluster] += 1
        return Choice(picks)

    def _distance(self, points: Floats) -> Floats:
        """Mean distance of every point of a cluster to its nearest neighbours in it."""
        if len(points) == 1:
            return np.zeros(1)
        distances: Floats = KDTree(points).query(points, min(self.NEIGHBOURS + 1, len(points)))[0][:, 1:].mean(1)
        return distances

    def _rationale(self, size: int, covered: int, noun: str) -> Rationale:
        known = "none of them is annotated or suggested yet" if not covered else f"{covered} of them annotated or suggested already"
        sentence = f"Chosen as the most typical of a group of {pick_phrase(size, 'similar ' + noun)}: {known}."
        return Rationale(self.name, sentence, details={"cluster_size": size, "covered": covered})


@dataclass(frozen=True, kw_only=True)
class ClusterMaxCover(BatchStrategy):
    """ClsMC (Zheng et al., AAAI 2019, after the 2022 paper): clusters of the latents, max-cover in each, then max-cover over those picks.

    Similarity is the cosine of the latents. A cluster puts forward its share, by size, of twice the budget. The published choice is made
    *one time only*, before any training. Here annotated units count as chosen: a later round goes on covering where the last stopped,
    and no model is asked, so that training never changes what comes next; with one round it is the published method. How many clusters
    and candidates the papers used is not known: both are ours. More than 1,000 units are gathered by k-means before they are clustered; a
    cluster compares at most 2,000 of its units with as many, and the last cover counts for at most 4,000 of all, drawn by the seed,
    because similarities of all pairs of 39,000 slices fit no memory.

    Attributes:
        clusters: number of clusters.
    """

    name: ClassVar[str] = "cluster-max-cover"
    requires: ClassVar[frozenset[Requirement]] = frozenset({Requirement.MANIFOLD})

    clusters: int = 10

    CANDIDATES: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.clusters >= 1, "clusters", self.clusters, "1 or more")

    def choose(self, query: Query, board: Board) -> Choice:
        """Put candidates forward and cover with them, again where a minimum gap leaves too few."""
        units, points, annotated = _shown(query, board)
        directions = directions_of(points.astype(np.float32))
        labels = agglomerated(points, self.clusters, query.seed)
        sizes = np.bincount(labels)
        chosen = annotated.copy()
        everything = sample(np.arange(len(units)), 2 * COMPARED, [query.seed, 1])
        picks: list[tuple[int, Rationale]] = []
        while len(picks) < query.budget and board.open[units].any():
            candidates = self._candidates(query, board.open[units], directions, labels, chosen, query.budget - len(picks))
            cover = _cover(directions, candidates, everything, chosen)
            left = np.ones(len(candidates), bool)
            while len(picks) < query.budget and (best := cover.best(left & board.open[units[candidates]])) is not None:
                row = int(candidates[best[0]])
                left[best[0]] = False
                cover.add(best[0])
                chosen[row] = True
                picks.append((int(units[row]), self._rationale(best[1] / len(everything), int(sizes[labels[row]]), board.noun)))
                board.take(int(units[row]))
        return Choice(picks)

    def _candidates(
        self, query: Query, is_open: NDArray[np.bool_], directions: Floats, labels: Ids, chosen: NDArray[np.bool_], wanted: int
    ) -> Ids:
        """Rows that the clusters put forward."""
        total, out = int(is_open.sum()), []
        for cluster in np.unique(labels[is_open]).tolist():
            members = np.flatnonzero(labels == cluster)
            mine = sample(members[is_open[members]], COMPARED, [query.seed, 2, cluster])
            share = min(len(mine), max(1, round(self.CANDIDATES * wanted * int(is_open[members].sum()) / total)))
            of_cluster = np.zeros(len(chosen), bool)
            of_cluster[members] = chosen[members]
            cover = _cover(directions, mine, sample(members, COMPARED, [query.seed, 3, cluster]), of_cluster)
            left = np.ones(len(mine), bool)
            for _ in range(share):
                best = cover.best(left)
                assert best is not None, "the share is at most the cluster"
                left[best[0]] = False
                cover.add(best[0])
            out.append(mine[~left])
        candidates = np.concatenate(out)
        # Candidates that add nothing come in the order of their rows: a random one, so that cases do not come one after the other.
        shuffled: Ids = np.random.default_rng([query.seed, 4]).permutation(candidates)
        return shuffled

    def _rationale(self, gain: float, size: int, noun: str) -> Rationale:
        group = f"a group of {pick_phrase(size, 'similar ' + noun)}"
        sentence = (
            f"Chosen from {group} because of all candidates it stands for most {noun}s that nothing annotated or suggested resembles."
        )
        return Rationale(self.name, sentence, score=gain, details={"cover_gain": gain, "cluster_size": size})


def _cover(directions: Floats, candidates: Ids, represented: Ids, chosen: NDArray[np.bool_]) -> MaxCover:
    """The cover of `represented` rows, as the chosen rows leave it."""
    covered = np.zeros(len(represented), directions.dtype)
    rows = np.flatnonzero(chosen)
    for start in range(0, len(rows), COMPARED):
        covered = np.maximum(covered, (directions[represented] @ directions[rows[start : start + COMPARED]].T).max(1))
    return MaxCover(directions[candidates] @ directions[represented].T, covered)
