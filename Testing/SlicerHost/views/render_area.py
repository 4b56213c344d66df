"""A widget that shows an off-screen VTK window and passes mouse and keys on to its interactor."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .base import sizeOf

_BUTTONS = {QtCore.Qt.LeftButton: "Left", QtCore.Qt.RightButton: "Right", QtCore.Qt.MiddleButton: "Middle"}
_KEYS = {
    QtCore.Qt.Key_Left: "Left", QtCore.Qt.Key_Right: "Right", QtCore.Qt.Key_Up: "Up", QtCore.Qt.Key_Down: "Down",
    QtCore.Qt.Key_Return: "Return", QtCore.Qt.Key_Enter: "KP_Enter", QtCore.Qt.Key_Escape: "Escape", QtCore.Qt.Key_Space: "space",
    QtCore.Qt.Key_Delete: "Delete", QtCore.Qt.Key_Backspace: "BackSpace", QtCore.Qt.Key_Tab: "Tab",
    QtCore.Qt.Key_Home: "Home", QtCore.Qt.Key_End: "End", QtCore.Qt.Key_PageUp: "Prior", QtCore.Qt.Key_PageDown: "Next",
    QtCore.Qt.Key_Shift: "Shift_L", QtCore.Qt.Key_Control: "Control_L", QtCore.Qt.Key_Alt: "Alt_L",
}  # fmt: skip
_SYMBOLS = {
    "+": "plus", "-": "minus", "=": "equal", "_": "underscore",
    "[": "bracketleft", "]": "bracketright", "{": "braceleft", "}": "braceright",
}  # fmt: skip


class RenderArea(QtWidgets.QWidget):
    """The part of ctkVTKAbstractView that scripts use; renders at most once a turn of the event loop."""

    def __init__(self, window: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._window, self._image = window, None
        self._pending, self._pauses, self._enabled = False, 0, True
        window.ShowWindowOff()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._fire)
        self.setMouseTracking(True)
        self.setFocusPolicy(QtCore.Qt.StrongFocus)
        self.setMinimumSize(40, 40)
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    # What scripts may call

    def renderWindow(self) -> Any:
        return self._window

    def interactor(self) -> Any:
        return self._window.GetInteractor()

    def scheduleRender(self) -> None:
        if self._enabled and not self._pauses and not self._pending:
            self._pending = True
            self._timer.start()

    def forceRender(self) -> None:
        """Render and show, at once, also when the widget is hidden."""
        self._pending = False
        if not self._enabled or self._pauses:
            return
        self._window.Render()
        grabbed = vtk.vtkImageData()
        # vtkWindowToImageFilter would render again and blend the overlay wrongly.
        slicer.vtkMRMLLayerDisplayableManager.RenderWindowBufferToImage(self._window, grabbed)
        width, height, _ = grabbed.GetDimensions()
        scalars = grabbed.GetPointData().GetScalars()
        if scalars is None or width * height == 0:
            return
        pixels = np.ascontiguousarray(vtk_to_numpy(scalars).reshape(height, width, -1)[::-1, :, :3])
        self._image = QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
        self.update()

    def pauseRender(self) -> None:
        self._pauses += 1

    def resumeRender(self) -> None:
        self._pauses = max(0, self._pauses - 1)
        if not self._pauses:
            self.scheduleRender()

    def isRenderPaused(self) -> bool:
        return self._pauses > 0

    def _get_enabled(self) -> bool:
        return self._enabled

    def setRenderEnabled(self, on: bool) -> None:
        self._enabled = on
        self.scheduleRender()

    renderEnabled = QtCore.Property(bool, _get_enabled, setRenderEnabled)

    # The widget

    def _fire(self) -> None:
        self._pending = False
        if QtWidgets.QWidget.isVisible(self):
            self.forceRender()

    def _resized(self, width: int, height: int) -> None:
        """The window has another size."""

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        if self._image is None:
            painter.fillRect(event.rect(), QtCore.Qt.black)
        else:
            painter.drawImage(0, 0, self._image)
        painter.end()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.scheduleRender()

    def resizeEvent(self, event: Any) -> None:
        width, height = max(1, event.size().width()), max(1, event.size().height())
        self._window.SetSize(width, height)
        self.interactor().UpdateSize(width, height)
        self._resized(width, height)
        self.scheduleRender()

    # Mouse and keys

    def _at(self, event: Any, repeat: int = 0) -> Any:
        place, keys = event.position(), event.modifiers()
        interactor = self.interactor()
        control, shift = bool(keys & QtCore.Qt.ControlModifier), bool(keys & QtCore.Qt.ShiftModifier)
        height = sizeOf(self)[1]
        interactor.SetEventInformation(int(place.x()), int(height - 1 - place.y()), int(control), int(shift), chr(0), repeat, None)
        interactor.SetAltKey(int(bool(keys & QtCore.Qt.AltModifier)))
        return interactor

    def mousePressEvent(self, event: Any) -> None:
        if event.button() in _BUTTONS:
            self._at(event).InvokeEvent(_BUTTONS[event.button()] + "ButtonPressEvent")

    def mouseDoubleClickEvent(self, event: Any) -> None:
        if event.button() in _BUTTONS:
            interactor = self._at(event, repeat=1)
            interactor.InvokeEvent(_BUTTONS[event.button()] + "ButtonPressEvent")
            interactor.InvokeEvent(_BUTTONS[event.button()] + "ButtonDoubleClickEvent")

    def mouseReleaseEvent(self, event: Any) -> None:
        if event.button() in _BUTTONS:
            self._at(event).InvokeEvent(_BUTTONS[event.button()] + "ButtonReleaseEvent")

    def mouseMoveEvent(self, event: Any) -> None:
        self._at(event).InvokeEvent("MouseMoveEvent")

    def wheelEvent(self, event: Any) -> None:
        self._at(event).InvokeEvent("MouseWheelForwardEvent" if event.angleDelta().y() > 0 else "MouseWheelBackwardEvent")

    def enterEvent(self, event: Any) -> None:
        self._at(event).InvokeEvent("EnterEvent")

    def leaveEvent(self, event: Any) -> None:
        self.interactor().InvokeEvent("LeaveEvent")

    def _key(self, event: Any) -> Any:
        text = event.text()
        symbol = _KEYS.get(event.key()) or _SYMBOLS.get(text) or text or "None"
        keys = event.modifiers()
        control, shift = bool(keys & QtCore.Qt.ControlModifier), bool(keys & QtCore.Qt.ShiftModifier)
        code = text if len(text) == 1 and ord(text) < 128 else chr(0)
        interactor = self.interactor()
        interactor.SetKeyEventInformation(int(control), int(shift), code, event.count(), symbol)
        return interactor

    def keyPressEvent(self, event: Any) -> None:
        interactor = self._key(event)
        interactor.InvokeEvent("KeyPressEvent")
        if event.text():
            interactor.InvokeEvent("CharEvent")

    def keyReleaseEvent(self, event: Any) -> None:
        self._key(event).InvokeEvent("KeyReleaseEvent")
