"""Whoever double clicks has answered one slice, not also the one that came up under the pointer."""

from __future__ import annotations

import pytest
from panel_reader import A, B, C, Reader


@pytest.mark.parametrize("name", ["acceptButton", "emptyButton", "skipButton", "unreadableButton"])
def test_the_second_click_of_a_double_click_answers_nothing(reader: Reader, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from SuggestiveAnnotationPanel import section

    # However slowly the next slice is painted here.
    monkeypatch.setattr(section, "DOUBLE_CLICK", 60.0)
    button = getattr(reader.ui if name == "acceptButton" else reader.panel.sections[2].ui, name)
    reader.host.showInPanel(button)
    button.click()
    reader.host.waitUntil(lambda: B in reader.workspace.views.displayed and button.isEnabled(), 5, "the next slice")
    button.click()
    assert reader.workspace.current == B
    assert reader.state(A) != "suggested"
    assert reader.state(B) == "suggested"
    monkeypatch.setattr(section, "DOUBLE_CLICK", 0.0)
    button.click()
    assert reader.workspace.current == C
