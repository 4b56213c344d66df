"""A DICOM cohort annotated, exported as DICOM SEG and `.seg.nrrd`, and taken into another study of the same images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from Support.dicom_files import PATIENT_NAME, ramp, rotation, write_series
from Support.dicom_validation import dicom_errors

from SuggestiveAnnotationLib.cohort.dicom.segmentation import read_dicom_segmentation
from SuggestiveAnnotationLib.engine.annotations import import_annotations
from SuggestiveAnnotationLib.engine.cohort import create, find, with_labels_as
from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Plane, SliceRef

SHAPE = (6, 20, 18)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    classes = [{"value": 7, "name": "core", "colour": [255, 0, 0]}, {"value": 300, "name": "rim", "colour": [0, 255, 0]}]
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"format": "suggestive-annotation label schema", "version": 1, "name": "two", "classes": classes}))
    return path


def made(tmp_path: Path, name: str, schema: Path, plane: Plane = "axial") -> Study:
    study = create(tmp_path / name, plan=find(tmp_path / "cohort"), schema=schema)
    prepare(study, plane=plane, pixels=32)
    return study


def looked_at(tmp_path: Path, schema: Path, *, empty: Sequence[int], drawn: Sequence[int], plane: Plane = "axial") -> Study:
    """A study of one series in which slices are accepted, some of them without a structure."""
    write_series(tmp_path / "cohort" / "scan", array=ramp(SHAPE), spacing=(3.0, 1.1, 0.9), direction=rotation(5, -8, 12))
    study = made(tmp_path, "one", schema, plane)
    case = study.cases()[0].name
    frame = study.frame(case)
    rng = np.random.default_rng(0)
    labels = {k: rng.choice(np.array([0, 7, 300], np.uint16), (frame.rows, frame.columns)) for k in drawn}
    labels |= {k: np.zeros((frame.rows, frame.columns), np.uint16) for k in empty}
    Session(study, annotator="anna").accept({SliceRef(case, frame.axis, k): one for k, one in labels.items()})
    return study


def accepted(study: Study) -> dict[int, np.ndarray]:
    return {a.ref.native_index: a.labels for a in study.all_annotations()}


@pytest.mark.parametrize("kind", ["dicom-seg", "seg.nrrd"])
def test_an_export_beside_its_images_says_which_slices_were_looked_at(tmp_path: Path, schema: Path, kind: str) -> None:
    study = looked_at(tmp_path, schema, empty=(0, 4), drawn=(2,))
    files = export(study, tmp_path / "out", format=kind).files
    case = study.cases()[0]
    if kind == "dicom-seg":
        shutil.copytree(tmp_path / "cohort", tmp_path / "beside")
        shutil.copy(files[0], tmp_path / "beside")
    else:
        (tmp_path / "beside").mkdir()
        shutil.copy(case.images[study.reference_modality], tmp_path / "beside" / f"{case.name}_T1.nrrd")
        for file in files:
            shutil.copy(file, tmp_path / "beside")
    plan = find(tmp_path / "beside")
    again = create(tmp_path / "again", plan=with_labels_as(plan, "first-batch"), schema=schema)
    prepare(again, plane="axial", pixels=32)
    found, wanted = accepted(again), accepted(study)
    assert found.keys() == wanted.keys() == {0, 2, 4}
    assert all(np.array_equal(found[k], wanted[k]) for k in wanted)
    reference = create(tmp_path / "reference", plan=plan, schema=schema)
    prepare(reference, plane="axial", pixels=32)
    for k, labels in enumerate(reference.reference_labels(reference.cases()[0].name)):
        assert np.array_equal(labels, wanted[k] if k in wanted else np.full_like(labels, reference.schema.ignore_value))


@pytest.mark.parametrize("drawn", [(2,), (1, 2, 3, 5)], ids=["some", "all"])
@pytest.mark.parametrize("kind", ["dicom-seg", "seg.nrrd", "nii.gz"])
def test_an_export_tells_an_import_which_slices_were_annotated(tmp_path: Path, schema: Path, kind: str, drawn: tuple[int, ...]) -> None:
    study = looked_at(tmp_path, schema, empty=(0, 4), drawn=drawn)
    other = made(tmp_path, "two", schema)
    done = import_annotations(other, export(study, tmp_path / "out", format=kind).files[0], case=study.cases()[0].name, annotator="carla")
    assert done.notes == ("Nobody named the slices, so those that the file tells were annotated were taken.",)
    found, wanted = accepted(other), accepted(study)
    assert found.keys() == wanted.keys() == {0, 4, *drawn}
    assert all(np.array_equal(found[k], wanted[k]) for k in wanted)


def test_a_study_that_was_moved_with_its_dicom_files_exports_the_same(tmp_path: Path, schema: Path) -> None:
    (tmp_path / "here").mkdir()
    study = looked_at(tmp_path / "here", schema, empty=(0,), drawn=(2,))
    before = read_dicom_segmentation(export(study, tmp_path / "before", format="dicom-seg").files[0])
    study.close()
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Study(tmp_path / "there" / "one")
    after = read_dicom_segmentation(export(moved, tmp_path / "after", format="dicom-seg").files[0])
    assert np.array_equal(after.labels, before.labels)
    assert after.geometry == before.geometry
    shutil.move(tmp_path / "there" / "cohort", tmp_path / "away")
    with pytest.raises(InputError, match="is gone"):
        export(Study(moved.path), tmp_path / "gone", format="dicom-seg")


def test_slices_across_dicom_frames_are_told_by_the_json_alone(tmp_path: Path, schema: Path) -> None:
    study = looked_at(tmp_path, schema, empty=(3, 11), drawn=(7,), plane="coronal")
    other = made(tmp_path, "two", schema, "coronal")
    segmentation, sidecar = export(study, tmp_path / "out", format="dicom-seg").files
    case = study.cases()[0].name
    assert [r.native_index for r in import_annotations(other, segmentation, case=case, annotator="carla").refs] == [3, 7, 11]
    sidecar.unlink()
    done = import_annotations(other, segmentation, case=case, annotator="dora")
    assert [r.native_index for r in done.refs] == [7]
    assert done.notes[0].endswith(
        "was annotated across its frames; without the JSON of its export nobody knows where: its other lines are background."
    )


@pytest.mark.parametrize("kind", ["dicom-seg", "seg.nrrd"])
def test_what_two_readers_accepted_is_the_same_in_another_study(tmp_path: Path, schema: Path, kind: str) -> None:
    turned = rotation(5, -8, 12) @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    for n in range(2):
        write_series(
            tmp_path / "cohort" / f"scan {n}", array=ramp(SHAPE, seed=n), spacing=(3.0, 1.1, 0.9), direction=turned, patient_id=f"ID-{n}"
        )
    study, other = made(tmp_path, "one", schema), made(tmp_path, "two", schema)
    case = study.cases()[0].name
    frame = study.frame(case)
    rng = np.random.default_rng(0)
    drawn = {k: rng.choice(np.array([0, 7, 300], np.uint16), (frame.rows, frame.columns)) for k in (1, 4, 5)}
    Session(study, annotator="anna").accept({SliceRef(case, frame.axis, k): drawn[k] for k in (1, 4)})
    Session(study, annotator="ben").accept({SliceRef(case, frame.axis, 5): drawn[5]})
    done = export(study, tmp_path / "out", format=kind)
    if kind == "dicom-seg":
        assert dicom_errors(done.files[0]) == []
    sidecar = next(f for f in done.files if f.suffix == ".json").read_text(encoding="utf-8")
    assert {a["annotator"] for a in json.loads(sidecar)["annotations"]} == {"anna", "ben"}
    assert PATIENT_NAME not in sidecar
    assert "ID-0" not in sidecar
    taken = import_annotations(other, done.files[0], case=case, annotator="carla", rule="labelled")
    assert [ref.native_index for ref in taken.refs] == [1, 4, 5]
    for annotation in other.all_annotations(case=case):
        assert np.array_equal(annotation.labels, drawn[annotation.ref.native_index])
