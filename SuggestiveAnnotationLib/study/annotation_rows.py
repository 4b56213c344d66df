"""Rows about the work of people: drafts, annotations, events."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal, select, update
from sqlalchemy import case as case_of

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.case_rows import exclude, include
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.records import (
    Annotation,
    Draft,
    Event,
    PackedLabels,
    Review,
    WorkNote,
    now,
    pack,
    ref_columns,
    row_ref,
    unpack,
)
from SuggestiveAnnotationLib.study.round_rows import (
    answer_suggestion,
    draft_suggestion,
    reopen_suggestion,
    resume_suggestions_of_case,
    skip_suggestions_of_case,
    undraft_suggestion,
)
from SuggestiveAnnotationLib.study.tables import accepted_by_people, same_slice
from SuggestiveAnnotationLib.types import FILLED, LabelArray, Provenance, Role, SliceRef, Verdict, describe

UNDOABLE = timedelta(hours=24)
"""An older accept is not undone by a click: it is reopened and corrected."""


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
        self.save_drafts({ref: (labels, prediction_id)}, annotator=annotator)

    def save_drafts(self, drafts: Mapping[SliceRef, tuple[LabelArray, int | None]], *, annotator: str) -> None:
        """Keep unaccepted work, slice -> (labels, prediction it began with), in one transaction."""
        if not drafts:
            return
        with self.database.write() as connection:
            for ref, (labels, prediction_id) in drafts.items():
                _delete_draft(connection, ref, annotator)
                connection.execute(
                    insert(tables.drafts).values(
                        **ref_columns(ref), annotator=annotator, prediction_id=prediction_id, updated=now(), **pack(labels)
                    )
                )
                draft_suggestion(connection, ref)

    def drafts(self, *, annotator: str | None = None, case: str | None = None, ref: SliceRef | None = None) -> tuple[Draft, ...]:
        """Unaccepted work, oldest first; of one annotator, case or slice if given."""
        query = select(tables.drafts).order_by(tables.drafts.c.updated)
        if annotator is not None:
            query = query.where(tables.drafts.c.annotator == annotator)
        if case is not None:
            query = query.where(tables.drafts.c.case == case)
        if ref is not None:
            query = query.where(*same_slice(tables.drafts, ref))
        with self.database.read() as connection:
            return tuple(
                Draft(ref=row_ref(r), annotator=r.annotator, labels=unpack(r, row_ref(r)), prediction_id=r.prediction_id, updated=r.updated)
                for r in connection.execute(query)
            )

    def draft_counts(self, annotator: str) -> dict[str, int]:
        """Case -> number of drafts of one annotator; reads no labels."""
        table = tables.drafts
        query = select(table.c.case, func.count()).where(table.c.annotator == annotator).group_by(table.c.case)
        with self.database.read() as connection:
            return {case: count for case, count in connection.execute(query)}

    def discard_draft(self, ref: SliceRef, *, annotator: str) -> None:
        """Forget unaccepted work on a slice; its suggestion waits as before."""
        self.discard_drafts([ref], annotator=annotator)

    def discard_drafts(self, refs: Collection[SliceRef], *, annotator: str) -> None:
        """As `discard_draft`, for several slices in one transaction."""
        if not refs:
            return
        with self.database.write() as connection:
            for ref in refs:
                _delete_draft(connection, ref, annotator)
                undraft_suggestion(connection, ref)

    def accept(self, new: Sequence[NewAnnotation], *, annotator: str) -> str:
        """Accept slices of one case in one transaction: whole or not at all.

        An annotation of the same slice by the same annotator is superseded, and a filled one; its draft is used up, its suggestion
        answered. Filling takes the place of nothing, uses up no draft and answers nothing.

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
                counting = (*same_slice(table, one.ref), table.c.state == "accepted")
                held = connection.execute(select(table.c.id, table.c.annotator, table.c.provenance).where(*counting)).all()
                filled = one.provenance == FILLED
                if filled and held:
                    # Somebody may have accepted it since it was chosen to be filled.
                    continue
                own = [row.id for row in held if row.annotator == annotator]
                replaced = own + [row.id for row in held if row.provenance == FILLED and row.id not in own]
                connection.execute(update(table).where(table.c.id.in_(replaced)).values(state="superseded"))
                connection.execute(
                    insert(table).values(
                        batch=batch, **ref_columns(one.ref), annotator=annotator, provenance=one.provenance, state="accepted",
                        round=current, prediction_id=one.prediction_id, supersedes=next(iter(replaced), None),
                        effort=dict(one.effort) if one.effort else None, minutes=one.minutes, accepted_at=at, **pack(one.labels),
                    )
                )  # fmt: skip
                if not filled:
                    _delete_draft(connection, one.ref, annotator)
                    answer_suggestion(connection, one.ref, "accepted")
                _event(connection, "accepted", annotator, one.ref, {"batch": batch, "provenance": one.provenance})
        return batch

    def undo_accept(self, batch: str, *, annotator: str) -> tuple[SliceRef, ...]:
        """Take back one accept: what it superseded counts again, its labels become drafts, except where a newer draft lies.

        Raises:
            StudyError: that accept is not there, was undone, or was superseded since.
        """
        table = tables.annotations
        with self.database.write() as connection:
            rows = connection.execute(select(table).where(table.c.batch == batch, table.c.annotator == annotator)).all()
            if not rows or any(row.state != "accepted" for row in rows):
                sentence = "That accept cannot be undone: it is not there, was undone or returned, or accepted again since."
                raise StudyError(sentence, hint="Reopen the slice to correct it.")
            for row in rows:
                ref = row_ref(row)
                connection.execute(update(table).where(table.c.id == row.id).values(state="undone"))
                if row.supersedes is not None:
                    connection.execute(update(table).where(table.c.id == row.supersedes).values(state="accepted"))
                _draft_of_accepted(connection, row)
                reopen_suggestion(connection, ref)
                _event(connection, "accept undone", annotator, ref, {"batch": batch})
        return tuple(row_ref(row) for row in rows)

    def withdraw_filled(self, annotation_ids: Collection[int]) -> None:
        """Filled annotations count no longer. Those of people stay as they are."""
        table = tables.annotations
        of_these = (table.c.id.in_(annotation_ids), table.c.state == "accepted", table.c.provenance == FILLED)
        with self.database.write() as connection:
            connection.execute(update(table).where(*of_these).values(state="undone"))

    def last_accept(self, annotator: str, *, within: timedelta = UNDOABLE) -> str | None:
        """Batch of an annotator's newest accept that still counts and is not older than `within`. Filling is nobody's."""
        table = tables.annotations
        since = (datetime.now(UTC) - within).isoformat(timespec="milliseconds")
        mine = (table.c.annotator == annotator, *accepted_by_people(), table.c.accepted_at >= since)
        query = select(table.c.batch).where(*mine).order_by(table.c.id.desc()).limit(1)
        with self.database.read() as connection:
            batch: str | None = connection.execute(query).scalar()
        return batch

    def annotations(self, *, case: str | None = None, round_number: int | None = None) -> tuple[Annotation, ...]:
        """The accepted annotations, filled slices too, one a slice: where two people accepted the same slice, the later one."""
        latest = {a.ref: a for a in self.all_annotations(case=case) if a.state == "accepted"}
        kept = sorted(latest.values(), key=lambda a: a.id)
        return tuple(a for a in kept if round_number is None or a.round == round_number)

    def all_annotations(self, *, case: str | None = None, batch: str | None = None, ref: SliceRef | None = None) -> tuple[Annotation, ...]:
        """Every annotation ever accepted (of one case, of one accept, of one slice), whatever became of it, oldest first."""
        query = select(tables.annotations).order_by(tables.annotations.c.id)
        if case is not None:
            query = query.where(tables.annotations.c.case == case)
        if batch is not None:
            query = query.where(tables.annotations.c.batch == batch)
        if ref is not None:
            query = query.where(*same_slice(tables.annotations, ref))
        with self.database.read() as connection:
            return tuple(_annotation(row) for row in connection.execute(query))

    def work_notes(self, *, case: str | None = None, ref: SliceRef | None = None) -> tuple[WorkNote, ...]:
        """Every annotation ever accepted (of a case, of a slice), whatever became of it, oldest first, then every draft, without labels.
        Filled ones are nobody's work.
        """
        notes: list[WorkNote] = []
        for table in (tables.annotations, tables.drafts):
            drafts = table is tables.drafts
            at = table.c.updated if drafts else table.c.accepted_at
            columns = [table.c.case, table.c.axis, table.c.native_index, table.c.annotator, table.c.prediction_id, at.label("at")]
            columns += [literal(None).label("id"), literal("draft").label("state")] if drafts else [table.c.id, table.c.state]
            query = select(*columns).order_by(at if drafts else table.c.id)
            if table is tables.annotations:
                query = query.where(table.c.provenance != FILLED)
            if case is not None:
                query = query.where(table.c.case == case)
            if ref is not None:
                query = query.where(*same_slice(table, ref))
            with self.database.read() as connection:
                notes += [WorkNote(r.id, row_ref(r), r.annotator, r.state, r.prediction_id, r.at) for r in connection.execute(query)]
        return tuple(notes)

    def annotated_refs(self, *, role: Role | None = None) -> frozenset[SliceRef]:
        """Slices with an accepted annotation, of cases of one role if given, without filled ones; reads no labels."""
        return self._refs_where(*accepted_by_people(), *([] if role is None else [tables.cases.c.role == role]))

    def is_annotated(self, role: Role) -> bool:
        """Whether `annotated_refs` of cases of a role has any; cheap to ask for at every step."""
        table, cases = tables.annotations, tables.cases
        join = select(table.c.id).join(cases, cases.c.name == table.c.case)
        query = join.where(*accepted_by_people(), cases.c.role == role).limit(1)
        with self.database.read() as connection:
            return connection.execute(query).first() is not None

    def filled_refs(self) -> frozenset[SliceRef]:
        """Slices with a filled annotation and no other; reads no labels."""
        table = tables.annotations
        return self._refs_where(table.c.state == "accepted", table.c.provenance == FILLED) - self.annotated_refs()

    def _refs_where(self, *wanted: ColumnElement[bool]) -> frozenset[SliceRef]:
        table, cases = tables.annotations, tables.cases
        place = (table.c.case, table.c.axis, table.c.native_index)
        query = select(*place).join(cases, cases.c.name == table.c.case).where(*wanted)
        with self.database.read() as connection:
            return frozenset(row_ref(row) for row in connection.execute(query))

    def accepted_counts(self) -> dict[str, int]:
        """Case -> number of slices with an accepted annotation; reads no labels."""
        return Counter(ref.case for ref in self.annotated_refs())

    def accepted_counts_by_state(self) -> dict[str, dict[str, int]]:
        """Case -> number of slices with an accepted annotation, by what became of it ("reviewed" where another reader approved, else
        "accepted"), without filled ones; a slice on which readers have both counts in both. Reads no labels.
        """
        table, reviews = tables.annotations, tables.reviews
        last = select(func.max(reviews.c.id)).group_by(reviews.c.annotation_id)
        approved = select(reviews.c.annotation_id).where(reviews.c.id.in_(last), reviews.c.verdict == "approved")
        state = case_of((table.c.id.in_(approved), "reviewed"), else_="accepted").label("became")
        columns = [table.c.case, table.c.axis, table.c.native_index, state]
        slices = select(*columns).where(*accepted_by_people()).distinct().subquery()
        counts: dict[str, dict[str, int]] = {}
        with self.database.read() as connection:
            for row in connection.execute(select(slices.c.case, slices.c.became, func.count()).group_by(slices.c.case, slices.c.became)):
                counts.setdefault(row[0], {})[row[1]] = row[2]
        return counts

    def exclude_case_by(self, annotator: str, case: str, *, reason: str) -> None:
        """A reader takes a case out of everything; what waits in it is answered, in the same transaction."""
        with self.database.write() as connection:
            exclude(connection, case, reason)
            skip_suggestions_of_case(connection, case, reason=reason)
            _event(connection, "case excluded", annotator, None, {"case": case, "reason": reason})

    def include_case_by(self, annotator: str, case: str) -> None:
        """A reader takes back that a case was excluded; what waited in it waits again, in the same transaction.

        Raises:
            StudyError: no person excluded it.
        """
        with self.database.write() as connection:
            include(connection, case)
            resume_suggestions_of_case(connection, case)
            _event(connection, "case included", annotator, None, {"case": case})

    def review(self, annotation_ids: Sequence[int], *, reviewer: str, verdict: Verdict, note: str = "") -> None:
        """Keep what a second reader says of annotations, in one transaction.

        A returned annotation no longer counts: its labels become the drawer's draft, unless there is one, and its suggestion waits again.

        Raises:
            StudyError: an annotation is not there or does not count any more, or the reviewer drew it.
        """
        table = tables.annotations
        with self.database.write() as connection:
            for identifier in annotation_ids:
                row = connection.execute(select(table).where(table.c.id == identifier)).first()
                if row is None or row.state != "accepted":
                    sentence = "That annotation cannot be reviewed: it was undone, returned or accepted again since."
                    raise StudyError(sentence, hint="Look at the slice as it is now.")
                ref = row_ref(row)
                if row.annotator == reviewer:
                    raise StudyError(f"{reviewer} drew {describe(ref)}.", hint="Somebody else has to review it.")
                connection.execute(
                    insert(tables.reviews).values(annotation_id=identifier, reviewer=reviewer, verdict=verdict, note=note, at=now())
                )
                if verdict == "returned":
                    connection.execute(update(table).where(table.c.id == identifier).values(state="returned"))
                    _draft_of_accepted(connection, row)
                    reopen_suggestion(connection, ref)
                _event(connection, verdict, reviewer, ref, {"annotation": identifier, "note": note})

    def reviews(self) -> dict[int, Review]:
        """Annotation -> what was said of it last."""
        with self.database.read() as connection:
            rows = connection.execute(select(tables.reviews).order_by(tables.reviews.c.id))
            return {row.annotation_id: Review(**row._mapping) for row in rows}

    def unreviewed(self, reviewer: str) -> frozenset[SliceRef]:
        """Slices whose last accept by somebody else nobody has reviewed, of cases that are not excluded; without labels that were imported,
        and without slices that the reviewer has accepted. Reads no labels.
        """
        table, cases = tables.annotations, tables.cases
        place = (table.c.case, table.c.axis, table.c.native_index)
        accepted = table.c.state == "accepted"
        newest = select(func.max(table.c.id)).where(accepted, table.c.annotator != reviewer).group_by(*place)
        query = (
            select(*place)
            .join(cases, cases.c.name == table.c.case)
            .where(table.c.id.in_(newest), cases.c.role != "excluded", table.c.provenance.not_in(("imported", FILLED)))
            .where(table.c.id.not_in(select(tables.reviews.c.annotation_id)))
        )
        own = select(*place).where(accepted, table.c.annotator == reviewer)
        with self.database.read() as connection:
            found = frozenset(map(row_ref, connection.execute(query)))
            return found - frozenset(map(row_ref, connection.execute(own))) if found else found

    def record_event(self, kind: str, *, annotator: str, ref: SliceRef | None = None, payload: Mapping[str, Any] | None = None) -> None:
        """Keep one raw event."""
        with self.database.write() as connection:
            _event(connection, kind, annotator, ref, payload or {})

    def record_events(self, kind: str, payloads: Mapping[SliceRef, Mapping[str, Any]], *, annotator: str) -> None:
        """Keep a raw event for each of several slices, in one transaction."""
        if not payloads:
            return
        with self.database.write() as connection:
            for ref, payload in payloads.items():
                _event(connection, kind, annotator, ref, payload)

    def events(
        self, *, ref: SliceRef | None = None, case: str | None = None, kind: str | None = None, annotator: str | None = None
    ) -> tuple[Event, ...]:
        """Raw events, oldest first."""
        table = tables.events
        query = select(table).order_by(table.c.id)
        if case is not None:
            query = query.where(table.c.case == case)
        if ref is not None:
            query = query.where(*same_slice(table, ref))
        if kind is not None:
            query = query.where(table.c.kind == kind)
        if annotator is not None:
            query = query.where(table.c.annotator == annotator)
        with self.database.read() as connection:
            return tuple(
                Event(id=r.id, at=r.at, annotator=r.annotator, ref=row_ref(r) if r.case else None, kind=r.kind, payload=r.payload)
                for r in connection.execute(query)
            )

    def first_event_time(self, ref: SliceRef, *, annotator: str, after: str = "") -> str | None:
        """Time of an annotator's first raw event on a slice after a moment, None where there is none."""
        table = tables.events
        mine = (*same_slice(table, ref), table.c.annotator == annotator, table.c.at > after)
        with self.database.read() as connection:
            at: str | None = connection.execute(select(func.min(table.c.at)).where(*mine)).scalar()
        return at

    def last_event_time(self, annotator: str) -> str:
        """Stamp of an annotator's last raw event, in the order of events, not of stamps; empty where there is none."""
        table = tables.events
        query = select(table.c.at).where(table.c.annotator == annotator).order_by(table.c.id.desc()).limit(1)
        with self.database.read() as connection:
            return connection.execute(query).scalar() or ""

    def event_times(self, annotator: str, *, since: str = "") -> tuple[tuple[str, str, SliceRef | None], ...]:
        """Time, kind and slice of every raw event of an annotator from a moment on, oldest first: what times are derived from."""
        table = tables.events
        columns = (table.c.at, table.c.kind, table.c.case, table.c.axis, table.c.native_index)
        query = select(*columns).where(table.c.annotator == annotator, table.c.at >= since).order_by(table.c.id)
        with self.database.read() as connection:
            return tuple((r.at, r.kind, row_ref(r) if r.case else None) for r in connection.execute(query))


def _draft_of_accepted(connection: Connection, row: Any) -> None:
    """The labels of an annotation become the draft of who drew it; a draft that is there is newer work, and stays."""
    mine = (*same_slice(tables.drafts, row_ref(row)), tables.drafts.c.annotator == row.annotator)
    if connection.execute(select(tables.drafts.c.updated).where(*mine)).first() is None:
        connection.execute(
            insert(tables.drafts).values(
                **ref_columns(row_ref(row)), annotator=row.annotator, prediction_id=row.prediction_id, updated=now(),
                labels=row.labels, rows=row.rows, columns=row.columns,
            )
        )  # fmt: skip


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
