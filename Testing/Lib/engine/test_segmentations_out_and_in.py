"""A DICOM cohort annotated, exported as DICOM SEG and `.seg.nrrd`, and taken into another study of the same images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from Support.dicom_files import PATIENT_NAME, ramp, rotation, write_series
from Support.dicom_validation import dicom_errors

from SuggestiveAnnotationLib.engine.annotations import import_annotations
from SuggestiveAnnotationLib.engine.cohort import create, find
from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

SHAPE = (6, 20, 18)


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    classes = [{"value": 7, "name": "core", "colour": [255, 0, 0]}, {"value": 300, "name": "rim", "colour": [0, 255, 0]}]
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"format": "suggestive-annotation label schema", "version": 1, "name": "two", "classes": classes}))
    return path


def made(tmp_path: Path, name: str, schema: Path) -> Study:
    study = create(tmp_path / name, plan=find(tmp_path / "cohort"), schema=schema)
    prepare(study, plane="axial", pixels=32)
    return study


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
