"""Pseudonyms: who is who in DICOM files, without saying it anywhere but in the study itself."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from SuggestiveAnnotationLib.cohort.dicom.headers import Person
from SuggestiveAnnotationLib.cohort.dicom.index import Series
from SuggestiveAnnotationLib.files import file_stem


class People:
    """Names for the persons and the cases of series.

    A person is a patient ID; where there is none, a name and a birth date; where there is none either, each study counts as a person.

    Args:
        series: all of them.
        patient_ids: names are the patient IDs, made fit for a file name, and not `patient-01`.

    Attributes:
        cases: names, in the order of persons and of the dates of their studies.
        person_of: case -> pseudonym of the person.
        identities: pseudonym -> what identifies the person: `PatientID`, `PatientName`, `PatientBirthDate`, and of every case
            `StudyDate <case>` and `StudyInstanceUID <case>`.
        warnings: sentences that name nobody.
    """

    def __init__(self, series: Sequence[Series], *, patient_ids: bool = False) -> None:
        studies: dict[tuple[str, ...], dict[str, Series]] = defaultdict(dict)
        for one in series:
            known = studies[_key(one.person, one.study_uid)].setdefault(one.study_uid, one)
            if one.study_time and one.study_time < known.study_time:
                studies[_key(one.person, one.study_uid)][one.study_uid] = one
        width = max(2, len(str(len(studies))))
        self.cases: list[str] = []
        self.person_of: dict[str, str] = {}
        self.identities: dict[str, dict[str, str]] = {}
        self._case_of: dict[tuple[tuple[str, ...], str], str] = {}
        taken: set[str] = set()
        for number, key in enumerate(sorted(studies, key=_natural), 1):
            mine = sorted(studies[key].values(), key=lambda s: (s.study_time, s.study_uid))
            pseudonym = f"patient-{number:0{width}d}"
            if patient_ids and mine[0].person.patient_id:
                pseudonym = _free(file_stem(mine[0].person.patient_id), taken)
            taken.add(pseudonym.casefold())
            person = mine[0].person
            known_as = {"PatientID": person.patient_id, "PatientName": person.name, "PatientBirthDate": person.birth_date}
            self.identities[pseudonym] = {name: value for name, value in known_as.items() if value}
            for visit, study in enumerate(mine, 1):
                case = pseudonym if len(mine) == 1 else f"{pseudonym}_study-{visit}"
                self.cases.append(case)
                self.person_of[case] = pseudonym
                self._case_of[key, study.study_uid] = case
                self.identities[pseudonym][f"StudyInstanceUID {case}"] = study.study_uid
                if study.study_time:
                    self.identities[pseudonym][f"StudyDate {case}"] = study.study_time[:8]
        self.warnings = _doubts(series, self)

    def case_of(self, series: Series) -> str:
        """The case that a series belongs to."""
        return self._case_of[_key(series.person, series.study_uid), series.study_uid]

    def case_of_study(self, person: Person, study_uid: str) -> str | None:
        """The case of a study; None where it has no series."""
        return self._case_of.get((_key(person, study_uid), study_uid)) or next(
            (case for (_, uid), case in self._case_of.items() if uid == study_uid and uid), None
        )


def _key(person: Person, study_uid: str) -> tuple[str, ...]:
    if person.patient_id:
        return ("id", person.patient_id)
    if person.name and person.birth_date:
        return ("name", _folded(person.name), person.birth_date)
    return ("study", study_uid)


def _doubts(series: Sequence[Series], people: People) -> list[str]:
    names: dict[str, set[str]] = defaultdict(set)
    for one in series:
        if one.person.name:
            names[people.person_of[people.case_of(one)]].add(_folded(one.person.name))
    doubtful = [person for person, found in names.items() if len(found) > 1]
    found = []
    if doubtful:
        which = ", ".join(doubtful[:3]) if all(person.startswith("patient-") for person in doubtful) else f"{len(doubtful)} of them"
        found.append(f"One patient ID stands beside different patient names ({which}): its studies count as one person.")
    if len(people.identities) == 1 and len(people.cases) > 2:
        found.append(f"All {len(people.cases)} studies have the same patient ID: they count as one person, so none can be held out.")
    if any(not one.person.patient_id for one in series):
        found.append("Some series have no patient ID: they are told apart by name and birth date, or each study counts as a person.")
    return found


def _folded(name: str) -> str:
    return " ".join(re.findall(r"\w+", name)).casefold()


def _natural(key: tuple[str, ...]) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(w), "") if w.isdecimal() else (1, 0, w) for w in re.findall(r"\d+|\D+", "\0".join(key)))


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where another one differs from it in capitals only."""
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free
