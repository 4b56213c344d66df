"""Section 1: open or make a study, say who annotates, see the cohort."""

from __future__ import annotations

from pathlib import Path

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.worker import protocol

from . import requirements, settings
from .connect import connect
from .dialogs import columns, fit, fixed
from .dicom_database import DicomDatabaseDialog, dicomDatabase
from .import_labels import ImportLabelsDialog
from .new_study_dialog import NewStudyDialog, roleText
from .scene_volumes import SceneVolumesDialog, sceneVolumes
from .section import Section
from .series_dialog import SeriesDialog

ROW_HEIGHT = 20
SENTENCES = 3
"""So many sentences on labels that were not taken are shown."""


class StudySection(Section):
    """Every way to a study, its cases with their state and problems, who annotates, and a few settings."""

    name = "StudySection"

    def __init__(self, workspace, resourcePath):
        self.title = _("1. Study")
        super().__init__(workspace, resourcePath)
        self.dialog = None
        ui = self.ui
        connect(ui.reopenButton, "clicked()", self.reopen)
        connect(ui.newFromFolderButton, "clicked()", self.newFromFolder)
        connect(ui.newFromSceneButton, "clicked()", self.newFromScene)
        connect(ui.newFromDicomButton, "clicked()", self.newFromDicomDatabase)
        connect(ui.importButton, "clicked()", self.importLabels)
        connect(ui.openButton, "clicked()", self.openStudy)
        connect(ui.sampleButton, "clicked()", self.makeSample)
        connect(ui.recentBox, "activated(int)", self._onRecent)
        connect(ui.checkButton, "clicked()", self.check)
        connect(ui.closeButton, "clicked()", self.closeStudy)
        connect(ui.includeButton, "clicked()", self.includeCase)
        connect(ui.cohortTable, "itemSelectionChanged()", self._offerToInclude)
        connect(ui.annotatorEdit, "editingFinished()", self._onAnnotator)
        connect(ui.blindBox, "toggled(bool)", self._onBlind)
        connect(ui.timingBox, "toggled(bool)", self._onTiming)
        ui.keysBox.checked, ui.pauseBox.value, ui.studiesEdit.currentPath = (
            settings.shortcutsOn(),
            settings.idleSeconds(),
            settings.studiesFolder(),
        )
        connect(ui.keysBox, "toggled(bool)", self._onKeys)
        connect(ui.pauseBox, "valueChanged(int)", self._onPause)
        connect(ui.studiesEdit, "currentPathChanged(QString)", settings.setStudiesFolder)
        columns(ui.cohortTable, [_("case"), _("voxels"), _("role"), _("slices done"), _("problems")])
        ui.cohortTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        ui.cohortTable.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        ui.cohortTable.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.statesChanged, self._fillTable)
        self.follow(workspace.taskChanged, self._enable)
        self.refresh()

    def enter(self):
        """Show settings that may have changed elsewhere."""
        self.refresh()

    def cleanup(self):
        """The module goes, and the dialog with it."""
        super().cleanup()
        self._open(None)

    # What is there

    def _onStudy(self):
        # What was chosen in it is of the study before.
        if isinstance(self.dialog, ImportLabelsDialog) and self.dialog.study != self.workspace.path:
            self._open(None)
        self.refresh()

    def refresh(self):
        """Show the open study, the reader and the recent studies."""
        ui, study, last = self.ui, self.workspace.study, settings.lastStudy()
        if ui.annotatorEdit.text != self.workspace.annotator:
            ui.annotatorEdit.text = self.workspace.annotator
        ui.blindBox.checked, ui.timingBox.checked = settings.blind(), settings.timing()
        ui.recentBox.clear()
        ui.recentBox.addItem(_("Recent studies"))
        for path in settings.recentStudies():
            ui.recentBox.addItem(self._short(path), path)
        ui.reopenButton.visible = study is None and last is not None
        if study is not None:
            ui.studyLabel.text = _("{name}, {n} cases").format(name=study.name, n=len(study.cases()))
            ui.studyLabel.toolTip = str(study.path)
            self.guide(_("The study is open. Go on with 2, or with the suggestions in 3."))
        else:
            ui.studyLabel.text, ui.studyLabel.toolTip = _("No study is open."), ""
            if last is not None:
                ui.reopenButton.text = _("Go on with {study}").format(study=self._short(last))
                self.guide(_("Go on with the study that was open last, or choose another one."))
            else:
                self.guide(_("Try the sample study, open a study, or make one from your images."))
        self._fillTable()
        self._enable()

    @staticmethod
    def _short(path):
        return f"{Path(path).parent.name}/{Path(path).name}"

    def _enable(self):
        ui, busy, study = self.ui, self.workspace.task is not None, self.workspace.study
        wait = _("Wait until the worker is done, or cancel in 2.")
        for widget in (
            ui.reopenButton,
            ui.newFromFolderButton,
            ui.newFromSceneButton,
            ui.newFromDicomButton,
            ui.openButton,
            ui.sampleButton,
        ):
            widget.enabled = not busy
        ui.recentBox.enabled = not busy and ui.recentBox.count > 1
        ui.recentBox.toolTip = wait if busy else "" if ui.recentBox.count > 1 else _("No study was opened yet.")
        ui.checkButton.enabled = ui.closeButton.enabled = ui.importButton.enabled = study is not None and not busy
        ui.closeButton.toolTip = _("No study is open.") if study is None else wait if busy else ""

    def _fillTable(self):
        table, session = self.ui.cohortTable, self.workspace.session
        rows = session.case_status() if session is not None else ()
        table.visible = bool(rows)
        table.setRowCount(len(rows))
        for row, status in enumerate(rows):
            size = " x ".join(str(n) for n in reversed(status.shape)) if status.shape else _("unreadable")
            done = str(status.accepted) + (_(", {n} wait").format(n=status.waiting) if status.waiting else "")
            problems = status.excluded_reason or " ".join(status.problems)
            for column, text in enumerate((status.case, size, roleText(status.role), done, problems or "-")):
                table.setItem(row, column, fixed(text, problems))
        fit(table)
        self._offerToInclude()

    # Cases that were excluded

    def _offerToInclude(self):
        ui, study = self.ui, self.workspace.study
        cases = study.cases_to_include() if study is not None else ()
        ui.includeButton.visible = bool(cases)
        ui.includeButton.enabled = self._chosenCase() in cases
        ui.includeButton.toolTip = (
            _("Give the case its place in training and suggestions back; what waited in it waits again")
            if ui.includeButton.enabled
            else _("Choose a case in the table first that was excluded in 3: {cases}.").format(cases=", ".join(cases))
        )

    def _chosenCase(self):
        table = self.ui.cohortTable
        names = (table.item(row, 0) for row in range(table.rowCount))
        return next((name.text() for name in names if name is not None and name.isSelected()), None)

    def includeCase(self):
        """Take back that the chosen case was excluded."""
        case, workspace = self._chosenCase(), self.workspace
        workspace.session.include_case(case)
        workspace.studyChanged()
        workspace.message("info", _("Case {case} takes part again.").format(case=case))

    # Opening

    def reopen(self):
        """Open the study that was open last."""
        self.openPath(settings.lastStudy())

    def openStudy(self):
        """Choose the folder of a study."""
        start = (settings.recentStudies() or [settings.studiesFolder()])[0]
        path = qt.QFileDialog.getExistingDirectory(None, _("Folder of the study"), start)
        if path:
            self.openPath(path)

    def _onRecent(self, index):
        path = self.ui.recentBox.itemData(index)
        self.ui.recentBox.currentIndex = 0
        if path:
            self.openPath(path)

    def openPath(self, path):
        """Open the study in a folder; what it takes is installed first, if the person agrees."""
        if self.workspace.mayLeave() and self.workspace.ensure(requirements.PANEL):
            self.workspace.openStudy(path)
            self.workspace.message("info", _("Study {name} is open.").format(name=self.workspace.study.name))

    def closeStudy(self):
        """Close the study, unless the open slice cannot be left now."""
        if self.workspace.mayLeave():
            name = self.workspace.study.name
            self.workspace.closeStudy()
            self.workspace.message("info", _("Study {name} is closed; everything in it is saved.").format(name=name))

    # Making

    def makeSample(self):
        """Make the sample study, and open it."""
        if not self.workspace.ensure(requirements.PANEL, requirements.LEARNING, requirements.SAMPLE):
            return
        folder = str(Path(settings.studiesFolder()) / "Sample")
        self.workspace.ask(protocol.CreateSample(folder), self._onMade, title=_("Make the sample study"))

    def newFromFolder(self):
        """Choose a folder of images of any layout, and confirm what is found in it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of the images"), settings.studiesFolder())
        if folder and self.workspace.ensure(requirements.PANEL, requirements.LEARNING):
            self._find(folder)

    def _find(self, folder):
        found = lambda data: self._onFound(folder, data)  # noqa: E731
        self.workspace.ask(protocol.FindCohort(folder), found, lambda error: self._onNotFound(folder, error), title=_("Look for images"))

    def _onNotFound(self, folder, error):
        # Whether it takes the packages for DICOM is known once somebody has looked.
        if error.kind == "missing" and requirements.missing(requirements.DICOM):
            if self.workspace.ensure(requirements.DICOM):
                self._find(folder)
        else:
            self._tell(error)

    def _tell(self, error):
        if error.kind == "cancelled":
            self.workspace.message("info", _("Cancelled."))
        else:
            self.workspace.message("error", str(error))

    def _onFound(self, folder, data):
        if data.get("plan") is not None:
            self._confirm(data)
        else:
            self._chooseSeries(data["series"], folder=folder)

    def newFromDicomDatabase(self):
        """Take patients and studies of 3D Slicer's DICOM database, and confirm."""
        database = dicomDatabase()
        if database is None:
            text = _("3D Slicer has no DICOM database open. Open the module DICOM once, choose a folder for it, and import your images.")
            self.workspace.message("warning", text)
        elif not database.patients():
            self.workspace.message("warning", _("The DICOM database is empty. Import your images in the module DICOM first."))
        elif self.workspace.ensure(requirements.PANEL, requirements.LEARNING, requirements.DICOM):
            self._open(DicomDatabaseDialog(self.resourcePath("UI/DicomDatabaseDialog.ui"), database, self._findSeries))

    def _findSeries(self, files):
        found = lambda data: self._chooseSeries(data["series"], files=files)  # noqa: E731
        self.workspace.ask(protocol.FindSeries(files=files), found, self._refuse, title=_("Look through the series"))

    def _chooseSeries(self, series, folder=None, files=()):
        def take(images, patientIds):
            if self.workspace.ensure(requirements.DICOM):
                command = protocol.PlanSeries(folder, files, images, patientIds)
                self.workspace.ask(command, self._confirm, self._refuse, title=_("Look at the series"))
            else:
                self.dialog.open()

        self._open(SeriesDialog(self.resourcePath("UI/SeriesDialog.ui"), series, take))

    def _refuse(self, error):
        """What was chosen in the window cannot be used: it comes up again, with the reason."""
        if error.kind == "cancelled" or self.dialog is None:
            self._tell(error)
        else:
            self.dialog.refuse(str(error))

    def newFromScene(self):
        """Take volumes of the scene, and confirm."""
        if not self.workspace.ensure(requirements.PANEL, requirements.LEARNING):
            return
        volumes = sceneVolumes()
        if not volumes:
            self.workspace.message("warning", _("You have loaded no volume into the scene. Load images first."))
            return
        path = self.resourcePath("UI/SceneVolumesDialog.ui")
        self._open(SceneVolumesDialog(path, volumes, settings.studiesFolder(), self._planVolumes))

    def _planVolumes(self, volumes):
        self.workspace.ask(protocol.PlanVolumes(volumes), self._confirm, title=_("Look at the volumes"))

    def _confirm(self, data):
        path = self.resourcePath("UI/NewStudyDialog.ui")
        self._open(NewStudyDialog(path, data["plan"], settings.studiesFolder(), self._create))

    def _open(self, dialog):
        if self.dialog is not None:
            self.dialog.cleanup()
        self.dialog = dialog
        if dialog is not None:
            dialog.open()

    def _create(self, plan, folder, title, grid):
        # Making it can be interrupted after the study is there and before its images are prepared.
        settings.setPlace(Path(folder), {"grid": grid})
        command = protocol.CreateStudy(str(folder), plan, title, **grid)
        self.workspace.ask(command, self._onMade, lambda error: self._onNotMade(folder, error), title=_("Make the study"))

    def _onMade(self, data):
        self.workspace.openStudy(data["study"])
        found = sum(len(sentences) for sentences in data.get("problems", {}).values())
        left, taken = data.get("left_out", []), data.get("taken", 0)
        parts = [self._problemText(found).strip()] if found else []
        parts += [_("{n} slices of labels that were there are in the study.").format(n=taken)] if taken else []
        parts += [*left[:SENTENCES], _("The study is ready. Start the first round in 2.")]
        self.workspace.message("warning" if found or left else "info", " ".join(parts))

    def _onNotMade(self, folder, error):
        from SuggestiveAnnotationLib.study.study import DATABASE_NAME

        if error.kind == "cancelled" and (Path(folder) / DATABASE_NAME).exists():
            self.workspace.openStudy(folder)
            self.workspace.message("info", _("Cancelled. Prepare the images in 2 to go on."))
        elif error.kind == "input":
            self._refuse(error)
        else:
            self._tell(error)

    # Labels drawn elsewhere

    def importLabels(self):
        """Choose labels of a case that were drawn elsewhere, and what to make of them."""
        workspace = self.workspace
        cases = [case.name for case in workspace.study.cases() if case.role != "excluded"]
        here = None if workspace.current is None else workspace.current.case
        path = self.resourcePath("UI/ImportLabelsDialog.ui")
        self._open(ImportLabelsDialog(path, workspace.path, cases, here, workspace.annotator, self._import))

    def _import(self, study, request):
        if study != self.workspace.path:
            self.workspace.message("warning", _("The labels were chosen for another study. Import them again there."))
            return
        if request["path"].lower().endswith(".dcm") and not self.workspace.ensure(requirements.DICOM):
            return
        # What is on the screen and not accepted must not get lost below what comes.
        self.workspace.saveNow()
        done = lambda data: self._onImported(study, request, data)  # noqa: E731
        self.workspace.ask(protocol.ImportLabels(**request), done, self._refuse, title=_("Import labels"))

    def _onImported(self, study, request, data):
        if study != self.workspace.path:
            return
        if request["accepted"]:
            text = _("{n} slices of {case} were taken as accepted.")
        else:
            text = _("{n} slices of {case} have a pre-annotation now; it is shown where they are suggested.")
        said = text.format(n=len(data["slices"]), case=request["case"])
        self.workspace.message("info", " ".join([said, *data["notes"]]))
        self.workspace.statesChanged()

    def check(self):
        """Read every file of the study and show what is wrong."""
        self.workspace.ask(protocol.CheckStudy(), self._onChecked, title=_("Check every file"))

    def _onChecked(self, data):
        found = sum(len(sentences) for sentences in data["problems"].values())
        self.workspace.message("warning" if found else "info", self._problemText(found) if found else _("Every file is fine."))
        self._fillTable()

    @staticmethod
    def _problemText(found):
        return _("{n} problems were found; the table names them. ").format(n=found)

    # The reader

    def _onAnnotator(self):
        name = self.ui.annotatorEdit.text.strip()
        if not name:
            self.ui.annotatorEdit.text = self.workspace.annotator
        elif name != self.workspace.annotator:
            self._changeReader(settings.setAnnotator, name)

    def _onBlind(self, on):
        if on != settings.blind():
            self._changeReader(settings.setBlind, on)

    def _onTiming(self, on):
        if on != settings.timing():
            self._changeReader(settings.setTiming, on)

    def _changeReader(self, keep, value):
        if self.workspace.mayLeave():
            keep(value)
            self.workspace.changeReader()
        else:
            self.refresh()

    def _onKeys(self, on):
        settings.setShortcutsOn(on)
        self.workspace.settingsChanged()

    def _onPause(self, seconds):
        settings.setIdleSeconds(seconds)
        if self.workspace.session is not None:
            self.workspace.session.idle_seconds = float(seconds)
