"""What is accepted or dropped on several slices at once, what has to be shown before, and what a new round does to slices in view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from panel_reader import OTHER, PREDICTED, A, B, C, Reader, make_suggested
from panel_study import add_round, square

from SuggestiveAnnotationLib.effort.quantities import RetainedContour
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.types import SliceRef


def test_a_range_is_accepted_at_once_but_not_unseen(reader: Reader) -> None:
    refs = [SliceRef("case0", 0, index) for index in (2, 3, 4)]
    for ref in refs:
        reader.workspace.sync.write(ref, square(4, top=ref.native_index))
    reader.host.waitUntil(lambda: reader.ui.toBox.value == 5, 3, "the range")
    assert (reader.ui.fromBox.value, reader.ui.toBox.value) == (3, 5)
    assert not reader.ui.acceptRangeButton.isEnabled()
    assert "Slice 3 and 5 has not been shown yet" in reader.ui.changedLabel.text
    for ref in refs:
        reader.scroll(ref)
    reader.host.waitUntil(lambda: reader.ui.acceptRangeButton.isEnabled(), 3, "the range to be accepted")
    reader.host.click(reader.ui.acceptRangeButton)
    annotations = reader.workspace.study.annotations()
    assert [a.ref for a in annotations] == refs
    assert len({a.batch for a in annotations}) == 1
    assert all(np.array_equal(a.labels, square(4, top=a.ref.native_index)) for a in annotations)
    assert "Accepted slice 3-5" in reader.ui.effortLabel.text


def test_a_slice_that_a_tool_changed_out_of_view_has_to_be_shown_again(reader: Reader) -> None:
    D = SliceRef("case0", 0, 4)
    for ref in (D, B, A):
        reader.scroll(ref)
    reader.effect("Threshold").self().onApply()
    # Before the panel had the time to look by itself.
    reader.scroll(D)
    reader.host.pump(0.4)
    assert {A, D} <= reader.workspace.views.displayed
    assert reader.section.obstacle([A, D]) == ""
    assert "Slice 6 has not been shown yet" in reader.section.obstacle([A, D, B])
    reader.scroll(B)
    assert reader.section.obstacle([A, D, B]) == ""


def test_a_slice_that_the_study_changed_out_of_view_has_to_be_shown_again(reader: Reader) -> None:
    for ref in (B, A):
        reader.scroll(ref)
    add_round(reader.workspace.study, {B: "suggested", C: "suggested"}, {B: square(1, left=3)})
    reader.workspace.statesChanged()
    assert reader.section.obstacle([A]) == ""
    assert "Slice 6 has not been shown yet" in reader.section.obstacle([A, B])


def test_an_open_slice_that_becomes_an_audit_slice_has_to_be_shown_again(reader: Reader) -> None:
    add_round(reader.workspace.study, {A: "audit"})
    reader.workspace.statesChanged()
    assert not reader.labels(A).any()
    assert "Slice 4 has not been shown yet" in reader.section.obstacle()
    reader.host.press("J")
    assert reader.section.obstacle().startswith("Nothing is drawn on slice 4 yet.")


def test_a_pre_annotation_in_a_range_is_measured_though_its_slice_was_not_opened(reader: Reader) -> None:
    between = SliceRef("case0", 0, 4)
    for ref in (between, B):
        reader.scroll(ref)
    reader.ui.toBox.value = 6
    reader.host.dialogs.answers = [False]
    reader.host.click(reader.ui.acceptRangeButton)
    assert reader.host.dialogs.said[-1] == ("confirmYesNoDisplay", "Nothing is drawn on slice 5. Accept as empty?")
    assert reader.workspace.study.annotations() == ()
    reader.host.dialogs.answers = [True]
    reader.host.click(reader.ui.acceptRangeButton)
    annotations = {a.ref: a for a in reader.workspace.study.annotations()}
    assert {ref: a.provenance for ref, a in annotations.items()} == {A: "unchanged", between: "empty", B: "unchanged"}
    assert annotations[between].effort is None
    assert all(RetainedContour.from_json(annotations[ref].effort).totals.overall.of_reference == 1 for ref in (A, B))


@pytest.mark.parametrize("button", ["acceptButton", "acceptRangeButton", "emptyButton"])
def test_a_round_that_ends_leaves_the_open_slice_to_be_accepted_as_it_is_seen(reader: Reader, button: str) -> None:
    add_round(reader.workspace.study, {C: "suggested"}, {C: square(4, side=5)})
    reader.workspace.statesChanged()
    reader.host.pump(0.4)
    assert np.array_equal(reader.labels(A), PREDICTED[A])
    assert reader.ui.sliceLabel.text == "Slice 4 of case case0, expired; the labels are the model's pre-annotation."
    ui = reader.panel.sections[2].ui if button == "emptyButton" else reader.ui
    reader.host.click(getattr(ui, button))
    (annotation,) = reader.workspace.study.annotations()
    assert annotation.ref == A
    assert annotation.provenance == ("empty" if button == "emptyButton" else "unchanged")
    assert annotation.effort is not None


def test_what_the_large_view_shows_stays_until_it_is_scrolled_away(reader: Reader) -> None:
    reader.scroll(B)
    add_round(reader.workspace.study, {C: "suggested"}, {C: square(4, side=5)})
    reader.workspace.statesChanged()
    assert [reader.labels(ref).any() for ref in (A, B)] == [True, True]
    reader.scroll(C)
    assert [reader.labels(ref).any() for ref in (A, B)] == [True, False]
    assert np.array_equal(reader.labels(A), PREDICTED[A])


def test_a_tool_that_changed_many_slices_says_so_and_its_drafts_can_be_dropped(reader: Reader) -> None:
    reader.workspace.session.accept({C: square(4, side=5)})
    reader.workspace.statesChanged()
    assert not reader.ui.dropButton.isEnabled()
    reader.effect("Smoothing", "value-4").self().onApply()
    reader.host.waitUntil(lambda: reader.said[-1][1].startswith("Smoothing changed 2 slices, which are drafts now"), 3, "the note")
    reader.effect("Threshold").self().onApply()
    reader.host.waitUntil(lambda: reader.said[-1][1].startswith("That changed"), 3, "the note")
    # The editor's undo ends with the slice.
    reader.open(B)
    assert set(reader.workspace.sync.changedSlices()) >= {A, B, C}
    reader.ui.rangePinBox.checked = True
    reader.ui.fromBox.value, reader.ui.toBox.value = 1, 8
    reader.host.dialogs.answers = [False]
    reader.host.click(reader.ui.dropButton)
    assert set(reader.workspace.sync.changedSlices()) >= {A, B, C}
    reader.host.dialogs.answers = [True]
    reader.host.click(reader.ui.dropButton)
    assert reader.said[-1][1].startswith("The unaccepted work on slice 2-8 was dropped")
    assert all(ref.native_index >= 8 for ref in reader.workspace.sync.changedSlices())
    expected = {**PREDICTED, C: square(4, side=5), SliceRef("case0", 0, 4): square(0)}
    assert all(np.array_equal(reader.labels(ref), labels) for ref, labels in expected.items())
    assert [reader.state(ref) for ref in (A, B, C)] == ["suggested", "suggested", "accepted"]
    (annotation,) = reader.workspace.study.annotations()
    assert np.array_equal(annotation.labels, square(4, side=5))


def test_work_that_was_not_saved_yet_is_dropped_too_and_undo_says_nothing_of_drafts(reader: Reader) -> None:
    reader.brush()
    reader.drag((30, 12), (30, 28))
    assert reader.said == [] or "drafts now" not in reader.said[-1][1]
    reader.effect("Threshold").self().onApply()
    reader.host.waitUntil(lambda: "drafts now" in reader.said[-1][1], 3, "the note")
    reader.said.clear()
    reader.editor.undo()
    reader.host.pump(0.4)
    assert reader.said == []
    reader.host.dialogs.answers = [True]
    reader.host.click(reader.ui.dropButton)
    assert np.array_equal(reader.labels(), PREDICTED[A])
    assert reader.workspace.session.drafts() == ()
    reader.host.click(reader.ui.acceptButton)
    (annotation,) = reader.workspace.study.annotations()
    assert annotation.provenance == "unchanged"


def test_what_a_tool_has_only_just_changed_out_of_view_is_not_accepted(reader: Reader) -> None:
    for ref in (B, A):
        reader.scroll(ref)
    assert {A, B} <= reader.workspace.views.displayed
    reader.workspace.sync.write(B, square(1, left=25))
    assert not reader.section._accept([B])
    assert reader.said[-1] == ("warning", "Slice 6 has not been shown yet. Scroll through it first.")
    assert reader.state(B) != "accepted"


def test_another_readers_labels_that_come_into_view_are_looked_at_first_and_are_no_work_of_ones_own(reader: Reader) -> None:
    other = Session(reader.workspace.study, annotator="Dr Z")
    other.open(A)
    other.accept({A: square(1, left=14)})
    reader.workspace.statesChanged()
    assert A not in reader.workspace.views.displayed
    assert np.array_equal(reader.labels(A), square(1, left=14))
    reader.host.waitUntil(lambda: A in reader.workspace.views.displayed, 3, "the picture")
    reader.workspace.sync.write(A, square(1, left=13))
    assert reader.section._accept([A])
    (mine,) = [a for a in reader.workspace.study.all_annotations(ref=A) if a.annotator == reader.workspace.session.annotator]
    assert (mine.prediction_id, mine.effort) == (None, None)


def test_what_comes_while_the_question_is_open_is_looked_at_before_it_is_accepted(reader: Reader) -> None:
    between = SliceRef("case0", 0, 4)
    for ref in (between, B, A):
        reader.scroll(ref)
    reader.ui.toBox.value = 6

    def meanwhile() -> bool:
        add_round(reader.workspace.study, {between: "suggested", A: "suggested", B: "suggested"}, {**PREDICTED, between: square(1)})
        reader.workspace.statesChanged()
        return True

    reader.host.dialogs.answers = [meanwhile]
    reader.host.click(reader.ui.acceptRangeButton)
    assert reader.labels(between).any()
    assert reader.workspace.study.annotations() == ()
    assert reader.said[-1][0] == "warning"
    assert reader.said[-1][1].endswith("has not been shown yet. Scroll through it first.")


def test_drafts_that_went_while_the_question_was_open_are_not_dropped(reader: Reader) -> None:
    reader.workspace.sync.write(A, square(4, left=11))
    reader.workspace.sync.write(C, square(4, left=11))
    reader.host.waitUntil(lambda: C in reader.workspace.sync.changedSlices(), 3, "the work")
    reader.ui.rangePinBox.checked = True
    reader.ui.fromBox.value, reader.ui.toBox.value = 1, 8
    reader.host.waitUntil(lambda: reader.ui.dropButton.isEnabled(), 3, "the drafts")

    def meanwhile() -> bool:
        reader.workspace.sync.accepting([C])
        reader.workspace.session.accept({C: reader.labels(C)})
        reader.workspace.sync.accepted([C])
        reader.workspace.statesChanged()
        return True

    reader.host.dialogs.answers = [meanwhile]
    reader.host.click(reader.ui.dropButton)
    assert reader.said[-1] == ("info", "The unaccepted work on slice 4 was dropped.")
    assert [reader.state(ref) for ref in (A, C)] == ["suggested", "accepted"]


@pytest.mark.parametrize("button", ["acceptRangeButton", "dropButton", "emptyButton", "excludeCaseButton"])
def test_an_answer_counts_for_the_study_that_it_was_asked_of(reader: Reader, tmp_path: Path, button: str) -> None:
    reader.workspace.sync.write(A, square(4, left=11))
    reader.workspace.saveNow()
    for ref in (SliceRef("case0", 0, 4), A):
        reader.scroll(ref)
    reader.ui.toBox.value = 5
    other = make_suggested(tmp_path / "other")

    def meanwhile() -> bool:
        """As when the worker has made a study."""
        reader.workspace.openStudy(other)
        reader.workspace.openSlice(A)
        return True

    reader.host.dialogs.answers = [meanwhile]
    section = reader.ui if button in ("acceptRangeButton", "dropButton") else reader.panel.sections[2].ui
    reader.host.click(getattr(section, button))
    assert reader.host.dialogs.answers == []
    assert reader.workspace.path == other
    study = reader.workspace.study
    assert (study.annotations(), study.excluded_reasons()) == ((), {})
    assert reader.state(A) == "suggested"


def test_a_slice_is_not_called_empty_while_another_case_is_shown(reader: Reader) -> None:
    empty = reader.panel.sections[2]
    reader.open(OTHER)
    reader.workspace.openSlice(A)
    assert reader.workspace.scene.case != A.case
    assert not empty.ui.emptyButton.enabled
    empty.markEmpty()
    assert reader.state(A) != "accepted"
    reader.open(A)
    assert empty.ui.emptyButton.enabled
