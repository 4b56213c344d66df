"""One label volume in one file: written whole, and read again before it takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.rawheader import SHEAR_TOLERANCE
from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.files.write import not_written, write_array_as
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

SUFFIXES = (".nii.gz", ".nii", ".nrrd")


def write_volume(scratch: Path, final: Path, volume: NDArray[Any], geometry: Geometry) -> None:
    """Write a volume `(k, j, i)` to `scratch` and read it again: grid and every voxel must be the same.

    Args:
        scratch: temporary path whose suffix names the format (one of `SUFFIXES`).
        final: where the file will be, for the sentences.
        volume: uint8 or uint16.
        geometry: its grid. NIfTI keeps origin and spacing in single precision, NRRD exactly.

    Raises:
        InputError: the format cannot hold the grid.
        StorageError: it could not be written; the disk is full, read-only or gone.
    """
    cosines = np.reshape(geometry.direction_lps, (3, 3))
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > SHEAR_TOLERANCE:
        what = f"{final.name} cannot hold the voxel grid of the case: its axes are not at right angles."
        raise InputError(what, hint="Resample the case first.")
    write_array_as(scratch, final, volume, geometry)
    try:
        written, kept = read_labels(scratch)
    except InputError as error:
        raise not_written(final, volume.nbytes) from error
    if not kept.same_grid(geometry):
        raise InputError(f"{final.name} cannot hold the voxel grid of the case exactly enough.", hint="Choose the suffix .nrrd.")
    if not np.array_equal(written, volume):
        raise not_written(final, volume.nbytes)
