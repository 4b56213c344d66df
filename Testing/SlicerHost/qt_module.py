"""The module `qt`: Qt's classes with PythonQt's manners, and the few that behave otherwise in Slicer."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from .pythonqt import adapt, forward

_ABSENT = ("Signal", "Slot", "Property", "SIGNAL", "SLOT", "ClassInfo", "QtMsgType", "qVersion")
"""PySide's own additions, which PythonQt has not or which mean something else there."""


class QByteArray:
    """What Slicer's QByteArray offers: `data()` gives bytes, neither `bytes()` nor `str(..., encoding)` takes it."""

    def __init__(self, content: Any = b"") -> None:
        self._content = content.data() if isinstance(content, QtCore.QByteArray | QByteArray) else bytes(content)

    def data(self) -> bytes:
        return self._content

    def size(self) -> int:
        return len(self._content)

    length = size

    def isEmpty(self) -> bool:
        return not self._content

    def __bool__(self) -> bool:
        return bool(self._content)

    def __bytes__(self) -> bytes:
        raise TypeError("cannot convert 'QByteArray' object to bytes")


class QSettings(QtCore.QSettings):
    """Numbers and truth values come back as texts, lists as tuples and an empty list as None, as from an .ini file."""

    def value(self, key: str, default: Any = None) -> Any:
        if not self.contains(key):
            return default
        kept = super().value(key)
        if isinstance(kept, bool):
            return "true" if kept else "false"
        if isinstance(kept, int | float):
            return str(kept)
        if isinstance(kept, list):
            return tuple(str(one) for one in kept) or None
        return kept


class QProcess(QtCore.QProcess):
    """Bytes go in, a QByteArray comes out."""

    def write(self, data: bytes) -> int:
        if not isinstance(data, bytes):
            raise ValueError(f"Could not find matching overload of QIODevice::write for {type(data).__name__}")
        return int(super().write(QtCore.QByteArray(data)))

    def readAllStandardOutput(self) -> QByteArray:
        return QByteArray(super().readAllStandardOutput())

    def readAllStandardError(self) -> QByteArray:
        return QByteArray(super().readAllStandardError())

    def readAll(self) -> QByteArray:
        return QByteArray(super().readAll())


class QShortcut(QtGui.QShortcut):
    """Remembers itself, so that the keys in use can be listed."""

    alive: list[QShortcut] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        QShortcut.alive.append(self)
        self.destroyed.connect(lambda *_: QShortcut.alive.remove(self) if self in QShortcut.alive else None)


class QTimer(QtCore.QTimer):
    """`singleShot(milliseconds, callable)` is the only form."""

    @staticmethod
    def singleShot(milliseconds: int, slot: Callable[[], Any]) -> None:
        QtCore.QTimer.singleShot(milliseconds, slot)


_REPLACED = {"QByteArray": QByteArray, "QSettings": QSettings, "QProcess": QProcess, "QShortcut": QShortcut, "QTimer": QTimer}


def make_qt_module() -> types.ModuleType:
    """The module `qt`, without a loader of .ui files."""
    module = types.ModuleType("qt")
    for part in (QtCore, QtGui, QtWidgets, QtTest):
        for name in dir(part):
            if name.startswith("_") or name in _ABSENT:
                continue
            value = getattr(part, name, None)
            setattr(module, name, value)
            if inspect.isclass(value) and issubclass(value, QtCore.QObject):
                adapt(value)
    for name, cls in _REPLACED.items():
        if issubclass(cls, QtCore.QObject):
            adapt(cls)
            cls._standIn = True  # type: ignore[attr-defined]
            forward(cls)
        setattr(module, name, cls)
    return module
