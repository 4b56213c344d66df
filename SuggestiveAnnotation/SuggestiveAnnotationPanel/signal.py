"""A signal for plain Python objects; PythonQt cannot define Qt signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls its receivers in the order in which they were connected. An error in one does not keep the others from being called."""

    def __init__(self, onError: Callable[[Exception], None] | None = None) -> None:
        self._receivers: list[Callable[..., Any]] = []
        self._onError = onError

    def connect(self, receiver: Callable[..., Any]) -> None:
        """Call `receiver` at every emit; connecting it twice calls it once."""
        if receiver not in self._receivers:
            self._receivers.append(receiver)

    def disconnect(self, receiver: Callable[..., Any]) -> None:
        """Stop calling `receiver`; nothing happens when it was not connected."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def emit(self, *arguments: Any) -> None:
        """Call every receiver. Raises the first error once all were called, unless an error handler was given."""
        errors = []
        for receiver in tuple(self._receivers):
            try:
                receiver(*arguments)
            except Exception as error:  # a section must not take the others down
                errors.append(error)
        for error in errors:
            if self._onError is None:
                raise error
            self._onError(error)

    __call__ = emit
