"""`fill`: labels of the slices between annotated ones, without anybody looking at them.

Networks are trained on filled slices; otherwise these are as if nobody had annotated them: not shown to readers, not reviewed, in no count
of accepted slices, in no report and in no export. No strategy suggests them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.strategies.interpolation import fill_between
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, LabelArray, SliceRef

FILLED_BY = "interpolation"
"""The name that a round keeps filled slices under."""


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
        taken = {a.ref for a in known}
        new = {ref: labels for ref, labels in _between(study, known, furthest).items() if ref not in taken}
        if new:
            session.import_annotations(new, provenance=FILLED)
            count += len(new)
    return count


def renew_filled(study: Study, *, furthest: int, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> int:
    """As `fill_annotated`, from what is annotated now: what was filled before and would not be filled like that any more is withdrawn.

    So nothing stays filled with `furthest` 0. Slices that a reader skipped or found unreadable are not filled.

    Args:
        study: prepared.
        furthest: as of `fill_annotated`.

    Returns:
        How many slices are filled now.

    Raises:
        Cancelled: the cases before the one under way are done, the others are as they were.
    """
    session, count = Session(study, annotator=FILLED_BY), 0
    gaps = _gaps_of_cases(study, furthest)
    stage = Stage("fill", sum(gaps.values()), progress=progress, cancel=cancel)
    concerned = gaps.keys() | {ref.case for ref in study.filled_refs()}
    for case in study.cases("pool"):
        if case.name not in concerned:
            # Its labels need not be read.
            continue
        known = study.annotations(case=case.name)
        newest = {row.ref: row.state for row in study.suggestion_states(case=case.name)}
        wanted = _between(study, known, furthest, stage)
        wanted = {ref: labels for ref, labels in wanted.items() if newest.get(ref) not in ("skipped", "unreadable")}
        filled = {a.ref: a for a in known if a.provenance == FILLED}
        stays = {ref for ref, a in filled.items() if ref in wanted and np.array_equal(a.labels, wanted[ref])}
        if gone := [a.id for ref, a in filled.items() if ref not in stays]:
            study.withdraw_filled(gone)
        new = {ref: labels for ref, labels in wanted.items() if ref not in stays}
        if new:
            session.import_annotations(new, provenance=FILLED)
        count += len(wanted)
    return count


def _between(study: Study, known: Sequence[Annotation], furthest: int, stage: Stage | None = None) -> dict[SliceRef, LabelArray]:
    """Labels of the slices of a case between annotated ones, which are not filled themselves."""
    drawn = {a.ref.native_index: a for a in known if a.provenance != FILLED}
    found: dict[SliceRef, LabelArray] = {}
    for first, last in _gaps(drawn, furthest):
        case, axis = drawn[first].ref.case, drawn[first].ref.axis
        rows, columns = study.frame(case).spacing[1:]
        pair = {index: drawn[index].labels for index in (first, last)}
        found |= {SliceRef(case, axis, i): labels for i, labels in fill_between(pair, spacing=(rows, columns)).items()}
        if stage is not None:
            stage.advance()
    return found


def _gaps_of_cases(study: Study, furthest: int) -> dict[str, int]:
    """Case of the pool -> how many gaps are filled in it, where there are any; reads no labels."""
    places: dict[str, list[int]] = defaultdict(list)
    for ref in study.annotated_refs(role="pool"):
        places[ref.case].append(ref.native_index)
    return {case: found for case, drawn in places.items() if (found := len(_gaps(drawn, furthest)))}


def _gaps(drawn: Iterable[int], furthest: int) -> list[tuple[int, int]]:
    """Pairs of annotated slices, in order, that there is something to fill between."""
    return [(first, last) for first, last in pairwise(sorted(drawn)) if 1 < last - first <= furthest]
