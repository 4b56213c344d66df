"""Windows of the panel that come up for one question and leave Slicer usable meanwhile."""

from __future__ import annotations

import re

import qt
import slicer

from . import state_style


class Dialog:
    """A window from a .ui file, in front of Slicer's.

    Attributes:
        widget: the window. ui: the named widgets of the .ui file.
    """

    def __init__(self, path, title, size=None):
        content = slicer.util.loadUI(path)
        self.widget = qt.QDialog(slicer.util.mainWindow())
        self.widget.setWindowTitle(title)
        qt.QVBoxLayout(self.widget).addWidget(content)
        self.ui = slicer.util.childWidgetVariables(content)
        state_style.showProblemsIn(self.ui.problemLabel)
        if size is not None:
            self._resize(*size)

    def _resize(self, width, height):
        """As large as wanted, but no larger than Slicer's window, which fits on the screen."""
        window = slicer.util.mainWindow()
        if window is not None:
            width, height = min(width, window.width), min(height, window.height)
        self.widget.resize(width, height)

    def refuse(self, sentence):
        """Show the window again, with what was wrong with what was chosen in it."""
        self.ui.problemLabel.text = sentence
        self.open()

    def open(self):
        """Show the window."""
        self.widget.show()
        self.widget.raise_()

    def close(self):
        """Close the window without doing anything."""
        self.widget.hide()

    def cleanup(self):
        """The window is needed no more."""
        self.widget.hide()
        self.widget.deleteLater()


def freePath(folder, name, otherwise, suffix=""):
    """A path in a folder that nothing has, after a name a person gave; `otherwise` where nothing of the name can be in a path."""
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.") or otherwise
    path, number = folder / f"{name}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{suffix}"
    return path


def tick(on=True):
    """A table cell with a box to tick."""
    item = qt.QTableWidgetItem("")
    item.setFlags(qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsEnabled)
    item.setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)
    return item


def fixed(text, toolTip=""):
    """A table cell that cannot be edited."""
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
    item.setToolTip(toolTip)
    return item


def columns(table, names):
    """Give a table its columns."""
    table.setColumnCount(len(names))
    table.setHorizontalHeaderLabels(names)
    table.verticalHeader().hide()


def fit(table):
    """Make the columns as wide as what is in them, the last one as wide as there is room."""
    table.resizeColumnsToContents()
    table.horizontalHeader().setStretchLastSection(True)
