"""Learning the manifold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tensor_images import TensorImages

from SuggestiveAnnotationLib.errors import Cancelled, StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.training.manifold import FittedManifold, ManifoldSettings, active_units, encode_images, fit_manifold

FAST = ManifoldSettings(latent_size=2, size="tiny", steps=120, learning_rate=3e-3, seed=0)


def _discs(n: int = 48, size: int = 32) -> tuple[TensorImages, np.ndarray]:
    """Discs that differ in radius only, and their radii."""
    radius = torch.linspace(3, 13, n)
    rows, columns = torch.meshgrid(torch.arange(size) - size / 2, torch.arange(size) - size / 2, indexing="ij")
    images = ((rows**2 + columns**2)[None] < radius[:, None, None] ** 2).float()[:, None]
    return TensorImages(images), radius.numpy()


@pytest.fixture(scope="module")
def fitted() -> FittedManifold:
    return fit_manifold(_discs()[0], settings=FAST)


def test_the_posterior_does_not_collapse(fitted):
    assert fitted.active_units >= 1
    assert fitted.latents.std(axis=0).max() > 0.3
    assert fitted.losses[-1][2] > 0.5


def test_the_reconstruction_improves_and_every_step_is_recorded(fitted):
    assert [step for step, _, _ in fitted.losses] == list(range(1, 121))
    assert fitted.losses[-1][1] < 0.3 * fitted.losses[0][1]


def test_the_latents_order_what_varies_in_the_images(fitted):
    """A latent direction follows the radius, the only thing that varies."""
    _, radius = _discs()
    prediction = np.c_[fitted.latents, np.ones(len(radius))]
    fit = prediction @ np.linalg.lstsq(prediction, radius, rcond=None)[0]
    assert np.corrcoef(fit, radius)[0, 1] > 0.9


def test_latents_are_float32_posterior_means_in_evaluation_mode(fitted):
    images, _ = _discs()
    assert fitted.latents.dtype == np.float32
    assert fitted.latents.shape == (48, 2)
    assert not fitted.model.training
    with torch.no_grad():
        mean, _ = fitted.model.encode(images.images(range(48)))
    np.testing.assert_allclose(fitted.latents, mean.numpy(), atol=1e-5)


def test_encoding_changes_no_buffer_and_restores_the_mode(fitted):
    before = {name: b.clone() for name, b in fitted.model.named_buffers()}
    again = encode_images(fitted.model.train(), _discs()[0], batch_size=7)
    assert fitted.model.training
    fitted.model.eval()
    np.testing.assert_allclose(again, fitted.latents, atol=1e-5)
    assert all(torch.equal(before[name], b) for name, b in fitted.model.named_buffers())


def test_the_same_seed_gives_the_same_manifold():
    settings = ManifoldSettings(latent_size=2, size="tiny", steps=6, seed=4)
    one, two = (fit_manifold(_discs()[0], settings=settings) for _ in range(2))
    assert np.array_equal(one.latents, two.latents)
    assert one.losses == two.losses
    other = fit_manifold(_discs()[0], settings=ManifoldSettings(latent_size=2, size="tiny", steps=6, seed=5))
    assert not np.array_equal(one.latents, other.latents)


def test_it_learns_on_a_coarser_grid_of_its_own():
    settings = ManifoldSettings(latent_size=2, size="tiny", input_size=(16, 16), steps=4)
    out = fit_manifold(_discs()[0], settings=settings)
    assert out.model.input_size == (16, 16)
    assert out.model.decode(torch.zeros(1, 2)).shape == (1, 1, 32, 32)


def test_the_members_of_an_ensemble_are_vaes_of_their_own():
    settings = replace(FAST, steps=4, seed=7)
    done: list[tuple[int, int]] = []
    images = _discs()[0]
    out = fit_manifold(images, settings=replace(settings, members=2), progress=lambda e: done.append((e.done, e.total)))
    alone = [fit_manifold(images, settings=replace(settings, seed=seed)) for seed in (7, 1007)]
    assert np.array_equal(out.latents, np.hstack([one.latents for one in alone]))
    assert [one[1:] for one in out.losses] == [one[1:] for each in alone for one in each.losses]
    assert [one[0] for one in out.losses] == list(range(1, 9))
    assert done[-1] == (8, 8)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_slices_are_enough_to_run(n):
    images = TensorImages(torch.randn(n, 1, 16, 16))
    out = fit_manifold(images, settings=ManifoldSettings(latent_size=2, size="tiny", steps=2))
    assert np.isfinite(out.latents).all()


def test_no_slices_is_a_sentence():
    with pytest.raises(StudyError, match="no slices"):
        fit_manifold(TensorImages(torch.zeros(0, 1, 16, 16)), settings=FAST)


def test_cancelling_stops_within_one_step():
    token, seen = CancelToken(), []

    def progress(event: ProgressEvent) -> None:
        seen.append(event.done)
        if event.done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        fit_manifold(_discs()[0], settings=FAST, progress=progress, cancel=token)
    assert seen[-1] == 3


def test_active_units_are_dimensions_that_vary():
    rng = np.random.default_rng(0)
    assert active_units(np.c_[rng.normal(size=200), 1e-3 * rng.normal(size=200), np.full(200, 3.0)].astype(np.float32)) == 1
