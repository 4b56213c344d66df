"""People by the folders that their images lie in: `patient001/patient001_frame01`, `P01/arterial`, `P01/P01_left`.

A folder may be a person, a site or a group. It is a person where the names of the cases in it tell the same kinds of images as in other
folders and nothing that people are called by.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, is_number, words
from SuggestiveAnnotationLib.cohort.layouts.visits import is_visit, names_a_visit

_NUMBERED = re.compile(r"(?:frame|fr|phase|ph|echo|run|rep|repeat|scan|acq|slice|stack|view|time)\d+|\d+ch")
"""Words with a number that tell no people apart."""
_PLACE = re.compile(
    r"(?:site|cent(?:er|re)|scanner|hospital|clinic)\w*|"
    r"(?:group|cohort|study|dataset|batch|fold|set|train|test|val|part|phase|pair|family|fam|twins?|couple|litter|cage)(?:\d+|[a-z])?"
)
_ROLE = re.compile(
    r"patient|control|healthy|hc|mother|father|child|sibling|brother|sister|twin[a-z]?|female|male|young|old|ko|wt|ctrl|donor|recipient|case|proband|index"
)
_GROUP = re.compile(r"hc|pd|ad|mci|ms|cn|hgg|lgg|controls?|patients?|healthy|normals?|cases?|tumou?rs?|benign|malignant", re.IGNORECASE)
_KIND = re.compile(r"left|right|lh|rh|ed|es|arterial|venous|portal|delayed|native|sa|la|sax|lax")
_TABLE = "A table of patients (--table) says otherwise."
_MAY_BE = f"may be of one person; each counts as a person of its own. {_TABLE}"

Words = tuple[str, ...]
_Folders = Mapping[Words, Mapping[str, Words]]


def people_of_folders(files: Mapping[str, ImageFile], person: Mapping[str, str]) -> dict[str, str]:
    """Case -> person, where folders are people of whom some have several cases; empty where folders are no people, or all is known.

    Args:
        files: case -> one of its images.
        person: case -> who it was found to show by its name.
    """
    found = _by_folder(files)
    if not _apart(found.values(), person) or not _are_people(found):
        return {}
    last = Counter(folder[-1] for folder in found)
    several = Counter(person.values())
    out: dict[str, str] = {}
    for folder, cases in found.items():
        # Who was found to have visits in other folders keeps them.
        known = next((person[case] for case in cases if several[person[case]] > 1), None)
        out |= dict.fromkeys(cases, known or (folder[-1] if last[folder[-1]] == 1 else "_".join(folder)))
    return out


def say_folders(files: Mapping[str, ImageFile], person: Mapping[str, str], by_folder: Mapping[str, str]) -> list[str]:
    """A sentence for the plan: whose cases lie in one folder, or may do so.

    Args:
        files: case -> one of its images.
        person: case -> who it shows, by all that was found.
        by_folder: from `people_of_folders`.
    """
    if by_folder:
        images = Counter(by_folder.values())
        several = [case for case, one in by_folder.items() if images[one] > 1]
        people = len({person[case] for case in several})
        whose = f"{len(several)} cases are of {people} {'person' if people == 1 else 'people'} ({several[0]}: {person[several[0]]})"
        return [f"By their folders {whose}; cases of a person stay on one side of a split. {_TABLE}"]
    found = _by_folder(files)
    if (two := _apart(found.values(), person)) and _may_be_people(found):
        return [f"{two[0]} and {two[1]} lie in one folder and {_MAY_BE}"]
    two = _apart(_called_alike(found), person)
    return [f"{two[0]} and {two[1]} {_MAY_BE}"] if two else say_kinds(person)


def say_kinds(person: Mapping[str, str]) -> list[str]:
    """A sentence for the plan on cases (-> person) whose names differ only in words at their end for sides, phases or frames."""
    two = _apart(_by_kinds(person), person)
    return [f"{two[0]} and {two[1]} {_MAY_BE}"] if two else []


def _by_folder(files: Mapping[str, ImageFile]) -> _Folders:
    """Folder -> its cases and what else their names say. Of the folders that cases are called by, the innermost ones with several cases."""
    for up in range(1, max((len(file.components) for file in files.values()), default=0)):
        found: dict[Words, dict[str, Words]] = defaultdict(dict)
        for case, file in files.items():
            folder = file.components[:-up]
            own = set(_folded(folder[-1])) if folder else set()
            if own and own <= set(_folded(case)):
                outer = {word for part in folder for word in _folded(part)}
                found[folder][case] = _with_numbers([word for word in _folded(case) if word not in outer])
        inner = len(found) > 1 and all(len(folder) > 1 and _is_visit(folder[-1]) for folder in found)
        if not inner and len(found) > 1 and any(len(cases) > 1 for cases in found.values()):
            return found
    return {}


def _apart(together: Iterable[Iterable[str]], person: Mapping[str, str]) -> tuple[str, str] | None:
    """Two of the cases that stand together and count as two people."""
    for first, *others in together:
        for other in others:
            if person[other] != person[first]:
                return first, other
    return None


def _called_alike(found: _Folders) -> list[list[str]]:
    """Cases that other folders have too (`raw/P01`, `brain/P01`), where most are such and the folders are not called like places."""
    by_rest: dict[Words, list[str]] = defaultdict(list)
    for cases in found.values():
        for case, rest in cases.items():
            by_rest[rest].append(case)
    alike = [cases for rest, cases in by_rest.items() if len(cases) > 1 and rest]
    enough = 2 * sum(map(len, alike)) >= sum(map(len, found.values()))
    # `k7` in `P01` and in `P02` is of two people.
    people = _have_numbers(found) and not all(names_a_visit(folder[-1]) for folder in found)
    return alike if enough and not people and not any(map(_is_no_person, found)) else []


def _by_kinds(cases: Iterable[str]) -> list[list[str]]:
    """Cases whose names differ only in words at their end for sides, phases or frames."""
    out: dict[Words, list[str]] = defaultdict(list)
    for case in cases:
        rest = list(_with_numbers(_folded(case)))
        while rest and (_KIND.fullmatch(rest[-1]) or _NUMBERED.fullmatch(rest[-1])):
            rest.pop()
        out[tuple(rest)].append(case)
    # Names that are nothing else (`scan_01`) are people's.
    return [cases for rest, cases in out.items() if rest]


def _are_people(found: _Folders) -> bool:
    several = [cases for cases in found.values() if len(cases) > 1]
    rests = {rest for cases in several for rest in cases.values()}
    if len(found) < max(map(len, several)) or any(map(_is_no_person, found)) or not all(map(_tells_a_kind, rests)):
        return False
    if all(names_a_visit(folder[-1]) for folder in found):
        return False
    folders = Counter(kind for cases in found.values() for kind in set(map(_kind, cases.values())))
    kinds = set(map(_kind, rests))
    if any(folders[kind] < 2 or 2 * folders[kind] < len(several) for kind in kinds):
        return False
    # Without numbers, `arterial/anna` and `venous/berta` look the same the other way round.
    return len(found) > len(kinds) or _have_numbers(found)


def _may_be_people(found: _Folders) -> bool:
    if any(map(_is_no_person, found)):
        return False
    kinds = all(_tells_a_kind(rest) for cases in found.values() for rest in cases.values())
    few = len(found) >= max(map(len, found.values()))
    return few + kinds + _have_numbers(found) > 1


def _have_numbers(found: _Folders) -> bool:
    return all(any(map(is_number, _folded(folder[-1]))) for folder in found)


def _is_no_person(folder: Words) -> bool:
    """Whether a folder is called like a place, a group, a part of a cohort or, not just by a letter and a number, a visit."""
    name = folder[-1]
    if _GROUP.fullmatch(name) or any(map(_PLACE.fullmatch, _folded(name))):
        return True
    return names_a_visit(name) and not re.fullmatch(r"[^\W_]?\d+", name)


def _is_visit(folder: str) -> bool:
    return all(map(is_visit, _with_numbers(_folded(folder))))


def _tells_a_kind(rest: Words) -> bool:
    """Whether words tell an image of a person, not a person."""
    return all(
        _NUMBERED.fullmatch(word) or is_visit(word) or not (is_number(word) or len(word) == 1 or _ROLE.fullmatch(word)) for word in rest
    )


def _kind(rest: Words) -> Words:
    return tuple(re.sub(r"\d+", "#", word) if _NUMBERED.fullmatch(word) else word for word in rest)


def _with_numbers(rest: Sequence[str]) -> Words:
    """The words, a bare number as part of the word before it: `run-1` as `run1`."""
    return tuple(re.sub(r"(?<=[^\W\d_]) (?=\d+(?: |$))", "", " ".join(rest)).split())


def _folded(text: str) -> Words:
    return tuple(word.casefold() for word in words(text))
