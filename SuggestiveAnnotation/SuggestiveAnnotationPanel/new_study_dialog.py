"""Confirming what was found in a folder: cases, sequences, structures, the name and place of the new study."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.types import Plane, Role
from SuggestiveAnnotationLib.worker.protocol import PIXELS

from . import state_style
from .connect import connect
from .dialogs import Dialog, columns, fit, fixed, freePath, tick
from .label_use import RULES, USES, ruleText, useText

PLANES, ROLES = get_args(Plane), get_args(Role)
PALETTE = (*state_style.OKABE_ITO, "#999999")
"""Okabe and Ito's colours, which people with colour vision deficiency tell apart."""
CASE, ROLE, SEQUENCES, LABELS, REMARK = range(5)
VALUE, NAME, COLOUR = range(3)


def layoutText(layout):
    """What kind of folder was recognised, as a sentence; empty when cases were told apart by the names of files."""
    known = {
        "BIDS": _("A BIDS data set."),
        "DICOM": _("DICOM series."),
        "nnU-Net": _("A raw data set of nnU-Net."),
        "Medical Segmentation Decathlon": _("A task of the Medical Segmentation Decathlon."),
    }
    return known.get(layout) or (_("Recognised as {layout}.").format(layout=layout) if layout else "")


def roleText(role):
    """What the role of a case is called on the screen."""
    return {"pool": _("to annotate"), "validation": _("validation"), "test": _("test"), "excluded": _("left out")}.get(role, role)


def grids():
    """What the networks may look at: how it is called, and `pixels` and `spacing` of the worker's `prepare`."""
    return (
        (_("{n} x {n} pixels, as wide as the widest case").format(n=PIXELS), {"pixels": PIXELS, "spacing": None}),
        (_("the scans' own resolution"), {"pixels": None, "spacing": "native"}),
    )


class NewStudyDialog(Dialog):
    """Shows a plan of `find_cohort`; calls `create(plan, folder, title, grid)` when the person confirms.

    `grid` holds `plane`, `pixels` and `spacing` of the worker's `prepare`.

    Args:
        path: of the .ui file.
        plan: JSON of `cohort.plan.CohortPlan`.
        studiesFolder: where the study is put unless changed.
    """

    def __init__(self, path, plan, studiesFolder, create):
        super().__init__(path, _("New study"), (640, 860))
        self._plan, self._create, self._folder = plan, create, Path(studiesFolder)
        ui = self.ui
        connect(ui.createButton, "clicked()", self._onCreate)
        connect(ui.cancelDialogButton, "clicked()", self.close)
        connect(ui.addLabelButton, "clicked()", self._addEmptyLabel)
        connect(ui.removeLabelButton, "clicked()", self._removeLabel)
        connect(ui.colourButton, "clicked()", self._chooseColour)
        connect(ui.titleEdit, "textChanged(QString)", self._onTitle)
        ui.planeBox.addItems([_("axial"), _("coronal"), _("sagittal")])
        ui.gridBox.addItems([text for text, _grid in grids()])
        ui.gridBox.toolTip = _(
            "What the networks see of a slice. The scans' own resolution keeps thin structures and is what networks on patches are made "
            "for; training takes longer and needs more memory. It cannot be changed later. Labels are always drawn and exported on the "
            "scans' own voxels."
        )
        ui.planeBox.currentIndex = PLANES.index(CohortPlan.from_json(plan).plane or "axial")
        self._rolesBefore = {}
        self._showCases()
        self._showModalities()
        self._showExisting()
        self._showLabels()
        # A folder of DICOM files often has the name of the patient.
        named = plan["folder"] and not plan["identities"]
        ui.titleEdit.text = Path(plan["folder"]).name if named else _("Study")
        state_style.showProblemsIn(ui.warningsLabel)
        ui.warningsLabel.text = " ".join(plan["warnings"])
        ui.warningsLabel.visible = bool(plan["warnings"])

    # Showing the plan

    def _showCases(self):
        ui, cases = self.ui, self._plan["cases"]
        usable = sum(case["role"] != "excluded" for case in cases)
        found = _(
            "{usable} of {n} cases can be used. Cases for validation and test are never suggested; "
            "with labels, those for validation choose the best weights and those for test judge the model."
        ).format(usable=usable, n=len(cases))
        ui.foundLabel.text = f"{layoutText(self._plan['layout'])} {found}".strip()
        columns(ui.casesTable, [_("case"), _("role"), _("sequences"), _("labels"), _("remark")])
        ui.casesTable.setRowCount(len(cases))
        for row, case in enumerate(cases):
            remark = case["excluded_reason"] or " ".join(case["problems"])
            for column, text in (
                (CASE, case["name"]),
                (SEQUENCES, ", ".join(case["images"])),
                (LABELS, _("yes") if case["label"] else "-"),
                (REMARK, remark or "-"),
            ):
                ui.casesTable.setItem(row, column, fixed(text, remark))
            role = qt.QComboBox()
            role.addItems([roleText(one) for one in ROLES])
            role.currentIndex = ROLES.index(case["role"])
            # What cannot be read cannot be used.
            role.enabled = case["role"] != "excluded"
            role.toolTip = remark
            ui.casesTable.setCellWidget(row, ROLE, role)
        fit(ui.casesTable)

    def _showModalities(self):
        ui, plan = self.ui, self._plan
        columns(ui.modalitiesTable, [_("use"), _("sequence"), _("files")])
        ui.modalitiesTable.setRowCount(len(plan["modalities"]))
        for row, modality in enumerate(plan["modalities"]):
            ui.modalitiesTable.setItem(row, 0, tick())
            ui.modalitiesTable.setItem(row, 1, qt.QTableWidgetItem(modality))
            ui.modalitiesTable.setItem(row, 2, fixed(plan["patterns"].get(modality, "")))
        fit(ui.modalitiesTable)
        ui.referenceBox.addItems(list(plan["modalities"]))
        ui.referenceBox.currentIndex = plan["modalities"].index(plan["reference"])

    def _showExisting(self):
        ui, plan = self.ui, self._plan
        ui.existingGroup.visible = any(case["label"] for case in plan["cases"])
        ui.labelsAsBox.addItems([useText(use) for use in USES])
        ui.labelsAsBox.currentIndex = USES.index(plan["labels_as"])
        ui.annotatedBox.addItems([ruleText(rule) for rule in RULES])
        ui.annotatedBox.currentIndex = RULES.index(plan["annotated_slices"])
        ui.labelsByEdit.text = plan["labels_by"]
        connect(ui.labelsAsBox, "currentIndexChanged(int)", self._onUse)
        self._onUse(ui.labelsAsBox.currentIndex)

    def _onUse(self, index):
        """Cases that stop the training are not suggested: their role shows it, and comes back with another choice."""
        table = self.ui.casesTable
        for row, before in self._rolesBefore.items():
            table.cellWidget(row, ROLE).currentIndex = before
        self._rolesBefore = {}
        if USES[index] != "validation":
            return
        for row, case in enumerate(self._plan["cases"]):
            box = table.cellWidget(row, ROLE)
            if case["label"] and ROLES[box.currentIndex] == "pool":
                self._rolesBefore[row] = box.currentIndex
                box.currentIndex = ROLES.index("validation")

    def _showLabels(self):
        table = self.ui.labelsTable
        columns(table, [_("value"), _("structure"), _("colour")])
        for one in (self._plan["schema"] or {"classes": []})["classes"]:
            self._addLabel(one["value"], one["name"], "#{:02X}{:02X}{:02X}".format(*one["colour"]))
        if not table.rowCount:
            self._addLabel(1, "", PALETTE[0])
        fit(table)

    def _addLabel(self, value, name, colour):
        table = self.ui.labelsTable
        row = table.rowCount
        table.setRowCount(row + 1)
        for column, text in ((VALUE, str(value)), (NAME, name)):
            table.setItem(row, column, qt.QTableWidgetItem(text))
        self._setColour(row, colour)

    def _setColour(self, row, colour):
        item = qt.QTableWidgetItem(colour)
        item.setBackground(qt.QBrush(qt.QColor(colour)))
        self.ui.labelsTable.setItem(row, COLOUR, item)

    def _addEmptyLabel(self):
        table = self.ui.labelsTable
        texts = [table.item(row, VALUE).text() for row in range(table.rowCount)]
        values = [int(text) for text in texts if text.isdigit()]
        self._addLabel(max(values, default=0) + 1, "", PALETTE[table.rowCount % len(PALETTE)])

    def _removeLabel(self):
        row = self._chosenRow()
        if row is not None:
            self.ui.labelsTable.removeRow(row)

    def _chooseColour(self):
        row = self._chosenRow()
        if row is None:
            return
        old = qt.QColor(self.ui.labelsTable.item(row, COLOUR).text())
        picked = qt.QColorDialog.getColor(old, self.widget, _("Colour of the structure"))
        if picked.isValid():
            self._setColour(row, f"#{picked.red():02X}{picked.green():02X}{picked.blue():02X}")

    def _chosenRow(self):
        row = self.ui.labelsTable.currentRow()
        if row < 0:
            self.ui.problemLabel.text = _("Click on a structure in the table first.")
            return None
        self.ui.problemLabel.text = ""
        return row

    def _onTitle(self, title):
        self.ui.folderEdit.currentPath = str(freePath(self._folder, title, otherwise="study"))

    # Confirming

    def confirmed(self):
        """The plan as the person left it. Raises: ValueError, with a sentence, when something is missing."""
        table, old = self.ui.modalitiesTable, self._plan["modalities"]
        rows = [row for row in range(table.rowCount) if table.item(row, 0).checkState() == qt.Qt.Checked]
        names = {old[row]: table.item(row, 1).text().strip() for row in rows}
        if not names or not all(names.values()) or len(set(names.values())) < len(names):
            raise ValueError(_("Use at least one sequence, and give each a name of its own."))
        reference = self.ui.referenceBox.currentText
        if reference not in names:
            raise ValueError(_("The sequence to draw on, {name}, is not in use.").format(name=reference))
        return {
            **self._plan,
            "cases": self._cases(names),
            "modalities": [names[m] for m in old if m in names],
            "patterns": {names[m]: p for m, p in self._plan["patterns"].items() if m in names},
            "reference": names[reference],
            "schema": self._schema(),
            "labels_as": USES[self.ui.labelsAsBox.currentIndex],
            "annotated_slices": RULES[self.ui.annotatedBox.currentIndex],
            "labels_by": self.ui.labelsByEdit.text.strip() or self._plan["labels_by"],
        }

    def _cases(self, names):
        cases = []
        for row, case in enumerate(self._plan["cases"]):
            role = ROLES[self.ui.casesTable.cellWidget(row, ROLE).currentIndex]
            left_out = _("Left out when the study was made.") if role == "excluded" else ""
            cases.append(
                {
                    **case,
                    "role": role,
                    "excluded_reason": case["excluded_reason"] or left_out,
                    "images": {names[m]: path for m, path in case["images"].items() if m in names},
                }
            )
        if not any(case["role"] == "pool" for case in cases):
            raise ValueError(_("No case is left to annotate."))
        first = {}
        for case in cases:
            other = first.setdefault(case["patient"], case) if case["role"] != "excluded" else case
            if other["role"] != case["role"]:
                # A model is not judged on people that it has seen.
                text = _("Cases {a} and {b} are of one patient: give both the same role.")
                raise ValueError(text.format(a=other["name"], b=case["name"]))
        return cases

    def _schema(self):
        from SuggestiveAnnotationLib.cohort.labels.schema import FORMAT, VERSION

        table, classes = self.ui.labelsTable, []
        guessed = self._plan["schema"] or {"format": FORMAT, "version": VERSION, "name": "", "notes": [], "ignore_value": 255}
        most = guessed["ignore_value"] - 1
        before = {one["value"]: one for one in guessed.get("classes", [])}
        for row in range(table.rowCount):
            value, name, colour = (table.item(row, column).text().strip() for column in (VALUE, NAME, COLOUR))
            picked = qt.QColor(colour)
            if not value.isdigit() or not 0 < int(value) <= most or not name or not picked.isValid():
                text = _("Row {n} of the structures needs a value from 1 to {most}, a name and a colour.")
                raise ValueError(text.format(n=row + 1, most=most))
            rgb = [picked.red(), picked.green(), picked.blue()]
            classes.append({**before.get(int(value), {}), "value": int(value), "name": name, "colour": rgb})
        if not classes or len({one["value"] for one in classes}) < len(classes) or len({one["name"] for one in classes}) < len(classes):
            raise ValueError(_("Name at least one structure, each with a name and a value of its own."))
        return {**guessed, **_withoutRemoved(guessed, classes), "name": guessed["name"] or self.ui.titleEdit.text}

    def _place(self):
        title, folder = self.ui.titleEdit.text.strip(), self.ui.folderEdit.currentPath.strip()
        if not title or not folder:
            raise ValueError(_("Give the study a name and a folder."))
        if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
            raise ValueError(_("The folder {folder} is not empty. Choose another name or folder.").format(folder=folder))
        return folder, title

    def _onCreate(self):
        try:
            plan = self.confirmed()
            folder, title = self._place()
        except ValueError as error:
            self.ui.problemLabel.text = str(error)
            return
        self.close()
        _text, grid = grids()[self.ui.gridBox.currentIndex]
        self._create(plan, folder, title, {"plane": PLANES[self.ui.planeBox.currentIndex], **grid})


def _withoutRemoved(schema, classes):
    """Parts of a schema that name structures, without those that were removed."""
    kept = {one["value"] for one in classes}
    parts = {"classes": [{k: v for k, v in one.items() if k != "partner" or v in kept} for one in classes]}
    if "regions" in schema:
        parts["regions"] = {name: values for name, values in schema["regions"].items() if set(values) <= kept}
    if "merge" in schema:
        parts["merge"] = {target: sources for target, sources in schema["merge"].items() if int(target) in kept}
    return parts
