"""Confirming which DICOM series are which sequence of the new study."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from .connect import connect
from .dialogs import Dialog, columns, fit, fixed, tick

USE, DESCRIPTION, SEQUENCE = range(3)
SEPARATOR = "\n"
"""Between the descriptions of one sequence, as `PlanSeries` wants them."""


class SeriesDialog(Dialog):
    """Shows the series descriptions of `find_series`; calls `take(images, patientIds)` with what `PlanSeries` wants.

    Args:
        path: of the .ui file.
        groups: a dictionary for every description.
    """

    def __init__(self, path, groups, take):
        super().__init__(path, _("DICOM series"), (760, 460))
        self._groups, self._take = groups, take
        connect(self.ui.takeButton, "clicked()", self._onTake)
        connect(self.ui.cancelDialogButton, "clicked()", self.close)
        table = self.ui.seriesTable
        columns(table, [_("use"), _("series description"), _("sequence"), _("kind"), _("cases"), _("slices"), _("remark")])
        table.setRowCount(len(groups))
        for row, group in enumerate(groups):
            table.setItem(row, USE, tick(group["use"]))
            table.setItem(row, DESCRIPTION, fixed(group["description"] or _("(none)"), group["note"]))
            table.setItem(row, SEQUENCE, qt.QTableWidgetItem(group["sequence"]))
            rest = (group["modality"], str(group["cases"]), str(group["slices"]), group["note"] or "-")
            for column, text in enumerate(rest, start=SEQUENCE + 1):
                table.setItem(row, column, fixed(text, group["note"]))
        fit(table)

    def images(self):
        """Sequence -> series descriptions, as the person left them, in the usual order of sequences.

        Raises:
            ValueError: with a sentence, when something is missing.
        """
        from SuggestiveAnnotationLib.cohort.layouts.naming import modality_order

        table, found = self.ui.seriesTable, {}
        for row, group in enumerate(self._groups):
            if table.item(row, USE).checkState() != qt.Qt.Checked:
                continue
            name = table.item(row, SEQUENCE).text().strip()
            if not name:
                raise ValueError(_("Row {n} needs the name of a sequence, for example T1 or FLAIR.").format(n=row + 1))
            found.setdefault(name, []).append(group["description"])
        if not found:
            raise ValueError(_("Tick at least one series."))
        return {name: SEPARATOR.join(descriptions) for name, descriptions in sorted(found.items(), key=lambda one: modality_order(one[0]))}

    def _onTake(self):
        try:
            images = self.images()
        except ValueError as error:
            self.ui.problemLabel.text = str(error)
            return
        self.ui.problemLabel.text = ""
        self.close()
        self._take(images, self.ui.patientIdsBox.checked)
