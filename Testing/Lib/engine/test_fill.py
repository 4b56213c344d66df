"""What is filled between annotated slices, what is not, and that nobody pays for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from SuggestiveAnnotationLib.engine.fill import FILLED, fill_annotated
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.strategies.interpolation import fill_between
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]


def truth(study: Study, ref: SliceRef) -> np.ndarray:
    return np.array(study.reference_labels(ref.case)[ref.native_index])


def accept(study: Study, case: str, *places: int) -> None:
    refs = [SliceRef(case, 0, place) for place in places]
    Session(study, annotator="a").accept({ref: truth(study, ref) for ref in refs})


def test_slices_between_are_filled_once_and_drawn_ones_stay(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, shape=(12, 24, 20))
    accept(study, "case0", 2, 4, 10)
    accept(study, "case1", 5)
    assert fill_annotated(study, furthest=3, annotator="a") == 1
    by_place = {(a.ref.case, a.ref.native_index): a for a in study.annotations()}
    assert sorted(by_place) == [("case0", 2), ("case0", 3), ("case0", 4), ("case0", 10), ("case1", 5)]
    filled = by_place["case0", 3]
    rows, columns = study.frame("case0").spacing[1:]
    expected = fill_between({i: truth(study, SliceRef("case0", 0, i)) for i in (2, 4)}, spacing=(rows, columns))
    assert (filled.labels == expected[3]).all()
    assert filled.provenance == FILLED
    assert filled.minutes is None
    assert filled.effort is None
    # Again: nothing is left to fill, and nothing is filled from what was filled.
    assert fill_annotated(study, furthest=3, annotator="a") == 0
    assert fill_annotated(study, furthest=6, annotator="a") == 5


def test_a_slice_drawn_later_takes_the_place_of_the_filled_one(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    accept(study, "case0", 1, 5)
    assert fill_annotated(study, furthest=4, annotator="a") == 3
    accept(study, "case0", 3)
    kept = {a.ref.native_index: a.provenance for a in study.annotations()}
    assert {place for place, provenance in kept.items() if provenance == FILLED} == {2, 4}


def test_other_cases_and_nought_fill_nothing(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("test", "pool", "pool"))
    accept(study, "case0", 1, 5)
    accept(study, "case1", 1, 5)
    assert fill_annotated(study, furthest=0, annotator="a") == 0
    assert fill_annotated(study, furthest=4, annotator="a") == 3
    assert {a.ref.case for a in study.annotations() if a.provenance == FILLED} == {"case1"}
