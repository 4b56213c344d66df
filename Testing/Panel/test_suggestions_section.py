"""Section 3 by mouse and key: the tree, what it says of each slice, and every answer other than drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Support.panel_study import add_round, make_study, square

from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

FIRST, BESIDE, SECOND, AUDIT = (SliceRef("case0", 0, i) for i in (3, 4, 6, 8))
FAR = SliceRef("case1", 0, 5)


@pytest.fixture
def study_path(tmp_path: Path) -> Path:
    """Two cases: in the first two suggestions, one with a context slice, and an audit slice; in the second one suggestion."""
    study = make_study(tmp_path / "two")
    number = study.start_round(strategy="random", budget=4, seed=0, unit="slice", settings={}).number
    rows = [
        Suggestion(FIRST, 0, Rationale("random", "The model is least sure here.")),
        Suggestion(BESIDE, 1, Rationale("random", "It lies beside slice 4."), kind="context", context_of=FIRST),
        Suggestion(SECOND, 2, Rationale("random", "Unlike every slice so far.")),
        Suggestion(AUDIT, 3, Rationale("audit", "Drawn at random: the others are judged by it."), kind="audit"),
        Suggestion(FAR, 4, Rationale("random", "Of a case not seen yet.")),
    ]
    study.publish_suggestions(number, rows)
    study.enter_stage(number, "annotating")
    study.close()
    return study.path


@pytest.fixture
def workspace(study_path: Path, opened: Callable[[Path], Any]) -> Any:
    return opened(study_path)


@pytest.fixture
def section(panel: Any, workspace: Any) -> Any:
    return panel.sections[2]


def outline(item: Any, depth: int = 0) -> list[tuple[int, str, str]]:
    """Depth, slice and state of an item and of those below it."""
    below = [outline(item.child(n), depth + 1) for n in range(item.childCount())]
    return [(depth, item.text(0), item.text(1)), *(one for lines in below for one in lines)]


def tree(section: Any) -> list[tuple[int, str, str]]:
    widget = section.ui.suggestionTree
    return [line for n in range(widget.topLevelItemCount) for line in outline(widget.topLevelItem(n))]


def press_item(host: Any, section: Any, ref: SliceRef) -> None:
    """Click a row."""
    import qt

    widget, item = section.ui.suggestionTree, section._items[ref]
    host.showInPanel(widget)
    widget.scrollToItem(item)
    place = widget.visualItemRect(item).center()
    qt.QTest.mouseClick(widget.viewport(), qt.Qt.LeftButton, qt.Qt.NoModifier, place)
    host.pump(0.2)


def shown(host: Any, workspace: Any, ref: SliceRef) -> None:
    host.waitUntil(lambda: workspace.views.shownSlice() == ref, 30, f"{ref}")


def test_cases_hold_their_slices_and_suggestions_their_context(section: Any) -> None:
    assert tree(section) == [
        (0, "case case0: 0/4", ""),
        (1, "slice 4", "◇ suggested"),
        (2, "context 5", "◇ suggested"),
        (1, "slice 7", "◇ suggested"),
        (1, "slice 9", "◇ suggested"),
        (0, "case case1: 0/1", ""),
        (1, "slice 6", "◇ suggested"),
    ]


def test_each_row_says_why_and_an_audit_slice_does_not_tell(section: Any) -> None:
    why = {ref: item.text(2) for ref, item in section._items.items()}
    assert why[FIRST] == "The model is least sure here."
    assert why[AUDIT] == "Chosen for this round."
    assert section._items[AUDIT].toolTip(2) == why[AUDIT]
    colours = {ref: item.foreground(1).color().name() for ref, item in section._items.items()}
    assert colours[AUDIT] == colours[FIRST]
    assert section._items[AUDIT].foreground(0).color() == section._items[FIRST].foreground(0).color()
    assert section._items[BESIDE].foreground(0).color() != section._items[FIRST].foreground(0).color()


def test_a_slice_on_which_the_model_finds_nothing_reads_like_an_audit_slice_until_it_is_answered(section: Any, workspace: Any) -> None:
    study, nothing = workspace.study, np.zeros_like(square(1))
    weights = study.path / "models" / "m.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=0)
    study.add_predictions(model.id, [(FIRST, square(1)), (SECOND, nothing)])
    section.refresh()
    withheld = "Chosen for this round."
    assert [section._items[ref].text(2) for ref in (FIRST, SECOND, AUDIT)] == ["The model is least sure here.", withheld, withheld]
    workspace.session.mark_empty([SECOND])
    workspace.statesChanged()
    assert section._items[SECOND].text(2) == "Unlike every slice so far."


@pytest.fixture
def dark_window(host: Any) -> Iterator[str]:
    """The colour of windows in a dark theme; comes before the panel is built."""
    import qt

    was, palette = qt.QApplication.palette(), qt.QApplication.palette()
    palette.setColor(qt.QPalette.Window, qt.QColor("#191919"))
    qt.QApplication.setPalette(palette)
    yield "#191919"
    qt.QApplication.setPalette(was)


def test_context_slices_can_be_read_in_a_dark_window(dark_window: str, section: Any) -> None:
    from SuggestiveAnnotationPanel import state_style

    colour = section._items[BESIDE].foreground(0).color().name()
    assert state_style.contrast(state_style.rgb(colour), state_style.rgb(dark_window)) >= state_style.CONTRAST


def test_choosing_a_row_opens_its_slice_once(host: Any, workspace: Any, section: Any) -> None:
    changes: list[Any] = []
    workspace.sliceChanged.connect(lambda: changes.append(workspace.current))
    press_item(host, section, SECOND)
    shown(host, workspace, SECOND)
    assert changes == [SECOND]
    assert section.ui.reasonLabel.text == "Unlike every slice so far."
    press_item(host, section, FAR)
    shown(host, workspace, FAR)
    assert changes == [SECOND, FAR]


def test_a_click_on_the_open_row_scrolls_back_to_its_slice(host: Any, workspace: Any, section: Any) -> None:
    import slicer

    press_item(host, section, SECOND)
    shown(host, workspace, SECOND)
    node = slicer.app.layoutManager().sliceWidget("SuggestiveSlice").mrmlSliceNode()
    node.JumpSliceByOffsetting(*workspace.scene.centre(SliceRef("case0", 0, 1)))
    assert workspace.views.shownSlice() == SliceRef("case0", 0, 1)
    press_item(host, section, SECOND)
    assert workspace.views.shownSlice() == SECOND


def test_the_selection_follows_the_open_slice(host: Any, workspace: Any, section: Any) -> None:
    assert section._items[FIRST].isSelected()
    host.click(section.ui.nextButton)
    assert workspace.current == BESIDE
    assert [ref for ref, item in section._items.items() if item.isSelected()] == [BESIDE]
    host.click(section.ui.previousButton)
    assert [ref for ref, item in section._items.items() if item.isSelected()] == [FIRST]
    workspace.openSlice(SliceRef("case0", 0, 0))
    assert not any(item.isSelected() for item in section._items.values())
    assert section.ui.reasonLabel.text == ""


def test_arrow_keys_run_through_the_list_and_open_where_they_stop(host: Any, workspace: Any, section: Any) -> None:
    import qt

    changes: list[Any] = []
    workspace.sliceChanged.connect(lambda: changes.append(workspace.current))
    section.ui.suggestionTree.setFocus()
    for _time in range(3):
        qt.QTest.keyClick(section.ui.suggestionTree, qt.Qt.Key_Down)
    host.waitUntil(lambda: changes, 5, "the slice")
    host.pump(0.3)
    assert changes == [AUDIT]


def test_states_change_in_place(workspace: Any, section: Any) -> None:
    kept = section._items[FIRST]
    workspace.session.draft(FIRST, square(1))
    workspace.statesChanged()
    assert section._items[FIRST] is kept
    assert kept.text(1) == "✎ draft"
    workspace.session.accept({FIRST: square(1)})
    workspace.statesChanged()
    assert kept.text(1) == "✔ accepted"
    assert tree(section)[0][1] == "case case0: 1/4"


def test_only_those_that_wait_can_be_listed(host: Any, workspace: Any, section: Any) -> None:
    workspace.session.mark_empty([FIRST])
    host.showInPanel(section.ui.waitingOnlyBox)
    host.click(section.ui.waitingOnlyBox)
    assert FIRST not in section._items
    # Its suggestion is not listed, so the context slice stands below the case.
    assert tree(section)[:2] == [(0, "case case0: 1/4", ""), (1, "context 5", "◇ suggested")]
    host.click(section.ui.waitingOnlyBox)
    assert FIRST in section._items


def test_skip_with_a_reason(host: Any, workspace: Any, section: Any) -> None:
    host.showInPanel(section.ui.reasonBox)
    section.ui.reasonBox.setEditText("cut off at the top")
    host.click(section.ui.skipButton)
    status = workspace.session.status(FIRST)
    assert (status.state, status.reason) == ("skipped", "cut off at the top")
    assert workspace.current == BESIDE
    assert section._items[FIRST].text(1) == "» skipped"
    assert section._items[FIRST].text(2).startswith("skipped: cut off at the top.")
    assert section.ui.reasonBox.currentText == ""


def test_a_reason_stays_with_the_slice_it_was_typed_for(host: Any, workspace: Any, section: Any) -> None:
    host.showInPanel(section.ui.reasonBox)
    section.ui.reasonBox.setEditText("cut off at the top")
    workspace.statesChanged()
    assert section.ui.reasonBox.currentText == "cut off at the top"
    workspace.openSlice(SECOND)
    assert section.ui.reasonBox.currentText == ""
    host.click(section.ui.skipButton)
    assert workspace.session.status(SECOND).reason == "no reason given"


def test_unreadable_without_a_reason(host: Any, workspace: Any, section: Any) -> None:
    host.showInPanel(section.ui.unreadableButton)
    host.click(section.ui.unreadableButton)
    status = workspace.session.status(FIRST)
    assert (status.state, status.reason) == ("unreadable", "no reason given")
    assert section._items[FIRST].text(1) == "✖ unreadable"


def test_empty_accepts_background_and_clears_what_the_view_shows(host: Any, workspace: Any, section: Any) -> None:
    host.showInPanel(section.ui.emptyButton)
    host.click(section.ui.emptyButton)
    assert workspace.session.status(FIRST).state == "accepted"
    assert workspace.study.annotations(case="case0")[-1].provenance == "empty"
    assert not workspace.sync.labels(FIRST).any()
    assert workspace.current == BESIDE


def test_empty_asks_where_somebody_drew_and_keeps_the_drawing_after_no(host: Any, workspace: Any, section: Any) -> None:
    workspace.sync.write(FIRST, square(1))
    host.showInPanel(section.ui.emptyButton)
    host.dialogs.answers = [False]
    host.click(section.ui.emptyButton)
    assert [text for kind, text in host.dialogs.said if kind == "confirmYesNoDisplay" and "slice 4" in text]
    assert workspace.current == FIRST
    assert workspace.session.status(FIRST).state == "draft"
    assert np.array_equal(workspace.sync.labels(FIRST), square(1))
    host.dialogs.answers = [True]
    host.click(section.ui.emptyButton)
    assert workspace.session.status(FIRST).state == "accepted"
    assert not workspace.sync.labels(FIRST).any()
    assert workspace.current == BESIDE


def test_empty_asks_also_where_accepted_structures_would_go(host: Any, workspace: Any, section: Any) -> None:
    unasked = SliceRef("case0", 0, 1)
    workspace.session.accept({unasked: square(4)})
    workspace.openSlice(unasked)
    host.waitUntil(lambda: section.ui.emptyButton.enabled, 30, "the slice")
    host.dialogs.answers = [False]
    host.click(section.ui.emptyButton)
    assert workspace.study.annotations(case="case0")[-1].labels.any()


def test_empty_does_not_ask_where_all_was_erased_or_only_a_model_drew(
    host: Any, panel: Any, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    study = make_study(tmp_path / "predicted")
    add_round(study, {FIRST: "suggested", SECOND: "suggested"}, {FIRST: square(1), SECOND: square(4)})
    study.close()
    workspace, button = opened(study.path), panel.sections[2].ui.emptyButton
    workspace.sync.write(FIRST, np.zeros_like(square(1)))
    host.click(button)
    host.waitUntil(lambda: workspace.current == SECOND and button.enabled, 30, "the next slice")
    host.pump(0.5)  # Longer than a double click.
    host.click(button)
    assert [workspace.session.status(ref).state for ref in (FIRST, SECOND)] == ["accepted", "accepted"]
    assert [kind for kind, _text in host.dialogs.said if kind == "confirmYesNoDisplay"] == []


def test_an_answered_slice_cannot_be_skipped(workspace: Any, section: Any) -> None:
    workspace.session.mark_empty([FIRST])
    workspace.statesChanged()
    ui = section.ui
    assert workspace.current == FIRST
    assert [button.enabled for button in (ui.skipButton, ui.unreadableButton, ui.emptyButton)] == [False] * 3
    assert ui.skipButton.toolTip == "Open a slice that waits first."
    assert ui.excludeCaseButton.enabled


def test_a_case_is_excluded_only_after_yes(host: Any, workspace: Any, section: Any) -> None:
    said: list[tuple[str, str]] = []
    workspace.message.connect(lambda level, text: said.append((level, text)))
    host.showInPanel(section.ui.excludeCaseButton)
    host.dialogs.answers = [False]
    host.click(section.ui.excludeCaseButton)
    assert workspace.study.case("case0").role == "pool"
    assert workspace.current == FIRST
    host.dialogs.answers = [True]
    section.ui.reasonBox.setEditText("wrong patient")
    host.click(section.ui.excludeCaseButton)
    assert [text for kind, text in host.dialogs.said if "case0" in text and "Exclude" in text]
    case = workspace.study.case("case0")
    assert (case.role, case.excluded_reason) == ("excluded", "wrong patient")
    assert workspace.current == FAR
    shown(host, workspace, FAR)
    assert ("info", "Case case0 is excluded. Include again in 1 takes it back.") in said


def test_nothing_of_a_case_that_is_excluded_while_a_round_is_computed_is_opened_again(host: Any, workspace: Any, section: Any) -> None:
    workspace.session.finish_round()
    workspace.study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    workspace.statesChanged()
    host.showInPanel(section.ui.excludeCaseButton)
    host.dialogs.answers = [True]
    host.click(section.ui.excludeCaseButton)
    assert workspace.current == FAR
    assert {state for depth, name, state in tree(section)[:5] if depth} == {"» skipped"}
    assert section._items[FIRST].text(2).startswith("skipped: case excluded: no reason given.")
    workspace.nextSlice()
    assert workspace.current == FAR


def test_the_line_says_what_to_do_next(host: Any, panel: Any, study_path: Path, opened: Callable[[Path], Any], tmp_path: Path) -> None:
    section = panel.sections[2]
    assert section.ui.guidance.text == "Open a study in 1."
    assert not section.ui.nextButton.enabled
    empty = make_study(tmp_path / "new", cases=1)
    empty.close()
    opened(empty.path)
    assert section.ui.guidance.text == "There are no suggestions yet. Start a round in 2."
    workspace = opened(study_path)
    assert section.ui.guidance.text == "5 of 5 wait. Choose one, or go to the next (N)."
    workspace.session.mark_empty([FIRST, BESIDE, SECOND, AUDIT])
    workspace.session.mark_empty([FAR])
    workspace.statesChanged()
    assert section.ui.guidance.text == "All 5 are answered. Start the next round in 2, or review in 5."
    assert section.ui.nextButton.toolTip == "No suggestion waits."


def test_what_was_not_answered_when_the_round_was_finished_is_not_called_answered(
    host: Any, panel: Any, workspace: Any, section: Any
) -> None:
    workspace.session.mark_empty([FIRST])
    workspace.session.finish_round()
    workspace.statesChanged()
    finished = "Round 0 is finished; 4 were not answered."
    assert section.ui.guidance.text == f"{finished} Start the next round in 2, or review in 5."
    assert panel.sections[1].ui.guidance.text == f"{finished} Start round 1."
    assert [name for depth, name, _state in tree(section) if not depth] == ["case case0: 1/4", "case case1: 0/1"]
    workspace.nextSlice()
    assert panel.messageLabel.text == f"{finished} Start the next round, or review and export."


def test_a_click_on_the_strip_opens_a_slice(host: Any, workspace: Any, section: Any) -> None:
    import qt

    label = section.ui.stripLabel
    host.showInPanel(label)
    assert label.isVisible()
    x = round(section._strip.placeOf(SECOND))
    qt.QTest.mouseClick(label, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(x, 34))
    shown(host, workspace, SECOND)
    assert section._items[SECOND].isSelected()


def test_the_strip_follows_the_view(host: Any, workspace: Any, section: Any) -> None:
    import slicer

    node = slicer.app.layoutManager().sliceWidget("SuggestiveSlice").mrmlSliceNode()
    node.JumpSliceByOffsetting(*workspace.scene.centre(SliceRef("case0", 0, 9)))
    assert section._strip._shown == SliceRef("case0", 0, 9)
    assert section._strip._open == FIRST


def test_what_did_not_change_is_not_written_again(host: Any, panel: Any, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    study = make_study(tmp_path / "long", cases=4, shape=(50, 24, 20))
    add_round(study, {SliceRef(f"case{n}", 0, k): "suggested" for n in range(4) for k in range(50)})
    study.close()
    workspace = opened(study.path)
    section = panel.sections[2]
    items, written, write = dict(section._items), [], section._write
    assert len(items) == 200
    section._write = lambda item, *what: (written.append(item), write(item, *what))
    section.refresh()
    assert not written
    workspace.session.skip(SliceRef("case2", 0, 7), reason="motion")
    workspace.statesChanged()
    host.waitUntil(lambda: written, 10, "the row of the skipped slice")
    assert written == [items[SliceRef("case2", 0, 7)]]
    assert all(section._items[ref] is item for ref, item in items.items())


def test_a_picture_of_the_section(host: Any, workspace: Any, section: Any, tmp_path: Path) -> None:
    workspace.session.skip(SECOND, reason="motion")
    workspace.statesChanged()
    host.pump(0.5)
    host.showInPanel(section.widget)
    host.screenshot(tmp_path / "suggestions.png", section.widget)
    assert (tmp_path / "suggestions.png").stat().st_size > 5000
