"""What the six sections of the panel have in common."""

from __future__ import annotations

import time

import ctk
import qt
import slicer

from .connect import connect, guarded
from .shortcuts import KEY_IN_BRACKETS, withKeys

DOUBLE_CLICK = 0.4
"""Seconds within which a click belongs to the one before."""


def takeWidthThatIs(widget):
    """Have a label wrap its words, or a box cut its titles short: the panel is never made wider for them."""
    policy = widget.sizePolicy
    policy.setHorizontalPolicy(qt.QSizePolicy.Ignored)
    widget.sizePolicy = policy


class Section:
    """One collapsible part of the panel, built from `Resources/UI/<name>.ui`.

    Attributes:
        widget: the collapsible button that the panel shows.
        ui: the named widgets of the .ui file; `ui.guidance` is the line that says what to do next.
    """

    name = ""
    title = ""

    def __init__(self, workspace, resourcePath):
        self.workspace = workspace
        self.resourcePath = resourcePath
        self.widget = ctk.ctkCollapsibleButton()
        self.widget.text = self.title
        self.widget.objectName = f"{self.name}Button"
        content = slicer.util.loadUI(resourcePath(f"UI/{self.name}.ui"))
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(content)
        self.content = content
        self.ui = slicer.util.childWidgetVariables(content)
        for widget in vars(self.ui).values():
            if isinstance(widget, qt.QLabel) and widget.wordWrap:
                takeWidthThatIs(widget)
        self._followed = []
        self._guidance = ""
        buttons = [widget for widget in vars(self.ui).values() if isinstance(widget, qt.QPushButton)]
        self._keyed = [(button, button.text) for button in buttons if KEY_IN_BRACKETS.search(button.text)]
        self.follow(workspace.settingsChanged, self._nameKeys)
        self._nameKeys()

    def follow(self, signal, receiver):
        """Connect to a signal of the workspace until `cleanup`; an error is shown in the panel."""
        call = guarded(receiver)
        signal.connect(call)
        self._followed.append((signal, call))

    def connectAnswer(self, button, slot):
        """Call `slot` at a click, but not at the second of a double click: the first has brought up a slice that nobody has looked at."""
        opened, at = None, float("-inf")

        def clicked():
            nonlocal opened, at
            before = self.workspace.current
            if before != opened or time.monotonic() - at > DOUBLE_CLICK:
                slot()
                after = self.workspace.current
                opened, at = after if after != before else None, time.monotonic()

        connect(button, "clicked()", clicked)

    def agrees(self, question, title):
        """Whether the person says yes, and that still is of the study and the reader it was asked of: Slicer goes on while it waits."""
        session = self.workspace.session
        return slicer.util.confirmYesNoDisplay(question, windowTitle=title) and self.workspace.session is session

    def guide(self, sentence):
        """Say in one line what to do next."""
        self._guidance = sentence
        self.ui.guidance.text = withKeys(sentence)

    def _nameKeys(self):
        self.guide(self._guidance)
        for button, text in self._keyed:
            button.text = withKeys(text)

    def setParameterNode(self, parameterNode):
        """Bind widgets to the parameter node; None while the scene closes."""

    def enter(self):
        """The module was opened."""

    def exit(self):
        """The module was left."""

    def onSceneStartClose(self):
        """Drop references to nodes."""

    def onSceneEndClose(self):
        """Make nodes again, if the module is open."""

    def cleanup(self):
        """The module goes: disconnect everything."""
        for signal, call in self._followed:
            signal.disconnect(call)
        self._followed.clear()
