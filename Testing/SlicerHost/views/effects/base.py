"""`qSlicerSegmentEditorAbstractEffect`: parameters in the editor node, edits through the real segment editor logic."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

_KINDS = slicer.vtkSlicerSegmentEditorLogic
_MODES = (_KINDS.ModificationModeSet, _KINDS.ModificationModeAdd, _KINDS.ModificationModeRemove, _KINDS.ModificationModeRemoveAll)


class qSlicerSegmentEditorAbstractEffect(QtCore.QObject):
    """Modules/Loadable/Segmentations/EditorEffects/qSlicerSegmentEditorAbstractEffect.h

    Attributes:
        NAME: what modules find the effect by.
        TITLE: what people read.
        PER_SEGMENT: the effect works on the selected segment.
        DEFAULTS: its own parameters.
        COMMON: parameters that effects share.
    """

    NAME = TITLE = ""
    PER_SEGMENT = True
    DEFAULTS: dict[str, Any] = {}
    COMMON: dict[str, Any] = {}
    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = range(3)
    ModificationModeSet, ModificationModeAdd, ModificationModeRemove, ModificationModeRemoveAll = range(4)

    def __init__(self, editor: Any) -> None:
        super().__init__()
        self._editor, self._logic = editor, editor._logic
        self._node: Any = None
        self._active = False
        self._frame = QtWidgets.QFrame()
        self._form = QtWidgets.QFormLayout(self._frame)
        self._form.setContentsMargins(0, 0, 0, 0)
        self.setupOptionsFrame()

    name = QtCore.Property(str, lambda self: self.NAME)
    title = QtCore.Property(str, lambda self: self.TITLE)
    perSegment = QtCore.Property(bool, lambda self: self.PER_SEGMENT)
    requireSegments = QtCore.Property(bool, lambda self: True)

    # Parameters

    def parameterSetNode(self) -> Any:
        return self._node

    def setParameterSetNode(self, node: Any) -> None:
        self._node = node

    def setMRMLDefaults(self) -> None:
        for name, value in self.DEFAULTS.items():
            self.setParameterDefault(name, value)
        for name, value in self.COMMON.items():
            self.setCommonParameterDefault(name, value)

    def parameterDefined(self, name: str) -> bool:
        return bool(self._node is not None and self._node.GetAttribute(f"{self.NAME}.{name}"))

    def commonParameterDefined(self, name: str) -> bool:
        return bool(self._node is not None and self._node.GetAttribute(name))

    def parameter(self, name: str) -> str:
        """The effect's own value, or the shared one; empty, with a line on stderr, where there is none."""
        if self._node is None:
            return ""
        own = self._node.GetAttribute(f"{self.NAME}.{name}")
        value = own if own is not None else self._node.GetAttribute(name)
        if value is None:
            print(f"Parameter named {name} cannot be found for effect {self.NAME}", file=sys.stderr)
            return ""
        return value

    def integerParameter(self, name: str) -> int:
        try:
            return int(self.parameter(name))
        except ValueError:
            return 0

    def doubleParameter(self, name: str) -> float:
        try:
            return float(self.parameter(name))
        except ValueError:
            return 0.0

    def setParameter(self, name: str, value: str | int | float) -> None:
        self.setCommonParameter(f"{self.NAME}.{name}", value)

    def setCommonParameter(self, name: str, value: str | int | float) -> None:
        if self._node is None:
            print(f"Invalid segment editor parameter set node set to effect {self.NAME}", file=sys.stderr)
            return
        if not isinstance(value, str | int | float):
            raise ValueError(f"setParameter takes a str, an int or a float, not {value!r}")
        text = f"{value:g}" if isinstance(value, float) else str(int(value)) if isinstance(value, bool) else str(value)
        if (self._node.GetAttribute(name) or "") == text:
            return
        disabled = self._node.GetDisableModifiedEvent()
        self._node.SetDisableModifiedEvent(1)
        self._node.SetAttribute(name, text)
        self._node.SetDisableModifiedEvent(disabled)
        self._node.InvokeCustomModifiedEvent(self._node.EffectParameterModified)

    def setParameterDefault(self, name: str, value: str | int | float) -> None:
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def setCommonParameterDefault(self, name: str, value: str | int | float) -> None:
        if not self.commonParameterDefined(name):
            self.setCommonParameter(name, value)

    # Options

    def setupOptionsFrame(self) -> None:
        """Make the widgets of the effect."""

    def updateGUIFromMRML(self) -> None:
        """Show the parameters."""

    def optionsFrame(self) -> Any:
        return self._frame

    def optionsLayout(self) -> Any:
        return self._form

    def addLabeledOptionsWidget(self, label: str, widget: Any) -> Any:
        self._form.addRow(label, widget)
        return self._form.labelForField(widget)

    def addOptionsWidget(self, widget: Any) -> None:
        self._form.addRow(widget)

    # Life

    def activate(self) -> None:
        self._active = True
        self._frame.setVisible(True)
        self.updateGUIFromMRML()

    def deactivate(self) -> None:
        self._active = False
        self._frame.setVisible(False)

    def active(self) -> bool:
        return self._active

    def processInteractionEvents(self, interactor: Any, event: str, view: Any) -> bool:
        """Returns: whether the view must not see the event."""
        return False

    def processViewNodeEvents(self, node: Any, event: str, view: Any) -> None:
        """The slice view shows another slice."""

    def sourceVolumeNodeChanged(self) -> None:
        """Another source volume."""

    def selectEffect(self, name: str) -> None:
        self._editor.setActiveEffectByName(name)

    # Editing

    def scene(self) -> Any:
        return self._node.GetScene() if self._node is not None else None

    def saveStateForUndo(self) -> None:
        self._editor.saveStateForUndo()

    def modifierLabelmap(self) -> Any:
        return self._logic.GetModifierLabelmap()

    def defaultModifierLabelmap(self) -> Any:
        return self._logic.GetModifierLabelmap() if self._logic.ResetModifierLabelmapToDefault() else None

    def selectedSegmentLabelmap(self) -> Any:
        self._logic.UpdateSelectedSegmentLabelmap()
        return self._logic.GetSelectedSegmentLabelmap()

    def sourceVolumeImageData(self) -> Any:
        self._logic.UpdateAlignedSourceVolume()
        return self._logic.GetAlignedSourceVolume()

    def referenceGeometryImage(self) -> Any:
        self._logic.UpdateReferenceGeometryImage()
        return self._logic.GetReferenceGeometryImage()

    def modifySelectedSegmentByLabelmap(self, labelmap: Any, mode: int, extent: Any = None, bypassMasking: bool = False) -> None:
        segmentation = self._node.GetSegmentationNode()
        self.modifySegmentByLabelmap(segmentation, self._node.GetSelectedSegmentID() or "", labelmap, mode, extent, bypassMasking)

    def modifySegmentByLabelmap(
        self, segmentation: Any, segment: str, labelmap: Any, mode: int, extent: Any = None, bypassMasking: bool = False
    ) -> None:
        bounds = list(extent) if extent is not None else [0, -1, 0, -1, 0, -1]
        self._logic.ModifySegmentByLabelmap(segmentation, segment, labelmap, _MODES[mode], bounds, self.PER_SEGMENT, bypassMasking)

    def confirmCurrentSegmentVisible(self) -> int:
        """Slicer asks whether to show a hidden segment; here nobody answers, so a hidden segment is not edited."""
        segmentation = self._node.GetSegmentationNode()
        segment = self._node.GetSelectedSegmentID()
        if segmentation is None or not segment:
            return self.ConfirmedWithoutDialog
        for index in range(segmentation.GetNumberOfDisplayNodes()):
            display = segmentation.GetNthDisplayNode(index)
            if display is not None and display.GetVisibility() and display.GetSegmentVisibility(segment):
                return self.ConfirmedWithoutDialog
        print("Operate on invisible segment? Slicer asks this in a dialog; the host does not operate.", file=sys.stderr)
        return self.NotConfirmed

    # Views

    @staticmethod
    def renderer(view: Any) -> Any:
        return view.sliceView().renderWindow().GetRenderers().GetFirstRenderer()

    @staticmethod
    def scheduleRender(view: Any) -> None:
        view.viewWidget().scheduleRender()

    @staticmethod
    def forceRender(view: Any) -> None:
        view.viewWidget().forceRender()

    def addActor2D(self, view: Any, actor: Any) -> None:
        self.renderer(view).AddViewProp(actor)
        self.scheduleRender(view)

    def removeActor2D(self, view: Any, actor: Any) -> None:
        self.renderer(view).RemoveViewProp(actor)
        self.scheduleRender(view)

    @staticmethod
    def sliceSpacing(view: Any) -> float:
        return slicer.vtkSlicerSegmentEditorLogic.GetSliceSpacing(view.mrmlSliceNode(), view.sliceLogic())

    @staticmethod
    def _ras(view: Any, xy: tuple[float, float]) -> tuple[float, float, float]:
        return view.mrmlSliceNode().GetXYToRAS().MultiplyPoint((xy[0], xy[1], 0.0, 1.0))[:3]


def pressed(interactor: Any) -> bool:
    """Whether Shift, Control or Alt is down."""
    return bool(interactor.GetShiftKey() or interactor.GetControlKey() or interactor.GetAltKey())


def voxels(image: Any) -> np.ndarray:
    """The voxels of an image, (k, j, i), not copied; empty where it has none."""
    width, height, depth = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    if scalars is None or width * height * depth == 0:
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(depth, height, width)


def worldToImage(image: Any) -> np.ndarray:
    """From RAS to voxel indices, 4 x 4."""
    matrix = vtk.vtkMatrix4x4()
    image.GetWorldToImageMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


class ScriptedEffect(qSlicerSegmentEditorAbstractEffect):
    """An effect written in Python: `self()` is the Python object with `onApply` and the like."""

    def self(self) -> Any:
        return self
