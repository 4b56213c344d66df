"""The Segment Editor inside the panel: the schema's segments, a chosen set of effects, and nothing else of its own."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from . import segments
from .case_scene import removeNode

NODE_TAG = "SuggestiveAnnotationEditor"
EFFECTS = ["Paint", "Draw", "Erase", "Scissors", "Islands", "Fill between slices", "Threshold", "Smoothing"]
PREVIEW_ROLE = "SegmentationResultPreview"
"""Node reference under which effects that complete a segmentation keep what is not applied yet."""
PREVIEW_OWNER = "SegmentationResultPreviewOwnerEffect"
"""Attribute with the name of the effect that made it."""


class SegmentEditor:
    """A `qMRMLSegmentEditorWidget` with the life cycle that an embedding module owes it.

    Attributes:
        widget: the editor.
    """

    def __init__(self, parent):
        self.widget = slicer.qMRMLSegmentEditorWidget(parent)
        parent.layout().addWidget(self.widget)
        widget = self.widget
        widget.setMaximumNumberOfUndoStates(10)
        widget.setEffectNameOrder(EFFECTS)
        widget.unorderedEffectsVisible = False
        widget.setSegmentationNodeSelectorVisible(False)
        widget.setSourceVolumeNodeSelectorVisible(False)
        widget.setAddRemoveSegmentButtonsVisible(False)
        widget.setSwitchToSegmentationsButtonVisible(False)
        widget.setShow3DButtonVisible(False)
        # The layout chooses what each view shows.
        widget.setAutoShowSourceVolumeNode(False)
        # The scene comes before the editor node: without it the node's segmentation is dropped, silently.
        widget.setMRMLScene(slicer.mrmlScene)
        self._entered = False

    def _selectNode(self):
        """The editor node of the module: found in the scene, or made, for a scene that was closed has none."""
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(NODE_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            made = slicer.vtkMRMLSegmentEditorNode()
            made.SetSingletonTag(NODE_TAG)
            node = scene.AddNode(made)
        node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        node.SourceVolumeIntensityMaskOff()
        if self.widget.mrmlSegmentEditorNode() is not node:
            self.widget.setMRMLSegmentEditorNode(node)
            # Slicer complains of an editor without a node.
            self.widget.setMaskingSectionVisible(False)

    # Life

    def enter(self):
        """The module is open: keys and mouse go to the editor."""
        self._entered = True
        self._selectNode()
        self.widget.installKeyboardShortcuts()
        self.widget.setupViewObservations()

    def exit(self):
        """The module was left: no effect stays active, no key stays taken."""
        self._entered = False
        self.widget.setActiveEffect(None)
        self.widget.uninstallKeyboardShortcuts()
        self.widget.removeViewObservations()

    def edit(self, segmentation, volume):
        """Edit a segmentation over a volume; None for both ends editing."""
        if segmentation is None:
            self.widget.setActiveEffect(None)
        if segmentation is not None or self.widget.mrmlSegmentEditorNode() is not None:
            self._selectNode()
        if self.widget.segmentationNode() is not segmentation:
            self._dropPreview()
            self.widget.setSegmentationNode(segmentation)
        if self.widget.sourceVolumeNode() is not volume:
            self.widget.setSourceVolumeNode(volume)

    def _dropPreview(self):
        """A preview belongs to the segmentation it was made from: segments have the same ids in every case, and Apply asks nothing else."""
        node = self.widget.mrmlSegmentEditorNode()
        preview = node.GetNodeReference(PREVIEW_ROLE) if node is not None else None
        if preview is None:
            return
        self.widget.setActiveEffect(None)
        node.SetNodeReferenceID(PREVIEW_ROLE, None)
        node.RemoveAttribute(PREVIEW_OWNER)
        removeNode(preview)
        # Effects stop to update a preview that they find gone.
        node.InvokeCustomModifiedEvent(node.EffectParameterModified)
        segmentation = node.GetSegmentationNode()
        if segmentation is not None:
            # The effect had made it transparent.
            segmentation.GetDisplayNode().SetOpacity(1.0)

    def onSceneStartClose(self):
        """The nodes go."""
        self.widget.setActiveEffect(None)
        self.widget.setSegmentationNode(None)
        self.widget.setSourceVolumeNode(None)
        self.widget.removeViewObservations()

    def onSceneEndClose(self):
        """A new editor node, if the module is open."""
        if self._entered:
            self._selectNode()
            self.widget.setupViewObservations()

    # What is chosen

    @property
    def segment(self):
        """Id of the chosen segment."""
        return self.widget.currentSegmentID() or ""

    @property
    def effect(self):
        """Name of the active effect, empty when none is."""
        effect = self.widget.activeEffect()
        return "" if effect is None else effect.name

    def choose(self, segment="", effect=""):
        """Choose a segment and an effect; one that is not there changes nothing."""
        node = self.widget.segmentationNode()
        if segment and node is not None and node.GetSegmentation().GetSegment(segment) is not None:
            self.widget.setCurrentSegmentID(segment)
        if effect in EFFECTS:
            self.widget.setActiveEffectByName(effect)

    def chooseIgnore(self):
        """The ignore segment under the brush."""
        self.choose(segments.IGNORE_ID, "Paint")

    def forgetUndo(self):
        """Earlier states hold labels that were accepted or replaced since: undo must not bring them back."""
        self.widget.setUndoEnabled(True)

    def unmask(self):
        """Switch masking by intensity off; whether it was on. A key and an effect switch it on, and its section is hidden."""
        node = self.widget.mrmlSegmentEditorNode()
        if node is None or not node.GetSourceVolumeIntensityMask():
            return False
        node.SourceVolumeIntensityMaskOff()
        return True

    # What is under way

    def unapplied(self):
        """Why the segmentation does not hold yet what the person drew, in one sentence; empty when it does."""
        if outline := self.outline():
            return outline
        node = self.widget.mrmlSegmentEditorNode()
        preview = node.GetNodeReference(PREVIEW_ROLE) if node is not None else None
        if preview is not None:
            # Kept with the preview, which outlives the effect.
            owner = node.GetAttribute(PREVIEW_OWNER) or self.effect
            return _("The preview of {effect} is not applied yet: press Apply or Cancel there.").format(effect=owner)
        return ""

    def outline(self):
        """What to do with an outline that is drawn and not applied, in one sentence; empty when there is none."""
        effect = self.widget.activeEffect()
        if effect is not None and effect.name == "Draw":
            # The effect is a Python class; its outlines live there until they are applied.
            pipelines = effect.self().drawPipelines.values()
            if any(pipeline.rasPoints.GetNumberOfPoints() > 0 for pipeline in pipelines):
                return _("An outline is not applied yet: right-click or press Enter in the slice view to apply it, Esc to drop it.")
        return ""
