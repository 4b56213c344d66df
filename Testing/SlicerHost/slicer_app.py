"""`slicer.app`: the part of qSlicerApplication and qSlicerCoreApplication that modules and `slicer.util` ask for."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .pythonqt import expose
from .qt_module import QSettings

VERSION = (5, 12)


@expose(slicer)
class qMRMLUtils(QtCore.QObject):
    """Libs/MRML/Widgets/qMRMLUtils.h"""

    def vtkImageDataToQImage(self, image: Any, picture: Any) -> bool:
        """VTK's first row is at the bottom; the picture is filled in place, as C++ does with a reference."""
        columns, rows, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[::-1, :, :3]
        made = QtGui.QImage(np.ascontiguousarray(pixels).tobytes(), columns, rows, 3 * columns, QtGui.QImage.Format_RGB888)
        picture.swap(made.copy())
        return True


@expose(slicer)
class qSlicerApplication(QtCore.QObject):
    """Base/QTCore/qSlicerCoreApplication.h and Base/QTGUI/qSlicerApplication.h"""

    startupCompleted = QtCore.Signal()
    lastWindowClosed = QtCore.Signal()
    aboutToQuit = QtCore.Signal()

    def __init__(self, core: Any, folder: str) -> None:
        super().__init__()
        self._core, self._folder, self._testing = core, folder, True
        self._manager: Any = None
        self._layouts: Any = None
        self._language: dict[str, str] = {}
        self._environment = QtCore.QProcessEnvironment.systemEnvironment()

    applicationName = QtCore.Property(str, lambda self: "Slicer")
    applicationVersion = QtCore.Property(str, lambda self: ".".join(map(str, VERSION)) + ".0")
    slicerHome = QtCore.Property(str, lambda self: self._folder)
    temporaryPath = QtCore.Property(str, lambda self: os.path.join(self._folder, "temporary"))
    cachePath = QtCore.Property(str, lambda self: os.path.join(self._folder, "cache"))
    extensionsInstallPath = QtCore.Property(str, lambda self: os.path.join(self._folder, "extensions"))
    majorVersion = QtCore.Property(int, lambda self: VERSION[0])
    minorVersion = QtCore.Property(int, lambda self: VERSION[1])
    revision = QtCore.Property(str, lambda self: "0")
    repositoryRevision = QtCore.Property(str, lambda self: "0")
    releaseType = QtCore.Property(str, lambda self: "Stable")
    documentationBaseUrl = QtCore.Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")
    applicationLocaleName = QtCore.Property(str, lambda self: "en_US")
    os = QtCore.Property(str, lambda self: "linux")
    arch = QtCore.Property(str, lambda self: "amd64")

    def layoutManager(self) -> Any:
        return self._layouts

    def moduleManager(self) -> Any:
        return self._manager

    def moduleLogic(self, name: str) -> Any:
        module = self._manager.module(name)
        return module.logic() if module is not None else None

    def mrmlScene(self) -> Any:
        return self._core.scene

    def applicationLogic(self) -> Any:
        return self._core.app_logic

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def topLevelWidgets(self) -> list[Any]:
        return list(QtWidgets.QApplication.topLevelWidgets())

    def testingEnabled(self) -> bool:
        return self._testing

    def settings(self) -> Any:
        return QSettings()

    def userSettings(self) -> Any:
        return QSettings()

    def startupEnvironment(self) -> Any:
        return QtCore.QProcessEnvironment(self._environment)

    def environment(self) -> Any:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def translate(self, context: str, text: str) -> str:
        return self._language.get(text, text)

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{moduleName.lower()}.html"

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def pauseRender(self) -> None:
        """Rendering is put off to the next turn of the event loop anyway."""

    def resumeRender(self) -> None:
        """See `pauseRender`."""


def make_python_slicer(home: str) -> None:
    """Slicer has `bin/PythonSlicer` in its home, and that folder on the PATH."""
    folder = Path(home) / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "PythonSlicer"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def install(folder: str) -> Any:
    """Make `slicer.app`, `slicer.mrmlScene` and `slicer.modules`."""
    from trame_slicer.core import SlicerApp
    from trame_slicer.views import DirectViewFactory

    from . import modules

    make_python_slicer(folder)
    core = SlicerApp()
    core.view_manager.register_factory(DirectViewFactory(True))
    slicer.mrmlScene = core.scene
    slicer.app = qSlicerApplication(core, folder)
    os.makedirs(slicer.app.temporaryPath, exist_ok=True)
    slicer.app._manager = modules.install(
        {
            "Volumes": core.volumes_logic,
            "Segmentations": core.segmentations_logic,
            "SubjectHierarchy": core.subject_hierarchy_logic,
            "Terminologies": core.terminologies_logic,
        }
    )
    return slicer.app
