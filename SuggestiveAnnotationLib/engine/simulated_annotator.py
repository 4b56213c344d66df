"""An annotator that corrects every pre-annotation to the reference, and works only through the session."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np

from SuggestiveAnnotationLib.effort.time_model import TimeCoefficients, Workload
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.session import WAITING, Session
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.types import LabelArray, SliceRef


class SimulatedAnnotator:
    """Answers every open suggestion with the reference, and charges simulated minutes.

    Args:
        session: of the study.
        reference: slice -> reference labels `(row, column)`, schema values.
        time: price list of the simulated minutes; None: the declared one.
    """

    def __init__(self, session: Session, *, reference: Callable[[SliceRef], LabelArray], time: TimeCoefficients | None = None) -> None:
        self.session = session
        self.reference = reference
        self.time = time

    def work_through(self, stage: Stage) -> int:
        """Annotate until nothing is waiting, a case at a time. Returns: slices accepted. Raises: Cancelled, between two slices."""
        done = 0
        opened = {a.ref.case for a in self._of_this_round()}
        waiting = [row.suggestion.ref for row in self.session.suggestions() if row.state in WAITING]
        for case, refs in groupby(waiting, key=lambda ref: ref.case):
            final, minutes = {}, {}
            for ref in refs:
                final[ref], minutes[ref] = self._annotate(ref, opens_case=case not in opened)
                opened.add(case)
                stage.advance()
            self.session.accept(final, minutes=minutes)
            done += len(final)
        return done

    def _of_this_round(self) -> tuple[Annotation, ...]:
        newest = self.session.study.current_round()
        return () if newest is None else self.session.study.annotations(round_number=newest.number)

    def _annotate(self, ref: SliceRef, *, opens_case: bool) -> tuple[LabelArray, float]:
        """What the slice becomes, and the minutes it takes."""
        final = self.reference(ref)
        shown = self.session.open(ref)
        start = shown.labels if shown is not None else np.zeros_like(final)
        work = slice_agreement(self.session.study, ref, reference=final, prediction=start, tolerances=None)
        return final, Workload.of_slices([work], cases=int(opens_case)).minutes(self.time)
