"""The modules that Slicer has loaded: `slicer.modules`, the module manager, and the widget that holds a scripted module's panel."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import expose


class _Modules:
    """`slicer.modules`: one attribute per module, in lower case; attributes may be added."""


@expose(slicer)
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """Base/QTGUI/qSlicerScriptedLoadableModule.h"""

    TEXTS = ("title", "helpText", "acknowledgementText")
    LISTS = ("categories", "contributors", "dependencies", "associatedNodeTypes")

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self._name, self._path, self._values, self._icon, self._widget = name, path, {}, QtGui.QIcon(), None

    def _set_icon(self, icon: QtGui.QIcon) -> None:
        self._icon = icon

    name = QtCore.Property(str, lambda self: self._name)
    path = QtCore.Property(str, lambda self: self._path)
    icon = QtCore.Property(QtGui.QIcon, lambda self: self._icon, _set_icon)
    for _text in TEXTS:
        locals()[_text] = QtCore.Property(
            str,
            lambda self, key=_text: self._values.get(key, ""),
            lambda self, value, key=_text: self._values.update({key: value}),
        )
    for _text in LISTS:
        locals()[_text] = QtCore.Property(
            "QStringList",
            lambda self, key=_text: self._values.get(key, []),
            lambda self, value, key=_text: self._values.update({key: list(value)}),
        )
    hidden = QtCore.Property(
        bool, lambda self: self._values.get("hidden", False), lambda self, value: self._values.update({"hidden": value})
    )

    def widgetRepresentation(self) -> Any:
        return self._widget


@expose(slicer)
class qSlicerLoadableModule(QtCore.QObject):
    """Base/QTGUI/qSlicerLoadableModule.h: a module of C++, here without a panel."""

    def __init__(self, name: str, logic: Any) -> None:
        super().__init__()
        self._name, self._logic = name, logic

    name = QtCore.Property(str, lambda self: self._name)

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        return None


@expose(slicer)
class qSlicerScriptedLoadableModuleWidget(QtWidgets.QWidget):
    """Base/QTGUI/qSlicerScriptedLoadableModuleWidget.h"""

    def __init__(self, path: str) -> None:
        super().__init__()
        QtWidgets.QVBoxLayout(self).setContentsMargins(4, 4, 4, 4)
        self._path, self._python, self._entered = path, None, False

    moduleName = QtCore.Property(str, lambda self: os.path.splitext(os.path.basename(self._path))[0])
    isEntered = QtCore.Property(bool, lambda self: self._entered)

    def self(self) -> Any:
        return self._python

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()

    def reload(self) -> None:
        """Make the panel again from the class that is in `sys.modules` now."""
        name = f"{os.path.splitext(os.path.basename(self._path))[0]}Widget"
        self._python = getattr(sys.modules[name.removesuffix("Widget")], name)(self)
        setattr(slicer.modules, name, self._python)
        self._python.setup()


@expose(slicer)
class qSlicerModuleManager(QtCore.QObject):
    """Base/QTCore/qSlicerModuleManager.h"""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def _add(self, name: str, module: Any) -> None:
        self._modules[name] = module
        setattr(slicer.modules, name.lower(), module)
        self.moduleLoaded.emit(name)

    def _load(self, path: str) -> Any:
        """Import a scripted module's file and make its panel, as Slicer does at its start."""
        name, folder = os.path.splitext(os.path.basename(path))[0], os.path.dirname(path)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        python = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(python)
        module = qSlicerScriptedLoadableModule(name, path)
        module._python = getattr(python, name)(module)
        module._widget = qSlicerScriptedLoadableModuleWidget(path)
        self._add(name, module)
        module._widget.reload()
        return module

    def _unload(self, name: str) -> None:
        """As Slicer does when it quits."""
        self.moduleAboutToBeUnloaded.emit(name)
        module = self._modules.pop(name)
        delattr(slicer.modules, name.lower())
        if hasattr(slicer.modules, f"{name}Widget"):
            delattr(slicer.modules, f"{name}Widget")
        widget, module._widget, module._python = module._widget, None, None
        widget._python = None
        widget.deleteLater()


def install(logics: dict[str, Any]) -> Any:
    """Make `slicer.modules` with the modules of C++. Returns: the module manager."""
    slicer.modules = _Modules()
    manager = qSlicerModuleManager()
    for name, logic in logics.items():
        manager._add(name, qSlicerLoadableModule(name, logic))
    return manager
