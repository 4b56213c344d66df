"""What every command is made of: its arguments, what it is given, what it gives back, and the line on what comes next."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from SuggestiveAnnotationLib.cli.console import show
from SuggestiveAnnotationLib.errors import StorageError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback
from SuggestiveAnnotationLib.study.records import Round
from SuggestiveAnnotationLib.study.study import Study


@dataclass(frozen=True)
class Context:
    """What every command is given. `command` is the line a person typed."""

    progress: ProgressCallback
    cancel: CancelToken
    command: str

    def keywords(self) -> dict[str, Any]:
        """As the verbs take them."""
        return {"progress": self.progress, "cancel": self.cancel}

    @contextmanager
    def changing(self, path: Path, *, locked: bool = True) -> Iterator[Study]:
        """A study that this command changes. Once it is done, the study keeps the command, for the report to show.

        Args:
            locked: hold the study as its one worker. People annotate without, while a worker may be busy.
        """
        study = Study(path)
        with study.lock() if locked else nullcontext():
            yield study
            self.remember_in(study)

    def remember_in(self, study: Study) -> None:
        """Keep the command in the study. The work is done: no room for this line must not call it a failure."""
        with suppress(StorageError):
            study.record_command(self.command)


@dataclass(frozen=True)
class Result:
    """The same result for programs and for people, and the exit code of the command."""

    data: dict[str, Any]
    lines: list[str]
    exit_code: int = 0

    def print(self, *, as_json: bool) -> None:
        """Write it to standard output."""
        show(self.data, as_json=as_json, lines=self.lines)


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Command = Callable[[argparse.Namespace, Context], Result]


def add_command(sub: Commands, name: str, run: Command, help_text: str, *, study: bool = True) -> argparse.ArgumentParser:
    """A command's parser, with the arguments that every command has. Args: study: it works on one."""
    parser = sub.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(run=run)
    if study:
        parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def next_line(verb: str, study: Study, *words: str) -> str:
    """The line on which command comes next."""
    return "Next: " + shlex.join(["suggestive-annotation", *verb.split(), str(study.path), *words])


def dice_text(value: float | None) -> str:
    """A Dice as people read it."""
    return "undefined" if value is None else format(value, ".3f")


def round_data(study: Study, round_: Round) -> dict[str, Any]:
    """A round for programs, with how many of its slices were suggested and answered."""
    rows = study.suggestions(round_.number)
    answered = sum(row.state in ("accepted", "skipped", "unreadable") for row in rows)
    return {**asdict(round_), "notes": list(round_.notes), "suggested": len(rows), "answered": answered}
