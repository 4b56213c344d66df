"""Rows about the work of people: drafts, annotations, events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.records import Annotation, Draft, Event, PackedLabels, now, pack, ref_columns, row_ref, unpack
from SuggestiveAnnotationLib.study.round_rows import answer_suggestion, draft_suggestion, reopen_suggestion
from SuggestiveAnnotationLib.study.tables import same_slice
from SuggestiveAnnotationLib.types import LabelArray, Provenance, Role, SliceRef


@dataclass(frozen=True)
class NewAnnotation:
    """A slice about to be accepted; fields as in `records.Annotation`."""

    ref: SliceRef
    labels: LabelArray
    provenance: Provenance
    prediction_id: int | None = None
    effort: Mapping[str, Any] | None = None
    minutes: float | None = None


class AnnotationRows:
    """Part of `Study`: what people did."""

    database: Database

    def save_draft(self, ref: SliceRef, labels: LabelArray, *, annotator: str, prediction_id: int | None) -> None:
        """Keep unaccepted work on one slice; the newest replaces the one before."""
        with self.database.write() as connection:
            _delete_draft(connection, ref, annotator)
            connection.execute(
                insert(tables.drafts).values(
                    **ref_columns(ref), annotator=annotator, prediction_id=prediction_id, updated=now(), **pack(labels)
                )
            )
            draft_suggestion(connection, ref)

    def drafts(self, *, annotator: str | None = None) -> tuple[Draft, ...]:
        """Unaccepted work, oldest first."""
        query = select(tables.drafts).order_by(tables.drafts.c.updated)
        if annotator is not None:
            query = query.where(tables.drafts.c.annotator == annotator)
        with self.database.read() as connection:
            return tuple(
                Draft(ref=row_ref(r), annotator=r.annotator, labels=unpack(r, row_ref(r)), prediction_id=r.prediction_id, updated=r.updated)
                for r in connection.execute(query)
            )

    def accept(self, new: Sequence[NewAnnotation], *, annotator: str) -> str:
        """Accept slices of one case in one transaction: whole or not at all.

        An annotation of the same slice by the same annotator is superseded, its draft is used up, its suggestion answered.

        Returns:
            The batch, by which the accept can be undone.

        Raises:
            StudyError: no slice, slices of two cases, or one slice twice.
        """
        refs = [one.ref for one in new]
        if not refs:
            raise StudyError("There is no slice to accept.")
        if len({ref.case for ref in refs}) > 1 or len(set(refs)) < len(refs):
            raise StudyError("One accept takes different slices of one case.", hint="Accept case by case.")
        batch, at = uuid.uuid4().hex, now()
        table = tables.annotations
        with self.database.write() as connection:
            current = connection.execute(select(tables.rounds.c.number).order_by(tables.rounds.c.number.desc())).scalar()
            for one in new:
                kept = connection.execute(
                    select(table.c.id).where(*same_slice(table, one.ref), table.c.annotator == annotator, table.c.state == "accepted")
                ).scalar()
                if kept is not None:
                    connection.execute(update(table).where(table.c.id == kept).values(state="superseded"))
                connection.execute(
                    insert(table).values(
                        batch=batch, **ref_columns(one.ref), annotator=annotator, provenance=one.provenance, state="accepted",
                        round=current, prediction_id=one.prediction_id, supersedes=kept, effort=dict(one.effort) if one.effort else None,
                        minutes=one.minutes, accepted_at=at, **pack(one.labels),
                    )
                )  # fmt: skip
                _delete_draft(connection, one.ref, annotator)
                answer_suggestion(connection, one.ref, "accepted")
                _event(connection, "accepted", annotator, one.ref, {"batch": batch, "provenance": one.provenance})
        return batch

    def undo_accept(self, batch: str, *, annotator: str) -> tuple[SliceRef, ...]:
        """Take back one accept: its labels become drafts again, what it superseded counts again.

        Raises:
            StudyError: that accept is not there, was undone, or was superseded since.
        """
        table = tables.annotations
        with self.database.write() as connection:
            rows = connection.execute(select(table).where(table.c.batch == batch, table.c.annotator == annotator)).all()
            if not rows or any(row.state != "accepted" for row in rows):
                raise StudyError("That accept cannot be undone: it is not there, was undone, or the slice was accepted again since.")
            for row in rows:
                ref = row_ref(row)
                connection.execute(update(table).where(table.c.id == row.id).values(state="undone"))
                if row.supersedes is not None:
                    connection.execute(update(table).where(table.c.id == row.supersedes).values(state="accepted"))
                _delete_draft(connection, ref, annotator)
                connection.execute(
                    insert(tables.drafts).values(
                        **ref_columns(ref), annotator=annotator, prediction_id=row.prediction_id, updated=now(),
                        labels=row.labels, rows=row.rows, columns=row.columns,
                    )
                )  # fmt: skip
                reopen_suggestion(connection, ref)
                _event(connection, "accept undone", annotator, ref, {"batch": batch})
        return tuple(row_ref(row) for row in rows)

    def annotations(self, *, case: str | None = None, round_number: int | None = None) -> tuple[Annotation, ...]:
        """The accepted annotations, one a slice: where two people accepted the same slice, the later one."""
        latest = {a.ref: a for a in self.all_annotations(case=case) if a.state == "accepted"}
        kept = sorted(latest.values(), key=lambda a: a.id)
        return tuple(a for a in kept if round_number is None or a.round == round_number)

    def all_annotations(self, *, case: str | None = None, batch: str | None = None) -> tuple[Annotation, ...]:
        """Every annotation ever accepted (of one case, of one accept), whatever became of it, oldest first."""
        query = select(tables.annotations).order_by(tables.annotations.c.id)
        if case is not None:
            query = query.where(tables.annotations.c.case == case)
        if batch is not None:
            query = query.where(tables.annotations.c.batch == batch)
        with self.database.read() as connection:
            return tuple(_annotation(row) for row in connection.execute(query))

    def work_began_with(self, ref: SliceRef, *, annotator: str) -> tuple[bool, int | None]:
        """Whether an annotator has a draft or an accepted annotation of a slice, and the prediction it began with."""
        with self.database.read() as connection:
            for table in (tables.drafts, tables.annotations):
                query = select(table.c.prediction_id).where(*same_slice(table, ref), table.c.annotator == annotator)
                if table is tables.annotations:
                    query = query.where(table.c.state == "accepted")
                row = connection.execute(query).first()
                if row is not None:
                    return True, row.prediction_id
        return False, None

    def annotated_refs(self, *, role: Role | None = None) -> frozenset[SliceRef]:
        """Slices with an accepted annotation, of cases of one role if given; reads no labels."""
        table = tables.annotations
        query = select(table.c.case, table.c.axis, table.c.native_index).where(table.c.state == "accepted")
        if role is not None:
            query = query.join(tables.cases, tables.cases.c.name == table.c.case).where(tables.cases.c.role == role)
        with self.database.read() as connection:
            return frozenset(row_ref(row) for row in connection.execute(query))

    def record_event(self, kind: str, *, annotator: str, ref: SliceRef | None = None, payload: Mapping[str, Any] | None = None) -> None:
        """Keep one raw event."""
        with self.database.write() as connection:
            _event(connection, kind, annotator, ref, payload or {})

    def events(self, *, ref: SliceRef | None = None, kind: str | None = None) -> tuple[Event, ...]:
        """Raw events, oldest first."""
        table = tables.events
        query = select(table).order_by(table.c.id)
        if ref is not None:
            query = query.where(*same_slice(table, ref))
        if kind is not None:
            query = query.where(table.c.kind == kind)
        with self.database.read() as connection:
            return tuple(
                Event(id=r.id, at=r.at, annotator=r.annotator, ref=row_ref(r) if r.case else None, kind=r.kind, payload=r.payload)
                for r in connection.execute(query)
            )


def _delete_draft(connection: Connection, ref: SliceRef, annotator: str) -> None:
    connection.execute(delete(tables.drafts).where(*same_slice(tables.drafts, ref), tables.drafts.c.annotator == annotator))


def _event(connection: Connection, kind: str, annotator: str, ref: SliceRef | None, payload: Mapping[str, Any]) -> None:
    place = ref_columns(ref) if ref else {}
    connection.execute(insert(tables.events).values(at=now(), annotator=annotator, kind=kind, payload=dict(payload), **place))


def _annotation(row: Any) -> Annotation:
    return Annotation(
        id=row.id, batch=row.batch, ref=row_ref(row), annotator=row.annotator, provenance=row.provenance, state=row.state, round=row.round,
        prediction_id=row.prediction_id, effort=row.effort, minutes=row.minutes, accepted_at=row.accepted_at,
        packed=PackedLabels(row.labels, row.rows, row.columns),
    )  # fmt: skip
