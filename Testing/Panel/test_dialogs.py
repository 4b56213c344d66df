"""What the windows of the panel have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

UI = Path(__file__).parents[2] / "SuggestiveAnnotation" / "Resources" / "UI"


@pytest.mark.parametrize("name", sorted(path.stem for path in UI.glob("*Dialog.ui")))
def test_enter_does_what_the_window_is_for(panel: Any, name: str) -> None:
    import qt
    from SuggestiveAnnotationPanel.dialogs import Dialog

    dialog = Dialog(panel.resourcePath(f"UI/{name}.ui"), name)
    dialog.open()
    buttons = {key: widget for key, widget in vars(dialog.ui).items() if isinstance(widget, qt.QPushButton)}
    (wanted,) = buttons.keys() & {"takeButton", "createButton"}
    assert [key for key, button in buttons.items() if button.default] == [wanted]
    # Enter on Cancel cancels.
    assert {key for key, button in buttons.items() if button.autoDefault} == {wanted, "cancelDialogButton"}
    dialog.cleanup()
