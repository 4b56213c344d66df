"""One modality onto the voxel grid of another that shares its frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.itk import sitk
from SuggestiveAnnotationLib.cohort.files.read import Volume
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

_SAMPLES = 33  # per axis, first and last voxel among them


def overlap(moving: Geometry, reference: Geometry) -> float:
    """Share of `reference` that lies in the field of view of `moving`, 0 to 1; by 33 voxels an axis; 0 only where they are apart."""
    share = _seen(moving, reference)
    if share == 0:
        # A small field of view may lie between the samples of a large one.
        share = _seen(reference, moving) * _volume(moving) / _volume(reference)
    return min(1.0, share)


def _seen(moving: Geometry, reference: Geometry) -> float:
    """Share of the sampled voxels of `reference` whose centre lies in the field of view of `moving`."""
    axes = [np.unique(np.linspace(0, n - 1, min(n, _SAMPLES)).round()) for n in reference.size]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = index @ _matrix(reference).T + np.asarray(reference.origin_lps)
    inside = np.linalg.solve(_matrix(moving), (points - np.asarray(moving.origin_lps)).T).T
    return float(((inside >= -0.5) & (inside <= np.asarray(moving.size) - 0.5)).all(axis=1).mean())


def resample_onto(
    volume: Volume, reference_geometry: Geometry, *, labels: bool = False, reference_name: str = "the reference image"
) -> Volume:
    """`volume` on the grid of `reference_geometry`.

    Linear interpolation, nearest neighbour with `labels`. Outside its field of view an image takes its own smallest value, labels
    take 0. A volume that is on the grid already is returned as it is.

    Args:
        volume: array `(k, j, i)` and its grid, in the same patient frame as the reference.
        reference_geometry: grid of the result.
        labels: values are labels, kept as they are; int32 results. Otherwise float32.
        reference_name: file of the reference, for the sentence.

    Raises:
        InputError: the two fields of view do not overlap; names both files.
    """
    if volume.geometry.same_grid(reference_geometry):
        return volume
    if overlap(volume.geometry, reference_geometry) == 0:
        raise no_overlap(volume.path or "The volume", reference_name)
    array: NDArray[Any] = volume.array.astype(np.int32 if labels else np.float32, copy=False)
    outside = 0.0 if labels else float(array.min())
    interpolator = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    moving = _image(array, volume.geometry)
    grid = sitk.ResampleImageFilter()
    grid.SetSize([int(n) for n in reference_geometry.size])
    grid.SetOutputSpacing(list(reference_geometry.spacing))
    grid.SetOutputOrigin(list(reference_geometry.origin_lps))
    grid.SetOutputDirection(list(reference_geometry.direction_lps))
    grid.SetInterpolator(interpolator)
    grid.SetDefaultPixelValue(outside)
    return Volume(sitk.GetArrayFromImage(grid.Execute(moving)), reference_geometry, volume.path)


def no_overlap(moving: str, reference: str) -> InputError:
    """The error for two images of one case that show different places."""
    return InputError(
        f"{moving} does not overlap with {reference}: they show different places in space.",
        hint="Register one to the other, or check that both belong to the same person and visit.",
    )


def _volume(geometry: Geometry) -> float:
    return math.prod(geometry.size) * math.prod(geometry.spacing)


def _matrix(geometry: Geometry) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = np.reshape(geometry.direction_lps, (3, 3)) * np.asarray(geometry.spacing)
    if not math.isfinite(float(matrix.sum())):
        raise InputError("A voxel grid has a direction or spacing that is not finite.")
    return matrix


def _image(array: NDArray[Any], geometry: Geometry) -> Any:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(list(geometry.spacing))
    image.SetOrigin(list(geometry.origin_lps))
    image.SetDirection(list(geometry.direction_lps))
    return image
