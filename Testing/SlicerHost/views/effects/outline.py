"""Draw and Scissors: a closed outline in a slice view."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import slicer
import vtk
from PySide6 import QtWidgets

from .base import ScriptedEffect, pressed, qSlicerSegmentEditorAbstractEffect, voxels, worldToImage


class _Outline:
    """A line that follows the mouse, in RAS, shown in one slice view."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float]] = []
        self.view: Any = None
        self._data = vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(mapper)
        self.actor.GetProperty().SetColor(1, 1, 0)

    def polygon(self, closed: bool) -> Any:
        """The line in the pixels of its view."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.view.mrmlSliceNode().GetXYToRAS(), matrix)
        points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
        for place in self.points:
            x, y, _, _ = matrix.MultiplyPoint((*place, 1.0))
            points.InsertNextPoint(x, y, 0)
        count = len(self.points)
        for index in range(count if closed else count - 1):
            lines.InsertNextCell(2)
            lines.InsertCellPoint(index)
            lines.InsertCellPoint((index + 1) % count)
        data = vtk.vtkPolyData()
        data.SetPoints(points)
        data.SetLines(lines)
        return data

    def show(self) -> None:
        self._data.ShallowCopy(self.polygon(closed=False))
        self._data.Modified()
        self.view.sliceView().scheduleRender()


class SegmentEditorDrawEffect(ScriptedEffect):
    """EditorEffects/Python/SegmentEditorEffects/SegmentEditorDrawEffect.py

    Left clicks or a drag add points; the right button, a double click, A or Return apply; X takes the last point back.
    """

    NAME = TITLE = "Draw"

    def __init__(self, editor: Any) -> None:
        super().__init__(editor)
        self._line, self._state, self._offset = _Outline(), "", None

    def deactivate(self) -> None:
        super().deactivate()
        self._reset()

    def processInteractionEvents(self, interactor: Any, event: str, view: Any) -> bool:
        line = self._line
        if line.view is not None and line.view is not view:
            if event != "LeftButtonPressEvent":
                return False
            self._reset()
        if event == "LeftButtonPressEvent" and not pressed(interactor):
            if self.confirmCurrentSegmentVisible() != self.ConfirmedWithoutDialog:
                return True
            self._state = "drawing"
            self._add(view, interactor.GetEventPosition())
            return True
        if event == "LeftButtonReleaseEvent" and self._state == "drawing":
            self._state = "moving"
            return True
        if event == "RightButtonPressEvent" and not pressed(interactor):
            self._state = "finishing"
            return True
        if (event == "RightButtonReleaseEvent" and self._state == "finishing") or (
            event == "LeftButtonDoubleClickEvent" and not pressed(interactor)
        ):
            apply = len(line.points) > 1
            self._apply()
            return apply
        if event == "MouseMoveEvent" and self._state == "drawing":
            self._add(view, interactor.GetEventPosition())
            return True
        if event == "KeyPressEvent" and interactor.GetKeySym() in ("a", "Return"):
            self._apply()
            return True
        if event == "KeyPressEvent" and interactor.GetKeySym() == "x":
            if line.points:
                line.points.pop()
                line.show()
            return True
        return False

    def processViewNodeEvents(self, node: Any, event: str, view: Any) -> None:
        if view is self._line.view and self._line.points:
            self._line.show()

    @property
    def drawPipelines(self) -> dict[Any, Any]:
        """View -> what is drawn there and not applied; the real one has `rasPoints` too."""
        points = vtk.vtkPoints()
        for place in self._line.points:
            points.InsertNextPoint(place)
        return {} if self._line.view is None else {self._line.view: SimpleNamespace(rasPoints=points)}

    def _add(self, view: Any, xy: tuple[int, int]) -> None:
        offset = view.sliceLogic().GetSliceOffset()
        if not self._line.points:
            self._line.view, self._offset = view, offset
            self.addActor2D(view, self._line.actor)
        if offset == self._offset:
            self._line.points.append(self._ras(view, xy))
            self._line.show()

    def _apply(self) -> None:
        if len(self._line.points) > 1:
            labelmap = self.defaultModifierLabelmap()
            node, view = self._node.GetSegmentationNode(), self._line.view
            slicer.vtkSlicerSegmentEditorLogic.AppendPolyMask(labelmap, self._line.polygon(closed=True), view.mrmlSliceNode(), node)
            self._reset()
            self.saveStateForUndo()
            self.modifySelectedSegmentByLabelmap(labelmap, self.ModificationModeAdd)
        self._reset()

    def _reset(self) -> None:
        if self._line.view is not None:
            self.removeActor2D(self._line.view, self._line.actor)
        self._line.points.clear()
        self._line.view, self._offset, self._state = None, None, ""


class qSlicerSegmentEditorScissorsEffect(qSlicerSegmentEditorAbstractEffect):
    """EditorEffects/qSlicerSegmentEditorScissorsEffect.cxx: cuts through every slice unless told otherwise."""

    NAME = TITLE = "Scissors"
    DEFAULTS = {
        "ApplyToAllVisibleSegments": 0, "Operation": "EraseInside", "Shape": "FreeForm", "SliceCutMode": "Unlimited",
        "SliceCutDepthMm": 0, "ShapeDrawCentered": 0,
    }  # fmt: skip

    def __init__(self, editor: Any) -> None:
        super().__init__(editor)
        self._line, self._start = _Outline(), (0, 0)

    def setupOptionsFrame(self) -> None:
        self._boxes = {}
        for name, label, values in (
            ("Operation", "Operation:", ("EraseInside", "EraseOutside", "FillInside", "FillOutside")),
            ("Shape", "Shape:", ("FreeForm", "Circle", "Rectangle")),
            ("SliceCutMode", "Slice cut:", ("Unlimited", "Positive", "Negative", "Symmetric")),
        ):
            box = QtWidgets.QComboBox()
            box.setObjectName(f"{name}ComboBox")
            box.addItems(values)
            box.currentTextChanged.connect(lambda text, name=name: self.setParameter(name, text))
            self._boxes[name] = box
            self.addLabeledOptionsWidget(label, box)

    def updateGUIFromMRML(self) -> None:
        if self._node is not None and self._active:
            for name, box in self._boxes.items():
                box.blockSignals(True)
                box.setCurrentText(self.parameter(name))
                box.blockSignals(False)

    def deactivate(self) -> None:
        super().deactivate()
        self._end()

    def processInteractionEvents(self, interactor: Any, event: str, view: Any) -> bool:
        if event == "LeftButtonPressEvent" and not pressed(interactor):
            if self.confirmCurrentSegmentVisible() != self.ConfirmedWithoutDialog:
                return True
            self._line.view, self._start = view, interactor.GetEventPosition()
            self._line.points[:] = [self._ras(view, self._start)]
            self.addActor2D(view, self._line.actor)
            return True
        if self._line.view is not view:
            return False
        if event == "MouseMoveEvent":
            self._extend(view, interactor.GetEventPosition())
            return True
        if event == "LeftButtonReleaseEvent":
            self._extend(view, interactor.GetEventPosition())
            if len(self._line.points) > 2:
                self._apply(view)
            self._end()
            return True
        return event == "LeftButtonDoubleClickEvent"

    def _extend(self, view: Any, xy: tuple[int, int]) -> None:
        shape, (x, y) = self.parameter("Shape"), self._start
        if shape == "FreeForm":
            self._line.points.append(self._ras(view, xy))
        else:
            centred = self.integerParameter("ShapeDrawCentered")
            if shape == "Circle":
                middle = (x, y) if centred else ((x + xy[0]) / 2, (y + xy[1]) / 2)
                radius = math.dist(middle, xy)
                turns = np.linspace(0, 2 * math.pi, 36, endpoint=False)
                places = [(middle[0] + radius * math.cos(t), middle[1] + radius * math.sin(t)) for t in turns]
            else:
                first = (2 * x - xy[0], 2 * y - xy[1]) if centred else (x, y)
                places = [first, (xy[0], first[1]), xy, (first[0], xy[1])]
            self._line.points[:] = [self._ras(view, place) for place in places]
        self._line.show()

    def _apply(self, view: Any) -> None:
        labelmap = self.defaultModifierLabelmap()
        inside = self._inside(labelmap, view)
        operation = self.parameter("Operation")
        within = self._within_depth(labelmap, view)
        chosen = (inside if operation.endswith("Inside") else ~inside) & within
        voxels(labelmap)[:] = chosen
        labelmap.Modified()
        self.saveStateForUndo()
        mode = self.ModificationModeRemove if operation.startswith("Erase") else self.ModificationModeAdd
        if not self.integerParameter("ApplyToAllVisibleSegments"):
            self.modifySelectedSegmentByLabelmap(labelmap, mode)
            return
        node, identifiers = self._node.GetSegmentationNode(), vtk.vtkStringArray()
        node.GetDisplayNode().GetVisibleSegmentIDs(identifiers)
        for index in range(identifiers.GetNumberOfValues()):
            self.modifySegmentByLabelmap(node, identifiers.GetValue(index), labelmap, mode)

    def _inside(self, labelmap: Any, view: Any) -> np.ndarray:
        """Which voxels lie under the outline, whatever their depth, (k, j, i)."""
        mask = slicer.vtkOrientedImageData()
        slicer.vtkSlicerSegmentEditorLogic.CreateMaskImageFromPolyData(self._line.polygon(closed=True), mask, view.mrmlSliceNode())
        flat = voxels(mask)[0] > 0
        x, y = (np.floor(part + 0.5).astype(np.int32) for part in _coordinates(labelmap, np.linalg.inv(worldToImage(mask)))[:2])
        on_mask = (x >= 0) & (y >= 0) & (x < flat.shape[1]) & (y < flat.shape[0])
        return on_mask & flat[np.clip(y, 0, flat.shape[0] - 1), np.clip(x, 0, flat.shape[1] - 1)]

    def _within_depth(self, labelmap: Any, view: Any) -> np.ndarray | bool:
        mode = self.parameter("SliceCutMode")
        if mode == "Unlimited":
            return True
        frame = view.mrmlSliceNode().GetSliceToRAS()
        depth = _coordinates(labelmap, np.array([[frame.GetElement(row, column) for column in range(4)] for row in range(4)]))[2]
        half = self.doubleParameter("SliceCutDepthMm") / 2
        return {"Positive": depth >= 0, "Negative": depth <= 0, "Symmetric": np.abs(depth) <= half}[mode]

    def _end(self) -> None:
        if self._line.view is not None:
            self.removeActor2D(self._line.view, self._line.actor)
        self._line.points.clear()
        self._line.view = None


def _coordinates(labelmap: Any, frame: np.ndarray) -> list[np.ndarray]:
    """Where every voxel lies in a frame that is given by its matrix to RAS, three arrays (k, j, i)."""
    matrix = np.linalg.inv(worldToImage(labelmap) @ frame)
    low_i, high_i, low_j, high_j, low_k, high_k = labelmap.GetExtent()
    k, j, i = np.ogrid[low_k : high_k + 1, low_j : high_j + 1, low_i : high_i + 1]
    return [(matrix[row, 0] * i + matrix[row, 1] * j + (matrix[row, 2] * k + matrix[row, 3])).astype(np.float32) for row in range(3)]
