"""Patients and studies of the DICOM database, and the files that are taken of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_files import ramp, uid, write_series

PEOPLE = {"Adler^Anna": "A1", "Berg^Berta^Maria": "B2"}


def fill(folder: Path) -> dict[tuple[str, str, str], list[str]]:
    """Two people with two studies each, of two MR series and a PET; returns the files by ID, date and description."""
    import slicer

    files = {}
    for name, identifier in PEOPLE.items():
        for date in ("20200102", "20210304"):
            for number, (description, modality) in enumerate((("t1", "MR"), ("flair", "MR"), ("fdg", "PT"))):
                written = write_series(
                    folder / identifier / date / description,
                    array=ramp((3, 6, 5), seed=number),
                    patient_id=identifier,
                    patient_name=name,
                    study_uid=uid(identifier, date),
                    study_date=date,
                    description=description,
                    modality=modality,
                    series_number=number,
                    extra={"StudyDescription": f"brain {date[:4]}"},
                )
                files[identifier, date, description] = [str(path) for path in written]
                for path in written:
                    slicer.dicomDatabase.insert(str(path), False, False)
    return files


@pytest.fixture
def files(panel: Any, tmp_path: Path) -> dict[tuple[str, str, str], list[str]]:
    import slicer

    slicer.dicomDatabase.openDatabase(":memory:")
    return fill(tmp_path / "dicom")


@pytest.fixture
def taken() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
def dialog(panel: Any, files: Any, taken: list[tuple[str, ...]]) -> Iterator[Any]:
    from SuggestiveAnnotationPanel.dicom_database import DicomDatabaseDialog, dicomDatabase

    made = DicomDatabaseDialog(panel.resourcePath("UI/DicomDatabaseDialog.ui"), dicomDatabase(), taken.append)
    made.open()
    yield made
    made.cleanup()


def shown(tree: Any) -> dict[str, list[tuple[str, str]]]:
    """Patient -> text and date of the studies that can be seen."""
    parents = [tree.topLevelItem(row) for row in range(tree.topLevelItemCount)]
    return {
        parent.text(0): [
            (item.text(0), item.text(1)) for item in (parent.child(row) for row in range(parent.childCount())) if not item.isHidden()
        ]
        for parent in parents
        if not parent.isHidden()
    }


def test_patients_are_listed_by_name_with_their_studies_by_date(dialog: Any) -> None:
    studies = [("brain 2020", "20200102"), ("brain 2021", "20210304")]
    assert shown(dialog.ui.patientTree) == {"Adler, Anna (A1)": studies, "Berg, Berta Maria (B2)": studies}
    assert not dialog.ui.takeButton.enabled
    assert dialog.ui.takeButton.toolTip == "Tick at least one study."


def test_the_mr_and_ct_files_of_ticked_studies_are_taken(host: Any, dialog: Any, files: Any, taken: list[tuple[str, ...]]) -> None:
    import qt

    tree = dialog.ui.patientTree
    tree.topLevelItem(1).child(0).setCheckState(0, qt.Qt.Checked)
    assert dialog.ui.countLabel.text == "studies ticked: 1"
    assert tree.topLevelItem(1).checkState(0) == qt.Qt.PartiallyChecked
    host.click(dialog.ui.takeButton)
    assert sorted(taken[0]) == sorted(files["B2", "20200102", "t1"] + files["B2", "20200102", "flair"])
    assert not dialog.widget.isVisible()


def test_a_patient_is_ticked_with_all_studies(host: Any, dialog: Any, files: Any, taken: list[tuple[str, ...]]) -> None:
    import qt

    dialog.ui.patientTree.topLevelItem(0).setCheckState(0, qt.Qt.Checked)
    host.click(dialog.ui.takeButton)
    wanted = [path for (identifier, _date, kind), paths in files.items() if identifier == "A1" and kind != "fdg" for path in paths]
    assert sorted(taken[0]) == sorted(wanted)


def test_rows_are_found_by_what_is_in_them_and_ticked_together(host: Any, dialog: Any) -> None:
    import qt

    host.type(dialog.ui.filterEdit, "berta")
    assert list(shown(dialog.ui.patientTree)) == ["Berg, Berta Maria (B2)"]
    host.type(dialog.ui.filterEdit, "2021")
    assert shown(dialog.ui.patientTree) == {name: [("brain 2021", "20210304")] for name in ("Adler, Anna (A1)", "Berg, Berta Maria (B2)")}
    counted, count = [], dialog.chosenStudies
    dialog.chosenStudies = lambda: (counted.append(1), count())[1]
    host.click(dialog.ui.allButton)
    assert len(counted) == 1
    parent = dialog.ui.patientTree.topLevelItem(0)
    assert parent.checkState(0) == qt.Qt.PartiallyChecked
    assert dialog.ui.takeButton.enabled
    assert dialog.chosenStudies() == [uid("A1", "20210304"), uid("B2", "20210304")]
    host.type(dialog.ui.filterEdit, "nobody")
    assert shown(dialog.ui.patientTree) == {}
    host.type(dialog.ui.filterEdit, "")
    # What is ticked stays when it is not shown.
    assert dialog.ui.countLabel.text == "studies ticked: 2"
    host.click(dialog.ui.noneButton)
    assert dialog.chosenStudies() == []


def test_the_box_of_a_patient_leaves_alone_what_the_filter_hides(host: Any, dialog: Any) -> None:
    import qt

    parent = dialog.ui.patientTree.topLevelItem(0)
    host.type(dialog.ui.filterEdit, "2021")
    parent.setCheckState(0, qt.Qt.Checked)
    assert dialog.chosenStudies() == [uid("A1", "20210304")]
    assert parent.checkState(0) == qt.Qt.PartiallyChecked
    assert dialog.ui.countLabel.text == "studies ticked: 1"
    # A second time it takes back what it did.
    parent.setCheckState(0, qt.Qt.Checked)
    assert dialog.chosenStudies() == []
    host.type(dialog.ui.filterEdit, "")
    parent.setCheckState(0, qt.Qt.Checked)
    assert dialog.chosenStudies() == [uid("A1", "20200102"), uid("A1", "20210304")]
    host.type(dialog.ui.filterEdit, "2021")
    parent.setCheckState(0, qt.Qt.Unchecked)
    assert dialog.chosenStudies() == [uid("A1", "20200102")]


def test_enter_takes_what_is_ticked_and_ticks_nothing(host: Any, dialog: Any, taken: list[tuple[str, ...]]) -> None:
    import qt

    host.type(dialog.ui.filterEdit, "2021")
    host.press("Return", dialog.ui.filterEdit)
    assert (dialog.chosenStudies(), taken) == ([], [])
    dialog.ui.patientTree.topLevelItem(1).child(1).setCheckState(0, qt.Qt.Checked)
    host.press("Return", dialog.ui.filterEdit)
    assert len(taken) == 1


def test_files_that_are_gone_are_told(host: Any, dialog: Any, files: Any, taken: list[Any]) -> None:
    Path(files["A1", "20200102", "t1"][0]).unlink()
    host.click(dialog.ui.allButton)
    host.click(dialog.ui.takeButton)
    assert dialog.ui.problemLabel.text.startswith("1 of 24 images are listed in the database but are not on this computer.")
    assert (taken, dialog.widget.isVisible()) == ([], True)


def test_studies_without_mr_and_ct_are_told(panel: Any, files: Any) -> None:
    import slicer
    from SuggestiveAnnotationPanel.dicom_database import seriesFiles

    other = write_series(
        Path(files["A1", "20200102", "t1"][0]).parent / "pet", array=ramp((2, 4, 4)), modality="PT", patient_id="C3", study_uid=uid("pet")
    )
    slicer.dicomDatabase.insert(str(other[0]), False, False)
    with pytest.raises(ValueError, match="no MR or CT series"):
        seriesFiles(slicer.dicomDatabase, [uid("pet")])


def test_without_a_database_or_with_an_empty_one_a_sentence_says_what_to_do(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    section = panel.sections[0]
    host.click(section.ui.newFromDicomButton)
    assert panel.messageLabel.text.startswith("Note: 3D Slicer has no DICOM database open.")
    slicer.dicomDatabase.openDatabase(":memory:")
    host.click(section.ui.newFromDicomButton)
    assert panel.messageLabel.text.startswith("Note: The DICOM database is empty.")
    # A Slicer that was built without DICOM.
    monkeypatch.delattr(slicer, "dicomDatabase")
    host.click(section.ui.newFromDicomButton)
    assert panel.messageLabel.text.startswith("Note: 3D Slicer has no DICOM database open.")
    monkeypatch.undo()
    assert section.dialog is None


def test_an_unnamed_patient_is_listed_too(panel: Any, tmp_path: Path) -> None:
    import slicer
    from SuggestiveAnnotationPanel.dicom_database import dicomPatients

    slicer.dicomDatabase.openDatabase(":memory:")
    written = write_series(tmp_path / "x", array=ramp((2, 4, 4)), patient_name="", patient_id="")
    slicer.dicomDatabase.insert(str(written[0]), False, False)
    assert [one.name for one in dicomPatients(slicer.dicomDatabase)] == ["(no name)"]
