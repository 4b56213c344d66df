"""The processes of one life of the panel, known by a mark in their environment: found, stopped and killed. Needs `/proc`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from Soak.soak import PATHS, ROOT

MARK = "SUGGESTIVE_SOAK"
STARTED: tuple[str, ...] = ("-m", "Soak.session")
HELD_SECONDS = 5.0
"""A process that is ended this long after its kill is stuck in the system, not in the program."""


class PanelProcess:
    """One life of the panel, in a process group of its own.

    Args:
        arguments: of `Soak.session`.
        log: file that takes what it prints.
        mark: told apart by it from every other life.
    """

    def __init__(self, arguments: list[str], *, log: Path, mark: str) -> None:
        self.mark = mark
        self._known: list[int] = []
        environment = {**os.environ, MARK: mark, "OMP_NUM_THREADS": "1", "QT_QPA_PLATFORM": "offscreen"}
        environment["PYTHONPATH"] = os.pathsep.join(PATHS)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", *STARTED, *arguments],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        """Of the panel."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.poll()

    def workers(self) -> list[int]:
        """The worker's process id, or none."""
        return [pid for pid in self.left() if pid != self.pid and _parent(pid) == self.pid]

    def left(self) -> list[int]:
        """Every process of this life that is still there."""
        wanted = f"{MARK}={self.mark}".encode()
        return [pid for pid in _pids() if wanted in _environment(pid)]

    def stop(self) -> None:
        """Hold the panel where it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the panel at once, and it alone."""
        self._known = self.left()
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """End everything of this life at once."""
        self._known = self.left()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def ask_where(self) -> None:
        """Have the panel write into its log where each thread is."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(0.5)

    def wait_until_gone(self, seconds: float) -> tuple[float, list[int]]:
        """Seconds until no process of this life was left, and those that are left."""
        # One that is ending may have no environment any more and still hold files: what was there before the kill is waited for.
        began, known = time.monotonic(), {*self._known, *self.left()}
        while (left := [pid for pid in known if _lives(pid)]) and time.monotonic() - began < seconds:
            time.sleep(0.02)
        return time.monotonic() - began, left


def send_kill(pid: int) -> bool:
    """Kill a process. Returns: False, when it was gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_until_dead(pid: int) -> None:
    """Wait until a process that was killed holds nothing any more."""
    end = time.monotonic() + HELD_SECONDS
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.001)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    # One that ended and whose parent has not asked how is a zombie, whose files and locks are closed with the last of its threads.
    return _status(pid)[0] not in ("Z", "X") or len(_threads(pid)) > 1


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _parent(pid: int) -> int:
    return int(_status(pid)[1])


def _status(pid: int) -> tuple[str, str]:
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "X", "0"
    return state, parent
