"""The brain the embedded cohort is made from: the ICBM 2009a symmetric template and tissue maps that nilearn ships."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.files.itk import quiet, sitk
from SuggestiveAnnotationLib.errors import InputError

Floats = NDArray[np.float32]

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
_DEPTH_STEP = 2  # template voxels per voxel of the depth map


@dataclass(frozen=True)
class BrainTemplate:
    """Tissue maps of one brain. World coordinates are LPS millimetres in the order (z, y, x), to match arrays.

    Attributes:
        grey, white: tissue probabilities, `(slice, row, column)` float32 in 0..1.
        inside: soft brain mask, 0..1, 0.5 at the brain's surface.
        regional: how the T1 signal differs from its tissue's mean, in units of the contrast between grey and white matter, -0.4..0.4.
        depth: distance to the brain's surface in millimetres, on every second voxel.
        to_index: 3x3 matrix and offset from world (z, y, x) to template index.
        offset: see `to_index`.
        centre: centre of the brain, world (z, y, x).
    """

    grey: Floats
    white: Floats
    inside: Floats
    regional: Floats
    depth: Floats
    to_index: NDArray[np.float64]
    offset: NDArray[np.float64]
    centre: NDArray[np.float64]

    def depth_at(self, index: NDArray[Any]) -> Floats:
        """Depth in millimetres at template indices `(3, ...)`; 0 outside the template."""
        out: Floats = ndimage.map_coordinates(self.depth, np.asarray(index) / _DEPTH_STEP, order=1, mode="grid-constant")
        return out


def sample(volume: Floats, index: NDArray[Any]) -> Floats:
    """Linear interpolation at indices `(3, ...)`; 0 beyond the border, as if the volume were padded."""
    out: Floats = ndimage.map_coordinates(volume, index, order=1, mode="grid-constant", cval=0.0, output=np.float32)
    return out


def template_folder() -> Path:
    """The folder of nilearn's data files, found without importing nilearn.

    Raises:
        InputError: nilearn is not installed.
    """
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise InputError(
            "The embedded cohort is made from a brain template in the Python package nilearn, which is not installed.",
            hint="Install nilearn, or use images of your own.",
        )
    return Path(found.origin).parent / "datasets" / "data"


def load_template(folder: Path | None = None) -> BrainTemplate:
    """Read the template; half a second.

    Args:
        folder: where the three files lie; None: inside nilearn.

    Raises:
        InputError: nilearn or one of its files is missing or cannot be read.
    """
    folder = template_folder() if folder is None else folder
    images = {name: _read(folder / _FILE.format(name)) for name in ("t1", "gm", "wm")}
    arrays = [sitk.GetArrayFromImage(image) for image in images.values()]
    box = ndimage.find_objects((arrays[0] > 0).astype(np.uint8))[0]
    box = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in box)
    t1, grey, white = (array[box].astype(np.float32) for array in arrays)
    grey /= 255
    white /= 255
    mask = t1 > 0
    inside = ndimage.gaussian_filter(mask.astype(np.float32), 1.0, mode="constant")
    solid = np.pad(mask[::_DEPTH_STEP, ::_DEPTH_STEP, ::_DEPTH_STEP], 1)
    depth = ndimage.distance_transform_edt(solid)[1:-1, 1:-1, 1:-1].astype(np.float32) * _DEPTH_STEP

    image = images["t1"]
    matrix = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())  # ijk -> xyz
    to_index = np.linalg.inv(matrix)[::-1, ::-1]
    offset = -to_index @ np.asarray(image.GetOrigin())[::-1] - [part.start for part in box]
    middle = (np.array(mask.shape) - 1) / 2
    return BrainTemplate(
        grey=grey,
        white=white,
        inside=inside,
        regional=_regional(t1, grey, white, mask),
        depth=depth,
        to_index=to_index,
        offset=offset,
        centre=np.linalg.solve(to_index, middle - offset),
    )


def _regional(t1: Floats, grey: Floats, white: Floats, mask: NDArray[np.bool_]) -> Floats:
    """What the T1 image shows beyond the tissue maps: thalamus, pallidum, regional myelin."""
    means = {name: float(np.median(t1[part > 0.9])) for name, part in (("grey", grey), ("white", white))}
    fluid = float(np.percentile(t1[mask & (grey + white < 0.1)], 25))
    rest = np.clip(1 - grey - white, 0, 1)
    expected = grey * means["grey"] + white * means["white"] + rest * fluid
    difference = np.where(mask, (t1 - expected) / (means["white"] - means["grey"]), 0).astype(np.float32)
    smooth: Floats = ndimage.gaussian_filter(difference, 1.0, mode="constant")
    return np.clip(smooth, -0.4, 0.4)


def _read(path: Path) -> Any:
    try:
        with quiet():
            return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"The template file {path} of nilearn cannot be read.", hint="Reinstall nilearn.") from error
