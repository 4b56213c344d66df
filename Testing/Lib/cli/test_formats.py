"""Every format in and out from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_calls import PREPARE, Capture, done, lobes, refused, schema_file, write

from SuggestiveAnnotationLib.export.formats import FORMATS
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


@pytest.fixture
def from_dicom(tmp_path: Path, capsys: Capture) -> Path:
    """A prepared study of two DICOM cases, three slices accepted by Dr A."""
    pytest.importorskip("highdicom")
    from dicom_files import write_series

    for n in range(2):
        image = np.rint(lobes(n)[0] * 4).astype(np.int16)
        write_series(
            tmp_path / "dicom" / f"p{n}", array=image, patient_id=f"ID-{n}", patient_name=f"Meier^Rosa{n}", description="T1 MPRAGE"
        )
    study = tmp_path / "study"
    done(capsys, "study", "create", study, "--cohort", tmp_path / "dicom", "--image", "T1=*mprage*", "--schema", schema_file(tmp_path))
    done(capsys, "prepare", study, *PREPARE)
    opened = Study(study)
    frame = opened.frame("patient-01")
    labels = lobes(0)[1].astype(np.uint16)
    slices = {SliceRef("patient-01", frame.axis, k): np.ascontiguousarray(frame.stack(labels)[k]) for k in (1, 2, 4)}
    Session(opened, annotator="Dr A").accept(slices)
    opened.close()
    return study


@pytest.mark.parametrize("name", [one.name for one in FORMATS])
def test_a_study_goes_out_in_every_format_and_nothing_is_overwritten_without_consent(
    name: str, from_dicom: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    said = done(capsys, "export", from_dicom, "--out", out, "--format", name)
    files = [Path(f) for f in said["files"]]
    assert files
    assert all(f.is_file() and f.stat().st_size and f.is_relative_to(out) for f in files)
    assert not [f for f in out.rglob(".*") if f.is_file() and f.name != ".bidsignore"]
    if name != "dicom-seg":
        assert not [f for f in files if b"Meier" in f.read_bytes()]
    assert not [f for f in files if "Meier" in str(f)]
    if name != "nnunet":
        # nnU-Net's folders are numbered, so that a second one stands beside the first.
        assert "already" in refused(capsys, "export", from_dicom, "--out", out, "--format", name, code=2)
    before = {f: f.read_bytes() for f in files if f.suffix != ".dcm"}
    again = done(capsys, "export", from_dicom, "--out", out, "--format", name, "--overwrite")
    assert sorted(again["files"]) == sorted(said["files"])
    # The same content gives the same bytes; a DICOM object is a new one every time.
    assert {f: f.read_bytes() for f in before} == before or name in ("dicom-seg", "csv", "data-card")


def test_labels_become_an_accepted_first_batch(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "cohort").mkdir()
    for n in range(2):
        image, labels = lobes(n)
        write(tmp_path / "cohort" / f"case{n}_t1.nii.gz", image)
        labels[[0, 5]] = 0
        write(tmp_path / "cohort" / f"case{n}_label.nii.gz", labels)
    study = tmp_path / "study"
    options = ["--labels-as", "first-batch", "--annotated-slices", "labelled", "--labels-by", "Dr Z"]
    done(capsys, "study", "create", study, "--cohort", tmp_path / "cohort", *options)
    said = done(capsys, "prepare", study, *PREPARE)
    assert said["taken"] == 8
    assert {(a.annotator, a.provenance) for a in Study(study).all_annotations()} == {("Dr Z", "imported")}


def test_what_was_exported_comes_back_as_labels(from_dicom: Path, tmp_path: Path, capsys: Capture) -> None:
    for name in ("nii.gz", "seg.nrrd", "dicom-seg"):
        files = done(capsys, "export", from_dicom, "--out", tmp_path / name, "--format", name)["files"]
        labelmap = next(f for f in files if f.endswith((".seg.nrrd", ".dcm", "_annotation.nii.gz")))
        slices = [] if name == "nii.gz" else ["--slices", "2,3,5"]
        taken = done(
            capsys, "annotations", "import", from_dicom, labelmap, "--case", "patient-01", "--annotator", f"reader of {name}", *slices
        )
        assert taken["slices"] == [2, 3, 5]
    by_reader: dict[str, list[bytes]] = {}
    for a in Study(from_dicom).all_annotations():
        by_reader.setdefault(a.annotator, []).append(a.labels.tobytes())
    assert len(by_reader) == 4
    assert len({tuple(drawn) for drawn in by_reader.values()}) == 1


def test_a_dry_run_of_a_dicom_folder_says_what_was_found_and_writes_nothing(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import write_series

    write_series(tmp_path / "dicom", array=np.rint(lobes(0)[0]).astype(np.int16), description="T2 FLAIR ax")
    said = done(capsys, "study", "create", tmp_path / "study", "--cohort", tmp_path / "dicom", "--dry-run")
    assert said["cases"] == ["patient-01"]
    assert said["modalities"] == ["FLAIR"]
    assert not (tmp_path / "study").exists()
    assert "Achternaam" not in json.dumps(said)
