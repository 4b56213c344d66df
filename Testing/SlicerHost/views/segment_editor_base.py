"""What the segment editor does by itself: it follows its node, the segmentation and the table."""

from __future__ import annotations

import sys
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .base import observe, qMRMLWidget
from .effects import EFFECTS
from .segment_editor_keys import EditorShortcuts
from .segment_editor_layout import build
from .view_observations import ViewObservations

NULL_EFFECT_NAME = "NULL"


class SegmentEditorBase(qMRMLWidget):
    """The inside of `qMRMLSegmentEditorWidget`; nothing of it is for scripts."""

    currentSegmentIDChanged = QtCore.Signal(str)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    segmentationNodeChanged = QtCore.Signal(object)
    CPP_SIGNALS = {
        **qMRMLWidget.CPP_SIGNALS,
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)": "sourceVolumeNodeChanged",
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)": "segmentationNodeChanged",
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._parameters = self._segmentation = self._source = None
        self._tags: dict[str, list[tuple[Any, int]]] = {"node": [], "segmentation": []}
        self._active_effect = self._last_effect = None
        self._locked, self._masking_visible, self._unordered, self._auto_show = False, True, True, True
        self._order: tuple[str, ...] = ()
        self._columns = 3
        self._updating, self._again, self._deaf, self._undo_enabled = False, False, False, True
        self._hidden_parts: set[str] = set()
        self._shortcuts, self._observations = EditorShortcuts(self), ViewObservations(self)
        build(self)
        self._effects = [kind(self) for kind in EFFECTS]
        self._buttons: dict[Any, Any] = {}
        for effect in [None, *self._effects]:
            self._make_button(effect)
        self.updateEffectList()

    # From MRML

    def updateWidgetFromMRML(self) -> None:
        """Show the editor node; changes it makes on the way are followed afterwards."""
        if self._scene is None or self._deaf or self._scene.IsClosing() or self._scene.IsBatchProcessing():
            return
        if self._updating:
            self._again = True
            return
        self._updating = True
        try:
            for _ in range(5):
                self._again = False
                self._update()
                if not self._again:
                    break
        finally:
            self._updating = False

    def _update(self) -> None:
        if self._parameters is None:
            self._effects_group.setEnabled(False)
            return
        self._update_segmentation()
        self._update_source()
        selected = self._parameters.GetSelectedSegmentID() or ""
        if self._segmentation is None or self._segmentation.GetSegmentation().GetSegmentIndex(selected) < 0:
            selected = ""
        self._add.setEnabled(self._logic.CanAddSegments())
        self._remove.setEnabled(bool(selected) and not self._locked)
        self._table.setSelectedSegmentIDs([selected] if selected else [])
        self._table.setReadOnly(self._locked)
        self._update_effects(selected)
        self._update_mask()
        self._update_undo()

    def _update_segmentation(self) -> None:
        node = self._logic.GetSegmentationNode()
        if node is not self._segmentation_box.currentNode():
            self._segmentation_box.blockSignals(True)
            self._segmentation_box.setCurrentNode(node)
            self._segmentation_box.blockSignals(False)
        if node is self._segmentation:
            return
        self._segmentation = node
        events = ["ModifiedEvent"]
        if node is not None:
            kind = slicer.vtkSegmentation
            events += [kind.SegmentAdded, kind.SegmentRemoved, kind.ContainedRepresentationNamesModified]
        self._observe("segmentation", node, events, self.updateWidgetFromMRML)
        self._table.blockSignals(True)
        self._table.setSegmentationNode(node)
        self._table.blockSignals(False)
        if node is not None:
            reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
            if reference is not None:
                self._logic.SetSourceVolumeNode(reference)
            node.CreateDefaultDisplayNodes()
            if node.GetSegmentation().GetNumberOfSegments() > 0:
                self._table.setSelectedSegmentIDs([node.GetSegmentation().GetNthSegmentID(0)])
        self.segmentationNodeChanged.emit(node)

    def _update_source(self) -> None:
        if self._segmentation is None or self._logic.GetSourceVolumeNode() is self._source:
            return
        self._source = self._logic.GetSourceVolumeNode()
        self._source_box.blockSignals(True)
        self._source_box.setCurrentNode(self._source)
        self._source_box.blockSignals(False)
        if self._source is not None and self._auto_show:
            self.showSourceVolumeInSliceViewers()
        self.sourceVolumeNodeChanged.emit(self._source)
        for effect in self._effects:
            effect.sourceVolumeNodeChanged()

    def _update_effects(self, selected: str) -> None:
        """Switch to the effect that the node names. Nothing is enabled before there is a source volume."""
        enabled = self._parameters.GetSourceVolumeNode() is not None and not self._locked
        self._effects_group.setEnabled(enabled)
        self._options.setEnabled(enabled)
        for effect, button in self._buttons.items():
            if effect is not None:
                available = self._segmentation is not None and self._segmentation.GetSegmentation().GetNumberOfSegments() > 0
                button.setEnabled(available and (bool(selected) or not effect.PER_SEGMENT))
        effect = self.effectByName(self._parameters.GetActiveEffectName() or "")
        if effect is self._active_effect:
            return
        if self._active_effect is not None:
            self._active_effect.deactivate()
        if effect is not None and not self._has_labelmap():
            effect = None
        self._active_effect = effect
        if effect is not None:
            self._last_effect = effect
            self.setupViewObservations()
            effect.activate()
            self._options.setTitle(effect.TITLE)
        else:
            self.removeViewObservations()
        self._options.setVisible(effect is not None)
        self._masking.setVisible(effect is not None and self._masking_visible)
        self._buttons[effect].setChecked(True)

    def _update_mask(self) -> None:
        """An intensity mask that never had a range gets the middle half."""
        low, high = self._parameters.GetSourceVolumeIntensityMaskRange()
        if self._parameters.GetSourceVolumeIntensityMask() and low == high:
            image = self._source.GetImageData() if self._source is not None else None
            low, high = image.GetScalarRange() if image is not None else (0.0, 0.0)
            self._parameters.SetSourceVolumeIntensityMaskRange(low + 0.25 * (high - low), low + 0.75 * (high - low))

    def _has_labelmap(self) -> bool:
        if self._logic.CanTriviallyConvertSourceRepresentationToBinaryLabelMap():
            return bool(self._logic.TrivialSetSourceRepresentationToBinaryLabelmap())
        print("Slicer asks here whether to convert the segmentation to a labelmap; the host does not.", file=sys.stderr)
        return False

    def _update_undo(self) -> None:
        self._undo.setEnabled(bool(self._logic.CanUndo()))
        self._redo.setEnabled(bool(self._logic.CanRedo()))

    def _initialize(self) -> None:
        self._set_defaults()
        tag = observe(self, self._parameters, self._parameters.EffectParameterModified, self._show_parameters)
        self._tags["node"].append((self._parameters, tag))

    def _set_defaults(self) -> None:
        was = self._parameters.StartModify()
        for effect in self._effects:
            effect.setParameterSetNode(self._parameters)
            effect.setMRMLDefaults()
        self._parameters.EndModify(was)

    def _show_parameters(self) -> None:
        for effect in self._effects:
            effect.updateGUIFromMRML()

    def _scene_closed(self) -> None:
        """The node is gone with the scene: whoever uses the editor gives it another one."""
        if self._parameters is not None and self._parameters.GetScene() is None:
            if self._active_effect is not None:
                self._active_effect.deactivate()
                self._active_effect = None
            self.removeViewObservations()
            self.setMRMLSegmentEditorNode(None)
            self._segmentation = self._source = None
            self._table.setSegmentationNode(None)
        elif self._parameters is not None:
            # A singleton stays, and is emptied.
            self._set_defaults()
        self.updateWidgetFromMRML()

    def _batch_processed(self) -> None:
        """The nodes are those that the selectors stand on now."""
        if self._parameters is not None:
            if self._logic.GetSegmentationNode() is not self._segmentation_box.currentNode():
                self.setSegmentationNode(self._segmentation_box.currentNode())
            if self._logic.GetSourceVolumeNode() is not self._source_box.currentNode():
                self.setSourceVolumeNode(self._source_box.currentNode())
        self.updateWidgetFromMRML()

    def _observe(self, what: str, node: Any, events: list[Any], slot: Any) -> None:
        for observed, tag in self._tags[what]:
            observed.RemoveObserver(tag)
        self._tags[what] = [] if node is None else [(node, observe(self, node, event, slot)) for event in events]

    # From the person

    def _segment_chosen(self, *_: Any) -> None:
        if self._parameters is None:
            return
        chosen = self._table.selectedSegmentIDs()
        identifier = chosen[0] if chosen else ""
        if (self._parameters.GetSelectedSegmentID() or "") == identifier:
            return
        if not chosen and self._active_effect is not None and self._active_effect.PER_SEGMENT:
            self._parameters.SetSelectedSegmentID(None)
            self.setActiveEffect(None)
        else:
            self._parameters.SetSelectedSegmentID(identifier or None)
        self.updateWidgetFromMRML()
        self.currentSegmentIDChanged.emit(identifier)

    def _make_button(self, effect: Any) -> None:
        button = QtWidgets.QToolButton(self._effects_group)
        button.setObjectName(effect.NAME if effect is not None else NULL_EFFECT_NAME)
        button.setText(effect.TITLE if effect is not None else "None")
        button.setCheckable(True)
        button.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        button.clicked.connect(lambda *_: self.setActiveEffect(effect))
        self._group.addButton(button)
        self._buttons[effect] = button
        if effect is not None:
            self._options.layout().addWidget(effect.optionsFrame())
            effect.optionsFrame().hide()
