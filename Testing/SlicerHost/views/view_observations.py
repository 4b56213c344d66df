"""Events of the slice views go to the active effect first."""

from __future__ import annotations

from typing import Any

import shiboken6
import slicer

EVENTS = (
    *(f"{button}Button{what}Event" for button in ("Left", "Right", "Middle") for what in ("Press", "Release", "DoubleClick")),
    "MouseMoveEvent", "MouseWheelForwardEvent", "MouseWheelBackwardEvent", "KeyPressEvent", "KeyReleaseEvent", "EnterEvent", "LeaveEvent",
)  # fmt: skip


class ViewObservations:
    """What the editor observes while an effect is active: every slice view there is at that time."""

    def __init__(self, editor: Any) -> None:
        self._editor = editor
        self._tags: list[tuple[Any, int]] = []

    def setup(self) -> None:
        self.remove()
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames() if layout is not None else ():
            view = layout.sliceWidget(name)
            interactor, node = view.sliceView().interactor(), view.mrmlSliceNode()
            for event in EVENTS:
                self._observe_event(interactor, event, view)
            tag = node.AddObserver("ModifiedEvent", lambda caller, event, view=view: self._node_modified(caller, event, view), 1.0)
            self._tags.append((node, tag))

    def remove(self) -> None:
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags.clear()

    def _observe_event(self, interactor: Any, event: str, view: Any) -> None:
        kept: list[int] = []

        def call(caller: Any, name: str) -> None:
            effect = self._effect()
            if effect is not None and effect.processInteractionEvents(caller, name, view):
                command = caller.GetCommand(kept[0])
                if command is not None:
                    command.SetAbortFlag(1)

        kept.append(interactor.AddObserver(event, call, 1.0))
        self._tags.append((interactor, kept[0]))

    def _node_modified(self, node: Any, event: str, view: Any) -> None:
        effect = self._effect()
        if effect is not None:
            effect.processViewNodeEvents(node, event, view)

    def _effect(self) -> Any:
        editor = self._editor
        if not shiboken6.isValid(editor):
            self.remove()
            return None
        scene = editor.mrmlScene()
        if scene is None or scene.IsClosing() or editor.mrmlSegmentEditorNode() is None:
            return None
        return editor.activeEffect()
