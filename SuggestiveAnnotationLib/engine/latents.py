"""The latent space as a person looks at it: every slice on a plane, and images along an axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.files import whole_file, write_array
from SuggestiveAnnotationLib.report.collect_latents import Embedding, among_neighbours, flatten, has_arrow
from SuggestiveAnnotationLib.study.arrays import read_npz
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

METHODS: dict[str, Embedding] = {"auto": "PCA", "pca": "PCA", "t-sne": "t-SNE"}
RANGE = 2.0
"""Images are decoded from this many standard deviations below the mean of the pool to as many above it."""


def latent_view(study: Study, *, method: str = "auto", seed: int = 0) -> Path:
    """Place every encoded slice on a plane, with the way of each gradient-guided suggestion of the newest round.

    Args:
        study: with a fitted manifold.
        method: auto, pca or t-sne; latents of two numbers are shown as they are.
        seed: of t-SNE.

    Returns:
        A `.npz`: `case`, `axis`, `native_index` and `points` `(n, 2)` of the slices; `axes`, the names of both axes; `method`, a
        sentence; `arrows` `(m, 3, 2)`, source, projected point and chosen slice; `arrow_case`, `arrow_axis`, `arrow_native_index`, the
        slices they chose; `latent_size`.

    Raises:
        InputError: there is no such method.
        StudyError: no manifold has been fitted.
    """
    if method not in METHODS:
        raise InputError(f"There is no way {method} to show latents.", hint=f"Choose one of {', '.join(METHODS)}.")
    model = study.latest_model("manifold")
    if model is None:
        raise StudyError("No manifold has been fitted yet.", hint="It is learnt by the first round of a strategy that needs it.")
    refs, latents = study.latents(model)
    chosen, vectors = [], []
    newest = study.current_round()
    for row in study.suggestions(newest.number) if newest is not None else ():
        if has_arrow(row, latents.shape[1]):
            one = row.suggestion.rationale
            chosen.append(row.suggestion.ref)
            vectors += [one.source_latent, one.projected, one.chosen_latent]
    extra = np.asarray(vectors, np.float32).reshape(-1, latents.shape[1])
    path = study.path / "cache" / f"latents-{model.id}-{method}-{seed}.npz"
    kept = _kept(path) if method == "t-sne" and latents.shape[1] > 2 else None
    if kept is None:
        points, moved, axes, sentence = flatten(latents, extra, embedding=METHODS[method], seed=seed)
    else:
        # Only the arrows can be new.
        points, axes, sentence = kept
        moved = among_neighbours(extra, latents, points)
    with whole_file(path) as scratch:
        np.savez(
            scratch,
            allow_pickle=False,
            case=np.array([r.case for r in refs], np.str_),
            axis=np.array([r.axis for r in refs], np.int8),
            native_index=np.array([r.native_index for r in refs], np.int32),
            points=points.astype(np.float32),
            axes=np.array(axes, np.str_),
            method=np.array(sentence, np.str_),
            arrows=moved.reshape(-1, 3, 2).astype(np.float32),
            arrow_case=np.array([r.case for r in chosen], np.str_),
            arrow_axis=np.array([r.axis for r in chosen], np.int8),
            arrow_native_index=np.array([r.native_index for r in chosen], np.int32),
            latent_size=np.array(latents.shape[1]),
        )
    return path


def _kept(path: Path) -> tuple[NDArray[np.float32], tuple[str, str], str] | None:
    """Points, names of the axes and sentence of an earlier view of the same latents; t-SNE of a large pool takes a while."""
    try:
        kept = read_npz(path)
        first, second = (str(name) for name in kept["axes"])
        return kept["points"], (first, second), str(kept["method"])
    except (OSError, ValueError, KeyError, TypeError, SyntaxError):
        return None


def decode_latent(study: Study, ref: SliceRef, *, axis: int = 0, count: int = 7) -> tuple[Path, tuple[float, ...]]:
    """Images that the VAE decodes along one axis of its latent space; the other units are those of a slice.

    Args:
        study: with a fitted manifold.
        ref: an encoded slice.
        axis: 0-based latent unit.
        count: how many images, at least two.

    Returns:
        `.npy` float32 `(count, row, column)` of the reference modality, and where they lie on the axis: standard deviations of the pool
        from its mean, -2 to 2.

    Raises:
        InputError: no such axis, or too few images.
        StudyError: no manifold, or the slice was not encoded.
    """
    import torch

    from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
    from SuggestiveAnnotationLib.models.vae import VAE
    from SuggestiveAnnotationLib.models.vae_ensemble import VAEEnsemble

    model = study.latest_model("manifold")
    refs, latents = study.latents(model)
    if model is None or ref not in refs:
        raise StudyError("That slice has no place in the latent space.", hint="Choose a slice of a case that is annotated.")
    if not 0 <= axis < latents.shape[1]:
        raise InputError(f"There is no latent axis {axis + 1}.", hint=f"Choose one from 1 to {latents.shape[1]}.")
    if count < 2:
        raise InputError(f"{count} images are too few to see what an axis means.", hint="Ask for two or more.")
    values = np.linspace(-RANGE, RANGE, count)
    places = np.repeat(latents[refs.index(ref)][None], count, axis=0)
    places[:, axis] = latents[:, axis].mean() + values * latents[:, axis].std()
    network, _ = load_checkpoint(model.path, record_key=study.record.key, device=torch.device("cpu"))
    if not isinstance(network, VAE | VAEEnsemble):
        raise StudyError("The model of the manifold is no VAE.", hint="Fit the manifold again.")
    with torch.inference_mode():
        channel = study.record.modalities.index(study.record.reference)
        images = network.decode(torch.from_numpy(places.astype(np.float32)))[:, channel]
    path = study.path / "cache" / "decoded.npy"
    with whole_file(path) as scratch:
        write_array(scratch, images.float().numpy())
    return path, tuple(float(v) for v in values)
