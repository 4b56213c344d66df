"""What the panel said it was about to do and what it had done: one JSON line each, on the disk before the next step.

`begin` and `done` lines carry the number of an action. A line that was cut short by the kill does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.types import SliceRef

READER, REVIEWER = "reader 1", "reader 2"
UNKNOWN = "?"
"""Stands for the hash of labels that are only known once they are drawn."""
IDLE = "idle or quick answers"


def hash_of(labels: np.ndarray) -> str:
    """Hash of a label slice, whatever its type."""
    plain = np.ascontiguousarray(labels, "<u2")
    return hashlib.sha256(repr(plain.shape).encode() + plain.tobytes()).hexdigest()[:16]


def name_of(ref: SliceRef) -> str:
    """A slice as a text."""
    return f"{ref.case}/{ref.axis}/{ref.native_index}"


def ref_of(name: str) -> SliceRef:
    """The slice of a text."""
    case, axis, index = name.rsplit("/", 2)
    return SliceRef(case, int(axis), int(index))


class LedgerWriter:
    """The panel's end. Each line is synced before the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._number = 0

    def begin(self, action: str, **details: Any) -> None:
        """An action is about to begin."""
        self._number += 1
        self._write({"n": self._number, "begin": action, **details})

    def done(self, **details: Any) -> None:
        """The panel reported that the action that was begun last is done."""
        self._write({"n": self._number, "done": True, **details})

    def refused(self, sentence: str) -> None:
        """The panel said why it did not do the action that was begun last."""
        self._write({"n": self._number, "refused": sentence})

    def note(self, what: str, **details: Any) -> None:
        """Something that happened beside the actions."""
        self._write({"note": what, **details})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps({**line, "at": round(time.time(), 3)}).encode() + b"\n")
        os.fsync(self._file)


@dataclass
class Action:
    """One action of the panel. `ended` is the line that closed it, None while it is open."""

    name: str
    details: dict[str, Any]
    ended: dict[str, Any] | None = None

    @property
    def done(self) -> bool:
        """Whether the panel reported it as done."""
        return self.ended is not None and "done" in self.ended


@dataclass
class LedgerReader:
    """The supervisor's end: `read` takes what was written since."""

    path: Path
    actions: list[Action] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0

    def read(self) -> bool:
        """Whether there was anything new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return False
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for text in whole.splitlines():
            self._take(json.loads(text))
        return bool(whole)

    def _take(self, line: dict[str, Any]) -> None:
        if "note" in line:
            self.notes.append(line)
        elif "begin" in line:
            self.actions.append(Action(line["begin"], line))
        else:
            self.actions[-1].ended = line

    @property
    def open_action(self) -> Action | None:
        """The action that was begun and not reported as done."""
        return self.actions[-1] if self.actions and self.actions[-1].ended is None else None

    def said(self, what: str) -> list[dict[str, Any]]:
        """Every note of a kind."""
        return [note for note in self.notes if note["note"] == what]

    @property
    def ready(self) -> bool:
        """Whether the panel came as far as to be worked with."""
        return bool(self.said("ready"))

    @property
    def doing(self) -> str:
        """What the panel is at."""
        if not self.ready:
            return "start-up"
        action = self.open_action
        return "between actions" if action is None else action.name

    @property
    def worker_doing(self) -> str:
        """What the worker is at, as far as the panel heard of it."""
        for note in reversed(self.notes):
            if note["note"] == "worker ended":
                break
            if note["note"] == "worker ready":
                return "importing torch"
            if note["note"] == "stage":
                return str(note["stage"])
            if note["note"] == "worker device":
                return IDLE
        return "starting or none"
