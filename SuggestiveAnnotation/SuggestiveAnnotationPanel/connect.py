"""Connecting Qt signals so that a wrong signature and an error in a slot are seen, not only printed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError

_report: Callable[[str, str], None] | None = None


def reportErrorsTo(show: Callable[[str, str], None] | None) -> None:
    """Show errors of slots with `show(level, sentence)`; None only logs them."""
    global _report
    _report = show


def guarded(slot: Callable[..., Any]) -> Callable[..., Any]:
    """`slot`, with errors shown in the panel: a Qt slot that raises is otherwise printed and forgotten."""

    most = _takes(slot)

    def call(*arguments: Any) -> Any:
        try:
            return slot(*arguments[:most])
        except SuggestiveAnnotationError as error:
            showError(str(error))
        except Exception as error:
            logging.exception("SuggestiveAnnotation: %s failed", getattr(slot, "__qualname__", slot))
            showError(f"{type(error).__name__}: {error}")
        return None

    return call


def _takes(slot: Callable[..., Any]) -> int | None:
    """How many arguments a slot takes; None for any number. As in Qt, it may take fewer than the signal has."""
    try:
        kinds = [p.kind for p in inspect.signature(slot).parameters.values()]
    except (TypeError, ValueError):
        return None
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def showError(sentence: str) -> None:
    """Show one sentence where the panel shows errors."""
    logging.error(sentence)
    if _report is not None:
        _report("error", sentence)


def connect(sender: Any, signal: str, slot: Callable[..., Any]) -> Callable[..., Any]:
    """Connect `slot`, guarded, to a Qt signal given as in its header, for example `"clicked(bool)"`.

    Slots may take fewer arguments than the signal has only where Qt allows it: name the signature that fits the slot.

    Returns:
        The guarded slot, for `sender.disconnect`.

    Raises:
        RuntimeError: the sender has no such signal.
    """
    call = guarded(slot)
    if sender.connect(signal, call) is False:
        raise RuntimeError(f"{sender.className()} has no signal {signal}.")
    return call
