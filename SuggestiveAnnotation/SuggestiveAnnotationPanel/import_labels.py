"""Labels of one case that were drawn elsewhere, taken into the open study."""

from __future__ import annotations

import os

import ctk
from slicer.i18n import tr as _

from .connect import connect
from .dialogs import Dialog
from .label_use import RULES, ruleText

FILES = ["*.nii.gz *.nii *.nrrd *.nhdr *.mha *.mhd *.dcm", "*"]


class ImportLabelsDialog(Dialog):
    """Asks for a file, a case and what to make of it; calls `take(study, request)` with the arguments of `ImportLabels` by name.

    Args:
        path: of the .ui file.
        study: folder of the study that they are for.
        cases: names of the cases of the study. case: the one that is open, None when none is.
        annotator: who drew the labels unless changed.
    """

    def __init__(self, path, study, cases, case, annotator, take):
        super().__init__(path, _("Import labels"), (560, 300))
        self.study, self._take = study, take
        ui = self.ui
        connect(ui.takeButton, "clicked()", self._onTake)
        connect(ui.cancelDialogButton, "clicked()", self.close)
        ui.fileEdit.filters = ctk.ctkPathLineEdit.Files
        ui.fileEdit.nameFilters = FILES
        ui.caseBox.addItems(list(cases))
        ui.caseBox.currentIndex = list(cases).index(case) if case in cases else 0
        ui.asBox.addItems([_("as accepted slices"), _("as pre-annotation to correct")])
        ui.annotatedBox.addItems([_("as the file tells"), *(ruleText(rule) for rule in RULES), _("those with these numbers")])
        connect(ui.annotatedBox, "currentIndexChanged(int)", self._onRule)
        self._onRule(0)
        ui.annotatorEdit.text = annotator

    def _onRule(self, index):
        self.ui.slicesEdit.enabled = index > len(RULES)

    def request(self):
        """What was chosen. Raises: ValueError, with a sentence, when something is missing."""
        ui = self.ui
        path, annotator = ui.fileEdit.currentPath.strip(), ui.annotatorEdit.text.strip()
        if not os.path.isfile(path):
            raise ValueError(_("Choose the file with the labels."))
        if not annotator:
            raise ValueError(_("Say who drew the labels; a pseudonym will do."))
        rule, slices = ui.annotatedBox.currentIndex, ui.slicesEdit.text.strip()
        if rule > len(RULES) and not slices:
            raise ValueError(_("Give the numbers of the slices, for example 10,12,20-25."))
        return {
            "path": path,
            "case": ui.caseBox.currentText,
            "annotator": annotator,
            "rule": RULES[rule - 1] if 0 < rule <= len(RULES) else None,
            "slices": slices if rule > len(RULES) else "",
            "accepted": ui.asBox.currentIndex == 0,
        }

    def _onTake(self):
        try:
            request = self.request()
        except ValueError as error:
            self.ui.problemLabel.text = str(error)
            return
        self.ui.problemLabel.text = ""
        self.close()
        self._take(self.study, request)
