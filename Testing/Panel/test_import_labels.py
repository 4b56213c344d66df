"""Labels of one case that were drawn elsewhere, taken into the open study by the real worker."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from panel_study import SHAPE, add_round, make_study

from SuggestiveAnnotationLib.types import SliceRef


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_study(tmp_path_factory.mktemp("made"))
    add_round(study, {SliceRef("case1", 0, 2): "suggested"})
    study.close()
    return study.path


@pytest.fixture
def section(panel: Any, _made: Path, tmp_path: Path) -> Any:
    shutil.copytree(_made, tmp_path / "study")
    panel.sections[0].openPath(str(tmp_path / "study"))
    return panel.sections[0]


@pytest.fixture
def labels(_made: Path, tmp_path: Path) -> Path:
    """A labelmap of case1: slices 3 and 5 (1-based) hold labels, 4 is empty between them, the others too."""
    image = sitk.ReadImage(str(_made.parent / "cohort" / "case1_t1.nii.gz"))
    values = np.zeros(SHAPE, np.uint8)
    values[2, 10:20, 10:20] = 1
    values[4, 12:18, 12:18] = 4
    written = sitk.GetImageFromArray(values)
    written.CopyInformation(image)
    sitk.WriteImage(written, str(tmp_path / "drawn elsewhere.nii.gz"))
    return tmp_path / "drawn elsewhere.nii.gz"


def fill(host: Any, section: Any, path: Path, *, rule: str, **texts: str) -> Any:
    host.click(section.ui.importButton)
    dialog = section.dialog
    dialog.ui.fileEdit.currentPath = str(path)
    host.choose(dialog.ui.caseBox, "case1")
    host.choose(dialog.ui.annotatedBox, rule)
    for name, text in texts.items():
        host.type(getattr(dialog.ui, name), text)
    return dialog


def take(host: Any, panel: Any, dialog: Any) -> None:
    host.click(dialog.ui.takeButton)
    host.waitUntil(lambda: panel.workspace.task is None, 60, "the import")
    host.pump(0.1)


def test_without_a_study_there_is_nothing_to_import_into(panel: Any) -> None:
    assert not panel.sections[0].ui.importButton.enabled


def test_labelled_slices_become_accepted_ones(host: Any, panel: Any, section: Any, labels: Path) -> None:
    dialog = fill(host, section, labels, rule="those that hold a label", annotatorEdit="Dr Z")
    assert not dialog.ui.slicesEdit.enabled
    take(host, panel, dialog)
    assert panel.messageLabel.text == "2 slices of case1 were taken as accepted."
    found = {a.ref: a for a in panel.workspace.study.annotations()}
    assert sorted(found) == [SliceRef("case1", 0, 2), SliceRef("case1", 0, 4)]
    assert {a.annotator for a in found.values()} == {"Dr Z"}
    assert (found[SliceRef("case1", 0, 2)].labels == 1).sum() == 100
    assert [section.ui.cohortTable.item(row, 3).text() for row in range(2)] == ["0", "2"]


def test_the_numbers_of_the_slices_can_be_given(host: Any, panel: Any, section: Any, labels: Path) -> None:
    dialog = fill(host, section, labels, rule="those with these numbers")
    host.click(dialog.ui.takeButton)
    assert dialog.ui.problemLabel.text == "Give the numbers of the slices, for example 10,12,20-25."
    host.type(dialog.ui.slicesEdit, "4-5")
    take(host, panel, dialog)
    assert sorted(a.ref.native_index for a in panel.workspace.study.annotations()) == [3, 4]


def test_as_pre_annotation_they_are_shown_to_correct(host: Any, panel: Any, section: Any, labels: Path) -> None:
    workspace, ref, here = panel.workspace, SliceRef("case1", 0, 2), SliceRef("case1", 0, 7)
    # A slice that was looked at without a pre-annotation stays without one.
    workspace.openSlice(here)
    host.waitUntil(lambda: workspace.scene.case == "case1" and here in workspace.views.displayed, 60, "the case")
    assert not workspace.sync.labels(ref).any()
    dialog = fill(host, section, labels, rule="those that hold a label")
    host.choose(dialog.ui.asBox, "as pre-annotation to correct")
    take(host, panel, dialog)
    assert panel.messageLabel.text == "2 slices of case1 have a pre-annotation now; it is shown where they are suggested."
    assert workspace.study.annotations() == ()
    shown = workspace.session.case_labels("case1")
    assert {one: what.origin for one, what in shown.items()} == {ref: "pre-annotation"}
    # The case is open: what came is on the screen.
    assert (workspace.sync.labels(ref) == 1).sum() == 100


def test_a_file_that_does_not_fit_brings_the_window_back_with_the_reason(host: Any, panel: Any, section: Any, tmp_path: Path) -> None:
    small = sitk.GetImageFromArray(np.ones((3, 4, 5), np.uint8))
    sitk.WriteImage(small, str(tmp_path / "small.nii.gz"))
    dialog = fill(host, section, tmp_path / "small.nii.gz", rule="all")
    take(host, panel, dialog)
    assert dialog.widget.isVisible()
    assert "small.nii.gz" in dialog.ui.problemLabel.text
    assert panel.workspace.study.annotations() == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda ui: ui.fileEdit.setCurrentPath("/no such file"), "Choose the file with the labels."),
        (lambda ui: ui.annotatorEdit.setText(" "), "Say who drew the labels; a pseudonym will do."),
    ],
)
def test_what_is_missing_is_said(host: Any, section: Any, labels: Path, change: Any, sentence: str) -> None:
    dialog = fill(host, section, labels, rule="all")
    change(dialog.ui)
    host.click(dialog.ui.takeButton)
    assert dialog.ui.problemLabel.text == sentence
    host.click(dialog.ui.cancelDialogButton)
    assert not dialog.widget.isVisible()


def test_the_case_that_is_open_is_proposed(host: Any, panel: Any, section: Any) -> None:
    panel.workspace.openSlice(SliceRef("case1", 0, 2))
    host.click(section.ui.importButton)
    assert section.dialog.ui.caseBox.currentText == "case1"
    assert section.dialog.ui.annotatorEdit.text == panel.workspace.annotator


def test_the_window_goes_with_its_study(host: Any, panel: Any, section: Any, labels: Path, tmp_path: Path) -> None:
    dialog = fill(host, section, labels, rule="those that hold a label")
    request = dialog.request()
    panel.workspace.studyChanged()
    assert dialog.widget.isVisible()
    shutil.copytree(tmp_path / "study", tmp_path / "another")
    section.openPath(str(tmp_path / "another"))
    assert section.dialog is None
    # Also what was chosen before goes nowhere else.
    section._import(tmp_path / "study", request)
    assert panel.messageLabel.text == "Note: The labels were chosen for another study. Import them again there."
    assert panel.workspace.study.annotations() == ()
    host.click(section.ui.importButton)
    panel.workspace.closeStudy()
    assert section.dialog is None
