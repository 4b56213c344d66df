"""The latent map of a study: from d latent units to two numbers a slice, with the choices of the last round as arrows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.report.data import POINT_STATES, Arrow, LatentMap, PointState
from SuggestiveAnnotationLib.study.records import SuggestionRow
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef, slice_number

Embedding = Literal["PCA", "t-SNE"]


def latent_map(study: Study, *, embedding: Embedding = "PCA", seed: int = 0) -> LatentMap | None:
    """The pool under the newest manifold; None where no manifold has been trained."""
    model = study.latest_model("manifold")
    if model is None or model.latents is None:
        return None
    refs, latents = study.latents(model)
    rows = _with_arrows(study, latents.shape[1])
    places = [
        vector
        for row in rows
        for vector in (row.suggestion.rationale.source_latent, row.suggestion.rationale.projected, row.suggestion.rationale.chosen_latent)
    ]
    extra = np.asarray(places, np.float32).reshape(-1, latents.shape[1])
    points, moved, axes, method = flatten(latents, extra, embedding=embedding, seed=seed)
    corners = [(float(x), float(y)) for x, y in moved]
    arrows = tuple(
        Arrow(source, projected, chosen, _name(row.suggestion.ref))
        for row, source, projected, chosen in zip(rows, corners[::3], corners[1::3], corners[2::3], strict=True)
    )
    states = _states(study)
    names = tuple(dict.fromkeys(ref.case for ref in refs))
    numbers = {name: i for i, name in enumerate(names)}
    return LatentMap(
        points=points,
        axes=axes,
        states=np.array([POINT_STATES.index(states.get(ref, "unlabelled")) for ref in refs], np.uint8),
        case_of=np.array([numbers[ref.case] for ref in refs], np.intp),
        cases=names,
        arrows=arrows,
        method=method,
    )


def flatten(
    latents: NDArray[np.float32], extra: NDArray[np.float32], *, embedding: Embedding = "PCA", seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[str, str], str]:
    """Latents `(n, d)` and further vectors `(m, d)` in the plane.

    Two units stay as they are. PCA is fitted on the latents alone and moves the further vectors along. t-SNE has no such map: a further
    vector is put where its nearest latents are, at their mean weighted by inverse distance; on a latent it equals, exactly.

    Returns:
        `(n, 2)`, `(m, 2)`, the names of the axes, and one sentence on how it was done.
    """
    n, size = latents.shape
    if size == 1:
        both = np.pad(np.concatenate([latents, extra]), ((0, 0), (0, 1)))
        return both[:n], both[n:], ("latent unit 1", "(the manifold has one unit)"), "The manifold has a single latent unit."
    if size == 2:
        return latents, extra, ("latent unit 1", "latent unit 2"), "The two axes are the two latent units themselves."
    if embedding == "t-SNE" and n > 3:
        from sklearn.manifold import TSNE

        fitted = TSNE(2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed).fit_transform(latents)
        sentence = (
            f"{size} latent units were embedded in the plane by t-SNE: neighbours are kept, distances between groups mean little. "
            "Projected points stand between the slices that are nearest to them."
        )
        return fitted, among_neighbours(extra, latents, fitted), ("t-SNE 1 (no unit)", "t-SNE 2 (no unit)"), sentence
    if n < 2:
        return (
            np.zeros((n, 2), np.float32),
            np.zeros((len(extra), 2), np.float32),
            ("latent PCA 1", "latent PCA 2"),
            "There is a single slice.",
        )
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed).fit(latents)
    first, second = (f"latent PCA {i + 1} ({100 * share:.0f} % of variance)" for i, share in enumerate(pca.explained_variance_ratio_))
    moved = pca.transform(extra) if len(extra) else np.zeros((0, 2), np.float32)
    sentence = f"{size} latent units were reduced to two by principal components; what is near here may be far in the rest."
    return pca.transform(latents).astype(np.float32), moved.astype(np.float32), (first, second), sentence


def among_neighbours(
    extra: NDArray[np.float32], latents: NDArray[np.float32], points: NDArray[np.float32], *, count: int = 5
) -> NDArray[np.float32]:
    """Places for vectors that a map without a formula did not place: the inverse-distance mean of the points of their nearest latents.

    Args:
        extra: `(m, d)`.
        latents, points: `(n, d)` and where they lie, `(n, 2)`.
        count: nearest latents that have a say.

    Returns:
        `(m, 2)`.
    """
    out = np.zeros((len(extra), 2), np.float32)
    for i, vector in enumerate(extra.astype(np.float64)):
        distance = np.linalg.norm(latents - vector, axis=1)
        nearest = np.argsort(distance, kind="stable")[:count]
        if distance[nearest[0]] <= 1e-6 * (1 + np.linalg.norm(vector)):
            out[i] = points[nearest[0]]
        else:
            out[i] = np.average(points[nearest], axis=0, weights=1 / distance[nearest])
    return out


def _with_arrows(study: Study, size: int) -> list[SuggestionRow]:
    """Gradient-guided choices of the newest round that has some, made in this latent space."""
    rows = [row for row in study.suggestions() if has_arrow(row, size)]
    newest = max((row.round for row in rows), default=0)
    return [row for row in rows if row.round == newest]


def has_arrow(row: SuggestionRow, size: int) -> bool:
    """Whether a suggestion was led to by a gradient in a latent space of `size` units."""
    rationale = row.suggestion.rationale
    vectors = (rationale.source_latent, rationale.projected, rationale.chosen_latent)
    return all(v is not None and len(v) == size for v in vectors)


def _states(study: Study) -> dict[SliceRef, PointState]:
    """What became of each slice; slices without an entry are unlabelled."""
    states: dict[SliceRef, PointState] = dict.fromkeys(study.annotated_refs(), "labelled")
    for row in study.suggestions():
        ref = row.suggestion.ref
        if row.state == "skipped" and ref not in states:
            states[ref] = "skipped"
        elif row.state in ("suggested", "draft") and ref not in states:
            states[ref] = "suggested"
        elif row.state == "accepted" and row.suggestion.kind == "audit":
            states[ref] = "audit"
    return states


def _name(ref: SliceRef) -> str:
    return f"{ref.case}, {slice_number(ref)}"
