"""Rows about the cohort: cases, their images, the label schema, the preprocessing record."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Connection, Select, insert, select, update

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.moved import place_now
from SuggestiveAnnotationLib.study.records import now
from SuggestiveAnnotationLib.study.trust import check_cases, check_properties, geometry_of, image_path, record_of
from SuggestiveAnnotationLib.types import Case, PreprocessingRecord, Role

_ROLE_BEFORE = "role before exclusion: "
_ROLE_TAKEN = "role before a person excluded the case: "
SAID_OF_SOURCES = "said of the sources of cases"
"""Property: case -> sentences that no later look at its files would find, since they are of what the files were made from."""

MADE_IN = "folder it was made in"
"""Property: absolute path of the study's folder when it was made."""


class CaseRows:
    """Part of `Study`: what there is to annotate."""

    path: Path
    database: Database

    def properties(self) -> dict[str, Any]:
        """Name -> value of everything the study was created with."""
        with self.database.read() as connection:
            kept = {row.name: row.value for row in connection.execute(select(tables.properties))}
        check_properties(kept)
        return kept

    def set_property(self, name: str, value: Any) -> None:
        """Keep one JSON value under a name."""
        with self.database.write() as connection:
            put_property(connection, name, value)

    def record_command(self, command: str) -> None:
        """Append a command to those that made the study; the same one again, as after an interruption, is kept once."""
        with self.database.write() as connection:
            row = connection.execute(select(tables.properties).where(tables.properties.c.name == "commands")).first()
            kept = list(row.value) if row else []
            if not kept or kept[-1] != command:
                put_property(connection, "commands", [*kept, command])

    def commands(self) -> tuple[str, ...]:
        """The commands that made the study, oldest first."""
        return tuple(self.properties().get("commands", ()))

    def cases(self, role: Role | None = None) -> tuple[Case, ...]:
        """The cases, in the order of the cohort; one role only if given."""
        query = select(tables.cases).order_by(tables.cases.c.position)
        return self._cases(query if role is None else query.where(tables.cases.c.role == role))

    def case(self, name: str) -> Case:
        """Raises: InputError, when there is no such case."""
        found = self._cases(select(tables.cases).where(tables.cases.c.name == name))
        if not found:
            raise InputError(f"There is no case {name} in the study.", hint="`study show` lists the cases.")
        return found[0]

    def _cases(self, query: Select[Any]) -> tuple[Case, ...]:
        with self.database.read() as connection:
            rows = connection.execute(query).all()
            check_cases(rows)
            wanted = select(tables.images)
            if len(rows) == 1:
                wanted = wanted.where(tables.images.c.case == rows[0].name)
            images: dict[str, dict[str, str]] = {}
            for image in connection.execute(wanted):
                images.setdefault(image.case, {})[image.modality] = image.path
        return tuple(_case(row, images.get(row.name, {}), self._place) for row in rows)

    def _place(self, kept: Any, case: str) -> str:
        """Where a file of a case lies. Raises: StudyError, as `image_path`."""
        path = image_path(self.path, kept, case)
        # Files inside the study are kept relative to it.
        return self.where(path) if path == kept else path

    def where(self, path: str) -> str:
        """Where a file outside the study lies now, which may have been moved or copied together with it; `path` itself otherwise.

        Args:
            path: absolute, as it was when the study was made.
        """
        if not self._made_elsewhere:
            return path
        if path not in self._places:
            place = place_now(path, made_in=self._made_elsewhere, folder=self.path)
            if place == path:
                # It may come yet: a drive that is not connected.
                return path
            self._places[path] = place
        return self._places[path]

    @cached_property
    def _made_elsewhere(self) -> str:
        """Folder that the study was made in, where it is another one than now; empty where not, or where nobody knows."""
        made_in = self.properties().get(MADE_IN)
        return made_in if isinstance(made_in, str) and made_in != os.path.abspath(self.path) else ""

    @cached_property
    def _places(self) -> dict[str, str]:
        """Path as it is kept -> where the file was found, for those that were moved with the study."""
        return {}

    def exclude_case(self, name: str, reason: str, *, retry: bool = False) -> None:
        """Take a case out of everything, with the reason. With `retry`, `prepare` may take it back when its files are mended."""
        with self.database.write() as connection:
            exclude(connection, name, reason, retry=retry)

    def include_case(self, name: str) -> None:
        """Give a case back the role that `exclude_case` took with `retry`; nothing happens to other cases."""
        table = tables.cases
        with self.database.write() as connection:
            role = connection.execute(select(tables.properties.c.value).where(tables.properties.c.name == _ROLE_BEFORE + name)).scalar()
            if role is not None:
                connection.execute(update(table).where(table.c.name == name).values(role=role, excluded_reason=""))

    def cases_to_retry(self) -> tuple[Case, ...]:
        """Cases that were excluded with `retry`, in the order of the cohort."""
        kept = self.properties()
        return tuple(case for case in self.cases("excluded") if kept.get(_ROLE_BEFORE + case.name))

    def cases_to_include(self) -> tuple[str, ...]:
        """Names of cases that a person excluded, who can take that back, in the order of the cohort."""
        kept = self.properties()
        return tuple(case.name for case in self.cases("excluded") if kept.get(_ROLE_TAKEN + case.name))

    def excluded_reasons(self) -> dict[str, str]:
        """Case -> why it is excluded, for those that are."""
        table = tables.cases
        with self.database.read() as connection:
            rows = connection.execute(select(table.c.name, table.c.excluded_reason).where(table.c.role == "excluded"))
            return {row.name: row.excluded_reason for row in rows}

    def set_roles(self, roles: dict[str, Role]) -> None:
        """Case name -> role, in one transaction."""
        with self.database.write() as connection:
            for name, role in roles.items():
                connection.execute(update(tables.cases).where(tables.cases.c.name == name).values(role=role))

    def set_problems(self, name: str, problems: Sequence[str]) -> None:
        """Keep the sentences of the last look at a case, and those that were said of what its files were made from."""
        table = tables.properties
        with self.database.write() as connection:
            first = connection.execute(select(table.c.value).where(table.c.name == SAID_OF_SOURCES)).scalar() or {}
            kept = list(dict.fromkeys((*problems, *first.get(name, ()))))
            connection.execute(update(tables.cases).where(tables.cases.c.name == name).values(problems=kept))

    def freeze_record(self, record: PreprocessingRecord) -> None:
        """Make `record` the study's preprocessing, once.

        Raises:
            StudyError: another record is frozen already.
        """
        with self.database.write() as connection:
            kept = connection.execute(select(tables.preprocessing)).all()
            if any(row.key == record.key for row in kept):
                return
            if kept:
                raise StudyError(
                    "The preprocessing of this study is frozen, and these settings differ from it.",
                    hint="Use the frozen settings, or create a new study.",
                )
            connection.execute(insert(tables.preprocessing).values(key=record.key, record=asdict(record), created=now()))

    def frozen_record(self) -> PreprocessingRecord | None:
        """The preprocessing record, None before `prepare`."""
        with self.database.read() as connection:
            row = connection.execute(select(tables.preprocessing)).first()
        if row is None:
            return None
        return record_of(row.record)


def exclude(connection: Connection, name: str, reason: str, *, retry: bool = False) -> None:
    """As `CaseRows.exclude_case`, inside a running transaction."""
    role = connection.execute(select(tables.cases.c.role).where(tables.cases.c.name == name)).scalar()
    if not retry or role != "excluded":
        put_property(connection, _ROLE_BEFORE + name, role if retry else None)
    if role != "excluded":
        put_property(connection, _ROLE_TAKEN + name, None if retry else role)
    connection.execute(update(tables.cases).where(tables.cases.c.name == name).values(role="excluded", excluded_reason=reason))


def include(connection: Connection, name: str) -> None:
    """Give a case back the role that a person took, inside a running transaction. Raises: StudyError, when none is known."""
    table = tables.properties
    role = connection.execute(select(table.c.value).where(table.c.name == _ROLE_TAKEN + name)).scalar()
    if role not in get_args(Role):
        raise StudyError(
            f"Case {name} cannot be included again: no role is known that it had before.", hint="`study show` says why a case is excluded."
        )
    put_property(connection, _ROLE_TAKEN + name, None)
    connection.execute(update(tables.cases).where(tables.cases.c.name == name).values(role=role, excluded_reason=""))


def put_property(connection: Connection, name: str, value: Any) -> None:
    """Insert or replace one property inside a running transaction."""
    done = connection.execute(update(tables.properties).where(tables.properties.c.name == name).values(value=value))
    if done.rowcount == 0:
        connection.execute(insert(tables.properties).values(name=name, value=value))


def insert_cases(connection: Connection, cases: Sequence[Case], *, folder: Path) -> None:
    """Add the cohort inside a running transaction. Paths inside the study's folder are kept relative to it, so that it can be moved."""
    for position, case in enumerate(cases):
        connection.execute(
            insert(tables.cases).values(
                name=case.name,
                position=position,
                patient=case.patient,
                site=case.site,
                role=case.role,
                label=_kept(case.label, folder),
                mask=_kept(case.mask, folder),
                geometry=case.geometry.to_json() if case.geometry else None,
                excluded_reason=case.excluded_reason,
                problems=list(case.problems),
            )
        )
        for modality, path in case.images.items():
            connection.execute(insert(tables.images).values(case=case.name, modality=modality, path=_kept(path, folder)))


def _kept(path: str | None, folder: Path) -> str | None:
    if path is None or not Path(path).is_relative_to(folder):
        return path
    return Path(path).relative_to(folder).as_posix()


def _case(row: Any, images: dict[str, str], place: Callable[[Any, str], str]) -> Case:
    return Case(
        name=row.name,
        patient=row.patient,
        role=row.role,
        images={modality: place(path, row.name) for modality, path in images.items()},
        label=None if row.label is None else place(row.label, row.name),
        mask=None if row.mask is None else place(row.mask, row.name),
        site=row.site,
        geometry=None if row.geometry is None else geometry_of(row.geometry, row.name),
        excluded_reason=row.excluded_reason,
        problems=tuple(row.problems),
    )
