from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.checks import check_case, examine_case, quick_check, thin
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema

Write = Callable[..., Path]
SCHEMA = LabelSchema("three", tuple(LabelClass(v, f"s{v}", (v, v, v)) for v in (1, 2, 3)))


@pytest.fixture
def case(write_image: Write, labels: np.ndarray) -> Case:
    return Case(
        "a",
        "a",
        "pool",
        {"T1": str(write_image("t1.nii.gz")), "T2": str(write_image("t2.nii.gz", seed=1, spacing=(2, 2, 2)))},
        label=str(write_image("seg.nii.gz", labels)),
        mask=str(write_image("mask.nii.gz", (labels > 0).astype(np.uint8))),
    )


def test_a_good_case_has_neither_problems_nor_warnings(case: Case) -> None:
    report = examine_case(case, SCHEMA, ("T1", "T2"), plane="axial")
    assert (report.problems, report.warnings) == ((), ())
    assert check_case(case, SCHEMA, ("T1",)) == ()


def test_voxels_are_read_not_only_headers(case: Case, write_image: Write) -> None:
    array = np.zeros((5, 6, 7), np.float32)
    array[0, 0, 0] = np.nan
    write_image("t2.nii.gz", array)
    assert [p for p in check_case(case, SCHEMA, ("T1", "T2")) if "t2.nii.gz has 1 voxel that is not a number" in p]


def test_every_problem_of_a_case_is_told_at_once(case: Case, write_image: Write, labels: np.ndarray) -> None:
    write_image("t1.nii.gz", np.full((5, 6, 7), 3, np.int16))
    write_image("seg.nii.gz", labels + 5)
    write_image("mask.nii.gz", np.zeros((5, 6, 7), np.uint8))
    problems = " | ".join(check_case(case, SCHEMA, ("T1", "T2", "PD")))
    for part in ("every voxel is 3", "a has no PD image", "4 values that are not in schema three: 5, 6, 7, 8", "no voxel is foreground"):
        assert part in problems


def test_labels_and_masks_on_another_grid_are_told(case: Case, write_image: Write, labels: np.ndarray) -> None:
    write_image("seg.nii.gz", labels, spacing=(1, 2, 3.5))
    write_image("mask.nii.gz", labels[:, 1:])
    problems = check_case(case, SCHEMA, ("T1",))
    assert len(problems) == 2
    assert all("another voxel grid" in p for p in problems)


def test_labels_beside_an_image_that_says_twice_where_it_lies_are_not_to_be_resampled(
    case: Case, write_image: Write, labels: np.ndarray
) -> None:
    image = Path(case.images["T1"])
    data = bytearray(gzip.decompress(image.read_bytes()))
    # Many programs write labels with the image's sform alone; here its qform is another.
    struct.pack_into("<2h", data, 252, 1, 2)
    struct.pack_into("<f", data, 268, struct.unpack_from("<f", data, 268)[0] + 8)
    image.write_bytes(gzip.compress(data))
    alone = replace(case, mask=None, images={"T1": str(image)})
    problem = quick_check(alone, "T1").excluded_reason
    assert "same size, but another position" in problem
    assert "t1.nii.gz says in two ways where it lies, which differ by up to 8.0 mm; its qform is used, its sform is not." in problem
    assert "copy the image's whole header to it" in problem
    assert "nearest-neighbour" not in problem
    assert problem in check_case(alone, SCHEMA, ("T1",))


def test_modalities_of_different_places_are_told(case: Case, write_image: Write) -> None:
    write_image("t2.nii.gz", origin=(900, 0, 0))
    assert "does not overlap" in check_case(case, SCHEMA, ("T1", "T2"))[0]


def test_a_missing_mask_is_told_where_the_schema_needs_one(case: Case) -> None:
    schema = replace(SCHEMA, ignore_unlabelled_in_mask=True)
    assert check_case(case, schema, ("T1",)) == ()
    assert "needs a foreground mask" in check_case(replace(case, mask=None), schema, ("T1",))[0]


def test_an_empty_labelmap_is_a_warning(case: Case, write_image: Write, labels: np.ndarray) -> None:
    write_image("seg.nii.gz", labels * 0)
    report = examine_case(case, SCHEMA, ("T1",))
    assert report.problems == ()
    assert "only background" in report.warnings[0]


def test_one_slice_is_a_warning_in_its_own_plane_and_a_problem_across_it(write_image: Write) -> None:
    path = write_image("t1.nii.gz", np.random.default_rng(0).normal(size=(1, 6, 7)))
    case = Case("a", "a", "pool", {"T1": str(path)})
    axial = examine_case(case, SCHEMA, ("T1",), plane="axial")
    assert (axial.problems, axial.warnings) == ((), (f"{path} has a single slice.",))
    assert "Choose the plane it was acquired in" in examine_case(case, SCHEMA, ("T1",), plane="coronal").problems[0]


def test_labels_whose_header_rounds_the_grid_are_on_it(case: Case, write_image: Write, labels: np.ndarray) -> None:
    """A NIfTI quaternion is exact to some hundredths of a voxel; half a voxel is another grid."""
    write_image("seg.nii.gz", labels, origin=(0.08, 0, 0))
    assert check_case(case, SCHEMA, ("T1",)) == ()
    write_image("seg.nii.gz", labels, origin=(0.5, 0, 0))
    assert "another voxel grid" in check_case(case, SCHEMA, ("T1",))[0]


def test_slices_across_thick_ones_are_told() -> None:
    """Oblique stacks near 45 degrees fall to either side of the line; one plane is voted for all."""
    for tilt, told in ((44, False), (46, True)):
        c, s = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        stack = Geometry((256, 256, 24), (0.9, 0.9, 4.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, c, -s, 0, s, c))
        problems, warnings = thin("a.nii", stack, "axial")
        assert problems == []
        assert bool(warnings) == told
    (sentence,) = warnings
    assert sentence.startswith(
        "a.nii was acquired in slices 4 mm apart, and its axial slices are others, of 24 x 256 pixels of 4 x 0.9 mm."
    )
    assert thin("a.nii", replace(stack, spacing=(0.9, 0.9, 1.2)), "axial") == ([], [])
