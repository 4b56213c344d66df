"""What a person sees while a command runs: progress with the time left on standard error, the result on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from SuggestiveAnnotationLib.errors import StorageError
from SuggestiveAnnotationLib.progress import ProgressCallback, ProgressEvent


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[ProgressCallback]:
    """A callback that draws one bar a stage on a terminal, or writes a line a stage into a log."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        yield _LogLines(console)
        return
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def __call__(self, event: ProgressEvent) -> None:
        if (event.done == 0 and not event.message) or self._task is None or event.stage != self._stage:
            self._task = self._bars.add_task(event.stage, total=event.total, note="")
            self._stage = event.stage
        if event.message:
            self._bars.console.print(event.message, highlight=False)
        self._bars.update(self._task, completed=event.done, note=_note(event))


class _LogLines:
    """A line when a stage begins, each quarter of it, and each sentence."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._quarter = -1

    def __call__(self, event: ProgressEvent) -> None:
        if event.message:
            self._console.print(f"{event.stage}: {event.message}", highlight=False, soft_wrap=True)
        quarter = 4 * event.done // max(1, event.total)
        if event.done == 0:
            self._quarter = -1
        if quarter > self._quarter:
            self._quarter = quarter
            self._console.print(f"{event.stage} {event.done}/{event.total} {_note(event)}".rstrip(), highlight=False, soft_wrap=True)


def _note(event: ProgressEvent) -> str:
    parts = []
    if event.loss is not None:
        parts.append(f"loss {event.loss:.3g}")
    if event.seconds_left is not None and event.done < event.total:
        minutes, seconds = divmod(round(event.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(parts)


def show(result: dict[str, Any], *, as_json: bool, lines: list[str]) -> None:
    """Print the result of a command: JSON for programs, or plain lines for people.

    Raises:
        StorageError: standard output takes no more, for example a file on a full disk.
    """
    try:
        print(json.dumps(result, indent=2, sort_keys=False) if as_json else "\n".join(lines), flush=True)
    except OSError as error:
        # What is left in the buffer would fail a second time when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return
        sentence = f"The command is done, but its result could not be printed: {error.strerror}."
        raise StorageError(sentence, hint="Send it to another place.") from error


def show_error(sentence: str, hint: str, *, kind: str, as_json: bool) -> None:
    """Print an error: what is wrong and what to do."""
    if as_json:
        print(json.dumps({"error": {"kind": kind, "sentence": sentence, "hint": hint}}))
    print(f"{sentence} {hint}".strip(), file=sys.stderr)
