"""Section 1: the ways to a study, confirming what was found, the cohort, the reader, settings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from panel_study import make_study, write_case


@pytest.fixture
def section(panel: Any) -> Any:
    return panel.sections[0]


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two patients with two sequences each, the first one labelled, and a file that is no image."""
    folder = tmp_path / "cohort"
    for number, name in enumerate(("anna", "berta")):
        (folder / name).mkdir(parents=True)
        case = write_case(folder / name, name, seed=number)
        if name == "anna":
            image = sitk.ReadImage(case.images["t1"])
            labels = sitk.GetImageFromArray((sitk.GetArrayFromImage(image) > 50).astype(np.uint8) * 2)
            labels.CopyInformation(image)
            sitk.WriteImage(labels, str(folder / name / f"{name}_seg.nii.gz"))
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def cells(table: Any) -> list[list[str]]:
    return [
        [table.item(row, column).text() if table.item(row, column) else "" for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def look_for(host: Any, section: Any, folder: Path) -> Any:
    host.dialogs.answers = [str(folder)]
    host.click(section.ui.newFromFolderButton)
    host.waitUntil(lambda: section.dialog is not None and section.dialog.widget.isVisible(), 60, "the dialog")
    return section.dialog


# --- opening


def test_the_first_time_it_says_how_to_begin(section: Any) -> None:
    ui = section.ui
    assert ui.guidance.text == "Try the sample study, open a study, or make one from your images."
    assert not ui.reopenButton.isVisible()
    assert not ui.cohortTable.isVisible()
    assert [ui.recentBox.enabled, ui.closeButton.enabled, ui.checkButton.enabled] == [False, False, False]
    assert ui.recentBox.toolTip
    assert ui.closeButton.toolTip


def test_an_opened_study_shows_its_cases_and_is_offered_again(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    ui = section.ui
    host.dialogs.answers = [str(in_round_0)]
    host.click(ui.openButton)
    study = panel.workspace.study
    assert study.path == in_round_0
    assert ui.studyLabel.text == "Sample study, 4 cases"
    rows = cells(ui.cohortTable)
    assert [row[0] for row in rows] == [case.name for case in study.cases()]
    assert {row[2] for row in rows} == {"to annotate", "test"}
    i, j, k = study.cases()[0].geometry.size
    assert rows[0][1] == f"{i} x {j} x {k}"
    waiting = {case.case: case.waiting for case in panel.workspace.session.case_status()}
    assert sum(waiting.values()) == 6
    for row in rows:
        assert row[3] == ("0" + (f", {waiting[row[0]]} wait" if waiting[row[0]] else ""))
        assert row[4] == "-"
    host.click(ui.closeButton)
    assert panel.workspace.study is None
    assert panel.messageLabel.text == "Study Sample study is closed; everything in it is saved."
    assert ui.reopenButton.isVisible()
    assert ui.reopenButton.text.endswith(f"{in_round_0.parent.name}/{in_round_0.name}")
    host.click(ui.reopenButton)
    assert panel.workspace.study.path == in_round_0
    host.click(ui.closeButton)
    assert ui.recentBox.itemData(1) == str(in_round_0)
    ui.recentBox.activated.emit(1)
    assert panel.workspace.study.path == in_round_0


def test_a_case_that_was_excluded_by_mistake_is_included_again(host: Any, section: Any, panel: Any, in_round_0: Path, opened: Any) -> None:
    workspace, ui, table = opened(in_round_0), section.ui, section.ui.cohortTable
    ref = workspace.current
    assert not ui.includeButton.isVisible()
    workspace.session.exclude_case(ref.case, reason="wrong scan")
    workspace.studyChanged()
    assert ui.includeButton.isVisible()
    assert not ui.includeButton.enabled
    assert ref.case in ui.includeButton.toolTip
    row = [cell[0] for cell in cells(table)].index(ref.case)
    assert (cells(table)[row][2], cells(table)[row][4]) == ("left out", "wrong scan")
    table.selectRow(row)
    workspace.statesChanged()
    host.showInPanel(ui.includeButton)
    host.click(ui.includeButton)
    assert workspace.study.case(ref.case).role == "pool"
    assert cells(table)[row][2:5:2] == ["to annotate", "-"]
    assert workspace.session.status(ref).state == "suggested"
    assert panel.messageLabel.text == f"Case {ref.case} takes part again."
    assert not ui.includeButton.isVisible()


def test_a_folder_that_is_no_study_is_told_in_a_sentence(host: Any, section: Any, panel: Any, tmp_path: Path) -> None:
    host.dialogs.answers = [str(tmp_path)]
    host.click(section.ui.openButton)
    assert panel.workspace.study is None
    assert panel.messageLabel.text.startswith("Error: ")
    assert str(tmp_path) in panel.messageLabel.text


def test_cancelling_the_file_dialog_changes_nothing(host: Any, section: Any, panel: Any) -> None:
    host.dialogs.answers = [""]
    host.click(section.ui.openButton)
    assert (panel.workspace.study, panel.messageLabel.text) == (None, "")


def test_problems_of_files_are_found_on_demand_and_shown_with_the_case(host: Any, section: Any, panel: Any, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    broken = study.cases()[1].images["flair"]
    study.close()
    panel.workspace.openStudy(tmp_path / "study")
    Path(broken).unlink()
    host.click(section.ui.checkButton)
    assert not section.ui.openButton.enabled
    host.waitUntil(lambda: panel.workspace.task is None and panel.messageLabel.text.startswith("Note: "), 60, "the check")
    rows = cells(section.ui.cohortTable)
    assert rows[0][4] == "-"
    assert Path(broken).name in rows[1][4]
    assert "problems were found" in panel.messageLabel.text


# --- making


def test_a_study_from_a_folder_is_confirmed_corrected_and_made(host: Any, section: Any, panel: Any, cohort: Path, studies: Path) -> None:
    dialog = look_for(host, section, cohort)
    ui = dialog.ui
    assert ui.foundLabel.text.startswith("2 of 2 cases can be used.")
    assert [row[:1] + row[2:4] for row in cells(ui.casesTable)] == [["anna", "T1, FLAIR", "yes"], ["berta", "T1, FLAIR", "-"]]
    assert [row[1] for row in cells(ui.modalitiesTable)] == ["T1", "FLAIR"]
    assert ui.referenceBox.currentText == "T1"
    assert [row[0] for row in cells(ui.labelsTable)] == ["2"]
    # A study by that name is put beside one that is there.
    assert ui.folderEdit.currentPath == str(studies / "cohort")

    ui.labelsTable.item(0, 1).setText("tumour")
    host.click(ui.addLabelButton)
    assert cells(ui.labelsTable)[1][0] == "3"
    host.click(ui.createButton)
    assert "Row 2 of the structures needs" in ui.problemLabel.text
    ui.labelsTable.item(1, 1).setText("oedema")
    ui.modalitiesTable.item(1, 1).setText("flair 2")
    ui.casesTable.cellWidget(1, 1).currentIndex = 2
    ui.planeBox.setCurrentText("coronal")
    ui.gridBox.setCurrentText("the scans' own resolution")
    host.type(ui.titleEdit, "My pilot")
    assert ui.folderEdit.currentPath == str(studies / "My-pilot")
    host.click(ui.createButton)
    assert not dialog.widget.isVisible()
    host.waitUntil(lambda: panel.workspace.study is not None, 90, "the study")
    study = panel.workspace.study
    assert (study.name, study.path) == ("My pilot", studies / "My-pilot")
    assert study.modalities == ("T1", "flair 2")
    assert [(one.value, one.name) for one in study.schema.classes] == [(2, "tumour"), (3, "oedema")]
    assert {case.name: case.role for case in study.cases()} == {"anna": "pool", "berta": "test"}
    assert study.frozen_record().spacing == (min(study.frame("anna").spacing[1:]),) * 2
    # Coronal slices of 10 x 48 x 40 voxels lie along the middle axis.
    assert {ref.axis for ref in study.pool_refs()} == {1}
    assert len(study.pool_refs()) == 48


def test_a_folder_without_images_is_told_in_a_sentence(host: Any, section: Any, panel: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    host.dialogs.answers = [str(tmp_path / "empty")]
    host.click(section.ui.newFromFolderButton)
    host.waitUntil(lambda: panel.messageLabel.text, 60, "the sentence")
    assert panel.messageLabel.text.startswith("Error: ")
    assert section.dialog is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda ui: ui.modalitiesTable.item(1, 1).setText("T1"), "give each a name of its own"),
        (lambda ui: untick(ui, 0), "The sequence to draw on, T1, is not in use."),
        (lambda ui: ui.labelsTable.item(0, 1).setText(""), "Row 1 of the structures"),
        (lambda ui: ui.labelsTable.item(0, 0).setText("255"), "a value from 1 to 254"),
        (lambda ui: ui.labelsTable.item(0, 2).setText("no colour"), "and a colour"),
        (lambda ui: set_roles(ui, 3, 3), "No case is left to annotate."),
        (lambda ui: ui.titleEdit.setText(""), "Give the study a name and a folder."),
        (lambda ui: ui.folderEdit.setCurrentPath(str(Path(__file__).parent)), "is not empty"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_sentence(
    host: Any, section: Any, studies: Path, cohort: Path, change: Any, sentence: str
) -> None:
    from SuggestiveAnnotationPanel.new_study_dialog import NewStudyDialog

    from SuggestiveAnnotationLib.engine.cohort import find, with_guessed_schema

    made: list[Any] = []
    plan = with_guessed_schema(find(cohort)).to_json()
    dialog = NewStudyDialog(section.resourcePath("UI/NewStudyDialog.ui"), plan, studies, lambda *arguments: made.append(arguments))
    dialog.open()
    dialog.ui.labelsTable.item(0, 1).setText("tumour")
    change(dialog.ui)
    host.click(dialog.ui.createButton)
    assert sentence in dialog.ui.problemLabel.text
    assert made == []
    dialog.cleanup()


def untick(ui: Any, row: int) -> None:
    import qt

    ui.modalitiesTable.item(row, 0).setCheckState(qt.Qt.Unchecked)


def set_roles(ui: Any, *roles: int) -> None:
    for row, role in enumerate(roles):
        ui.casesTable.cellWidget(row, 1).currentIndex = role


def test_two_cases_of_one_patient_are_not_on_both_sides(host: Any, section: Any, studies: Path, cohort: Path) -> None:
    from SuggestiveAnnotationPanel.new_study_dialog import NewStudyDialog

    from SuggestiveAnnotationLib.engine.cohort import find, with_guessed_schema

    plan = with_guessed_schema(find(cohort)).to_json()
    for case in plan["cases"]:
        case["patient"] = "one"
    dialog = NewStudyDialog(section.resourcePath("UI/NewStudyDialog.ui"), plan, studies, lambda *arguments: None)
    dialog.ui.labelsTable.item(0, 1).setText("tumour")
    set_roles(dialog.ui, 0, 2)
    with pytest.raises(ValueError, match="Cases anna and berta are of one patient"):
        dialog.confirmed()
    set_roles(dialog.ui, 0, 3)
    assert [case["role"] for case in dialog.confirmed()["cases"]] == ["pool", "excluded"]
    dialog.cleanup()


def test_removed_structures_leave_nothing_behind_in_the_schema() -> None:
    from SuggestiveAnnotationPanel.new_study_dialog import _withoutRemoved

    schema = {"regions": {"whole": [1, 2], "core": [1]}, "merge": {"1": [10], "2": [20, 21]}}
    classes = [{"value": 1, "name": "left", "partner": 2}]
    assert _withoutRemoved(schema, classes) == {
        "classes": [{"value": 1, "name": "left"}],
        "regions": {"core": [1]},
        "merge": {"1": [10]},
    }


def test_making_that_is_cancelled_goes_on_with_preparing(host: Any, section: Any, panel: Any, cohort: Path, studies: Path) -> None:
    study = make_study(studies.parent / "other")
    study.close()
    shutil.copytree(study.path, studies / "half")
    from SuggestiveAnnotationLib.worker.protocol import Error

    # As the worker answers when it is stopped between making and preparing.
    section._onNotMade(str(studies / "half"), Error(1, "cancelled", "Cancelled."))
    assert panel.workspace.path == studies / "half"
    assert panel.messageLabel.text == "Cancelled. Prepare the images in 2 to go on."
    section._onNotMade(str(studies / "nothing"), Error(1, "input", "That is no plan.", "Look again."))
    assert panel.messageLabel.text == "Error: That is no plan. Look again."


def test_a_grid_that_the_images_do_not_allow_is_chosen_anew_in_the_same_window(
    host: Any, section: Any, panel: Any, cohort: Path, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from SuggestiveAnnotationPanel import new_study_dialog

    fine = {"pixels": None, "spacing": 0.01}
    monkeypatch.setattr(new_study_dialog, "grids", lambda: (("usual", {"pixels": 32, "spacing": None}), ("much too fine", fine)))
    dialog = look_for(host, section, cohort)
    dialog.ui.labelsTable.item(0, 1).setText("tumour")
    dialog.ui.gridBox.setCurrentText("much too fine")
    host.click(dialog.ui.createButton)
    host.waitUntil(lambda: panel.workspace.task is None and dialog.widget.isVisible(), 90, "the window")
    assert "would have" in dialog.ui.problemLabel.text
    assert dialog.ui.folderEdit.currentPath == str(studies / "cohort")
    dialog.ui.gridBox.setCurrentText("usual")
    host.click(dialog.ui.createButton)
    host.waitUntil(lambda: panel.workspace.study is not None, 90, "the study")
    assert panel.workspace.path == studies / "cohort"


# --- volumes of the scene


def load(path: str | Path, name: str) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(path))
    node.SetAndObserveStorageNodeID(storage.GetID())
    assert storage.ReadData(node)
    return node


def test_volumes_of_the_scene_become_a_study_and_those_without_a_file_get_one(
    host: Any, section: Any, panel: Any, tmp_path: Path, studies: Path
) -> None:
    import slicer

    case = write_case(tmp_path, "p1", seed=1)
    load(case.images["t1"], "p1 t1")
    flair = load(case.images["flair"], "p1 flair")
    array = slicer.util.arrayFromVolume(flair)
    array[:] = array + 7
    slicer.util.arrayFromVolumeModified(flair)
    changed = array.copy()
    host.click(section.ui.newFromSceneButton)
    ui = section.dialog.ui
    assert [row[1:4] for row in cells(ui.volumesTable)] == [["p1 t1", "p1", "T1"], ["p1 flair", "p1", "FLAIR"]]
    ui.volumesTable.item(1, 3).setText("T1")
    host.click(ui.takeButton)
    assert ui.problemLabel.text.startswith("Case p1 has two volumes T1.")
    ui.volumesTable.item(1, 3).setText("FLAIR")
    host.dialogs.answers = [False]
    host.click(ui.takeButton)
    assert host.dialogs.said[-1][1].startswith("These volumes have no file of their own, or were changed since: p1 flair.")
    assert section.dialog.widget.isVisible()
    host.dialogs.answers = [True]
    host.click(ui.takeButton)
    host.waitUntil(lambda: hasattr(section.dialog.ui, "createButton"), 60, "the plan")
    ui = section.dialog.ui
    ui.labelsTable.item(0, 1).setText("tumour")
    host.type(ui.titleEdit, "From scene")
    host.click(ui.createButton)
    host.waitUntil(lambda: panel.workspace.study is not None, 90, "the study")
    images = panel.workspace.study.cases()[0].images
    assert images["T1"] == case.images["t1"]
    written = sitk.ReadImage(images["FLAIR"])
    assert Path(images["FLAIR"]).is_relative_to(studies)
    assert (sitk.GetArrayFromImage(written) == changed).all()
    assert written.GetOrigin() == pytest.approx((-20.0, -24.0, 5.0))
    assert written.GetSpacing() == pytest.approx((1.0, 1.0, 2.0))


@pytest.mark.parametrize("from_file", [True, False], ids=["from a file", "without a file"])
def test_a_volume_under_a_transform_is_refused_until_it_is_hardened(
    host: Any, section: Any, panel: Any, tmp_path: Path, studies: Path, from_file: bool
) -> None:
    import slicer
    from SuggestiveAnnotationPanel.scene_volumes import writeVolume

    node = load(write_case(tmp_path, "p1", seed=1).images["t1"], "p1 t1")
    if not from_file:
        node.SetAndObserveStorageNodeID(None)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registered")
    shift = np.eye(4)
    shift[0, 3] = 3.0
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    node.SetAndObserveTransformNodeID(transform.GetID())
    said = "p1 t1 lies under the transform registered: harden it in the module Transforms first."
    host.click(section.ui.newFromSceneButton)
    host.click(section.dialog.ui.takeButton)
    assert section.dialog.ui.problemLabel.text == said
    assert section.dialog.widget.isVisible()
    with pytest.raises(ValueError, match=said):
        writeVolume(node, studies)
    assert node.HardenTransform()
    host.dialogs.answers = [True]
    host.click(section.dialog.ui.takeButton)
    host.waitUntil(lambda: hasattr(section.dialog.ui, "createButton"), 60, "the plan")
    (path,) = (studies / "Volumes of the scene").iterdir()
    assert sitk.ReadImage(path).GetOrigin()[0] == pytest.approx(-node.GetOrigin()[0])
    assert node.GetOrigin()[0] == pytest.approx(20 + 3)


def test_volumes_of_the_open_case_are_not_offered(panel: Any, in_round_0: Path, opened: Any) -> None:
    import slicer
    from SuggestiveAnnotationPanel.scene_volumes import sceneVolumes

    workspace = opened(in_round_0)
    assert workspace.scene.volume() is not None
    assert sceneVolumes() == []
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "P1_flair")
    slicer.util.updateVolumeFromArray(node, np.zeros((2, 3, 4), np.int16))
    assert [volume.node for volume in sceneVolumes()] == [node]


def test_an_empty_scene_is_told_so(host: Any, section: Any, panel: Any) -> None:
    host.click(section.ui.newFromSceneButton)
    assert panel.messageLabel.text == "Note: You have loaded no volume into the scene. Load images first."


# --- the reader and settings


def test_the_reader_and_settings_are_kept(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    from SuggestiveAnnotationPanel import settings

    ui = section.ui
    panel.workspace.openStudy(in_round_0)
    assert panel.workspace.session.annotator == "reader 1"
    host.type(ui.annotatorEdit, "Dr A")
    ui.annotatorEdit.editingFinished.emit()
    host.click(ui.timingBox)
    session = panel.workspace.session
    assert (settings.annotator(), settings.timing(), session.annotator, session.timing) == ("Dr A", True, "Dr A", True)
    host.type(ui.annotatorEdit, " ")
    ui.annotatorEdit.editingFinished.emit()
    assert ui.annotatorEdit.text == "Dr A"
    ui.pauseBox.value = 45
    assert (settings.idleSeconds(), panel.workspace.session.idle_seconds) == (45, 45)


def test_the_keys_of_the_module_can_be_turned_off(host: Any, section: Any, panel: Any) -> None:
    from SuggestiveAnnotationPanel import settings

    assert len(panel.shortcuts._installed) == len(panel.shortcuts.actions)
    section.ui.keysBox.checked = False
    assert panel.shortcuts._installed == []
    assert settings.shortcutsOn() is False
    section.ui.keysBox.checked = True
    assert len(panel.shortcuts._installed) == len(panel.shortcuts.actions)


def test_settings_come_back_with_their_types(host: Any, panel: Any) -> None:
    import qt
    from SuggestiveAnnotationPanel import settings

    for setter, getter, value in (
        (settings.setBlind, settings.blind, True),
        (settings.setGauge, settings.gauge, False),
        (settings.setIdleSeconds, settings.idleSeconds, 17),
        (settings.setAnnotator, settings.annotator, "Dr Ä"),
    ):
        setter(value)
        assert getter() == value
        assert type(getter()) is type(value)
    assert settings.recentStudies() == []
    settings.rememberStudy("/one")
    assert settings.recentStudies() == ["/one"]
    for number in range(12):
        settings.rememberStudy(f"/study {number}")
    assert settings.recentStudies() == [f"/study {number}" for number in range(11, 3, -1)]
    settings.rememberStudy("/study 5")
    assert settings.recentStudies()[0] == "/study 5"
    assert len(settings.recentStudies()) == 8
    # Somebody wrote nonsense into the file.
    qt.QSettings().setValue("SuggestiveAnnotation/IdleSeconds", "soon")
    assert settings.idleSeconds() == 30
    settings.setPlace(Path("/a/b"), {"case": "x", "index": 3})
    assert settings.place(Path("/a/b")) == {"case": "x", "index": 3}
    assert settings.place(Path("/a/c")) == {}
    assert settings.lastStudy() is None
