"""Section 6: labelmaps as files and in the scene, and the report."""

from __future__ import annotations

from pathlib import Path

import ctk
import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.export.formats import FORMATS
from SuggestiveAnnotationLib.worker import protocol

from . import requirements, segments
from .connect import connect, guarded
from .section import Section

EXPORTS = "export"
"""Folder in the study that files go to unless another one is chosen."""
NAMED = 4
"""So many nodes are listed by name."""
SENTENCES = 4
"""So many sentences on what was left out are shown; the others are in the tool tip."""


def formatRemark(name):
    """What to know before files of a format are given to others; empty where there is nothing."""
    return {
        "dicom-seg": _("The files carry the identity of the patient, as the DICOM images do that they belong to."),
    }.get(name, "")


def _cases(number):
    return _("1 case") if number == 1 else _("{k} cases").format(k=number)


def _entries(table):
    """Names and colours of a colour table."""
    found, colour = [], [0.0] * 4
    for value in range(table.GetNumberOfColors()):
        table.GetColor(value, colour)
        found.append((table.GetColorName(value), *colour))
    return found


class ExportSection(Section):
    """Which cases, which states, where to."""

    name = "ExportSection"

    def __init__(self, workspace, resourcePath):
        self.title = _("6. Export")
        super().__init__(workspace, resourcePath)
        ui = self.ui
        for row, one in enumerate(FORMATS):
            ui.formatBox.addItem(one.title)
            ui.formatBox.setItemData(row, one.help, qt.Qt.ToolTipRole)
        connect(ui.formatBox, "currentIndexChanged(int)", self._onFormat)
        self._onFormat(0)
        self._kinds = {_("labelmap"): self._addLabelmap, _("segmentation"): self._addSegmentation}
        ui.nodeBox.addItems(list(self._kinds))
        ui.folderEdit.filters = ctk.ctkPathLineEdit.Dirs
        ui.reportEdit.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Writable
        ui.reportEdit.nameFilters = ["*.html"]
        ui.casesTable.setColumnCount(4)
        ui.casesTable.setHorizontalHeaderLabels([_("case"), _("accepted"), _("reviewed"), _("drafts")])
        ui.casesTable.verticalHeader().hide()
        ui.casesTable.verticalHeader().setDefaultSectionSize(22)
        ui.casesTable.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        # The numbers are short, names are not.
        ui.casesTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        connect(ui.exportButton, "clicked()", self.exportFiles)
        connect(ui.sceneButton, "clicked()", self.exportToScene)
        connect(ui.reportButton, "clicked()", self.writeReport)
        connect(ui.openReportButton, "clicked()", self._openReport)
        connect(ui.openFolderButton, "clicked()", self._openFolder)
        connect(ui.allButton, "clicked()", lambda: self._tick(True))
        connect(ui.noneButton, "clicked()", lambda: self._tick(False))
        connect(ui.casesTable, "itemChanged(QTableWidgetItem*)", self._onTicked)
        connect(ui.folderEdit, "currentPathChanged(QString)", self._onFolder)
        connect(ui.acceptedBox, "toggled(bool)", self._onState)
        connect(ui.reviewedBox, "toggled(bool)", self._onState)
        self._report, self._filling = None, False
        self._unticked, self._counted, self._excluded = set(), {}, {}
        # Folded up, nothing is counted.
        connect(self.widget, "contentsCollapsed(bool)", lambda _collapsed: self.refresh())
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.statesChanged, self.refresh)
        self.refresh()

    def _onStudy(self):
        path = self.workspace.path
        if path is not None:
            self.ui.folderEdit.currentPath = self._ownFolder()
            self.ui.reportEdit.currentPath = str(path / "report.html")
        self._report = None
        self._unticked.clear()
        self.ui.resultLabel.text = self.ui.resultLabel.toolTip = self.ui.reportLabel.text = ""
        self.refresh()

    def _onState(self, _on):
        self.refresh()

    @property
    def format(self):
        """The chosen `export.formats.Format`."""
        return FORMATS[self.ui.formatBox.currentIndex]

    def _onFormat(self, _index):
        about = f"{self.format.help[0].upper()}{self.format.help[1:]}."
        self.ui.formatHelpLabel.text = f"{about} {formatRemark(self.format.name)}".strip()
        path, chosen = self.workspace.path, Path(self.ui.folderEdit.currentPath or ".")
        if path is not None and chosen.parent == path / EXPORTS:
            self.ui.folderEdit.currentPath = self._ownFolder()

    def _ownFolder(self):
        """Where files of a format go unless another folder is chosen: formats name files alike."""
        return str(self.workspace.path / EXPORTS / self.format.name)

    def _onFolder(self, _path):
        self.ui.openFolderButton.enabled = self.workspace.study is not None and Path(self.ui.folderEdit.currentPath or ".").is_dir()

    @property
    def states(self):
        """States that are exported. Drafts never are."""
        return tuple(s for s, box in (("accepted", self.ui.acceptedBox), ("reviewed", self.ui.reviewedBox)) if box.checked)

    # The cases

    def refresh(self):
        """Count what would be exported."""
        if self.widget.collapsed:
            return
        self._counted, self._excluded = {}, {}
        if self.workspace.study is not None:
            self._count()
        self._fill()
        self._enable()

    def _count(self):
        """Slices by state of every case in which somebody worked, and why cases are excluded."""
        study = self.workspace.study
        counts, drafts = study.accepted_counts_by_state(), study.draft_counts(self.workspace.session.annotator)
        for case, number in drafts.items():
            counts.setdefault(case, {})["draft"] = number
        cases = study.cases()
        self._counted = {case.name: counts[case.name] for case in cases if case.name in counts}
        self._excluded = {case.name: case.excluded_reason for case in cases if case.role == "excluded"}

    def _fill(self):
        self._filling = True
        table = self.ui.casesTable
        table.setRowCount(len(self._counted))
        for row, (case, byState) in enumerate(self._counted.items()):
            item = qt.QTableWidgetItem(case)
            item.setToolTip(case)
            if case in self._excluded:
                item.setText(_("{case} (excluded: left out)").format(case=case))
                item.setToolTip(_("{case}: left out, as it is excluded: {reason}").format(case=case, reason=self._excluded[case]))
            can = case not in self._excluded and any(byState.get(state) for state in self.states)
            item.setFlags(qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsEnabled if can else qt.Qt.NoItemFlags)
            item.setCheckState(qt.Qt.Checked if can and case not in self._unticked else qt.Qt.Unchecked)
            table.setItem(row, 0, item)
            for column, state in enumerate(("accepted", "reviewed", "draft"), start=1):
                number = qt.QTableWidgetItem(str(byState.get(state, 0)))
                number.setFlags(qt.Qt.ItemIsEnabled)
                number.setTextAlignment(qt.Qt.AlignCenter)
                table.setItem(row, column, number)
        self._filling = False

    def _enable(self):
        ui, study = self.ui, self.workspace.study
        counts = {case: byState for case, byState in self._counted.items() if case not in self._excluded}
        chosen = self.chosenCases()
        for button in (ui.exportButton, ui.sceneButton):
            button.enabled = bool(chosen)
        for button in (ui.allButton, ui.noneButton):
            button.enabled = bool(counts)
        ui.reportButton.enabled = study is not None
        ui.openReportButton.enabled = self._report is not None
        self._onFolder(None)
        number = sum(counts[case].get(state, 0) for case in chosen for state in self.states)
        if study is None:
            self.guide(_("Open a study first."))
        elif not any(byState.get(state) for byState in counts.values() for state in ("accepted", "reviewed")):
            self.guide(_("Nothing is accepted yet. Annotate in 4, then export."))
        elif not self.states:
            self.guide(_("Choose which slices: accepted, reviewed, or both."))
        elif not chosen:
            self.guide(_("Tick the cases to export."))
        else:
            slices = _("1 slice") if number == 1 else _("{n} slices").format(n=number)
            text = _("{slices} of {cases} will be exported. Slices nobody accepted carry the ignore value; drafts are left out.")
            self.guide(text.format(slices=slices, cases=_cases(len(chosen))))

    def _onTicked(self, item):
        if self._filling or item.column() != 0:
            return
        (self._unticked.discard if item.checkState() == qt.Qt.Checked else self._unticked.add)(item.text())
        self._enable()

    def _tick(self, on):
        table = self.ui.casesTable
        names = {table.item(row, 0).text() for row in range(table.rowCount)}
        self._unticked = set() if on else names
        self.refresh()

    def chosenCases(self):
        """Names of the cases that are ticked."""
        table = self.ui.casesTable
        return tuple(table.item(row, 0).text() for row in range(table.rowCount) if table.item(row, 0).checkState() == qt.Qt.Checked)

    # Files

    def exportFiles(self):
        """Write what was accepted into the folder, in the chosen format."""
        if not self.format.packages or self.workspace.ensure(requirements.DICOM):
            self.workspace.saveNow()
            self._export(self.format.name, self.chosenCases(), overwrite=False)

    def _export(self, formatName, cases, overwrite):
        folder = self.ui.folderEdit.currentPath.strip()
        if not folder:
            self.workspace.message("warning", _("Choose a folder first."))
            return
        command = protocol.Export(folder, formatName, cases, self.states, overwrite)
        done = lambda data: self._onExported(folder, cases, data)  # noqa: E731
        refused = lambda error: self._onRefused(formatName, cases, error)  # noqa: E731
        self.workspace.ask(command, done, refused, title=_("Export"))

    def _onRefused(self, formatName, cases, error):
        question = _("{error}\n\nReplace the files that are there?").format(error=error.sentence)
        if error.kind == "exists" and self.agrees(question, _("Export")):
            self._export(formatName, cases, overwrite=True)
        else:
            self.workspace.message("error", str(error))

    def _onExported(self, folder, cases, data):
        if self.workspace.study is None:
            return
        text = _("{n} files of {cases} were written to {folder}.")
        text = text.format(n=len(data["files"]), cases=_cases(len(cases)), folder=folder)
        left = list(data["left_out"])
        shown = left[:SENTENCES]
        if len(left) > SENTENCES:
            shown.append(_("And {n} more, see the tool tip.").format(n=len(left) - SENTENCES))
        about = _("Left out: {sentences}").format(sentences=" ".join(shown)) if left else _("Nothing was left out.")
        self.ui.resultLabel.text, self.ui.resultLabel.toolTip = f"{text} {about}", "\n".join(left)
        self.refresh()

    def _leftOut(self, cases):
        """What of the study did not go out, in words."""
        drafts = sum(byState.get("draft", 0) for byState in self._counted.values())
        others = sum(
            byState.get(s, 0)
            for case, byState in self._counted.items()
            for s in ("accepted", "reviewed")
            if case not in cases or s not in self.states
        )
        parts = [_("{n} drafts").format(n=drafts)] if drafts else []
        parts += [_("{n} accepted slices that were not chosen").format(n=others)] if others else []
        return _("Left out: {parts}.").format(parts=", ".join(parts)) if parts else _("Nothing was left out.")

    def _openFolder(self):
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self.ui.folderEdit.currentPath))

    # The scene

    def exportToScene(self):
        """Make a node of each ticked case, with the structures of the study; one case at a turn of the event loop."""
        self.workspace.saveNow()
        self._loadNext(self.workspace.path, self.chosenCases(), self.states, self._kinds[self.ui.nodeBox.currentText], [])

    def _loadNext(self, path, cases, states, add, names):
        from SuggestiveAnnotationLib.engine.export import case_labelmap

        study = self.workspace.study
        if study is None or self.workspace.path != path:
            return
        case = cases[len(names)]
        labels, mask = case_labelmap(study, case, states=states)
        name = slicer.mrmlScene.GenerateUniqueName(_("{case} accepted").format(case=case))
        add(name, labels, mask, study.case(case).geometry, study.schema)
        names.append(name)
        if len(names) < len(cases):
            self.ui.resultLabel.text = _("{n} of {k} cases are in the scene.").format(n=len(names), k=len(cases))
            qt.QTimer.singleShot(0, guarded(lambda: self._loadNext(path, cases, states, add, names)))
            return
        listed = ", ".join(names) if len(names) <= NAMED else _("{n} nodes, the first of them {name}").format(n=len(names), name=names[0])
        text = _("In the scene: {names}. {left}").format(names=listed, left=self._leftOut(cases))
        hidden = _("Segmentations are hidden: show them with the eye in the module Data.") if add == self._addSegmentation else ""
        self.ui.resultLabel.text = f"{text} {hidden}".strip()

    def _addLabelmap(self, name, labels, _mask, geometry, schema):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
        node.SetIJKToRASMatrix(segments.ijkToRAS(geometry))
        slicer.util.updateVolumeFromArray(node, labels.astype(segments.labelType(schema)))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAndObserveColorNodeID(self._colourTable(schema).GetID())

    def _addSegmentation(self, name, labels, mask, geometry, schema):
        """Only what somebody accepted: a segment has no way to say that nobody looked."""
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        segments.addSegments(node, schema)
        # It would lie over every case and slice that is shown from now on, in every view.
        node.GetDisplayNode().SetVisibility(False)
        segments.importVolume(node, np.where(mask, labels, 0).astype(segments.labelType(schema)), geometry, schema)

    @staticmethod
    def _colourTable(schema):
        name = _("Structures of {schema}").format(schema=schema.name)
        node = slicer.vtkMRMLColorTableNode()
        node.SetTypeToUser()
        node.SetNumberOfColors(schema.ignore_value + 1)
        node.SetColor(0, _("background"), 0, 0, 0, 0)
        for one in schema.classes:
            node.SetColor(one.value, one.name, *(channel / 255 for channel in one.colour), 1)
        node.SetColor(schema.ignore_value, _("ignore"), *segments.IGNORE_COLOUR, 0.3)
        # Structures of another study, or changed since, may have the same name.
        wanted = _entries(node)
        for found in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
            if found.GetName().startswith(name) and _entries(found) == wanted:
                return found
        node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        return slicer.mrmlScene.AddNode(node)

    # The report

    def writeReport(self):
        """Write the report, without names unless asked for."""
        if not self.workspace.ensure(requirements.PANEL, requirements.REPORT):
            return
        command = protocol.WriteReport(self.ui.reportEdit.currentPath, self.ui.redactedBox.checked)
        self.workspace.ask(command, self._onReport, title=_("Write the report"))

    def _onReport(self, data):
        self._report = data["path"]
        self.ui.reportLabel.text = _("The report is {path}.").format(path=data["path"])
        self.ui.openReportButton.enabled = True

    def _openReport(self):
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._report))
