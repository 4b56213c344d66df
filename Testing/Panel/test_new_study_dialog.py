"""Confirming a plan: the layout in words, labels that exist already, and windows that fit on a small screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from SuggestiveAnnotationLib.geometry import Geometry

Maker = Callable[..., Any]


def case(name: str, *, label: bool, role: str = "pool") -> dict[str, Any]:
    return {
        "name": name,
        "patient": name,
        "role": role,
        "images": {"T1": f"/data/{name}_T1w.nii.gz"},
        "label": f"/data/{name}_dseg.nii.gz" if label else None,
        "problems": [],
        "excluded_reason": "T1 cannot be read." if role == "excluded" else "",
    }


def plan(**changes: Any) -> dict[str, Any]:
    """A BIDS data set of four cases, two of them labelled."""
    return {
        "folder": "/data/ds1",
        "cases": [case("a", label=True), case("b", label=False), case("c", label=True, role="test"), case("d", label=True)],
        "modalities": ["T1"],
        "reference": "T1",
        "patterns": {"T1": "*_T1w.nii.gz"},
        "warnings": [],
        "schema": None,
        "layout": "BIDS",
        "sources": {},
        "identities": {},
        "labels_as": "reference",
        "annotated_slices": "all",
        "labels_by": "existing labels",
        **changes,
    }


@pytest.fixture
def shown(panel: Any, studies: Any) -> Iterator[Maker]:
    """Shows a plan; gives the dialog and what it made."""
    from SuggestiveAnnotationPanel.new_study_dialog import NewStudyDialog

    made: list[Any] = []

    def show(**changes: Any) -> tuple[Any, list[Any]]:
        calls: list[Any] = []
        path = panel.resourcePath("UI/NewStudyDialog.ui")
        dialog = NewStudyDialog(path, plan(**changes), studies, lambda *arguments: calls.append(arguments))
        made.append(dialog)
        dialog.open()
        dialog.ui.labelsTable.item(0, 1).setText("lesion")
        return dialog, calls

    yield show
    for dialog in made:
        dialog.cleanup()


def roles(dialog: Any) -> list[str]:
    table = dialog.ui.casesTable
    return [table.cellWidget(row, 1).currentText for row in range(table.rowCount)]


@pytest.mark.parametrize(
    ("spacing", "plane"), [((4, 1, 1), "sagittal"), ((1, 4, 1), "coronal"), ((1, 1, 4), "axial"), ((1, 1, 1), "axial")]
)
def test_the_plane_that_cases_were_acquired_in_is_chosen(shown: Maker, spacing: tuple[int, ...], plane: str) -> None:
    geometry = Geometry((32, 32, 32), spacing, (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1)).to_json()
    cases = [{**case(name, label=True), "geometry": geometry} for name in "ab"]
    assert shown(cases=cases)[0].ui.planeBox.currentText == plane


def test_the_layout_is_named(shown: Maker) -> None:
    assert shown()[0].ui.foundLabel.text.startswith("A BIDS data set. 4 of 4 cases can be used.")
    assert shown(layout="MALC 2012")[0].ui.foundLabel.text.startswith("Recognised as MALC 2012. 4 of 4 cases")
    assert shown(layout="")[0].ui.foundLabel.text.startswith("4 of 4 cases can be used.")


def test_what_cases_that_are_held_out_are_for_is_said(shown: Maker) -> None:
    assert "those for validation choose the best weights and those for test judge the model" in shown()[0].ui.foundLabel.text


def test_warnings_can_be_scrolled_and_leave_room_for_the_rest(host: Any, shown: Maker) -> None:
    dialog, _ = shown(warnings=[f"Something about file {n} that is worth a line of its own." for n in range(80)])
    host.pump(0.1)
    assert dialog.ui.warningsLabel.isVisible()
    assert dialog.ui.scrollArea.isAncestorOf(dialog.ui.warningsLabel)
    assert dialog.widget.height <= 820
    assert not shown()[0].ui.warningsLabel.isVisible()


def test_without_labels_nothing_is_asked_about_them(shown: Maker) -> None:
    assert not shown(cases=[case("a", label=False)])[0].ui.existingGroup.isVisible()
    assert shown()[0].ui.existingGroup.isVisible()


def test_labels_are_used_as_the_person_says(host: Any, shown: Maker) -> None:
    dialog, calls = shown()
    ui = dialog.ui
    assert (ui.labelsAsBox.currentText, ui.annotatedBox.currentText) == ("to judge models by", "all")
    assert ui.labelsByEdit.text == "existing labels"
    ui.scrollArea.ensureWidgetVisible(ui.labelsByEdit)
    host.choose(ui.labelsAsBox, "as accepted first batch")
    host.choose(ui.annotatedBox, "from the first to the last that does")
    host.type(ui.labelsByEdit, "Dr Z")
    host.click(ui.createButton)
    confirmed = calls[0][0]
    assert (confirmed["labels_as"], confirmed["annotated_slices"], confirmed["labels_by"]) == ("first-batch", "span", "Dr Z")
    assert [one["role"] for one in confirmed["cases"]] == ["pool", "pool", "test", "pool"]


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("to judge models by", "reference"),
        ("to choose the best weights (validation)", "validation"),
        ("as accepted first batch", "first-batch"),
        ("as pre-annotation to correct", "pre-annotation"),
    ],
)
def test_every_use_of_labels_has_its_words(host: Any, shown: Maker, text: str, use: str) -> None:
    dialog, _ = shown()
    host.choose(dialog.ui.labelsAsBox, text)
    assert dialog.confirmed()["labels_as"] == use


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("all", "all"),
        ("those that hold a label", "labelled"),
        ("from the first to the last that does", "span"),
        ("all but those marked ignore", "marked"),
    ],
)
def test_every_rule_has_its_words(host: Any, shown: Maker, text: str, rule: str) -> None:
    dialog, _ = shown()
    host.choose(dialog.ui.annotatedBox, text)
    assert dialog.confirmed()["annotated_slices"] == rule


def test_validation_shows_in_the_roles_and_goes_with_another_choice(host: Any, shown: Maker) -> None:
    dialog, _ = shown()
    before = roles(dialog)
    host.choose(dialog.ui.labelsAsBox, "to choose the best weights (validation)")
    assert roles(dialog) == ["validation", "to annotate", "test", "validation"]
    assert [one["role"] for one in dialog.confirmed()["cases"]] == ["validation", "pool", "test", "validation"]
    host.choose(dialog.ui.labelsAsBox, "to judge models by")
    assert roles(dialog) == before


def test_what_the_plan_proposes_is_shown(shown: Maker) -> None:
    dialog, _ = shown(labels_as="validation", annotated_slices="marked", labels_by="atlas")
    assert roles(dialog) == ["validation", "to annotate", "test", "validation"]
    confirmed = dialog.confirmed()
    assert (confirmed["labels_as"], confirmed["annotated_slices"], confirmed["labels_by"]) == ("validation", "marked", "atlas")


def test_a_study_of_dicom_files_is_not_named_after_their_folder(shown: Maker) -> None:
    # Such folders often have the name of the patient.
    dialog, _ = shown(folder="/data/Adler_Anna", layout="DICOM", identities={"P1": {"PatientID": "A1"}})
    assert dialog.ui.titleEdit.text == "Study"
    assert "Adler" not in dialog.ui.folderEdit.currentPath
    assert shown()[0].ui.titleEdit.text == "ds1"


def test_on_a_small_screen_everything_can_be_reached(host: Any, shown: Maker) -> None:
    dialog, calls = shown()
    dialog.widget.resize(520, 400)
    host.pump(0.1)
    assert (dialog.widget.width, dialog.widget.height) == (520, 400)
    for button in (dialog.ui.createButton, dialog.ui.cancelDialogButton):
        corner = button.mapTo(dialog.widget, button.rect.bottomRight())
        assert dialog.widget.rect.contains(corner)
    dialog.ui.scrollArea.ensureWidgetVisible(dialog.ui.removeLabelButton)
    host.click(dialog.ui.addLabelButton)
    assert dialog.ui.labelsTable.rowCount == 2
    dialog.ui.labelsTable.item(1, 1).setText("oedema")
    host.click(dialog.ui.createButton)
    assert len(calls) == 1
