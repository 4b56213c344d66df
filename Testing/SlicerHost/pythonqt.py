"""PythonQt's manners on PySide6: Qt properties are attributes, and attributes that a C++ class lacks are refused.

Read in PythonQt's `PythonQtInstanceWrapper.cpp` and `PythonQtSignalReceiver.cpp`.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from .connections import connect, disconnect, forget_mistakes, mistakes

__all__ = ["Shortcut", "adapt", "expose", "forget_mistakes", "forward", "mistakes"]

_VIRTUAL = ("sizeHint", "minimumSizeHint")
"""Properties that C++ asks Python for; an attribute in their place would be asked for ever."""
_adapted: set[type] = set()
_declared: dict[type, frozenset[str]] = {}
"""Class -> properties that it declares in Python."""
_plain_getattribute = QtCore.QObject.__getattribute__
_read, _write = QtCore.QObject.property, QtCore.QObject.setProperty
_find_child, _find_children = QtCore.QObject.findChild, QtCore.QObject.findChildren
# Python refuses `QObject.__setattr__` once it is replaced, and `object.__setattr__` for types of another kind.
_plain_setattr = ctypes.pythonapi.PyObject_GenericSetAttr
_plain_setattr.argtypes = (ctypes.py_object, ctypes.py_object, ctypes.py_object)


class _Property:
    """Instance access is the Qt property; class access what was there before, so that static methods go on to work."""

    def __init__(self, name: str, writable: bool, original: Any) -> None:
        self._name, self._writable, self._original = name, writable, original

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self._original if instance is None else _read(instance, self._name)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self._writable:
            raise AttributeError(f"Property '{self._name}' of {type(instance).__name__} object is not writable")
        meta = instance.metaObject()
        kind = meta.property(meta.indexOfProperty(self._name)).typeName()
        # PythonQt would cut a number and write "None" for None: never meant, so refused here.
        if (kind == "int" and isinstance(value, float)) or (kind == "QString" and not isinstance(value, str)):
            raise AttributeError(_refusal(self._name, kind, value))
        if not _write(instance, self._name, value):
            raise AttributeError(_refusal(self._name, kind, value))


def _refusal(name: str, kind: str, value: Any) -> str:
    return f"Property '{name}' of type '{kind}' does not accept an object of type {type(value).__name__} ({value!r})"


def adapt(cls: type) -> type:
    """Turn every Qt property of a class, and of its bases, into an attribute."""
    for base in reversed(cls.__mro__):
        if base in _adapted or not hasattr(base, "staticMetaObject"):
            continue
        _adapted.add(base)
        # Each of PySide's classes has its own; Python refuses this one for QObject's bases only.
        base.__setattr__ = _set  # type: ignore[method-assign, assignment]
        meta = base.staticMetaObject
        for index in range(meta.propertyOffset(), meta.propertyCount()):
            one = meta.property(index)
            if one.name() not in _VIRTUAL and not isinstance(base.__dict__.get(one.name()), QtCore.Property | property | _Property):
                setattr(base, one.name(), _Property(one.name(), one.isWritable(), getattr(base, one.name(), None)))
    return cls


def expose(module: Any) -> Callable[[type], type]:
    """Class decorator: a stand-in for a C++ class that `module` offers. As strict as a real one."""

    def decorate(cls: type) -> type:
        adapt(cls)
        cls._standIn = True  # type: ignore[attr-defined]
        forward(cls)
        setattr(module, cls.__name__, cls)
        return cls

    return decorate


def forward(cls: type) -> type:
    """Lay the manners over a class made in Python, which PySide gives its own attribute access again."""
    cls.__getattribute__, cls.__setattr__ = _get, _set  # type: ignore[method-assign, assignment]
    return cls


def _set(self: Any, name: str, value: Any) -> None:
    cls = type(self)
    there = inspect.getattr_static(cls, name, None)
    if isinstance(there, QtCore.Property):
        # PySide's Property has no `__set__`: its setter runs in the attribute hook that this one replaces.
        if not _write(self, name, value):
            raise AttributeError(_refusal(name, cls.__name__, value))
        return
    # PySide itself keeps a signal that was used on the object.
    if not name.startswith("_") and not hasattr(there, "__set__") and not isinstance(value, QtCore.SignalInstance):
        if there is not None and _of_cpp(cls, name):
            raise AttributeError(f"'{name}' can not be overwritten on {cls.__name__} object")
        if there is None and name in [bytes(one.data()).decode() for one in self.dynamicPropertyNames()]:
            _write(self, name, value)
            return
        if there is None and _is_cpp(cls):
            raise AttributeError(f"'{name}' does not exist on {cls.__name__} and creating new attributes on C++ objects is not allowed")
    _plain_setattr(self, name, value)


def _is_cpp(cls: type) -> bool:
    return cls.__module__.startswith("PySide6") or "_standIn" in cls.__dict__


def _of_cpp(cls: type, name: str) -> bool:
    """Whether a class gets a member from C++, or from what stands in for it."""
    return any(name in base.__dict__ and _is_cpp(base) for base in cls.__mro__)


def _get(self: Any, name: str) -> Any:
    if name in _METHODS:
        return functools.partial(_METHODS[name], self)
    cls = type(self)
    if cls not in _declared:
        _declared[cls] = frozenset(key for base in cls.__mro__ for key, one in vars(base).items() if isinstance(one, QtCore.Property))
    if name in _declared[cls]:
        return _read(self, name)
    try:
        return _plain_getattribute(self, name)
    except AttributeError:
        if name.startswith("_"):
            raise
        found = _read(self, name)
        if found is None:
            found = next((child for child in QtCore.QObject.children(self) if _read(child, "objectName") == name), None)
        if found is None:
            raise
        return found


def _child(self: Any, kind: Any, name: str | None = None) -> Any:
    if isinstance(kind, str):
        return next(iter(_children(self, kind, name)), None)
    return _find_child(self, kind, *_named(name))


def _children(self: Any, kind: Any, name: str | None = None, **options: Any) -> list[Any]:
    """PythonQt takes a class or the name of one, and always wants it."""
    if isinstance(kind, str):
        return [one for one in _find_children(self, QtCore.QObject, *_named(name), **options) if one.inherits(kind)]
    return list(_find_children(self, kind, *_named(name), **options))


def _named(name: str | None) -> list[str]:
    """An empty name asks for children without one."""
    return [] if name is None else [name]


_METHODS = {"connect": connect, "disconnect": disconnect, "findChild": _child, "findChildren": _children}

# Before the classes made in Python below, which would keep PySide's own.
QtCore.QObject.__getattribute__ = _get
QtCore.QObject.name = property(lambda self: _read(self, "objectName"), lambda self, value: _write(self, "objectName", value))
QtCore.QObject.className = lambda self: self.metaObject().className()

from .qt_module import QShortcut as Shortcut  # noqa: E402
