"""`fill`: labels of the slices between annotated ones, without anybody looking at them."""

from __future__ import annotations

from itertools import pairwise

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.strategies.interpolation import fill_between
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, Provenance, SliceRef

FILLED: Provenance = "filled"
"""Nobody drew the slice, and it costs nobody a minute."""


def fill_annotated(study: Study, *, furthest: int, annotator: str) -> int:
    """Accept interpolated labels for the slices between annotated slices of a case, which training then takes like any others.

    Slices that hold an annotation already are left as they are; filled slices are never filled from. See
    `strategies.interpolation.fill_between`.

    Args:
        study: prepared.
        furthest: annotated slices further apart than so many slices are not filled between; with less than 2 nothing is.
        annotator: name that the filled slices are kept under.

    Returns:
        How many slices were filled.
    """
    session, count = Session(study, annotator=annotator), 0
    for case in study.cases("pool") if furthest > 1 else ():
        known = study.annotations(case=case.name)
        drawn = {a.ref.native_index: a for a in known if a.provenance != FILLED}
        taken = {a.ref.native_index for a in known}
        spacing = tuple(study.frame(case.name).spacing[1:])
        new: dict[SliceRef, LabelArray] = {}
        for first, last in pairwise(sorted(drawn)):
            if last - first <= furthest:
                pair = {index: drawn[index].labels for index in (first, last)}
                filled = fill_between(pair, spacing=(spacing[0], spacing[1]))
                new |= {SliceRef(case.name, drawn[first].ref.axis, i): labels for i, labels in filled.items() if i not in taken}
        if new:
            session.import_annotations(new, provenance=FILLED)
            count += len(new)
    return count
