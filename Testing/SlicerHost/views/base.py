"""`qMRMLWidget`, and what the views need to work before and after PythonQt's manners are laid over Qt."""

from __future__ import annotations

from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets


def sizeOf(widget: QtWidgets.QWidget) -> tuple[int, int]:
    """Width and height. `widget.width()` would not do: with PythonQt's manners `width` is an attribute."""
    size = QtWidgets.QWidget.size(widget)
    return size.width(), size.height()


def observe(owner: QtCore.QObject, observed: Any, event: Any, slot: Any) -> int:
    """Call a slot of a Qt object at a VTK event for as long as the Qt object lives, as qvtkConnect does. Returns: the tag."""
    tags: list[int] = []

    def call(caller: Any, name: str) -> None:
        if shiboken6.isValid(owner):
            slot()
        else:
            caller.RemoveObserver(tags[0])

    tags.append(observed.AddObserver(event, call))
    return tags[0]


class qMRMLWidget(QtWidgets.QWidget):
    """Libs/MRML/Widgets/qMRMLWidget.h"""

    mrmlSceneChanged = QtCore.Signal(object)
    CPP_SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


class qMRMLAbstractViewWidget(qMRMLWidget):
    """Libs/MRML/Widgets/qMRMLAbstractViewWidget.h"""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._paused = 0

    def mrmlAbstractViewNode(self) -> Any:
        raise NotImplementedError

    def viewWidget(self) -> Any:
        raise NotImplementedError

    def _get_label(self) -> str:
        return self.mrmlAbstractViewNode().GetLayoutLabel() or ""

    def _set_label(self, label: str) -> None:
        self.mrmlAbstractViewNode().SetLayoutLabel(label)

    viewLabel = QtCore.Property(str, _get_label, _set_label)

    def setRenderPaused(self, pause: bool) -> None:
        self.pauseRender() if pause else self.resumeRender()

    def pauseRender(self) -> None:
        self.viewWidget().pauseRender()

    def resumeRender(self) -> None:
        self.viewWidget().resumeRender()


class ControllerBar(qMRMLWidget):
    """The coloured bar above a view."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(18)
        self._row = QtWidgets.QHBoxLayout(self)
        self._row.setContentsMargins(2, 0, 2, 0)
        self._row.setSpacing(3)
        self._label = QtWidgets.QLabel(self)
        self._row.addWidget(self._label)

    def barLayout(self) -> Any:
        return self._row

    def barWidget(self) -> Any:
        return self

    def viewLabel(self) -> Any:
        return self._label

    def _paint(self, node: Any) -> None:
        """Show the label and the colour of the view node."""
        red, green, blue = (round(255 * part) for part in node.GetLayoutColor())
        text = f" {node.GetLayoutLabel() or node.GetName() or ''} "
        style = f"background: rgb({red}, {green}, {blue}); color: black; font-size: 10px"
        if (text, style) != (getattr(self, "_shown", None)):
            self._shown = (text, style)
            self._label.setText(text)
            self._label.setStyleSheet(style)
