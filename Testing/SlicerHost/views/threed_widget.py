"""`qMRMLThreeDWidget`: a place holder, for nothing of the module is drawn in 3D."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .base import ControllerBar, qMRMLAbstractViewWidget


class qMRMLThreeDView(QtWidgets.QLabel):
    """Shows that nothing is drawn here."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__("3D view (not drawn by the host)", parent)
        self.setAlignment(QtCore.Qt.AlignCenter)
        self.setStyleSheet("background: #9a9ac8; color: #333344")
        self.setMinimumSize(40, 40)

    def scheduleRender(self) -> None:
        self.update()

    def forceRender(self) -> None:
        self.repaint()

    def pauseRender(self) -> None:
        """There is no rendering to pause."""

    def resumeRender(self) -> None:
        """There is no rendering to resume."""

    def resetFocalPoint(self) -> None:
        """There is no camera."""


class qMRMLThreeDWidget(qMRMLAbstractViewWidget):
    """Libs/MRML/Widgets/qMRMLThreeDWidget.h"""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._controller, self._view = ControllerBar(self), qMRMLThreeDView(self)
        self._controller.barLayout().addStretch(1)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def setMRMLViewNode(self, node: Any) -> None:
        self._node = node
        self._controller._paint(node)

    def mrmlViewNode(self) -> Any:
        return self._node

    def mrmlAbstractViewNode(self) -> Any:
        return self._node

    def threeDView(self) -> qMRMLThreeDView:
        return self._view

    def threeDController(self) -> Any:
        return self._controller

    def viewWidget(self) -> qMRMLThreeDView:
        return self._view
