"""One label volume in one file: written whole, and read again before it takes its place."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.itk import quiet, sitk
from SuggestiveAnnotationLib.cohort.rawheader import SHEAR_TOLERANCE
from SuggestiveAnnotationLib.cohort.read import read_labels
from SuggestiveAnnotationLib.errors import InputError, SuggestiveAnnotationError
from SuggestiveAnnotationLib.files import storage_error
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
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps)
    try:
        with quiet():
            sitk.WriteImage(image, str(scratch), useCompression=True)
        written, kept = read_labels(scratch)
    except (RuntimeError, InputError) as error:
        raise _not_written(final, volume.nbytes) from error
    if not kept.same_grid(geometry):
        raise InputError(f"{final.name} cannot hold the voxel grid of the case exactly enough.", hint="Choose the suffix .nrrd.")
    if not np.array_equal(written, volume):
        raise _not_written(final, volume.nbytes)


def _not_written(path: Path, needed: int) -> SuggestiveAnnotationError:
    # SimpleITK does not say why; the room left on the disk usually does.
    full = shutil.disk_usage(path.parent).free < needed
    number = errno.ENOSPC if full else errno.EIO
    return storage_error(OSError(number, os.strerror(number)), path)
