"""Section 6 with the real worker: files, nodes and the report, compared voxel by voxel with what was accepted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from review_study import READER, reviewed_study

from SuggestiveAnnotationLib.engine.export import case_labelmap
from SuggestiveAnnotationLib.export.formats import FORMATS
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return reviewed_study(tmp_path_factory, tmp_path)


@pytest.fixture
def export(host: Any, panel: Any, opened: Callable[[Path], Any], path: Path, tmp_path: Path) -> Any:
    """The section, unfolded, with a folder of its own."""
    opened(path)
    section = panel.sections[5]
    section.widget.collapsed = False
    section.ui.folderEdit.currentPath = str(tmp_path / "out")
    host.pump(0.1)
    return section


def table(export: Any) -> dict[str, tuple[bool, int, int, int]]:
    import qt

    widget = export.ui.casesTable
    found = {}
    for row in range(widget.rowCount):
        numbers = [int(widget.item(row, column).text()) for column in (1, 2, 3)]
        found[widget.item(row, 0).text()] = (widget.item(row, 0).checkState() == qt.Qt.Checked, *numbers)
    return found


def tick(export: Any, case: str, on: bool) -> None:
    import qt

    widget = export.ui.casesTable
    row = list(table(export)).index(case)
    widget.item(row, 0).setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)


def press(host: Any, export: Any, button: Any) -> None:
    host.showInPanel(button)
    host.click(button)
    host.waitUntil(lambda: export.workspace.task is None, 60, "the worker")
    host.pump(0.1)


def load(host: Any, export: Any) -> None:
    export.ui.resultLabel.text = ""
    press(host, export, export.ui.sceneButton)
    host.waitUntil(lambda: export.ui.resultLabel.text.startswith("In the scene"), 20, "the nodes")


def expected(study: Study, case: str, states: tuple[str, ...] = ("accepted", "reviewed")) -> np.ndarray:
    return case_labelmap(study, case, states=states)[0]


def test_before_there_is_a_study_it_says_so(panel: Any) -> None:
    section = panel.sections[5]
    assert section.ui.guidance.text == "Open a study first."
    for name in ("exportButton", "sceneButton", "reportButton", "openReportButton", "openFolderButton", "allButton", "noneButton"):
        assert not getattr(section.ui, name).enabled, name


def test_cases_are_counted_by_state_and_drafts_are_named_as_left_out(export: Any) -> None:
    study = export.workspace.study
    accepted = {case.name: len({a.ref for a in study.annotations(case=case.name)}) for case in study.cases()}
    drafts = [draft.ref.case for draft in Session(study, annotator=READER).drafts()]
    assert len(drafts) == 1
    assert table(export) == {case: (True, n, 0, drafts.count(case)) for case, n in accepted.items() if n or case in drafts}
    total = sum(accepted.values())
    assert export.ui.guidance.text.startswith(f"{total} slices of {len(accepted)} cases will be exported.")


def test_excluded_cases_are_left_out(host: Any, export: Any, tmp_path: Path) -> None:
    workspace = export.workspace
    first, *others = table(export)
    workspace.session.exclude_case(first, reason="motion")
    workspace.studyChanged()
    export.ui.folderEdit.currentPath = str(tmp_path / "out")
    shown = f"{first} (excluded: left out)"
    assert {case: row[0] for case, row in table(export).items()} == {shown: False, **dict.fromkeys(others, True)}
    assert export.ui.casesTable.item(1, 0).toolTip() == others[0]
    assert export.ui.casesTable.item(0, 0).toolTip() == f"{first}: left out, as it is excluded: motion"
    host.click(export.ui.allButton)
    assert export.chosenCases() == tuple(others)
    press(host, export, export.ui.exportButton)
    assert not list((tmp_path / "out").glob(f"{first}*"))
    assert f"of case {first}, which is excluded." in export.ui.resultLabel.toolTip


def test_one_case_is_one_case(export: Any) -> None:
    _first, *others = table(export)
    for other in others:
        tick(export, other, False)
    assert " of 1 case will be exported." in export.ui.guidance.text


def test_counting_reads_no_labels_and_waits_while_the_section_is_folded_up(export: Any) -> None:
    study, before = export.workspace.study, table(export)
    with closing(sqlite3.connect(next(study.path.glob("*.sqlite")))) as connection, connection:
        for name in ("annotations", "drafts"):
            connection.execute(f"UPDATE {name} SET labels = x'00'")
    export.refresh()
    assert table(export) == before
    first, (_, accepted, _, drafts) = next(iter(before.items()))
    one = next(note.id for note in study.work_notes(case=first) if note.state == "accepted")
    export.widget.collapsed = True
    study.review([one], reviewer="Dr B", verdict="approved")
    export.refresh()
    assert table(export) == before
    export.widget.collapsed = False
    assert table(export)[first] == (True, accepted - 1, 1, drafts)


def test_files_hold_what_was_accepted_and_ignore_elsewhere_and_no_draft(host: Any, export: Any, tmp_path: Path) -> None:
    study = export.workspace.study
    press(host, export, export.ui.exportButton)
    draft = Session(study, annotator=READER).drafts()[0]
    for case in table(export):
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / f"{case}_annotation.nii.gz")))
        assert np.array_equal(image, expected(study, case))
        stack = study.frame(case).stack(image)
        accepted = {a.ref.native_index: a.labels for a in study.annotations(case=case)}
        for index, labels in enumerate(stack):
            assert np.array_equal(labels, accepted.get(index, np.full_like(labels, study.schema.ignore_value))), (case, index)
        assert draft.ref.case != case or draft.ref.native_index not in accepted
    text = export.ui.resultLabel.text
    assert text.startswith(f"{3 * len(table(export))} files of {len(table(export))} cases were written to {tmp_path / 'out'}.")
    assert text.endswith("Left out: 1 draft that nobody accepted.")
    assert export.ui.openFolderButton.enabled


def test_only_ticked_cases_and_chosen_states_go_out(host: Any, export: Any, tmp_path: Path) -> None:
    workspace = export.workspace
    first, *others = table(export)
    reviewed = [a.ref for a in workspace.study.annotations(case=first)][:2]
    Session(workspace.study, annotator="Dr B").review(reviewed, verdict="approved")
    workspace.statesChanged()
    assert table(export)[first][2] == 2
    host.click(export.ui.acceptedBox)
    assert [case for case, row in table(export).items() if row[0]] == [first]
    export.ui.formatBox.setCurrentText("Labelmaps, NRRD")
    press(host, export, export.ui.exportButton)
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == [f"{first}_annotated-mask.nrrd", f"{first}_annotation.json", f"{first}_annotation.nrrd"]
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / f"{first}_annotation.nrrd")))
    assert np.array_equal(image, expected(workspace.study, first, ("reviewed",)))
    chosen = [a for a in workspace.study.annotations() if a.ref.case == first]
    assert f"{len(chosen) - 2} accepted slice" in export.ui.resultLabel.text
    for other in others:
        assert f"of case {other}, which was not chosen." in export.ui.resultLabel.toolTip
    # Without any state there is nothing to export, and it says why.
    host.click(export.ui.reviewedBox)
    assert not export.ui.exportButton.enabled
    assert export.ui.guidance.text == "Choose which slices: accepted, reviewed, or both."
    host.click(export.ui.acceptedBox)
    for other in others:
        tick(export, other, False)
    assert export.chosenCases() == (first,)
    # The ticks stay when the states change.
    workspace.statesChanged()
    assert export.chosenCases() == (first,)
    host.click(export.ui.noneButton)
    assert not export.ui.exportButton.enabled
    assert export.ui.guidance.text == "Tick the cases to export."
    host.click(export.ui.allButton)
    assert export.chosenCases() == (first, *others)


def test_files_that_are_there_are_replaced_only_after_asking(host: Any, export: Any, tmp_path: Path) -> None:
    press(host, export, export.ui.exportButton)
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    host.dialogs.answers.append(False)
    press(host, export, export.ui.exportButton)
    assert "Replace the files" in host.dialogs.said[-1][1]
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == kept
    host.dialogs.answers.append(True)
    press(host, export, export.ui.exportButton)
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    assert after.keys() == kept.keys()
    assert all(after[name] > kept[name] for name in kept)


def test_every_format_of_the_library_is_offered_and_explained(host: Any, export: Any) -> None:
    import qt

    ui = export.ui
    assert [ui.formatBox.itemText(row) for row in range(ui.formatBox.count)] == [one.title for one in FORMATS]
    for row, one in enumerate(FORMATS):
        assert ui.formatBox.itemData(row, qt.Qt.ToolTipRole) == one.help
        host.choose(ui.formatBox, one.title)
        assert ui.formatHelpLabel.text.lower().startswith(one.help.lower())
        assert ("identity of the patient" in ui.formatHelpLabel.text) == (one.name == "dicom-seg")


def test_every_format_has_a_folder_of_its_own_unless_a_person_chose_one(host: Any, export: Any, panel: Any, tmp_path: Path) -> None:
    ui, exports = export.ui, panel.workspace.path / "export"
    ui.folderEdit.currentPath = str(exports / "nii.gz")
    host.choose(ui.formatBox, "COCO")
    assert Path(ui.folderEdit.currentPath) == exports / "coco"
    ui.folderEdit.currentPath = str(tmp_path / "elsewhere")
    host.choose(ui.formatBox, "DICOM SEG")
    assert Path(ui.folderEdit.currentPath) == tmp_path / "elsewhere"


def test_every_format_writes_files_and_asks_before_it_replaces_them(host: Any, panel: Any, export: Any, tmp_path: Path) -> None:
    def files(folder: Path) -> dict[Path, bytes]:
        return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    for one in FORMATS:
        if one.name == "dicom-seg":
            continue
        folder = tmp_path / "formats" / one.name
        export.ui.folderEdit.currentPath, export.ui.resultLabel.text = str(folder), ""
        host.choose(export.ui.formatBox, one.title)
        press(host, export, export.ui.exportButton)
        assert f"were written to {folder}. Left out: 1 draft that nobody accepted." in export.ui.resultLabel.text, panel.messageLabel.text
        assert export.ui.resultLabel.text.count("1 draft that nobody accepted.") == 1, one.name
        written = files(folder)
        assert written
        if one.name == "nnunet":
            # A second dataset gets the next free id.
            press(host, export, export.ui.exportButton)
            assert written.items() < files(folder).items()
            continue
        host.dialogs.answers = [False]
        press(host, export, export.ui.exportButton)
        assert host.dialogs.answers == [], f"{one.name} did not ask"
        assert files(folder) == written
        host.dialogs.answers = [True]
        press(host, export, export.ui.exportButton)
        assert files(folder).keys() == written.keys()


def test_dicom_seg_needs_its_packages_and_cases_from_dicom(
    host: Any, panel: Any, export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from SuggestiveAnnotationPanel import requirements

    asked = []
    monkeypatch.setattr(requirements, "ensure", lambda *groups, say: bool(asked.append(groups)))
    host.choose(export.ui.formatBox, "DICOM SEG")
    press(host, export, export.ui.exportButton)
    assert asked == [(requirements.DICOM,)]
    # These cases are NIfTI files: nothing is written, and it says why.
    assert panel.messageLabel.text.startswith("Error: ")
    assert "DICOM" in panel.messageLabel.text
    assert not (tmp_path / "out").exists()


def test_many_sentences_on_what_was_left_out_are_cut_short(export: Any, tmp_path: Path) -> None:
    sentences = [f"Something about slice {n}." for n in range(7)]
    export._onExported(str(tmp_path), ("case0",), {"files": ["a"], "left_out": sentences})
    assert export.ui.resultLabel.text.endswith("Something about slice 3. And 3 more, see the tool tip.")
    assert export.ui.resultLabel.toolTip.splitlines() == sentences
    export._onExported(str(tmp_path), ("case0",), {"files": ["a"], "left_out": []})
    assert export.ui.resultLabel.text.endswith("Nothing was left out.")


def test_a_folder_that_cannot_be_written_is_said(host: Any, panel: Any, export: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    export.ui.folderEdit.currentPath = str(tmp_path / "file" / "out")
    press(host, export, export.ui.exportButton)
    assert panel.messageLabel.text.startswith("Error: ")
    assert str(tmp_path / "file") in panel.messageLabel.text
    assert export.ui.resultLabel.text == ""


def test_labelmap_nodes_have_the_voxels_the_place_and_the_names(host: Any, export: Any, tmp_path: Path) -> None:
    import slicer

    study = export.workspace.study
    press(host, export, export.ui.exportButton)
    load(host, export)
    for case in table(export):
        node = slicer.util.getNode(f"{case} accepted")
        assert node.GetClassName() == "vtkMRMLLabelMapVolumeNode"
        assert np.array_equal(slicer.util.arrayFromVolume(node), expected(study, case))
        image = sitk.ReadImage(str(tmp_path / "out" / f"{case}_annotation.nii.gz"))
        for ijk in ((0, 0, 0), (3, 7, 5)):
            x, y, z = image.TransformIndexToPhysicalPoint(ijk)
            matrix = slicer.util.arrayFromVTKMatrix(_matrix(node))
            assert (matrix @ [*ijk, 1])[:3] == pytest.approx((-x, -y, z), abs=1e-4)
        colours = node.GetDisplayNode().GetColorNode()
        for one in study.schema.classes:
            assert colours.GetColorName(one.value) == one.name
            found = [0.0] * 4
            colours.GetColor(one.value, found)
            assert found[:3] == pytest.approx([channel / 255 for channel in one.colour], abs=0.01)
        assert colours.GetColorName(study.schema.ignore_value) == "ignore"
    # A second time the first nodes stay: somebody may have worked on them.
    load(host, export)
    assert len(slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")) == 2 * len(table(export))


def test_labelmaps_never_carry_the_names_of_another_studys_structures(host: Any, export: Any) -> None:
    import slicer

    schema = export.workspace.study.schema
    name = f"Structures of {schema.name}"
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    other.SetTypeToUser()
    other.SetNumberOfColors(schema.ignore_value + 1)
    other.SetColor(schema.classes[0].value, "tumour", 1, 0, 0, 1)
    for _time in range(2):
        load(host, export)
    tables = {node.GetDisplayNode().GetColorNode() for node in slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")}
    assert len(tables) == 1
    assert other not in tables
    assert tables.pop().GetColorName(schema.classes[0].value) == schema.classes[0].name
    assert other.GetColorName(schema.classes[0].value) == "tumour"


def _matrix(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_segmentation_nodes_have_the_structures_and_nothing_where_nobody_looked(host: Any, export: Any) -> None:
    import slicer
    from SuggestiveAnnotationPanel import segments

    study = export.workspace.study
    export.ui.nodeBox.setCurrentText("segmentation")
    load(host, export)
    for case in table(export):
        node = slicer.util.getNode(f"{case} accepted")
        labels, mask = case_labelmap(study, case)
        read = segments.readVolume(node, study.case(case).geometry, study.schema)
        assert np.array_equal(read, np.where(mask, labels, 0))
        names = [node.GetSegmentation().GetNthSegment(i).GetName() for i in range(len(study.schema.classes))]
        assert names == [one.name for one in study.schema.classes]
        # It would lie over whatever is annotated next.
        assert not node.GetDisplayNode().GetVisibility()
    assert export.ui.resultLabel.text.endswith("Segmentations are hidden: show them with the eye in the module Data.")


def test_the_report_is_written_without_names_unless_asked_for(host: Any, export: Any, tmp_path: Path) -> None:
    ui = export.ui
    assert not ui.openReportButton.enabled
    assert ui.redactedBox.checked
    ui.reportEdit.currentPath = str(tmp_path / "report.html")
    press(host, export, ui.reportButton)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert READER not in page
    assert "case0" not in page
    assert str(tmp_path / "report.html") in ui.reportLabel.text
    assert ui.openReportButton.enabled
    host.click(ui.redactedBox)
    press(host, export, ui.reportButton)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "case0" in page
