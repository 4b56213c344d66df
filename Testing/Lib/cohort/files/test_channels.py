from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.files.channels import channel_geometry, read_channel
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_volume
from SuggestiveAnnotationLib.errors import InputError

Write = Callable[..., Path]
FOUR = np.random.default_rng(3).normal(100, 20, (3, 5, 6, 7)).astype(np.float32)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def oblique(path: Path, *, vector: bool = False) -> Path:
    """`FOUR` on a turned, anisotropic grid, with the channels on a fourth axis or as values of a voxel."""
    image = sitk.GetImageFromArray(np.moveaxis(FOUR, 0, -1) if vector else FOUR, isVector=vector)
    n = image.GetDimension()
    direction = np.eye(n)
    direction[:3, :3] = TURN
    image.SetSpacing((0.9, 1.1, 4.0, 1.0)[:n])
    image.SetOrigin((-12.5, 30.25, 7.0, 0.0)[:n])
    image.SetDirection(direction.ravel())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("vector", [False, True])
def test_every_channel_is_read_on_an_oblique_grid(suffix: str, vector: bool, tmp_path: Path) -> None:
    path = oblique(tmp_path / f"four{suffix}", vector=vector)
    geometry, channels = channel_geometry(path)
    assert (geometry.size, channels) == ((7, 6, 5), 3)
    assert np.allclose(geometry.spacing, (0.9, 1.1, 4.0), atol=1e-6)
    assert np.allclose(geometry.origin_lps, (-12.5, 30.25, 7.0), atol=1e-6)
    assert np.allclose(np.reshape(geometry.direction_lps, (3, 3)), TURN, atol=1e-6)
    for channel in range(3):
        volume = read_channel(path, channel)
        assert np.array_equal(volume.array, FOUR[channel])
        assert (volume.array.dtype, volume.geometry) == (np.float32, geometry)


def test_a_plain_volume_has_one_channel(write_image: Write) -> None:
    path = write_image("plain.nii.gz", seed=4)
    assert channel_geometry(path) == (read_geometry(path), 1)
    assert np.array_equal(read_channel(path, 0).array, read_volume(path).array)
    thin = write_image("thin.nii.gz", FOUR[:1])
    assert channel_geometry(thin)[1] == 1
    assert np.array_equal(read_channel(thin, 0).array, FOUR[0])


def test_whole_numbers_are_read_as_they_are(write_image: Write) -> None:
    counts = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    assert np.array_equal(read_channel(write_image("counts.nii.gz", counts), 1).array, counts[1])


def test_a_channel_that_is_not_there_is_refused(write_image: Write) -> None:
    path = write_image("four.nii.gz", FOUR)
    for wrong in (3, -1):
        with pytest.raises(InputError, match=rf"four\.nii\.gz has 3 channels, so none with the number {wrong}"):
            read_channel(path, wrong)
    with pytest.raises(InputError, match="has 1 channel, so none"):
        read_channel(write_image("plain.nii.gz"), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_voxels_that_are_not_finite_are_refused(value: float, suffix: str, write_image: Write) -> None:
    bad = FOUR.copy()
    bad[1, 2, 3, 4] = value
    with pytest.raises(InputError, match=r"1 voxel that is not a number or infinite"):
        read_channel(write_image(f"bad{suffix}", bad), 1)


def test_an_empty_channel_is_refused_and_named(write_image: Write) -> None:
    flat = FOUR.copy()
    flat[2] = 7
    path = write_image("flat.nii.gz", flat)
    read_channel(path, 1)
    with pytest.raises(InputError, match=r"Channel 2 of .*flat\.nii\.gz is empty: every voxel is 7"):
        read_channel(path, 2)


def test_broken_files_are_named(write_image: Write, tmp_path: Path) -> None:
    path = write_image("four.nii.gz", FOUR)
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    for read in (channel_geometry, lambda p: read_channel(p, 0)):
        with pytest.raises(InputError, match=r"cut\.nii\.gz is truncated or damaged"):
            read(cut)
        with pytest.raises(InputError, match="does not exist"):
            read(tmp_path / "none.nii.gz")
    with pytest.raises(InputError, match="more than four dimensions"):
        channel_geometry(write_image("vectors.mha", np.moveaxis(np.stack([FOUR, FOUR]), 0, -1), vector=True))
