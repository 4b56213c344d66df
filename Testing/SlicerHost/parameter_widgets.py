"""Binding parameters to widgets: which type goes with which widget class, as in Slicer's `parameterNodeWrapper/guiConnectors.py`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer

from .ctk_module import ctk
from .parameter_values import PATHS, Choice, Maximum, Minimum, WithinRange, splitAnnotations

INT_LIMIT = 2**31


@dataclass
class Decimals:
    """Annotation: decimals of a spin box or slider."""

    value: int


@dataclass
class SingleStep:
    """Annotation: step of a spin box or slider."""

    value: float


class Connector:
    """One widget that shows one parameter."""

    def __init__(self, widget: Any, signal: str | None, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._widget, self._signal, self.read, self.write = widget, signal, read, write
        self._callback: Callable[[], None] | None = None

    def widget(self) -> Any:
        return self._widget

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        before, self._callback = self._callback, callback
        if self._signal is None:
            return
        if callback is None and before is not None:
            self._widget.disconnect(self._signal, self._changed)
        elif callback is not None and before is None:
            self._widget.connect(self._signal, self._changed)

    def _changed(self) -> None:
        if self._callback is not None:
            self._callback()


def createGuiConnector(widget: Any, datatype: Any) -> Connector:
    """The connector for a widget and an annotated type. Raises: RuntimeError, where Slicer has none."""
    import qt

    kind, notes = splitAnnotations(datatype)
    cls = type(widget)
    attribute = lambda name, signal, convert=None: _attribute(widget, name, signal, convert)  # noqa: E731
    if kind is bool and cls in (qt.QCheckBox, ctk.ctkCheckBox):
        return attribute("checked", "stateChanged(int)")
    if kind is bool and cls is qt.QPushButton:
        widget.checkable = True
        return attribute("checked", "toggled(bool)")
    if kind is int and cls in (qt.QSlider, qt.QSpinBox):
        _limit(widget, notes, whole=True, must_be_bounded=cls is qt.QSlider)
        return attribute("value", "valueChanged(int)")
    if kind in (int, float) and cls in (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSpinBox):
        if kind is int:
            widget.decimals = 0
        _limit(widget, notes, whole=False, must_be_bounded=cls is ctk.ctkSliderWidget)
        return attribute("value", "valueChanged(double)", kind)
    if kind in (int, float, str, bool) and cls in (qt.QComboBox, ctk.ctkComboBox):
        choice = next((note for note in notes if isinstance(note, Choice)), None)
        if choice is None:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        return _box(widget, [(str(one), one) for one in choice.choices])
    if isinstance(kind, type) and issubclass(kind, enum.Enum) and cls in (qt.QComboBox, ctk.ctkComboBox):
        return _box(widget, [(kind.label(one) if hasattr(kind, "label") else one.name, one) for one in kind])
    if kind is str and cls in (qt.QLineEdit, qt.QLabel):
        return attribute("text", "textChanged(QString)" if cls is qt.QLineEdit else None)
    if kind is str and cls is qt.QTextEdit:
        return Connector(widget, "textChanged()", widget.toPlainText, widget.setPlainText)
    if kind in PATHS and cls is ctk.ctkPathLineEdit:
        return attribute("currentPath", "currentPathChanged(QString)", kind)
    if kind in PATHS and cls is ctk.ctkDirectoryButton:
        return attribute("directory", "directoryChanged(QString)", kind)
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode) and cls is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [kind().GetClassName()]
        return Connector(widget, "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{datatype}' to widget type '{cls}'.")


def _attribute(widget: Any, name: str, signal: str | None, convert: Any) -> Connector:
    def read() -> Any:
        value = getattr(widget, name)
        return convert(value) if convert else value

    def write(value: Any) -> None:
        value = str(value) if convert in PATHS else value
        # Writing a text again would move the cursor.
        if value != getattr(widget, name):
            setattr(widget, name, value)

    return Connector(widget, signal, read, write)


def _box(widget: Any, labelled: list[tuple[str, Any]]) -> Connector:
    widget.clear()
    for label, _ in labelled:
        widget.addItem(label)
    values = [value for _, value in labelled]

    def write(value: Any) -> None:
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged(int)", lambda: values[widget.currentIndex], write)


def _limit(widget: Any, notes: list[Any], *, whole: bool, must_be_bounded: bool) -> None:
    """The annotations decide on limits and steps, whatever the .ui file says."""
    low: Any = -INT_LIMIT if whole else float("-inf")
    high: Any = INT_LIMIT - 1 if whole else float("inf")
    ends = set()
    for note in notes:
        if isinstance(note, WithinRange):
            low, high, ends = note.minimum, note.maximum, {"low", "high"}
        elif isinstance(note, Minimum):
            low, ends = note.minimum, ends | {"low"}
        elif isinstance(note, Maximum):
            high, ends = note.maximum, ends | {"high"}
        elif isinstance(note, Decimals):
            widget.decimals = note.value
        elif isinstance(note, SingleStep):
            widget.singleStep = note.value
    if must_be_bounded and len(ends) < 2:
        raise RuntimeError("Cannot have a connection to a slider where the type is unbounded.")
    widget.minimum, widget.maximum = low, high
