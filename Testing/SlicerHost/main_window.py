"""Slicer's main window: the panel of the open module left, the views right."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .pythonqt import expose

SIZE = (1280, 820)
PANEL_WIDTH = 430


@expose(slicer)
class qSlicerModuleSelectorToolBar(QtCore.QObject):
    """Base/QTGUI/qSlicerModuleSelectorToolBar.h"""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, window: Any) -> None:
        super().__init__(window)
        self._window = window

    selectedModule = QtCore.Property(str, lambda self: self._window._open)

    def selectModule(self, name: str) -> None:
        self._window._select(name)
        self.moduleSelected.emit(name)


@expose(slicer)
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """Applications/SlicerApp's window under the name that `slicer.util.mainWindow` looks for."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ""
        self.setObjectName("qSlicerMainWindow")
        self._selector = qSlicerModuleSelectorToolBar(self)
        self._panel = QtWidgets.QScrollArea()
        self._panel.setWidgetResizable(True)
        self._panel.setFixedWidth(PANEL_WIDTH)
        self._panel.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        middle = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(middle)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._panel)
        row.addWidget(slicer.app.layoutManager().viewport(), 1)
        self.setCentralWidget(middle)
        self.resize(*SIZE)

    def moduleSelector(self) -> Any:
        return self._selector

    def _select(self, name: str) -> None:
        """Leave the open module and enter another; "" leaves only."""
        if name == self._open:
            return
        before = slicer.app.moduleManager().module(self._open) if self._open else None
        self._open = name
        if before is not None:
            before.widgetRepresentation().exit()
        widget = slicer.app.moduleManager().module(name).widgetRepresentation() if name else None
        if widget is None:
            self._panel.takeWidget()
            return
        if self._panel.widget() is not widget:
            self._panel.takeWidget()
            self._panel.setWidget(widget)
        widget.show()
        widget.enter()
