"""What a format needs for the fuzz: sound files, a way to spoil them, a way to read them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError


class Format:
    """One format.

    Attributes:
        name: shown in the table, chosen with --format.
        share: of the tries that a quick format gets.
        seconds: after which one try counts as a hang.
    """

    seconds = 20.0
    share = 1.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.seeds: list[bytes] = []

    def prepare(self, folder: Path) -> None:
        """Make the sound files; called once."""
        raise NotImplementedError

    def write(self, folder: Path, draw: random.Random) -> Path:
        """Write one spoilt file into an empty folder."""
        raise NotImplementedError

    def read(self, path: Path) -> list[str]:
        """Read it in every way there is: the sentences of those that refused it. Anything else that is raised is a finding."""
        raise NotImplementedError


def each(readers: Sequence[Callable[[Path], Any]], path: Path) -> list[str]:
    """The sentence of every reader that refused the file; none where one of them read it."""
    refused = []
    for read in readers:
        try:
            read(path)
        except SuggestiveAnnotationError as error:
            refused.append(error.sentence)
    return refused if len(refused) == len(readers) else []
