"""What a person does with the panel that takes more than one click."""

from __future__ import annotations

from typing import Any

import numpy as np

SLICE = "SuggestiveSlice"
"""The view of the suggested slice."""


def press(host: Any, key: str) -> None:
    """A key with the pointer's view in focus: a letter typed into a line of the panel is a letter."""
    import slicer

    host.press(key, slicer.app.layoutManager().sliceWidget(SLICE).sliceView())


def stroke(host: Any, workspace: Any, *, to: float = 16.0, row: float = 0.0) -> np.ndarray:
    """Paint a line through the open slice with the mouse; returns its labels afterwards."""
    import slicer

    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 60, "the slice")
    matrix = slicer.util.arrayFromVTKMatrix(slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode().GetSliceToRAS())
    across, down = matrix[:3, 0], matrix[:3, 1]
    centre = np.asarray(workspace.scene.centre(workspace.current))
    host.drag(SLICE, [tuple(centre + along * across + row * down) for along in np.linspace(-to, to, 9)])
    labels: np.ndarray = workspace.sync.labels(workspace.current)
    return labels
