"""Paint and Erase: a round brush, applied when the button is let go."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import vtk
from PySide6 import QtWidgets

from .base import pressed, qSlicerSegmentEditorAbstractEffect, voxels, worldToImage

SPACING_IN_STROKE = 0.2
"""Largest distance between stamps of the brush, in diameters."""
ZOOM = 0.2
_GROW, _SHRINK = ("plus", "equal"), ("minus", "underscore")


class qSlicerSegmentEditorPaintEffect(qSlicerSegmentEditorAbstractEffect):
    """Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorPaintEffect.cxx"""

    NAME = TITLE = "Paint"
    DEFAULTS = {"ColorSmudge": 0, "EraseAllSegments": 0}
    COMMON = {
        "BrushMinimumAbsoluteDiameter": 0.01, "BrushMaximumAbsoluteDiameter": 100.0, "BrushAbsoluteDiameter": 5.0,
        "BrushRelativeDiameter": 3.0, "BrushDiameterIsRelative": 1, "BrushSphere": 0, "EditIn3DViews": 0, "BrushPixelMode": 0,
    }  # fmt: skip
    ERASES = False

    def __init__(self, editor: Any) -> None:
        super().__init__(editor)
        self._points: list[tuple[float, float, float]] = []
        self._painting, self._view = False, None
        self._actor, self._source, self._trail = vtk.vtkActor2D(), vtk.vtkRegularPolygonSource(), vtk.vtkPolyData()
        self._shown_in: Any = None
        self._make_actors()

    def setupOptionsFrame(self) -> None:
        self._diameter = QtWidgets.QDoubleSpinBox()
        self._diameter.setObjectName("BrushDiameterSpinBox")
        self._diameter.setRange(0.01, 100)
        self._diameter.setSuffix(" mm")
        self._sphere = QtWidgets.QCheckBox("Sphere brush")
        self._sphere.setObjectName("BrushSphereCheckbox")
        self.addLabeledOptionsWidget("Diameter:", self._diameter)
        self.addOptionsWidget(self._sphere)
        self._diameter.valueChanged.connect(self._diameter_chosen)
        self._sphere.toggled.connect(lambda on: self.setCommonParameter("BrushSphere", int(on)))

    def updateGUIFromMRML(self) -> None:
        if self._node is None or not self._active:
            return
        for widget, value in ((self._diameter, self.doubleParameter("BrushAbsoluteDiameter")),):
            widget.blockSignals(True)
            widget.setValue(value)
            widget.blockSignals(False)
        self._sphere.setChecked(bool(self.integerParameter("BrushSphere")))

    def _diameter_chosen(self, value: float) -> None:
        self.setCommonParameter("BrushDiameterIsRelative", 0)
        self.setCommonParameter("BrushAbsoluteDiameter", value)

    def deactivate(self) -> None:
        super().deactivate()
        self._painting = False
        self._points.clear()
        self._show_in(None)

    # Mouse and keys

    def processInteractionEvents(self, interactor: Any, event: str, view: Any) -> bool:
        factor = self._factor(interactor, event)
        if factor is not None:
            which = "BrushRelativeDiameter" if self.integerParameter("BrushDiameterIsRelative") else "BrushAbsoluteDiameter"
            self.setCommonParameter(which, self.doubleParameter(which) * factor)
            self._update_diameter(view)
            self._place_brush(interactor, view)
            return True
        if event.startswith(("MouseWheel", "Key")):
            return False
        if event == "LeaveEvent":
            self._show_in(None)
            return False
        place = self._ras(view, interactor.GetEventPosition())
        if event == "LeftButtonPressEvent" and not pressed(interactor):
            if self.confirmCurrentSegmentVisible() != self.ConfirmedWithoutDialog:
                return True
            self._painting, self._view = True, view
            self._update_diameter(view)
            self._add(place)
            self._place_brush(interactor, view)
            return True
        if event == "LeftButtonReleaseEvent" and self._painting:
            self._add(place)
            self._painting = False
            self._apply(view)
            return True
        if event == "MouseMoveEvent":
            if not self._painting:
                self._update_diameter(view)
            elif view is self._view:
                self._add(place)
            self._place_brush(interactor, view)
            return self._painting
        return False

    @staticmethod
    def _factor(interactor: Any, event: str) -> float | None:
        """How much larger the brush gets."""
        if event == "KeyPressEvent":
            key = interactor.GetKeySym()
            return 1 + ZOOM if key in _GROW else 1 - ZOOM if key in _SHRINK else None
        if event in ("MouseWheelForwardEvent", "MouseWheelBackwardEvent") and interactor.GetShiftKey():
            return 1 + ZOOM if event == "MouseWheelForwardEvent" else 1 - ZOOM
        return None

    def _update_diameter(self, view: Any) -> None:
        """The relative diameter is per cent of the screen's height."""
        if self.integerParameter("BrushDiameterIsRelative"):
            screen = view.sliceView().renderWindow().GetScreenSize()[1] or 1080
            wanted = screen * self.doubleParameter("BrushRelativeDiameter") / 100 * _mm_per_pixel(view)
            now = self.doubleParameter("BrushAbsoluteDiameter")
            if now <= 0 or abs(wanted - now) / now >= 0.01:
                self.setCommonParameter("BrushAbsoluteDiameter", wanted)

    def _add(self, place: tuple[float, float, float]) -> None:
        """Another stamp, and stamps between it and the last one."""
        if self._points:
            last = self._points[-1]
            far = SPACING_IN_STROKE * self.doubleParameter("BrushAbsoluteDiameter")
            between = int(math.dist(place, last) / far) - 1 if far > 0 else 0
            for index in range(between):
                part = (index + 1) / (between + 1)
                self._points.append(tuple(part * a + (1 - part) * b for a, b in zip(place, last, strict=True)))
        self._points.append(place)

    # Editing

    def _apply(self, view: Any) -> None:
        points, self._points = np.array(self._points), []
        labelmap = self.defaultModifierLabelmap()
        if labelmap is None or self._node.GetSegmentationNode() is None:
            self._show_in(None)
            return
        self.saveStateForUndo()
        extent = self._stamp(labelmap, view, points)
        mode = self.ModificationModeAdd
        if self.ERASES:
            mode = self.ModificationModeRemoveAll if self.integerParameter("EraseAllSegments") else self.ModificationModeRemove
        if extent is not None:
            self.modifySelectedSegmentByLabelmap(labelmap, mode, extent)
        self._show_in(None)

    def _stamp(self, labelmap: Any, view: Any, points: np.ndarray) -> list[int] | None:
        """Put the brush at every point. Returns: the extent that changed, None where the stroke lies outside."""
        matrix = worldToImage(labelmap)
        brush, low = self._brush(view, matrix)
        bounds = np.array(labelmap.GetExtent()).reshape(3, 2)
        image = voxels(labelmap)
        centres = np.floor(points @ matrix[:3, :3].T + matrix[:3, 3] + 0.5).astype(int)
        size = np.array(brush.shape[::-1])
        reached: list[np.ndarray] = []
        for centre in np.unique(centres, axis=0):
            start = centre + low
            first, last = np.maximum(start, bounds[:, 0]), np.minimum(start + size - 1, bounds[:, 1])
            if np.any(first > last):
                continue
            there = tuple(slice(f - b, e - b + 1) for f, e, b in zip(first[::-1], last[::-1], bounds[::-1, 0], strict=True))
            here = tuple(slice(f - s, e - s + 1) for f, e, s in zip(first[::-1], last[::-1], start[::-1], strict=True))
            image[there] |= brush[here]
            reached += [first, last]
        if not reached:
            return None
        labelmap.Modified()
        return np.stack([np.min(reached, axis=0), np.max(reached, axis=0)], axis=1).ravel().tolist()

    def _brush(self, view: Any, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The brush as voxels (k, j, i) around the origin, and the index of its first voxel (i, j, k)."""
        radius = self.doubleParameter("BrushAbsoluteDiameter") / 2
        if self.integerParameter("BrushPixelMode"):
            return np.ones((1, 1, 1), np.uint8), np.zeros(3, int)
        turn = vtk.vtkTransform()
        linear = vtk.vtkMatrix4x4()
        for row in range(3):
            for column in range(3):
                linear.SetElement(row, column, matrix[row, column])
        turn.Concatenate(linear)
        slice_to_ras = vtk.vtkMatrix4x4()
        slice_to_ras.DeepCopy(view.mrmlSliceNode().GetSliceToRAS())
        for row in range(3):
            slice_to_ras.SetElement(row, 3, 0)
        turn.Concatenate(slice_to_ras)
        if self.integerParameter("BrushSphere"):
            source = vtk.vtkSphereSource()
            source.SetPhiResolution(32)
            source.SetThetaResolution(32)
        else:
            source = vtk.vtkCylinderSource()
            source.SetResolution(32)
            source.SetHeight(self.sliceSpacing(view))
            turn.RotateX(90)
        source.SetRadius(radius)
        model = vtk.vtkTransformPolyDataFilter()
        model.SetTransform(turn)
        model.SetInputConnection(source.GetOutputPort())
        normals = vtk.vtkPolyDataNormals()
        normals.SetInputConnection(model.GetOutputPort())
        normals.AutoOrientNormalsOn()
        normals.Update()
        edges = normals.GetOutput().GetBounds()
        extent = [f(edge) + step for edge, f, step in zip(edges, (math.floor, math.ceil) * 3, (-1, 1) * 3, strict=True)]
        stencil = vtk.vtkPolyDataToImageStencil()
        stencil.SetOutputSpacing(1, 1, 1)
        stencil.SetOutputWholeExtent(extent)
        stencil.SetInputConnection(normals.GetOutputPort())
        image = vtk.vtkImageStencilToImage()
        image.SetInputConnection(stencil.GetOutputPort())
        image.SetInsideValue(1)
        image.SetOutsideValue(0)
        image.SetOutputScalarTypeToUnsignedChar()
        image.Update()
        return voxels(image.GetOutput()).copy(), np.array(extent[::2])

    # What is seen of the brush

    def _make_actors(self) -> None:
        self._source.SetNumberOfSides(32)
        self._source.GeneratePolygonOff()
        self._trail.SetPoints(vtk.vtkPoints())
        glyphs = vtk.vtkGlyph2D()
        glyphs.SetSourceConnection(self._source.GetOutputPort())
        glyphs.SetInputData(self._trail)
        glyphs.ScalingOff()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputConnection(glyphs.GetOutputPort())
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(1.0, 1.0, 0.2)

    def _show_in(self, view: Any) -> None:
        if view is self._shown_in:
            return
        if self._shown_in is not None:
            self.removeActor2D(self._shown_in, self._actor)
        self._shown_in = view
        if view is not None:
            self.addActor2D(view, self._actor)

    def _place_brush(self, interactor: Any, view: Any) -> None:
        self._source.SetRadius(self.doubleParameter("BrushAbsoluteDiameter") / 2 / _mm_per_pixel(view))
        points = vtk.vtkPoints()
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(view.mrmlSliceNode().GetXYToRAS(), matrix)
        for place in self._points:
            x, y, _, _ = matrix.MultiplyPoint((*place, 1.0))
            points.InsertNextPoint(x, y, 0)
        points.InsertNextPoint(*interactor.GetEventPosition(), 0)
        self._trail.SetPoints(points)
        self._show_in(view)
        self.scheduleRender(view)


class qSlicerSegmentEditorEraseEffect(qSlicerSegmentEditorPaintEffect):
    """Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorEraseEffect.cxx"""

    NAME = TITLE = "Erase"
    ERASES = True


def _mm_per_pixel(view: Any) -> float:
    matrix = view.mrmlSliceNode().GetXYToSlice()
    return math.sqrt(sum(matrix.GetElement(row, 1) ** 2 for row in range(3)))
