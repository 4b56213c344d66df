"""DICOM Segmentation objects (PS3.3 section A.51) for cases whose images came from DICOM.

Every structure of the schema is a segment, and every accepted slice has a frame of each, also where it is empty: a frame says that somebody
looked. Slices without frames were not annotated; the series and the content say so in words, and every frame who accepted it.

Patient and study are those of the images: a DICOM object belongs to a person, so these files identify the patient as the images do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.dicom.headers import MALFORMED, calm_pydicom
from SuggestiveAnnotationLib.cohort.dicom.segmentation import MANUFACTURER, PARTS_OF_FRAMES, WHOLE_FRAMES, read_dicom_segmentation
from SuggestiveAnnotationLib.cohort.files.write import not_written
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.case_images import earlier_readers
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.dicom_segments import ALGORITHM, LONGEST, describe_segments, long_string, segment_label, segment_numbers
from SuggestiveAnnotationLib.export.dicom_source import SourceImages, source_images
from SuggestiveAnnotationLib.export.seg_nrrd import ignored_pixels
from SuggestiveAnnotationLib.export.sidecar import describe_annotations, header, sidecar_path
from SuggestiveAnnotationLib.files import file_stem, refuse_present, whole_file
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.records import Annotation

SERIES_DESCRIPTION = "SuggestiveAnnotation: accepted slices only"
CONTENT_LABEL = "ANNOTATION"
_SERIES_NUMBER = 900
_TOLERANCE = 0.1  # of a voxel: positions are written as decimal numbers


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write `<case>_annotation.dcm` and `<case>_annotation.json` of every case that came from DICOM; see `formats.Writer`.

    Cases whose images came from elsewhere, or whose DICOM files are gone, are left out with a sentence.

    Raises:
        InputError: no case can be written, or highdicom is not installed.
        ExistsError: a file of any case exists and `overwrite` is off; nothing is written then.
        StorageError: the folder is read-only or the disk is full.
    """
    _need_highdicom()
    possible, left_out = _possible(content)
    if not possible:
        raise InputError(f"No case can be exported. {' '.join(left_out)}", hint="Only cases that came from DICOM can become DICOM SEG.")
    wanted = {case.grid.case: _paths(Path(folder), case) for case in possible}
    refuse_present([path for paths in wanted.values() for path in paths], overwrite=overwrite)
    files: list[Path] = []
    for case in content.cases:
        if case.grid.case in wanted:
            try:
                left_out += _write(case, content, *wanted[case.grid.case])
                files += wanted[case.grid.case]
            except InputError as error:
                left_out.append(_without(case, error))
        stage.advance()
    if not files:
        raise InputError(f"No case can be exported. {' '.join(left_out)}")
    exported = replace(content, cases=tuple(c for c in possible if wanted[c.grid.case][0] in files))
    return Exported(tuple(files), (*left_out, *_shortened(content), *earlier_readers(exported)))


def _need_highdicom() -> None:
    try:
        import highdicom  # noqa: F401
    except ImportError:
        what = "DICOM segmentations cannot be written: highdicom is not installed."
        raise InputError(what, hint="Install it with: pip install highdicom") from None


def _possible(content: StudyContent) -> tuple[list[CaseContent], list[str]]:
    """The cases whose DICOM images are there, and a sentence on each of the others."""
    good, left_out = [], []
    for case in content.cases:
        try:
            _sources(case, content)
            good.append(case)
        except InputError as error:
            left_out.append(_without(case, error))
    return good, left_out


def _sources(case: CaseContent, content: StudyContent) -> tuple[SourceImages, list[int]]:
    """The images of the native slices k that were looked at, wholly or in part."""
    slices = [int(k) for k in np.flatnonzero(case.volume()[1].any(axis=(1, 2)))]
    path = case.case.images.get(content.reference, "")
    return source_images(path, slices, case.grid.geometry, where=content.where), slices


def _without(case: CaseContent, error: InputError) -> str:
    return f"Case {case.grid.case} is left out: {error}"


def _shortened(content: StudyContent) -> list[str]:
    names = [one.name for one in content.schema.classes if segment_label(one) != " ".join(one.name.split())]
    return [f"The full names of structures that DICOM shortens to {LONGEST} characters: {', '.join(names)}."] if names else []


def _paths(folder: Path, case: CaseContent) -> tuple[Path, Path]:
    stem = file_stem(case.grid.case)
    labels = folder / f"{stem}_annotation.dcm"
    return (labels, sidecar_path(folder / f"{stem}_annotation.json", labels))


def _write(case: CaseContent, content: StudyContent, segmentation: Path, sidecar: Path) -> list[str]:
    """Writes both files, and gives sentences on what they leave out. Raises: InputError, when highdicom refuses the source images."""
    sources, slices = _sources(case, content)
    labels, annotated = case.volume()
    numbers = segment_numbers(case.grid.schema)
    numbers[case.grid.schema.ignore_value] = 0
    segments = numbers[labels]
    partly = not annotated[slices].all()
    shown = case.shown()
    by_slice = {} if case.grid.frame.axis else {ref.native_index: annotation for ref, annotation in shown.items()}
    with ExitStack() as stack:
        # Renamed in the opposite order: the JSON, which knows the hash of the other, comes last.
        sidecar_file, file = stack.enter_context(whole_file(sidecar)), stack.enter_context(whole_file(segmentation))
        with calm_pydicom():
            dataset = _build(case, content, sources, segments[slices], partly=partly)
            _note_frames(dataset, case.grid.geometry, by_slice)
            _save(dataset, file)
        _check(file, segmentation, segments, slices, case)
        entries = describe_annotations(case.annotations, shown, suggestions=case.suggestions, models=case.models)
        described = [
            {"number": number, "value": one.value, "name": one.name} for number, one in enumerate(case.grid.schema.classes, start=1)
        ]
        document = {
            **header(case.grid, "annotation", {"segmentation": (segmentation, file)}),
            "segments": described,
            "annotations": entries,
        }
        sidecar_file.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    said = []
    if ignored := int(np.count_nonzero((labels == case.grid.schema.ignore_value) & (annotated > 0))):
        said.append(ignored_pixels(case, ignored))
    if partly:
        which = f"Case {case.grid.case} was annotated across its DICOM images"
        said.append(f"{which}: its frames cannot tell which of their lines nobody looked at; the JSON lists the slices.")
    return said


def _build(case: CaseContent, content: StudyContent, sources: SourceImages, segments: NDArray[np.uint16], *, partly: bool) -> Any:
    """The segmentation of frames `(slice, row, column)` of segment numbers."""
    from highdicom import UID, PlanePositionSequence
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.valuerep import format_number_as_ds

    positions = None
    if sources.positions is not None:
        positions = [PlanePositionSequence(coordinate_system="PATIENT", image_position=place) for place in sources.positions]
    try:
        made = Segmentation(
            source_images=sources.images,
            pixel_array=segments,
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=describe_segments(case, content),
            series_instance_uid=UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=ALGORITHM,
            software_versions=long_string(content.version) or "unknown",
            device_serial_number="0",
            content_description=PARTS_OF_FRAMES if partly else WHOLE_FRAMES,
            content_creator_name=_creator(case),
            content_label=CONTENT_LABEL,
            plane_positions=positions,
            omit_empty_frames=False,
            series_description=SERIES_DESCRIPTION,
            specific_character_set="ISO_IR 192",
        )
    except MALFORMED as error:
        # highdicom's words can quote the header, and with it the person.
        what = f"its DICOM images lack what a segmentation needs ({type(error).__name__})."
        raise InputError(what, hint="Export the series again, with all of its tags.") from error
    # highdicom takes the images' own, which may be wrong, else the distance of the frames, between which slices may be missing.
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = format_number_as_ds(case.grid.geometry.spacing[2])
    return made


def _save(dataset: Any, file: Path) -> None:
    try:
        dataset.save_as(file)
    except OSError:
        raise
    except MALFORMED as error:
        what = f"its DICOM images hold what cannot be written again ({type(error).__name__})."
        raise InputError(what, hint="Export the series again.") from error


def _creator(case: CaseContent) -> str:
    """Who accepted the slices, as one person name: the names of several people are together its first component."""
    people = sorted({annotation.annotator for annotation in case.shown().values()})
    plain = [long_string(one.translate(str.maketrans("^=", "  "))) or "unnamed" for one in people]
    text = ", ".join(plain)
    if len(text) >= LONGEST:
        others = f" and {len(plain) - 1} more" if len(plain) > 1 else ""
        text = plain[0][: LONGEST - 1 - len(others)].strip() + others
    # Without a caret it would be a name in the form of ACR-NEMA (PS3.5 section 6.2.1).
    return f"{text}^"


def _note_frames(dataset: Any, geometry: Geometry, by_slice: Mapping[int, Annotation]) -> None:
    """Who accepted each frame, how it came about, and when (Frame Comments, PS3.3 section C.7.6.16.2.2)."""
    for group in dataset.PerFrameFunctionalGroupsSequence:
        annotation = by_slice.get(_slice_of(group.PlanePositionSequence[0].ImagePositionPatient, geometry))
        if annotation is not None:
            text = f"Accepted by {annotation.annotator} ({annotation.provenance}) at {annotation.accepted_at}."
            group.FrameContentSequence[0].FrameComments = text.replace("\\", "/")


def _slice_of(position: Sequence[float], geometry: Geometry) -> int:
    axis = np.reshape(geometry.direction_lps, (3, 3))[:, 2]
    away = np.asarray([float(v) for v in position]) - np.asarray(geometry.origin_lps)
    return round(float(away @ axis) / geometry.spacing[2])


def _check(scratch: Path, final: Path, segments: NDArray[np.uint16], slices: Sequence[int], case: CaseContent) -> None:
    """Read the file again: a frame of every segment on every accepted slice, structures and every pixel must be the same.

    Raises: StorageError, when they are not.
    """
    first, last = slices[0], slices[-1]
    axis = np.reshape(case.grid.geometry.direction_lps, (3, 3))[:, 2] * case.grid.geometry.spacing[2]
    x, y, z = (float(v) for v in np.asarray(case.grid.geometry.origin_lps) + first * axis)
    wanted = replace(case.grid.geometry, size=(*case.grid.geometry.size[:2], last - first + 1), origin_lps=(x, y, z))
    try:
        found = read_dicom_segmentation(scratch)
        with calm_pydicom() as pydicom:
            groups = pydicom.dcmread(scratch, stop_before_pixels=True).PerFrameFunctionalGroupsSequence
            places = {_slice_of(group.PlanePositionSequence[0].ImagePositionPatient, case.grid.geometry) for group in groups}
    except InputError as error:
        raise not_written(final, segments.nbytes) from error
    same = np.array_equal(found.labels, segments[first : last + 1]) and found.geometry.same_grid(wanted, tolerance=_TOLERANCE)
    names = [(one.value, one.name) for one in found.classes]
    described = [(number, segment_label(one)) for number, one in enumerate(case.grid.schema.classes, start=1)]
    if not same or names != described or len(groups) != len(slices) * len(described) or places != set(slices):
        raise not_written(final, segments.nbytes)
