"""Reads commands, answers with events. One long command at a time; quick ones are answered in between."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from SuggestiveAnnotationLib.errors import Cancelled, SuggestiveAnnotationError
from SuggestiveAnnotationLib.processor import peak_memory
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.worker import machine
from SuggestiveAnnotationLib.worker.lines import ProtocolError, event_line, read_command, request_of
from SuggestiveAnnotationLib.worker.protocol import (
    Cancel,
    CloseStudy,
    Command,
    CreateSample,
    CreateStudy,
    Device,
    Error,
    Event,
    OpenStudy,
    Progress,
    Release,
    Result,
    Shutdown,
    Status,
)
from SuggestiveAnnotationLib.worker.verbs import LEARNING, Verbs

LOG = logging.getLogger(__name__)
GRACE_SECONDS = 3.0
"""How long work may take to stop at the end of standard input."""
PROGRESS_SECONDS = 0.1
"""Progress of the same stage is told no more often than this."""
WARM_UP_SECONDS = 2.0
"""After so long without work torch is imported, before anything needs it; earlier the first image would come later."""
_OTHER_STUDY = (OpenStudy, CloseStudy, CreateStudy, CreateSample)


@dataclass
class _Request:
    id: int
    command: Command
    cancel: CancelToken = field(default_factory=CancelToken)


class _ServingToken(CancelToken):
    """The token of a long command: whoever asks it lets quick commands be answered first."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    # The reader's thread sets it, the main thread asks it.
    def raise_if_cancelled(self) -> None:
        if not self.cancelled:
            self._server.answer_quick_ones()
        super().raise_if_cancelled()


class Server:
    """The worker.

    Args:
        commands: bytes of the program's commands, read by a thread of its own so that cancelling and the end are seen at once.
        events: where events go, unbuffered.
        idle_seconds: after so long without work nothing is left on the GPU.
    """

    def __init__(self, commands: BinaryIO, events: BinaryIO, *, idle_seconds: float = 60.0) -> None:
        self._commands, self._events, self._idle_seconds = commands, events, idle_seconds
        self._writing = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._running: _Request | None = None
        self._answering = False
        self._ended = False
        self._worked_at = 0.0
        self._released = True
        self._device: Device | None = None
        self._needed, self._warm = threading.Event(), threading.Event()
        self._verbs = Verbs()

    def serve(self) -> None:
        """Work until told to shut down, or until standard input ends."""
        threading.Thread(target=self._read, name="commands", daemon=True).start()
        self.tell(machine.ready())
        threading.Thread(target=self._warm_up_once_idle, name="torch", daemon=True).start()
        while (request := self._next()) is not None:
            self._do(request)
        self._verbs.close()

    def tell(self, event: Event) -> None:
        """Write an event. Raises: TypeError or ValueError, when it is no JSON."""
        line = event_line(event)
        with self._writing:
            try:
                self._events.write(line)
                self._events.flush()
            except OSError:
                # Nobody reads any more; the end of standard input follows.
                self._end()

    def answer_quick_ones(self) -> None:
        """Answer what is quick and does not wait for another study. Called by long work on the main thread, between its steps."""
        if self._answering:
            return
        self._answering = True
        try:
            while (request := self._take_quick()) is not None:
                self._answer(request)
        finally:
            self._answering = False

    # The reader's thread

    def _read(self) -> None:
        try:
            for line in self._commands:
                if line.strip():
                    self._hear(line)
        finally:
            # A worker that hears nothing more must not stay.
            self._end()

    def _hear(self, line: bytes) -> None:
        try:
            request, command = read_command(line)
        except ProtocolError as error:
            self.tell(Error(request_of(line), error.kind, error.sentence, error.hint))
            return
        LOG.info("command %s %s", request, command.name)
        if isinstance(command, Shutdown):
            self.tell(Result(request))
            self._end()
        elif isinstance(command, Cancel):
            self._cancel(command.target)
            self.tell(Result(request))
        else:
            one = _Request(request, command)
            if not command.quick:
                one.cancel = _ServingToken(self)
            with self._changed:
                self._waiting.append(one)
                self._changed.notify()

    def _cancel(self, target: int | None) -> None:
        with self._changed:
            stopped = [one for one in self._waiting if target in (None, one.id)]
            for one in stopped:
                self._waiting.remove(one)
            if self._running is not None and target in (None, self._running.id):
                self._running.cancel.cancel()
        for one in stopped:
            self.tell(Error(one.id, Cancelled.kind, "Cancelled before it began.", ""))

    def _end(self) -> None:
        with self._changed:
            if self._ended:
                return
            self._ended = True
            if self._running is not None:
                self._running.cancel.cancel()
            self._changed.notify()
        # The study is consistent at every moment, so work that does not stop in time is left where it is.
        last = threading.Timer(GRACE_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()

    # The main thread

    def _next(self) -> _Request | None:
        with self._changed:
            while not self._waiting and not self._ended:
                left = None if self._released else max(0.0, self._worked_at + self._idle_seconds - time.monotonic())
                if left == 0.0:
                    self._release()
                    continue
                self._changed.wait(left)
            if self._ended:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _take_quick(self) -> _Request | None:
        with self._changed:
            # Until another study is open, a question about it has no answer.
            opening = self._running is not None and isinstance(self._running.command, _OTHER_STUDY)
            for one in self._waiting:
                if isinstance(one.command, _OTHER_STUDY):
                    return None
                if one.command.quick and (not opening or isinstance(one.command, Status)):
                    self._waiting.remove(one)
                    return one
        return None

    def _do(self, request: _Request) -> None:
        try:
            self._answer(request)
        finally:
            with self._changed:
                self._running = None

    def _answer(self, request: _Request) -> None:
        since = time.monotonic()
        try:
            self.tell(Result(request.id, self._carry_out(request)))
        except SuggestiveAnnotationError as error:
            LOG.info("command %s %s: %s", request.id, request.command.name, error.kind)
            self.tell(Error(request.id, error.kind, error.sentence, error.hint))
        except ModuleNotFoundError as error:
            LOG.exception("command %s %s", request.id, request.command.name)
            hint = "Let the module install what it needs, then try again."
            self.tell(Error(request.id, "missing", f"The Python package {error.name} is not installed.", hint))
        except Exception as error:  # the worker outlives whatever goes wrong in one command
            LOG.exception("command %s %s", request.id, request.command.name)
            if machine.out_of_memory(error):
                hint = "Close other programs, or choose a smaller network grid."
                self.tell(Error(request.id, "memory", "There is not enough memory.", hint))
                return
            sentence = f"The worker met an error it does not know: {type(error).__name__}: {error}."
            self.tell(Error(request.id, "internal", sentence, "The log has the details."))
        else:
            LOG.info("command %s %s: done in %.2f s", request.id, request.command.name, time.monotonic() - since)

    def _carry_out(self, request: _Request) -> dict[str, Any]:
        request.cancel.raise_if_cancelled()
        if isinstance(request.command, Status):
            return self._status()
        if isinstance(request.command, Release):
            self._release()
            return {}
        if isinstance(request.command, LEARNING):
            self._wait_for_torch(request)
        self._released = False
        try:
            return self._verbs.run(request.command, progress=_Throttled(self, request.id), cancel=request.cancel)
        finally:
            self._worked_at = time.monotonic()

    def _status(self) -> dict[str, Any]:
        running = self._running if self._answering else None
        with self._changed:
            waiting = [one.command.name for one in self._waiting]
        path = self._verbs.study_path
        return {
            "study": None if path is None else str(path),
            "running": None if running is None else running.command.name,
            "waiting": waiting,
            "models": self._verbs.models,
            "memory_mib": round(peak_memory() / 2**20, 1),
            "device_memory_mib": machine.device_memory_mib(),
        }

    def _release(self) -> None:
        self._released = True
        self._verbs.release()
        gc.collect()
        machine.empty_device()

    def _wait_for_torch(self, request: _Request) -> None:
        """Only one thread at a time imports torch; a command that waits for it can be cancelled."""
        self._needed.set()
        while not self._warm.wait(0.05):
            request.cancel.raise_if_cancelled()
        if self._device is None:
            # torch may have been installed since.
            self._warm_up()

    def _warm_up_once_idle(self) -> None:
        busy_at = time.monotonic()
        while not self._needed.wait(0.1):
            if self._running is not None or self._waiting:
                busy_at = time.monotonic()
            elif time.monotonic() - busy_at >= WARM_UP_SECONDS:
                break
        self._warm_up()

    def _warm_up(self) -> None:
        try:
            self._device = machine.device()
            if self._device is not None:
                self.tell(self._device)
        finally:
            self._warm.set()


class _Throttled:
    """Progress events of one command, not more than a person can read."""

    def __init__(self, server: Server, request: int) -> None:
        self._server, self._request = server, request
        self._told, self._stage = 0.0, ""

    def __call__(self, event: ProgressEvent) -> None:
        now = time.monotonic()
        last = event.done >= event.total
        if event.stage == self._stage and not event.message and not last and now - self._told < PROGRESS_SECONDS:
            return
        self._told, self._stage = now, event.stage
        if event.done == 0 or last:
            # Messages name files, whose names may be those of patients.
            LOG.info("%s: %s of %s", event.stage, event.done, event.total)
        self._server.tell(Progress(self._request, event.stage, event.done, event.total, event.seconds_left, event.loss, event.message))
