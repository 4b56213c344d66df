"""The module's keys: there while it is open, and never on a key that something else in Slicer has."""

from __future__ import annotations

import re

import qt
import slicer
from slicer.i18n import tr as _

from . import settings
from .connect import connect

TAKEN = {
    # qMRMLSegmentEditorWidget::installKeyboardShortcuts
    "Segment Editor": (
        *"1234567890", *(f"Shift+{digit}" for digit in "1234567890"), "Esc", "Space", "Z", "Ctrl+Z", "Y", "Ctrl+Shift+Z", "Ctrl+Y",
        "Q", "W", "/", "*", ",", ".", ">", "<", "I",
    ),
    # qSlicerSegmentEditorPaintEffect::processInteractionEvents, SegmentEditorDrawEffect.py
    "effects of the Segment Editor": ("+", "=", "-", "_", "A", "Return", "X"),
    # vtkMRMLSliceIntersectionWidget, vtkMRMLWindowLevelWidget, vtkMRMLInteractionWidget
    "slice views": ("G", "T", "Right", "Left", "Up", "Down", "F", "B", "V", "Shift+V", "[", "]", "{", "}", "R", "Esc", "Shift"),
    # vtkMRMLCameraWidget
    "3D views": (
        "End", "Shift+End", "PgDown", "Shift+PgDown", "Home", "Shift+Home", "Ins", "+", "-", "R", "Ctrl+B", "Left", "Right", "Up", "Down",
        "Shift+Left", "Shift+Right", "Shift+Up", "Shift+Down",
    ),
    # qSlicerMainWindow.ui, qSlicerMainWindow.cxx, qSlicerModuleSelectorToolBar.cxx, Python and error log windows
    "main window": (
        *(f"Ctrl+{digit}" for digit in "0123456"), *(f"Ctrl+{letter}" for letter in "OSWZYXCVHFG"), "Ctrl+`", "Ctrl+Left", "Ctrl+Right",
        "Alt+Left", "Alt+Right",
    ),
    # qMRMLMarkupsToolBar.cxx, control points of markups, qMRMLSequenceBrowserToolBar.cxx, qMRMLTableViewControllerWidget.cxx
    "tool bars and tables": (
        "Ctrl+Shift+A", "Ctrl+Shift+T", "Ctrl+Shift+Space", "Del", "Backspace", "Ctrl+Shift+Left", "Ctrl+Shift+Right", "Ctrl+Shift+Up",
        "Ctrl+Shift+Down", "Ctrl+P",
    ),
}  # fmt: skip
"""Who has which keys, and where that was read in Slicer's sources."""


KEY_IN_BRACKETS = re.compile(r" \((?:[NPJKM]|Ctrl\+Return)\)")
"""How texts name a key."""
CTRL = re.compile(r"\bCtrl\+\w+")


def onKeyboard(key):
    """A key as the keyboards of this system write it: on macOS Qt takes Command for Ctrl."""
    return qt.QKeySequence(key).toString(qt.QKeySequence.NativeText)


def withKeys(text):
    """A text that names keys, as they are on the keyboard; without the module's own where the settings switched them off."""
    kept = text if settings.shortcutsOn() else KEY_IN_BRACKETS.sub("", text)
    return CTRL.sub(lambda key: onKeyboard(key[0]), kept)


class Shortcuts:
    """Installs `(key, what it does, callable)` while the module is open.

    Args:
        actions: keys as in `QKeySequence`, texts for a person.
        repeating: keys that act again and again while they are held.
        say: called with a sentence when a key does nothing.
    """

    def __init__(self, actions, repeating=(), say=lambda _sentence: None):
        self.actions = actions
        self._repeating, self._say = repeating, say
        self._installed = []

    def install(self):
        """Make the keys work, unless the settings say no."""
        self.remove()
        parent = slicer.util.mainWindow() or qt.QApplication.activeWindow()
        if parent is None or not settings.shortcutsOn():
            return
        for key, _text, action in self.actions:
            shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
            shortcut.autoRepeat = key in self._repeating
            connect(shortcut, "activated()", self._unlessTyping(key, action))
            self._installed.append(shortcut)

    def _unlessTyping(self, key, action):
        def act():
            if _typing():
                self._say(_("{key} does nothing while you type. Click into the image first.").format(key=onKeyboard(key)))
            else:
                action()

        return act

    def remove(self):
        """Give the keys free."""
        for shortcut in self._installed:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._installed = []

    def collisions(self):
        """Keys of the module that something else has, or that it has twice, with who has them."""
        own = [_normal(key) for key, _text, _action in self.actions]
        found = [(key, owner) for owner, keys in TAKEN.items() for key in own if key in {_normal(one) for one in keys}]
        return found + [(key, "this module") for key in dict.fromkeys(own) if own.count(key) > 1]

    def text(self):
        """The keys for a person, one a line."""
        return "\n".join(_("{key}: {what}").format(key=onKeyboard(key), what=text) for key, text, _action in self.actions)


def _typing():
    """Whether the focus is where text is typed: letters are taken there, but keys with Ctrl are not."""
    widget = qt.QApplication.focusWidget()
    if widget is None:
        return False
    # PythonQt's classes do not inherit from each other.
    if widget.inherits("QComboBox"):
        return widget.editable
    return any(widget.inherits(name) for name in ("QLineEdit", "QAbstractSpinBox", "QTextEdit", "QPlainTextEdit"))


def _normal(key):
    """A key as Qt writes it, so that `ctrl+return` and `Ctrl+Return` are one."""
    return qt.QKeySequence(key).toString() or key
