"""The errors a person can meet. Each carries one plain sentence and, where there is one, what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SuggestiveAnnotationError(Exception):
    """Base of every error that is shown to a person as it stands.

    Args:
        sentence: what is wrong, naming the file or the case.
        hint: what to do about it.
    """

    kind = "error"
    exit_code = 1

    def __init__(self, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}".strip()


class InputError(SuggestiveAnnotationError):
    """A file, folder, table or option given by the person cannot be used."""

    kind = "input"
    exit_code = 2


class ExistsError(InputError):
    """Something is there already that would be replaced, and nobody agreed to that."""

    kind = "exists"


class StudyError(SuggestiveAnnotationError):
    """The study cannot do what was asked in its present state."""

    kind = "study"
    exit_code = 3


class StudyLockedError(StudyError):
    """Another worker holds the study."""

    kind = "locked"
    exit_code = 4


class StorageError(SuggestiveAnnotationError):
    """The disk is full, read-only or gone."""

    kind = "storage"
    exit_code = 5


class Cancelled(SuggestiveAnnotationError):
    """The person cancelled; the study is consistent and resumes where it stopped."""

    kind = "cancelled"
    exit_code = 130

    def __init__(self, sentence: str = "Cancelled.", *, hint: str = "Run the same command again to resume.") -> None:
        super().__init__(sentence, hint=hint)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the known word that is most like a mistyped one; empty where none is."""
    near = get_close_matches(word, list(known), 1)
    return f"Did you mean {near[0]}?" if near else ""
