"""Who a case is and which part of the study it belongs to, from a table.

A text table with a header: comma, semicolon or tab between columns. Columns, whatever the case: `case` (or `id`), `patient` (or
`subject`), `site` (or `centre`, `scanner`), `role` (or `group`, `split`, `set`: the first that holds roles); others are left alone. Roles
are pool, validation, test and excluded; `train` means pool. Patients whose names differ in capitals and blanks only are one.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from SuggestiveAnnotationLib.cohort.files.text_file import read_text_file
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case, Role

_COLUMNS = {
    "case": ("case", "id", "case_id", "case id", "name", "participant_id"),
    "patient": ("patient", "patient_id", "patient id", "subject", "subject_id", "person"),
    "site": ("site", "centre", "center", "institution", "scanner"),
    "role": ("role", "group", "split", "set"),
}
_ROLES: dict[str, Role] = {
    "pool": "pool",
    "train": "pool",
    "training": "pool",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "excluded": "excluded",
    "exclude": "excluded",
}


_SEPARATOR = re.compile(r'\s*"?sep=.?"?[\s,;]*', re.IGNORECASE)


@dataclass(frozen=True)
class TableRow:
    """One line. Empty texts and None mean that the table does not say.

    Attributes:
        line: number in the file, for sentences.
    """

    case: str
    patient: str = ""
    site: str = ""
    role: Role | None = None
    line: int = 0


def read_table(path: str | Path) -> tuple[TableRow, ...]:
    """The rows of a patient table.

    Raises:
        InputError: the file cannot be read, has no column for the case, lists a case twice, names an unknown role, or puts a patient
            on both sides of a split.
    """
    file = Path(path)
    if file.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InputError(f"{file} is a spreadsheet, not a text table.", hint="Save it as CSV.")
    text = read_text_file(file, "table")
    lines = text.splitlines()
    # A first line `sep=;` tells Excel the mark between columns.
    before = next((n for n, line in enumerate(lines) if line.strip(" ,;\t") and not _SEPARATOR.fullmatch(line)), 0)
    rest = lines[before:]
    reader = csv.DictReader(rest, delimiter=_delimiter(rest[0] if rest else ""))
    try:
        return _rows(reader, file, before)
    except csv.Error as error:
        line = before + reader.line_num
        raise InputError(f"The table {file}, line {line}, cannot be read: {error}.", hint="Correct that line.") from None


def _delimiter(header: str) -> str:
    """The mark that sets the column for the case apart, else the most frequent one: the names of columns may hold others."""
    with_case = [m for m in ",;\t" if _columns([name.strip('" ') for name in header.split(m)], _COLUMNS["case"])]
    return max(with_case or ",;\t", key=header.count)


def _rows(reader: csv.DictReader[str], file: Path, before: int) -> tuple[TableRow, ...]:
    """The rows; `before` lines stand above the header."""
    header = reader.fieldnames or ()
    found = {what: _columns(header, names) for what, names in _COLUMNS.items()}
    if not found["case"]:
        names = [name.strip() for name in header if name.strip()]
        there = f", only {_some(names)}" if names else ""
        hint = 'Name it "case", in the first line; the others are patient, site and role.'
        raise InputError(f"The table {file} has no column for the case{there}.", hint=hint)
    case = found["case"][0]
    records = [(before + reader.line_num, record) for record in reader if (record[case] or "").strip()]
    found["role"].sort(key=lambda name: not _holds_roles(record.get(name) for _, record in records))
    rows = []
    people: dict[str, str] = {}
    for line, record in records:
        cells = {what: (record.get(names[0]) or "").strip() if names else "" for what, names in found.items()}
        role = cells["role"].casefold()
        if role and role not in _ROLES:
            raise InputError(
                f'{file}, line {line}: "{cells["role"]}" is no role.',
                hint="Roles are pool (or train), validation, test and excluded.",
            )
        patient = people.setdefault(_person(cells["patient"]), " ".join(cells["patient"].split()))
        rows.append(TableRow(cells["case"], patient, cells["site"], _ROLES.get(role), line))
    _check_rows(rows, file)
    return tuple(rows)


def _holds_roles(cells: Iterable[str | None]) -> bool:
    """Whether there are roles in a column and nothing else."""
    values = {(cell or "").strip().casefold() for cell in cells} - {""}
    return bool(values) and values <= _ROLES.keys()


def apply_table(cases: Sequence[Case], rows: Sequence[TableRow], *, source: str = "the table") -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases with what the table says about them, and sentences about rows and cases that do not fit each other.

    A case that is excluded already stays so. When the table gives roles, a case without one is excluded.

    Raises:
        InputError: no row names a case, or a patient ends up on both sides of a split.
    """
    by_name = {folded(row.case): row for row in rows}
    known = {folded(c.name) for c in cases}
    strangers = [row for row in rows if folded(row.case) not in known]
    if len(strangers) == len(rows):
        raise InputError(
            f"{source} names none of the cases that were found.",
            hint=f"The table has {_some([r.case for r in rows])}; the cases are {_some([c.name for c in cases])}.",
        )
    notes = []
    if strangers:
        number = f"{len(strangers)} unknown case{'' if len(strangers) == 1 else 's'}"
        notes.append(f"{source} names {number}: {_some([r.case for r in strangers])}.")
    has_roles = any(row.role for row in rows)
    people = {_person(row.patient): row.patient for row in rows if row.patient}
    out = []
    for case in cases:
        row = by_name.get(folded(case.name))
        role = row.role if row else None
        new: Role
        if case.role == "excluded":
            new, reason = case.role, case.excluded_reason
        elif role == "excluded":
            new, reason = role, f"{source} excludes {case.name}."
        elif has_roles and role is None:
            new, reason = "excluded", f"{source} gives no role to {case.name}."
        else:
            new, reason = role or case.role, ""
        patient = (row.patient if row else "") or people.get(_person(case.patient), case.patient)
        site = (row.site if row else "") or case.site
        out.append(replace(case, role=new, excluded_reason=reason, patient=patient, site=site))
    check_split(out, source=source)
    return tuple(out), tuple(notes)


def check_split(cases: Sequence[Case], *, source: str = "The split") -> None:
    """Every patient has all its cases in one of pool, validation and test.

    Raises:
        InputError: naming a patient and two cases.
    """
    seen: dict[str, Case] = {}
    for case in cases:
        if case.role == "excluded":
            continue
        other = seen.setdefault(case.patient, case)
        if other.role != case.role:
            raise InputError(
                f"{source} puts patient {case.patient} on both sides of a split: {other.name} is {other.role}, {case.name} is {case.role}.",
                hint="Give all cases of a patient the same role.",
            )


def folded(name: str) -> str:
    """The name whatever its capitals, and whichever system it was typed on."""
    return unicodedata.normalize("NFC", name).casefold()


def _check_rows(rows: Sequence[TableRow], file: Path) -> None:
    if not rows:
        raise InputError(f"The table {file} has no rows.", hint="Write one line per case.")
    first: dict[str, TableRow] = {}
    roles: dict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        twin = first.setdefault(folded(row.case), row)
        if twin is not row:
            raise InputError(f"{file} lists case {row.case} twice, in lines {twin.line} and {row.line}.", hint="Remove one of them.")
        if row.patient and row.role and row.role != "excluded":
            roles[row.patient].append(row)
    for patient, members in roles.items():
        other = next((r for r in members if r.role != members[0].role), None)
        if other is not None:
            raise InputError(
                f"{file} puts patient {patient} on both sides of a split: {members[0].case} is {members[0].role} (line {members[0].line}), "
                f"{other.case} is {other.role} (line {other.line}).",
                hint="Give all cases of a patient the same role.",
            )


def _person(patient: str) -> str:
    """What is the same for two ways to write a patient's name."""
    return "".join(folded(patient).split())


def _columns(header: Sequence[str], names: Sequence[str]) -> list[str]:
    found = {column.strip().casefold(): column for column in header if column}
    return [found[name] for name in names if name in found]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
