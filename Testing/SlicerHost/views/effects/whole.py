"""Effects with an Apply button: Threshold, Islands, Smoothing, Fill between slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6 import QtWidgets

from .base import ScriptedEffect, pressed, voxels, worldToImage

PREVIEW_OPACITY = 0.6


def _button(effect: Any, text: str, name: str, slot: Any) -> QtWidgets.QPushButton:
    button = QtWidgets.QPushButton(text)
    button.setObjectName(f"{type(effect).__name__}{name}")
    button.clicked.connect(lambda *_: slot())
    effect.addOptionsWidget(button)
    return button


class SegmentEditorThresholdEffect(ScriptedEffect):
    """SegmentEditorThresholdEffect.py"""

    NAME = TITLE = "Threshold"
    DEFAULTS = {"MinimumThreshold": 0.0, "MaximumThreshold": 0}

    def setupOptionsFrame(self) -> None:
        self._boxes = []
        for name, label in (("MinimumThreshold", "Threshold from:"), ("MaximumThreshold", "to:")):
            box = QtWidgets.QDoubleSpinBox()
            box.setObjectName(f"{name}SpinBox")
            box.setRange(-1e9, 1e9)
            box.valueChanged.connect(lambda value, name=name: self.setParameter(name, float(value)))
            self.addLabeledOptionsWidget(label, box)
            self._boxes.append((name, box))
        _button(self, "Use for masking", "UseForMasking", self.onUseForPaint)
        _button(self, "Apply", "Apply", self.onApply)

    def updateGUIFromMRML(self) -> None:
        if self._node is not None and self._active:
            for name, box in self._boxes:
                box.blockSignals(True)
                box.setValue(self.doubleParameter(name))
                box.blockSignals(False)

    def sourceVolumeNodeChanged(self) -> None:
        image = self.sourceVolumeImageData()
        if image is not None and self.doubleParameter("MinimumThreshold") == self.doubleParameter("MaximumThreshold") == 0:
            low, high = image.GetScalarRange()
            self.setParameter("MinimumThreshold", low + (high - low) * 0.25)
            self.setParameter("MaximumThreshold", high)

    def onUseForPaint(self) -> None:
        self._node.SetSourceVolumeIntensityMaskRange(self.doubleParameter("MinimumThreshold"), self.doubleParameter("MaximumThreshold"))
        self._node.SetSourceVolumeIntensityMask(True)
        self.selectEffect("")

    def onApply(self) -> None:
        if self.confirmCurrentSegmentVisible() == self.NotConfirmed:
            return
        labelmap = self.defaultModifierLabelmap()
        source = voxels(self.sourceVolumeImageData())
        self.saveStateForUndo()
        low, high = self.doubleParameter("MinimumThreshold"), self.doubleParameter("MaximumThreshold")
        voxels(labelmap)[:] = (source >= low) & (source <= high)
        labelmap.Modified()
        self.modifySelectedSegmentByLabelmap(labelmap, self.ModificationModeSet)
        self.selectEffect("")


class SegmentEditorIslandsEffect(ScriptedEffect):
    """SegmentEditorIslandsEffect.py"""

    NAME = TITLE = "Islands"
    DEFAULTS = {"Operation": "KEEP_LARGEST_ISLAND", "MinimumSize": 1000}
    OPERATIONS = {
        "KEEP_LARGEST_ISLAND": "Keep largest island", "REMOVE_SMALL_ISLANDS": "Remove small islands",
        "SPLIT_ISLANDS_TO_SEGMENTS": "Split islands to segments", "KEEP_SELECTED_ISLAND": "Keep selected island",
        "REMOVE_SELECTED_ISLAND": "Remove selected island", "ADD_SELECTED_ISLAND": "Add selected island",
    }  # fmt: skip

    def setupOptionsFrame(self) -> None:
        self._choice, self._size = QtWidgets.QComboBox(), QtWidgets.QSpinBox()
        for name, text in self.OPERATIONS.items():
            self._choice.addItem(text, name)
        self._size.setRange(0, 2**31 - 1)
        self._choice.activated.connect(lambda index: self.setParameter("Operation", self._choice.itemData(index)))
        self._size.valueChanged.connect(lambda value: self.setParameter("MinimumSize", int(value)))
        self.addOptionsWidget(self._choice)
        self.addLabeledOptionsWidget("Minimum size:", self._size)
        _button(self, "Apply", "Apply", self.onApply)

    def updateGUIFromMRML(self) -> None:
        if self._node is not None and self._active:
            self._choice.setCurrentIndex(self._choice.findData(self.parameter("Operation")))
            self._size.blockSignals(True)
            self._size.setValue(self.integerParameter("MinimumSize"))
            self._size.blockSignals(False)

    def onApply(self) -> None:
        operation = self.parameter("Operation")
        if operation.endswith("_SELECTED_ISLAND") or self.confirmCurrentSegmentVisible() == self.NotConfirmed:
            return
        labelmap = self.selectedSegmentLabelmap()
        islands = _islands(labelmap, self.integerParameter("MinimumSize"))
        count = int(islands.max(initial=0))
        self.saveStateForUndo()
        segmentation = self._node.GetSegmentationNode()
        was = segmentation.StartModify()
        if operation == "SPLIT_ISLANDS_TO_SEGMENTS":
            for number in range(2, count + 1):
                self._new_segment(segmentation, number, islands == number, labelmap)
        self._set(islands > 0 if operation == "REMOVE_SMALL_ISLANDS" else islands == 1, labelmap)
        segmentation.EndModify(was)

    def _new_segment(self, node: Any, number: int, mask: np.ndarray, like: Any) -> None:
        """In the layer of the selected segment."""
        segmentation, selected = node.GetSegmentation(), self._node.GetSelectedSegmentID()
        first, segment = segmentation.GetSegment(selected), slicer.vtkSegment()
        name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        segment.SetName(f"{first.GetName()}_{number}")
        segment.AddRepresentation(name, first.GetRepresentation(name))
        segmentation.AddSegment(segment)
        segment.SetLabelValue(segmentation.GetUniqueLabelValueForSharedLabelmap(selected))
        identifier = segmentation.GetSegmentIdBySegment(segment)
        self.modifySegmentByLabelmap(node, identifier, _like(mask, like), self.ModificationModeAdd)

    def _set(self, mask: np.ndarray, like: Any) -> None:
        self.modifySelectedSegmentByLabelmap(_like(mask, like), self.ModificationModeSet)

    def processInteractionEvents(self, interactor: Any, event: str, view: Any) -> bool:
        operation = self.parameter("Operation")
        if not operation.endswith("_SELECTED_ISLAND") or event != "LeftButtonPressEvent" or pressed(interactor):
            return False
        if self.confirmCurrentSegmentVisible() != self.ConfirmedWithoutDialog:
            return True
        labelmap = self.selectedSegmentLabelmap()
        matrix = worldToImage(labelmap)
        place = np.floor(matrix[:3, :3] @ self._ras(view, interactor.GetEventPosition()) + matrix[:3, 3] + 0.5).astype(int)
        low = np.array(labelmap.GetExtent())[::2]
        there = tuple((place - low)[::-1])
        mask = voxels(labelmap) > 0
        if any(not 0 <= index < size for index, size in zip(there, mask.shape, strict=True)):
            return True
        searched = ~mask if operation == "ADD_SELECTED_ISLAND" else mask
        if not searched[there]:
            return True
        islands = _islands(_like(searched, labelmap), 0)
        clicked = islands == islands[there]
        self.saveStateForUndo()
        self._set(
            {"KEEP_SELECTED_ISLAND": clicked, "REMOVE_SELECTED_ISLAND": mask & ~clicked, "ADD_SELECTED_ISLAND": mask | clicked}[operation],
            labelmap,
        )
        return True


class SegmentEditorSmoothingEffect(ScriptedEffect):
    """SegmentEditorSmoothingEffect.py, without joint smoothing and without the brush."""

    NAME = TITLE = "Smoothing"
    DEFAULTS = {
        "ApplyToAllVisibleSegments": 0, "GaussianStandardDeviationMm": 3, "JointTaubinSmoothingFactor": 0.5, "KernelSizeMm": 3,
        "SmoothingMethod": "MEDIAN",
    }  # fmt: skip
    METHODS = ("MEDIAN", "MORPHOLOGICAL_OPENING", "MORPHOLOGICAL_CLOSING", "GAUSSIAN")

    def setupOptionsFrame(self) -> None:
        self._method, self._kernel = QtWidgets.QComboBox(), QtWidgets.QDoubleSpinBox()
        self._method.addItems(self.METHODS)
        self._method.activated.connect(lambda index: self.setParameter("SmoothingMethod", self.METHODS[index]))
        self._kernel.valueChanged.connect(lambda value: self.setParameter("KernelSizeMm", float(value)))
        self.addLabeledOptionsWidget("Smoothing method:", self._method)
        self.addLabeledOptionsWidget("Kernel size:", self._kernel)
        _button(self, "Apply", "Apply", self.onApply)

    def updateGUIFromMRML(self) -> None:
        if self._node is not None and self._active:
            self._method.setCurrentText(self.parameter("SmoothingMethod"))
            self._kernel.blockSignals(True)
            self._kernel.setValue(self.doubleParameter("KernelSizeMm"))
            self._kernel.blockSignals(False)

    def onApply(self) -> None:
        if self.confirmCurrentSegmentVisible() == self.NotConfirmed:
            return
        method = self.parameter("SmoothingMethod")
        if method not in self.METHODS:
            raise NotImplementedError(f"the host has no smoothing method {method}")
        self.saveStateForUndo()
        node, selected = self._node.GetSegmentationNode(), self._node.GetSelectedSegmentID()
        identifiers = vtk.vtkStringArray()
        if self.integerParameter("ApplyToAllVisibleSegments"):
            node.GetDisplayNode().GetVisibleSegmentIDs(identifiers)
        else:
            identifiers.InsertNextValue(selected)
        for index in range(identifiers.GetNumberOfValues()):
            self._node.SetSelectedSegmentID(identifiers.GetValue(index))
            labelmap = self.selectedSegmentLabelmap()
            result = _smoothed(labelmap, method, self.doubleParameter("KernelSizeMm"), self.doubleParameter("GaussianStandardDeviationMm"))
            self.modifySelectedSegmentByLabelmap(_like(result, labelmap), self.ModificationModeSet)
        self._node.SetSelectedSegmentID(selected)


class SegmentEditorFillBetweenSlicesEffect(ScriptedEffect):
    """SegmentEditorFillBetweenSlicesEffect.py: Initialize shows the result in a preview node, Apply takes it over.

    The preview stays when another effect is chosen.
    """

    NAME = TITLE = "Fill between slices"
    PER_SEGMENT = False
    ROLE = "SegmentationResultPreview"

    def setupOptionsFrame(self) -> None:
        self._initialize = _button(self, "Initialize", "Preview", self.onPreview)
        self._cancel = _button(self, "Cancel", "Cancel", self.onCancel)
        self._apply = _button(self, "Apply", "Apply", self.onApply)

    def updateGUIFromMRML(self) -> None:
        ready = self._node is not None and self._preview() is not None
        self._initialize.setText("Update" if ready else "Initialize")
        self._cancel.setEnabled(ready)
        self._apply.setEnabled(ready)

    def _preview(self) -> Any:
        return self._node.GetNodeReference(self.ROLE)

    def onPreview(self) -> None:
        self.onCancel()
        node, identifiers = self._node.GetSegmentationNode(), vtk.vtkStringArray()
        node.GetDisplayNode().GetVisibleSegmentIDs(identifiers)
        if identifiers.GetNumberOfValues() < 1:
            raise RuntimeError("Minimum 1 visible segments are required.")
        segmentation = node.GetSegmentation()
        merged = slicer.vtkOrientedImageData()
        node.GenerateMergedLabelmapForAllSegments(merged, segmentation.EXTENT_UNION_OF_EFFECTIVE_SEGMENTS, None, identifiers)
        if not voxels(merged).size:
            return
        interpolator = slicer.vtkITKMorphologicalContourInterpolator()
        interpolator.SetInputData(merged)
        interpolator.Update()
        result = slicer.vtkOrientedImageData()
        result.DeepCopy(interpolator.GetOutput())
        matrix = vtk.vtkMatrix4x4()
        merged.GetImageToWorldMatrix(matrix)
        result.SetImageToWorldMatrix(matrix)
        preview = self.scene().AddNewNodeByClass("vtkMRMLSegmentationNode", f"{node.GetName()} preview")
        preview.CreateDefaultDisplayNodes()
        preview.GetDisplayNode().SetVisibility2DOutline(False)
        name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        for index in range(identifiers.GetNumberOfValues()):
            original, segment = segmentation.GetSegment(identifiers.GetValue(index)), slicer.vtkSegment()
            segment.SetName(original.GetName())
            segment.SetColor(original.GetColor())
            segment.AddRepresentation(name, result)
            segment.SetLabelValue(index + 1)
            preview.GetSegmentation().AddSegment(segment, identifiers.GetValue(index))
        self._node.SetNodeReferenceID(self.ROLE, preview.GetID())
        self.setCommonParameter("SegmentationResultPreviewOwnerEffect", self.NAME)
        node.GetDisplayNode().SetOpacity(1 - PREVIEW_OPACITY)
        preview.GetDisplayNode().SetOpacity(PREVIEW_OPACITY)
        self.updateGUIFromMRML()

    def onCancel(self) -> None:
        preview = self._preview() if self._node is not None else None
        if preview is not None:
            self._node.SetNodeReferenceID(self.ROLE, None)
            self.scene().RemoveNode(preview)
            self.setCommonParameter("SegmentationResultPreviewOwnerEffect", "")
            self._node.GetSegmentationNode().GetDisplayNode().SetOpacity(1.0)
        self.updateGUIFromMRML()

    def onApply(self) -> None:
        preview, node = self._preview(), self._node.GetSegmentationNode()
        self.saveStateForUndo()
        identifiers = vtk.vtkStringArray()
        preview.GetSegmentation().GetSegmentIDs(identifiers)
        for index in range(identifiers.GetNumberOfValues()):
            labelmap = slicer.vtkOrientedImageData()
            preview.GetBinaryLabelmapRepresentation(identifiers.GetValue(index), labelmap)
            self.modifySegmentByLabelmap(node, identifiers.GetValue(index), labelmap, self.ModificationModeSet)
            preview.GetSegmentation().RemoveSegment(identifiers.GetValue(index))
        self.onCancel()


def _like(mask: np.ndarray, image: Any) -> Any:
    """A labelmap of a mask, with the geometry of an image."""
    made = slicer.vtkOrientedImageData()
    made.SetExtent(image.GetExtent())
    made.SetSpacing(image.GetSpacing())
    made.SetOrigin(image.GetOrigin())
    made.CopyDirections(image)
    made.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels(made)[:] = mask
    return made


def _islands(image: Any, smallest: int) -> np.ndarray:
    """Islands numbered by size from 1, the largest first; smaller ones than `smallest` voxels are 0."""
    cast = vtk.vtkImageCast()
    cast.SetInputData(image)
    cast.SetOutputScalarTypeToUnsignedInt()
    found = slicer.vtkITKIslandMath()
    found.SetInputConnection(cast.GetOutputPort())
    found.SetFullyConnected(False)
    found.SetMinimumSize(smallest)
    found.Update()
    return voxels(found.GetOutput()).copy()


def _smoothed(image: Any, method: str, kernel: float, deviation: float) -> np.ndarray:
    spacing = image.GetSpacing()
    if method == "GAUSSIAN":
        scale = vtk.vtkImageThreshold()
        scale.SetInputData(image)
        scale.ThresholdByLower(0)
        scale.SetInValue(0)
        scale.SetOutValue(255)
        scale.SetOutputScalarTypeToUnsignedChar()
        blur = vtk.vtkImageGaussianSmooth()
        blur.SetInputConnection(scale.GetOutputPort())
        blur.SetStandardDeviation(*(deviation / step for step in spacing))
        blur.SetRadiusFactor(4)
        blur.Update()
        return voxels(blur.GetOutput()) >= 127
    # An even kernel would shift the image.
    size = [int(round((kernel / step + 1) / 2) * 2 - 1) for step in spacing]
    if method == "MEDIAN":
        smooth = vtk.vtkImageMedian3D()
    else:
        smooth = vtk.vtkImageOpenClose3D()
        opening = method == "MORPHOLOGICAL_OPENING"
        smooth.SetOpenValue(1 if opening else 0)
        smooth.SetCloseValue(0 if opening else 1)
    smooth.SetKernelSize(*size)
    smooth.SetInputData(image)
    smooth.Update()
    return voxels(smooth.GetOutput()) > 0
