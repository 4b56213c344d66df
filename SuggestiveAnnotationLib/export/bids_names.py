"""What the files of a case are called in a BIDS dataset."""

from __future__ import annotations

import re
from collections.abc import Sequence

from SuggestiveAnnotationLib.export.names import ascii_letters, digest
from SuggestiveAnnotationLib.types import Case

_SUBJECT = re.compile(r"sub-([0-9A-Za-z]+)")
# A case of a BIDS dataset: subject, session, and entities that an anatomical image may have, in the order of BIDS.
_NAME = re.compile(
    r"sub-(?P<sub>[0-9A-Za-z]+)(?:_ses-(?P<ses>[0-9A-Za-z]+))?"
    r"(?P<rest>(?:_task-[0-9A-Za-z]+)?(?:_acq-[0-9A-Za-z]+)?(?:_ce-[0-9A-Za-z]+)?(?:_rec-[0-9A-Za-z]+)?(?:_run-[0-9]+)?)"
)
_LONGEST = 40


def bids_names(cases: Sequence[Case]) -> dict[str, str]:
    """Case -> beginning of its files' names: `sub-<label>`, `_ses-<label>` where it is a visit, and further entities of BIDS names.

    Names that follow BIDS stay. Others lose what is neither an ASCII letter nor a digit; two that become the same get a hash. Cases
    of one person share the subject.
    """
    visits: dict[str, list[Case]] = {}
    for case in cases:
        visits.setdefault(case.patient, []).append(case)
    subjects = _subjects(visits)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for case in sorted(cases, key=lambda c: (_NAME.fullmatch(c.name) is None, c.name)):
        known = _NAME.fullmatch(case.name)
        session, rest = (known["ses"] or "", known["rest"]) if known else (_session(case, alone=len(visits[case.patient]) == 1), "")
        for label in (session, session + digest(case.name, 8), digest(case.name, 64)):
            name = f"sub-{subjects[case.patient]}" + (f"_ses-{label}" if label else "") + rest
            if name.casefold() not in taken:
                break
        names[case.name] = name
        taken.add(name.casefold())
    return names


def _session(case: Case, *, alone: bool) -> str:
    if alone and case.name == case.patient:
        return ""
    return _plain(case.name.removeprefix(case.patient)) or _plain(case.name) or digest(case.name, 8)


def _subjects(visits: dict[str, list[Case]]) -> dict[str, str]:
    """Person -> label, none twice; those that BIDS names give come first and stay."""
    wanted = {patient: _subject(patient, cases) for patient, cases in visits.items()}
    made: dict[str, str] = {}
    taken: set[str] = set()
    for patient in sorted(wanted, key=lambda p: (not wanted[p][1], p)):
        plain = wanted[patient][0]
        for label in (plain, plain + digest(patient, 8), digest(patient, 64)):
            if label and label.casefold() not in taken:
                break
        made[patient] = label
        taken.add(label.casefold())
    return made


def _subject(patient: str, cases: Sequence[Case]) -> tuple[str, bool]:
    """The label, and whether it is one that a BIDS name gives."""
    if found := _SUBJECT.fullmatch(patient):
        return found[1], True
    named = {found["sub"] for case in cases if (found := _NAME.fullmatch(case.name))}
    return (named.pop(), True) if len(named) == 1 else (_plain(patient), False)


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", ascii_letters(text))[:_LONGEST]
