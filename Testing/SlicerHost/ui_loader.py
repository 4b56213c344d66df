"""Loading .ui files with the stand-ins for CTK's and Slicer's widgets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from .connections import mistake
from .pythonqt import forward

FOREIGN = ("ctk", "qMRML", "qSlicer")


def make_loader(classes: Callable[[str], type | None]) -> type:
    """The class `qt.QUiLoader`. `classes` gives the stand-in for a class name, None where there is none."""

    class QUiLoader(QtUiTools.QUiLoader):
        """A widget class or a property that does not exist is an error."""

        def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
            if not class_name.startswith(FOREIGN):
                return super().createWidget(class_name, parent, name)
            cls = classes(class_name)
            if cls is None:
                mistake(f"the host has no {class_name}")
                return None
            widget = cls(parent)
            widget.setObjectName(name)
            return widget

        def load(self, file: Any, parent: Any = None) -> Any:
            path = Path(file if isinstance(file, str) else file.fileName())
            widget = super().load(str(path), parent)
            if widget is not None:
                _check(widget, path)
            return widget

    return forward(QUiLoader)


def _check(root: Any, path: Path) -> None:
    """Qt passes over a property that its class lacks; only those marked as dynamic may be such."""
    made = {QtCore.QObject.property(widget, "objectName"): widget for widget in [root, *root.findChildren(QtWidgets.QWidget)]}
    for element in ElementTree.parse(path).iter("widget"):
        widget = made.get(element.get("name"))
        names = [one.get("name") for one in element.findall("property") if one.get("stdset") != "0"]
        for name in names if widget is not None else []:
            if widget.metaObject().indexOfProperty(name) < 0:
                mistake(f"{path.name}: {element.get('class')} {element.get('name')} has no property {name}")
