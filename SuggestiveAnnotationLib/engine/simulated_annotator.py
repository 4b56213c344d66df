"""An annotator that corrects every pre-annotation to the reference, and works only through the session."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from SuggestiveAnnotationLib.effort.time_model import TimeCoefficients, Workload
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.session import Session
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
        """Annotate until nothing is waiting. Returns: number of slices accepted. Raises: Cancelled, between two slices."""
        done = 0
        opened = {a.ref.case for a in self._of_this_round()}
        while (ref := self.session.next()) is not None:
            self._annotate(ref, opens_case=ref.case not in opened)
            opened.add(ref.case)
            done += 1
            stage.advance()
        return done

    def _of_this_round(self) -> tuple[Annotation, ...]:
        newest = self.session.study.current_round()
        return () if newest is None else self.session.study.annotations(round_number=newest.number)

    def _annotate(self, ref: SliceRef, *, opens_case: bool) -> None:
        final = self.reference(ref)
        shown = self.session.pre_annotation(ref)
        start = shown.labels if shown is not None else np.zeros_like(final)
        work = slice_agreement(self.session.study, ref, reference=final, prediction=start)
        minutes = Workload.of_slices([work], cases=int(opens_case)).minutes(self.time)
        self.session.accept({ref: final}, minutes={ref: minutes})
