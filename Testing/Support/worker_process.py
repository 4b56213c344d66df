"""A real worker behind plain pipes, for tests and benchmarks; the module in Slicer has its own with Qt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from SuggestiveAnnotationLib.worker.client import WorkerClient
from SuggestiveAnnotationLib.worker.protocol import Command, Error, Progress, Result

ROOT = Path(__file__).resolve().parents[2]


class PipeTransport:
    """Starts the worker with its pipes; `pump` hands what it wrote to the client."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.client: WorkerClient
        self.process: subprocess.Popen[bytes] | None = None
        self.log: list[str] = []
        self._arguments, self._env = arguments, env or {}
        self._heard: Queue[bytes] = Queue()

    def start(self) -> None:
        command = [sys.executable, "-u", "-m", "SuggestiveAnnotationLib.worker", *self._arguments]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **self._env}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0)
        Thread(target=self._listen, args=(self.process,), daemon=True).start()
        Thread(target=self._drain, args=(self.process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while data := process.stdout.read(65536):
            self._heard.put(data)
        self._heard.put(b"")

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line.decode(errors="replace"))

    def write(self, data: bytes) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(data)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pump(self, seconds: float) -> None:
        try:
            data = self._heard.get(timeout=seconds)
        except Empty:
            return
        if data:
            self.client.received(data)
        else:
            assert self.process is not None
            self.client.ended(f"exit code {self.process.wait()}")


class Worker:
    """A worker to talk to in straight lines of code."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.transport = PipeTransport(*arguments, env=env)
        self.client = self.transport.client = WorkerClient(self.transport)
        self.unasked: list[Error] = []
        self.ended: list[str] = []
        self.client.on_unasked = self.unasked.append
        self.client.on_ended = self.ended.append

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        process = self.transport.process
        if process is not None and process.poll() is None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=20)

    def until(self, condition: Callable[[], Any], *, seconds: float = 60) -> None:
        """Pump until the condition holds. Raises: TimeoutError, with the worker's log."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("".join(self.transport.log[-30:]) or "the worker said nothing")
            self.transport.pump(0.02)

    def send(self, command: Command) -> Answer:
        """Send without waiting."""
        answer = Answer()
        answer.id = self.client.send(command, on_result=answer.result, on_error=answer.error, on_progress=answer.progress)
        return answer

    def ask(self, command: Command, *, seconds: float = 60) -> dict[str, Any]:
        """Send and wait for the result. Raises: AssertionError, when it is an error."""
        answer = self.send(command)
        self.until(lambda: answer.done, seconds=seconds)
        assert answer.failed is None, f"{answer.failed}\n{''.join(self.transport.log[-30:])}"
        return dict(answer.data or {})

    def refuse(self, command: Command, *, seconds: float = 60) -> Error:
        """Send and wait for the error."""
        answer = self.send(command)
        self.until(lambda: answer.done, seconds=seconds)
        assert answer.failed is not None, answer.data
        return answer.failed


class Answer:
    """What came of one command so far."""

    def __init__(self) -> None:
        self.id = 0
        self.data: Any = None
        self.failed: Error | None = None
        self.events: list[Progress] = []
        self.at = 0.0

    @property
    def done(self) -> bool:
        return self.data is not None or self.failed is not None

    def result(self, event: Result) -> None:
        self.data, self.at = event.data, time.monotonic()

    def error(self, event: Error) -> None:
        self.failed, self.at = event, time.monotonic()

    def progress(self, event: Progress) -> None:
        self.events.append(event)
