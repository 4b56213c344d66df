"""What one reader sees of a study: labels to show, and how far slices and cases have come. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from SuggestiveAnnotationLib.study.records import Annotation, Draft, Prediction, Review, SuggestionStateRow, WorkNote
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, LabelArray, Role, SliceRef, SuggestionKind

Origin = Literal["draft", "accepted", "other reader", "pre-annotation", "nothing"]
SliceState = Literal["suggested", "draft", "accepted", "reviewed", "returned", "skipped", "unreadable", "expired"]
WAITING: tuple[SliceState, ...] = ("suggested", "draft", "returned")
"""States in which a suggestion asks for work."""


@dataclass(frozen=True)
class ShownLabels:
    """What a reader sees on a slice: labels `(row, column)`, where they come from, whose they are (a reader; empty for a model), and
    the id of the prediction where they are a pre-annotation.
    """

    labels: LabelArray
    origin: Origin
    by: str = ""
    prediction_id: int | None = None


@dataclass(frozen=True)
class SliceStatus:
    """What became of a slice so far.

    Attributes:
        state: as this reader sees it.
        kind, round, rank, reason: of its newest suggestion; None or empty where it was never suggested. Every suggestion of an excluded
            case that nobody answered is skipped, with the reason why the case is excluded.
        annotator: who accepted it last; empty where nobody did.
        review: what a second reader said of what is returned or reviewed; None in other states.
    """

    state: SliceState
    kind: SuggestionKind | None = None
    round: int | None = None
    rank: int = 0
    reason: str = ""
    annotator: str = ""
    review: Review | None = None


@dataclass(frozen=True)
class CaseStatus:
    """How far a case has come.

    Attributes:
        shape: voxels `(k, j, i)`; None when the image could not be read.
        accepted: slices that somebody accepted. drafts: this reader's. suggested, waiting, expired: of the newest round.
    """

    case: str
    role: Role
    shape: tuple[int, int, int] | None
    accepted: int
    drafts: int
    suggested: int
    waiting: int
    expired: int
    problems: tuple[str, ...]
    excluded_reason: str


@dataclass
class _Work:
    """Work on one slice that a reader may know of: their own draft, the newest annotation, and the newest that counts."""

    draft: bool = False
    newest: WorkNote | None = None
    accepted: WorkNote | None = None

    @property
    def returned(self) -> bool:
        return self.accepted is None and self.newest is not None and self.newest.state == "returned"


class ReaderView:
    """A study as one reader sees it.

    Args:
        study: may be open elsewhere at the same time.
        annotator: name of the reader.
        blind: what other readers drew is hidden, and slices they accepted wait for this reader too.
    """

    def __init__(self, study: Study, *, annotator: str, blind: bool = False) -> None:
        self.study = study
        self.annotator = annotator
        self.blind = blind

    # Labels

    def shown_labels(self, ref: SliceRef) -> ShownLabels:
        """What to show on a slice: this reader's draft, else what they accepted, else another reader's work unless blind, else the
        pre-annotation, else nothing.
        """
        shown = self._own_or_other(self.study.drafts(annotator=self.annotator, ref=ref), self.study.all_annotations(ref=ref))
        prediction = None if shown else self.pre_annotation(ref)
        if prediction is not None:
            return ShownLabels(prediction.labels, "pre-annotation", prediction_id=prediction.id)
        return shown or ShownLabels(np.zeros(self._shape(ref), np.uint16), "nothing")

    def case_labels(self, case: str) -> dict[SliceRef, ShownLabels]:
        """What to show on every slice of a case that has anything to show. Pre-annotations are shown on suggested slices, and on those
        that work has begun on with one.
        """
        drafts: dict[SliceRef, list[Draft]] = {}
        for draft in self.study.drafts(annotator=self.annotator, case=case):
            drafts.setdefault(draft.ref, []).append(draft)
        accepted: dict[SliceRef, list[Annotation]] = {}
        for annotation in self.study.all_annotations(case=case):
            accepted.setdefault(annotation.ref, []).append(annotation)
        found: dict[SliceRef, ShownLabels] = {}
        for ref in {*drafts, *accepted}:
            shown = self._own_or_other(drafts.get(ref, ()), accepted.get(ref, ()))
            if shown is not None:
                found[ref] = shown
        for ref, prediction in self._pre_annotations(case, without=found).items():
            found[ref] = ShownLabels(prediction.labels, "pre-annotation", prediction_id=prediction.id)
        return found

    def _own_or_other(self, drafts: Sequence[Draft], annotations: Sequence[Annotation]) -> ShownLabels | None:
        if drafts:
            return ShownLabels(drafts[-1].labels, "draft", self.annotator)
        accepted = self.seen(annotations)
        own = [a for a in accepted if a.annotator == self.annotator]
        if own:
            return ShownLabels(own[-1].labels, "accepted", self.annotator)
        if accepted:
            return ShownLabels(accepted[-1].labels, "other reader", accepted[-1].annotator)
        return None

    def seen(self, annotations: Iterable[Annotation]) -> list[Annotation]:
        """Of some annotations those that people have accepted and this reader may look at."""
        counting = [a for a in annotations if a.state == "accepted" and a.provenance != FILLED]
        return [a for a in counting if a.annotator == self.annotator or not self.blind]

    def pre_annotation(self, ref: SliceRef) -> Prediction | None:
        """The prediction to show for a suggested slice: the one first shown, else the newest; none on an audit slice or one drawn from
        scratch, none on a slice that is not suggested, where nothing is shown that the work could be compared with, and none where another
        reader's labels are shown instead.
        """
        return None if self._shows_another(ref) else self._pre_annotations(ref.case, ref).get(ref)

    def _shows_another(self, ref: SliceRef) -> bool:
        """Whether another reader's labels are what is shown of a slice."""
        return ref in self._showing_another(self.study.work_notes(ref=ref))

    def _showing_another(self, notes: Sequence[WorkNote]) -> set[SliceRef]:
        """Slices of which another reader's labels are what is shown."""
        mine = {note.ref for note in notes if note.annotator == self.annotator and note.state in ("draft", "accepted")}
        return set() if self.blind else {note.ref for note in notes if note.state == "accepted"} - mine

    def first_shown(self, ref: SliceRef) -> Prediction | None:
        """The prediction that this annotator's work on a slice began with, None when it began with none or has not begun."""
        kept = self._began_with(ref.case, ref).get(ref)
        return None if kept is None else self.study.prediction_by_id(kept)

    def _pre_annotations(
        self, case: str, only: SliceRef | None = None, *, without: Collection[SliceRef] = ()
    ) -> dict[SliceRef, Prediction]:
        began = self._began_with(case, only)
        suggested = {ref for ref, kind in self._suggested_kinds(case).items() if kind != "audit" and only in (None, ref)}
        fresh = suggested - set(began) - set(without)
        wanted = {ref: kept for ref, kept in began.items() if kept is not None and ref not in without}
        if fresh:
            newest = self.study.newest_predictions(case)
            wanted |= {ref: newest[ref] for ref in fresh if ref in newest}
        predictions = self.study.predictions_by_id(wanted.values())
        return {ref: predictions[identifier] for ref, identifier in wanted.items()}

    def _began_with(self, case: str, ref: SliceRef | None = None) -> dict[SliceRef, int | None]:
        """Slices that work began on, and the prediction it began with: kept with the draft, else with the annotation, else what was shown
        first in this round. Work that goes on from another reader's labels began with none.
        """
        number = self._round_number()
        began: dict[SliceRef, int | None] = {}
        for event in self.study.events(ref=ref, case=case, kind="shown", annotator=self.annotator):
            if event.ref is None or event.payload.get("round") != number:
                continue
            if event.payload.get("another"):
                began[event.ref] = None
            began.setdefault(event.ref, event.payload.get("prediction_id"))
        for note in self.study.work_notes(case=case, ref=ref):
            if note.annotator == self.annotator and note.state in ("accepted", "draft"):
                began[note.ref] = note.prediction_id
        return began

    def _suggested_kinds(self, case: str) -> dict[SliceRef, SuggestionKind]:
        number = self._round_number()
        rows = () if number is None else self.study.suggestion_states(number, case=case)
        return {row.ref: row.kind for row in rows}

    # States

    def status(self, ref: SliceRef) -> SliceStatus | None:
        """What became of a slice; None for one that was never suggested and never worked on."""
        return self.slice_status(ref.case).get(ref)

    def slice_status(self, case: str | None = None) -> dict[SliceRef, SliceStatus]:
        """What became of every slice (of a case) that was suggested or worked on."""
        suggestions = {row.ref: row for row in self.study.suggestion_states(case=case)}
        work = self._work(case)
        reviews = self.study.reviews()
        approved = {identifier for identifier, review in reviews.items() if review.verdict == "approved"}
        going_on = self._round_number() if self._next_is_under_way() else None
        excluded = self.study.excluded_reasons()
        found: dict[SliceRef, SliceStatus] = {}
        for ref in {*suggestions, *work}:
            row, done = suggestions.get(ref), work.get(ref, _Work())
            state = _state(row, done, approved, going_on=going_on, excluded=ref.case in excluded)
            by = done.accepted.annotator if done.accepted is not None else ""
            judged = {"returned": done.newest, "reviewed": done.accepted}.get(state or "")
            review = None if judged is None or judged.id is None else reviews.get(judged.id)
            if state is not None and row is None:
                found[ref] = SliceStatus(state, annotator=by, review=review)
            elif state is not None and row is not None:
                reason = row.reason
                if state == "skipped" and row.state != "skipped":
                    reason = f"case excluded: {excluded[ref.case]}"
                found[ref] = SliceStatus(state, row.kind, row.round, row.rank, reason, by, review)
        return found

    def open_audits(self, case: str) -> tuple[SliceRef, ...]:
        """Audit slices of a case that wait for this reader, who is to draw them without the model."""
        states = self.slice_status(case)
        return tuple(ref for ref, status in states.items() if status.kind == "audit" and status.state in WAITING)

    def withheld(self) -> frozenset[SliceRef]:
        """Suggestions of the newest round that do not say yet why they were chosen: audit slices that wait, which are unmarked, and while
        one does those on which the model finds nothing, which look the same.
        """
        rows = self._ordered()
        states = self._states(rows)
        waiting = [row for row in rows if states[row.ref] in WAITING]
        audits = {row.ref for row in waiting if row.kind == "audit"}
        alike = {row.ref for row in waiting if row.kind == "suggested"} if audits else set()
        shown: dict[SliceRef, int] = {}
        for case in {ref.case for ref in alike}:
            shown |= self.study.newest_predictions(case)
        return frozenset(audits | {ref for ref in alike if ref in shown and not self._finds(shown[ref])})

    def _finds(self, identifier: int) -> bool:
        """Whether there is any structure in a prediction, which never changes."""
        key = ("pixels of a prediction", identifier, 0)
        if key not in self.study.measured:
            self.study.measured[key] = float(np.count_nonzero(self.study.prediction_by_id(identifier).labels))
        return bool(self.study.measured[key])

    def case_status(self) -> tuple[CaseStatus, ...]:
        """How far every case has come, in the order of the cohort."""
        states = self._states(self._ordered())
        accepted, drafts = self.study.accepted_counts(), self.study.draft_counts(self.annotator)
        return tuple(
            CaseStatus(
                case=case.name,
                role=case.role,
                shape=case.geometry.shape if case.geometry else None,
                accepted=accepted.get(case.name, 0),
                drafts=drafts.get(case.name, 0),
                suggested=sum(ref.case == case.name for ref in states),
                waiting=sum(ref.case == case.name and state in WAITING for ref, state in states.items()),
                expired=sum(ref.case == case.name and state == "expired" for ref, state in states.items()),
                problems=case.problems,
                excluded_reason=case.excluded_reason,
            )
            for case in self.study.cases()
        )

    def left_over(self) -> tuple[SliceRef, ...]:
        """Slices that the newest round does not suggest and that wait for this reader all the same: their drafts, and what was returned to
        them. In the order of the cohort.
        """
        if not self.study.draft_counts(self.annotator):
            return ()
        listed = {row.ref for row in self._ordered()}
        newest, excluded = {row.ref: row for row in self.study.suggestion_states()}, self.study.excluded_reasons()
        drafts = {ref: work for ref, work in self._work().items() if work.draft and ref not in listed}
        states = {ref: _state(newest.get(ref), work, set(), going_on=None, excluded=ref.case in excluded) for ref, work in drafts.items()}
        return self._in_order(ref for ref, state in states.items() if state in ("draft", "returned"))

    def to_be_reviewed(self) -> tuple[SliceRef, ...]:
        """Slices that another reader drew and accepted and nobody reviewed, in the order of the cohort; none when blind."""
        return () if self.blind else self._in_order(self.study.unreviewed(self.annotator))

    def _in_order(self, refs: Iterable[SliceRef]) -> tuple[SliceRef, ...]:
        place = {case.name: number for number, case in enumerate(self.study.cases())}
        return tuple(sorted(refs, key=lambda ref: (place.get(ref.case, len(place)), ref.axis, ref.native_index)))

    def _work(self, case: str | None = None) -> dict[SliceRef, _Work]:
        work: dict[SliceRef, _Work] = {}
        for note in self.study.work_notes(case=case):
            own = note.annotator == self.annotator
            if (self.blind or note.state == "draft") and not own:
                continue
            one = work.setdefault(note.ref, _Work())
            if note.state == "draft":
                one.draft = True
            else:
                one.newest = note
                one.accepted = note if note.state == "accepted" else one.accepted
        return work

    def _states(self, rows: Sequence[SuggestionStateRow]) -> dict[SliceRef, SliceState | None]:
        """What became of suggestions of the newest round; what was reviewed counts as accepted."""
        if not rows:
            return {}
        work, going_on = self._work(), rows[0].round if self._next_is_under_way() else None
        excluded = self.study.excluded_reasons()
        return {
            row.ref: _state(row, work.get(row.ref, _Work()), set(), going_on=going_on, excluded=row.ref.case in excluded) for row in rows
        }

    def _ordered(self) -> list[SuggestionStateRow]:
        number = self._round_number()
        rows = () if number is None else self.study.suggestion_states(number)
        first = {row.ref.case: i for i, row in reversed(list(enumerate(rows)))}
        return sorted(rows, key=lambda row: (first[row.ref.case], row.rank, row.id))

    def _round_number(self) -> int | None:
        """The newest round that suggests something: while the next one trains, people go on with this one."""
        return self.study.newest_round_with_suggestions()

    def _next_is_under_way(self) -> bool:
        newest = self.study.current_round()
        return newest is not None and newest.stage != "finished" and newest.number != self._round_number()

    def _shape(self, ref: SliceRef) -> tuple[int, int]:
        frame = self.study.frame(ref.case)
        return (frame.rows, frame.columns)


def _state(row: SuggestionStateRow | None, work: _Work, approved: set[int], *, going_on: int | None, excluded: bool) -> SliceState | None:
    """A slice as one reader sees it; None for one that is as if nothing had happened.

    Args:
        row: its newest suggestion.
        work: on it, as far as the reader may know.
        approved: annotations that a second reader approved.
        going_on: round that people go on with while the next one trains.
        excluded: its case is.
    """
    if row is not None and work.accepted is None:
        if row.state in ("skipped", "unreadable"):
            return row.state
        if excluded:
            return "skipped"
    if work.draft and not excluded:
        return "returned" if work.returned else "draft"
    if work.accepted is not None:
        return "reviewed" if work.accepted.id in approved else "accepted"
    if row is None:
        return None
    if row.state in ("accepted", "draft") or (row.state == "expired" and row.round == going_on):
        # To this reader it is new: another one is at work on it, or accepted it unseen by a blind reader.
        return "returned" if work.returned else "suggested"
    return row.state
