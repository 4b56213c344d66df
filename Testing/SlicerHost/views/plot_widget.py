"""`qMRMLPlotWidget`: a plot view with its bar."""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets

from .base import ControllerBar, observe, qMRMLAbstractViewWidget
from .plot_view import qMRMLPlotView


class qMRMLPlotViewControllerWidget(ControllerBar):
    """Libs/MRML/Widgets/qMRMLPlotViewControllerWidget.h"""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._row.addStretch(1)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        if node is not None:
            self._paint(node)
            observe(self, node, "ModifiedEvent", lambda: self._paint(node))


class qMRMLPlotWidget(qMRMLAbstractViewWidget):
    """Libs/MRML/Widgets/qMRMLPlotWidget.h"""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._controller, self._view = qMRMLPlotViewControllerWidget(self), qMRMLPlotView(self)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._view.setMRMLScene(scene)
        self._controller.setMRMLScene(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view.setMRMLPlotViewNode(node)
        self._controller.setMRMLPlotViewNode(node)

    def setMRMLAbstractViewNode(self, node: Any) -> None:
        self.setMRMLPlotViewNode(node)

    def mrmlPlotViewNode(self) -> Any:
        return self._view._node

    def mrmlAbstractViewNode(self) -> Any:
        return self._view._node

    def plotView(self) -> qMRMLPlotView:
        return self._view

    def viewWidget(self) -> qMRMLPlotView:
        return self._view

    def plotController(self) -> qMRMLPlotViewControllerWidget:
        return self._controller

    def controllerWidget(self) -> qMRMLPlotViewControllerWidget:
        return self._controller
