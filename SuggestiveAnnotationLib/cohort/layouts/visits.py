"""Visits of one person, by the words that people use for them in names.

Some words say nothing but a visit (`baseline`). A letter with a number (`V1`) may be the name of a person as well: it counts where the same
few come back with people who have a number. Bare numbers and years (`P01_2`) are only asked about.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile

_WORDS = "ses|session|visit|tp|timepoint|baseline|followup|fu"
_FOLDER = re.compile(rf"(?:{_WORDS}|time|month|year|day|m|v|y)[-_ ]?\d*|\d{{4}}-?\d{{2}}-?\d{{2}}", re.IGNORECASE)
_WORD = re.compile(rf"(?:{_WORDS})\d*", re.IGNORECASE)
_DAY = r"(?:19|20)\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])"
_SURE = rf"(?:{_WORDS}|follow[-_ ]up)[-_ ]?\d*|pre|post"
_LIKELY = r"(?:time|month|year|day|scan)[-_ ]?\d+"
_LETTER = r"(?:mr|m|v|y|t)[-_ ]?\d+"
_NUMBER = r"0?[1-9]|(?:19|20)\d{2}"
_BIDS = re.compile(r"(sub-[a-z0-9]+)_ses-.+", re.IGNORECASE)


def is_visit(word: str) -> bool:
    """Whether a word says nothing but a visit: `baseline`, `visit2`."""
    return _WORD.fullmatch(word) is not None


def names_a_visit(word: str) -> bool:
    """Whether a word tells a visit, for certain or among others like it: `post`, `m12`, `2019`."""
    return re.fullmatch(rf"{_SURE}|{_LIKELY}|{_LETTER}|{_DAY}|{_NUMBER}|follow|up", word, re.IGNORECASE) is not None


def patient_of(file: ImageFile, key: str) -> str:
    """The person a case belongs to: `sub-01` of `sub-01_ses-2`, the outer of two folders when the inner one is a visit, else the case."""
    if found := _BIDS.fullmatch(key):
        return found[1]
    folders = file.components[:-1]
    for outer, inner in pairwise(folders):
        if key == f"{outer}_{inner}" and _FOLDER.fullmatch(inner):
            return outer
    return key


def people_of_visits(names: Sequence[str]) -> dict[str, str]:
    """Case -> person, for cases named as a person and a visit (`P01_baseline`, `visit2_P01`), where some have several of at least two."""
    found = {name: _split(name, _SURE, _SURE + "|" + _DAY) for name in names}
    likely = {name: _split(name, _LIKELY, _LIKELY + "|" + _LETTER) for name in names if found[name] is None}
    if _come_back(likely):
        found |= likely
    person = {name: name if one is None else one[0] for name, one in found.items()}
    people = Counter(person.values())
    if len(people) < 2:
        return {}
    return {name: one for name, one in person.items() if people[one] > 1}


def say_visits(names: Sequence[str], person: Mapping[str, str]) -> list[str]:
    """Sentences for the plan: who was taken for visits of one person, or who may be.

    Args:
        names: of cases, or the people they were taken for.
        person: of them, from `people_of_visits`.
    """
    table = "A table of patients (--table) says otherwise."
    if person:
        name, owner = next(iter(person.items()))
        people = len(set(person.values()))
        visits = f"By their names {len(person)} cases are visits of {people} {'person' if people == 1 else 'people'} ({name}: {owner})"
        return [f"{visits}; visits of a person stay on one side of a split. {table}"]
    maybe = {name: _split(name, f"{_LETTER}|{_DAY}", f"{_LIKELY}|{_LETTER}|{_NUMBER}") for name in names}
    numbered = {name: one for name, one in maybe.items() if one and (not one[1].isdecimal() or re.search(r"\d", one[0]))}
    if not _few(numbered):
        return []
    by_person: dict[str, list[str]] = defaultdict(list)
    for name, one in numbered.items():
        by_person[one[0]].append(name)
    first, second = next(two for two in by_person.values() if len(two) > 1)[:2]
    return [f"{first} and {second} may be visits of one person; each case counts as a person of its own. {table}"]


def _split(name: str, before: str, after: str) -> tuple[str, str] | None:
    """Person and visit of a name with a visit of the pattern `before` at its beginning or of `after` at its end."""
    found = re.fullmatch(rf"(?P<person>.+)[-_. ](?P<visit>{after})", name, re.IGNORECASE) or re.fullmatch(
        rf"(?P<visit>{before})[-_. ](?P<person>.+)", name, re.IGNORECASE
    )
    return (found["person"], found["visit"].casefold()) if found else None


def _come_back(found: Mapping[str, tuple[str, str] | None]) -> bool:
    """Whether these are visits: few, and of people who have a number."""
    there = {name: one for name, one in found.items() if one is not None}
    return _few(there) and all(re.search(r"\d", person) for person, _ in there.values())


def _few(found: Mapping[str, tuple[str, str]]) -> bool:
    """Whether at least two people, and not fewer than there are visits, have them, some several."""
    people = Counter(person for person, _ in found.values())
    return 2 <= len(people) < len(found) and len({visit for _, visit in found.values()}) <= len(people)
