"""Progress and cancelling, the same for the command line, the worker and the experiment runner."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from SuggestiveAnnotationLib.errors import Cancelled


@dataclass(frozen=True)
class ProgressEvent:
    """How far a stage has come.

    Attributes:
        stage: name of the stage, for example `"train"`.
        done, total: in the stage's own units (steps, slices, cases).
        seconds_left: estimate from the pace so far; None until one unit is done.
        loss: current training loss, where there is one.
        message: one plain sentence, where there is something to say.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None
    loss: float | None = None
    message: str = ""


ProgressCallback = Callable[[ProgressEvent], None]


def no_progress(event: ProgressEvent) -> None:
    """A callback that shows nothing."""


def spoken(stage: str, total: int, progress: ProgressCallback) -> Callable[[str], None]:
    """A callable that tells the person one sentence about a stage that begins."""
    return lambda message: progress(ProgressEvent(stage, 0, total, message=message))


class CancelToken:
    """Asked for by long work at least every 0.3 s or so; set from another thread or a signal handler.

    The worker's own token answers other commands whenever it is asked.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raises: Cancelled, once `cancel` has been called."""
        if self.cancelled:
            raise Cancelled()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """For starting processes: they never hear Ctrl-C, not even while they import; it is answered here, once the block has ended.

    Windows has no way to hold a signal; there processes hear it until they ignore it themselves.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Stage:
    """One stage of a verb: reports progress with the time left and polls the cancel token.

    Args:
        name: stage name shown to the person.
        total: units of work; a stage without any is not shown.
        progress: where events go.
        cancel: polled at every `advance`.
    """

    def __init__(self, name: str, total: int, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self._progress = progress
        self._cancel = cancel or CancelToken()
        self._started = time.monotonic()
        self._cancel.raise_if_cancelled()
        if total:
            progress(ProgressEvent(name, 0, total))

    def advance(self, units: int = 1, *, loss: float | None = None, message: str = "") -> None:
        """Raises: Cancelled, once the token has been set."""
        self.done += units
        elapsed = time.monotonic() - self._started
        left = elapsed / self.done * max(0, self.total - self.done) if self.done else None
        self._progress(ProgressEvent(self.name, self.done, self.total, left, loss, message))
        self._cancel.raise_if_cancelled()

    def say(self, message: str) -> None:
        """Tell the person one sentence without advancing."""
        self._progress(ProgressEvent(self.name, self.done, self.total, None, None, message))

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._started
