"""The panel's study, scene and label sync without its views, for tests of what becomes of edits."""

from __future__ import annotations

from typing import Any

import numpy as np
from panel_study import square

from SuggestiveAnnotationLib.types import SliceRef

A, B, C, FREE = (SliceRef("case0", 0, index) for index in (3, 5, 7, 8))
PREDICTED = {A: square(1), B: square(4), C: square(1, left=20)}


class Desk:
    """What the module widget composes, without the views."""

    def __init__(self, host: Any) -> None:
        from SuggestiveAnnotationPanel.case_scene import CaseScene
        from SuggestiveAnnotationPanel.label_sync import LabelSync
        from SuggestiveAnnotationPanel.workspace import Workspace

        self.host = host
        self.workspace = Workspace()
        self.workspace.scene = self.scene = CaseScene(self.workspace)
        self.workspace.sync = self.sync = LabelSync(self.workspace)
        self.said: list[tuple[str, str]] = []
        self.workspace.message.connect(lambda level, text: self.said.append((level, text)))

    def open(self, ref: SliceRef) -> None:
        self.workspace.openSlice(ref)
        self.host.waitUntil(lambda: self.scene.case == ref.case, what=f"case {ref.case}")
        self.host.pump(0.01)

    @property
    def node(self) -> Any:
        return self.scene.segmentation

    def paint(self, ref: SliceRef, labels: np.ndarray) -> None:
        """A change as an effect makes it: through the logic, slice by slice."""
        self.sync.write(ref, labels)

    def labels(self, ref: SliceRef) -> np.ndarray:
        from SuggestiveAnnotationPanel import segments

        volume = segments.readVolume(self.node, self.scene.geometry, self.scene.schema)
        return np.asarray(self.scene.frame.stack(volume)[ref.native_index])

    def drafts(self) -> dict[SliceRef, np.ndarray]:
        return {draft.ref: draft.labels for draft in self.workspace.session.drafts()}
