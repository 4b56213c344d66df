"""The nodes of the case that is open: a volume for each sequence, the editable segmentation, and the model's own outline apart from it."""

from __future__ import annotations

import time

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.worker import protocol

from . import segments
from .connect import connect

MODEL_OPACITY = 0.9
FILL_OPACITY = 0.35
OF_CASE = "SuggestiveAnnotation.case"
"""Attribute of nodes of the open case, and of their rows in the Data tree, which mean nothing once their node is gone."""
STEP_BYTES = 8_000_000
STEP_SECONDS = 0.03
"""Loading gives the event loop a turn after this time."""


class CaseScene:
    """Follows the open slice: loads its case in the background and shows it.

    Attributes:
        case: name of the case in the scene, None when none is.
        failed: name of the case that was to be loaded last and could not be, None when none is.
        geometry: its grid, LPS. frame: how its slices lie in it. schema: of its segments.
    """

    def __init__(self, workspace):
        self._workspace = workspace
        self.case = self.failed = self.geometry = self.frame = self.schema = None
        self._volumes = {}
        self._segmentation = self._model = self._modelId = None
        self._hidden = []
        self._wanted = self._path = None
        self._steps = self._made = None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        connect(self._timer, "timeout()", self._step)
        workspace.sliceChanged.connect(self._follow)
        workspace.studyChanged.connect(self._onStudy)
        workspace.statesChanged.connect(self._dropOldOutline)

    # What is there

    @property
    def segmentation(self):
        """The editable segmentation node, None when no case is shown."""
        return self._node(self._segmentation)

    @property
    def modelSegmentation(self):
        """The model's read-only outline, None when it was not asked for."""
        return self._node(self._model)

    def volume(self, modality=None):
        """The volume of a sequence, of the reference when not named."""
        if self.case is None:
            return None
        return self._node(self._volumes.get(modality or self._workspace.study.reference_modality))

    @property
    def modalities(self):
        """Sequences of the case that are in the scene, the reference first."""
        reference = self._workspace.study.reference_modality
        return [m for m in (reference, *(m for m in self._volumes if m != reference)) if self.volume(m) is not None]

    @property
    def whole(self):
        """Whether every node of a case is there; any may have been deleted by hand."""
        return self.segmentation is not None and all(self._node(volume) is not None for volume in self._volumes.values())

    def centre(self, ref):
        """Centre of a slice, RAS millimetres."""
        return segments.sliceCentreRAS(self.geometry, ref)

    @staticmethod
    def _node(identifier):
        # An id leads nowhere once the node is gone; a reference would keep it half alive.
        return slicer.mrmlScene.GetNodeByID(identifier) if identifier else None

    # Following

    def _onStudy(self):
        # The signal also comes when a case is excluded; what is shown of this study stays.
        if self._workspace.path != self._path:
            self.forget()
        else:
            self._dropOldOutline()

    def _follow(self):
        ref = self._workspace.current
        if ref is None:
            return
        if ref.case == self.case and self.segmentation is not None:
            self._stopLoading()
            # Of a case that lost a volume, what is left is shown until it is loaded again.
            self._workspace.caseShown()
            if self.whole:
                return
        if self._wanted == ref.case:
            return
        self._stopLoading()
        self._wanted, self.failed = ref.case, None
        self._workspace.message("info", _("Loading case {case}.").format(case=ref.case))
        self._workspace.ask(protocol.LoadCase(ref.case), self._onLoaded, lambda error: self._onFailed(ref.case, error))

    def _onFailed(self, case, error):
        if self._wanted == case:
            self._wanted, self.failed = None, case
        self._workspace.message("error", str(error))

    def _onLoaded(self, data):
        if data["case"] != self._wanted or self._steps is not None:
            # Another case was chosen meanwhile, or the study was closed, or the case was asked for twice.
            return
        self._steps = self._load(data["case"], Geometry.from_json(data["geometry"]), data["modalities"])
        self._timer.start()

    def show(self, case, geometry, modalities):
        """Replace what is in the scene by a case, at once.

        Args:
            modalities: name -> `.npy`, native `(k, j, i)`.
        """
        self._stopLoading()
        self._steps = self._load(case, geometry, modalities)
        while self._steps is not None:
            self._advance(float("inf"))

    def _step(self):
        try:
            self._advance(STEP_SECONDS)
        except Exception:
            self._stopLoading()
            raise

    def _advance(self, seconds):
        end = time.monotonic() + seconds
        for _turn in self._steps:
            if time.monotonic() > end:
                return
        self._steps = None
        self._timer.stop()
        self._wanted = None
        self._workspace.message("info", _("Case {case} is shown.").format(case=self.case))
        self._workspace.caseShown()
        self._prefetch()

    def _stopLoading(self):
        self._timer.stop()
        self._wanted = self._steps = None
        for node in (self._node(identifier) for identifier in self._made or ()):
            if node is not None:
                removeNode(node)
        self._made = None

    def _load(self, case, geometry, modalities):
        """Bring a case into the scene, in steps of some milliseconds; the case that is there goes."""
        self._removeCase()
        study, self._made = self._workspace.study, []
        self._path = self._workspace.path
        yield
        volumes = {}
        for modality, path in modalities.items():
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            image = vtk.vtkImageData()
            image.SetDimensions(*geometry.size)
            image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
            target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape)
            rows = max(1, STEP_BYTES // array[0].nbytes)
            for first in range(0, len(array), rows):
                target[first : first + rows] = array[first : first + rows]
                yield
            volumes[modality] = self._addVolume(f"{case} {modality}", image, target, geometry)
            yield
        node = self._addSegmentation(_("{case} annotation").format(case=case), volumes[study.reference_modality], study.schema)
        yield
        frame = study.frame(case)
        labels = np.zeros(geometry.shape, segments.labelType(study.schema))
        stack = frame.stack(labels)
        for ref, shown in self._workspace.session.case_labels(case).items():
            stack[ref.native_index] = shown.labels
        yield
        segments.importVolume(node, labels, geometry, study.schema)
        yield
        display = node.GetDisplayNode()
        display.SetOpacity2DFill(FILL_OPACITY)
        display.SetOpacity2DOutline(1.0)
        self.case, self.geometry, self.frame, self.schema = case, geometry, frame, study.schema
        self._volumes = {modality: volume.GetID() for modality, volume in volumes.items()}
        self._segmentation, self._made = node.GetID(), None

    def _addVolume(self, name, image, array, geometry):
        node = self._add("vtkMRMLScalarVolumeNode", name)
        node.SetIJKToRASMatrix(segments.ijkToRAS(geometry))
        display = self._addDisplay(node)
        # Before the image comes: Slicer would take a histogram of it.
        display.SetAutoWindowLevel(False)
        low, high = (float(v) for v in np.percentile(array[::4, ::4, ::4], (1, 99.5)))
        display.SetWindowLevelMinMax(low, max(high, low + 1e-3))
        node.SetAndObserveImageData(image)
        return node

    def _addSegmentation(self, name, volume, schema):
        node = self._add("vtkMRMLSegmentationNode", name)
        self._addDisplay(node)
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segments.addSegments(node, schema)
        return node

    def _add(self, className, name):
        node = slicer.mrmlScene.AddNewNodeByClass(className, name)
        # The study keeps images and labels; a saved scene would hold a second, ageing copy.
        node.SetSaveWithScene(False)
        node.SetAttribute(OF_CASE, "1")
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            # Slicer saves this row all the same.
            hierarchy.SetItemAttribute(item, OF_CASE, "1")
        if self._made is not None:
            self._made.append(node.GetID())
        return node

    @staticmethod
    def _addDisplay(node):
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        # In a saved scene it would be of nothing.
        display.SetSaveWithScene(False)
        return display

    def _prefetch(self):
        """Have the next case of the list ready before it is wanted."""
        cases = list(dict.fromkeys(row.suggestion.ref.case for row in self._workspace.suggestions()))
        if self.case in cases and cases.index(self.case) + 1 < len(cases):
            self._workspace.ask(protocol.LoadCase(cases[cases.index(self.case) + 1]), onError=lambda _error: None)

    # The model's own outline

    def showModelOutline(self, path):
        """Show what the model says of the case, as an outline that cannot be edited. Audit slices that are still to be drawn go without.

        Args:
            path: `.npy`, schema values, native `(k, j, i)`.

        Returns: whether there are such audit slices.
        """
        self.hideModelOutline()
        labels, hidden = np.load(path, allow_pickle=False), self._openAudits()
        # They tell how good the model is only as long as nobody has seen what it says.
        np.moveaxis(labels, self.frame.axis, 0)[hidden] = 0
        node = self._addSegmentation(_("{case} model").format(case=self.case), self.volume(), self.schema)
        node.SetSelectable(False)
        segments.importVolume(node, labels, self.geometry, self.schema)
        display = node.GetDisplayNode()
        display.SetVisibility2DFill(False)
        display.SetOpacity2DOutline(MODEL_OPACITY)
        self._model, self._modelId, self._hidden = node.GetID(), self._newestModel(), hidden
        return bool(hidden)

    def _openAudits(self):
        """Native indices of the case's audit slices that wait for the reader."""
        session = self._workspace.session
        return [] if session is None else [ref.native_index for ref in session.open_audits(self.case)]

    def _newestModel(self):
        model = self._workspace.study.latest_model("segmentation")
        return None if model is None else model.id

    def _dropOldOutline(self):
        if self.modelSegmentation is None:
            return
        # Once there is a newer model, it is no longer the model's outline; what has become an audit slice is drawn without it.
        if self._modelId != self._newestModel() or not set(self._openAudits()) <= set(self._hidden):
            self.hideModelOutline()

    def hideModelOutline(self):
        """Remove the model's outline."""
        node = self.modelSegmentation
        if node is not None:
            removeNode(node)
        self._model = None

    def toggleModelOutline(self):
        """Show the model's outline, or hide it; predicts the case the first time, and the first time with a newer model."""
        self._dropOldOutline()
        node, workspace = self.modelSegmentation, self._workspace
        if node is not None:
            node.GetDisplayNode().SetVisibility(not node.GetDisplayNode().GetVisibility())
        elif self.case is not None and self._newestModel() is None:
            workspace.message("info", _("There is no model yet. Annotate the first batch, then start a round in 2."))
        elif self.case is not None:
            case, task, command = self.case, workspace.task, protocol.PredictCase(self.case, workspace.device())
            if not workspace.requests.isWaitingFor(command):
                workspace.ask(command, lambda data: self._onPredicted(case, data))
            if task is None:
                workspace.message("info", _("Case {case} is being predicted.").format(case=case))
            else:
                text = _("The model's outline of case {case} waits until this is done: {title}.")
                workspace.message("info", text.format(case=case, title=task.title))

    def _onPredicted(self, case, data):
        if self.case == case:
            text = _("The model's outline of case {case} is shown.")
            if self.showModelOutline(data["path"]):
                text = _("The model's outline of case {case} is shown, except on slices that are to be drawn without it.")
            self._workspace.message("info", text.format(case=case))

    # Leaving

    def forget(self):
        """Remove the case from the scene, and stop loading one."""
        self._stopLoading()
        self._removeCase()

    def _removeCase(self):
        if self._workspace.sync is not None:
            self._workspace.sync.detach()
        for identifier in (self._segmentation, self._model, *self._volumes.values()):
            node = self._node(identifier)
            if node is not None:
                removeNode(node)
        self.case = self.geometry = self.frame = self.schema = self._segmentation = self._model = self._path = None
        self._volumes = {}

    def dropReferences(self):
        """The scene is closing; its nodes go by themselves."""
        self._timer.stop()
        self._wanted = self._steps = self._made = None
        self.case = self.geometry = self.frame = self.schema = self._segmentation = self._model = self._path = None
        self._volumes = {}

    def restore(self):
        """After the scene was closed, or lost nodes of the case: bring the open slice back."""
        if self._workspace.current is not None:
            self._follow()

    def cleanup(self):
        """Stop following, and take the nodes out of the scene: they mean nothing without the panel."""
        self.forget()
        self._workspace.sliceChanged.disconnect(self._follow)
        self._workspace.studyChanged.disconnect(self._onStudy)
        self._workspace.statesChanged.disconnect(self._dropOldOutline)


def removeNode(node):
    """A node and its display nodes, which the scene would keep."""
    displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLSegmentationNode"):
        # Else Slicer takes segment by segment out of it, each time going through the whole labelmap.
        node.SetAndObserveSegmentation(slicer.vtkSegmentation())
    for one in (node, *displays):
        slicer.mrmlScene.RemoveNode(one)


def removeRowsWithoutNodes():
    """A scene that was saved with a case open brings the rows of its nodes back into the Data tree, and not the nodes."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for item in (items.GetId(place) for place in range(items.GetNumberOfIds())):
        if hierarchy.GetItemAttribute(item, OF_CASE) and hierarchy.GetItemDataNode(item) is None:
            hierarchy.RemoveItem(item, False, True)
