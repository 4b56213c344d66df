"""The module `ctk`: the widgets of CTK that the panel uses, with the properties, slots and signals of CTK's headers and no others."""

from __future__ import annotations

import types
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .pythonqt import expose

ctk = types.ModuleType("ctk")
"""A class that is not here is an AttributeError, as in Slicer one that CTK has not."""
BUTTON_HEIGHT = 22
UNLIMITED = 16777215


def _size(widget: Any) -> tuple[int, int]:
    size = QtWidgets.QWidget.size(widget)
    return size.width(), size.height()


def _kept(kind: Any, name: str, default: Any) -> Any:
    """A property that is only remembered."""
    place = f"_{name}"

    def write(self: Any, value: Any) -> None:
        setattr(self, place, value)

    return Property(kind, lambda self: getattr(self, place, default), write)


class _Collapsing(QtCore.QObject):
    """Hides the children of a widget while it is collapsed, and keeps hidden what was hidden on purpose."""

    def __init__(self, owner: Any) -> None:
        super().__init__(owner)
        self._owner, self._busy, self.hidden = owner, False, set()

    def apply(self, collapsed: bool) -> None:
        self._busy = True
        for child in self._owner.children():
            if child.isWidgetType() and not child.isWindow():
                child.setVisible(not collapsed and id(child) not in self.hidden)
        self._busy = False

    def watch(self, child: Any) -> None:
        if child.isWidgetType():
            child.installEventFilter(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        if "_busy" not in self.__dict__:
            return False  # Qt still calls while Python takes the owner apart
        if not self._busy and event.type() == QtCore.QEvent.HideToParent:
            self.hidden.add(id(child))
        elif not self._busy and event.type() == QtCore.QEvent.ShowToParent:
            self.hidden.discard(id(child))
            if self._owner.collapsed:
                self._busy = True
                child.hide()
                self._busy = False
        return False


@expose(ctk)
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """Libs/Widgets/ctkCollapsibleButton.h"""

    contentsCollapsed = Signal(bool)

    def __init__(self, first: Any = None, parent: Any = None) -> None:
        super().__init__(parent if isinstance(first, str) else first)
        self._collapsed, self._maximum, self._children = False, UNLIMITED, _Collapsing(self)
        if isinstance(first, str):
            self.setText(first)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, BUTTON_HEIGHT, 0, 0)
        self.toggled.connect(self._toggle)

    def _toggle(self, checked: bool) -> None:
        if checked == (not self._collapsed):
            return
        self._collapsed = not checked
        if self._collapsed:
            self._maximum = self.maximumHeight
            self.setMaximumHeight(self.sizeHint().height())
        else:
            self.setMaximumHeight(self._maximum)
        self._children.apply(self._collapsed)
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed, notify=contentsCollapsed)
    collapsedHeight = _kept(int, "collapsedHeight", 14)
    flat = _kept(bool, "flat", False)

    def sizeHint(self) -> QtCore.QSize:
        hint = QtCore.QSize(self.fontMetrics().horizontalAdvance(QtWidgets.QAbstractButton.text(self)) + 40, BUTTON_HEIGHT)
        if self._collapsed:
            return hint + QtCore.QSize(0, self.collapsedHeight)
        inner = self.layout()
        return hint if inner is None else inner.totalSizeHint().expandedTo(hint)

    def minimumSizeHint(self) -> QtCore.QSize:
        if self._collapsed or self.layout() is None:
            return self.sizeHint()
        return self.layout().totalMinimumSize()

    def hitButton(self, place: QtCore.QPoint) -> bool:
        return place.y() < BUTTON_HEIGHT

    def childEvent(self, event: Any) -> None:
        if event.type() == QtCore.QEvent.ChildAdded and hasattr(self, "_children"):
            self._children.watch(event.child())
        super().childEvent(event)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._children.apply(self._collapsed)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(0, 0, _size(self)[0], BUTTON_HEIGHT, QtGui.QColor("#d6dbe2"))
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QtGui.QColor("#222222"))
        mark = "▸ " if self._collapsed else "▾ "
        painter.drawText(8, 16, mark + QtWidgets.QAbstractButton.text(self))
        painter.end()


@expose(ctk)
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """Libs/Widgets/ctkCollapsibleGroupBox.h"""

    def __init__(self, first: Any = None, parent: Any = None) -> None:
        super().__init__(parent if isinstance(first, str) else first)
        self._maximum, self._children = UNLIMITED, _Collapsing(self)
        if isinstance(first, str):
            self.setTitle(first)
        self.setCheckable(True)
        self.toggled.connect(self._toggle)

    def _toggle(self, checked: bool) -> None:
        self._children.apply(not checked)
        if checked:
            self.setMaximumHeight(self._maximum)
        else:
            self._maximum = self.maximumHeight
            self.setMaximumHeight(self.fontMetrics().height() + 4 + self.collapsedHeight)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: not self.isChecked(), setCollapsed)
    collapsedHeight = _kept(int, "collapsedHeight", 14)

    def childEvent(self, event: Any) -> None:
        if event.type() == QtCore.QEvent.ChildAdded and hasattr(self, "_children"):
            self._children.watch(event.child())
        super().childEvent(event)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._children.apply(not self.isChecked())


@expose(ctk)
class ctkPathLineEdit(QtWidgets.QWidget):
    """Libs/Widgets/ctkPathLineEdit.h"""

    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    Readable, Writable, Executable = 0x010, 0x020, 0x040
    Hidden, System = 0x100, 0x200
    validInputChanged = Signal(bool)
    currentPathChanged = Signal(str)
    HISTORY = 5

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._filters, self._key, self._names, self._valid = 0, "", [], False
        self._box, self._button = QtWidgets.QComboBox(self), QtWidgets.QToolButton(self)
        self._box.setEditable(True)
        self._box.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button.setText("...")
        row.addWidget(self._box, 1)
        row.addWidget(self._button)
        self.setFocusProxy(self._box)
        self._box.lineEdit().textChanged.connect(self._changed)
        self._button.clicked.connect(self.browse)

    def _changed(self, text: str) -> None:
        self.currentPathChanged.emit(text)
        info = QtCore.QFileInfo(text)
        wanted = (info.isFile() and bool(self._filters & self.Files)) or (info.isDir() and bool(self._filters & self.Dirs))
        if wanted != self._valid:
            self._valid = wanted
            self.validInputChanged.emit(wanted)

    def _path(self) -> str:
        return str(QtWidgets.QLineEdit.text(self._box.lineEdit()))

    def setCurrentPath(self, path: str) -> None:
        self._box.lineEdit().setText(path)

    def _set_filters(self, value: int) -> None:
        self._filters = value

    def _set_names(self, value: list[str]) -> None:
        self._names = list(value)

    def setSettingKey(self, key: str) -> None:
        self._key = key
        self.retrieveHistory()

    currentPath = Property(str, _path, setCurrentPath)
    filters = Property(int, lambda self: self._filters, _set_filters)
    settingKey = Property(str, lambda self: self._key, setSettingKey)
    nameFilters = Property("QStringList", lambda self: self._names, _set_names)
    showBrowseButton = Property(bool, lambda self: not self._button.isHidden(), lambda self, value: self._button.setVisible(value))
    showHistoryButton = _kept(bool, "showHistoryButton", True)
    label = _kept(str, "label", "")
    minimumContentsLength = _kept(int, "minimumContentsLength", 0)

    def comboBox(self) -> Any:
        return self._box

    def browse(self) -> None:
        here = self._path()
        if not self._filters & self.Files:
            path = QtWidgets.QFileDialog.getExistingDirectory(self, "Select a directory...", here)
        elif self._filters & self.Writable:
            path = QtWidgets.QFileDialog.getSaveFileName(self, "Select a file to save ", here, ";;".join(self._names))
        else:
            path = QtWidgets.QFileDialog.getOpenFileName(self, "Open a file", here, ";;".join(self._names))
        if path:
            self.setCurrentPath(path if isinstance(path, str) else path[0])

    def _history(self) -> list[str]:
        kept = QtCore.QSettings().value(f"PathLineEdit/{self._key}") if self._key else None
        return [kept] if isinstance(kept, str) else list(kept or [])

    def retrieveHistory(self) -> None:
        """Without a path the newest of the history is taken, silently."""
        here, blocked = self._path(), self.blockSignals(True)
        self._box.clear()
        self._box.addItems(self._history())
        self.setCurrentPath(here or (self._history() or [""])[0])
        self.blockSignals(blocked)

    def addCurrentPathToHistory(self) -> None:
        path = self._path()
        if path and self._key:
            kept = [path, *(other for other in self._history() if other != path)][: self.HISTORY]
            QtCore.QSettings().setValue(f"PathLineEdit/{self._key}", kept)
            self.retrieveHistory()


@expose(ctk)
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """Libs/Widgets/ctkDoubleSpinBox.h"""


@expose(ctk)
class ctkSliderWidget(QtWidgets.QWidget):
    """Libs/Widgets/ctkSliderWidget.h"""

    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._slider, self._box = QtWidgets.QSlider(QtCore.Qt.Horizontal, self), QtWidgets.QDoubleSpinBox(self)
        self._slider.setRange(0, self.STEPS)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)
        self._slider.sliderMoved.connect(self._moved)
        self._box.valueChanged.connect(self._typed)

    def _moved(self, step: int) -> None:
        low, high = self._box.minimum, self._box.maximum
        self._box.setValue(low + (high - low) * step / self.STEPS)

    def _typed(self, value: float) -> None:
        span = (self._box.maximum - self._box.minimum) or 1.0
        self._slider.setValue(round(self.STEPS * (value - self._box.minimum) / span))
        self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def setMinimum(self, value: float) -> None:
        self._box.setMinimum(value)

    def setMaximum(self, value: float) -> None:
        self._box.setMaximum(value)

    def setRange(self, low: float, high: float) -> None:
        self._box.setRange(low, high)

    value = Property(float, lambda self: self._box.value, setValue)
    minimum = Property(float, lambda self: self._box.minimum, setMinimum)
    maximum = Property(float, lambda self: self._box.maximum, setMaximum)
    singleStep = Property(float, lambda self: self._box.singleStep, lambda self, value: self._box.setSingleStep(value))
    decimals = Property(int, lambda self: self._box.decimals, lambda self, value: self._box.setDecimals(value))
    suffix = Property(str, lambda self: self._box.suffix, lambda self, value: self._box.setSuffix(value))
    prefix = Property(str, lambda self: self._box.prefix, lambda self, value: self._box.setPrefix(value))


@expose(ctk)
class ctkDirectoryButton(QtWidgets.QWidget):
    """Libs/Widgets/ctkDirectoryButton.h"""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._directory, self._button = "", QtWidgets.QPushButton(self)
        row.addWidget(self._button)
        self._button.clicked.connect(self.browse)

    def setDirectory(self, path: str) -> None:
        if path != self._directory:
            self._directory = path
            self._button.setText(path)
            self.directoryChanged.emit(path)

    directory = Property(str, lambda self: self._directory, setDirectory)
    caption = _kept(str, "caption", "")
    text = Property(str, lambda self: self._button.text, lambda self, value: self._button.setText(value))

    def browse(self) -> None:
        path = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self._directory)
        if path:
            self.setDirectory(path)
            self.directorySelected.emit(path)


@expose(ctk)
class ctkComboBox(QtWidgets.QComboBox):
    """Libs/Widgets/ctkComboBox.h"""

    defaultText = _kept(str, "defaultText", "")
    forceDefault = _kept(bool, "forceDefault", False)


@expose(ctk)
class ctkCheckBox(QtWidgets.QCheckBox):
    """Libs/Widgets/ctkCheckBox.h"""


@expose(ctk)
class ctkPushButton(QtWidgets.QPushButton):
    """Libs/Widgets/ctkPushButton.h"""


@expose(ctk)
class ctkMessageBox(QtWidgets.QMessageBox):
    """Libs/Widgets/ctkMessageBox.h"""

    dontShowAgain = _kept(bool, "dontShowAgain", False)
    dontShowAgainVisible = _kept(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = _kept(str, "dontShowAgainSettingsKey", "")
