"""Which DICOM series are which sequence, as a person confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

GROUPS = [
    {"description": "t1_mprage_sag", "modality": "MR", "cases": 3, "slices": "176", "sequence": "T1", "use": True, "note": ""},
    {"description": "t1 * [repeat]", "modality": "MR", "cases": 1, "slices": "160", "sequence": "T1", "use": True, "note": ""},
    {"description": "localizer", "modality": "MR", "cases": 3, "slices": "9", "sequence": "", "use": False, "note": "Three orientations."},
    {"description": "", "modality": "CT", "cases": 1, "slices": "20-40", "sequence": "CT", "use": False, "note": ""},
]


@pytest.fixture
def taken() -> list[Any]:
    return []


@pytest.fixture
def dialog(panel: Any, taken: list[Any]) -> Iterator[Any]:
    from SuggestiveAnnotationPanel.series_dialog import SeriesDialog

    made = SeriesDialog(panel.resourcePath("UI/SeriesDialog.ui"), GROUPS, lambda *arguments: taken.append(arguments))
    made.open()
    yield made
    made.cleanup()


def tick(dialog: Any, row: int, on: bool) -> None:
    import qt

    dialog.ui.seriesTable.item(row, 0).setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)


def test_every_description_is_a_row_with_what_was_guessed(dialog: Any) -> None:
    table = dialog.ui.seriesTable
    rows = [[table.item(row, column).text() for column in range(1, 7)] for row in range(table.rowCount)]
    assert rows == [
        ["t1_mprage_sag", "T1", "MR", "3", "176", "-"],
        ["t1 * [repeat]", "T1", "MR", "1", "160", "-"],
        ["localizer", "", "MR", "3", "9", "Three orientations."],
        ["(none)", "CT", "CT", "1", "20-40", "-"],
    ]
    import qt

    assert [table.item(row, 0).checkState() == qt.Qt.Checked for row in range(4)] == [True, True, False, False]
    assert table.item(2, 1).toolTip() == "Three orientations."
    # Only the name of the sequence can be changed.
    assert [bool(table.item(0, column).flags() & qt.Qt.ItemIsEditable) for column in range(7)] == [False, False, True, *[False] * 4]


def test_series_with_one_name_become_one_sequence(host: Any, dialog: Any, taken: list[Any]) -> None:
    tick(dialog, 3, True)
    host.click(dialog.ui.takeButton)
    assert taken == [({"T1": "t1_mprage_sag\nt1 * [repeat]", "CT": ""}, False)]
    assert not dialog.widget.isVisible()


def test_names_are_pseudonyms_unless_asked_for(host: Any, dialog: Any, taken: list[Any]) -> None:
    assert "pseudonyms" in dialog.ui.patientIdsBox.toolTip
    host.click(dialog.ui.patientIdsBox)
    dialog.ui.seriesTable.item(1, 2).setText(" T1 again ")
    host.click(dialog.ui.takeButton)
    assert taken == [({"T1": "t1_mprage_sag", "T1 again": "t1 * [repeat]"}, True)]


def test_what_cannot_be_taken_is_refused_with_a_sentence(host: Any, dialog: Any, taken: list[Any]) -> None:
    tick(dialog, 2, True)
    host.click(dialog.ui.takeButton)
    assert dialog.ui.problemLabel.text == "Row 3 needs the name of a sequence, for example T1 or FLAIR."
    for row in range(3):
        tick(dialog, row, False)
    host.click(dialog.ui.takeButton)
    assert dialog.ui.problemLabel.text == "Tick at least one series."
    assert (taken, dialog.widget.isVisible()) == ([], True)
    host.click(dialog.ui.cancelDialogButton)
    assert (taken, dialog.widget.isVisible()) == ([], False)


def test_a_choice_that_the_worker_refuses_comes_up_again(host: Any, dialog: Any) -> None:
    host.click(dialog.ui.takeButton)
    dialog.refuse("No case has T1.")
    assert (dialog.ui.problemLabel.text, dialog.widget.isVisible()) == ("No case has T1.", True)
