"""The keys that the segment editor installs, and those that slice views and Slicer's main window take."""

from __future__ import annotations

from typing import Any

import shiboken6
from PySide6 import QtGui

EFFECT_KEYS = tuple((f"{prefix}{n % 10}", n + offset) for prefix, offset in (("", 0), ("Shift+", 10)) for n in range(1, 11))
SEGMENT_KEYS = tuple((key, -1 if place % 2 == 0 else 1) for place, key in enumerate(("Q", "W", "/", "*", ",", ".", ">", "<")))
EDITOR_KEYS = (
    *(key for key, _ in EFFECT_KEYS), "Esc", "Space", "Z", "Ctrl+Z", "Y", "Ctrl+Shift+Z", *(key for key, _ in SEGMENT_KEYS), "I",
)  # fmt: skip
"""`qMRMLSegmentEditorWidget::installKeyboardShortcuts`"""
VIEW_KEYS = ("Left", "Right", "Up", "Down", "F", "B", "G", "T", "R", "V", "[", "]", "{", "}")
"""`vtkMRMLSliceViewInteractorStyle`"""
BRUSH_KEYS = ("+", "=", "-", "_")
"""Paint and Erase"""
DRAW_KEYS = ("A", "Return", "X")
"""Draw, while it is active"""
WINDOW_KEYS = (
    *(f"Ctrl+{n}" for n in range(7)), *(f"Ctrl+{letter}" for letter in "OSWZYXCVHFG"), "Ctrl+Left", "Ctrl+Right", "Alt+Left", "Alt+Right",
    *(f"Ctrl+Shift+{key}" for key in ("A", "T", "Space", "Left", "Right", "Up", "Down")),
)  # fmt: skip
"""Slicer's main window"""


def takenKeys() -> dict[str, tuple[str, ...]]:
    """Every key sequence that Slicer has a use for while the segment editor is on, by whom."""
    return {"segment editor": EDITOR_KEYS, "slice views": VIEW_KEYS, "brush": BRUSH_KEYS, "draw": DRAW_KEYS, "main window": WINDOW_KEYS}


class EditorShortcuts:
    """The shortcuts of one editor."""

    def __init__(self, editor: Any) -> None:
        self._editor = editor
        self._installed: list[Any] = []

    def sequences(self) -> tuple[str, ...]:
        """The key sequences that are installed now."""
        return tuple(shortcut.property("key").toString() for shortcut in self._installed)

    def install(self, parent: Any) -> None:
        self.uninstall()
        editor = self._editor
        for key, number in EFFECT_KEYS:
            self._add(key, parent, lambda number=number: self._toggle(number))
        self._add("Esc", parent, lambda: self._toggle(0))
        self._add("Space", parent, lambda: editor._locked or editor.setActiveEffect(editor._last_effect))
        for key, slot in (("Z", editor.undo), ("Ctrl+Z", editor.undo), ("Y", editor.redo), ("Ctrl+Shift+Z", editor.redo)):
            self._add(key, parent, slot)
        for key, offset in SEGMENT_KEYS:
            self._add(key, parent, lambda offset=offset: editor.selectSegmentAtOffset(offset))
        self._add("I", parent, editor.toggleSourceVolumeIntensityMaskEnabled)

    def uninstall(self) -> None:
        while self._installed:
            shortcut = self._installed.pop()
            shortcut.setParent(None)
            shiboken6.delete(shortcut)

    def _add(self, key: str, parent: Any, slot: Any) -> None:
        # Of the host's class, as those of the module: so keys that are taken twice are found.
        import qt

        shortcut = qt.QShortcut(QtGui.QKeySequence(key), parent)
        shortcut.activated.connect(lambda: slot())
        self._installed.append(shortcut)

    def _toggle(self, number: int) -> None:
        """The n-th button of the effects, the arrow being 0; the active one again switches it off."""
        editor = self._editor
        if not editor._locked:
            effect = editor.effectByIndex(number)
            editor.setActiveEffect(None if effect is editor.activeEffect() else effect)
