"""Native slices to the network grid and back."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from SuggestiveAnnotationLib.models.grid import NetworkGrid, interpolation_matrix


def _native_positions(grid: NetworkGrid, centre: tuple[float, float], spacing: tuple[float, float]) -> np.ndarray:
    """Native (row, column) of every network pixel, from the definition in millimetres."""
    mm = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.size, grid.spacing, strict=True)]
    return np.stack(np.meshgrid(*(centre[a] + mm[a] / spacing[a] for a in (0, 1)), indexing="ij"))


CASES = [
    ((37, 51), (18.0, 25.0), (1.0, 1.0)),
    ((37, 51), (16.3, 28.9), (0.9, 1.3)),
    ((64, 41), (40.75, 12.5), (0.5, 2.0)),
    ((20, 23), (-3.0, 30.0), (1.7, 0.8)),
]


@pytest.mark.parametrize(("shape", "centre", "spacing"), CASES)
def test_without_antialiasing_network_images_are_scipys_linear_interpolation_with_zeros_outside(shape, centre, spacing):
    grid = NetworkGrid(size=(32, 48), spacing=(1.1, 0.7), antialias=False)
    native = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    expected = [ndimage.map_coordinates(c, _native_positions(grid, centre, spacing), order=1, mode="grid-constant", cval=0) for c in native]
    out = grid.to_network(torch.from_numpy(native)[None], centre=np.array(centre), spacing=np.array(spacing))
    np.testing.assert_allclose(out[0].numpy(), expected, atol=2e-5)


def test_network_images_agree_with_simpleitk_on_an_anisotropic_odd_sized_off_centre_slice():
    shape, centre, spacing = (37, 51), (16.3, 28.9), (0.9, 1.3)
    grid = NetworkGrid(size=(32, 48), spacing=(0.8, 0.7))
    native = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape), 2).astype(np.float32)
    image = sitk.GetImageFromArray(native)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin((10.0, -7.0))
    origin = [o + (c * s - (n - 1) / 2 * g) for o, c, s, n, g in zip((-7.0, 10.0), centre, spacing, grid.size, grid.spacing, strict=True)]
    size, spacing_xy = grid.size[::-1], grid.spacing[::-1]
    reference = sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, origin[::-1], spacing_xy, (1, 0, 0, 1), np.nan)
    expected = sitk.GetArrayFromImage(reference)
    out = grid.to_network(torch.from_numpy(native)[None, None], centre=np.array([centre]), spacing=np.array([spacing]))[0, 0].numpy()
    inside = np.isfinite(expected)
    assert inside.mean() > 0.5
    # SimpleITK also extrapolates within the outer half pixel; there the library fades to zero.
    within = ndimage.binary_erosion(inside, iterations=3)
    np.testing.assert_allclose(out[within], expected[within], atol=1e-5)


def test_an_aligned_grid_of_the_same_spacing_returns_the_pixels_themselves():
    native = torch.randn(1, 1, 16, 16)
    out = NetworkGrid((16, 16), (1.0, 1.0)).to_network(native, centre=np.array([7.5, 7.5]), spacing=np.array([1.0, 1.0]))
    assert torch.equal(out, native)


def test_different_centres_and_spacings_in_one_batch_equal_one_slice_at_a_time():
    grid = NetworkGrid((16, 32), (1.5, 1.0))
    native = torch.randn(3, 2, 21, 35)
    centre = torch.tensor([[10.0, 17.0], [8.2, 20.1], [12.0, 3.0]])
    spacing = torch.tensor([[1.0, 1.0], [0.4, 2.0], [1.5, 0.9]])
    together = grid.to_network(native, centre=centre, spacing=spacing)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], grid.to_network(native[i : i + 1], centre=centre[i], spacing=spacing[i]))


def test_antialiasing_removes_a_pattern_that_the_network_grid_cannot_hold():
    columns = np.arange(128)
    fine = np.broadcast_to(np.cos(2 * np.pi * columns / 5), (128, 128)).astype(np.float32)
    strength = {}
    for antialias in (True, False):
        grid = NetworkGrid((32, 32), (4.0, 4.0), antialias=antialias)
        out = grid.to_network(torch.from_numpy(fine.copy())[None, None], centre=np.array([63.5, 63.5]), spacing=np.array([1.0, 1.0]))
        strength[antialias] = out[0, 0, 4:-4, 4:-4].std().item()
    assert strength[False] > 0.5
    assert strength[True] < 0.4 * strength[False]


def test_coarser_network_pixels_are_exact_area_averages():
    native = torch.randn(1, 1, 24, 36)
    out = NetworkGrid((8, 12), (3.0, 3.0)).to_network(native, centre=np.array([11.5, 17.5]), spacing=np.array([1.0, 1.0]))
    torch.testing.assert_close(out, torch.nn.functional.avg_pool2d(native, 3), atol=1e-6, rtol=0)


def test_a_constant_image_stays_constant_inside_whatever_the_spacing():
    for spacing in ((0.3, 0.7), (1.0, 1.0), (2.6, 1.9)):
        ones = torch.ones(1, 1, 80, 80)
        out = NetworkGrid((16, 16), (1.0, 1.0)).to_network(ones, centre=np.array([39.7, 40.2]), spacing=np.array(spacing))
        torch.testing.assert_close(out, torch.ones_like(out), atol=2e-6, rtol=0)


def test_smooth_images_survive_the_round_trip():
    rows, columns = np.mgrid[:91, :77]
    image = np.sin(rows / 9) * np.cos(columns / 11) + 2
    grid, centre, spacing = NetworkGrid((64, 64), (1.4, 1.4)), np.array([45.0, 38.0]), np.array([1.0, 1.0])
    network = grid.to_network(torch.from_numpy(image)[None, None], centre=centre, spacing=spacing)
    share = (network / 4).clamp(0, 1)
    back = grid.to_native(torch.cat([1 - share, share], 1), shape=(91, 77), centre=centre, spacing=spacing)
    error = (back[0, 1].numpy() * 4 - image)[6:-6, 6:-6]
    assert np.abs(error).max() < 0.03


@pytest.mark.parametrize(("shape", "centre", "spacing"), CASES)
def test_probabilities_return_linearly_with_background_one_outside_the_field_of_view(shape, centre, spacing):
    grid = NetworkGrid((32, 48), (1.9, 2.1))
    probabilities = torch.softmax(torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)), 1)
    out = grid.to_native(probabilities, shape=shape, centre=np.array(centre), spacing=np.array(spacing))[0].numpy()
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-5)
    along = [(np.arange(shape[a]) - centre[a]) * spacing[a] / grid.spacing[a] + (grid.size[a] - 1) / 2 for a in (0, 1)]
    position = np.stack(np.meshgrid(*along, indexing="ij"))
    seen = ((position >= -0.5) & (position <= np.array(grid.size)[:, None, None] - 0.5)).all(0)
    fine = [s <= g for s, g in zip(spacing, grid.spacing, strict=True)]
    assert all(fine)
    for k in range(3):
        expected = ndimage.map_coordinates(probabilities[0, k].numpy(), position, order=1, mode="nearest")
        np.testing.assert_allclose(out[k], np.where(seen, expected, float(k == 0)), atol=2e-5)


def test_probabilities_on_a_coarser_native_grid_are_averaged_and_still_sum_to_one():
    grid = NetworkGrid((32, 32), (1.0, 1.0))
    probabilities = torch.softmax(3 * torch.randn(1, 4, 32, 32), 1)
    out = grid.to_native(probabilities, shape=(11, 13), centre=np.array([5.2, 6.1]), spacing=np.array([3.0, 2.5]))
    torch.testing.assert_close(out.sum(1), torch.ones(1, 11, 13), atol=1e-5, rtol=0)
    assert (out >= 0).all()


def test_labels_are_nearest_pixels_where_the_grid_is_not_coarser_away_from_edges_of_classes():
    grid = NetworkGrid((48, 48), (0.5, 0.5))
    labels = np.zeros((24, 24), np.int32)
    labels[5:15, 4:13] = 1
    labels[8:20, 13:21] = 2
    out = grid.labels_to_network(torch.from_numpy(labels)[None], centre=np.array([11.5, 11.5]), spacing=np.array([1.0, 1.0]))[0].numpy()
    assert np.array_equal(out, np.kron(labels, np.ones((2, 2), int)))


def test_a_vote_over_four_pixels_takes_the_most_frequent_channel():
    labels = torch.tensor([[[3, 3, 0, 0], [3, 1, 0, 2], [-1, -1, 1, 1], [-1, 0, 2, 1]]])
    out = NetworkGrid((2, 2), (2.0, 2.0)).labels_to_network(labels, centre=np.array([1.5, 1.5]), spacing=np.array([1.0, 1.0]))
    assert out.tolist() == [[[3, 0], [-1, 1]]]


def test_ties_go_to_the_lower_channel_and_never_to_ignore():
    grid = NetworkGrid((1, 1), (1.0, 1.0))
    for pair, winner in (([2, 1], 1), ([-1, 2], 2), ([0, 3], 0), ([0, -1], 0)):
        out = grid.labels_to_network(torch.tensor([[pair]]), centre=np.array([0.0, 0.5]), spacing=np.array([1.0, 1.0]))
        assert out.item() == winner


def test_outside_the_native_slice_is_background():
    out = NetworkGrid((8, 8), (1.0, 1.0)).labels_to_network(
        torch.full((1, 4, 4), -1), centre=np.array([1.5, 1.5]), spacing=np.array([1.0, 1.0])
    )[0]
    assert (out[2:6, 2:6] == -1).all()
    assert (out == -1).sum() == 16
    assert out.max() == 0


def _blobs(seed: int, shape: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(4, *shape))
    return np.stack([ndimage.gaussian_filter(n, 6) for n in noise]).argmax(0)


def test_labels_survive_the_round_trip_better_by_vote_than_by_nearest_pixel():
    centre, spacing, grid = np.array([64.0, 55.3]), np.array([1.0, 1.1]), NetworkGrid((64, 64), (2.2, 2.2))
    vote, nearest = [], []
    for seed in range(3):
        native = _blobs(seed, (129, 111))
        network = grid.labels_to_network(torch.from_numpy(native)[None], centre=centre, spacing=spacing)[0].numpy()
        position = _native_positions(grid, tuple(centre), tuple(spacing))
        by_nearest = ndimage.map_coordinates(native, position, order=0, mode="constant")
        for labels, scores in ((network, vote), (by_nearest, nearest)):
            one_hot = torch.from_numpy(np.eye(4, dtype=np.float32)[labels]).movedim(-1, 0)[None]
            back = grid.to_native(one_hot, shape=native.shape, centre=centre, spacing=spacing)[0].argmax(0).numpy()
            scores.append((back == native)[3:-3, 3:-3].mean())
    assert min(vote) > 0.95
    assert np.mean(vote) >= np.mean(nearest)


@given(st.floats(0.2, 4.0), st.floats(-5.0, 25.0), st.integers(1, 30))
def test_interpolation_weights_are_shares(scale, start, length):
    positions = start + scale * torch.arange(7, dtype=torch.float64)
    weights = interpolation_matrix(positions, length, scale=torch.tensor([scale]))
    assert (weights >= 0).all()
    assert weights.sum(-1).max() <= 1 + 1e-6


def test_resampling_is_float32_under_autocast_and_differentiable():
    grid = NetworkGrid((16, 16), (2.0, 2.0))
    images = torch.randn(1, 1, 33, 31, requires_grad=True)
    options = {"centre": np.array([16.0, 15.0]), "spacing": np.array([1.0, 1.0])}
    with torch.autocast("cpu", torch.bfloat16):
        out = grid.to_network(images, **options)
    assert out.dtype == torch.float32
    assert torch.equal(out, grid.to_network(images, **options))
    out.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == pytest.approx(256, rel=0.1) or images.grad.sum() > 0


@pytest.mark.gpu
def test_every_device_resamples_alike():
    grid, options = NetworkGrid((32, 32), (1.3, 1.7)), {"centre": np.array([16.0, 15.0]), "spacing": np.array([1.0, 1.1])}
    images = torch.randn(2, 3, 33, 31)
    torch.testing.assert_close(grid.to_network(images.cuda(), **options).cpu(), grid.to_network(images, **options), atol=1e-4, rtol=0)
