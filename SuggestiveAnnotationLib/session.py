"""One annotator's way through a round: open, look at the pre-annotation, draft, accept, next. No GUI and no torch.

The panel, the simulated annotator and scripts all work through this class, so what is measured is the same for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import ContourQuantity, RetainedContour
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.records import Annotation, Draft, Prediction, SuggestionRow, SuggestionStateRow
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, Provenance, SliceRef, describe

SIMULATED_ANNOTATOR = "simulated annotator"
"""The name of the annotator that is a program; its minutes come from a price list."""


class Session:
    """Works on the suggestions of the newest round.

    Args:
        study: may be open elsewhere at the same time.
        annotator: name or pseudonym that annotations are kept under.
        quantity: what the measured effort is: retained contour for people, saved effort where the labels come from a reference that
            nobody drew over the pre-annotation.
    """

    def __init__(self, study: Study, *, annotator: str, quantity: type[ContourQuantity] = RetainedContour) -> None:
        if not annotator.strip():
            raise StudyError("An annotator needs a name.", hint="Give a name or a pseudonym.")
        self.study = study
        self.annotator = annotator
        self.quantity = quantity
        self._current: SliceRef | None = None
        self._batches: list[str] = []

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
        payload = {"prediction_id": shown.id if shown else None, "round": self._round_number()}
        self.study.record_event("shown", annotator=self.annotator, ref=ref, payload=payload)
        return shown

    def next(self) -> SliceRef | None:
        """Open the next unanswered suggestion after the open one, from the start again at the end; None when all are answered."""
        return self._step(+1)

    def previous(self) -> SliceRef | None:
        """Open the unanswered suggestion before the open one."""
        return self._step(-1)

    def _step(self, direction: int) -> SliceRef | None:
        rows = self._ordered()
        order = [row.ref for row in rows]
        waiting = [row.state in ("suggested", "draft") for row in rows]
        if not any(waiting):
            self._current = None
            return None
        start = order.index(self._current) if self._current in order else (-1 if direction > 0 else 0)
        for step in range(1, len(order) + 1):
            place = (start + direction * step) % len(order)
            if waiting[place]:
                self.open(order[place])
                return order[place]
        return None

    def _ordered(self) -> list[SuggestionStateRow]:
        number = self._round_number()
        rows = () if number is None else self.study.suggestion_states(number)
        first = {row.ref.case: i for i, row in reversed(list(enumerate(rows)))}
        return sorted(rows, key=lambda row: (first[row.ref.case], row.rank, row.id))

    def _round_number(self) -> int | None:
        newest = self.study.current_round()
        return None if newest is None else newest.number

    # Working

    def pre_annotation(self, ref: SliceRef) -> Prediction | None:
        """The prediction to show for a slice: the one first shown, else the newest; none on an audit slice or one drawn from scratch."""
        began, first = self._first_shown(ref)
        if began:
            return first
        number = self._round_number()
        if number is not None and self.study.suggestion_kind(ref, number) == "audit":
            return None
        return self.study.prediction(ref)

    def first_shown(self, ref: SliceRef) -> Prediction | None:
        """The prediction that this annotator's work on a slice began with, None when it began with none or has not begun."""
        return self._first_shown(ref)[1]

    def _first_shown(self, ref: SliceRef) -> tuple[bool, Prediction | None]:
        """Whether work began, and with what: kept with the draft or the annotation, else what was shown first in this round."""
        began, kept = self.study.work_began_with(ref, annotator=self.annotator)
        if not began:
            number = self._round_number()
            for event in self.study.events(ref=ref, kind="shown"):
                if event.annotator == self.annotator and event.payload.get("round") == number:
                    began, kept = True, event.payload.get("prediction_id")
                    break
        return began, None if kept is None else self.study.prediction_by_id(kept)

    def draft(self, ref: SliceRef, labels: LabelArray) -> None:
        """Autosave unaccepted work. Never trained on."""
        self._check(ref, labels)
        shown = self.first_shown(ref)
        self.study.save_draft(ref, labels, annotator=self.annotator, prediction_id=shown.id if shown else None)

    def drafts(self) -> tuple[Draft, ...]:
        """This annotator's unaccepted work."""
        return self.study.drafts(annotator=self.annotator)

    def accept(self, slices: Mapping[SliceRef, LabelArray], *, minutes: Mapping[SliceRef, float] | None = None) -> tuple[Annotation, ...]:
        """Accept a set of slices of one case in one transaction.

        Args:
            slices: slice -> labels, schema values `(row, column)`.
            minutes: working time a slice, where it is known.

        Returns:
            The annotations as kept, with provenance and effort.

        Raises:
            StudyError: labels outside the schema, of the wrong size, or slices of two cases.
        """
        new = [self._annotation(ref, labels, (minutes or {}).get(ref)) for ref, labels in slices.items()]
        return self._accept(new)

    def mark_empty(self, refs: Sequence[SliceRef]) -> tuple[Annotation, ...]:
        """Accept slices as holding nothing but background."""
        return self.accept({ref: np.zeros(self._shape(ref), np.uint16) for ref in refs})

    def import_annotations(self, slices: Mapping[SliceRef, LabelArray]) -> tuple[Annotation, ...]:
        """Accept slices of one case that were drawn in another program: no pre-annotation was shown, so no effort is measured."""
        new = []
        for ref, labels in slices.items():
            self._check(ref, labels)
            new.append(NewAnnotation(ref=ref, labels=labels, provenance="imported"))
        return self._accept(new)

    def skip(self, ref: SliceRef, *, reason: str) -> None:
        """Pass a suggestion over, and say why; it is not suggested again."""
        self.study.skip_suggestion(ref, reason=reason)
        self.study.record_event("skipped", annotator=self.annotator, ref=ref, payload={"reason": reason})

    def undo(self) -> tuple[SliceRef, ...]:
        """Take back this session's last accept; its labels become drafts again. Raises: StudyError, when there is none."""
        if not self._batches:
            raise StudyError("There is no accept to undo in this session.")
        refs = self.study.undo_accept(self._batches[-1], annotator=self.annotator)
        self._batches.pop()
        return refs

    def finish_round(self) -> None:
        """Close the round; suggestions nobody answered expire. Raises: StudyError, when none is open."""
        newest = self.study.current_round()
        if newest is None or newest.stage != "annotating":
            raise StudyError("There is no round waiting for annotations.", hint="Start one with `run-round`.")
        self.study.finish_round(newest.number)

    def _accept(self, new: Sequence[NewAnnotation]) -> tuple[Annotation, ...]:
        batch = self.study.accept(new, annotator=self.annotator)
        self._batches.append(batch)
        return self.study.all_annotations(batch=batch)

    def _annotation(self, ref: SliceRef, labels: LabelArray, minutes: float | None) -> NewAnnotation:
        self._check(ref, labels)
        shown = self.first_shown(ref)
        new = NewAnnotation(ref=ref, labels=labels, provenance=_provenance(labels, shown, self.study.schema.ignore_value), minutes=minutes)
        if shown is None:
            return new
        agreement = slice_agreement(self.study, ref, reference=labels, prediction=shown.labels)
        effort: dict[str, Any] = self.quantity.of_slices([agreement]).to_json()
        return replace(new, prediction_id=shown.id, effort=effort)

    def _shape(self, ref: SliceRef) -> tuple[int, int]:
        frame = self.study.frame(ref.case)
        return (frame.rows, frame.columns)

    def _check(self, ref: SliceRef, labels: LabelArray) -> None:
        if labels.shape != self._shape(ref):
            raise StudyError(f"The labels of {describe(ref)} are {labels.shape}, the slice is {self._shape(ref)}.")
        try:
            self.study.schema.to_channels(labels)
        except ValueError as error:
            raise StudyError(f"The labels of {describe(ref)} do not fit: {error}.", hint="Use the structures of the study only.") from error


def _provenance(labels: LabelArray, shown: Prediction | None, ignore_value: int) -> Provenance:
    if shown is not None and np.array_equal(labels, shown.labels):
        return "unchanged"
    if not ((labels != 0) & (labels != ignore_value)).any():
        return "empty"
    return "from scratch" if shown is None else "corrected"
