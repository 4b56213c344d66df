"""What a new round does to the labels that are shown, and what the work on them is measured against."""

from __future__ import annotations

import numpy as np
import pytest
from panel_desk import FREE, PREDICTED, A, B, C, Desk
from panel_study import SHAPE, add_round, square

from SuggestiveAnnotationLib.types import SliceRef


def test_fresh_pre_annotations_touch_neither_drafts_nor_accepted_slices(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(1, left=14))
    desk.workspace.saveNow()
    desk.workspace.session.accept({B: square(4, top=2)})
    desk.workspace.statesChanged()
    assert np.array_equal(desk.labels(B), square(4, top=2))
    desk.paint(FREE, square(4, side=3))
    fresh = {ref: square(1, top=30, left=30, side=5) for ref in (A, B, C, FREE)}
    add_round(desk.workspace.study, {ref: "suggested" for ref in fresh}, fresh)
    desk.workspace.statesChanged()
    assert np.array_equal(desk.labels(A), square(1, left=14))
    assert np.array_equal(desk.labels(B), square(4, top=2))
    assert np.array_equal(desk.labels(C), fresh[C])
    assert np.array_equal(desk.labels(FREE), square(4, side=3))
    desk.workspace.saveNow()
    assert set(desk.drafts()) == {A, FREE}


def test_many_fresh_pre_annotations_come_at_once_and_are_nobodys_drafts(desk: Desk) -> None:
    desk.open(A)
    desk.paint(C, square(4, side=4))
    fresh = {SliceRef("case0", 0, index): square(1, top=index, left=30, side=6) for index in range(SHAPE[0])}
    add_round(desk.workspace.study, {ref: "suggested" for ref in fresh}, fresh)
    told: list[int] = []
    desk.sync.rewritten.connect(lambda: told.append(1))
    desk.workspace.statesChanged()
    desk.host.pump(0.4)
    desk.workspace.saveNow()
    assert told == [1]
    assert list(desk.drafts()) == [C]
    assert np.array_equal(desk.labels(A), PREDICTED[A])
    del fresh[A]
    for ref, labels in fresh.items():
        assert np.array_equal(desk.labels(ref), square(4, side=4) if ref == C else labels)


def test_what_expired_without_work_is_taken_away(desk: Desk) -> None:
    desk.open(A)
    add_round(desk.workspace.study, {FREE: "suggested"}, {FREE: square(1)})
    desk.workspace.statesChanged()
    assert not desk.labels(B).any()
    assert np.array_equal(desk.labels(FREE), square(1))


def test_what_expired_stays_on_the_open_slice_until_it_is_left(desk: Desk) -> None:
    desk.open(A)
    add_round(desk.workspace.study, {FREE: "suggested"}, {FREE: square(1)})
    desk.workspace.statesChanged()
    assert np.array_equal(desk.labels(A), PREDICTED[A])
    assert desk.sync.held(A).origin == "pre-annotation"
    assert desk.said[-1][1].startswith("The suggestion of slice 4 expired")
    said = len(desk.said)
    desk.workspace.statesChanged()
    assert len(desk.said) == said
    desk.open(FREE)
    assert desk.sync.held(A) is None
    assert not desk.labels(A).any()
    desk.workspace.saveNow()
    assert desk.drafts() == {}


def test_the_open_slice_gets_a_newer_pre_annotation_when_it_is_opened_anew(desk: Desk) -> None:
    desk.open(A)
    fresh = {ref: square(4, left=20) for ref in (A, B)}
    add_round(desk.workspace.study, {ref: "suggested" for ref in fresh}, fresh)
    desk.workspace.statesChanged()
    assert np.array_equal(desk.labels(A), PREDICTED[A])
    assert np.array_equal(desk.labels(B), fresh[B])
    desk.open(A)
    assert np.array_equal(desk.labels(A), fresh[A])
    (annotation,) = desk.workspace.session.accept({A: desk.sync.labels(A)})
    assert annotation.provenance == "unchanged"


def test_an_open_slice_that_becomes_an_audit_slice_shows_nothing(desk: Desk) -> None:
    desk.open(A)
    add_round(desk.workspace.study, {A: "audit", B: "suggested"}, {A: square(1), B: square(4)})
    desk.workspace.statesChanged()
    assert not desk.labels(A).any()


def test_what_is_drawn_over_a_pre_annotation_that_expired_is_measured_against_it(desk: Desk) -> None:
    desk.open(A)
    add_round(desk.workspace.study, {FREE: "suggested"}, {FREE: square(1)})
    desk.workspace.statesChanged()
    desk.paint(A, square(1, left=11))
    desk.workspace.saveNow()
    assert desk.sync.held(A) is None
    assert np.array_equal(desk.workspace.session.first_shown(A).labels, PREDICTED[A])
    desk.paint(A, PREDICTED[A])
    desk.workspace.saveNow()
    assert desk.drafts() == {}
    assert np.array_equal(desk.labels(A), PREDICTED[A])
    desk.open(B)
    desk.paint(A, square(1, left=11))
    desk.workspace.saveNow()
    assert np.array_equal(desk.workspace.session.first_shown(A).labels, PREDICTED[A])


def test_an_audit_slice_shows_nothing(desk: Desk) -> None:
    add_round(desk.workspace.study, {A: "audit", B: "suggested"}, {A: square(1), B: square(4)})
    desk.open(A)
    assert not desk.labels(A).any()
    assert np.array_equal(desk.labels(B), square(4))


def test_effort_on_a_slice_reached_by_scrolling_is_measured_against_what_was_in_view(desk: Desk) -> None:
    desk.open(A)
    desk.paint(B, square(4, left=11))
    desk.workspace.saveNow()
    (annotation,) = desk.workspace.session.accept({B: desk.sync.labels(B)})
    assert annotation.provenance == "corrected"
    assert annotation.effort is not None


def test_what_came_from_the_study_and_was_erased_again_is_seen(desk: Desk) -> None:
    desk.open(A)
    desk.paint(B, square(4, left=20))
    desk.workspace.saveNow()
    add_round(desk.workspace.study, {FREE: "suggested"}, {FREE: square(1)})
    desk.workspace.statesChanged()
    desk.paint(FREE, square(0))
    desk.workspace.saveNow()
    assert not desk.drafts()[FREE].any()
    assert desk.workspace.session.first_shown(FREE) is not None


@pytest.mark.parametrize("kind", ["suggested", "audit", "gone"])
@pytest.mark.parametrize("held", [False, True])
def test_a_round_that_comes_before_the_save_is_not_what_the_work_is_measured_against(desk: Desk, kind: str, held: bool) -> None:
    desk.open(A)

    def new_round() -> None:
        chosen = {FREE: "suggested"} | ({} if kind == "gone" else {A: kind})
        fresh = {ref: square(4, left=20) for ref in chosen}
        add_round(desk.workspace.study, chosen, fresh)  # type: ignore[arg-type]
        desk.workspace.statesChanged()

    if held:
        new_round()
    drawn_from = desk.labels(A)
    desk.paint(A, square(1, left=11))
    desk.sync.look()
    if held:
        desk.workspace.statesChanged()
    else:
        new_round()
    desk.workspace.saveNow()
    began = desk.workspace.session.first_shown(A)
    if drawn_from.any():
        assert began is not None
        assert np.array_equal(began.labels, PREDICTED[A])
    else:
        # What became an audit slice while it was open is drawn without.
        assert (held, kind, began) == (True, "audit", None)


def test_what_was_drawn_from_scratch_stays_so_where_a_round_comes_before_the_save(desk: Desk) -> None:
    desk.open(A)
    desk.paint(FREE, square(4, left=11))
    desk.sync.look()
    add_round(desk.workspace.study, {FREE: "suggested"}, {FREE: square(4, left=20)})
    desk.workspace.statesChanged()
    desk.workspace.saveNow()
    (accepted,) = desk.workspace.session.accept({FREE: desk.sync.labels(FREE)})
    assert (accepted.provenance, accepted.prediction_id, accepted.effort) == ("from scratch", None, None)
