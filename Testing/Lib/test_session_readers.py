"""What readers see of each other's work, and what becomes of it: review, blind second reads, passing over, undoing, timing."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study import tables
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion, SuggestionKind

MakeStudy = Callable[..., Study]
FIRST, SECOND, AUDIT = SliceRef("case0", 0, 2), SliceRef("case0", 0, 5), SliceRef("case0", 0, 6)
ELSEWHERE = SliceRef("case1", 0, 4)
KINDS: dict[SliceRef, SuggestionKind] = {FIRST: "suggested", SECOND: "context", ELSEWHERE: "suggested", AUDIT: "audit"}


def square(value: int = 1, *, left: int = 5) -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[6:12, left : left + 6] = value
    return out


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """A round of four suggestions, each with a prediction."""
    study = make_study(prepared=True)
    number = study.start_round(strategy="random", budget=4, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(
        number, [Suggestion(ref, rank, Rationale("random", "Drawn."), kind=kind) for rank, (ref, kind) in enumerate(KINDS.items())]
    )
    predict(study, number, square(2), *KINDS)
    study.enter_stage(number, "annotating")
    return study


def predict(study: Study, number: int, labels: np.ndarray, *refs: SliceRef) -> None:
    weights = study.path / "models" / f"m{number}.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=number)
    study.add_predictions(model.id, [(ref, labels) for ref in refs])


def state(session: Session, ref: SliceRef) -> str | None:
    found = session.status(ref)
    return None if found is None else found.state


def shown(session: Session, ref: SliceRef) -> tuple[str, str, int]:
    """Origin, whose, and the labels' value."""
    one = session.shown_labels(ref)
    return one.origin, one.by, int(one.labels.max())


# What is shown


def test_what_is_shown_is_the_own_draft_then_the_own_accept_then_anothers_then_the_prediction(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    assert shown(one, FIRST) == ("pre-annotation", "", 2)
    two.accept({FIRST: square(1)})
    assert shown(one, FIRST) == ("other reader", "two", 1)
    one.accept({FIRST: square(2, left=8)})
    assert shown(one, FIRST) == ("accepted", "one", 2)
    one.draft(FIRST, square(1, left=9))
    assert shown(one, FIRST) == ("draft", "one", 1)
    np.testing.assert_array_equal(one.shown_labels(FIRST).labels, square(1, left=9))
    assert shown(two, FIRST) == ("accepted", "two", 1)
    assert shown(one, AUDIT) == ("nothing", "", 0)
    assert shown(one, SliceRef("case0", 0, 3)) == ("nothing", "", 0)


def test_work_on_anothers_labels_is_measured_against_nothing_also_after_a_look_at_the_pre_annotation(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    assert one.open(FIRST) is not None
    two.open(FIRST)
    two.accept({FIRST: square(1)})
    assert one.open(FIRST) is None
    one.draft(FIRST, square(1, left=6))
    (mine,) = one.accept({FIRST: square(1, left=6)})
    assert (mine.prediction_id, mine.effort) == (None, None)


def test_the_labels_of_a_case_are_those_of_its_slices_one_by_one(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    two.accept({SECOND: square(1), SliceRef("case0", 0, 3): square(1)})
    one.open(FIRST)
    one.draft(FIRST, square(1, left=9))
    together = one.case_labels("case0")
    assert set(together) == {FIRST, SECOND, SliceRef("case0", 0, 3)}
    for ref in study.frame("case0").refs("case0"):
        alone = one.shown_labels(ref)
        if alone.origin == "nothing":
            assert ref not in together
        else:
            assert (together[ref].origin, together[ref].by) == (alone.origin, alone.by)
            np.testing.assert_array_equal(together[ref].labels, alone.labels)


def test_the_labels_of_a_large_case_take_few_queries(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.finish_round(0)
    refs = study.frame("case0").refs("case0")
    number = study.start_round(strategy="random", budget=1, seed=0, unit="case", settings={}).number
    study.publish_suggestions(number, [Suggestion(ref, 0, Rationale("random", "Drawn.")) for ref in refs])
    predict(study, number, square(1), *refs)
    session = Session(study, annotator="one")
    asked = []
    read = study.database.read
    monkeypatch.setattr(study.database, "read", lambda: asked.append(1) or read())
    assert len(session.case_labels("case0")) == len(refs)
    assert len(asked) <= 12


def test_a_pre_annotation_stays_the_one_first_shown_when_another_model_follows(study: Study) -> None:
    session = Session(study, annotator="one")
    session.open(FIRST)
    predict(study, 0, square(1, left=9), FIRST, ELSEWHERE)
    assert shown(session, FIRST)[2] == 2
    assert shown(session, ELSEWHERE)[2] == 1
    assert shown(Session(study, annotator="two"), FIRST)[2] == 1


# Review


def test_an_approved_slice_is_reviewed_for_everyone_and_still_trained_on(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({FIRST: square(), SECOND: square()})
    two.review([FIRST], verdict="approved", note="good")
    for session in (one, two):
        assert (state(session, FIRST), state(session, SECOND)) == ("reviewed", "accepted")
    assert {a.ref for a in study.annotations()} == {FIRST, SECOND}
    (review,) = study.reviews().values()
    assert (review.reviewer, review.verdict, review.note) == ("two", "approved", "good")


def test_a_returned_slice_goes_back_to_its_drawer_as_a_draft_and_is_not_trained_on(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    prediction = one.open(FIRST)
    assert prediction is not None
    one.accept({FIRST: square(1, left=7)})
    two.review([FIRST], verdict="returned", note="the border")
    assert study.annotations() == ()
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[FIRST] == "draft"
    (draft,) = one.drafts()
    np.testing.assert_array_equal(draft.labels, square(1, left=7))
    assert (state(one, FIRST), state(two, FIRST)) == ("returned", "returned")
    assert Session(study, annotator="one").next() == FIRST
    (again,) = one.accept({FIRST: square(1, left=8)})
    # It is measured against what the work began with, not against what was returned.
    assert again.prediction_id == prediction.id
    assert state(one, FIRST) == "accepted"
    one.undo()
    assert state(one, FIRST) == "draft"


def test_returning_leaves_a_newer_draft_of_the_drawer_alone(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({FIRST: square(1)})
    one.reopen(FIRST)
    one.draft(FIRST, square(2))
    two.review([FIRST], verdict="returned")
    assert [int(d.labels.max()) for d in one.drafts()] == [2]


def test_a_slice_returned_after_its_round_can_be_suggested_again(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({FIRST: square()})
    one.finish_round()
    two.review([FIRST], verdict="returned")
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[FIRST] == "expired"
    assert state(one, FIRST) == "returned"


def test_nobody_reviews_their_own_work_or_what_is_not_there(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    (annotation,) = one.accept({FIRST: square()})
    with pytest.raises(StudyError, match="nothing of another reader to review on case case0, slice 3"):
        one.review([FIRST], verdict="approved")
    with pytest.raises(StudyError, match=r"one drew case case0, slice 3.*Somebody else"):
        study.review([annotation.id], reviewer="one", verdict="approved")
    # One that is not there keeps the other from being reviewed too.
    with pytest.raises(StudyError, match="slice 6"):
        two.review([FIRST, SECOND], verdict="approved")
    assert study.reviews() == {}
    one.undo()
    with pytest.raises(StudyError, match="undone, returned or accepted again"):
        study.review([annotation.id], reviewer="two", verdict="approved")


# Two readers


def test_a_blind_reader_sees_nothing_of_the_first_and_both_accepts_are_kept(study: Study) -> None:
    one = Session(study, annotator="one")
    one.accept({FIRST: square(1)})
    blind = Session(study, annotator="two", blind=True)
    assert shown(blind, FIRST) == ("pre-annotation", "", 2)
    assert (state(blind, FIRST), blind.to_review(FIRST)) == ("suggested", None)
    assert blind.next() == FIRST
    blind.draft(FIRST, square(2, left=8))
    blind.open(SECOND)
    # A draft is no answer: the slice still waits.
    assert blind.previous() == FIRST
    blind.accept({FIRST: square(2, left=8)})
    assert blind.next() == SECOND
    assert (shown(one, FIRST), shown(blind, FIRST)) == (("accepted", "one", 1), ("accepted", "two", 2))
    assert [a.annotator for a in study.all_annotations() if a.state == "accepted"] == ["one", "two"]
    assert [a.annotator for a in study.annotations()] == ["two"]


def test_a_second_readers_undo_leaves_the_first_readers_accept_an_answer(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two", blind=True)
    one.accept({FIRST: square(1)})
    two.accept({FIRST: square(2)})
    two.undo()
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[FIRST] == "accepted"
    assert [a.annotator for a in study.annotations()] == ["one"]
    assert (state(one, FIRST), state(two, FIRST)) == ("accepted", "draft")


def test_a_draft_thrown_away_leaves_the_suggestion_open_while_another_has_one(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.draft(FIRST, square())
    two.draft(FIRST, square())
    one.discard(FIRST)
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[FIRST] == "draft"
    assert (state(one, FIRST), state(two, FIRST)) == ("suggested", "draft")
    two.discard(FIRST)
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[FIRST] == "suggested"


def test_drafts_of_several_slices_are_thrown_away_at_once(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({SECOND: square(1)})
    session.draft_slices({FIRST: square(1), SECOND: square(1, left=8), AUDIT: square(1)})
    session.discard_slices([FIRST, SECOND])
    session.discard_slices([])
    assert [draft.ref for draft in session.drafts()] == [AUDIT]
    assert (state(session, FIRST), state(session, SECOND)) == ("suggested", "accepted")
    np.testing.assert_array_equal(session.shown_labels(SECOND).labels, square(1))


# Passing over


@pytest.mark.parametrize("name", ["skipped", "unreadable"])
def test_a_slice_passed_over_keeps_its_reason_and_its_draft_and_waits_no_more(study: Study, name: str) -> None:
    session = Session(study, annotator="one")
    session.draft(FIRST, square())
    (session.skip if name == "skipped" else session.unreadable)(FIRST, reason="motion")
    found = session.status(FIRST)
    assert found is not None
    assert (found.state, found.reason) == (name, "motion")
    assert session.next() != FIRST
    assert len(session.drafts()) == 1
    assert [event.payload for event in study.events(kind=name)] == [{"reason": "motion"}]
    # Drawing it after all and accepting answers it.
    session.accept({FIRST: square()})
    assert state(session, FIRST) == "accepted"


def test_an_accepted_slice_is_not_passed_over(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square()})
    for verb in (session.skip, session.unreadable):
        with pytest.raises(StudyError, match=r"Case case0, slice 3, is accepted already, by one\. Undo"):
            verb(FIRST, reason="motion")
    assert state(session, FIRST) == "accepted"


def test_an_excluded_case_asks_for_nothing_more_and_keeps_what_was_accepted(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square()})
    session.draft(SECOND, square())
    session.exclude_case("case0", reason="wrong scan")
    assert [state(session, ref) for ref in (FIRST, SECOND, AUDIT)] == ["accepted", "skipped", "skipped"]
    assert study.case("case0").excluded_reason == "wrong scan"
    assert session.next() == ELSEWHERE
    assert study.annotated_refs(role="pool") == frozenset()
    assert study.annotated_refs() == {FIRST}
    assert [study.is_annotated(role) for role in ("pool", "excluded")] == [False, True]
    (case, *_) = session.case_status()
    assert (case.role, case.accepted, case.drafts, case.suggested, case.waiting) == ("excluded", 1, 1, 3, 0)


# States


def test_states_name_what_was_suggested_and_who_answered(study: Study) -> None:
    session = Session(study, annotator="one")
    elsewhere = SliceRef("case0", 0, 1)
    session.accept({SECOND: square(), elsewhere: square()})
    states = session.slice_status("case0")
    assert set(states) == {FIRST, SECOND, AUDIT, elsewhere}
    one = states[SECOND]
    assert (one.state, one.kind, one.round, one.rank, one.annotator) == ("accepted", "context", 0, 1, "one")
    assert (states[elsewhere].state, states[elsewhere].kind, states[elsewhere].round) == ("accepted", None, None)
    assert session.status(SliceRef("case0", 0, 0)) is None
    session.undo()
    session.discard(elsewhere)
    assert session.status(elsewhere) is None


def test_an_unanswered_slice_expires_with_its_round_and_a_draft_survives(study: Study) -> None:
    session = Session(study, annotator="one")
    session.draft(FIRST, square())
    session.finish_round()
    assert (state(session, FIRST), state(session, SECOND)) == ("draft", "expired")
    assert session.next() == FIRST
    (case, *_) = session.case_status()
    assert (case.suggested, case.waiting, case.expired) == (3, 1, 2)
    # While the next round trains, people go on with this one.
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    assert state(session, SECOND) == "suggested"
    assert session.next() == SECOND
    assert {case.case: case.waiting for case in session.case_status()} == {"case0": 3, "case1": 1, "case2": 0}


def test_the_state_of_cases(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square()})
    session.draft(SECOND, square())
    Session(study, annotator="two").draft(ELSEWHERE, square())
    first, second, third = session.case_status()
    assert (first.case, first.role, first.shape, first.accepted, first.drafts) == ("case0", "pool", (8, 24, 20), 1, 1)
    assert (first.suggested, first.waiting) == (3, 2)
    # Another reader is at work there; for this one the slice waits.
    assert (second.drafts, second.suggested, second.waiting) == (0, 1, 1)
    assert (third.suggested, third.problems) == (0, ())


# Correcting and undoing


def test_a_reopened_slice_counts_until_the_correction_is_accepted(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square(1)})
    session.reopen(FIRST)
    assert (state(session, FIRST), len(study.annotations())) == ("draft", 1)
    assert session.next() == FIRST
    session.draft(FIRST, square(2))
    session.reopen(FIRST)
    assert shown(session, FIRST) == ("draft", "one", 2)
    session.accept({FIRST: square(2)})
    assert [a.state for a in study.all_annotations()] == ["superseded", "accepted"]
    with pytest.raises(StudyError, match="one has accepted nothing on case case0, slice 6"):
        session.reopen(SECOND)


def test_undo_takes_back_the_last_accept_after_the_study_was_opened_again(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({ELSEWHERE: square()})
    session.accept({FIRST: square(), SECOND: square()})
    Session(study, annotator="two").accept({AUDIT: square()})
    study.close()
    again = Session(Study(study.path), annotator="one")
    assert set(again.undo()) == {FIRST, SECOND}
    assert again.undo() == (ELSEWHERE,)
    with pytest.raises(StudyError, match="no accept to undo"):
        again.undo()


def test_undo_keeps_a_draft_that_is_newer_than_the_accept(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square(1)})
    session.draft(FIRST, square(2))
    session.undo()
    assert [int(d.labels.max()) for d in session.drafts()] == [2]


def test_an_accept_of_another_day_is_not_undone_by_a_click(study: Study) -> None:
    session = Session(study, annotator="one")
    session.accept({FIRST: square()})
    assert study.last_accept("one") is not None
    time.sleep(0.02)
    assert study.last_accept("one", within=timedelta(milliseconds=10)) is None
    with study.database.write() as connection:
        connection.execute(tables.annotations.update().values(accepted_at="2020-01-01T00:00:00.000+00:00"))
    with pytest.raises(StudyError, match=r"no accept to undo.*another day"):
        session.undo()


def test_an_accept_of_which_a_part_was_returned_is_not_undone(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({FIRST: square(), SECOND: square()})
    two.review([FIRST], verdict="returned")
    with pytest.raises(StudyError, match="undone or returned"):
        one.undo()
    assert {a.ref for a in study.annotations()} == {SECOND}


# Timing


def at(study: Study, second: float, kind: str, ref: SliceRef, annotator: str = "one") -> None:
    """An event at a moment of this test's own clock."""
    study.record_event(kind, annotator=annotator, ref=ref)
    stamp = f"2030-01-01T00:{int(second // 60):02d}:{second % 60:06.3f}+00:00"
    with study.database.write() as connection:
        newest = max(event.id for event in study.events())
        connection.execute(tables.events.update().where(tables.events.c.id == newest).values(at=stamp))


def test_active_minutes_are_the_pauses_up_to_half_a_minute_from_one_event_to_the_next(study: Study) -> None:
    session = Session(study, annotator="one", timing=True)
    # 10 s and 20 s on the first; 25 s on the second, a break of 40 s that counts for nothing, 5 s on the second again.
    for second, ref in ((0, FIRST), (10, FIRST), (30, SECOND), (55, SECOND), (95, SECOND), (100, FIRST)):
        at(study, second, "stroke", ref)
    at(study, 12, "stroke", ELSEWHERE, annotator="two")
    assert session.active_minutes(FIRST) == pytest.approx(30 / 60)
    assert session.active_minutes(SECOND) == pytest.approx(30 / 60)
    assert session.active_minutes(AUDIT) == 0
    patient = Session(study, annotator="one", timing=True, idle_seconds=60)
    assert patient.active_minutes(SECOND) == pytest.approx(70 / 60)


def test_an_accept_keeps_the_minutes_since_the_last_accept_that_stands(study: Study) -> None:
    session = Session(study, annotator="one", timing=True)
    at(study, 0, "stroke", FIRST)
    at(study, 12, "stroke", FIRST)
    (first,) = session.accept({FIRST: square()})
    assert first.minutes == pytest.approx(12 / 60)
    stamp(study, accepted="2030-01-01T00:00:20.000+00:00")
    at(study, 30, "stroke", FIRST)
    at(study, 36, "stroke", FIRST)
    assert session.active_minutes(FIRST) == pytest.approx(6 / 60)
    # Undone, it stands no more: the time before counts as well, with the 8 s from the second stroke to the accept.
    session.undo()
    stamp(study, undone="2030-01-01T00:00:36.000+00:00")
    assert session.active_minutes(FIRST) == pytest.approx((20 + 6) / 60)
    (given,) = session.accept({FIRST: square()}, minutes={FIRST: 3.0})
    assert given.minutes == 3.0


def test_no_minutes_are_said_of_work_during_which_the_clock_was_set_back(study: Study) -> None:
    session = Session(study, annotator="one", timing=True)
    at(study, 10, "stroke", SECOND)
    for second in (20, 30, 5, 15):
        at(study, second, "stroke", FIRST)
    at(study, 25, "stroke", ELSEWHERE)
    assert session.active_minutes(FIRST) is None
    assert session.active_minutes(ELSEWHERE) is not None
    (annotation,) = session.accept({FIRST: square()})
    assert annotation.minutes is None


def test_work_after_an_accept_that_is_still_to_come_by_the_clock_is_of_unknown_length(study: Study) -> None:
    session = Session(study, annotator="one", timing=True)
    at(study, 30, "stroke", FIRST)
    session.accept({FIRST: square()})
    stamp(study, accepted="2030-01-01T00:00:40.000+00:00")
    assert session.active_minutes(FIRST) == 0
    for second in (5, 15):
        at(study, second, "stroke", FIRST)
    assert session.active_minutes(FIRST) is None
    (again,) = session.accept({FIRST: square()})
    assert again.minutes is None


def stamp(study: Study, **kinds: str) -> None:
    """Put the accept, or its undoing, on this test's own clock."""
    with study.database.write() as connection:
        for name, moment in kinds.items():
            kind = {"accepted": "accepted", "undone": "accept undone"}[name]
            connection.execute(tables.events.update().where(tables.events.c.kind == kind).values(at=moment))
            if name == "accepted":
                connection.execute(tables.annotations.update().values(accepted_at=moment))


def test_without_timing_no_stroke_is_kept_and_no_minutes_are_said(study: Study) -> None:
    session = Session(study, annotator="one")
    session.record("stroke", FIRST, {"pixels": 4})
    assert study.events(kind="stroke") == ()
    assert session.active_minutes(FIRST) is None
    (annotation,) = session.accept({FIRST: square()})
    assert annotation.minutes is None
    timed = Session(study, annotator="one", timing=True)
    timed.record("stroke", SECOND, {"pixels": 4})
    assert [event.payload for event in study.events(kind="stroke")] == [{"pixels": 4}]
