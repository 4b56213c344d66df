"""The module's keys collide with nothing, work while the module is open, and are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from Support.panel_hands import press


@pytest.fixture
def shortcuts(panel: Any) -> Any:
    return panel.shortcuts


def test_no_key_of_the_module_is_taken(shortcuts: Any) -> None:
    assert len(shortcuts.actions) >= 6
    assert shortcuts.collisions() == []


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("z", "Segment Editor"),
        ("Shift+3", "Segment Editor"),
        ("x", "effects of the Segment Editor"),
        ("g", "slice views"),
        ("ctrl+s", "main window"),
        ("Ctrl+Shift+T", "tool bars and tables"),
    ],
)
def test_a_taken_key_is_found_however_it_is_written(panel: Any, key: str, owner: str) -> None:
    from SuggestiveAnnotationPanel.shortcuts import Shortcuts

    assert owner in {who for _key, who in Shortcuts([(key, "something", print)]).collisions()}


def test_a_key_that_the_module_has_twice_is_found(panel: Any) -> None:
    from SuggestiveAnnotationPanel.shortcuts import Shortcuts

    assert Shortcuts([("N", "one", print), ("n", "two", print)]).collisions() == [("N", "this module")]


def test_keys_work_while_the_module_is_open(host: Any, panel: Any, in_round_0: Path, opened: Callable[[Path], Any]) -> None:
    workspace = opened(in_round_0)
    first = workspace.current
    press(host, "N")
    second = workspace.current
    assert second != first
    press(host, "P")
    assert workspace.current == first
    host.exit("SuggestiveAnnotation")
    press(host, "N")
    assert workspace.current == first
    host.enter("SuggestiveAnnotation")
    press(host, "N")
    assert workspace.current == second


def test_the_settings_switch_them_off(host: Any, panel: Any, in_round_0: Path, opened: Callable[[Path], Any]) -> None:
    from SuggestiveAnnotationPanel import settings

    workspace = opened(in_round_0)
    first = workspace.current
    settings.setShortcutsOn(False)
    panel.workspace.settingsChanged()
    press(host, "N")
    assert workspace.current == first
    ui = panel.sections[2].ui
    assert (ui.nextButton.text, ui.guidance.text) == ("Next >", "6 of 6 wait. Choose one, or go to the next.")
    settings.setShortcutsOn(True)
    panel.workspace.settingsChanged()
    assert (ui.nextButton.text, ui.guidance.text) == ("Next (N) >", "6 of 6 wait. Choose one, or go to the next (N).")
    press(host, "N")
    assert workspace.current != first


def test_only_keys_that_lose_nothing_act_again_while_they_are_held(shortcuts: Any) -> None:
    import qt

    own = {key for key, _text, _action in shortcuts.actions}
    installed = {one.key.toString(): one.autoRepeat for one in qt.QShortcut.alive if one.key.toString() in own}
    assert set(installed) == own
    assert {key for key, repeats in installed.items() if repeats} == {"N", "P"}


def test_the_text_names_every_key(shortcuts: Any) -> None:
    lines = shortcuts.text().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [key for key, _text, _action in shortcuts.actions]
    assert all(line.partition(": ")[2] for line in lines)


@pytest.fixture
def foreign_keyboard(host: Any) -> Iterator[None]:
    """Keys are called otherwise, as on macOS and in other languages."""
    from PySide6 import QtCore

    class Keys(QtCore.QTranslator):
        def translate(self, context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str | None:
            return "Strg" if (context, text) == ("QShortcut", "Ctrl") else None

        def isEmpty(self) -> bool:
            return False

    keys = Keys()
    QtCore.QCoreApplication.installTranslator(keys)
    yield
    QtCore.QCoreApplication.removeTranslator(keys)


def test_texts_name_keys_as_they_are_on_the_keyboard(host: Any, foreign_keyboard: None, reader: Any) -> None:
    assert reader.ui.acceptButton.text == "Accept and next (Strg+Return)"
    assert reader.ui.guidance.text == "Correct the outlines, then Accept and next (Strg+Return)."
    assert reader.panel.shortcuts.text().startswith("Strg+Return: accept and next")
    reader.workspace.scene.segmentation.GetSegmentation().AddEmptySegment("Segment_1", "my own", [1, 0, 0])
    assert "Undo (Strg+Z) what made it" in reader.section.obstacle()
