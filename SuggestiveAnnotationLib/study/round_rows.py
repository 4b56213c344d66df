"""Rows about the work of the machine: rounds, models, predictions, suggestions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update
from sqlalchemy import case as sql_case

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.arrays import open_npy
from SuggestiveAnnotationLib.study.metric_rows import MetricRows
from SuggestiveAnnotationLib.study.records import (
    Model,
    Prediction,
    Round,
    SuggestionRow,
    SuggestionStateRow,
    now,
    pack,
    ref_columns,
    row_ref,
    unpack,
)
from SuggestiveAnnotationLib.study.tables import accepted_by_people, same_slice
from SuggestiveAnnotationLib.study.trust import damaged, geometry_of, inside, relative_inside, slice_ref
from SuggestiveAnnotationLib.types import (
    LabelArray,
    ModelKind,
    Rationale,
    RoundStage,
    SliceRef,
    Suggestion,
    SuggestionState,
    Unit,
    describe,
)

GO_ON = "`run-round` goes on with it, `finish-round --abandon` drops it."
_OPEN_STATES = ("suggested", "draft")
_CASE_EXCLUDED = "case excluded: "
"""Begins the reason of suggestions that were answered with their case."""


class RoundRows(MetricRows):
    """Part of `Study`: rounds and what they made."""

    path: Path

    # Rounds

    def rounds(self) -> tuple[Round, ...]:
        """Every round, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(select(tables.rounds).order_by(tables.rounds.c.number)).all()
        return tuple(_round(row) for row in rows)

    def current_round(self) -> Round | None:
        """The newest round, finished or not."""
        rounds = self.rounds()
        return rounds[-1] if rounds else None

    def start_round(
        self,
        *,
        strategy: str,
        budget: int,
        seed: int,
        unit: Unit,
        settings: Mapping[str, Any],
        suggestions: Sequence[Suggestion] | None = None,
        notes: Sequence[str] = (),
        seconds: Mapping[str, float] | None = None,
    ) -> Round:
        """Begin the next round: in the stage `training`, or with its suggestions in the stage `predicting`.

        Raises:
            StudyError: the round before it is not finished.
        """
        with self.database.write() as connection:
            last = connection.execute(select(tables.rounds).order_by(tables.rounds.c.number.desc())).first()
            if last is not None and last.stage != "finished":
                raise StudyError(f"Round {last.number} is not finished (it is {last.stage}).", hint=f"Finish it first. {GO_ON}")
            number = 0 if last is None else last.number + 1
            connection.execute(
                insert(tables.rounds).values(
                    number=number, stage="training", strategy=strategy, unit=unit, budget=budget, seed=seed,
                    settings=dict(settings), seconds={}, notes=[], started=now(), finished=None,
                )
            )  # fmt: skip
            if suggestions is not None:
                self._publish(connection, number, suggestions, notes, seconds or {})
        return self.rounds()[-1]

    def enter_stage(self, number: int, stage: RoundStage, *, seconds: Mapping[str, float] | None = None) -> None:
        """Move a round to a stage; `seconds` are what the stages before it took."""
        with self.database.write() as connection:
            self._enter(connection, number, stage, seconds or {})

    def publish_suggestions(
        self, number: int, suggestions: Sequence[Suggestion], *, notes: Sequence[str] = (), seconds: Mapping[str, float] | None = None
    ) -> None:
        """All suggestions of a round and its step to the stage `predicting`, in one transaction.

        A strategy may think for minutes: what people accepted or excluded meanwhile is left out, and a note says how many.
        """
        with self.database.write() as connection:
            self._publish(connection, number, suggestions, notes, seconds or {})

    def _publish(
        self, connection: Any, number: int, suggestions: Sequence[Suggestion], notes: Sequence[str], seconds: Mapping[str, float]
    ) -> None:
        connection.execute(delete(tables.suggestions).where(tables.suggestions.c.round == number))
        settled = _settled(connection, [one.ref for one in suggestions])
        if settled:
            left = f"{len(settled)} suggested {'slice was' if len(settled) == 1 else 'slices were'}"
            notes = [*notes, f"{left} left out: accepted, or the case excluded, while they were being chosen."]
        for one in suggestions:
            if one.ref in settled or one.context_of in settled:
                continue
            connection.execute(
                insert(tables.suggestions).values(
                    round=number, rank=one.rank, **ref_columns(one.ref), kind=one.kind,
                    context_of=one.context_of.native_index if one.context_of else None,
                    state="suggested", reason="", rationale=one.rationale.to_json(),
                )
            )  # fmt: skip
        connection.execute(update(tables.rounds).where(tables.rounds.c.number == number).values(notes=list(notes)))
        self._enter(connection, number, "predicting", seconds)

    def finish_round(self, number: int) -> None:
        """Close a round at whatever stage; suggestions nobody answered expire, their drafts survive."""
        with self.database.write() as connection:
            connection.execute(
                update(tables.suggestions)
                .where(tables.suggestions.c.round == number, tables.suggestions.c.state.in_(_OPEN_STATES))
                .values(state="expired")
            )
            self._enter(connection, number, "finished", {})
            connection.execute(update(tables.rounds).where(tables.rounds.c.number == number).values(finished=now()))

    @staticmethod
    def _enter(connection: Any, number: int, stage: RoundStage, seconds: Mapping[str, float]) -> None:
        row = connection.execute(select(tables.rounds).where(tables.rounds.c.number == number)).one()
        total = {**row.seconds, **{k: round(row.seconds.get(k, 0) + v, 3) for k, v in seconds.items()}}
        connection.execute(update(tables.rounds).where(tables.rounds.c.number == number).values(stage=stage, seconds=total))

    # Suggestions

    def suggestions(self, number: int | None = None) -> tuple[SuggestionRow, ...]:
        """Suggestions of one round (or of all) by rank; context slices follow their slice."""
        query = select(tables.suggestions).order_by(tables.suggestions.c.round, tables.suggestions.c.rank, tables.suggestions.c.id)
        if number is not None:
            query = query.where(tables.suggestions.c.round == number)
        with self.database.read() as connection:
            return tuple(_suggestion(row) for row in connection.execute(query))

    def suggestion_states(self, number: int | None = None, *, case: str | None = None) -> tuple[SuggestionStateRow, ...]:
        """What became of the suggestions (of a round, of a case), in the order of `suggestions`, without their rationales: cheap to ask for
        at every step.
        """
        table = tables.suggestions
        columns = [column for column in table.c if column.name not in ("rationale", "context_of")]
        query = select(*columns).order_by(table.c.round, table.c.rank, table.c.id)
        if number is not None:
            query = query.where(table.c.round == number)
        if case is not None:
            query = query.where(table.c.case == case)
        with self.database.read() as connection:
            return tuple(
                SuggestionStateRow(r.id, r.round, row_ref(r), r.rank, r.kind, r.state, r.reason) for r in connection.execute(query)
            )

    def skip_suggestion(self, ref: SliceRef, *, reason: str, state: Literal["skipped", "unreadable"] = "skipped") -> None:
        """Answer the newest suggestion of a slice with a reason; nothing happens where there is none."""
        with self.database.write() as connection:
            answer_suggestion(connection, ref, state, reason=reason)

    def newest_round_with_suggestions(self) -> int | None:
        """Number of the newest round that has published suggestions."""
        with self.database.read() as connection:
            number: int | None = connection.execute(select(func.max(tables.suggestions.c.round))).scalar()
        return number

    def newest_suggestions(self, case: str | None = None) -> dict[SliceRef, SuggestionRow]:
        """Slice -> the newest suggestion of it, of one case if given."""
        query = select(tables.suggestions).order_by(tables.suggestions.c.round, tables.suggestions.c.id)
        if case is not None:
            query = query.where(tables.suggestions.c.case == case)
        with self.database.read() as connection:
            rows = [_suggestion(row) for row in connection.execute(query)]
        return {row.suggestion.ref: row for row in rows}

    def newest_predictions(self, case: str) -> dict[SliceRef, int]:
        """Slice -> id of the newest prediction of it; a network of another study takes the place of no labels that were there before the
        study. Reads no labels.
        """
        table = tables.predictions
        query = select(table.c.id, table.c.case, table.c.axis, table.c.native_index, table.c.model_id).where(table.c.case == case)
        with self.database.read() as connection:
            rows = connection.execute(query.order_by(table.c.model_id)).all()
        labels = {model.id for model in self.models("imported")}
        networks = {model.id for model in self.models("segmentation") if model.imported_from is not None} if labels else set()
        newest: dict[SliceRef, Any] = {}
        for row in rows:
            before = newest.get(row_ref(row))
            if before is None or before.model_id not in labels or row.model_id not in networks:
                newest[row_ref(row)] = row
        return {ref: row.id for ref, row in newest.items()}

    # Models and predictions

    def publish_model(
        self,
        kind: ModelKind,
        *,
        path: Path,
        card: Mapping[str, Any],
        record_key: str,
        round_number: int | None,
        latents: Path | None = None,
    ) -> Model:
        """Make a model known whose files are already whole on disk. `path` and `latents` lie inside the study."""
        with self.database.write() as connection:
            done = connection.execute(
                insert(tables.models).values(
                    kind=kind, round=round_number, record_key=record_key, path=self._inside(path),
                    latents=self._inside(latents) if latents else None, card=dict(card), created=now(),
                )
            )  # fmt: skip
            key = done.inserted_primary_key
        if key is None:
            raise StudyError("The database gave the model no number.", hint="Restore the study from a backup.")
        return self.model(key[0])

    def models(self, kind: ModelKind | None = None) -> tuple[Model, ...]:
        """Published models, oldest first."""
        query = select(tables.models).order_by(tables.models.c.id)
        if kind is not None:
            query = query.where(tables.models.c.kind == kind)
        with self.database.read() as connection:
            return tuple(self._model(row) for row in connection.execute(query))

    def model(self, identifier: int) -> Model:
        """Raises: StudyError, when there is no such model."""
        with self.database.read() as connection:
            row = connection.execute(select(tables.models).where(tables.models.c.id == identifier)).first()
        if row is None:
            raise StudyError(f"There is no model {identifier} in the study.")
        return self._model(row)

    def latest_model(self, kind: ModelKind) -> Model | None:
        """The newest published model of a kind."""
        newest = select(tables.models).where(tables.models.c.kind == kind).order_by(tables.models.c.id.desc()).limit(1)
        with self.database.read() as connection:
            row = connection.execute(newest).first()
        return None if row is None else self._model(row)

    def add_predictions(self, model_id: int, labels: Iterable[tuple[SliceRef, LabelArray]]) -> None:
        """Keep what a model says of slices, in one transaction; a prediction that exists stays as it is."""
        with self.database.write() as connection:
            for ref, array in labels:
                if not connection.execute(_prediction_query(ref, model_id)).first():
                    connection.execute(insert(tables.predictions).values(**ref_columns(ref), model_id=model_id, **pack(array)))

    def prediction(self, ref: SliceRef, *, model_id: int | None = None) -> Prediction | None:
        """What the given (else the newest) model said of a slice, None when no prediction was made."""
        with self.database.read() as connection:
            row = connection.execute(_prediction_query(ref, model_id)).first()
        return None if row is None else _prediction(row)

    def prediction_by_id(self, identifier: int) -> Prediction:
        """Raises: StudyError, when there is no such prediction."""
        return self.predictions_by_id([identifier])[identifier]

    def predictions_by_id(self, identifiers: Iterable[int]) -> dict[int, Prediction]:
        """Raises: StudyError, when one of them is not there."""
        wanted = set(identifiers)
        table = tables.predictions
        with self.database.read() as connection:
            found = {row.id: _prediction(row) for row in connection.execute(select(table).where(table.c.id.in_(wanted)))}
        for missing in sorted(wanted - set(found)):
            raise StudyError(f"There is no prediction {missing} in the study.")
        return found

    def prediction_ids(self, model_id: int) -> dict[SliceRef, int]:
        """Slice -> id of what one model said of it; reads no labels."""
        return self._prediction_ids(tables.predictions.c.model_id == model_id)

    def prediction_rounds(self) -> dict[int, int]:
        """Prediction -> round of the model that made it; of a network of another study, which has none, the newest round that suggested
        the slice before a model was trained here. Without those of models of no round. Reads no labels.
        """
        table, models = tables.predictions, tables.models
        query = select(table.c.id, models.c.round).join(models, models.c.id == table.c.model_id).where(models.c.round.is_not(None))
        with self.database.read() as connection:
            found = {row.id: row.round for row in connection.execute(query)}
        known = self.models("segmentation")
        for model in known:
            if model.imported_from is not None:
                end = min((one.round for one in known if one.id > model.id and one.round is not None), default=math.inf)
                suggested = {row.ref: row.round for row in self.suggestion_states() if row.round < end}
                found |= {identifier: suggested[ref] for ref, identifier in self.prediction_ids(model.id).items() if ref in suggested}
        return found

    def _prediction_ids(self, wanted: ColumnElement[bool]) -> dict[SliceRef, int]:
        table = tables.predictions
        query = select(table.c.id, table.c.case, table.c.axis, table.c.native_index).where(wanted).order_by(table.c.model_id)
        with self.database.read() as connection:
            return {row_ref(row): row.id for row in connection.execute(query)}

    def add_case_prediction(self, case: str, model_id: int, path: Path) -> None:
        """Make a whole-case prediction file known (`.npy` of schema values, native `(k, j, i)`)."""
        table = tables.case_predictions
        with self.database.write() as connection:
            connection.execute(delete(table).where(table.c.case == case, table.c.model_id == model_id))
            connection.execute(insert(table).values(case=case, model_id=model_id, path=self._inside(path)))

    def case_prediction(self, case: str, model_id: int) -> Path | None:
        """File of a whole-case prediction, None when it was not made or the file is damaged or gone."""
        table = tables.case_predictions
        with self.database.read() as connection:
            row = connection.execute(select(table).where(table.c.case == case, table.c.model_id == model_id)).first()
            grid = connection.execute(select(tables.cases.c.geometry).where(tables.cases.c.name == case)).scalar()
        if row is None:
            return None
        path = inside(self.path, row.path, what=f"the prediction of case {case}")
        try:
            array = open_npy(path)
        except (OSError, ValueError):
            return None
        fits = array.dtype in (np.uint8, np.uint16) and array.shape == geometry_of(grid, case).shape
        return path if fits else None

    def _inside(self, path: Path) -> str:
        return relative_inside(self.path, path, what="a model or a prediction")

    def _model(self, row: Any) -> Model:
        return Model(
            id=row.id, kind=row.kind, round=row.round, record_key=row.record_key,
            path=inside(self.path, row.path, what=f"model {row.id}"),
            latents=None if row.latents is None else inside(self.path, row.latents, what=f"the latents of model {row.id}"),
            card=row.card if isinstance(row.card, dict) else {}, created=row.created,
        )  # fmt: skip


def _settled(connection: Any, refs: Sequence[SliceRef]) -> set[SliceRef]:
    """Of some slices those that people have accepted, and those of excluded cases."""
    cases, table = tables.cases, tables.annotations
    excluded = set(connection.execute(select(cases.c.name).where(cases.c.role == "excluded")).scalars())
    drawn = select(table.c.case, table.c.axis, table.c.native_index).where(*accepted_by_people())
    accepted = {row_ref(row) for row in connection.execute(drawn)}
    return {ref for ref in refs if ref.case in excluded or ref in accepted}


def answer_suggestion(connection: Any, ref: SliceRef, state: SuggestionState, *, reason: str = "") -> None:
    """The newest suggestion of a slice is answered, whichever round it is of."""
    row = _newest_suggestion(connection, ref)
    if row is not None:
        _set_state(connection, row.id, state, reason)


def skip_suggestions_of_case(connection: Any, case: str, *, reason: str) -> None:
    """Every suggestion of a case that waits is answered: the case is excluded, for this reason."""
    table = tables.suggestions
    waiting = (table.c.case == case, table.c.state.in_(_OPEN_STATES))
    connection.execute(update(table).where(*waiting).values(state="skipped", reason=_CASE_EXCLUDED + reason))


def resume_suggestions_of_case(connection: Any, case: str) -> None:
    """What waited in a case when it was excluded waits again while its round is open; else it has expired."""
    table, drafts = tables.suggestions, tables.drafts
    answered = (table.c.case == case, table.c.state == "skipped", table.c.reason.startswith(_CASE_EXCLUDED))
    finished = table.c.round.in_(select(tables.rounds.c.number).where(tables.rounds.c.stage == "finished"))
    begun = exists().where(drafts.c.case == case, drafts.c.axis == table.c.axis, drafts.c.native_index == table.c.native_index)
    state = sql_case((finished, "expired"), (begun, "draft"), else_="suggested")
    connection.execute(update(table).where(*answered).values(state=state, reason=""))


def draft_suggestion(connection: Any, ref: SliceRef) -> None:
    """Work on a slice has begun. What was answered stays answered, what expired stays expired."""
    row = _newest_suggestion(connection, ref)
    if row is not None and row.state == "suggested" and row.stage != "finished":
        _set_state(connection, row.id, "draft", "")


def undraft_suggestion(connection: Any, ref: SliceRef) -> None:
    """Work on a slice was thrown away: unless somebody else has a draft of it, its suggestion waits as if none had begun."""
    row = _newest_suggestion(connection, ref)
    others = connection.execute(select(tables.drafts.c.annotator).where(*same_slice(tables.drafts, ref))).first()
    if row is not None and row.state == "draft" and others is None:
        _set_state(connection, row.id, "suggested", "")


def reopen_suggestion(connection: Any, ref: SliceRef) -> None:
    """An accept was undone or returned: a draft again while its round is open, else expired, so that the slice may be suggested anew.
    Where another accept of the slice counts, the suggestion stays answered; a filled slice answers nothing.
    """
    row = _newest_suggestion(connection, ref)
    table = tables.annotations
    drawn = (*same_slice(table, ref), *accepted_by_people())
    counts = connection.execute(select(table.c.id).where(*drawn)).first()
    if row is not None and counts is None:
        _set_state(connection, row.id, "expired" if row.stage == "finished" else "draft", "")


def _newest_suggestion(connection: Any, ref: SliceRef) -> Any:
    table, rounds = tables.suggestions, tables.rounds
    return connection.execute(
        select(table.c.id, table.c.state, rounds.c.stage)
        .join(rounds, rounds.c.number == table.c.round)
        .where(*same_slice(table, ref))
        .order_by(table.c.round.desc())
        .limit(1)
    ).first()


def _set_state(connection: Any, identifier: int, state: SuggestionState, reason: str) -> None:
    table = tables.suggestions
    connection.execute(update(table).where(table.c.id == identifier).values(state=state, reason=reason))


def _prediction_query(ref: SliceRef, model_id: int | None) -> Any:
    table = tables.predictions
    query = select(table).where(*same_slice(table, ref))
    if model_id is not None:
        query = query.where(table.c.model_id == model_id)
    return query.order_by(table.c.model_id.desc()).limit(1)


def _prediction(row: Any) -> Prediction:
    return Prediction(id=row.id, ref=row_ref(row), model_id=row.model_id, labels=unpack(row, row_ref(row)))


def _round(row: Any) -> Round:
    kinds = ((row.settings, dict), (row.seconds, dict), (row.notes, list), (row.number, int), (row.budget, int), (row.stage, str))
    if not all(isinstance(value, kind) for value, kind in kinds) or row.stage not in get_args(RoundStage):
        raise damaged(f"round {str(row.number)[:20]} cannot be read")
    values = {**row._mapping, "notes": tuple(map(str, row.notes))}
    return Round(**values)


def _suggestion(row: Any) -> SuggestionRow:
    ref = row_ref(row)
    try:
        rationale = Rationale.from_json(row.rationale)
    except (AttributeError, TypeError, ValueError, KeyError):
        raise damaged(f"the reason for {describe(ref)} cannot be read") from None
    suggestion = Suggestion(
        ref=ref,
        rank=row.rank,
        rationale=rationale,
        kind=row.kind,
        context_of=None if row.context_of is None else slice_ref(ref.case, ref.axis, row.context_of),
    )
    return SuggestionRow(id=row.id, round=row.round, suggestion=suggestion, state=row.state, reason=row.reason)
