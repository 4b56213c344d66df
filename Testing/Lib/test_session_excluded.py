"""Cases that a reader excludes while a round is open, computed or finished, and takes back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

DONE, DRAWN, OPEN = (SliceRef("case0", 0, index) for index in (1, 3, 5))
ELSEWHERE = SliceRef("case1", 0, 4)
REFS = (DONE, DRAWN, OPEN, ELSEWHERE)


def square() -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[6:12, 5:11] = 1
    return out


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    """Three suggestions of one case, one accepted and one begun, and one of another case."""
    study = make_study(prepared=True)
    number = study.start_round(strategy="random", budget=4, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, [Suggestion(ref, rank, Rationale("random", "Drawn.")) for rank, ref in enumerate(REFS)])
    study.enter_stage(number, "annotating")
    session = Session(study, annotator="one")
    session.accept({DONE: square()})
    session.draft(DRAWN, square())
    return study


def states(session: Session) -> list[str]:
    found = session.slice_status()
    return [found[ref].state for ref in REFS]


def waiting(session: Session) -> dict[str, int]:
    return {status.case: status.waiting for status in session.case_status()}


def test_a_case_that_is_excluded_while_a_round_is_computed_asks_for_nothing_more(study: Study) -> None:
    session = Session(study, annotator="one")
    session.finish_round()
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    assert states(session) == ["accepted", "draft", "suggested", "suggested"]
    session.exclude_case("case0", reason="wrong scan")
    for reader in (session, Session(study, annotator="two")):
        assert states(reader) == ["accepted", "skipped", "skipped", "suggested"]
        assert waiting(reader) == {"case0": 0, "case1": 1, "case2": 0}
        assert reader.next() == ELSEWHERE
        assert reader.next() == ELSEWHERE
    status = session.status(OPEN)
    assert status is not None
    assert status.reason == "case excluded: wrong scan"


def test_an_undone_accept_does_not_bring_the_slices_of_an_excluded_case_back(study: Study) -> None:
    session = Session(study, annotator="one")
    session.exclude_case("case0", reason="wrong scan")
    assert session.undo() == (DONE,)
    assert states(session) == ["skipped", "skipped", "skipped", "suggested"]
    assert waiting(session)["case0"] == 0


def test_an_included_case_waits_as_before(study: Study) -> None:
    session = Session(study, annotator="one")
    session.skip(ELSEWHERE, reason="motion")
    session.exclude_case("case0", reason="wrong scan")
    assert study.cases_to_include() == ("case0",)
    session.include_case("case0")
    assert study.cases_to_include() == ()
    case = study.case("case0")
    assert (case.role, case.excluded_reason) == ("pool", "")
    assert states(session) == ["accepted", "draft", "suggested", "skipped"]
    assert [(row.state, row.reason) for row in study.suggestion_states(0)] == [
        ("accepted", ""), ("draft", ""), ("suggested", ""), ("skipped", "motion"),
    ]  # fmt: skip
    assert [event.payload for event in study.events(kind="case included")] == [{"case": "case0"}]


def test_slices_of_a_case_that_is_included_after_its_round_can_be_suggested_again(study: Study) -> None:
    session = Session(study, annotator="one")
    session.exclude_case("case0", reason="wrong scan")
    session.finish_round()
    session.include_case("case0")
    assert [row.state for row in study.suggestion_states(0)] == ["accepted", "expired", "expired", "expired"]


def test_a_case_gets_the_role_back_that_it_had(study: Study) -> None:
    study.set_roles({"case2": "test"})
    session = Session(study, annotator="one")
    session.exclude_case("case2", reason="wrong scan")
    session.exclude_case("case2", reason="wrong patient")
    session.include_case("case2")
    assert study.case("case2").role == "test"


def test_only_what_a_person_excluded_is_included_again(study: Study) -> None:
    session = Session(study, annotator="one")
    study.exclude_case("case1", "Its image cannot be read.", retry=True)
    assert study.cases_to_include() == ()
    for case in ("case0", "case1"):
        with pytest.raises(StudyError, match=f"Case {case} cannot be included again: no role is known that it had before"):
            session.include_case(case)
    assert study.case("case1").role == "excluded"
