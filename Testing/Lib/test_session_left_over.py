"""Work that no round lists any more: drafts and returned slices of earlier rounds; and what is left for a second reader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

FIRST, SECOND, THIRD = (SliceRef("case0", 0, index) for index in (2, 4, 6))
FAR = SliceRef("case1", 0, 4)


def square() -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[6:12, 5:11] = 1
    return out


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    """A round of two slices of one case."""
    study = make_study(prepared=True)
    next_round(study, FIRST, SECOND)
    return study


def next_round(study: Study, *refs: SliceRef) -> None:
    newest = study.current_round()
    if newest is not None:
        study.finish_round(newest.number)
    number = study.start_round(strategy="random", budget=len(refs), seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, [Suggestion(ref, rank, Rationale("random", "Drawn.")) for rank, ref in enumerate(refs)])
    study.enter_stage(number, "annotating")


def walk(session: Session, steps: int) -> list[SliceRef | None]:
    return [session.next() for _step in range(steps)]


def test_drafts_and_returned_slices_of_an_earlier_round_wait_after_the_newest(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.draft(SECOND, square())
    one.accept({FIRST: square()})
    next_round(study, FAR, THIRD)
    assert one.left_over() == (SECOND,)
    two.review([FIRST], verdict="returned", note="the border")
    assert one.left_over() == (FIRST, SECOND)
    assert two.left_over() == ()
    assert walk(one, 5) == [FAR, THIRD, FIRST, SECOND, FAR]
    assert one.previous() == SECOND
    # What waits is counted for the newest round alone.
    assert [status.waiting for status in one.case_status()] == [1, 1, 0]
    assert one.previous() == FIRST
    one.accept({FIRST: square()})
    assert walk(one, 2) == [SECOND, FAR]
    one.accept({SECOND: square()})
    assert one.left_over() == ()
    assert walk(one, 2) == [THIRD, FAR]


def test_a_returned_slice_says_by_whom_and_why_until_it_is_accepted_again(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({FIRST: square()})
    two.review([FIRST], verdict="returned", note="the border")
    status = one.status(FIRST)
    assert status is not None
    assert status.review is not None
    assert (status.state, status.review.reviewer, status.review.note) == ("returned", "two", "the border")
    one.accept({FIRST: square()})
    status = one.status(FIRST)
    assert status is not None
    assert (status.state, status.review) == ("accepted", None)


def test_nothing_of_an_excluded_case_is_left_over(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.draft(THIRD, square())
    one.accept({FIRST: square()})
    assert one.left_over() == (THIRD,)
    assert two.to_be_reviewed() == (FIRST,)
    one.exclude_case("case0", reason="wrong scan")
    assert one.left_over() == ()
    assert two.to_be_reviewed() == ()


def test_a_second_reader_goes_from_one_accepted_slice_to_the_next(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    assert two.next_to_review() is None
    one.accept({FIRST: square(), THIRD: square()})
    one.accept({FAR: square()})
    one.import_annotations({SliceRef("case2", 0, 1): square()})
    two.accept({SECOND: square()})
    assert two.to_be_reviewed() == (FIRST, THIRD, FAR)
    two.open(SECOND)
    assert two.next_to_review() == THIRD
    two.review([THIRD], verdict="returned")
    assert two.next_to_review() == FAR
    two.review([FAR], verdict="approved")
    assert two.next_to_review() == FIRST
    two.review([FIRST], verdict="approved")
    assert two.next_to_review() is None
    assert two.current == FIRST
    assert one.to_be_reviewed() == (SECOND,)
    assert Session(study, annotator="three", blind=True).to_be_reviewed() == ()
