"""A study from 3D Slicer's DICOM database: which patients and studies, and the files of their series."""

from __future__ import annotations

import os
from dataclasses import dataclass

import qt
import slicer
from slicer.i18n import tr as _

from .connect import connect
from .dialogs import Dialog

MODALITIES = ("MR", "CT")
WHAT, DATE = range(2)


@dataclass(frozen=True)
class DicomPatient:
    """A patient of the database, with the name that is shown to whoever looks into it, and `(study, date, description)` of each study."""

    name: str
    studies: tuple


def dicomDatabase():
    """The database; None where 3D Slicer was built without one, or none was opened."""
    database = slicer.dicomDatabase if hasattr(slicer, "dicomDatabase") else None
    return database if database is not None and database.isOpen else None


def dicomPatients(database):
    """The patients that have studies, by name."""
    found = []
    for patient in database.patients():
        studies = [
            (study, database.fieldForStudy("StudyDate", study), database.fieldForStudy("StudyDescription", study))
            for study in database.studiesForPatient(patient)
        ]
        if studies:
            name = database.displayedNameForPatient(patient) or database.nameForPatient(patient) or _("(no name)")
            identifier = database.fieldForPatient("PatientID", patient)
            found.append(DicomPatient(f"{name} ({identifier})" if identifier else name, tuple(sorted(studies, key=lambda one: one[1]))))
    return sorted(found, key=lambda one: one.name.casefold())


def seriesFiles(database, studies):
    """Files of the MR and CT series of studies.

    Raises:
        ValueError: with a sentence, when there is no such series, or their files are not on this computer.
    """
    series = [one for study in studies for one in database.seriesForStudy(study) if database.fieldForSeries("Modality", one) in MODALITIES]
    if not series:
        raise ValueError(_("There is no MR or CT series in what you ticked."))
    files = [path for one in series for path in database.filesForSeries(one)]
    # The database also lists images that are still on a server, or were deleted since.
    gone = sum(not os.path.isfile(path) for path in files)
    if gone or not files:
        text = _("{n} of {all} images are listed in the database but are not on this computer. Get them in the module DICOM first.")
        raise ValueError(text.format(n=gone, all=len(files)))
    return tuple(files)


class DicomDatabaseDialog(Dialog):
    """Shows the patients and studies; calls `take(files)` with the files of what was ticked.

    Args:
        path: of the .ui file.
        database: from `dicomDatabase`.
    """

    def __init__(self, path, database, take):
        super().__init__(path, _("DICOM database"), (560, 520))
        self._database, self._take = database, take
        ui = self.ui
        connect(ui.takeButton, "clicked()", self._onTake)
        connect(ui.cancelDialogButton, "clicked()", self.close)
        connect(ui.allButton, "clicked()", lambda: self._tick(True))
        connect(ui.noneButton, "clicked()", lambda: self._tick(False))
        connect(ui.filterEdit, "textChanged(QString)", self._filter)
        connect(ui.patientTree, "itemChanged(QTreeWidgetItem*,int)", self._onTicked)
        ui.patientTree.setColumnCount(2)
        ui.patientTree.setHeaderLabels([_("patient, study"), _("date")])
        self._items = []
        self._show(dicomPatients(database))

    def _show(self, patients):
        tree = self.ui.patientTree
        for patient in patients:
            parent = qt.QTreeWidgetItem()
            parent.setText(WHAT, patient.name)
            # Not with tri-state by itself, which ticks studies that the filter hides too.
            parent.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            parent.setCheckState(WHAT, qt.Qt.Unchecked)
            tree.addTopLevelItem(parent)
            studies = []
            for study, date, description in patient.studies:
                item = qt.QTreeWidgetItem()
                item.setText(WHAT, description or _("(no description)"))
                item.setText(DATE, date)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
                item.setCheckState(WHAT, qt.Qt.Unchecked)
                parent.addChild(item)
                studies.append((study, item))
            self._items.append((patient, parent, studies))
        tree.expandAll()
        tree.resizeColumnToContents(WHAT)
        self._count()

    def _filter(self, text):
        wanted = text.strip().casefold()
        for patient, parent, studies in self._items:
            named = wanted in patient.name.casefold()
            shown = 0
            for _study, item in studies:
                hit = named or wanted in item.text(WHAT).casefold() or wanted in item.text(DATE).casefold()
                item.setHidden(not hit)
                shown += hit
            parent.setHidden(not shown)

    def _onTicked(self, item, _column):
        shown = [one for one in (item.child(row) for row in range(item.childCount())) if not one.isHidden()]
        on = any(one.checkState(WHAT) != qt.Qt.Checked for one in shown)
        blocked = self.ui.patientTree.blockSignals(True)
        for one in shown:
            one.setCheckState(WHAT, qt.Qt.Checked if on else qt.Qt.Unchecked)
        self.ui.patientTree.blockSignals(blocked)
        self._count()

    def _tick(self, on):
        # Counted once, and not after each of thousands.
        blocked = self.ui.patientTree.blockSignals(True)
        for _patient, _parent, studies in self._items:
            for _study, item in studies:
                if not item.isHidden():
                    item.setCheckState(WHAT, qt.Qt.Checked if on else qt.Qt.Unchecked)
        self.ui.patientTree.blockSignals(blocked)
        self._count()

    def chosenStudies(self):
        """UIDs of the studies that are ticked."""
        return [study for *_rest, studies in self._items for study, item in studies if item.checkState(WHAT) == qt.Qt.Checked]

    def _count(self):
        self._tickPatients()
        number = len(self.chosenStudies())
        self.ui.countLabel.text = _("studies ticked: {n}").format(n=number)
        self.ui.takeButton.enabled = number > 0
        self.ui.takeButton.toolTip = "" if number else _("Tick at least one study.")

    def _tickPatients(self):
        """The box of a patient is that of all studies together."""
        blocked = self.ui.patientTree.blockSignals(True)
        for _patient, parent, studies in self._items:
            ticked = sum(item.checkState(WHAT) == qt.Qt.Checked for _study, item in studies)
            some = qt.Qt.PartiallyChecked if ticked else qt.Qt.Unchecked
            parent.setCheckState(WHAT, qt.Qt.Checked if ticked == len(studies) else some)
        self.ui.patientTree.blockSignals(blocked)

    def _onTake(self):
        try:
            files = seriesFiles(self._database, self.chosenStudies())
        except ValueError as error:
            self.ui.problemLabel.text = str(error)
            return
        self.close()
        self._take(files)
