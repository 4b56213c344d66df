"""Segmentations that other programs wrote, made with highdicom: types, overlaps, slices that are absent, and damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor
from pydicom.sr.codedict import codes
from Support.dicom_files import PATIENT_NAME, ramp, rotation, uid, write_series
from Support.dicom_validation import dicom_errors

from SuggestiveAnnotationLib.cohort.dicom.segmentation import read_dicom_segmentation
from SuggestiveAnnotationLib.cohort.dicom.volume import read_series
from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on, read_label_file
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

SHAPE = (7, 6, 5)


@pytest.fixture
def series(tmp_path) -> tuple[list[pydicom.Dataset], Geometry]:
    """Images of an oblique anisotropic series in the order of its slices, and its grid."""
    files = write_series(tmp_path / "series", array=ramp(SHAPE), spacing=(3.3, 1.1, 0.9), direction=rotation(10, 20, -15))
    volume, instances = read_series([str(f) for f in files])
    return [pydicom.dcmread(one.file) for one in instances], volume.geometry


def describe(number: int, name: str, colour: tuple[int, int, int] | None = (200, 10, 20), **more: Any) -> highdicom.seg.SegmentDescription:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.cid7150.AnatomicalStructure,
        segmented_property_type=more.get("code", codes.SCT.Brain),
        algorithm_type="MANUAL",
        display_color=None if colour is None else CIELabColor.from_rgb(*colour),
    )


def save(path: Path, images: list[pydicom.Dataset], array: np.ndarray, kind: str, segments: list[Any], **more: Any) -> pydicom.Dataset:
    made = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=array,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=uid(path.name, "series"),
        series_number=2,
        sop_instance_uid=uid(path.name),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    made.save_as(path)
    return made


def cubes() -> np.ndarray:
    """Two segments `(k, j, i, segment)` that share two voxels of slice 3."""
    out = np.zeros((*SHAPE, 2), np.uint8)
    out[2:4, 1:4, 1:3, 0] = 1
    out[3:5, 3:5, 1:4, 1] = 1
    return out


def on(file, geometry: Geometry) -> np.ndarray:
    return labels_on(file, geometry, name="the file", reference_name="the image")


def test_binary_with_overlap_the_later_wins(tmp_path, series):
    images, geometry = series
    segments = [describe(1, "left  part", (10, 200, 30)), describe(2, "right 右", None, code=codes.cid7150.Tissue)]
    save(tmp_path / "a.dcm", images, cubes(), "BINARY", segments)
    file = read_label_file(tmp_path / "a.dcm")
    wanted = np.maximum(cubes()[..., 0], 2 * cubes()[..., 1])
    assert np.array_equal(on(file, geometry), wanted)
    assert [(c.value, c.name, c.terminology) for c in file.classes] == [(1, "left part", "SCT^12738006^Brain"), (2, "right 右", None)]
    assert file.classes[0].colour == (10, 200, 30)
    assert file.notes == (f"{tmp_path / 'a.dcm'}: 2 voxels lie in two segments or more; the later segment is kept there.",)
    # Slices at both ends that hold nothing have no frame, and are not on the file's own grid.
    assert file.geometry.size == (5, 6, 3)


def test_fractions_from_a_half_on(tmp_path, series):
    images, geometry = series
    array = np.linspace(0, 1, int(np.prod(SHAPE))).reshape(SHAPE)
    save(tmp_path / "a.dcm", images, array, "FRACTIONAL", [describe(1, "a")], max_fractional_value=200)
    file = read_dicom_segmentation(tmp_path / "a.dcm")
    assert np.array_equal(on(file, geometry), np.round(array * 200) >= 100)
    assert file.notes == (f"{tmp_path / 'a.dcm'} holds fractions; a structure is where they reach 0.5.",)


def test_a_label_map(tmp_path, series):
    images, geometry = series
    array = np.random.default_rng(0).choice(np.array([0, 2, 300], np.uint16), SHAPE)
    save(tmp_path / "a.dcm", images, array, "LABELMAP", [describe(2, "a"), describe(300, "b")])
    file = read_dicom_segmentation(tmp_path / "a.dcm")
    assert np.array_equal(on(file, geometry), array)
    assert [(c.value, c.name) for c in file.classes] == [(2, "a"), (300, "b")]


@pytest.mark.parametrize("told", ["between", "thickness", "nothing"])
def test_slices_without_frames_are_empty_as_far_as_can_be_told(tmp_path, series, told):
    images, geometry = series
    array = np.zeros(SHAPE, np.uint8)
    array[0], array[3], array[6] = 1, 1, 1
    made = save(tmp_path / "a.dcm", images, array, "BINARY", [describe(1, "a")])
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = 3.3 if told == "thickness" else 99
    if told != "between":
        del measures.SpacingBetweenSlices
    made.save_as(tmp_path / "a.dcm")
    file = read_dicom_segmentation(tmp_path / "a.dcm")
    if told == "nothing":
        # Nobody can know that there were slices between.
        assert file.geometry.size == (5, 6, 3)
        assert file.geometry.spacing[2] == pytest.approx(9.9)
    else:
        assert np.array_equal(on(file, geometry), array)


def test_empty_frames_of_some_slices_make_those_without_frames_doubtful(tmp_path, series):
    images, geometry = series
    array = np.zeros(SHAPE, np.uint8)
    array[2] = 1
    some, every = (
        [images[k] for k in (0, 2, 3, 6)],
        save(tmp_path / "b.dcm", images, array, "BINARY", [describe(1, "a")], omit_empty_frames=False),
    )
    made = save(tmp_path / "a.dcm", some, array[[0, 2, 3, 6]], "BINARY", [describe(1, "a")], omit_empty_frames=False)
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 3.3
    made.save_as(tmp_path / "a.dcm")
    file = read_dicom_segmentation(tmp_path / "a.dcm")
    assert np.array_equal(on(file, geometry), array)
    assert file.looked_at is None
    said = "has empty frames of 3 slices: others without frames may not have been looked at, but count as background."
    assert file.notes == (f"{tmp_path / 'a.dcm'} {said}",)
    assert len(every.PerFrameFunctionalGroupsSequence) == len(images)
    assert read_dicom_segmentation(tmp_path / "b.dcm").notes == ()


def test_a_single_frame_has_the_stated_distance(tmp_path, series):
    images, geometry = series
    array = np.zeros(SHAPE, np.uint8)
    array[4, 1:3, 1:3] = 1
    save(tmp_path / "a.dcm", images, array, "BINARY", [describe(1, "a")])
    file = read_dicom_segmentation(tmp_path / "a.dcm")
    assert file.geometry.size == (5, 6, 1)
    assert file.geometry.spacing == pytest.approx((0.9, 1.1, 3.3))
    assert np.array_equal(on(file, geometry), array)


def test_frames_that_say_their_place_themselves(tmp_path, series):
    images, geometry = series
    made = save(tmp_path / "a.dcm", images, cubes(), "BINARY", [describe(1, "a"), describe(2, "b")])
    shared = made.SharedFunctionalGroupsSequence[0]
    for group in made.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = shared.PlaneOrientationSequence
        group.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    made.save_as(tmp_path / "a.dcm")
    assert np.array_equal(on(read_dicom_segmentation(tmp_path / "a.dcm"), geometry), np.maximum(cubes()[..., 0], 2 * cubes()[..., 1]))


def edited(tmp_path: Path, images: list[pydicom.Dataset], change: Any) -> Path:
    made = save(tmp_path / "a.dcm", images, cubes(), "BINARY", [describe(1, "a"), describe(2, "b")])
    change(made)
    made.save_as(tmp_path / "a.dcm")
    return tmp_path / "a.dcm"


def place(made: pydicom.Dataset, frame: int) -> Any:
    return made.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]


def normal_of(made: pydicom.Dataset) -> np.ndarray:
    return np.cross(*np.reshape(made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)))


def move(made: pydicom.Dataset, by: np.ndarray) -> None:
    place(made, 0).ImagePositionPatient = [f"{v:.10g}" for v in np.array(place(made, 0).ImagePositionPatient, float) + by]


def uneven(made: pydicom.Dataset) -> None:
    move(made, normal_of(made) * 1.3)


def sideways(made: pydicom.Dataset) -> None:
    move(made, np.cross(normal_of(made), (1, 0, 0)))


def far(made: pydicom.Dataset) -> None:
    move(made, normal_of(made) * 3.3 * 2**30)


def twice(made: pydicom.Dataset) -> None:
    for group in made.PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1
    for group in made.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient = place(made, 0).ImagePositionPatient


def without(keyword: str) -> Any:
    return lambda made: delattr(made, keyword)


def cut(made: pydicom.Dataset) -> None:
    made.PixelData = made.PixelData[:2]


def slide(made: pydicom.Dataset) -> None:
    made.TotalPixelMatrixRows = 100


def turned(made: pydicom.Dataset) -> None:
    shared = made.SharedFunctionalGroupsSequence[0]
    for n, group in enumerate(made.PerFrameFunctionalGroupsSequence):
        item = pydicom.Dataset()
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if n % 2 else [0, 1, 0, 0, 0, 1]
        group.PlaneOrientationSequence = [item]
    del shared.PlaneOrientationSequence


def unknown(made: pydicom.Dataset) -> None:
    del made.SegmentSequence[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (uneven, "uneven distances"),
        (sideways, "shifted sideways"),
        (far, "claims 5 x 6 x"),
        (twice, "several frames of one segment at one place"),
        (turned, "frames of different orientation"),
        (slide, "microscopy slide"),
        (cut, "damaged DICOM segmentation"),
        (unknown, "voxels of segments that it does not describe: 1"),
        (without("PixelData"), "pixel data are missing"),
        (without("SegmentSequence"), "damaged DICOM segmentation"),
        (without("PerFrameFunctionalGroupsSequence"), "damaged DICOM segmentation"),
        (without("SharedFunctionalGroupsSequence"), "damaged DICOM segmentation"),
        (without("SegmentationType"), "damaged DICOM segmentation"),
        (without("Rows"), "damaged DICOM segmentation"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_cannot_be_read_is_told(tmp_path, series, change, sentence, caplog, capfd):
    path = edited(tmp_path, series[0], change)
    with pytest.raises(InputError, match=sentence) as caught:
        read_dicom_segmentation(path)
    assert str(path) in str(caught.value)
    said = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert PATIENT_NAME not in said
    assert "Achternaam" not in said


def test_an_image_is_no_segmentation(tmp_path, series):
    file = next((tmp_path / "series").iterdir())
    with pytest.raises(InputError, match="is no DICOM segmentation but MR Image Storage"):
        read_dicom_segmentation(file)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 128 + b"DICM", b"\0" * 4000])
def test_other_files_are_no_segmentations(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.dcm"):
        read_dicom_segmentation(tmp_path / "a.dcm")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_dicom_segmentation(tmp_path / "a.dcm")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_told(tmp_path, series, part):
    path = edited(tmp_path, series[0], lambda made: None)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=r"a\.dcm"):
        read_dicom_segmentation(path)


def test_the_segmentations_of_these_tests_are_valid(tmp_path, series):
    save(tmp_path / "a.dcm", series[0], cubes(), "BINARY", [describe(1, "a"), describe(2, "b")])
    assert dicom_errors(tmp_path / "a.dcm") == []
