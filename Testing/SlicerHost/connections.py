"""Connecting signals as PythonQt does: by C++ signature, with a False for a wrong one, and errors in slots printed only.

What Slicer only prints is remembered in `mistakes`, on which the tests fail.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

mistakes: list[str] = []
"""Wrong signatures, errors in slots and in observers since the last `forget_mistakes`."""

_made: dict[int, list[tuple[str, Any, Any]]] = {}
"""Address of the sender -> (signature, target, connection)."""
_plain_getattribute = QtCore.QObject.__getattribute__
_plain_disconnect = QtCore.QObject.disconnect
_OVERLOADS = {"int": int, "bool": bool, "QString": str, "double": float}


def mistake(text: str) -> None:
    """Remember what Slicer would only print, and print it."""
    mistakes.append(text)
    print(text, file=sys.stderr)


def forget_mistakes() -> list[str]:
    """What was done wrong, which is then forgotten."""
    found, mistakes[:] = list(mistakes), []
    return found


def watch_uncaught_errors() -> None:
    """VTK and Qt hand errors of observers and virtual methods to `sys.excepthook` and go on: remember them."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        mistakes.append("".join(traceback.format_exception(kind, error, trace)))
        before(kind, error, trace)

    sys.excepthook = hook


def normal(signature: str) -> str:
    """A signature as Qt compares it."""
    return bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()


def signals(sender: Any) -> dict[str, str]:
    """Signature -> name of every signal. Signals with VTK arguments are declared by the stand-in as `CPP_SIGNALS`."""
    meta = sender.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    texts = (bytes(m.methodSignature().data()).decode() for m in methods if m.methodType() == QtCore.QMetaMethod.Signal)
    found = {normal(text): text.partition("(")[0] for text in texts}
    return found | {normal(text): name for text, name in getattr(type(sender), "CPP_SIGNALS", {}).items()}


def connect(sender: Any, signal: str, receiver: Any, slot: str | None = None) -> bool:
    """`sender.connect(signature, callable)` or `sender.connect(signature, receiver, slot signature)`."""
    if isinstance(signal, QtCore.QObject):
        # PySide's own QTimer.singleShot asks for this form.
        return bool(_plain_getattribute(sender, "connect")(signal, receiver, slot))
    known, text = signals(sender), normal(signal)
    if text not in known:
        mistake(f"QObject::connect() signal '{signal}' does not exist on {sender.metaObject().className()}")
        return False
    target = receiver if slot is None else getattr(receiver, slot.partition("(")[0], None)
    if not callable(target):
        mistake(f"QObject::connect() there is no slot '{slot or receiver}'")
        return False
    arguments = text.partition("(")[2].rstrip(")")
    bound = getattr(sender, known[text])
    if arguments in _OVERLOADS and type(sender).__module__.startswith("PySide6"):
        with contextlib.suppress(KeyError, IndexError, TypeError):  # where there is one signature only
            bound = bound[_OVERLOADS[arguments]]
    connection = bound.connect(_slot(target, arguments.count(",") + 1 if arguments else 0))
    _kept(sender).append((text, target, connection))
    return True


def disconnect(sender: Any, signal: str | None = None, receiver: Any = None, slot: str | None = None) -> bool:
    """Takes back one `connect`; without a receiver every one of that signal."""
    if signal is None:
        mistake("QObject::disconnect() signal is empty")
        return False
    text, kept = normal(signal), _kept(sender)
    target = receiver if slot is None else getattr(receiver, slot.partition("(")[0], None)
    found = [one for one in kept if one[0] == text and (target is None or one[1] == target)]
    for one in found if target is None else found[:1]:
        kept.remove(one)
        _plain_disconnect(one[2])
    if not found:
        mistake(f"{sender.metaObject().className()}: '{signal}' was not connected to {target}")
    return bool(found)


def _kept(sender: Any) -> list[tuple[str, Any, Any]]:
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _made:
        _made[address] = []
        sender.destroyed.connect(lambda *_: _made.pop(address, None))
    return _made[address]


def _slot(target: Callable[..., Any], sent: int) -> Callable[..., Any]:
    """A function or method may take fewer arguments than are sent, never more; another callable gets them all."""
    takes, code = sent, None
    if inspect.isfunction(target):
        code, own = target.__code__, 0
    elif inspect.ismethod(target) and inspect.isfunction(target.__func__):
        code, own = target.__func__.__code__, 1
    if code is not None and not code.co_flags & inspect.CO_VARARGS:
        takes = min(sent, code.co_argcount - own)

    def call(*arguments: Any) -> None:
        try:
            target(*arguments[:takes])
        except Exception:
            mistake(traceback.format_exc())

    return call
