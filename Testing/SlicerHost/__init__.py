"""A stand-in for 3D Slicer in which the real module runs: see README.md."""

from __future__ import annotations

import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

_host: Any = None


def boot(folder: str | Path | None = None) -> Any:
    """The host; made at the first call, with its settings in `folder`.

    Afterwards `qt`, `ctk`, `slicer` and the Python packages of Slicer can be imported.
    """
    global _host
    if _host is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        _host = _boot(str(folder or tempfile.mkdtemp(prefix="slicer-host-")))
    return _host


def _boot(folder: str) -> Any:
    import slicer
    import slicer.util
    from PySide6 import QtCore, QtWidgets

    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, folder)
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    application.setOrganizationName("host")
    application.setApplicationName("Slicer")
    from . import connections, ctk_module, dicom_database, i18n, packaging, qt_module, scripted_module, slicer_app, ui_loader
    from .dialogs import Dialogs

    connections.watch_uncaught_errors()
    qt, ctk = qt_module.make_qt_module(), ctk_module.ctk
    qt.QUiLoader = ui_loader.make_loader(lambda name: getattr(ctk, name, None) or getattr(slicer, name, None))
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    slicer_app.install(folder)
    # The module DICOM does this when Slicer starts.
    slicer.dicomDatabase = dicom_database.ctk.ctkDICOMDatabase()
    dialogs = Dialogs()
    dialogs.install()
    from .views import makeLayoutManager

    slicer.app._layouts = makeLayoutManager(slicer.app._core)
    from . import parameter_node

    for name, module in {
        "ScriptedLoadableModule": scripted_module,
        "i18n": i18n,
        "packaging": packaging,
        "parameterNodeWrapper": parameter_node,
    }.items():
        setattr(slicer, name, module)
        sys.modules[f"slicer.{name}"] = module
    torch_utils = types.ModuleType("PyTorchUtils")
    torch_utils.PyTorchUtilsLogic = packaging.PyTorchUtilsLogic  # type: ignore[attr-defined]
    sys.modules["PyTorchUtils"] = torch_utils
    from .host import Host

    return Host(dialogs, packaging.packages)
