"""`qMRMLSliceWidget` and its controller over the real slice logic."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .base import ControllerBar, observe, qMRMLAbstractViewWidget, sizeOf
from .slice_view import qMRMLSliceView


class qMRMLSliceControllerWidget(ControllerBar):
    """Libs/MRML/Widgets/qMRMLSliceControllerWidget.h"""

    def __init__(self, logic: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic, self._following = logic, False
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setObjectName("SliceOffsetSlider")
        self._offset = QtWidgets.QLabel(self)
        self._offset.setStyleSheet("font-size: 10px")
        self._row.addWidget(self._slider, 1)
        self._row.addWidget(self._offset)
        self._slider.valueChanged.connect(self._moved)
        self._range: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceLogic(self) -> Any:
        return self._logic

    def fitSliceToBackground(self) -> None:
        self._logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.ResetFieldOfViewFlag)
        self._logic.FitSliceToBackground()
        self.mrmlSliceNode().UpdateMatrices()
        self._logic.EndSliceNodeInteraction()

    def setSliceOrientation(self, orientation: str) -> None:
        self._logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.OrientationFlag)
        self.mrmlSliceNode().SetOrientation(orientation)
        self._logic.EndSliceNodeInteraction()

    def setSliceOffsetValue(self, offset: float) -> None:
        """As the slider of the real one: the linked views follow."""
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._logic.EndSliceOffsetInteraction()

    def trackSliceOffsetValue(self, offset: float) -> None:
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)

    def setSliceLink(self, linked: bool) -> None:
        """Every composite node is linked or none is, as in Slicer."""
        for node in self._composites():
            node.SetLinkedControl(bool(linked))

    def setHotLinked(self, hot: bool) -> None:
        for node in self._composites():
            node.SetHotLinkedControl(bool(hot))

    def rotateSliceToLowestVolumeAxes(self) -> None:
        self._logic.RotateSliceToLowestVolumeAxes()

    def setForegroundOpacity(self, opacity: float) -> None:
        self.mrmlSliceCompositeNode().SetForegroundOpacity(opacity)

    def setShowSliceOffsetSlider(self, show: bool) -> None:
        self._slider.setVisible(show)

    def _composites(self) -> list[Any]:
        scene = self._logic.GetMRMLScene()
        return [
            scene.GetNthNodeByClass(i, "vtkMRMLSliceCompositeNode")
            for i in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode"))
        ]

    def _moved(self, step: int) -> None:
        if not self._following:
            self.setSliceOffsetValue(self._range[0] + step * self._range[2])

    def _follow(self) -> None:
        """Show what the slice logic shows."""
        node = self.mrmlSliceNode()
        self._paint(node)
        bounds, resolution = [0.0, 0.0], vtk.reference(1.0)
        if not self._logic.GetSliceOffsetRangeResolution(bounds, resolution):
            return
        offset, step = self._logic.GetSliceOffset(), float(resolution) or 1.0
        self._following = True
        self._range = (bounds[0], bounds[1], step)
        self._slider.setRange(0, max(0, round((bounds[1] - bounds[0]) / step)))
        self._slider.setValue(round((offset - bounds[0]) / step))
        self._offset.setText(f"{offset:.1f} mm")
        self._following = False


class qMRMLSliceWidget(qMRMLAbstractViewWidget):
    """Libs/MRML/Widgets/qMRMLSliceWidget.h"""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._slice_node: Any = None
        self._tags: list[tuple[Any, int]] = []
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._view = qMRMLSliceView(self)
        self._controller = qMRMLSliceControllerWidget(self._logic, self)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)
        observe(self, self._logic, "ModifiedEvent", self._logic_modified)
        self._pending = QtCore.QTimer(self)
        self._pending.setSingleShot(True)
        self._pending.setInterval(0)
        self._pending.timeout.connect(self._follow)

    def setMRMLScene(self, scene: Any) -> None:
        self._view.setMRMLScene(scene)
        self._controller.setMRMLScene(scene)
        self._logic.SetMRMLScene(scene)
        super().setMRMLScene(scene)
        self._show()

    def setMRMLSliceNode(self, node: Any) -> None:
        self._slice_node = node
        observe(self, node, "ModifiedEvent", self._pending.start)
        self._show()

    def setMRMLAbstractViewNode(self, node: Any) -> None:
        self.setMRMLSliceNode(node)

    def mrmlSliceNode(self) -> Any:
        return self._slice_node

    def mrmlAbstractViewNode(self) -> Any:
        return self._slice_node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceLogic(self) -> Any:
        return self._logic

    def logic(self) -> Any:
        return self._logic

    def sliceView(self) -> qMRMLSliceView:
        return self._view

    def viewWidget(self) -> qMRMLSliceView:
        return self._view

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def controllerWidget(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def interactorStyle(self) -> Any:
        return self._view.interactorStyle()

    def overlayCornerAnnotation(self) -> Any:
        return self._view.overlayCornerAnnotation()

    def imageDataConnection(self) -> Any:
        return self._logic.GetImageDataConnection()

    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()

    def _get_orientation(self) -> str:
        return self._slice_node.GetOrientation()

    def setSliceOrientation(self, orientation: str) -> None:
        self._controller.setSliceOrientation(orientation)

    sliceOrientation = QtCore.Property(str, _get_orientation, setSliceOrientation)

    def _get_name(self) -> str:
        return self._slice_node.GetLayoutName()

    sliceViewName = QtCore.Property(str, _get_name)

    def _get_label(self) -> str:
        return self._slice_node.GetLayoutLabel() or ""

    def setSliceViewLabel(self, label: str) -> None:
        self._slice_node.SetLayoutLabel(label)

    sliceViewLabel = QtCore.Property(str, _get_label, setSliceViewLabel)

    def _show(self) -> None:
        if self._slice_node is None or self._scene is None:
            return
        self._logic.SetSliceNode(self._slice_node)
        self._view._show(self._slice_node, self._logic)
        self._logic.ResizeSliceNode(*sizeOf(self._view))
        self._follow()

    def _logic_modified(self) -> None:
        self._view._connect_image(self._logic.GetImageDataConnection())
        self._view.scheduleRender()
        self._pending.start()

    def _follow(self) -> None:
        if self._slice_node is not None:
            self._controller._follow()
