"""One channel of a file that holds several images on one grid: a fourth axis, or several values per voxel.

NIfTI, NRRD and MetaImage files with a time or channel axis, as the Medical Segmentation Decathlon keeps its sequences. Arrays are
`(k, j, i)` as elsewhere.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.itk import permissive_nifti, quiet, sitk
from SuggestiveAnnotationLib.cohort.files.rawheader import incomplete
from SuggestiveAnnotationLib.cohort.files.read import MAX_VOXELS, Volume, open_channels
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry


def channel_geometry(path: str | Path) -> tuple[Geometry, int]:
    """The grid of every channel, of the first three axes, and how many channels there are; from the header alone.

    Raises:
        InputError: as `read.read_geometry`, but for a fourth axis and several values per voxel; more axes than four; or too many voxels.
    """
    reader, geometry, _ = open_channels(path, thorough=False)
    return geometry, _channels(Path(path), reader)


def read_channel(path: str | Path, channel: int) -> Volume:
    """One channel as float32 `(k, j, i)`, on the grid of the first three axes.

    Args:
        path: of the file.
        channel: 0-based.

    Raises:
        InputError: as `read.read_volume`; also when there is no such channel, or a voxel of any channel is not finite.
    """
    file = Path(path)
    reader, geometry, mended = open_channels(file, thorough=True)
    number = _channels(file, reader)
    if not 0 <= channel < number:
        have = "1 channel" if number == 1 else f"{number} channels"
        raise InputError(f"{file} has {have}, so none with the number {channel}.", hint="Channels are counted from 0.")
    try:
        with quiet():
            voxels = _extract(reader, channel, geometry)
    except (RuntimeError, MemoryError):
        raise incomplete(file) from None
    if np.iscomplexobj(voxels):
        raise InputError(f"{file} has complex voxels.", hint="Export the magnitude image.")
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = np.ascontiguousarray(voxels, dtype=np.float32)
    bad = mended or int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(
            f"{file} has {bad:,} voxel{' that is' if bad == 1 else 's that are'} not a number or infinite.",
            hint="Replace them, for example with 0, or export the image again.",
        )
    if array.min() == array.max():
        raise InputError(
            f"Channel {channel} of {file} is empty: every voxel is {array.flat[0]:g}.", hint="Check that the right file was exported."
        )
    return Volume(array, geometry, f"{file} (channel {channel})")


def _channels(file: Path, reader: Any) -> int:
    dims, components = reader.GetSize(), int(reader.GetNumberOfComponents())
    extra = [int(n) for n in dims[3:] if n > 1]
    if len(extra) > 1 or (extra and components > 1):
        what = " x ".join(map(str, dims)) + (f" with {components} values per voxel" if components > 1 else "")
        raise InputError(f"{file} has more than four dimensions ({what}).", hint="Split it into volumes.")
    number = math.prod(extra) * components
    if math.prod(dims[:3]) * number > MAX_VOXELS:
        raise InputError(
            f"{file} claims more than {MAX_VOXELS:,} voxels.", hint="The header is damaged, or the file has to be split first."
        )
    return number


def _extract(reader: Any, channel: int, geometry: Geometry) -> NDArray[Any]:
    """The channel's voxels; of a fourth axis only it is kept in memory where the format allows."""
    dims = reader.GetSize()
    extra = [axis for axis in range(3, len(dims)) if dims[axis] > 1]
    if len(dims) > 3:
        reader.SetExtractIndex([channel if axis in extra else 0 for axis in range(len(dims))])
        reader.SetExtractSize([*dims[:3], *(0 for _ in dims[3:])])
    try:
        image = reader.Execute()
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
        with permissive_nifti():
            image = reader.Execute()
    if image.GetNumberOfComponentsPerPixel() > 1:
        image = sitk.VectorIndexSelectionCast(image, channel)
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array.reshape(geometry.shape)
