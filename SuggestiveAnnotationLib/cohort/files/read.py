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

from SuggestiveAnnotationLib.cohort.files.bytes_in import incomplete, regular_file
from SuggestiveAnnotationLib.cohort.files.itk import permissive_nifti, quiet, sitk
from SuggestiveAnnotationLib.cohort.files.rawheader import MAX_VOXELS, SHEAR_TOLERANCE, RawHeader, check_spacing, inspect
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import DRAWN_ON, Geometry

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File names that can be read."""

__all__ = ["MAX_VOXELS", "SUFFIXES", "Volume", "read_geometry", "read_header", "read_labels", "read_volume"]

_SINGLE = 1e-6
"""Share by which a number that was computed in single precision may be off."""
_LABEL_HINT = "Export the segmentation as a labelmap: one whole number for every structure, 0 for background."


@dataclass(frozen=True)
class Volume:
    """A volume on its grid.

    Attributes:
        array: `(k, j, i)`; float32 for images, int32 for labels.
        geometry: its grid.
        path: file it came from; only for sentences to a person.
        notes: sentences about its header; the volume can be used.
    """

    array: NDArray[Any]
    geometry: Geometry
    path: str = ""
    notes: tuple[str, ...] = ()


def read_geometry(path: str | Path) -> Geometry:
    """The voxel grid of an image file, from its header; voxels are not read, but missing ones are noticed by the file's size.

    Raises:
        InputError: naming the file: missing, no regular file, of an unknown format, truncated, 4D, with several values per voxel, with an
            impossible spacing or direction, with a header that contradicts itself or the file, or with more than `MAX_VOXELS` voxels.
    """
    return read_header(path)[0]


def read_header(path: str | Path) -> tuple[Geometry, tuple[str, ...]]:
    """As `read_geometry`, and what a person should know of the header: that it names no position, or two that differ."""
    file = _existing(path)
    _, geometry, raw = _open(file, thorough=False)
    return geometry, _notes(file, geometry, raw)


def read_volume(path: str | Path) -> Volume:
    """An image as float32 `(k, j, i)`.

    Raises:
        InputError: as `read_geometry`, and for NaN or infinite voxels, and when all voxels have the same value.
    """
    file = _existing(path)
    array, geometry, raw = _read(file)
    mended = raw.not_finite
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
    return Volume(voxels, geometry, str(file), _notes(file, geometry, raw))


def read_labels(path: str | Path) -> tuple[NDArray[np.int32], Geometry]:
    """A labelmap as int32 `(k, j, i)` of the values in the file, and its grid. Floating-point files are cast whose numbers are
    whole, or miss that by a rounding in single precision (0.9999999).

    A NIfTI header may scale the voxels (`scl_slope`), as a labelmap of floating-point numbers has it that was saved under the header of an
    integer image; what then misses a whole number by next to nothing is that number.

    Raises:
        InputError: as `read_geometry`, and when values are not whole numbers from -2^31 to 2^31 - 1.
    """
    file = _existing(path)
    array, geometry, raw = _read(file)
    mended = raw.not_finite
    if array.dtype.kind == "f":
        whole = np.rint(array)
        with np.errstate(invalid="ignore"):
            wrong = (np.abs(whole - array) > _rounding(raw.scale) + _SINGLE * np.abs(whole)) | ~np.isfinite(array)
        if mended or wrong.any():
            scaled = f" under a header that scales them (scl_slope {raw.scale:g})" if raw.scale != 1 else ""
            hint = "Interpolate labels with nearest neighbour, or give the right file. " + _LABEL_HINT
            examples = "NaN or infinite" if mended else ", ".join(map(str, np.unique(array[wrong])[:5]))
            voxels = _count(mended or int(wrong.sum()), "voxel")
            raise InputError(
                f"{file} is no labelmap: {voxels} with values that are not whole numbers ({examples}){scaled}.",
                hint="Save the labels as whole numbers, under a header of their own." if scaled else hint,
            )
        array = whole
    elif array.dtype.kind not in "iub":
        raise InputError(f"{file} is no labelmap: its voxels are {array.dtype}.", hint=_LABEL_HINT)
    if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise InputError(f"{file} is no labelmap: its values reach {array.max():g}.", hint=_LABEL_HINT)
    return np.ascontiguousarray(array, dtype=np.int32), geometry


def open_channels(path: str | Path, *, thorough: bool) -> tuple[Any, Geometry, int]:
    """The checked reader of a file that holds several images, the grid of each, and how many voxels are not finite.

    Raises:
        InputError: as `read_geometry`, but for several values per voxel or a fourth axis.
    """
    reader, geometry, raw = _open(_existing(path), thorough=thorough, channels=True)
    return reader, geometry, raw.not_finite


def _rounding(scale: float) -> float:
    """What a small whole number may be off by: one that was computed in single precision, or divided by a scale, rounded and multiplied."""
    return 1e-5 if scale == 1 else min(max(abs(scale), 0.001), 0.01)


def _existing(path: str | Path) -> Path:
    file = Path(path)
    regular_file(file)
    if not file.name.lower().endswith(SUFFIXES):
        raise InputError(f"{file} has a format that cannot be read.", hint=f"Convert it to one of {', '.join(SUFFIXES)}.")
    suffix = next(file.name[-len(s) :] for s in SUFFIXES if file.name.lower().endswith(s))
    plain = suffix.lower()
    # ITK takes NIfTI in small letters or in capitals, not in a mixture of both (`gzip A.NII`), and MetaImage in small letters.
    if suffix != plain and (plain.startswith(".m") or (plain.startswith(".nii") and suffix != suffix.upper())):
        hint = f"Rename it to {file.name.removesuffix(suffix)}{plain}."
        raise InputError(f"{file} ends in {suffix} with capitals, under which name it cannot be read.", hint=hint)
    return file


def _read(file: Path) -> tuple[NDArray[Any], Geometry, RawHeader]:
    """The array in the file's own type, its grid, and the raw header with the voxels that ITK mended because they were not finite."""
    reader, geometry, raw = _open(file, thorough=True)
    try:
        with quiet():
            image = _execute(reader)
        array: NDArray[Any] = sitk.GetArrayFromImage(image)
    except (RuntimeError, MemoryError):
        raise incomplete(file) from None
    if array.size != math.prod(geometry.shape):
        raise incomplete(file)
    return array.reshape(geometry.shape), geometry, raw


def _execute(reader: Any) -> Any:
    try:
        return reader.Execute()
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
        with permissive_nifti():
            return reader.Execute()


def _open(file: Path, *, thorough: bool, channels: bool = False) -> tuple[Any, Geometry, RawHeader]:
    """The reader with its header read and checked, the grid, and what the file itself says."""
    try:
        raw = inspect(file, thorough=thorough)
        reader, shear = _header(file)
    except PermissionError:
        raise InputError(f"{file} may not be read.", hint="Ask for permission to read it.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.", hint="Check the disk or the network drive.") from None
    if reader is None:
        if max(shear, raw.shear) > SHEAR_TOLERANCE:
            raise _sheared(file)
        if raw.version == 2:
            raise InputError(f"{file} is in the format NIfTI-2, which cannot be read here.", hint="Convert it to NIfTI-1 or NRRD.")
        raise InputError(f"{file} is not a readable image.", hint="Open it in 3D Slicer and export it again, or give another file.")
    dims = tuple(int(n) for n in reader.GetSize())
    if raw.voxels is not None and math.prod(dims) * int(reader.GetNumberOfComponents()) != raw.voxels:
        raise InputError(f"{file} has a damaged header: its size can be read in two ways.", hint="Export it again.")
    return reader, _geometry(file, reader, dims, raw.spacing, raw.shear if shear else 0.0, channels=channels), raw


def _notes(file: Path, geometry: Geometry, raw: RawHeader) -> tuple[str, ...]:
    """What a person should know of where a file says that it lies."""
    if raw.lacking:
        sentence = f"{file} does not say how it lies in the patient ({raw.lacking}): left and right may be swapped."
        return (f"{sentence} Compare it with the scanner's images.",)
    if not raw.frames:
        return ()
    # ITK counts in LPS, NIfTI in RAS.
    used = np.diag((-1.0, -1.0, 1.0)) @ np.reshape(geometry.direction_lps, (3, 3)) * np.asarray(geometry.spacing)
    shift = np.asarray(geometry.origin_lps) * (-1, -1, 1)
    last = np.asarray(geometry.size) - 1
    corners = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])], float)
    with np.errstate(all="ignore"):
        away = {name: float(np.abs(corners @ (frame[:3, :3] - used).T + frame[:3, 3] - shift).max()) for name, frame in raw.frames.items()}
    nearest = min(away, key=lambda name: away[name] if math.isfinite(away[name]) else math.inf)
    other = next((name for name in away if name != nearest), None)
    if other is None or away[other] <= DRAWN_ON * min(geometry.spacing):
        return ()
    how = f"by up to {away[other]:.1f} mm" if math.isfinite(away[other]) else "and the other is damaged"
    return (f"{file} says in two ways where it lies, which differ {how}; its {nearest} is used, its {other} is not.",)


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


def _geometry(
    file: Path, reader: Any, dims: tuple[int, ...], raw_spacing: tuple[float, ...], shear: float, *, channels: bool = False
) -> Geometry:
    components = int(reader.GetNumberOfComponents())
    if components != 1 and not channels:
        raise InputError(
            f"{file} has {components} values per voxel (a colour or vector image).", hint="Give an image with one value per voxel."
        )
    if any(n < 1 for n in dims):
        raise InputError(f"{file} has no voxels: its size is {' x '.join(map(str, dims))}.", hint="Export the image again.")
    if len(dims) > 3 and math.prod(dims[3:]) > 1 and not channels:
        raise InputError(
            f"{file} has {len(dims)} dimensions ({' x '.join(map(str, dims))}).",
            hint="Split it into volumes and give the one to annotate, or one file per sequence.",
        )
    n = len(dims)
    spacing = [float(s) for s in reader.GetSpacing()][:3]
    check_spacing(file, (*spacing, *raw_spacing))
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
