"""The DICOM images that a case's reference image was made from: found again, checked, and as highdicom takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from SuggestiveAnnotationLib.cohort.dicom.folder import begins_as_dicom
from SuggestiveAnnotationLib.cohort.dicom.headers import MALFORMED, calm_pydicom, read_header
from SuggestiveAnnotationLib.cohort.origin import Instance, Origin
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

if TYPE_CHECKING:
    from pydicom import Dataset

_BACK = "Put the DICOM files back, or add the case anew."
_TOLERANCE = 0.1
"""Voxels by which an image may lie beside its slice of the grid: positions are written as decimal numbers."""

_EMPTY_WHEN_ABSENT = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""Attributes that an image must have but may leave empty (PS3.3 sections C.7.1.1 and C.7.2.1), and that careless anonymisation removes."""


@dataclass(frozen=True)
class SourceImages:
    """Images without pixels.

    Attributes:
        images: one for every slice, in their order; or the one multi-frame image that holds them all.
        positions: centre of the first voxel of every slice, LPS millimetres; None for single-frame images, which have their own.
    """

    images: tuple[Dataset, ...]
    positions: tuple[tuple[float, ...], ...] | None


def source_images(path: str, slices: Sequence[int], geometry: Geometry, *, where: Callable[[str], str] = str) -> SourceImages:
    """The DICOM images of native slices k of an image that was made for the study.

    Args:
        path: of the image that was made. slices: k. geometry: of the image.
        where: where a DICOM file lies now, given where it was when the image was made.

    Raises:
        InputError: the image was made from something else, its DICOM files are gone, unreadable or others than they were, or they lie
            elsewhere than the grid.
    """
    origin = Origin.of(path)
    if origin is None or origin.source.kind != "dicom series" or not origin.instances:
        raise InputError("its image was not made from a DICOM series.")
    if len(origin.instances) != geometry.size[2]:
        raise InputError("its image was made from another number of DICOM images than it has slices.", hint=_BACK)
    instances = [replace(one, file=where(one.file)) for one in (origin.instances[k] for k in slices)]
    files = list(dict.fromkeys(one.file for one in instances))
    multi = any(one.frame is not None for one in instances)
    if multi and len(files) > 1:
        raise InputError("its image was made from several multi-frame images, to which one segmentation cannot refer.")
    positions = _positions(instances, slices, geometry)
    images = [_image(file) for file in files]
    if multi:
        _share_groups(images[0])
        return SourceImages((images[0],), positions)
    # The same within the tolerance of the importer; highdicom wants them equal to the last digit.
    for image in images[1:]:
        image.ImageOrientationPatient = images[0].ImageOrientationPatient
    return SourceImages(tuple(images), None)


def _positions(instances: Sequence[Instance], slices: Sequence[int], geometry: Geometry) -> tuple[tuple[float, ...], ...]:
    """Where every slice lies, checked against the grid; the files are the ones that were imported."""
    headers = {}
    for one in instances:
        if one.file in headers:
            continue
        try:
            header = read_header(one.file, bare=begins_as_dicom(one.file) == "bare")
        except InputError:
            header = None
        if header is None or header.sop_instance_uid != one.sop_instance_uid:
            raise InputError(f"its DICOM image {one.file} is gone, or is another one now.", hint=_BACK)
        if not header.frame_of_reference:
            raise InputError("its DICOM images name no frame of reference.", hint="Export the series again without taking this tag out.")
        headers[one.file] = header
    axis = np.reshape(geometry.direction_lps, (3, 3))[:, 2] * geometry.spacing[2]
    found = []
    for one, k in zip(instances, slices, strict=True):
        frames = headers[one.file].frames
        number = (one.frame or 1) - 1
        frame = frames[number] if number < len(frames) else None
        if frame is None or frame.position is None or (frame.columns, frame.rows) != geometry.size[:2]:
            raise InputError(f"its DICOM image {one.file} is another one now.", hint=_BACK)
        away = np.abs(np.asarray(frame.position) - (np.asarray(geometry.origin_lps) + k * axis)).max()
        if away > _TOLERANCE * min(geometry.spacing):
            raise InputError(f"its DICOM image {one.file} lies elsewhere than the slice that was made from it.", hint=_BACK)
        found.append(frame.position)
    return tuple(found)


def _image(file: str) -> Dataset:
    with calm_pydicom() as pydicom:
        try:
            image: Dataset = pydicom.dcmread(file, stop_before_pixels=True, force=begins_as_dicom(file) == "bare")
            for keyword in _EMPTY_WHEN_ABSENT:
                if keyword not in image:
                    setattr(image, keyword, None)
            return image
        except (*MALFORMED, pydicom.errors.InvalidDicomError):
            raise InputError(f"its DICOM image {file} is damaged.", hint=_BACK) from None


def _share_groups(image: Any) -> None:
    """Orientation and pixel spacing that every frame states for itself, where highdicom looks for them: stated for all frames."""
    shared = image.SharedFunctionalGroupsSequence[0]
    first = image.PerFrameFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword not in shared and keyword in first:
            setattr(shared, keyword, first[keyword].value)
