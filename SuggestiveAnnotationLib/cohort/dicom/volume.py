"""The voxels of one DICOM series as a volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.dicom.folder import begins_as_dicom
from SuggestiveAnnotationLib.cohort.dicom.geometry import stack_geometry
from SuggestiveAnnotationLib.cohort.dicom.headers import MALFORMED, Frame, calm_pydicom, read_header
from SuggestiveAnnotationLib.cohort.dicom.stacks import split_stacks
from SuggestiveAnnotationLib.cohort.files.read import MAX_VOXELS, Volume
from SuggestiveAnnotationLib.cohort.origin import Instance
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

if TYPE_CHECKING:
    from pydicom import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")
_VOXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_EXPORT_HINT = "Export the series again, uncompressed if that can be chosen."


@dataclass(frozen=True)
class _Slice:
    """Stored values `(j, i)` and how they become those that the image has: `slope * stored + intercept`."""

    stored: NDArray[Any]
    slope: float
    intercept: float


def read_series(files: Sequence[str], *, part: int = 0) -> tuple[Volume, tuple[Instance, ...]]:
    """The volume of a series, rescaled (PS3.3 section C.11.1), MONOCHROME1 turned round, and the image of every native slice k, in order.

    The voxels `(k, j, i)` are int16 or uint16 where these hold them exactly, else float32. Values that mark padding stay as they are.

    Args:
        files: of the series, in any order.
        part: which stack, where the files are multi-frame images that hold several, see `index.Series.part`.

    Raises:
        InputError: naming the file or the series: not readable, no grid fits (see `geometry.stack_geometry`), colour, compressed in a
            way that cannot be read here, or voxels that are missing.
    """
    headers = []
    for file in files:
        header = read_header(file, bare=begins_as_dicom(file) == "bare")
        if header is None or not header.frames:
            raise InputError(f"{file} is no DICOM image.", hint="Give the images of one series.")
        if header.samples != 1 or header.photometric not in _GREY:
            raise InputError(f"{file} is a colour image ({header.photometric or 'unnamed'}).", hint="Give a series of grey values.")
        headers.append(header)
    if not headers:
        raise InputError("A DICOM series needs at least one file.")
    frames: Sequence[Frame] = [frame for header in headers for frame in header.frames]
    if any(frame.number is not None for frame in frames):
        stacks = split_stacks(frames)[0]
        if part >= len(stacks):
            raise InputError(f"{files[0]} holds {len(stacks)} stacks, not {part + 1}: it was changed.", hint="Look for the cases again.")
        frames = stacks[part]
    title = f'The series "{headers[0].description}"' if headers[0].description else "The series"
    found = stack_geometry(frames, name=f"{title} of {files[0]}")
    if found.geometry is None:
        raise InputError(" ".join(found.problems))
    if np.prod(found.geometry.size, dtype=float) > MAX_VOXELS:
        sizes = " x ".join(map(str, found.geometry.size))
        raise InputError(f"The series of {files[0]} claims {sizes} voxels, more than {MAX_VOXELS:,}.", hint="Export it again.")
    ordered = [frames[index] for index in found.order]
    array = _volume(_slices(ordered), found.geometry)
    instances = tuple(Instance(frame.file, frame.sop_instance_uid, frame.number) for frame in ordered)
    return Volume(array, found.geometry, files[0]), instances


def _slices(ordered: Sequence[Frame]) -> list[_Slice]:
    """In the order of the frames; every file is opened once."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, frame in enumerate(ordered):
        places[frame.file].append(place)
    found: dict[int, _Slice] = {}
    for file, mine in places.items():
        found.update(zip(mine, _decode(file, [ordered[place] for place in mine]), strict=True))
    return [found[place] for place in range(len(ordered))]


def _decode(file: str, frames: Sequence[Frame]) -> list[_Slice]:
    with calm_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(file, force=begins_as_dicom(file) == "bare")
            if not any(keyword in dataset for keyword in _VOXELS):
                raise InputError(f"{file} has no voxels: its pixel data are missing.", hint="Export it again.")
            if "TransferSyntaxUID" not in dataset.file_meta:
                # A data set without its preamble is never compressed (PS3.10 section 7.1).
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
            _check_decoder(file, dataset)
            from pydicom.pixels.utils import iter_pixels

            indices = [(frame.number or 1) - 1 for frame in frames]
            # The compiled decoder of RLE aborts on damaged data with what no `except Exception` catches; pydicom's own does not.
            plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless else ""
            arrays = list(iter_pixels(dataset, indices=indices, raw=True, decoding_plugin=plugin))
            return [_slice(dataset, frame, array) for frame, array in zip(frames, arrays, strict=True)]
        except (*MALFORMED, RuntimeError, pydicom.errors.InvalidDicomError):
            raise _damaged(file) from None


def _damaged(file: str) -> InputError:
    return InputError(f"{file} has damaged or truncated pixel data.", hint="Copy or export it again.")


def _check_decoder(file: str, dataset: Dataset) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise InputError(f"{file} is stored as {syntax.name}, which cannot be read.", hint=_EXPORT_HINT) from None
    if not decoder.is_available:
        needed = "; ".join(decoder.missing_dependencies)
        raise InputError(f"{file} is compressed as {syntax.name}, and no decoder for that is installed.", hint=f"Install one of: {needed}.")


def _slice(dataset: Dataset, frame: Frame, stored: NDArray[Any]) -> _Slice:
    if stored.shape != (frame.rows, frame.columns):
        raise _damaged(frame.file)
    if dataset.PhotometricInterpretation == "MONOCHROME1" and stored.dtype.kind in "iu":
        bits = int(dataset.BitsStored)
        # The darkest stored value is shown white; turned round within the range that the header allows.
        total = -1 if stored.dtype.kind == "i" else 2**bits - 1
        stored = (total - stored.astype(np.int64)).astype(stored.dtype)
    if "ModalityLUTSequence" in dataset and "RescaleSlope" not in dataset:
        from pydicom.pixels.processing import apply_modality_lut

        return _Slice(np.asarray(apply_modality_lut(stored, dataset)), 1.0, 0.0)
    slope, intercept = _rescale(dataset, frame)
    return _Slice(stored, slope, intercept)


def _rescale(dataset: Dataset, frame: Frame) -> tuple[float, float]:
    holders = [dataset]
    if frame.number is not None:
        groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())[frame.number - 1 : frame.number]
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())[:1]
        holders = [item for group in (*groups, *shared) for item in group.get("PixelValueTransformationSequence") or ()] + holders
    for holder in holders:
        if holder.get("RescaleSlope") is not None:
            slope, intercept = float(holder.RescaleSlope), float(holder.get("RescaleIntercept") or 0)
            if not np.isfinite([slope, intercept]).all() or slope == 0:
                raise InputError(f"{frame.file} has an impossible rescale slope of {slope:g}.", hint="Export it again.")
            return slope, intercept
    return 1.0, 0.0


def _volume(slices: Sequence[_Slice], geometry: Geometry) -> NDArray[Any]:
    dtype = _dtype(slices)
    array = np.empty(geometry.shape, dtype)
    convert: Callable[[_Slice], NDArray[Any]] = _whole if dtype != np.float32 else _real
    for k, one in enumerate(slices):
        array[k] = convert(one)
    return array


def _whole(one: _Slice) -> NDArray[Any]:
    return one.stored.astype(np.int64) * int(one.slope) + int(one.intercept)


def _real(one: _Slice) -> NDArray[Any]:
    values: NDArray[Any] = one.stored.astype(np.float64) * one.slope + one.intercept
    return values


def _dtype(slices: Sequence[_Slice]) -> Any:
    """The smallest of int16 and uint16 that holds every value exactly, else float32."""
    if any(one.stored.dtype.kind not in "iu" for one in slices):
        return np.float32
    if not all(float(factor).is_integer() for one in slices for factor in (one.slope, one.intercept)):
        return np.float32
    ends = [int(v) * int(one.slope) + int(one.intercept) for one in slices for v in (one.stored.min(), one.stored.max())]
    low, high = min(ends), max(ends)
    if low >= -(2**15) and high < 2**15:
        return np.int16
    return np.uint16 if low >= 0 and high < 2**16 else np.float32
