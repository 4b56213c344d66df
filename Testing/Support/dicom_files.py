"""Makers of real DICOM files: series of MR and CT, multi-frame images, a DICOMDIR. The same arguments give the same files.

Arrays are `(k, j, i)`, spacing is in the same order, origin and direction are LPS as in `geometry.Geometry`: the columns of the direction
are the directions of i, j and k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

PATIENT_NAME = "Achternaam^Voornaam"
PATIENT_ID = "ZH-480913"
_CLASSES = {"MR": MRImageStorage, "CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage}
_ENHANCED = {"MR": EnhancedMRImageStorage, "CT": EnhancedCTImageStorage}


def uid(*words: object) -> str:
    """The same words give the same UID."""
    return generate_uid(entropy_srcs=["suggestive annotation test", *map(str, words)])


def rotation(x: float, y: float, z: float) -> NDArray[np.float64]:
    """A proper rotation by degrees about x, then y, then z: an oblique direction matrix."""
    a, b, c = (math.radians(v) for v in (x, y, z))
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def write_series(
    folder: Path,
    *,
    array: NDArray[Any],
    spacing: Sequence[float] = (3.0, 1.0, 1.0),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    direction: NDArray[np.float64] | None = None,
    patient_id: str = PATIENT_ID,
    patient_name: str = PATIENT_NAME,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_uid: str | None = None,
    description: str = "t1_mprage_tra",
    modality: str = "MR",
    study_date: str = "20200102",
    series_number: int = 1,
    transfer_syntax: str = ExplicitVRLittleEndian,
    slope: float = 1,
    intercept: float = 0,
    photometric: str = "MONOCHROME2",
    bits_stored: int | None = None,
    drop: Sequence[int] = (),
    duplicate: Sequence[int] = (),
    tilt: float = 0.0,
    missing_tags: Sequence[str] = (),
    extra: Mapping[str, Any] | Callable[[int], Mapping[str, Any]] | None = None,
    prefix: str = "",
) -> list[Path]:
    """One file a slice, with names that tell nothing of the order and have no suffix. Gives the files in the order of k, duplicates last.

    Args:
        array: stored values, int16 or uint16 (uint8 too); what a reader sees is `slope * array + intercept`.
        study_uid, series_uid, frame_uid: by default those of the patient, of the patient and the description, and of the study.
        drop: slices k that are left out. duplicate: slices k that are there twice, as two images.
        tilt: degrees that the gantry is tilted: every slice is shifted along j in proportion to its position.
        transfer_syntax: compressed ones too, where pydicom can encode them; JPEG 2000 needs 32 rows and columns or more.
        missing_tags: keywords that are taken out of every file.
        extra: keyword -> value for every file, or a function of k that gives them.
        prefix: of the file names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matrix = np.eye(3) if direction is None else np.asarray(direction, float)
    study = study_uid or uid(patient_id, "study")
    series = series_uid or uid(patient_id, study, description, modality)
    files = []
    wanted = [(k, 0) for k in range(len(array)) if k not in drop] + [(k, 1) for k in duplicate]
    for k, copy in wanted:
        shift = matrix[:, 2] * spacing[0] * k + matrix[:, 1] * math.tan(math.radians(tilt)) * spacing[0] * k
        dataset = _new(_CLASSES[modality], uid(series, k, copy), transfer_syntax)
        _identity(dataset, patient_id, patient_name, study, study_date)
        _series(dataset, series, description, modality, series_number, frame_uid or uid(study, "frame"))
        _pixels(dataset, array[k], photometric, bits_stored)
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [_number(v) for v in np.asarray(origin, float) + shift]
        dataset.ImageOrientationPatient = [_number(v) for v in (*matrix[:, 0], *matrix[:, 1])]
        dataset.PixelSpacing = [_number(spacing[1]), _number(spacing[2])]
        # Wrong on purpose: what lies between two slices is told by their positions alone.
        dataset.SliceThickness = _number(spacing[0] * 0.8)
        _of_modality(dataset, modality, slope, intercept)
        for keyword, value in (extra(k) if callable(extra) else extra or {}).items():
            setattr(dataset, keyword, value)
        for keyword in missing_tags:
            if keyword in dataset:
                del dataset[keyword]
        # A multiplicative hash, so that the order of the names is not the order of the slices.
        file = folder / f"{prefix}IM{(k * 61837 + copy * 104729 + 12345) % 99991:05d}"
        _save(dataset, file, transfer_syntax)
        files.append(file)
    return files


def write_multiframe(
    file: Path,
    *,
    array: NDArray[Any],
    spacing: Sequence[float] = (3.0, 1.0, 1.0),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    direction: NDArray[np.float64] | None = None,
    patient_id: str = PATIENT_ID,
    patient_name: str = PATIENT_NAME,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_uid: str | None = None,
    description: str = "t1_mprage_tra",
    modality: str = "MR",
    study_date: str = "20200102",
    series_number: int = 1,
    transfer_syntax: str = ExplicitVRLittleEndian,
    slopes: Sequence[float] | None = None,
    intercepts: Sequence[float] | None = None,
    order: Sequence[int] | None = None,
    missing_tags: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """One Enhanced MR or CT image with a functional group for every frame.

    Args:
        slopes, intercepts: rescale of every slice k.
        order: frames in the file as slices k; by default as in the array.
        missing_tags: functional groups (`PlanePositionSequence`, ...) or tags that are left out.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    matrix = np.eye(3) if direction is None else np.asarray(direction, float)
    study = study_uid or uid(patient_id, "study")
    series = series_uid or uid(patient_id, study, description, modality)
    frames = list(range(len(array))) if order is None else list(order)
    dataset = _new(_ENHANCED[modality], uid(series, "multi-frame"), transfer_syntax)
    _identity(dataset, patient_id, patient_name, study, study_date)
    _series(dataset, series, description, modality, series_number, frame_uid or uid(study, "frame"))
    _pixels(dataset, array[frames], "MONOCHROME2", None)
    dataset.NumberOfFrames = len(frames)
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = study_date, "120000"
    dataset.AcquisitionDateTime, dataset.AcquisitionNumber = f"{study_date}120000", 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.VolumetricProperties, dataset.VolumeBasedCalculationTechnique = "VOLUME", "NONE"
    dataset.PresentationLUTShape, dataset.LossyImageCompression, dataset.BurnedInAnnotation = "IDENTITY", "00", "NO"
    dimension = uid(series, "dimensions")
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=dimension)]
    pointers = [(0x00209056, 0x00209111), (0x00209057, 0x00209111)]
    dataset.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=dimension, DimensionIndexPointer=index, FunctionalGroupPointer=group) for index, group in pointers
    ]
    measures = _item(PixelSpacing=[_number(spacing[1]), _number(spacing[2])], SliceThickness=_number(spacing[0] * 0.8))
    orientation = _item(ImageOrientationPatient=[_number(v) for v in (*matrix[:, 0], *matrix[:, 1])])
    shared = {"PixelMeasuresSequence": [measures], "PlaneOrientationSequence": [orientation]}
    dataset.SharedFunctionalGroupsSequence = [_item(**{name: v for name, v in shared.items() if name not in missing_tags})]
    groups = []
    for k in frames:
        position = [_number(v) for v in np.asarray(origin, float) + matrix[:, 2] * spacing[0] * k]
        slope, intercept = (slopes[k] if slopes else 1), (intercepts[k] if intercepts else 0)
        rescale = _item(RescaleIntercept=_number(intercept), RescaleSlope=_number(slope), RescaleType="US" if modality == "MR" else "HU")
        content = _item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])
        group = {
            "FrameContentSequence": [content],
            "PlanePositionSequence": [_item(ImagePositionPatient=position)],
            "PixelValueTransformationSequence": [rescale],
        }
        groups.append(_item(**{name: v for name, v in group.items() if name not in missing_tags}))
    dataset.PerFrameFunctionalGroupsSequence = groups
    for keyword, value in (extra or {}).items():
        setattr(dataset, keyword, value)
    for keyword in missing_tags:
        if keyword in dataset:
            del dataset[keyword]
    _save(dataset, file, transfer_syntax)
    return file


def write_dicomdir(folder: Path, files: Sequence[Path]) -> Path:
    """Copies of the files in `folder`, as on a CD from a hospital, with their DICOMDIR. Gives its path."""
    file_set = FileSet()
    for file in files:
        file_set.add(file)
    file_set.write(folder)
    return folder / "DICOMDIR"


def ramp(shape: tuple[int, int, int], *, seed: int = 0, low: int = 0, high: int = 1000, dtype: Any = np.int16) -> NDArray[Any]:
    """Voxels that all tell where they are and that compress well enough: a slope with some noise."""
    rng = np.random.default_rng(seed)
    slope = np.arange(math.prod(shape)).reshape(shape) % (high - low)
    return (np.clip(slope + rng.integers(-3, 4, shape), 0, high - low) + low).astype(dtype)


def _new(sop_class: str, sop_uid: str, transfer_syntax: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if _compressed(transfer_syntax) else transfer_syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_uid
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def _identity(dataset: Dataset, patient_id: str, patient_name: str, study: str, date: str) -> None:
    dataset.PatientName, dataset.PatientID = patient_name, patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19480913", "O"
    dataset.StudyInstanceUID, dataset.StudyDate, dataset.StudyTime = study, date, "101500"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "ACC-20481", "Verwijzer^Arts"
    dataset.InstitutionName = "Kantonsspital Beispiel"


def _series(dataset: Dataset, series: str, description: str, modality: str, number: int, frame_uid: str) -> None:
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = series, number, description
    dataset.SeriesDate, dataset.SeriesTime = dataset.StudyDate, f"{101500 + number:06d}"
    dataset.Modality, dataset.PatientPosition, dataset.BodyPartExamined = modality, "HFS", "HEAD"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = frame_uid, ""
    dataset.Manufacturer, dataset.ManufacturerModelName = "Test", "Test"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1"


def _pixels(dataset: Dataset, values: NDArray[Any], photometric: str, bits_stored: int | None) -> None:
    size = values.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = values.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored = size, bits_stored or size
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(values.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def _of_modality(dataset: Dataset, modality: str, slope: float, intercept: float) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"] if modality == "MR" else ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.AcquisitionNumber = 1
    dataset.ContentDate, dataset.ContentTime = dataset.StudyDate, dataset.SeriesTime
    if modality == "MR":
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions, dataset.MRAcquisitionType = "GR", "NONE", "", "3D"
        dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = "3", "2000", 1
    if modality == "CT":
        dataset.KVP = "120"
    if modality != "MR" or slope != 1 or intercept != 0:
        dataset.RescaleSlope, dataset.RescaleIntercept = _number(slope), _number(intercept)
        dataset.RescaleType = "HU" if modality == "CT" else "US"


def _compressed(transfer_syntax: str) -> bool:
    return UID(transfer_syntax).is_encapsulated


def _save(dataset: FileDataset, file: Path, transfer_syntax: str) -> None:
    if _compressed(transfer_syntax):
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    dataset.save_as(file, enforce_file_format=True)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _number(value: float) -> str:
    """A decimal string of at most 16 characters, as exact as that allows (PS3.5 section 6.2)."""
    for digits in range(16, 5, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{float(value):.6e}"[:16]
