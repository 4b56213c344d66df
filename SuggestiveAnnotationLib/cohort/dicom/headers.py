"""What the header of one DICOM file says: who, which series, and where every frame lies. Voxels are not read."""

from __future__ import annotations

import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from SuggestiveAnnotationLib.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

SEGMENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation and Label Map Segmentation Storage (PS3.4 section B.5)."""

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
"""RT Structure Set Storage (PS3.4 section B.5)."""

MALFORMED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    NotImplementedError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on damaged bytes inside `calm_pydicom`, beside its own `InvalidDicomError`."""

TRAITS = ("stack", "image type", "echo time", "inversion time", "b-value", "time point", "acquisition")
"""What tells several volumes at the same place in one series apart."""

_TAGS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "SeriesDate",
    "ContentDate",
    "AcquisitionDate",
    "StudyTime",
    "SeriesTime",
    "ContentTime",
    "Modality",
    "SeriesDescription",
    "ProtocolName",
    "ReferencedSeriesSequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "ContrastBolusAgent",
    "SequenceName",
    "EchoTime",
    "InversionTime",
    "DiffusionBValue",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "TemporalPositionIdentifier",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
)
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice, as its header places it (PS3.3 section C.7.6.2). Millimetres, LPS; None where the header does not say, or says nonsense.

    Attributes:
        number: 1-based in a multi-frame image, None in others.
        position: centre of the first voxel. orientation: direction cosines along a row, then along a column.
        pixel_spacing: between rows, between columns.
        traits: values of `TRAITS`.
    """

    file: str
    sop_instance_uid: str
    number: int | None
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """What identifies the person. It is shown nowhere and stands in no representation.

    Attributes:
        patient_id, name, birth_date: as in the header; empty where it does not say.
    """

    patient_id: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)


@dataclass(frozen=True)
class Header:
    """One DICOM object.

    Attributes:
        description: of the series, else the name of the protocol or the sequence.
        study_time, series_time: date and time as `YYYYMMDDHHMMSS...`, as far as known; they sort.
        content_time: likewise, of this object.
        contrast: a contrast agent was given.
        frames: none for an object without pixels, and for a segmentation.
        references: of a segmentation: series -> its images that are referred to.
    """

    file: str
    sop_class: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    person: Person
    description: str
    modality: str
    number: int
    study_time: str
    series_time: str
    content_time: str
    image_type: tuple[str, ...]
    photometric: str
    samples: int
    frame_of_reference: str
    contrast: bool
    frames: tuple[Frame, ...]
    references: tuple[tuple[str, frozenset[str]], ...] = ()


@contextmanager
def calm_pydicom() -> Iterator[Any]:
    """Gives pydicom. Inside, it neither checks the values that it reads nor prints them: a warning can quote the person's name.

    A value whose length does not fit its type is bytes.

    Raises:
        InputError: pydicom is not installed.
    """
    try:
        import pydicom
        import pydicom.config
    except ImportError:
        raise InputError("DICOM files cannot be read: pydicom is not installed.", hint="Install it with: pip install pydicom") from None
    logger = logging.getLogger("pydicom")
    level, lengths = logger.level, pydicom.config.convert_wrong_length_to_UN
    logger.setLevel(logging.CRITICAL + 1)
    pydicom.config.convert_wrong_length_to_UN = True
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield pydicom
    finally:
        logger.setLevel(level)
        pydicom.config.convert_wrong_length_to_UN = lengths


def read_header(path: str, *, bare: bool = False) -> Header | None:
    """What is in the header of a file; None where it belongs to no series, as a DICOMDIR.

    Args:
        path: absolute.
        bare: also a file without preamble and magic word.

    Raises:
        InputError: naming a file that is no DICOM file, is damaged or cannot be read.
    """
    with calm_pydicom() as pydicom:
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_tags(), force=bare)
            frames = _number(dataset, "NumberOfFrames", 1)
            sop_class = _text(dataset, "SOPClassUID") or _text(getattr(dataset, "file_meta", None), "MediaStorageSOPClassUID")
            if sop_class not in SEGMENTATION_CLASSES and (frames > 1 or not _has_place(dataset)):
                dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_tags(), *_GROUPS], force=bare)
            return _header(path, sop_class, dataset)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or 'it is damaged'}.", hint="Check the disk.") from None
        except (*MALFORMED, pydicom.errors.InvalidDicomError):
            raise InputError(f"{path} is no readable DICOM file.", hint="Export it again.") from None


@cache
def _tags() -> list[int]:
    from pydicom.datadict import tag_for_keyword

    return [tag for tag in map(tag_for_keyword, _TAGS) if tag is not None]


def _header(path: str, sop_class: str, dataset: Dataset) -> Header | None:
    series_uid = _text(dataset, "SeriesInstanceUID")
    if not sop_class:
        raise ValueError("neither the data set nor the file says what it is")
    if not series_uid and "Rows" not in dataset:
        return None
    segmentation = sop_class in SEGMENTATION_CLASSES
    study_date, series_date = _text(dataset, "StudyDate"), _text(dataset, "SeriesDate") or _text(dataset, "AcquisitionDate")
    return Header(
        file=path,
        sop_class=sop_class,
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        series_uid=series_uid,
        study_uid=_text(dataset, "StudyInstanceUID"),
        person=Person(_text(dataset, "PatientID"), _text(dataset, "PatientName"), _text(dataset, "PatientBirthDate")),
        description=next(filter(None, (_text(dataset, k) for k in ("SeriesDescription", "ProtocolName", "SequenceName"))), ""),
        modality=_text(dataset, "Modality").upper(),
        number=_number(dataset, "SeriesNumber", 0),
        study_time=study_date + _text(dataset, "StudyTime"),
        series_time=(series_date or study_date) + _text(dataset, "SeriesTime"),
        content_time=_text(dataset, "ContentDate") + _text(dataset, "ContentTime"),
        image_type=tuple(part.upper() for part in _texts(dataset, "ImageType")),
        photometric=_text(dataset, "PhotometricInterpretation"),
        samples=_number(dataset, "SamplesPerPixel", 1),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        contrast=_text(dataset, "ContrastBolusAgent").casefold() not in ("", "no", "none", "n"),
        frames=() if segmentation else tuple(_frames(path, dataset)),
        references=tuple(_references(dataset)) if segmentation else (),
    )


def _frames(path: str, dataset: Dataset) -> Iterator[Frame]:
    rows, columns = _number(dataset, "Rows", 0), _number(dataset, "Columns", 0)
    if rows < 1 or columns < 1:
        return
    shared = _items(dataset, _GROUPS[0])[:1]
    groups = _items(dataset, _GROUPS[1])
    count = max(1, _number(dataset, "NumberOfFrames", 1), len(groups))
    multi = bool(groups) or count > 1
    orientation, position = "ImageOrientationPatient", "ImagePositionPatient"
    # One frame without a place tells that there are some; a damaged header must not ask for millions of them.
    for index in range(min(count, len(groups) + 1)):
        levels = [*groups[index : index + 1], *shared]
        yield Frame(
            file=path,
            sop_instance_uid=_text(dataset, "SOPInstanceUID"),
            number=index + 1 if multi else None,
            rows=rows,
            columns=columns,
            position=_place(dataset, levels, "PlanePositionSequence", position, 3),
            orientation=_place(dataset, levels, "PlaneOrientationSequence", orientation, 6),
            pixel_spacing=_place(dataset, levels, "PixelMeasuresSequence", "PixelSpacing", 2),
            traits=tuple(_traits(dataset, levels)),
        )


def _traits(dataset: Dataset, levels: Sequence[Dataset]) -> Iterator[str]:
    """In the order of `TRAITS`: of a frame's functional groups (PS3.3 section C.7.6.16), else of the image."""
    yield _in_groups(levels, ("FrameContentSequence",), "StackID")
    frame_type = _in_groups(levels, ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence"), "FrameType")
    yield frame_type or "\\".join(_texts(dataset, "ImageType"))
    yield _in_groups(levels, ("MREchoSequence",), "EffectiveEchoTime") or _text(dataset, "EchoTime")
    yield _text(dataset, "InversionTime")
    yield _in_groups(levels, ("MRDiffusionSequence",), "DiffusionBValue") or _text(dataset, "DiffusionBValue")
    yield _in_groups(levels, ("FrameContentSequence",), "TemporalPositionIndex") or _text(dataset, "TemporalPositionIdentifier")
    yield _in_groups(levels, ("FrameContentSequence",), "FrameAcquisitionNumber") or _text(dataset, "AcquisitionNumber")


def _in_groups(levels: Sequence[Dataset], sequences: Sequence[str], keyword: str) -> str:
    for level in levels:
        for name in sequences:
            for item in _items(level, name)[:1]:
                if text := "\\".join(_texts(item, keyword)):
                    return text
    return ""


def _place(dataset: Dataset, levels: Sequence[Dataset], sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
    items = [item for level in levels for item in _items(level, sequence)[:1]]
    for holder in (*items, dataset):
        value = _value(holder, keyword)
        if value is None or isinstance(value, str | bytes) or not hasattr(value, "__len__") or len(value) != count:
            continue
        numbers = _floats(value)
        if numbers is not None:
            return numbers
    return None


def _floats(values: Sequence[Any]) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _references(dataset: Dataset) -> Iterator[tuple[str, frozenset[str]]]:
    for item in _items(dataset, "ReferencedSeriesSequence"):
        images = frozenset(_text(image, "ReferencedSOPInstanceUID") for image in _items(item, "ReferencedInstanceSequence"))
        yield _text(item, "SeriesInstanceUID"), images


def _has_place(dataset: Dataset) -> bool:
    return "ImagePositionPatient" in dataset or "Rows" not in dataset


def _items(dataset: Dataset, keyword: str) -> Sequence[Any]:
    value = _value(dataset, keyword)
    return value if value is not None and hasattr(value, "__len__") and not isinstance(value, str | bytes) else ()


def _text(dataset: Any, keyword: str) -> str:
    return next(iter(_texts(dataset, keyword)), "")


def _texts(dataset: Any, keyword: str) -> list[str]:
    value = _value(dataset, keyword)
    if value is None:
        return []
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    return [str(one).replace("\0", "").strip() for one in several]


def _number(dataset: Dataset, keyword: str, default: int) -> int:
    try:
        return int(_text(dataset, keyword) or default)
    except ValueError:
        return default


def _value(dataset: Any, keyword: str) -> Any:
    """A value, None where it is absent or cannot be decoded: one damaged element does not spoil those beside it."""
    if dataset is None:
        return None
    try:
        return dataset.get(keyword)
    except MALFORMED:
        return None
