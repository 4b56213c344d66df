"""DICOM Segmentation objects (PS3.3 sections A.51 and A.89, Segmentation and Label Map Segmentation) as labels on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.dicom.headers import MALFORMED, SEGMENTATION_CLASSES, calm_pydicom
from SuggestiveAnnotationLib.cohort.files.bytes_in import regular_file
from SuggestiveAnnotationLib.cohort.files.rawheader import check_size
from SuggestiveAnnotationLib.cohort.labels.colours import distinct_colours
from SuggestiveAnnotationLib.cohort.labels.export_sidecar import looked_at_in_export
from SuggestiveAnnotationLib.cohort.labels.label_file import LabelFile
from SuggestiveAnnotationLib.cohort.labels.terminology import Code, parse_code
from SuggestiveAnnotationLib.errors import InputError, SuggestiveAnnotationError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelClass

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "SuggestiveAnnotation"
"""Of segmentations that this program exports."""
WHOLE_FRAMES = "Slices without frames were not annotated"
PARTS_OF_FRAMES = "Only parts of the frames were annotated, see the JSON"
"""Content descriptions of such segmentations."""

_HINT = "Give a DICOM SEG file of one patient's volume, or a labelmap."
_EXPORT_HINT = "Export it again."
_THRESHOLD = 0.5
_TOLERANCE = 0.01
"""Largest deviation of a slice from its place, as a share of the distance between slices or of a pixel in the plane."""
_ROUNDING = 0.011  # mm: positions are often written with two decimals


@dataclass(frozen=True)
class _Frame:
    """One frame: its segment (None in a label map) and the centre of its first voxel, LPS millimetres."""

    segment: int | None
    position: tuple[float, float, float]


def read_dicom_segmentation(path: str | Path) -> LabelFile:
    """Labels and structures of a DICOM SEG file of the type BINARY, FRACTIONAL or LABELMAP.

    The grid reaches from its first frame to its last, with the distance between slices that it states (SpacingBetweenSlices), else that
    of its slice thickness or of its frames; slices without a frame are background, and in an export of this program nobody looked
    at them. Values are segment numbers. A segment of a fractional one is where it reaches half of its maximum. Where segments overlap the
    later number is kept, and a note says how many voxels that are.

    Raises:
        InputError: naming the file: no DICOM, no segmentation, of a microscopy slide, damaged, or frames that are on no common grid.
    """
    file = Path(path)
    regular_file(file)
    with calm_pydicom():
        segmentation = _open(file)
        try:
            return _read(file, segmentation)
        except SuggestiveAnnotationError:
            raise
        except Exception as error:
            # highdicom keeps its tables in a database, so that a damaged file raises anything, errors of SQL among them.
            raise _damaged(file) from error


def _open(file: Path) -> Any:
    try:
        from highdicom.seg import segread
    except ImportError:
        what = "DICOM segmentations cannot be read: highdicom is not installed."
        raise InputError(what, hint="Install it with: pip install highdicom") from None
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        sop_class = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or 'it is damaged'}.", hint="Check the disk.") from None
    except (*MALFORMED, InvalidDicomError):
        raise InputError(f"{file} is no readable DICOM file.", hint=_HINT) from None
    if sop_class not in SEGMENTATION_CLASSES:
        kind = getattr(sop_class, "name", "") or "an object without a kind"
        raise InputError(f"{file} is no DICOM segmentation but {kind}.", hint=_HINT)
    try:
        segmentation = segread(file)
    except Exception as error:
        raise _damaged(file) from error
    if "PixelData" not in segmentation:
        raise InputError(f"{file} has no voxels: its pixel data are missing.", hint=_EXPORT_HINT)
    return segmentation


def _read(file: Path, segmentation: Any) -> LabelFile:
    shared, groups = segmentation.SharedFunctionalGroupsSequence[0], segmentation.PerFrameFunctionalGroupsSequence
    if "TotalPixelMatrixRows" in segmentation:
        raise InputError(f"{file} is the segmentation of a microscopy slide.", hint=_HINT)
    count = int(segmentation.NumberOfFrames)
    if count < 1 or len(groups) != count:
        raise _damaged(file)
    kind = str(segmentation.SegmentationType)
    frames = [_frame(shared, group, labelmap=kind == "LABELMAP") for group in groups]
    geometry, slices = _grid(file, segmentation, shared, groups, frames)
    classes = _classes(file, segmentation.SegmentSequence)
    labels, overlapping = _labels(file, segmentation, kind, frames, slices, geometry, {c.value for c in classes})
    notes = []
    if kind == "FRACTIONAL":
        notes.append(f"{file} holds fractions; a structure is where they reach {_THRESHOLD:g}.")
    if overlapping:
        which = "1 voxel lies in two segments or more" if overlapping == 1 else f"{overlapping:,} voxels lie in two segments or more"
        notes.append(f"{file}: {which}; the later segment is kept there.")
    looked_at, unknown = _looked_at(file, segmentation, labels, geometry, slices)
    return LabelFile(labels, geometry, classes, (*notes, *unknown), looked_at)


def _looked_at(
    file: Path, segmentation: Any, labels: NDArray[np.int32], geometry: Geometry, slices: Sequence[int]
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """Voxels that somebody looked at, None where the file does not tell, and sentences on what nobody can know."""
    framed = np.isin(np.arange(len(labels)), slices)
    described = segmentation.get("ContentDescription") if segmentation.get("Manufacturer") == MANUFACTURER else None
    if described == WHOLE_FRAMES:
        return np.broadcast_to(framed[:, None, None], labels.shape), ()
    if described == PARTS_OF_FRAMES:
        voxels, _ = looked_at_in_export(file, geometry)
        across = (
            f"{file} was annotated across its frames; without the JSON of its export nobody knows where: its other lines are background."
        )
        return voxels, () if voxels is not None else (across,)
    empty = 0 if framed.all() else np.count_nonzero(framed & ~labels.any(axis=(1, 2)))
    if not empty:
        return None, ()
    which = "1 slice" if empty == 1 else f"{empty} slices"
    return None, (f"{file} has empty frames of {which}: others without frames may not have been looked at, but count as background.",)


def _labels(
    file: Path,
    segmentation: Any,
    kind: str,
    frames: Sequence[_Frame],
    slices: Sequence[int],
    geometry: Geometry,
    known: set[int],
) -> tuple[NDArray[np.int32], int]:
    """Segment numbers `(k, j, i)`, and how many voxels are in several segments."""
    labels = np.zeros(geometry.shape, np.int32)
    several = np.zeros(geometry.shape, bool)
    taken: set[tuple[int | None, int]] = set()
    seen: set[int] = set()
    for index, (frame, k) in enumerate(zip(frames, slices, strict=True)):
        if (frame.segment, k) in taken:
            raise InputError(f"{file} has several frames of one segment at one place, as of several times.", hint=_HINT)
        taken.add((frame.segment, k))
        stored = segmentation.get_stored_frame(index, as_index=True)
        if stored.shape != labels.shape[1:]:
            raise _damaged(file)
        if frame.segment is None:
            here = stored.astype(np.int32)
        else:
            top = float(segmentation.MaximumFractionalValue) if kind == "FRACTIONAL" else 1.0
            here = np.where(stored >= _THRESHOLD * top, np.int32(frame.segment), np.int32(0))
        seen.update(np.unique(here).tolist())
        several[k] |= (labels[k] > 0) & (here > 0)
        np.maximum(labels[k], here, out=labels[k])
    strange = sorted(seen - known - {0})
    if strange:
        numbers = ", ".join(map(str, strange[:5]))
        raise InputError(f"{file} has voxels of segments that it does not describe: {numbers}.", hint=_EXPORT_HINT)
    return labels, int(np.count_nonzero(several))


def _frame(shared: Dataset, group: Dataset, *, labelmap: bool) -> _Frame:
    x, y, z = (float(v) for v in _macro(shared, group, "PlanePositionSequence").ImagePositionPatient)
    if labelmap:
        return _Frame(None, (x, y, z))
    return _Frame(int(_macro(shared, group, "SegmentIdentificationSequence").ReferencedSegmentNumber), (x, y, z))


def _macro(shared: Dataset, group: Dataset, keyword: str) -> Any:
    """A functional group of a frame, or of all of them (PS3.3 section C.7.6.16)."""
    return (group if keyword in group else shared)[keyword].value[0]


def _grid(
    file: Path, segmentation: Any, shared: Dataset, groups: Sequence[Dataset], frames: Sequence[_Frame]
) -> tuple[Geometry, list[int]]:
    """The grid, slices sorted along row x column as series are, and the slice of every frame."""
    cosines = np.array([_macro(shared, g, "PlaneOrientationSequence").ImageOrientationPatient for g in groups], float)
    measures = [_macro(shared, g, "PixelMeasuresSequence") for g in groups]
    spacings = np.array([m.PixelSpacing for m in measures], float)
    positions = np.array([f.position for f in frames])
    if not all(np.isfinite(a).all() for a in (cosines, spacings, positions)) or (spacings <= 0).any():
        raise _damaged(file)
    if np.ptp(cosines, axis=0).max() > 2e-3 or (np.ptp(spacings, axis=0) > 2e-3 * spacings[0]).any():
        raise InputError(f"{file} has frames of different orientation or pixel spacing.", hint=_HINT)
    row, column = cosines[0, :3], cosines[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(row @ column) > 0.01 or any(abs(length - 1) > 0.01 for length in lengths):
        raise InputError(f"{file} has an impossible orientation: its rows and columns are not at right angles.", hint=_EXPORT_HINT)
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    column = np.cross(normal, row)
    along = positions @ normal
    first = int(along.argmin())
    aside = (positions - positions[first]) @ np.stack([row, column], axis=1)
    if np.abs(aside).max() > 0.25 * spacings.min():
        raise InputError(f"{file} has frames that are shifted sideways against each other.", hint=_HINT)
    distance = _distance(file, along, _stated(measures[0], "SpacingBetweenSlices"), _stated(measures[0], "SliceThickness"))
    slices = [int(n) for n in np.rint((along - along[first]) / distance)]
    size = (int(segmentation.Columns), int(segmentation.Rows), max(slices) + 1)
    check_size(file, size, np.dtype(np.int32).itemsize)
    geometry = Geometry(
        size=size,
        spacing=(float(spacings[0, 1]), float(spacings[0, 0]), distance),
        origin_lps=(float(positions[first, 0]), float(positions[first, 1]), float(positions[first, 2])),
        direction_lps=tuple(float(c) + 0.0 for c in np.stack([row, column, normal], axis=1).ravel()),
    )
    return geometry, slices


def _distance(file: Path, along: NDArray[np.float64], between: float | None, thickness: float | None) -> float:
    """Millimetres between two slices, of which some may be absent.

    The distance of the frames alone would take every third slice for slices three times as far apart, and labels would grow onto
    slices of which nobody said anything.
    """
    gaps = np.diff(np.unique(along))
    gaps = gaps[gaps > _ROUNDING]
    stated = [value for value in (between, thickness) if value is not None]
    if not gaps.size:
        return stated[0] if stated else 1.0
    for value in (*stated, float(gaps.min())):
        whole = np.rint(gaps / value)
        exact = float(gaps.sum() / whole.sum()) if whole.all() else value
        if whole.all() and (np.abs(gaps - whole * exact) <= np.maximum(_TOLERANCE * exact, _ROUNDING)).all():
            return exact
    raise InputError(f"{file} has uneven distances between its slices.", hint="Resample it onto its image, for example with 3D Slicer.")


def _stated(measures: Dataset, keyword: str) -> float | None:
    value = measures.get(keyword)
    return float(value) if value is not None and 0 < abs(float(value)) < float("inf") and float(value) > 0 else None


def _classes(file: Path, descriptions: Sequence[Any]) -> tuple[LabelClass, ...]:
    # Number 0 may describe the background of a label map.
    listed = [one for one in descriptions if int(one.SegmentNumber) != 0]
    numbers = [int(one.SegmentNumber) for one in listed]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{file} describes two segments of one number.", hint=_EXPORT_HINT)
    colours = distinct_colours(len(listed))
    return tuple(
        LabelClass(number, _name(one, number), _colour(one) or colour, terminology=_terminology(one))
        for number, one, colour in zip(numbers, listed, colours, strict=True)
    )


def _name(description: Mapping[str, Any] | Any, number: int) -> str:
    return " ".join(str(description.get("SegmentLabel") or "").split()) or f"Segment {number}"


def _colour(description: Any) -> tuple[int, int, int] | None:
    from highdicom.color import CIELabColor

    value = description.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return None
    red, green, blue = CIELabColor.from_dicom_value([int(v) for v in value]).to_rgb(clip=True)
    return (round(red), round(green), round(blue))


def _terminology(description: Any) -> str | None:
    codes = description.get("SegmentedPropertyTypeCodeSequence") or ()
    if not codes:
        return None
    one = codes[0]
    value = next((str(one.get(k)) for k in ("CodeValue", "LongCodeValue", "URNCodeValue") if one.get(k)), "")
    parts = (str(part or "").replace("^", " ") for part in (one.get("CodingSchemeDesignator"), value, one.get("CodeMeaning")))
    code = parse_code(str(Code(*parts)))
    return None if code is None else str(code)


def _damaged(file: Path) -> InputError:
    return InputError(f"{file} is a damaged DICOM segmentation.", hint=_EXPORT_HINT)
