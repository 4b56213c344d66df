"""What is wrong with a series is found by the places of its slices and said in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT_ID, PATIENT_NAME, ramp, rotation, write_multiframe, write_series

from SuggestiveAnnotationLib.cohort.dicom.geometry import StackGeometry, stack_geometry
from SuggestiveAnnotationLib.cohort.dicom.headers import Frame, read_header
from SuggestiveAnnotationLib.cohort.dicom.volume import read_series
from SuggestiveAnnotationLib.errors import InputError

ARRAY = ramp((8, 6, 5))
OBLIQUE = rotation(15, 25, -40)


def frames_of(files: list[Path]) -> list[Frame]:
    return [frame for file in files for frame in (read_header(str(file)) or pytest.fail("no header")).frames]


def stack_of(folder: Path, **how: object) -> StackGeometry:
    return stack_geometry(frames_of(write_series(folder, array=ARRAY, origin=(5, -7, 40), **how)))  # type: ignore[arg-type]


def rewritten(files: list[Path], change: Callable[[int, pydicom.Dataset], None]) -> list[Path]:
    for index, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        change(index, dataset)
        dataset.save_as(file)
    return files


def only(stack: StackGeometry) -> str:
    assert stack.geometry is None
    (problem,) = stack.problems
    return problem


def test_spacing_is_told_by_positions_and_not_by_slice_thickness(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ARRAY, spacing=(2.5, 1.0, 0.5))
    assert pydicom.dcmread(files[0]).SliceThickness == 2.0
    stack = stack_geometry(frames_of(files))
    assert (stack.problems, stack.geometry and stack.geometry.spacing) == ((), (0.5, 1.0, 2.5))


def test_order_is_along_the_normal(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ARRAY, direction=OBLIQUE)
    assert stack_geometry(frames_of(files[::-1])).order == tuple(range(7, -1, -1))


@pytest.mark.parametrize("direction", [None, OBLIQUE])
def test_a_tilted_gantry_is_named_with_its_angle(tmp_path: Path, direction: np.ndarray | None) -> None:
    problem = only(stack_of(tmp_path, tilt=15.0, modality="CT", direction=direction))
    assert "tilted gantry" in problem
    assert "15.0 degrees" in problem
    assert "regularisation" in problem


def test_a_shift_of_a_tenth_of_a_pixel_is_no_tilt(tmp_path: Path) -> None:
    assert stack_of(tmp_path, tilt=0.2).problems == ()  # 21 mm x tan 0.2 degrees = 0.07 mm


def test_missing_slices_are_named_with_the_places_between_which_they_are(tmp_path: Path) -> None:
    problem = only(stack_of(tmp_path, drop=(3, 4), spacing=(3, 1, 1)))
    assert "lacks 2 slices: between 46 mm and 55 mm, at a distance of 3 mm elsewhere" in problem


def test_several_gaps_are_listed(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ramp((30, 6, 5)), origin=(0, 0, 0), spacing=(1, 1, 1), drop=(3, 9, 15, 21, 26))
    problem = only(stack_geometry(frames_of(files)))
    assert "lacks 5 slices: between 2 mm and 4 mm, between 8 mm and 10 mm and between 14 mm and 16 mm and 2 more" in problem


def test_uneven_distances_are_named(tmp_path: Path) -> None:
    def move(index: int, dataset: pydicom.Dataset) -> None:
        if index == 5:
            dataset.ImagePositionPatient = [0, 0, 5.4]

    files = rewritten(write_series(tmp_path, array=ARRAY, origin=(0, 0, 0), spacing=(1, 1, 1)), move)
    assert "uneven distances between its slices: 1 mm as a rule, 1.4 mm between 4 mm and 5.4 mm" in only(stack_geometry(frames_of(files)))


def test_positions_with_two_decimals_are_even_enough(tmp_path: Path) -> None:
    def rounded(_: int, dataset: pydicom.Dataset) -> None:
        dataset.ImagePositionPatient = [round(float(v), 2) for v in dataset.ImagePositionPatient]

    files = rewritten(write_series(tmp_path, array=ramp((40, 6, 5)), spacing=(0.7333, 1, 1), direction=OBLIQUE), rounded)
    stack = stack_geometry(frames_of(files))
    assert stack.problems == ()
    assert stack.geometry is not None
    assert stack.geometry.spacing[2] == pytest.approx(0.7333, abs=5e-4)


def test_slices_that_are_there_twice_are_named(tmp_path: Path) -> None:
    problem = only(stack_of(tmp_path, duplicate=(0, 5), spacing=(3, 1, 1)))
    assert "more than one image at 2 positions: at 40 mm and 55 mm" in problem


def test_mixed_orientations_are_named_by_plane(tmp_path: Path) -> None:
    axial = write_series(tmp_path / "a", array=ARRAY)
    sagittal = write_series(tmp_path / "s", array=ARRAY[:3], direction=np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]]))
    assert "mixes slices of different orientations: 8 axial and 3 sagittal" in only(stack_geometry(frames_of(axial + sagittal)))
    turned = write_series(tmp_path / "t", array=ARRAY[:3], direction=rotation(10, 0, 0))
    assert "all nearly axial, up to 10.0 degrees apart" in only(stack_geometry(frames_of(axial + turned)))


def test_mixed_sizes_and_spacings_are_named(tmp_path: Path) -> None:
    plain = write_series(tmp_path / "a", array=ARRAY)
    larger = write_series(tmp_path / "b", array=ramp((2, 12, 10)))
    assert "different sizes: 8 of 5 x 6 pixels and 2 of 10 x 12 pixels" in only(stack_geometry(frames_of(plain + larger)))
    finer = write_series(tmp_path / "c", array=ARRAY[:2], spacing=(3, 0.5, 1), origin=(0, 0, 300))
    assert "different pixel spacing: 8 of 1 x 1 mm and 2 of 0.5 x 1 mm" in only(stack_geometry(frames_of(plain + finer)))


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_tags_are_named(tmp_path: Path, tag: str) -> None:
    assert f"({tag}) of any of its images" in only(stack_of(tmp_path / "all", missing_tags=(tag,)))

    def without(index: int, dataset: pydicom.Dataset) -> None:
        if index == 2:
            del dataset[tag]

    some = rewritten(write_series(tmp_path / "one", array=ARRAY), without)
    assert f"({tag}) of 1 of its 8 images" in only(stack_geometry(frames_of(some)))


@pytest.mark.parametrize(
    ("tag", "value"), [("ImagePositionPatient", ["1", "2"]), ("ImageOrientationPatient", ["1", "0", "0"]), ("PixelSpacing", ["1"])]
)
def test_tags_with_too_few_values_count_as_missing(tmp_path: Path, tag: str, value: list[str]) -> None:
    assert f"({tag}) of any" in only(stack_of(tmp_path, extra={tag: value}))


def test_all_missing_tags_are_named_at_once(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, missing_tags=("ImagePositionPatient", "PixelSpacing"))
    assert len(stack.problems) == 2


def test_impossible_values_are_named(tmp_path: Path) -> None:
    assert "impossible pixel spacing of -1 mm" in only(stack_of(tmp_path / "a", extra={"PixelSpacing": ["1", "-1"]}))
    skewed = ["1", "0", "0", "0.5", "0.866", "0"]
    assert "not at right angles" in only(stack_of(tmp_path / "b", extra={"ImageOrientationPatient": skewed}))
    zero = ["0"] * 6
    assert "impossible orientation" in only(stack_of(tmp_path / "c", extra={"ImageOrientationPatient": zero}))


def test_a_single_slice_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ARRAY[:1])
    assert "single slice, as a localizer" in only(stack_geometry(frames_of(files)))


def test_all_slices_at_one_place_are_duplicates(tmp_path: Path) -> None:
    assert "more than one image at 1 position" in only(stack_of(tmp_path, extra={"ImagePositionPatient": ["0", "0", "0"]}))


def test_slices_shifted_sideways_are_named(tmp_path: Path) -> None:
    def move(index: int, dataset: pydicom.Dataset) -> None:
        if index == 4:
            dataset.ImagePositionPatient = [float(v) + d for v, d in zip(dataset.ImagePositionPatient, (5, 0, 0), strict=True)]

    files = rewritten(write_series(tmp_path, array=ARRAY, origin=(0, 0, 0), spacing=(2, 1, 1)), move)
    assert "shifted sideways against each other, most at 8 mm" in only(stack_geometry(frames_of(files)))


def test_a_multi_frame_image_that_places_only_some_frames_is_refused(tmp_path: Path) -> None:
    file = write_multiframe(tmp_path / "e", array=ARRAY)
    dataset = pydicom.dcmread(file)
    dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence)[:5]
    dataset.save_as(file)
    assert "does not say the position" in only(stack_geometry(frames_of([file])))
    no_place = write_multiframe(tmp_path / "n", array=ARRAY, missing_tags=("PlanePositionSequence",))
    assert "(ImagePositionPatient) of any" in only(stack_geometry(frames_of([no_place])))


@pytest.mark.parametrize(
    "how",
    [{"tilt": 12.0}, {"drop": (2,)}, {"duplicate": (1,)}, {"missing_tags": ("PixelSpacing",)}, {"missing_tags": ("ImagePositionPatient",)}],
)
def test_reading_such_a_series_fails_with_the_same_sentence_and_without_a_name(tmp_path: Path, how: dict) -> None:
    files = write_series(tmp_path, array=ARRAY, **how)
    problem = stack_geometry(frames_of(files)).problems[0]
    with pytest.raises(InputError) as caught:
        read_series([str(file) for file in files])
    assert problem.removeprefix("The series ") in str(caught.value)
    assert "t1_mprage_tra" in str(caught.value)
    assert PATIENT_NAME.split("^")[0] not in str(caught.value)
    assert PATIENT_ID not in str(caught.value)
