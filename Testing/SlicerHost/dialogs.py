"""Dialogs of the module: they return at once with the answer that the test has laid out, and what they said is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer.util
from PySide6 import QtWidgets

from .connections import mistake


class Dialogs:
    """What the module said in dialogs, and what the person answers.

    Attributes:
        said: kind and text of every dialog, in order. Kinds: "infoDisplay", "confirmYesNoDisplay", "getExistingDirectory" ...
        answers: the next answers: a bool for a question, a path for a file dialog, a text for an input; "" is Cancel. A function is
            called for its answer: what it does is what happens in Slicer while the dialog is open, whose event loop goes on.
    """

    TELLING = ("infoDisplay", "warningDisplay", "errorDisplay", "delayDisplay")
    ASKING = ("confirmYesNoDisplay", "confirmOkCancelDisplay", "confirmRetryCloseDisplay")
    FILES = ("getExistingDirectory", "getOpenFileName", "getSaveFileName")
    INPUTS = ("getText", "getItem")

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []
        self.said: list[tuple[str, str]] = []
        self.answers: list[Any] = []

    def install(self) -> None:
        """Take the place of `slicer.util`'s dialogs and of Qt's."""
        for name in self.TELLING:
            self._replace(slicer.util, name, self._teller(name))
        for name in self.ASKING:
            self._replace(slicer.util, name, self._asker(name))
        for name in self.FILES:
            self._replace(QtWidgets.QFileDialog, name, staticmethod(self._chooser(name)))
        for name in self.INPUTS:
            self._replace(QtWidgets.QInputDialog, name, staticmethod(self._chooser(name)))
        # A raw message box blocks a Slicer under test for ever.
        for name in ("question", "information", "warning", "critical"):
            self._replace(QtWidgets.QMessageBox, name, staticmethod(self._refuser(name)))

    def letPersonAnswer(self) -> None:
        """Show real dialogs again, with what PythonQt returns: the text alone where PySide adds whether it was chosen."""
        for owner, name, original in reversed(self._replaced):
            alone = name in (*self.FILES[1:], *self.INPUTS)
            setattr(owner, name, staticmethod(_first(original)) if alone else original)
        self._replaced.clear()
        slicer.app._testing = False

    def _replace(self, owner: Any, name: str, stand_in: Any) -> None:
        self._replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, stand_in)

    def forget(self) -> None:
        """Begin anew."""
        self.said.clear()
        self.answers.clear()

    def _teller(self, name: str) -> Callable[..., None]:
        def display(text: str, *arguments: Any, **options: Any) -> None:
            self.said.append((name, text))

        return display

    def _asker(self, name: str) -> Callable[..., bool]:
        def display(text: str, windowTitle: str | None = None, parent: Any = None, **options: Any) -> bool:
            self.said.append((name, text))
            return bool(self._answer(f"{name}: {text}"))

        return display

    def _chooser(self, name: str) -> Callable[..., Any]:
        def dialog(parent: Any, caption: str = "", *arguments: Any) -> Any:
            self.said.append((name, caption))
            return self._answer(f"{name}: {caption}")

        return dialog

    def _refuser(self, name: str) -> Callable[..., None]:
        def box(*arguments: Any, **options: Any) -> None:
            mistake(f"QMessageBox.{name} blocks where slicer.util's displays return at once in testing mode: {arguments[1:]}")

        return box

    def _answer(self, what: str) -> Any:
        if not self.answers:
            raise RuntimeError(f"the module asks, and the test has no answer: {what}")
        answer = self.answers.pop(0)
        return answer() if callable(answer) else answer


def _first(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return function(*arguments)[0]

    return call
