"""The slice store: orientation, normalisation, resuming, invalidation, broken cases."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]


def test_slices_are_z_scored_inside_the_foreground_and_zero_outside(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    slices = study.slices("case0")
    assert slices.images.dtype == np.float16
    assert slices.images.shape == (8, 1, 24, 20)
    original = sitk.GetArrayFromImage(sitk.ReadImage(study.case("case0").images["t1"]))
    inside = original != 0
    stored = slices.images[:, 0].astype(np.float32)
    assert (stored[~inside] == 0).all()
    assert stored[inside].mean() == pytest.approx(0, abs=0.01)
    assert stored[inside].std() == pytest.approx(1, abs=0.01)


def test_blank_slices_are_flagged_and_the_box_fits_the_foreground(make_study: MakeStudy) -> None:
    study = make_study(shape=(12, 24, 20), prepared=True)
    slices = study.slices("case0")
    original = sitk.GetArrayFromImage(sitk.ReadImage(study.case("case0").images["t1"])) != 0
    np.testing.assert_array_equal(slices.blank, ~original.any(axis=(1, 2)))
    rows, columns = np.flatnonzero(original.any(axis=(0, 2))), np.flatnonzero(original.any(axis=(0, 1)))
    assert slices.box == (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    assert slices.centre == ((rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2)


def test_reference_labels_lie_in_the_same_orientation_as_the_images(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    labels = study.reference_labels("case0")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, sitk.GetArrayFromImage(sitk.ReadImage(study.case("case0").label)))


def test_prepare_resumes_and_keeps_what_is_current(make_study: MakeStudy) -> None:
    study = make_study(cases=3)
    first = prepare(study, pixels=32)
    assert (first.built, first.kept) == (3, 0)
    (study.slice_store.folder / "case1.json").unlink()  # as if killed before case1 was complete
    second = prepare(study, pixels=32)
    assert (second.built, second.kept) == (1, 2)
    assert second.record == first.record


def test_a_changed_source_is_built_again_and_a_touched_one_is_not(make_study: MakeStudy) -> None:
    study = make_study(cases=2, prepared=True)
    path = Path(study.case("case0").images["t1"])
    os.utime(path, ns=(1, 1))
    assert prepare(study).built == 0
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image * 2 + 7, str(path))
    before = study.slices("case0").content
    assert prepare(study).built == 1
    assert study.slices("case0").content != before


@pytest.mark.parametrize("header", [".mhd", ".nhdr"])
def test_voxels_beside_their_header_are_a_source_too(make_study: MakeStudy, header: str) -> None:
    study = make_study(cases=2)
    files = [Path((case.label or "").replace(".nii.gz", header)) for case in study.cases()]
    for file, case in zip(files, study.cases(), strict=True):
        sitk.WriteImage(sitk.ReadImage(case.label), str(file))
    cases = [replace(case, label=str(file)) for file, case in zip(files, study.cases(), strict=True)]
    study = Study.create(study.path.with_name("other"), name="x", cases=cases, schema=study.schema, modalities=("t1",), reference="t1")
    assert prepare(study, pixels=32).built == 2
    assert prepare(study).built == 0
    beside, before = files[0].with_suffix(".raw"), study.slice_store.hashes("case0")["sources"]
    os.utime(beside, ns=(1, 1))
    assert prepare(study).built == 0
    beside.write_bytes(bytes(beside.stat().st_size))
    assert prepare(study).built == 1
    assert study.reference_labels("case0").max() == 0
    assert study.slice_store.hashes("case0")["sources"] != before
    beside.unlink()
    found = prepare(study)
    assert (found.built, list(found.warnings)) == (0, ["case0"])
    assert str(beside) in found.warnings["case0"]


def test_parallel_and_serial_builds_give_the_same_bytes(make_study: MakeStudy) -> None:
    one, two = make_study(cases=2, name="one"), make_study(cases=2, name="two")
    prepare(one, pixels=32, processes=1)
    prepare(two, pixels=32, processes=2)
    for name in ("case0", "case1"):
        np.testing.assert_array_equal(one.slices(name).images, two.slices(name).images)


def test_a_broken_case_is_excluded_with_the_reason_and_the_others_stay(make_study: MakeStudy) -> None:
    study = make_study(cases=3)
    path = Path(study.case("case1").images["t1"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = prepare(study, pixels=32)
    assert set(done.excluded) == {"case1"}
    assert str(path) in done.excluded["case1"]
    assert [c.role for c in study.cases()] == ["pool", "excluded", "pool"]
    assert {ref.case for ref in study.pool_refs()} == {"case0", "case2"}


def test_no_usable_case_is_an_error_that_says_why(make_study: MakeStudy) -> None:
    study = make_study(cases=1)
    Path(study.case("case0").images["t1"]).write_bytes(b"")
    with pytest.raises(StudyError, match="No case of the study can be used"):
        prepare(study, pixels=32)


def test_the_network_grid_covers_the_widest_foreground(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    record = study.record
    for case in study.cases():
        r0, r1, c0, c1 = study.slices(case.name).box
        _, row_mm, column_mm = study.slices(case.name).spacing
        assert record.spacing[0] * record.size[0] >= (r1 - r0) * row_mm
        assert record.spacing[1] * record.size[1] >= (c1 - c0) * column_mm


def test_a_grid_that_is_no_multiple_of_16_is_refused(make_study: MakeStudy) -> None:
    with pytest.raises(InputError, match="multiple of 16"):
        prepare(make_study(), pixels=50)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize(
    "direction",
    [
        (1, 0, 0, 0, 1, 0, 0, 0, 1),
        (-1, 0, 0, 0, -1, 0, 0, 0, 1),
        (0, 0, 1, 1, 0, 0, 0, -1, 0),
        (0, 1, 0, 0, 0, -1, 1, 0, 0),
        (0.96, -0.28, 0, 0.28, 0.96, 0, 0, 0, 1),
        (0.36, 0.48, -0.8, -0.8, 0.6, 0, 0.48, 0.64, 0.6),
    ],
)
def test_canonical_slices_show_the_same_side_whatever_the_storage_order(plane: str, direction: tuple[float, ...]) -> None:
    """A ramp along each world axis must rise along the canonical rows and columns, and writing through the view must come back."""
    geometry = Geometry((5, 6, 7), (1.0, 2.0, 3.0), (3, -2, 9), direction)
    frame = SliceFrame.of(geometry, plane)
    k, j, i = np.indices(geometry.shape)
    world = np.stack([i * 1.0, j * 2.0, k * 3.0], axis=-1) @ np.reshape(direction, (3, 3)).T
    row_axis, row_sign, column_axis = {"axial": (1, 1, 0), "coronal": (2, -1, 0), "sagittal": (2, -1, 1)}[plane]
    assert (np.diff(frame.stack(world[..., row_axis]), axis=1) * row_sign > 0).all()
    assert (np.diff(frame.stack(world[..., column_axis]), axis=2) > 0).all()
    stack = frame.stack(k)
    assert stack.shape == (frame.count, frame.rows, frame.columns)
    steps = frame.stack(world)
    sizes = [np.linalg.norm(np.diff(steps, axis=a)[0, 0, 0]) for a in range(3)]
    assert frame.spacing == pytest.approx(sizes)
    volume = np.zeros(geometry.shape, np.uint16)
    frame.stack(volume)[2, 1, 3] = 9
    assert (volume == 9).sum() == 1
    assert frame.stack(volume)[2, 1, 3] == 9
    assert np.take(volume, 2, axis=frame.axis).max() == 9
