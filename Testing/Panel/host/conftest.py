"""A volume, a segmentation with two segments and a segment editor in the stand-in host, and hands for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

SHAPE = (20, 64, 64)
SPACING = (1.0, 1.0, 2.0)
OFFSET = 0.0
"""Slice 10 of the volume, in mm."""


class Stage:
    """One volume of 20 slices, two segments "a" and "b", an editor in the panel, and counters of events."""

    def __init__(self, host: Any, shape: tuple[int, int, int] = SHAPE) -> None:
        import slicer
        import slicer.util

        self.host, self.slicer, self.scene = host, slicer, slicer.mrmlScene
        self.layout = slicer.app.layoutManager()
        self.events: dict[str, int] = {}
        self.populate(shape)
        self.editor = slicer.qMRMLSegmentEditorWidget()
        self.attach()
        host.panel.setWidget(self.editor)
        self.editor.show()

    def populate(self, shape: tuple[int, int, int] = SHAPE) -> None:
        """Put the volume and the segmentation into the scene, and show the volume."""
        slicer, (depth, height, width) = self.slicer, shape
        matrix = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
        matrix[:3, 3] = (width // 2 * SPACING[0], height // 2 * SPACING[1], -(depth // 2) * SPACING[2])
        image = np.random.default_rng(0).normal(100, 10, shape).astype(np.int16)
        self.volume = slicer.util.addVolumeFromArray(image, ijkToRAS=matrix, name="image")
        self.matrix = matrix
        self.segmentation = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "labels")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        for name, colour in (("a", (1, 0, 0)), ("b", (0, 1, 0))):
            self.segmentation.GetSegmentation().AddEmptySegment(name, name.upper(), colour)
        self.show(self.volume)
        kinds = slicer.vtkSegmentation
        for name, event in (("content", kinds.SourceRepresentationModified), ("segment", kinds.SegmentModified)):
            self.segmentation.AddObserver(event, lambda *_, name=name: self.events.update({name: self.events.get(name, 0) + 1}))

    def show(self, volume: Any) -> None:
        for name in self.layout.sliceViewNames():
            self.layout.sliceWidget(name).mrmlSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
            self.layout.sliceWidget(name).fitSliceToBackground()
            self.layout.sliceWidget(name).sliceLogic().SetSliceOffset(OFFSET)
        self.host.pump(0.1)

    def attach(self) -> None:
        """Give the editor a node of its own, and what is to be edited."""
        self.node = self.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.node.SetOverwriteMode(self.node.OverwriteAllSegments)
        self.editor.setMRMLScene(self.scene)
        self.editor.setMRMLSegmentEditorNode(self.node)
        self.editor.setSegmentationNode(self.segmentation)
        self.editor.setSourceVolumeNode(self.volume)

    def activate(self, name: str, **parameters: Any) -> Any:
        self.editor.setActiveEffectByName(name)
        effect = self.editor.activeEffect()
        for parameter, value in parameters.items():
            effect.setCommonParameter(parameter, value)
        self.host.pump(0.02)
        return effect

    def brush(self, name: str, diameter: float) -> Any:
        return self.activate(name, BrushDiameterIsRelative=0, BrushAbsoluteDiameter=diameter)

    def mask(self, segment: str) -> np.ndarray:
        return self.slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, segment, self.volume) > 0

    def fill(self, segment: str, mask: np.ndarray) -> None:
        self.slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), self.segmentation, segment, self.volume)

    def view(self, name: str) -> Any:
        return self.layout.sliceWidget(name).sliceView()

    def drag(self, *points: tuple[float, float], view: str = "Red", offset: float = OFFSET) -> None:
        """Drag through (R, A) points of an axial slice."""
        self.host.drag(view, [(*point, offset) for point in points])

    def taken(self) -> dict[str, int]:
        """The events since the last call."""
        seen, self.events = self.events, {}
        return seen

    def close(self) -> None:
        self.editor.setActiveEffect(None)
        self.editor.uninstallKeyboardShortcuts()
        self.host.panel.takeWidget()
        self.editor.deleteLater()


@pytest.fixture
def booted(host: Any) -> Iterator[Any]:
    """The host with an empty scene and Slicer's four-up layout."""
    import slicer

    slicer.mrmlScene.Clear(0)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    host.pump(0.05)
    yield host
    slicer.mrmlScene.Clear(0)
    host.pump(0.05)


@pytest.fixture
def make_stage(booted: Any) -> Iterator[Callable[..., Stage]]:
    """Makes a stage, with a volume of another shape if wanted."""
    made: list[Stage] = []

    def make(shape: tuple[int, int, int] = SHAPE) -> Stage:
        made.append(Stage(booted, shape))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()
