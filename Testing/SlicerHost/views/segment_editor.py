"""`qMRMLSegmentEditorWidget` over the real vtkSlicerSegmentEditorLogic and its undo history: what scripts may call."""

from __future__ import annotations

import sys
from typing import Any

import slicer
from PySide6 import QtCore

from ..connections import mistake
from .base import observe
from .segment_editor_base import SegmentEditorBase


def _part(name: str, part: str) -> Any:
    """A property `nameVisible` that shows and hides a part of the widget, and its slot."""

    def read(self: Any) -> bool:
        return name not in self._hidden_parts

    def write(self: Any, on: bool) -> None:
        self._hidden_parts.discard(name) if on else self._hidden_parts.add(name)
        for widget in getattr(self, part):
            widget.setVisible(bool(on))

    return QtCore.Property(bool, read, write), write


class qMRMLSegmentEditorWidget(SegmentEditorBase):
    """Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h"""

    segmentationNodeSelectorVisible, setSegmentationNodeSelectorVisible = _part("segmentation", "_segmentation_parts")
    sourceVolumeNodeSelectorVisible, setSourceVolumeNodeSelectorVisible = _part("source", "_source_parts")
    specifyGeometryButtonVisible, setSpecifyGeometryButtonVisible = _part("geometry", "_geometry_parts")
    show3DButtonVisible, setShow3DButtonVisible = _part("3D", "_show3d_parts")
    addRemoveSegmentButtonsVisible, setAddRemoveSegmentButtonsVisible = _part("add", "_add_parts")
    switchToSegmentationsButtonVisible, setSwitchToSegmentationsButtonVisible = _part("switch", "_switch_parts")

    # Nodes

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        for box in (self._segmentation_box, self._source_box):
            box.blockSignals(True)
            box.setMRMLScene(scene)
            box.blockSignals(False)
        super().setMRMLScene(scene)
        # Seen in Slicer: an editor that got its node before its scene never shows a segmentation, and says nothing.
        self._deaf = self._parameters is not None
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._logic.SetMRMLScene(scene)
        if scene is not None:
            observe(self, scene, scene.EndCloseEvent, self._scene_closed)
            observe(self, scene, scene.EndBatchProcessEvent, self._batch_processed)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._parameters

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        if node is self._parameters:
            return
        self._observe("node", node, ["ModifiedEvent"], self.updateWidgetFromMRML)
        self._parameters, self._deaf = node, self._scene is None
        self._logic.SetSegmentEditorNode(node)
        if node is not None:
            self._initialize()
            self.updateWidgetFromMRML()

    def segmentationNode(self) -> Any:
        """What the selector shows: nothing before the scene is set."""
        return self._segmentation_box.currentNode()

    def segmentationNodeID(self) -> str:
        return self._segmentation_box.property("currentNodeID")

    def setSegmentationNode(self, node: Any) -> None:
        if self._logic.GetSegmentationNode() is node:
            return
        self._logic.SetSegmentationNode(node)
        self.setActiveEffect(None)

    def setSegmentationNodeID(self, identifier: str) -> None:
        self.setSegmentationNode(self._scene.GetNodeByID(identifier))

    def sourceVolumeNode(self) -> Any:
        return self._logic.GetSourceVolumeNode()

    def sourceVolumeNodeID(self) -> str:
        return self.sourceVolumeNode().GetID() if self.sourceVolumeNode() is not None else ""

    def setSourceVolumeNode(self, node: Any) -> None:
        self._logic.SetSourceVolumeNode(node)

    def setSourceVolumeNodeID(self, identifier: str) -> None:
        self.setSourceVolumeNode(self._scene.GetNodeByID(identifier))

    # Segments

    def currentSegmentID(self) -> str:
        return self._logic.GetCurrentSegmentID()

    def setCurrentSegmentID(self, identifier: str) -> None:
        if self._parameters is not None:
            self._parameters.SetSelectedSegmentID(identifier)

    def selectNextSegment(self) -> None:
        self.selectSegmentAtOffset(1)

    def selectPreviousSegment(self) -> None:
        self.selectSegmentAtOffset(-1)

    def selectSegmentAtOffset(self, offset: int) -> None:
        """The next visible segment in the table, in that direction."""
        rows = self._table.tableWidget().selectionModel().selectedRows()
        if self._segmentation is None or self._segmentation.GetDisplayNode() is None or not rows:
            return
        row, shown = rows[0].row(), self._table.displayedSegmentIDs()
        for _ in shown:
            row = max(0, (row + offset) % len(shown))
            if self._segmentation.GetDisplayNode().GetSegmentVisibility(shown[row]):
                self.setCurrentSegmentID(shown[row])
                return

    # Effects

    def activeEffect(self) -> Any:
        return self._active_effect

    def setActiveEffect(self, effect: Any) -> None:
        if self._parameters is not None:
            self._parameters.SetActiveEffectName(effect.NAME if effect is not None else "")
        elif effect is not None:
            print("qMRMLSegmentEditorWidget::setActiveEffect: Invalid segment editor parameter set node", file=sys.stderr)

    def setActiveEffectByName(self, name: str) -> None:
        self.setActiveEffect(self.effectByName(name))

    def effectByName(self, name: str) -> Any:
        return next((effect for effect in self._effects if name == effect.NAME), None)

    def effectByIndex(self, index: int) -> Any:
        item = self._effects_group.layout().itemAt(index) if index >= 0 else None
        return next((effect for effect, button in self._buttons.items() if item is not None and button is item.widget()), None)

    def effectCount(self) -> int:
        return len(self._effects)

    def availableEffectNames(self) -> tuple[str, ...]:
        return tuple(effect.NAME for effect in self._effects)

    def effectNameOrder(self) -> tuple[str, ...]:
        return self._order

    def setEffectNameOrder(self, names: Any) -> None:
        if tuple(names) != self._order:
            self._order = tuple(names)
            self.updateEffectList()

    def _get_unordered(self) -> bool:
        return self._unordered

    def _set_unordered(self, on: bool) -> None:
        self._unordered = bool(on)
        self.updateEffectList()

    # The setter of the real one is neither slot nor invokable: scripts set the property.
    unorderedEffectsVisible = QtCore.Property(bool, _get_unordered, _set_unordered)

    def _get_columns(self) -> int:
        return self._columns

    def setEffectColumnCount(self, count: int) -> None:
        self._columns = count
        self.updateEffectList()

    effectColumnCount = QtCore.Property(int, _get_columns, setEffectColumnCount)

    def setEffectButtonStyle(self, style: Any) -> None:
        for button in self._buttons.values():
            button.setToolButtonStyle(style)

    def updateEffectList(self) -> None:
        grid = self._effects_group.layout()
        for button in self._buttons.values():
            grid.removeWidget(button)
            button.hide()
        shown = [effect for name in self._order if (effect := self.effectByName(name)) is not None]
        if self._unordered:
            shown += [effect for effect in self._effects if effect not in shown]
        for place, effect in enumerate([None, *shown]):
            grid.addWidget(self._buttons[effect], place // self._columns, place % self._columns)
            self._buttons[effect].show()

    # Undo

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()
        self._update_undo()

    def undo(self) -> None:
        self._logic.Undo()
        self._update_undo()

    def redo(self) -> None:
        self._logic.Redo()
        self._update_undo()

    def _get_undo_enabled(self) -> bool:
        return self._undo_enabled

    def setUndoEnabled(self, on: bool) -> None:
        """Shows the buttons, or hides them; showing them forgets what could be undone."""
        if on:
            self._logic.ClearUndoState()
            self._update_undo()
        self._undo_enabled = bool(on)
        for button in (self._undo, self._redo):
            button.setVisible(bool(on))

    undoEnabled = QtCore.Property(bool, _get_undo_enabled, setUndoEnabled)

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        self._logic.SetMaximumNumberOfUndoStates(count)

    maximumNumberOfUndoStates = QtCore.Property(int, lambda self: self._logic.GetMaximumNumberOfUndoStates(), setMaximumNumberOfUndoStates)

    def setUndoEnabled(self, on: bool) -> None:
        """Enabling forgets every state, as the real one does."""
        self._undo_enabled = bool(on)
        if on:
            self._logic.ClearUndoState()
            self._update_undo()

    undoEnabled = QtCore.Property(bool, lambda self: getattr(self, "_undo_enabled", True), setUndoEnabled)

    # Behaviour

    def _get_read_only(self) -> bool:
        return self._locked

    def setReadOnly(self, on: bool) -> None:
        self._locked = bool(on)
        if on:
            self.setActiveEffect(None)
        self.updateWidgetFromMRML()

    readOnly = QtCore.Property(bool, _get_read_only, setReadOnly)

    def _get_masking(self) -> bool:
        return self._masking_visible

    def setMaskingSectionVisible(self, on: bool) -> None:
        """Logs a critical error where there is no editor node yet."""
        if self._parameters is None:
            mistake("qMRMLSegmentEditorWidget::setMaskingSectionVisible: Invalid segment editor parameter set node")
        self._masking_visible = bool(on)
        self._masking.setVisible(bool(on) and self._active_effect is not None)

    maskingSectionVisible = QtCore.Property(bool, _get_masking, setMaskingSectionVisible)

    def _get_auto_show(self) -> bool:
        return self._auto_show

    def setAutoShowSourceVolumeNode(self, on: bool) -> None:
        self._auto_show = bool(on)

    autoShowSourceVolumeNode = QtCore.Property(bool, _get_auto_show, setAutoShowSourceVolumeNode)

    def toggleSourceVolumeIntensityMaskEnabled(self) -> None:
        self._logic.ToggleSourceVolumeIntensityMask()

    def installKeyboardShortcuts(self, parent: Any = None) -> None:
        self._shortcuts.install(parent or slicer.util.mainWindow() or slicer.app.layoutManager().viewport().window())

    def uninstallKeyboardShortcuts(self) -> None:
        self._shortcuts.uninstall()

    def setupViewObservations(self) -> None:
        self._observations.setup()

    def removeViewObservations(self) -> None:
        self._observations.remove()

    def showSourceVolumeInSliceViewers(self, forceShowInBackground: bool = False, fitSlice: bool = False) -> None:
        """In every slice view that there is, laid out or not, unless it shows the volume already."""
        volume = self._parameters.GetSourceVolumeNode()
        logics = slicer.app.layoutManager().mrmlSliceLogics()
        if volume is None:
            return
        for index in range(logics.GetNumberOfItems()):
            logic = logics.GetItemAsObject(index)
            composite = logic.GetSliceCompositeNode()
            if composite is None:
                continue
            if forceShowInBackground or volume.GetID() not in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()):
                composite.SetBackgroundVolumeID(volume.GetID())
                composite.SetForegroundVolumeID(None)
                composite.SetLabelVolumeID(None)
            if fitSlice:
                logic.FitSliceToBackground(True)

    def rotateSliceViewsToSegmentation(self) -> None:
        for name in slicer.app.layoutManager().sliceViewNames():
            widget = slicer.app.layoutManager().sliceWidget(name)
            widget.mrmlSliceNode().RotateToVolumePlane(self._source)
