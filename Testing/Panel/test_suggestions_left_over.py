"""Work that no round lists any more, at the end of the list of section 3: drafts of earlier rounds, and what a second reader returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_hands import press
from panel_reader import OTHER, A, B, C, Reader
from panel_study import add_round, square

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.types import SliceRef

ASIDE = SliceRef("case0", 0, 8)


@pytest.fixture
def ui(reader: Reader) -> Any:
    return reader.panel.sections[2].ui


def next_round(reader: Reader) -> None:
    """A round of one slice of the other case; it is open."""
    add_round(reader.workspace.study, {OTHER: "suggested"})
    reader.workspace.statesChanged()
    reader.open(OTHER)


def last_group(ui: Any) -> list[tuple[str, str, str]]:
    """What the last group of the tree is called, and its slices with state and reason."""
    tree = ui.suggestionTree
    group = tree.topLevelItem(tree.topLevelItemCount - 1)
    items = [group, *(group.child(n) for n in range(group.childCount()))]
    return [(item.text(0), item.text(1), item.text(2)) for item in items]


def test_drafts_of_an_earlier_round_are_listed_last_and_reached_by_key(reader: Reader, ui: Any) -> None:
    reader.workspace.sync.write(B, square(4, side=5))
    reader.workspace.sync.write(ASIDE, square(1))
    next_round(reader)
    why = "You have begun it; it is not accepted yet."
    assert last_group(ui) == [
        ("your drafts and returned slices: 2", "", ""),
        ("slice 6 of case0", "✎ draft", why),
        ("slice 9 of case0", "✎ draft", why),
    ]
    assert ui.guidance.text == (
        "1 of 1 wait. Choose one, or go to the next (N). Your drafts and returned slices of other rounds, at the end of the list: 2."
    )
    press(reader.host, "N")
    assert reader.workspace.current == B
    assert ui.reasonLabel.text == why
    assert ui.skipButton.enabled
    press(reader.host, "N")
    assert reader.workspace.current == ASIDE
    assert (ui.skipButton.enabled, ui.skipButton.toolTip) == (False, "It was never suggested. Drop drafts in 4 throws the draft away.")
    reader.open(B)
    assert np.array_equal(reader.labels(), square(4, side=5))
    reader.host.click(reader.ui.acceptButton)
    assert last_group(ui)[0][0] == "your drafts and returned slices: 1"
    assert reader.workspace.current == ASIDE


def test_what_was_returned_after_its_round_is_shown_with_the_note(reader: Reader, ui: Any) -> None:
    reader.workspace.session.accept({A: square(4), C: square(4)})
    next_round(reader)
    assert last_group(ui)[0][0] == "case case1: 0/1"
    second = Session(reader.workspace.study, annotator="Dr Second")
    second.review([A], verdict="returned", note="the border")
    second.review([C], verdict="returned")
    reader.workspace.statesChanged()
    (_, first, other) = last_group(ui)
    assert first[:2] == ("slice 4 of case0", "↩ returned")
    assert first[2].startswith('Dr Second returned it: "the border".')
    assert other[2].startswith("Dr Second returned it without a note.")
    press(reader.host, "N")
    assert reader.workspace.current == A
    assert reader.ui.sliceLabel.text.endswith('Dr Second returned it: "the border".')
    reader.open(A)
    reader.host.click(reader.ui.acceptButton)
    assert reader.workspace.current == C
    assert len(last_group(ui)) == 2


def test_a_long_name_hides_neither_the_slice_nor_how_many_are_done(
    host: Any, panel: Any, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import panel_study

    name, write = "University-Hospital_Trial-2021-Baseline_patient-0001_session-1", panel_study.write_case
    monkeypatch.setattr(panel_study, "write_case", lambda folder, _name, *, seed, **how: write(folder, name, seed=seed, **how))
    study = panel_study.make_study(tmp_path, cases=1)
    add_round(study, {SliceRef(name, 0, 3): "suggested"})
    Session(study, annotator="reader 1").draft(SliceRef(name, 0, 5), square(1))
    study.close()
    opened(study.path)
    tree = panel.sections[2].ui.suggestionTree
    group, (_head, left) = tree.topLevelItem(0), (tree.topLevelItem(1), tree.topLevelItem(1).child(0))
    assert group.text(0) == "case University-Hospit…ent-0001_session-1: 0/1"
    assert tree.fontMetrics().horizontalAdvance(group.text(0)) < tree.viewport().width - tree.indentation
    assert group.toolTip(0) == f"case {name}: 0/1"
    assert left.text(0) == f"slice 6 of {name}"
    assert left.toolTip(0).startswith(left.text(0))
