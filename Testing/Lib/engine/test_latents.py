"""The latent space as a plot gets it: a place for every slice, the way of every choice, and images along an axis."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.engine.latents import decode_latent, latent_view
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

MakeStudy = Callable[..., Study]


def fitted(make_study: MakeStudy, *, size: int = 3, members: int = 1, modalities: tuple[str, ...] = ("t1",)) -> Study:
    study = make_study(prepared=True, modalities=modalities)
    options = ManifoldOptions(
        manifold_network="tiny",
        manifold_steps=6,
        manifold_batch=4,
        manifold_pixels=32,
        latent_size=size,
        manifold_members=members,
        device="cpu",
    )
    fit_manifold(study, options=options)
    return study


def guided(study: Study, *refs: SliceRef) -> None:
    """A round whose choices went from the first slice of the pool, past a point beside it, to the chosen slice."""
    known, latents = study.latents()
    rows = []
    for rank, ref in enumerate(refs):
        chosen = latents[known.index(ref)]
        vectors = {
            "source_latent": tuple(float(v) for v in latents[0]),
            "projected": tuple(float(v) for v in latents[0] + 0.5),
            "chosen_latent": tuple(float(v) for v in chosen),
        }
        rows.append(Suggestion(ref, rank, Rationale("gradient-guided", "Near.", source=known[0], **vectors)))
    rows.append(Suggestion(known[1], len(rows), Rationale("audit", "Drawn at random."), kind="audit"))
    number = study.start_round(strategy="gradient-guided", budget=2, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, rows)


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


@pytest.mark.parametrize("method", ["auto", "pca", "t-sne"])
@pytest.mark.parametrize("size", [2, 3])
def test_every_slice_has_a_place_and_every_choice_ends_on_its_slice(make_study: MakeStudy, size: int, method: str) -> None:
    study = fitted(make_study, size=size)
    chosen = (study.pool_refs()[5], study.pool_refs()[12])
    guided(study, *chosen)
    view = read(latent_view(study, method=method))
    refs = tuple(SliceRef(str(c), int(a), int(k)) for c, a, k in zip(view["case"], view["axis"], view["native_index"], strict=True))
    assert refs == study.pool_refs()
    assert view["points"].shape == (len(refs), 2)
    assert view["points"].dtype == np.float32
    assert int(view["latent_size"]) == size
    assert view["arrows"].shape == (2, 3, 2)
    assert [str(c) for c in view["arrow_case"]] == [ref.case for ref in chosen]
    assert view["arrow_native_index"].tolist() == [ref.native_index for ref in chosen]
    for arrow, ref in zip(view["arrows"], chosen, strict=True):
        np.testing.assert_allclose(arrow[0], view["points"][0], atol=1e-4)
        np.testing.assert_allclose(arrow[2], view["points"][refs.index(ref)], atol=1e-4)
    names = " ".join(str(name) for name in view["axes"])
    expected = "latent unit 1" if size == 2 else ("t-SNE 1" if method == "t-sne" else "% of variance")
    assert expected in names
    assert str(view["method"]).endswith(".")


def test_without_guided_choices_there_are_no_arrows(make_study: MakeStudy) -> None:
    view = read(latent_view(fitted(make_study)))
    assert view["arrows"].shape == (0, 3, 2)
    assert view["arrow_case"].shape == (0,)


def test_t_sne_is_made_once_and_takes_new_arrows(make_study: MakeStudy) -> None:
    study = fitted(make_study)
    path = latent_view(study, method="t-sne")
    first = read(path)
    # Whoever reads it again can tell that these are the points that were kept.
    moved = {**first, "points": first["points"] + 100}
    np.savez(path, allow_pickle=False, **moved)
    guided(study, study.pool_refs()[5])
    again = read(latent_view(study, method="t-sne"))
    np.testing.assert_array_equal(again["points"], moved["points"])
    np.testing.assert_allclose(again["arrows"][0, 2], moved["points"][5], atol=1e-4)
    os.truncate(path, 100)
    np.testing.assert_array_equal(read(latent_view(study, method="t-sne"))["points"], first["points"])


def test_what_cannot_be_shown_is_said(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    with pytest.raises(StudyError, match="No manifold has been fitted"):
        latent_view(study)
    with pytest.raises(InputError, match="no way umap to show latents"):
        latent_view(study, method="umap")
    with pytest.raises(StudyError):
        decode_latent(study, SliceRef("case0", 0, 3))


@pytest.mark.parametrize("members", [1, 2])
def test_images_along_an_axis_are_what_the_vae_decodes_there(make_study: MakeStudy, members: int) -> None:
    study = fitted(make_study, members=members, modalities=("t1", "flair"))
    ref = study.pool_refs()[5]
    path, values = decode_latent(study, ref, axis=1, count=5)
    assert values == (-2, -1, 0, 1, 2)
    images = np.load(path, allow_pickle=False)
    assert images.dtype == np.float32
    known, latents = study.latents()
    assert latents.shape[1] == 3 * members
    model = study.latest_model("manifold")
    assert model is not None
    vae, _ = load_checkpoint(model.path, device=torch.device("cpu"))
    place = latents[known.index(ref)].copy()
    for value, image in zip(values, images, strict=True):
        place[1] = latents[:, 1].mean() + value * latents[:, 1].std()
        with torch.inference_mode():
            decoded = vae.decode(torch.from_numpy(place[None]))
        np.testing.assert_allclose(image, decoded[0, study.modalities.index(study.reference_modality)].numpy(), atol=1e-5)


def test_axes_and_slices_that_are_not_there_are_refused(make_study: MakeStudy) -> None:
    study = fitted(make_study)
    ref = study.pool_refs()[5]
    with pytest.raises(InputError, match=r"no latent axis 4.*from 1 to 3"):
        decode_latent(study, ref, axis=3)
    with pytest.raises(InputError, match="1 images are too few"):
        decode_latent(study, ref, count=1)
    with pytest.raises(StudyError, match="no place in the latent space"):
        decode_latent(study, SliceRef("case0", 0, 99))
