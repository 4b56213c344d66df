"""From folders of every layout, and from the DICOM database, to a study and back out, by clicks, with the real worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import PATIENT_ID, PATIENT_NAME, uid, write_series
from panel_hands import stroke
from panel_study import write_case

from SuggestiveAnnotationLib.types import SliceRef

DICOM_SHAPE = (8, 48, 40)
SECRETS = [*PATIENT_NAME.split("^"), PATIENT_ID, "Berger", "ZH-2", "19480913", "ACC-20481", "Verwijzer", "Kantonsspital"]


def write_people(folder: Path) -> dict[str, list[Path]]:
    """Two patients with a T1 and a FLAIR, whose descriptions differ between them, and a PET; returns the files by patient ID."""
    rng = np.random.default_rng(0)
    files: dict[str, list[Path]] = {}
    for identifier, name, t1 in ((PATIENT_ID, PATIENT_NAME, "t1_mprage_tra"), ("ZH-2", "Berger^Bert", "AX T1 [3D]")):
        for number, (description, modality) in enumerate(((t1, "MR"), ("t2_flair_tra", "MR"), ("fdg", "PT")), start=1):
            files.setdefault(identifier, []).extend(
                write_series(
                    folder / f"IM{len(files)}" / str(number),
                    array=rng.integers(0, 900, DICOM_SHAPE).astype(np.int16),
                    patient_id=identifier,
                    patient_name=name,
                    description=description,
                    modality=modality,
                    series_number=number,
                )
            )
    return files


@pytest.fixture
def section(panel: Any) -> Any:
    panel.workspace.said = []
    panel.workspace.message.connect(lambda level, text: panel.workspace.said.append((level, text)))
    return panel.sections[0]


def look(host: Any, section: Any, folder: Path, kind: str) -> Any:
    """Choose a folder, and wait for the window that asks about it."""
    host.dialogs.answers = [str(folder)]
    host.click(section.ui.newFromFolderButton)
    return wait_for(host, section, kind)


def wait_for(host: Any, section: Any, kind: str) -> Any:
    host.waitUntil(lambda: section.workspace.task is None and type(section.dialog).__name__ == kind, 60, kind)
    return section.dialog


def make(host: Any, section: Any, title: str, structure: str | None = None) -> Any:
    """Confirm what is in the window, and wait for the study."""
    ui = section.dialog.ui
    if structure is not None:
        ui.labelsTable.item(0, 1).setText(structure)
    host.type(ui.titleEdit, title)
    host.click(ui.createButton)
    assert ui.problemLabel.text == ""
    host.waitUntil(lambda: section.workspace.task is None, 90, "the study")
    assert section.workspace.study is not None, section.workspace.said[-1]
    return section.workspace.study


def annotate(host: Any, panel: Any, ref: SliceRef) -> np.ndarray:
    """Paint a line on a slice with the mouse and accept it."""
    workspace = panel.workspace
    workspace.openSlice(ref)
    host.waitUntil(lambda: ref in workspace.views.displayed and workspace.scene.case == ref.case, 60, "the slice")
    host.pump(0.3)
    labels = stroke(host, workspace, to=8.0)
    assert labels.any()
    host.click(panel.sections[3].ui.acceptButton)
    return labels


def export(host: Any, panel: Any, title: str, folder: Path) -> Any:
    section = panel.sections[5]
    section.widget.collapsed = False
    host.pump(0.1)
    host.choose(section.ui.formatBox, title)
    section.ui.folderEdit.currentPath = str(folder)
    host.click(section.ui.exportButton)
    host.waitUntil(lambda: panel.workspace.task is None, 60, "the export")
    return section.ui.resultLabel.text


def assign(table: Any, names: dict[str, str]) -> None:
    """Say which series are which sequence; the others are not used."""
    import qt

    for row in range(table.rowCount):
        name = names.get(table.item(row, 1).text())
        table.item(row, 0).setCheckState(qt.Qt.Checked if name else qt.Qt.Unchecked)
        table.item(row, 2).setText(name or "")


def said(panel: Any) -> str:
    """Everything that can be read in the panel."""
    import qt
    import slicer

    labels = [label.text for label in slicer.util.findChildren(panel.parent, className="QLabel")]
    tables = [
        table.item(row, column).text()
        for table in slicer.util.findChildren(panel.parent, className="QTableWidget")
        for row in range(table.rowCount)
        for column in range(table.columnCount)
        if table.item(row, column) is not None
    ]
    assert isinstance(panel.parent, qt.QWidget)
    return "\n".join([*labels, *tables])


# --- DICOM


def test_from_a_dicom_folder_to_dicom_seg(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    import highdicom
    import pydicom

    files = write_people(tmp_path / "exam")
    series = look(host, section, tmp_path / "exam", "SeriesDialog")
    table = series.ui.seriesTable
    rows = {table.item(row, 1).text(): [table.item(row, column).text() for column in (2, 3, 4, 5)] for row in range(table.rowCount)}
    assert rows["t2_flair_tra"] == ["FLAIR", "MR", "2", "8"]
    assert {"t1_mprage_tra", "AX T1 [3D]"} < rows.keys()
    # Two descriptions of one sequence; the names are the person's own.
    assign(table, {"t1_mprage_tra": "T1", "AX T1 [3D]": "T1", "t2_flair_tra": "dark fluid"})
    host.click(series.ui.takeButton)
    plan = wait_for(host, section, "NewStudyDialog")
    assert plan.ui.foundLabel.text.startswith("DICOM series. 2 of 2 cases can be used.")
    assert plan.ui.titleEdit.text == "Study"
    study = make(host, section, "Pilot", "lesion")
    assert study.modalities == ("T1", "dark fluid")
    assert [case.name for case in study.cases()] == ["patient-01", "patient-02"]

    case = study.cases()[0]
    ref = next(one for one in study.pool_refs() if one.case == case.name and one.native_index == 4)
    labels = annotate(host, panel, ref)
    text = export(host, panel, "DICOM SEG", tmp_path / "out")
    assert "files of 1 case were written" in text, panel.messageLabel.text
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert len(written) == 1
    segmentation = highdicom.seg.segread(written[0])
    assert [one.SegmentLabel for one in segmentation.SegmentSequence] == ["lesion"]
    assert int(segmentation.pixel_array.astype(bool).sum()) == int((labels == 1).sum())
    # It lies on the T1 of the patient that the case is.
    sources = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files[segmentation.PatientID]}
    frames = segmentation.PerFrameFunctionalGroupsSequence
    used = {frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in frames}
    assert used < sources.keys()

    # Who the patients are is nowhere but in the study's own table and in the DICOM files.
    names = [path.name for path in study.path.rglob("*")] + [path.name for path in (tmp_path / "out").rglob("*")]
    logs = [path.read_text(encoding="utf-8") for path in (study.path / "logs").rglob("*.log")]
    nodes = [node.GetName() for node in _nodes()]
    for secret in SECRETS:
        for place, found in (("a file name", names), ("a log", logs), ("a node", nodes), ("the panel", [said(panel)])):
            assert not any(secret in one for one in found), f"{secret} is in {place}"


def _nodes() -> list[Any]:
    import slicer

    return list(slicer.util.getNodesByClass("vtkMRMLNode"))


def test_from_the_dicom_database_with_names_of_patients_only_where_asked_for(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    import slicer

    slicer.dicomDatabase.openDatabase(":memory:")
    for path in (path for paths in write_people(tmp_path / "exam").values() for path in paths):
        slicer.dicomDatabase.insert(str(path), False, False)
    host.click(section.ui.newFromDicomButton)
    database = section.dialog
    host.type(database.ui.filterEdit, "berger")
    host.click(database.ui.allButton)
    assert database.chosenStudies() == [uid("ZH-2", "study")]
    host.click(database.ui.takeButton)
    series = wait_for(host, section, "SeriesDialog")
    # The PET was not taken out of the database, the other patient neither.
    table = series.ui.seriesTable
    assert sorted(table.item(row, 1).text() for row in range(table.rowCount)) == ["AX T1 [3D]", "t2_flair_tra"]
    host.click(series.ui.patientIdsBox)
    assign(table, {"AX T1 [3D]": "T1"})
    host.click(series.ui.takeButton)
    wait_for(host, section, "NewStudyDialog")
    study = make(host, section, "One patient", "lesion")
    assert [case.name for case in study.cases()] == ["ZH-2"]
    assert study.modalities == ("T1",)


def test_a_choice_of_series_that_cannot_be_used_comes_up_again(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    files = write_people(tmp_path / "exam")
    series = look(host, section, tmp_path / "exam", "SeriesDialog")
    for path in (path for paths in files.values() for path in paths):
        path.unlink()
    host.click(series.ui.takeButton)
    host.waitUntil(lambda: panel.workspace.task is None and series.widget.isVisible(), 60, "the window")
    assert series.ui.problemLabel.text
    assert section.dialog is series


# --- other layouts


def labels_of(image: str, path: Path, *, value: int = 1) -> None:
    read = sitk.ReadImage(image)
    values = np.zeros(read.GetSize()[::-1], np.uint8)
    values[3:6, 10:20, 10:20] = value
    written = sitk.GetImageFromArray(values)
    written.CopyInformation(read)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(written, str(path))


def test_a_bids_data_set_with_labels_as_the_first_batch(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Test", "BIDSVersion": "1.9.0"}), encoding="utf-8")
    derivative = root / "derivatives" / "manual"
    derivative.mkdir(parents=True)
    description = {"Name": "manual", "BIDSVersion": "1.9.0", "GeneratedBy": [{"Name": "manual"}]}
    (derivative / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
    (derivative / "dseg.tsv").write_text("index\tname\tcolor\n1\tlesion\t#FF0000\n", encoding="utf-8")
    for number in (1, 2):
        folder = root / f"sub-{number:02d}" / "anat"
        folder.mkdir(parents=True)
        case = write_case(tmp_path, f"raw{number}", seed=number)
        for modality, suffix in (("t1", "T1w"), ("flair", "FLAIR")):
            Path(case.images[modality]).rename(folder / f"sub-{number:02d}_{suffix}.nii.gz")
        if number == 1:
            labels_of(str(folder / "sub-01_T1w.nii.gz"), derivative / "sub-01" / "anat" / "sub-01_space-orig_desc-manual_dseg.nii.gz")
    plan = look(host, section, root, "NewStudyDialog")
    assert plan.ui.foundLabel.text.startswith("A BIDS data set. 2 of 2 cases can be used.")
    assert plan.ui.labelsTable.item(0, 1).text() == "lesion"
    plan.ui.scrollArea.ensureWidgetVisible(plan.ui.labelsByEdit)
    host.choose(plan.ui.labelsAsBox, "as accepted first batch")
    host.choose(plan.ui.annotatedBox, "those that hold a label")
    host.type(plan.ui.labelsByEdit, "Dr Z")
    study = make(host, section, "From BIDS")
    assert "3 slices of labels that were there are in the study." in panel.workspace.said[-1][1]
    found = study.annotations()
    assert sorted(one.ref.native_index for one in found) == [3, 4, 5]
    assert {one.annotator for one in found} == {"Dr Z"}
    assert all(int((one.labels == 1).sum()) == 100 for one in found)
    rows = {status.case: status.accepted for status in panel.workspace.session.case_status()}
    assert sorted(rows.values()) == [0, 3]
    text = export(host, panel, "BIDS derivative", tmp_path / "out")
    assert "were written to" in text, panel.messageLabel.text
    assert list((tmp_path / "out").rglob("*_dseg.nii.gz"))


def test_an_nnunet_folder_with_labels_to_stop_training_by(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    root = tmp_path / "Dataset007_Lobes"
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    description = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "lobe": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    for number in (1, 2):
        case = write_case(tmp_path, f"raw{number}", seed=number)
        for channel, modality in enumerate(("t1", "flair")):
            Path(case.images[modality]).rename(root / "imagesTr" / f"case{number}_{channel:04d}.nii.gz")
    labels_of(str(root / "imagesTr" / "case1_0000.nii.gz"), root / "labelsTr" / "case1.nii.gz")
    plan = look(host, section, root, "NewStudyDialog")
    assert plan.ui.foundLabel.text.startswith("A raw data set of nnU-Net.")
    assert plan.ui.labelsTable.item(0, 1).text() == "lobe"
    plan.ui.scrollArea.ensureWidgetVisible(plan.ui.labelsByEdit)
    host.choose(plan.ui.labelsAsBox, "to choose the best weights (validation)")
    study = make(host, section, "From nnU-Net")
    assert {case.name: case.role for case in study.cases()} == {"case1": "validation", "case2": "pool"}
    assert study.modalities == ("T1", "FLAIR")
    ref = study.pool_refs()[4]
    annotate(host, panel, ref)
    text = export(host, panel, "nnU-Net dataset", tmp_path / "out")
    assert "were written to" in text, panel.messageLabel.text
    assert list((tmp_path / "out").rglob("dataset.json"))


def test_a_task_of_the_decathlon_with_channels_in_one_file(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    root = tmp_path / "Task99_Lobes"
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    training = []
    for number in (1, 2):
        case = write_case(tmp_path, f"raw{number}", seed=number)
        channels = [sitk.ReadImage(case.images[modality]) for modality in ("t1", "flair")]
        sitk.WriteImage(sitk.JoinSeries(channels), str(root / "imagesTr" / f"lobe_{number:03d}.nii.gz"))
        labels_of(case.images["t1"], root / "labelsTr" / f"lobe_{number:03d}.nii.gz")
        training.append({"image": f"./imagesTr/lobe_{number:03d}.nii.gz", "label": f"./labelsTr/lobe_{number:03d}.nii.gz"})
    description = {
        "name": "Lobes",
        "tensorImageSize": "4D",
        "modality": {"0": "T1", "1": "FLAIR"},
        "labels": {"0": "background", "1": "lobe"},
        "numTraining": 2,
        "numTest": 0,
        "training": training,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    plan = look(host, section, root, "NewStudyDialog")
    assert plan.ui.foundLabel.text.startswith("A task of the Medical Segmentation Decathlon.")
    study = make(host, section, "From the Decathlon")
    assert study.modalities == ("T1", "FLAIR")
    assert len(study.pool_refs()) == 2 * 10
    assert study.reference_labels(study.cases()[0].name).any()
