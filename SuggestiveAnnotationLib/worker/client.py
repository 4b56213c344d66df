"""The other end of the pipe: sends commands, hands each answer to whoever asked. Knows neither Qt nor torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from SuggestiveAnnotationLib.worker.lines import ProtocolError, command_line, read_event
from SuggestiveAnnotationLib.worker.protocol import (
    Cancel,
    Command,
    Device,
    Error,
    Event,
    Progress,
    Ready,
    Result,
)

LOG = logging.getLogger(__name__)
GONE = "worker gone"
"""Kind of the error that answers whatever was open when the worker ended."""


class Transport(Protocol):
    """A worker process and its pipes. Calls `WorkerClient.received` with bytes as they come and `WorkerClient.ended` once."""

    def start(self) -> None:
        """Start the process."""

    def write(self, data: bytes) -> None:
        """Send bytes; never blocks."""

    def kill(self) -> None:
        """End the process at once."""

    @property
    def running(self) -> bool:
        """Whether the process is there."""


@dataclass
class _Open:
    command: Command
    on_result: Callable[[Result], None] | None
    on_error: Callable[[Error], None] | None
    on_progress: Callable[[Progress], None] | None


def _ignore(*_: object) -> None:
    return None


class WorkerClient:
    """One worker, started when something is asked of it.

    Attributes:
        ready: the worker's first event, None before.
        device: where it computes, None before it is known.
        on_ready, on_device, on_ended, on_unasked: called with the event, the event, the reason, and an error nobody asked for.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._buffer = b""
        self._next = 1
        self._open: dict[int, _Open] = {}
        self.ready: Ready | None = None
        self.device: Device | None = None
        self.on_ready: Callable[[Ready], None] = _ignore
        self.on_device: Callable[[Device], None] = _ignore
        self.on_ended: Callable[[str], None] = _ignore
        self.on_unasked: Callable[[Error], None] = _ignore

    @property
    def running(self) -> bool:
        """Whether the worker process is there."""
        return self._transport.running

    @property
    def open_requests(self) -> tuple[int, ...]:
        """Ids of commands without an answer yet, oldest first."""
        return tuple(self._open)

    def send(
        self,
        command: Command,
        *,
        on_result: Callable[[Result], None] | None = None,
        on_error: Callable[[Error], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> int:
        """Send a command, starting the worker if it is not there, and return the id of the request."""
        if not self._transport.running:
            self._buffer, self.ready, self.device = b"", None, None
            self._transport.start()
        request = self._next
        self._next += 1
        self._open[request] = _Open(command, on_result, on_error, on_progress)
        try:
            self._transport.write(command_line(command, request))
        except OSError:
            # The process has just ended; `ended` follows and answers the request.
            LOG.info("The worker takes no more commands.")
        return request

    def cancel(self, request: int | None = None) -> None:
        """Ask for a request to stop, or for everything; it answers with an error of the kind `cancelled`."""
        if self._transport.running:
            self.send(Cancel(request))

    def received(self, data: bytes) -> None:
        """Take bytes of the worker's standard output, in pieces of any size."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(line)

    def ended(self, reason: str) -> None:
        """The worker is gone: `on_ended` is told, then every open request is answered with an error; each may ask for a new worker."""
        self._buffer, self.ready, self.device = b"", None, None
        waiting, self._open = self._open, {}
        self.on_ended(reason)
        hint = "It is started again with the next step; nothing that was saved is lost."
        for request, one in waiting.items():
            if one.on_error is not None:
                one.on_error(Error(request, GONE, f"The worker process ended: {reason}.", hint))

    def _take(self, line: bytes) -> None:
        try:
            event = read_event(line)
        except ProtocolError as error:
            LOG.warning("The worker wrote a line that is no event: %s (%s)", line[:200], error)
            self.on_unasked(Error(None, error.kind, f"The worker wrote a line that is no message: {error.sentence}", error.hint))
            return
        self._hand_out(event)

    def _hand_out(self, event: Event) -> None:
        match event:
            case Ready():
                self.ready = event
                self.on_ready(event)
            case Device():
                self.device = event
                self.on_device(event)
            case Progress():
                one = self._open.get(event.id)
                if one is not None and one.on_progress is not None:
                    one.on_progress(event)
            case Result():
                one = self._open.pop(event.id, None)
                if one is not None and one.on_result is not None:
                    one.on_result(event)
            case Error():
                one = None if event.id is None else self._open.pop(event.id, None)
                if one is not None and one.on_error is not None:
                    one.on_error(event)
                else:
                    self.on_unasked(event)
