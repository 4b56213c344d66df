"""Volumes and labelmaps from NIfTI, NRRD and MetaImage files, with one plain sentence for everything that can be wrong with them.

Arrays are `(k, j, i)` as SimpleITK's `GetArrayFromImage` gives them. A two-dimensional image is one slice: an axial volume of size
`(i, j, 1)` with 1 mm across the slice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.itk import permissive_nifti, quiet, sitk
from SuggestiveAnnotationLib.cohort.rawheader import SHEAR_TOLERANCE, incomplete, inspect
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File names that can be read."""

MAX_VOXELS = 2**31
"""A volume with more voxels is refused before memory is asked for."""

_LABEL_HINT = "Export the segmentation as a labelmap: one whole number for every structure, 0 for background."


@dataclass(frozen=True)
class Volume:
    """A volume on its grid.

    Attributes:
        array: `(k, j, i)`; float32 for images, int32 for labels.
        geometry: its grid.
        path: file it came from; only for sentences to a person.
    """

    array: NDArray[Any]
    geometry: Geometry
    path: str = ""


def read_geometry(path: str | Path) -> Geometry:
    """The voxel grid of an image file, from its header; voxels are not read, but missing ones are noticed by the file's size.

    Raises:
        InputError: naming the file: missing, of an unknown format, truncated, 4D, with several values per voxel, with an impossible
            spacing or direction, or with more than `MAX_VOXELS` voxels.
    """
    return _open(_existing(path), thorough=False)[1]


def read_volume(path: str | Path) -> Volume:
    """An image as float32 `(k, j, i)`.

    Raises:
        InputError: as `read_geometry`, and for NaN or infinite voxels, and when all voxels have the same value.
    """
    file = _existing(path)
    array, geometry, mended = _read(file)
    if array.dtype.kind == "c":
        raise InputError(f"{file} has complex voxels.", hint="Export the magnitude image.")
    with np.errstate(over="ignore"):
        voxels: NDArray[np.float32] = np.ascontiguousarray(array, dtype=np.float32)
    # A sum in double precision of finite single-precision voxels is finite, so this needs no mask as large as the volume.
    with np.errstate(invalid="ignore"):
        finite = bool(np.isfinite(voxels.sum(dtype=np.float64)))
    if mended or not finite:
        bad = mended or int((~np.isfinite(voxels)).sum())
        raise InputError(
            f"{file} has {_count(bad, 'voxel')} that {'is' if bad == 1 else 'are'} not a number or infinite.",
            hint="Replace them, for example with 0, or export the image again.",
        )
    if voxels.size and voxels.min() == voxels.max():
        raise InputError(f"{file} is empty: every voxel is {voxels.flat[0]:g}.", hint="Check that the right file was exported.")
    return Volume(voxels, geometry, str(file))


def read_labels(path: str | Path) -> tuple[NDArray[np.int32], Geometry]:
    """A labelmap as int32 `(k, j, i)` of the values in the file, and its grid. Floating-point files with whole numbers are cast.

    Raises:
        InputError: as `read_geometry`, and when values are not whole numbers from -2^31 to 2^31 - 1.
    """
    file = _existing(path)
    array, geometry, mended = _read(file)
    if array.dtype.kind == "f":
        whole = np.rint(array)
        wrong = (whole != array) | ~np.isfinite(array)
        if mended or wrong.any():
            examples = "NaN or infinite" if mended else ", ".join(f"{v:g}" for v in np.unique(array[wrong])[:5])
            voxels = _count(mended or int(wrong.sum()), "voxel")
            raise InputError(
                f"{file} is no labelmap: {voxels} with values that are not whole numbers ({examples}).",
                hint="Interpolate labels with nearest neighbour, or give the right file. " + _LABEL_HINT,
            )
        array = whole
    elif array.dtype.kind not in "iub":
        raise InputError(f"{file} is no labelmap: its voxels are {array.dtype}.", hint=_LABEL_HINT)
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise InputError(f"{file} is no labelmap: its values reach {array.max():g}.", hint=_LABEL_HINT)
    return np.ascontiguousarray(array, dtype=np.int32), geometry


def _existing(path: str | Path) -> Path:
    file = Path(path)
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{file} does not exist.", hint="Check the path.") from None
    except OSError as error:
        hint = "Check the disk, the network drive and your permissions."
        raise InputError(f"{file} cannot be read: {error.strerror or error}.", hint=hint) from None
    if file.is_dir():
        raise InputError(f"{file} is a folder, not an image file.", hint="Convert DICOM series to NIfTI, NRRD or MetaImage first.")
    if not file.name.lower().endswith(SUFFIXES):
        raise InputError(f"{file} has a format that cannot be read.", hint=f"Convert it to one of {', '.join(SUFFIXES)}.")
    return file


def _read(file: Path) -> tuple[NDArray[Any], Geometry, int]:
    """The array in the file's own type, its grid, and how many voxels ITK mended because they were not finite."""
    reader, geometry, mended = _open(file, thorough=True)
    try:
        with quiet():
            image = _execute(reader)
    except (RuntimeError, MemoryError):
        raise incomplete(file) from None
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array.reshape(geometry.shape), geometry, mended


def _execute(reader: Any) -> Any:
    try:
        return reader.Execute()
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
        with permissive_nifti():
            return reader.Execute()


def _open(file: Path, *, thorough: bool) -> tuple[Any, Geometry, int]:
    """The reader with its header read and checked, the grid, and the voxels of a NIfTI file that are not finite."""
    try:
        reader, shear = _header(file)
        dims = tuple(int(n) for n in reader.GetSize()) if reader is not None else ()
        if math.prod(dims) > MAX_VOXELS:
            raise InputError(
                f"{file} claims {' x '.join(map(str, dims))} voxels, more than {MAX_VOXELS:,}.",
                hint="The header is damaged, or the volume has to be cropped or resampled first.",
            )
        raw = inspect(file, thorough=thorough)
    except PermissionError:
        raise InputError(f"{file} may not be read.", hint="Ask for permission to read it.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.", hint="Check the disk or the network drive.") from None
    if reader is None:
        if max(shear, raw.shear) > SHEAR_TOLERANCE:
            raise _sheared(file)
        raise InputError(f"{file} is not a readable image.", hint="Open it in 3D Slicer and export it again, or give another file.")
    return reader, _geometry(file, reader, dims, raw.spacing, raw.shear if shear else 0.0), raw.not_finite


def _header(file: Path) -> tuple[Any, float]:
    """The reader with its header read (None when it cannot be), and whether the file's own matrix had to be made orthonormal (0 or inf)."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    with quiet():
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            if "orthonormal" not in str(error):
                return None, 0.0
            with permissive_nifti():
                try:
                    reader.ReadImageInformation()
                except RuntimeError:
                    return None, math.inf
            return reader, math.inf
    return reader, 0.0


def _geometry(file: Path, reader: Any, dims: tuple[int, ...], raw_spacing: tuple[float, ...], shear: float) -> Geometry:
    components = int(reader.GetNumberOfComponents())
    if components != 1:
        raise InputError(
            f"{file} has {components} values per voxel (a colour or vector image).", hint="Give an image with one value per voxel."
        )
    if any(n < 1 for n in dims):
        raise InputError(f"{file} has no voxels: its size is {' x '.join(map(str, dims))}.", hint="Export the image again.")
    if len(dims) > 3 and math.prod(dims[3:]) > 1:
        raise InputError(
            f"{file} has {len(dims)} dimensions ({' x '.join(map(str, dims))}).",
            hint="Split it into volumes and give the one to annotate, or one file per sequence.",
        )
    n = len(dims)
    spacing = [float(s) for s in reader.GetSpacing()][:3]
    for s in (*spacing, *raw_spacing):
        if not math.isfinite(s) or s <= 0:
            raise InputError(f"{file} has an impossible voxel spacing of {s:g} mm.", hint="Write the true spacing into its header.")
    matrix, origin = np.eye(3), np.zeros(3)
    m = min(n, 3)
    matrix[:m, :m] = np.reshape(reader.GetDirection(), (n, n))[:m, :m]
    origin[:m] = reader.GetOrigin()[:m]
    deviation = np.abs(matrix.T @ matrix - np.eye(3)).max() if np.isfinite(matrix).all() else math.inf
    if max(deviation, shear) > SHEAR_TOLERANCE:
        raise _sheared(file)
    if not np.isfinite(origin).all():
        raise InputError(f"{file} has no valid origin in its header.", hint="Write the true origin into its header.")
    i, j, k = (*dims[:3], 1)[:3]  # ITK images have at least two dimensions
    return Geometry(
        size=(i, j, k),
        spacing=(spacing[0], spacing[1], spacing[2] if m == 3 else 1.0),
        origin_lps=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction_lps=tuple(float(c) + 0.0 for c in matrix.ravel()),  # + 0.0 turns -0.0 into 0.0
    )


def _sheared(file: Path) -> InputError:
    return InputError(
        f"{file} has voxel axes that are not at right angles, or a damaged direction matrix.",
        hint="Resample it onto a grid with right angles first, for example with 3D Slicer's Resample Scalar/Vector/DWI Volume.",
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
