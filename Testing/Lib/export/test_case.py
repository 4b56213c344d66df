from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import SimpleITK

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.case import export_annotations, export_completed, file_stem
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, Rationale, SliceRef, Suggestion

SUFFIXES = [".nii.gz", ".nii", ".nrrd"]
STEP = {  # direction in which rows and columns of a canonical slice run, LPS
    "axial": ((0, 1, 0), (1, 0, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0)),
    "sagittal": ((0, 0, -1), (0, 1, 0)),
}


def read(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def native_slice(volume, frame: SliceFrame, index: int):
    """Canonical slice of a native volume, step by step."""
    plane = np.take(volume, index, axis=frame.axis)
    plane = plane.T if frame.transpose else plane
    plane = plane[::-1] if frame.flip_rows else plane
    return plane[:, ::-1] if frame.flip_columns else plane


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_annotated_voxel_comes_back_and_every_other_is_ignore(tmp_path, grid, accept, suffix):
    annotations = [accept(grid, 0), accept(grid, 3)]
    files = export_annotations(tmp_path, grid, annotations, suffix=suffix)
    labels, mask = read(files.labelmap), read(files.mask)
    assert labels.dtype == mask.dtype == np.uint8
    for index in range(grid.frame.count):
        expected = next((a.labels for a in annotations if a.ref.native_index == index), None)
        assert (native_slice(labels, grid.frame, index) == (255 if expected is None else expected)).all()
        assert (native_slice(mask, grid.frame, index) == (expected is not None)).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_voxel_grid_is_that_of_the_case(tmp_path, grid, accept, suffix):
    files = export_annotations(tmp_path, grid, [accept(grid, 1)], suffix=suffix)
    for path in (files.labelmap, files.mask):
        image = SimpleITK.ReadImage(str(path))
        g = grid.geometry
        assert image.GetSize() == g.size
        # NIfTI keeps single precision, of values of about 100 here.
        np.testing.assert_allclose(image.GetSpacing(), g.spacing, rtol=1e-6)
        np.testing.assert_allclose(image.GetOrigin(), g.origin_lps, atol=1e-5)
        np.testing.assert_allclose(image.GetDirection(), g.direction_lps, atol=1e-6)


@pytest.mark.parametrize("plane", list(STEP))
@pytest.mark.parametrize("name", ["identity", "flipped", "left-handed", "permuted", "permuted and flipped"])
def test_rows_and_columns_lie_in_the_patient_as_the_annotator_saw_them(tmp_path, schema, accept, directions, name, plane):
    geometry = directions(name)
    grid = CaseGrid("sub-10", geometry, SliceFrame.of(geometry, plane), schema)
    where = {}
    for pixel in [(1, 1), (2, 1), (1, 2)]:
        labels = np.zeros((grid.frame.rows, grid.frame.columns), np.uint16)
        labels[pixel] = 7
        files = export_annotations(tmp_path, grid, [accept(grid, 2, labels=labels)], suffix=".nrrd", overwrite=True)
        image = SimpleITK.ReadImage(str(files.labelmap))
        k, j, i = (int(v[0]) for v in np.nonzero(SimpleITK.GetArrayViewFromImage(image) == 7))
        where[pixel] = np.array(image.TransformIndexToPhysicalPoint((i, j, k)))
    row_step, column_step = where[2, 1] - where[1, 1], where[1, 2] - where[1, 1]
    np.testing.assert_allclose(row_step, np.array(STEP[plane][0]) * grid.frame.spacing[1], atol=1e-6)
    np.testing.assert_allclose(column_step, np.array(STEP[plane][1]) * grid.frame.spacing[2], atol=1e-6)


def test_values_above_255_are_kept_in_sixteen_bits(tmp_path, plain_grid, accept):
    schema = LabelSchema("regions", (LabelClass(1002, "left", (1, 1, 1)),), ignore_value=65535)
    grid = CaseGrid("sub-10", plain_grid.geometry, plain_grid.frame, schema)
    labels = np.full((6, 7), 1002, np.uint16)
    files = export_annotations(tmp_path, grid, [accept(grid, 4, labels=labels)])
    volume = read(files.labelmap)
    assert volume.dtype == np.uint16
    assert (volume[4] == 1002).all()
    assert (volume[:4] == 65535).all()


def test_the_json_says_who_accepted_what_and_why_it_was_suggested(tmp_path, plain_grid, accept):
    annotation = accept(
        plain_grid, 3, annotator="Zoë", provenance="corrected", round=2, prediction_id=12, minutes=1.5, effort={"changed_pixels": 8}
    )
    why = Rationale("gradient", "Its gradient leads here.", score=0.5)
    files = export_annotations(
        tmp_path, plain_grid, [annotation], suggestions={annotation.ref: Suggestion(annotation.ref, 1, why)}, models={12: 4}
    )
    document = json.loads(files.sidecar.read_text(encoding="utf-8"))
    assert document["annotations"] == [
        {
            "slice": 4,
            "native_index": 3,
            "annotator": "Zoë",
            "provenance": "corrected",
            "accepted_at": "2026-01-01T10:00:00.000+00:00",
            "in_labelmap": True,
            "round": 2,
            "suggestion": {"strategy": "gradient", "kind": "suggested", "rank": 1, "score": 0.5, "sentence": "Its gradient leads here."},
            "prediction": 12,
            "model": 4,
            "minutes": 1.5,
            "effort": {"changed_pixels": 8},
        }
    ]
    assert document["case"] == "sub-10"
    assert document["schema"]["labels"][0] == {"value": 2, "name": "grey matter", "colour": [200, 80, 80], "terminology": "SCT^1^Grey"}
    assert Geometry.from_json(document["grid"]) == plain_grid.geometry


def test_the_json_holds_the_hashes_of_its_own_files(tmp_path, plain_grid, accept):
    files = export_annotations(tmp_path, plain_grid, [accept(plain_grid, 3)])
    listed = json.loads(files.sidecar.read_text(encoding="utf-8"))["files"]
    for role, path in (("labelmap", files.labelmap), ("mask", files.mask)):
        assert listed[role] == {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_of_two_annotators_the_last_is_in_the_labelmap_and_both_are_listed(tmp_path, plain_grid, accept):
    early = accept(plain_grid, 1, annotator="anna", labels=np.full((6, 7), 2, np.uint16), accepted_at="2026-01-02T10:00:00.000+00:00")
    # The order decides: the clock was set back in between.
    late = accept(plain_grid, 1, annotator="ben", labels=np.full((6, 7), 7, np.uint16), accepted_at="2026-01-01T10:00:00.000+00:00")
    files = export_annotations(tmp_path, plain_grid, [early, late])
    assert (read(files.labelmap)[1] == 7).all()
    entries = json.loads(files.sidecar.read_text(encoding="utf-8"))["annotations"]
    assert [(e["annotator"], e["in_labelmap"]) for e in entries] == [("anna", False), ("ben", True)]


def test_a_case_that_nobody_annotated_is_ignore_throughout(tmp_path, plain_grid):
    files = export_annotations(tmp_path, plain_grid, [])
    assert (read(files.labelmap) == 255).all()
    assert not read(files.mask).any()


# --- completed by a model


def test_annotation_wins_over_the_model_and_the_json_lists_which_is_which(tmp_path, plain_grid, accept):
    annotation = accept(plain_grid, 2, labels=np.full((6, 7), 7, np.uint16))
    predicted = {k: np.full((6, 7), 2, np.uint16) for k in (0, 1, 2, 4)}
    files = export_completed(tmp_path, plain_grid, [annotation], predicted, model={"id": 4, "round": 3})
    volume = read(files.labelmap)
    assert [set(np.unique(s)) for s in volume] == [{2}, {2}, {7}, {255}, {2}]
    assert read(files.mask).any(axis=(1, 2)).tolist() == [False, False, True, False, False]
    document = json.loads(files.sidecar.read_text(encoding="utf-8"))
    assert document["kind"] == "model-completed"
    assert document["model"] == {"id": 4, "round": 3}
    assert (document["annotated_slices"], document["model_slices"], document["empty_slices"]) == ([3], [1, 2, 5], [4])


def test_a_whole_predicted_volume_may_be_given_as_an_array(tmp_path, grid):
    rng = np.random.default_rng(3)
    predicted = rng.choice(np.array([0, 2, 7], np.uint16), size=(grid.frame.count, grid.frame.rows, grid.frame.columns))
    files = export_completed(tmp_path, grid, [], predicted, model={"id": 1})
    volume = read(files.labelmap)
    for index in range(grid.frame.count):
        assert (native_slice(volume, grid.frame, index) == predicted[index]).all()


def test_model_output_never_lands_in_a_file_of_annotations(tmp_path, plain_grid, accept):
    annotated = export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2)])
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    completed = export_completed(tmp_path, plain_grid, [], {0: np.zeros((6, 7), np.uint16)}, model={"id": 1})
    assert not {annotated.labelmap, annotated.mask, annotated.sidecar} & {completed.labelmap, completed.mask, completed.sidecar}
    assert all(p.read_bytes() == content for p, content in before.items())
    assert all("model-completed" in p.name for p in (completed.labelmap, completed.mask, completed.sidecar))


# --- what cannot be exported


def test_a_value_outside_the_schema_is_refused(tmp_path, plain_grid, accept):
    with pytest.raises(InputError, match="case sub-10, slice 3 hold the value 9, which schema tissue does not know"):
        export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2, labels=np.full((6, 7), 9, np.uint16))])
    assert not list(tmp_path.iterdir())


def test_a_slice_of_another_size_is_refused(tmp_path, plain_grid, accept):
    with pytest.raises(InputError, match=r"another size than the image: \(7, 6\) instead of \(6, 7\) pixels"):
        export_annotations(tmp_path, plain_grid, [accept(plain_grid, 2, labels=np.zeros((7, 6), np.uint16))])


@pytest.mark.parametrize("ref", [SliceRef("sub-11", 0, 1), SliceRef("sub-10", 1, 1), SliceRef("sub-10", 0, 5), SliceRef("sub-10", 0, -1)])
def test_a_slice_of_another_case_or_plane_is_refused(tmp_path, plain_grid, accept, ref):
    annotation = accept(plain_grid, 0)
    with pytest.raises(InputError, match="is no slice of case sub-10 along axis 0"):
        export_annotations(tmp_path, plain_grid, [type(annotation)(ref, annotation.labels)])


def test_an_unknown_format_is_refused(tmp_path, plain_grid):
    with pytest.raises(InputError, match=r"cannot be written as \.dcm\. Choose one of \.nii\.gz, \.nii, \.nrrd"):
        export_annotations(tmp_path, plain_grid, [], suffix=".dcm")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_grid_that_the_format_cannot_hold_is_refused(tmp_path, plain_grid, suffix):
    sheared = Geometry((7, 6, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.3, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    grid = CaseGrid("sub-10", sheared, plain_grid.frame, plain_grid.schema)
    with pytest.raises(InputError, match="cannot hold the voxel grid"):
        export_annotations(tmp_path, grid, [], suffix=suffix)
    assert not list(tmp_path.iterdir())


def test_an_origin_too_far_away_for_single_precision_is_refused_in_nifti_and_kept_in_nrrd(tmp_path, plain_grid):
    far = Geometry((7, 6, 5), (0.05, 0.05, 0.05), (123456.789, 0.0, 0.0), plain_grid.geometry.direction_lps)
    grid = CaseGrid("sub-10", far, plain_grid.frame, plain_grid.schema)
    with pytest.raises(InputError, match=r"exactly enough\. Choose the suffix \.nrrd"):
        export_annotations(tmp_path, grid, [])
    files = export_annotations(tmp_path, grid, [], suffix=".nrrd")
    assert SimpleITK.ReadImage(str(files.labelmap)).GetOrigin() == far.origin_lps


@pytest.mark.parametrize("case", ["sub-10", "visit_2.b", "Müller"])
def test_a_plain_case_name_is_the_file_name(case):
    assert file_stem(case) == case


@pytest.mark.parametrize("case", ["a/b", "../x", "a\\b", ".hidden", "a b", "-x"])
def test_other_case_names_become_file_names_that_stay_apart(case):
    stem = file_stem(case)
    assert "/" not in stem
    assert "\\" not in stem
    assert stem.startswith("case")
    assert stem != file_stem(case.replace("/", "-").replace(" ", "-") + "-")
