"""Foreground and z-scores, on volumes like those of cohorts that nobody has stripped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SuggestiveAnnotationLib.study.intensities import CLIP, foreground_of, normalise

Z, Y, X = np.mgrid[0:40, 0:96, 0:96]
HEAD = ((Z - 20) / 16) ** 2 + ((Y - 48) / 34) ** 2 + ((X - 48) / 30) ** 2 < 1
TISSUE = 400 + 150 * np.sin(X / 7)


def head(noise: float, *, whole: bool = True) -> np.ndarray:
    """A head in air, with the noise of a magnitude image, stored in whole numbers or not."""
    rng = np.random.default_rng(1)
    real, imaginary = (rng.normal(0, noise, HEAD.shape) for _ in range(2))
    image = np.hypot(np.where(HEAD, TISSUE, 0) + real, imaginary)
    return (np.rint(image) if whole else image).astype(np.float32)


def test_the_mask_decides() -> None:
    mask = np.zeros(HEAD.shape, np.int32)
    mask[2] = 1
    found = foreground_of(head(5), mask)
    np.testing.assert_array_equal(found.voxels, mask > 0)
    assert found.cut_out


@pytest.mark.parametrize("background", [0.0, -3.5])
def test_a_constant_background_is_cut_out_exactly(background: float) -> None:
    found = foreground_of(np.where(HEAD, TISSUE, background).astype(np.float32), None)
    np.testing.assert_array_equal(found.voxels, HEAD)
    assert found.cut_out


def test_a_brain_that_reaches_into_some_corners_is_cut_out_all_the_same() -> None:
    body = HEAD.copy()
    body[0, :20, :20] = True
    np.testing.assert_array_equal(foreground_of(np.where(body, TISSUE, 0).astype(np.float32), None).voxels, body)


@pytest.mark.parametrize("noise", [0.3, 0.5, 1, 2, 3, 4, 5, 6, 8, 12, 25])
@pytest.mark.parametrize("whole", [True, False])
def test_noise_in_the_air_is_no_foreground_however_low(noise: float, whole: bool) -> None:
    """In whole numbers a single value of low noise fills a large part of the air."""
    image = head(noise, whole=whole)
    found = foreground_of(image, None)
    assert (found.voxels == HEAD).mean() > 0.995
    assert not found.cut_out
    empty = ~HEAD.any(axis=(1, 2))
    assert (found.voxels[empty].mean(axis=(1, 2)) < 0.001).all()
    scores = normalise(image, found.voxels, cut_out=found.cut_out).astype(float)
    assert scores[HEAD].std() == pytest.approx(1, abs=0.05)
    assert scores[~HEAD].max() < scores[HEAD].mean() - 2
    # Beyond the image the network sees 0.
    assert np.median(scores[~HEAD]) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("ratio", [4, 5, 6, 7, 9, 12])
def test_strong_noise_in_the_air_is_not_taken_for_tissue(ratio: float) -> None:
    """As in diffusion-weighted images and at low field."""
    rng = np.random.default_rng(2)
    real, imaginary = (rng.normal(0, 400 / ratio, HEAD.shape) for _ in range(2))
    found = foreground_of(np.hypot(np.where(HEAD, 400, 0) + real, imaginary).astype(np.float32), None)
    assert found.voxels[HEAD].mean() > 0.93
    assert found.voxels[~HEAD].mean() < 0.03


def test_bright_fat_does_not_make_the_rest_of_the_body_air() -> None:
    image = np.where(HEAD & (X > 66), 1000.0, head(6)).astype(np.float32)
    assert (foreground_of(image, None).voxels == HEAD).mean() > 0.995


def test_a_field_of_view_full_of_tissue_is_foreground_and_keeps_its_darker_structures() -> None:
    rng = np.random.default_rng(1)
    lesion = (abs(Z - 15) < 4) & (abs(Y - 25) < 8) & (abs(X - 48) < 8)
    image = (np.where(Y > 60, 300.0, 100.0) + 40 * lesion + rng.normal(0, 6, HEAD.shape)).astype(np.float32)
    found = foreground_of(image, None)
    assert found.voxels.all()
    scores = normalise(image, found.voxels, cut_out=found.cut_out).astype(float)
    muscle = scores[(Y < 55) & ~lesion]
    assert scores[lesion].mean() > muscle.mean() + 3 * muscle.std()


def test_tissue_that_intensity_calls_air_still_reaches_the_network() -> None:
    image = head(5)
    dark = (abs(Z - 20) < 3) & (abs(Y - 14) < 3) & (abs(X - 48) < 3)
    image[dark] = 50
    found = foreground_of(image, None)
    scores = normalise(image, found.voxels, cut_out=found.cut_out).astype(float)
    air = scores[~HEAD & ~dark]
    assert scores[dark].mean() > air.mean() + 3 * air.std()


def test_air_of_a_tomogram_is_no_foreground() -> None:
    image = np.rint(np.where(HEAD, 40.0, -1000.0) + np.random.default_rng(0).normal(0, 12, HEAD.shape)).astype(np.float32)
    assert (foreground_of(image, None).voxels == HEAD).mean() > 0.995


@pytest.mark.parametrize("spike", [1e5, 1e6, 1e30, -1e30])
def test_a_voxel_that_ran_away_leaves_the_contrast_of_the_others(spike: float) -> None:
    image = np.where(HEAD, np.where(X > 48, 900.0, 1100.0), 0).astype(np.float32)
    plain = normalise(image, HEAD).astype(float)
    image[15, 48, 48] = spike
    scores = normalise(image, HEAD).astype(float)
    others = np.ones(HEAD.shape, bool)
    others[15, 48, 48] = False
    np.testing.assert_allclose(scores[others], plain[others], atol=2e-3)
    assert scores[15, 48, 48] == np.sign(spike) * CLIP
    assert (foreground_of(image, None).voxels == HEAD).mean() > 0.995


def test_without_far_voxels_it_is_the_plain_z_score() -> None:
    image = head(5)
    inside = image[HEAD].astype(float)
    wanted = np.where(HEAD, ((image - inside.mean()) / inside.std()).clip(-CLIP, CLIP), 0)
    np.testing.assert_allclose(normalise(image, HEAD).astype(float), wanted, atol=3e-3)


def test_a_constant_inside_does_not_divide_by_zero() -> None:
    stack = np.full((2, 4, 4), 7.0)
    foreground = np.zeros(stack.shape, bool)
    foreground[0, 1:3, 1:3] = True
    assert (normalise(stack, foreground) == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from([1, 2, 5, 1000]))
def test_any_volume_has_a_foreground_and_finite_scores(seed: int, shape: tuple[int, int, int], levels: int) -> None:
    image = np.random.default_rng(seed).integers(0, levels, shape).astype(np.float32)
    found = foreground_of(image, None)
    assert found.voxels.shape == shape
    assert found.voxels.any() or len(np.unique(image)) == 1
    if found.voxels.any():
        scores = normalise(image, found.voxels, cut_out=found.cut_out)
        assert np.isfinite(scores).all()
        assert abs(scores).max() <= CLIP
