"""A person at the panel who annotates, for tests of what happens in section 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from panel_study import SHAPE, add_round, make_study, square

from SuggestiveAnnotationLib.types import SliceRef

A, B, C, OTHER = (SliceRef(case, 0, index) for case, index in (("case0", 3), ("case0", 5), ("case0", 7), ("case1", 4)))
PREDICTED = {A: square(1), B: square(4)}
SLICE = "SuggestiveSlice"


def make_suggested(folder: Path) -> Path:
    """A study with three suggestions in case0, of which two have a pre-annotation, and one in case1."""
    study = make_study(folder)
    add_round(study, {ref: "suggested" for ref in (A, B, C, OTHER)}, PREDICTED)
    study.close()
    return study.path


class Reader:
    """A person at the panel, in section 4."""

    def __init__(self, host: Any, panel: Any) -> None:
        self.host, self.panel, self.workspace = host, panel, panel.workspace
        self.section = panel.sections[3]
        self.ui, self.editor = self.section.ui, self.section.editor
        self.said: list[tuple[str, str]] = []
        self.workspace.message.connect(lambda level, text: self.said.append((level, text)))

    def open(self, ref: SliceRef) -> None:
        if self.workspace.current != ref:
            self.workspace.openSlice(ref)
        self.host.waitUntil(lambda: self.workspace.scene.case == ref.case and ref in self.workspace.views.displayed, what=f"{ref}")
        self.host.pump(0.05)

    def scroll(self, ref: SliceRef) -> None:
        import slicer

        node = slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode()
        node.JumpSliceByOffsetting(*self.workspace.scene.centre(ref))
        self.host.pump(0.05)

    def effect(self, name: str, segment: str = "value-1", **parameters: Any) -> Any:
        self.editor.setCurrentSegmentID(segment)
        self.editor.setActiveEffectByName(name)
        effect = self.editor.activeEffect()
        for key, value in parameters.items():
            effect.setCommonParameter(key, value)
        self.host.pump(0.02)
        return effect

    def brush(self, name: str = "Paint", segment: str = "value-1", diameter: float = 6) -> None:
        self.effect(name, segment, BrushDiameterIsRelative=0, BrushAbsoluteDiameter=diameter)

    def place(self, row: float, column: float) -> tuple[float, float, float]:
        """A pixel of the open slice, RAS: rows run towards the back, columns to the left."""
        right, anterior, superior = self.workspace.scene.centre(self.workspace.current)
        return (right - (column - (SHAPE[2] - 1) / 2), anterior - (row - (SHAPE[1] - 1) / 2), superior)

    def drag(self, *pixels: tuple[float, float]) -> None:
        self.host.drag(SLICE, [self.place(*pixel) for pixel in pixels])
        self.host.pump(0.3)

    def labels(self, ref: SliceRef | None = None) -> np.ndarray:
        return np.asarray(self.workspace.sync.labels(ref or self.workspace.current))

    def state(self, ref: SliceRef) -> str:
        status = self.workspace.session.status(ref)
        return "" if status is None else status.state
