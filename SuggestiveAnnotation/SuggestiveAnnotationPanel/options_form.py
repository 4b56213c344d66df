"""A form with one row for each thing that can be set."""

from __future__ import annotations

import qt

from .option_editors import editor


class OptionsForm:
    """Rows of label and widget under a heading; nothing is shown where there is no row.

    Args:
        layout: of the widget that the form is put into.
        changed: called with a `Field` and its new value when a person changes it.

    Attributes:
        editors: name of a field -> its editor.
    """

    def __init__(self, layout, changed):
        self.editors = {}
        self._fields, self._changed, self._showing = (), changed, False
        self._heading, self._rows = qt.QLabel(), None
        self._heading.setStyleSheet("font-weight: bold")
        self._heading.hide()
        self._place = qt.QVBoxLayout()
        self._place.addWidget(self._heading)
        layout.addLayout(self._place)

    def setFields(self, heading, fields):
        """Show other rows; the same ones stay as they are."""
        self._heading.text = heading
        if fields == self._fields:
            return
        if self._rows is not None:
            # Hidden at once, as it goes only when the event loop turns.
            self._rows.hide()
            self._rows.deleteLater()
        self._fields, self._rows, self.editors = fields, None, {}
        self._heading.visible = bool(fields)
        if fields:
            self._rows = qt.QWidget()
            form = qt.QFormLayout(self._rows)
            form.setContentsMargins(0, 0, 0, 0)
            for field in fields:
                self._add(form, field)
            self._place.addWidget(self._rows)

    def _add(self, form, field):
        made = self.editors[field.name] = editor(field, lambda value: self._onChange(field, value))
        label = qt.QLabel(field.label)
        label.toolTip = field.help
        form.addRow(label, made.widget)
        if getattr(made, "line", None) is not None:
            form.addRow(made.line)

    def _onChange(self, field, value):
        if not self._showing:
            self._changed(field, value)

    def show(self, values):
        """Show what is set, and the default for what is not."""
        self._showing = True
        try:
            for field in self._fields:
                self.editors[field.name].show(values.get(field.name, field.default))
        finally:
            self._showing = False
