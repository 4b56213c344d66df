"""One annotator's way through a round: open, look at the pre-annotation, draft, accept, next. No GUI and no torch.

The panel, the simulated annotator and scripts all work through this class, so what is measured is the same for each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from SuggestiveAnnotationLib.effort.activity import IDLE_SECONDS, active_seconds
from SuggestiveAnnotationLib.effort.quantities import ContourQuantity, RetainedContour
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.reader_view import WAITING, CaseStatus, Origin, ReaderView, ShownLabels, SliceState, SliceStatus
from SuggestiveAnnotationLib.study.records import Annotation, Draft, Prediction, SuggestionRow
from SuggestiveAnnotationLib.study.round_rows import GO_ON
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, Provenance, SliceRef, Verdict, describe

__all__ = ["SIMULATED_ANNOTATOR", "WAITING", "CaseStatus", "Origin", "Session", "ShownLabels", "SliceState", "SliceStatus", "reader_name"]

SIMULATED_ANNOTATOR = "simulated annotator"
"""The name of the annotator that is a program; its minutes come from a price list."""


class Session(ReaderView):
    """Works on the suggestions of the newest round.

    Args:
        study: may be open elsewhere at the same time.
        annotator: name or pseudonym that annotations are kept under, without the white space around it.
        quantity: what the measured effort is: retained contour for people, saved effort where the labels come from a reference that
            nobody drew over the pre-annotation.
        blind: what other readers drew is hidden, and slices they accepted wait for this reader too.
        timing: what the reader does is kept as raw events, from which active minutes are derived.
        idle_seconds: a longer pause between two events is taken for doing something else.

    Raises: StudyError, InputError, as `reader_name`.
    """

    def __init__(
        self,
        study: Study,
        *,
        annotator: str,
        quantity: type[ContourQuantity] = RetainedContour,
        blind: bool = False,
        timing: bool = False,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        super().__init__(study, annotator=reader_name(annotator), blind=blind)
        self.quantity = quantity
        self.timing = timing
        self.idle_seconds = idle_seconds
        self._current: SliceRef | None = None

    # Moving

    def suggestions(self) -> tuple[SuggestionRow, ...]:
        """Suggestions of the newest round, grouped by case (one case load serves all its slices), best case first, then by rank."""
        number = self._round_number()
        if number is None:
            return ()
        by_id = {row.id: row for row in self.study.suggestions(number)}
        return tuple(by_id[row.id] for row in self._ordered())

    @property
    def current(self) -> SliceRef | None:
        """The slice that is open."""
        return self._current

    def open(self, ref: SliceRef) -> Prediction | None:
        """Open a slice, and return its pre-annotation if there is one. Audit slices are drawn without.

        The prediction first shown is remembered: effort is measured against it, also after reopening.
        """
        self._current = ref
        shown = self.pre_annotation(ref)
        self._record_shown({ref: shown.id if shown else None}, another=shown is None and self._shows_another(ref))
        return shown

    def note_shown(self, predictions: Mapping[SliceRef, int | None]) -> None:
        """Remember what slices that were not opened in this round show, slice -> prediction: their effort is measured against it.

        One on which work has begun keeps what it began with.
        """
        began: set[SliceRef] = set()
        for case in {ref.case for ref in predictions}:
            began |= set(self._began_with(case))
        self._record_shown({ref: identifier for ref, identifier in predictions.items() if ref not in began})

    def _record_shown(self, predictions: Mapping[SliceRef, int | None], *, another: bool = False) -> None:
        told = {"round": self._round_number(), **({"another": True} if another else {})}
        payloads = {ref: {"prediction_id": identifier, **told} for ref, identifier in predictions.items()}
        self.study.record_events("shown", payloads, annotator=self.annotator)

    def next(self) -> SliceRef | None:
        """Open what waits next after the open slice: suggestions of the newest round, then what is left over of others, then from the start
        again; None when nothing waits.
        """
        return self._step(+1)

    def previous(self) -> SliceRef | None:
        """Open what waits before the open slice."""
        return self._step(-1)

    def _step(self, direction: int) -> SliceRef | None:
        states, left = self._states(self._ordered()), self.left_over()
        waits = {ref for ref, state in states.items() if state in WAITING} | set(left)
        if not waits:
            self._current = None
            return None
        # A slice that the round does not suggest has its place among what is left over, also once it is accepted.
        outside = () if self._current is None else {self._current} - set(states)
        order = [*states, *self._in_order({*left, *outside})]
        start = order.index(self._current) if self._current is not None else (-1 if direction > 0 else 0)
        for step in range(1, len(order) + 1):
            place = (start + direction * step) % len(order)
            if order[place] in waits:
                self.open(order[place])
                return order[place]
        return None

    def next_to_review(self) -> SliceRef | None:
        """Open the next slice to be reviewed after the open one, from the start again at the end; None when there is none."""
        waiting = self.to_be_reviewed()
        if not waiting:
            return None
        order = waiting if self._current is None else self._in_order({*waiting, self._current})
        start = -1 if self._current is None else order.index(self._current)
        ref = next(ref for ref in (*order[start + 1 :], *order) if ref in waiting)
        self.open(ref)
        return ref

    # Working

    def draft(self, ref: SliceRef, labels: LabelArray) -> None:
        """Autosave unaccepted work. Never trained on."""
        self.draft_slices({ref: labels})

    def draft_slices(self, slices: Mapping[SliceRef, LabelArray]) -> None:
        """Autosave unaccepted work on several slices, in one transaction."""
        began: dict[SliceRef, int | None] = {}
        for case in {ref.case for ref in slices}:
            another = self._showing_another(self.study.work_notes(case=case)).intersection(slices)
            if another:
                self._record_shown(dict.fromkeys(another), another=True)
            began |= self._began_with(case)
        kept = {}
        for ref, labels in slices.items():
            self._check(ref, labels)
            kept[ref] = (labels, began.get(ref))
        self.study.save_drafts(kept, annotator=self.annotator)

    def drafts(self, *, case: str | None = None) -> tuple[Draft, ...]:
        """This annotator's unaccepted work, of one case if given."""
        return self.study.drafts(annotator=self.annotator, case=case)

    def accept(self, slices: Mapping[SliceRef, LabelArray], *, minutes: Mapping[SliceRef, float] | None = None) -> tuple[Annotation, ...]:
        """Accept a set of slices of one case in one transaction.

        Args:
            slices: slice -> labels, schema values `(row, column)`.
            minutes: working time a slice, where it is known; with timing it is derived from what the reader did.

        Returns:
            The annotations as kept, with provenance and effort.

        Raises:
            StudyError: labels outside the schema, of the wrong size, slices of two cases, or exactly what another reader accepted and this
                reader was shown.
        """
        spent = {**self._active_minutes(slices), **(minutes or {})}
        new = [self._annotation(ref, labels, spent.get(ref)) for ref, labels in slices.items()]
        return self._accept(new)

    def mark_empty(self, refs: Sequence[SliceRef]) -> tuple[Annotation, ...]:
        """Accept slices as holding nothing but background."""
        return self.accept({ref: np.zeros(self._shape(ref), np.uint16) for ref in refs})

    def import_annotations(self, slices: Mapping[SliceRef, LabelArray], *, provenance: Provenance = "imported") -> tuple[Annotation, ...]:
        """Accept slices of one case that were not drawn here: no pre-annotation was shown, so no effort is measured."""
        new = []
        for ref, labels in slices.items():
            self._check(ref, labels)
            new.append(NewAnnotation(ref=ref, labels=labels, provenance=provenance))
        return self._accept(new)

    def skip(self, ref: SliceRef, *, reason: str) -> None:
        """Pass a suggestion over, and say why; it is not suggested again. Raises: StudyError, when the slice is accepted."""
        self._pass_over(ref, "skipped", reason)

    def unreadable(self, ref: SliceRef, *, reason: str) -> None:
        """Say that a suggested slice cannot be read (motion, artefact); it is not suggested again. Raises: StudyError, as `skip`."""
        self._pass_over(ref, "unreadable", reason)

    def _pass_over(self, ref: SliceRef, state: Literal["skipped", "unreadable"], reason: str) -> None:
        accepted = self.seen(self.study.all_annotations(ref=ref))
        if accepted:
            sentence = f"C{describe(ref)[1:]}, is accepted already, by {accepted[-1].annotator}."
            raise StudyError(sentence, hint="Undo that accept first, or have another reader return it.")
        self.study.skip_suggestion(ref, reason=reason, state=state)
        self.study.record_event(state, annotator=self.annotator, ref=ref, payload={"reason": reason})

    def exclude_case(self, case: str, *, reason: str) -> None:
        """Take a case out of everything. What was accepted in it stays in the study, and takes part in nothing."""
        self.study.exclude_case_by(self.annotator, case, reason=reason)

    def include_case(self, case: str) -> None:
        """Take back that somebody excluded a case. Raises: StudyError, when no person did."""
        self.study.include_case_by(self.annotator, case)

    def reopen(self, ref: SliceRef) -> None:
        """Correct an accepted slice: its labels become a draft, unless there is one. The annotation counts until a draft is accepted.

        Raises:
            StudyError: this reader has not accepted the slice.
        """
        own = [a for a in self.study.all_annotations(ref=ref) if a.state == "accepted" and a.annotator == self.annotator]
        if not own:
            sentence = f"{self.annotator} has accepted nothing on {describe(ref)}."
            raise StudyError(sentence, hint="Draw it, or return it to the reader who accepted it.")
        if not self.study.drafts(annotator=self.annotator, ref=ref):
            self.study.save_draft(ref, own[-1].labels, annotator=self.annotator, prediction_id=own[-1].prediction_id)
        self.study.record_event("reopened", annotator=self.annotator, ref=ref)

    def discard(self, ref: SliceRef) -> None:
        """Throw this reader's draft of a slice away."""
        self.discard_slices([ref])

    def discard_slices(self, refs: Collection[SliceRef]) -> None:
        """Throw this reader's drafts of several slices away, in one transaction."""
        self.study.discard_drafts(refs, annotator=self.annotator)

    def to_review(self, ref: SliceRef) -> Annotation | None:
        """What another reader accepted on a slice, for this reader to judge; None where there is nothing, or when blind."""
        others = [a for a in self.seen(self.study.all_annotations(ref=ref)) if a.annotator != self.annotator]
        return others[-1] if others else None

    def review(self, refs: Sequence[SliceRef], *, verdict: Verdict, note: str = "") -> None:
        """Approve or return what another reader accepted.

        Raises:
            StudyError: nobody else has accepted a slice of these.
        """
        found = [(ref, self.to_review(ref)) for ref in refs]
        for ref, annotation in found:
            if annotation is None:
                sentence = f"There is nothing of another reader to review on {describe(ref)}."
                raise StudyError(sentence, hint="A slice is reviewed by somebody who did not draw it, once it is accepted.")
        identifiers = [annotation.id for _, annotation in found if annotation is not None]
        self.study.review(identifiers, reviewer=self.annotator, verdict=verdict, note=note)

    def record(self, kind: str, ref: SliceRef, payload: Mapping[str, Any] | None = None) -> None:
        """Keep a raw event (a stroke, a scroll) when the reader agreed to timing."""
        if self.timing:
            self.study.record_event(kind, annotator=self.annotator, ref=ref, payload=payload)

    def active_minutes(self, ref: SliceRef) -> float | None:
        """Minutes this reader has worked on a slice since they last accepted it, from raw events; None without timing."""
        return self._active_minutes([ref]).get(ref)

    def _active_minutes(self, refs: Collection[SliceRef]) -> dict[SliceRef, float | None]:
        """See `active_minutes`; an accept that was undone does not count as one. None also where the clock was set back meanwhile."""
        if not self.timing:
            return {}
        since: dict[SliceRef, str] = {}
        for case in {ref.case for ref in refs}:
            own = [note for note in self.study.work_notes(case=case) if note.annotator == self.annotator]
            since |= {note.ref: note.at for note in own if note.state not in ("draft", "undone")}
        begun = [self.study.first_event_time(ref, annotator=self.annotator, after=since.get(ref, "")) for ref in refs]
        earliest = min((at for at in begun if at is not None), default=None)
        last = self.study.last_event_time(self.annotator)
        unknown: dict[SliceRef, float | None] = {ref: None for ref in refs if since.get(ref, "") > last}
        if earliest is None:
            return dict.fromkeys(refs, 0.0) | unknown
        # Nothing is worked on between an accept and whatever comes next.
        events = [
            (at, ref if kind != "accepted" and ref is not None and at > since.get(ref, "") else None)
            for at, kind, ref in self.study.event_times(self.annotator, since=earliest)
        ]
        latest: dict[SliceRef | None, str] = {}
        for at, ref in events:
            if ref is not None and ref in refs and at < latest.get(ref, ""):
                unknown[ref] = None
            latest[ref] = at
        seconds = active_seconds(events, idle=self.idle_seconds)
        return {ref: seconds.get(ref, 0.0) / 60 for ref in refs} | unknown

    def undo(self) -> tuple[SliceRef, ...]:
        """Take back this reader's last accept of the last day; its labels become drafts again.

        Raises:
            StudyError: there is none, or part of it was returned or accepted again.
        """
        batch = self.study.last_accept(self.annotator)
        if batch is None:
            raise StudyError("There is no accept to undo.", hint="An accept of another day is reopened and corrected.")
        return self.study.undo_accept(batch, annotator=self.annotator)

    def finish_round(self) -> None:
        """Close the round; suggestions nobody answered expire. Raises: StudyError, when none is open."""
        newest = self.study.current_round()
        if newest is not None and newest.stage not in ("annotating", "finished"):
            sentence = f"Round {newest.number} is unfinished: it is {newest.stage}, and waits for nobody's annotations yet."
            raise StudyError(sentence, hint=f"Choose what becomes of it: {GO_ON}")
        if newest is None or newest.stage == "finished":
            raise StudyError("There is no round waiting for annotations.", hint="Start one with `run-round`.")
        self.study.finish_round(newest.number)

    def _accept(self, new: Sequence[NewAnnotation]) -> tuple[Annotation, ...]:
        batch = self.study.accept(new, annotator=self.annotator)
        return self.study.all_annotations(batch=batch)

    def _annotation(self, ref: SliceRef, labels: LabelArray, minutes: float | None) -> NewAnnotation:
        self._check(ref, labels)
        shown, another = self.first_shown(ref), self._went_on_from(ref)
        if another is not None and np.array_equal(labels, another.labels):
            sentence = f"C{describe(ref)[1:]}, is exactly as {another.annotator} accepted it."
            raise StudyError(sentence, hint="Approve it, return it, or correct it first.")
        provenance = _provenance(labels, shown or another, self.study.schema.ignore_value)
        new = NewAnnotation(ref=ref, labels=labels, provenance=provenance, minutes=minutes)
        if shown is None:
            return new
        agreement = slice_agreement(self.study, ref, reference=labels, prediction=shown.labels)
        effort: dict[str, Any] = self.quantity.of_slices([agreement]).to_json()
        return replace(new, prediction_id=shown.id, effort=effort)

    def _went_on_from(self, ref: SliceRef) -> Annotation | None:
        """What another reader accepted on a slice, where this reader was shown it before drawing."""
        events = self.study.events(ref=ref, kind="shown", annotator=self.annotator)
        return self.to_review(ref) if any(event.payload.get("another") for event in events) else None

    def _check(self, ref: SliceRef, labels: LabelArray) -> None:
        if labels.shape != self._shape(ref):
            raise StudyError(f"The labels of {describe(ref)} are {labels.shape}, the slice is {self._shape(ref)}.")
        try:
            self.study.schema.to_channels(labels)
        except ValueError as error:
            raise StudyError(f"The labels of {describe(ref)} do not fit: {error}.", hint="Use the structures of the study only.") from error


def reader_name(given: str) -> str:
    """A reader's name as it is kept, without white space around it.

    Raises:
        StudyError: there is none.
        InputError: it holds what is no text, as typed into a terminal of another encoding.
    """
    name = given.strip()
    if not name:
        raise StudyError("An annotator needs a name.", hint="Give a name or a pseudonym.")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InputError(f"The annotator's name {name!a} holds letters that cannot be kept.", hint="Type it in UTF-8.")
    return name


def _provenance(labels: LabelArray, shown: Prediction | Annotation | None, ignore_value: int) -> Provenance:
    if shown is not None and np.array_equal(labels, shown.labels):
        return "unchanged"
    if not ((labels != 0) & (labels != ignore_value)).any():
        return "empty"
    return "from scratch" if shown is None else "corrected"
