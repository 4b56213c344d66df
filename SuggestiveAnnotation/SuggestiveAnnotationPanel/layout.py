"""The module's own layout: the suggested slice large, another sequence beside it, two orthogonal views, the latent space."""

from __future__ import annotations

import numpy as np
import qt
import slicer
import vtk

from SuggestiveAnnotationLib.types import SliceRef

from . import looks, segments, settings
from .connect import connect, guarded, showError
from .signal import Signal
from .slice_caption import SliceCaption
from .slice_frame import SliceFrameOverlay

LAYOUT_ID = 5371
SLICE, OTHER, ORTHOGONAL_1, ORTHOGONAL_2, LATENT = (
    "SuggestiveSlice",
    "SuggestiveOther",
    "SuggestiveOrtho1",
    "SuggestiveOrtho2",
    "SuggestiveLatent",
)
PARALLEL, ORTHOGONAL = (SLICE, OTHER), (ORTHOGONAL_1, ORTHOGONAL_2)
ORIENTATIONS = {
    "axial": ("Axial", "Coronal", "Sagittal"),
    "coronal": ("Coronal", "Axial", "Sagittal"),
    "sagittal": ("Sagittal", "Axial", "Coronal"),
}
STRAIGHT = 0.999
"""Cosine from which a view counts as parallel to the slices."""


def _view(kind, name, label, colour, orientation=""):
    # A group of their own keeps Slicer's linking from moving views of the user's layouts, which are hidden meanwhile.
    return (
        f'<view class="{kind}" singletontag="{name}">'
        + (f'<property name="orientation" action="default">{orientation}</property>' if orientation else "")
        + f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property>'
        f'<property name="viewgroup" action="default">{LAYOUT_ID}</property></view>'
    )


XML = (
    '<layout type="vertical" split="true">'
    f'<item splitSize="620">{_view("vtkMRMLSliceNode", SLICE, "S", "#E69F00", "Axial")}</item>'
    '<item splitSize="380"><layout type="horizontal" split="true">'
    f'<item splitSize="250">{_view("vtkMRMLSliceNode", OTHER, "O", "#56B4E9", "Axial")}</item>'
    f'<item splitSize="250">{_view("vtkMRMLSliceNode", ORTHOGONAL_1, "1", "#6EB04B", "Coronal")}</item>'
    f'<item splitSize="250">{_view("vtkMRMLSliceNode", ORTHOGONAL_2, "2", "#EDD54C", "Sagittal")}</item>'
    f'<item splitSize="350">{_view("vtkMRMLPlotViewNode", LATENT, "L", "#CC79A7")}</item>'
    "</layout></item></layout>"
)


def registerLayout():
    """Make the layout known to Slicer; does nothing in one without a main window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, XML)
    else:
        node.SetLayoutDescription(LAYOUT_ID, XML)


class Layout:
    """Shows the open slice.

    Attributes:
        displayed: slices that were painted in a view along the slices, with every structure; only such a slice can be accepted.
        moved: signal, the large view came to another slice, or a slice was painted for the first time, or with structures hidden or shown.
    """

    def __init__(self, workspace):
        self._workspace = workspace
        self._overlays, self._observed = {}, []
        self._looks = looks.Looks()
        self._fitted = self._reference = self._at = None
        self._sequence = 0
        self._following = self._hiding = False
        self.displayed = set()
        self.moved = Signal(lambda error: showError(str(error)))
        self.caption = SliceCaption(workspace)
        self._settled = qt.QTimer()
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        connect(self._settled, "timeout()", self._onSettled)
        self._followed = [
            (workspace.caseShown, self.showSlice),
            (workspace.leavingSlice, self.rememberLook),
            (workspace.statesChanged, self.redraw),
            (workspace.studyChanged, self._onStudy),
            (workspace.sliceChanged, self.redraw),
        ]
        for signal, call in self._followed:
            signal.connect(call)

    # Entering and leaving

    def enter(self):
        """Change to the module's layout."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        registerLayout()
        node = manager.layoutLogic().GetLayoutNode()
        # A scene that is being closed has no layout for a moment.
        if node.GetViewArrangement() not in (LAYOUT_ID, node.SlicerLayoutNone):
            settings.setLayoutBefore(node.GetViewArrangement())
        manager.setLayout(LAYOUT_ID)
        if not self._overlays:
            describe = {SLICE: self._describeSlice, OTHER: self._describeOther}
            for name in (*PARALLEL, *ORTHOGONAL):
                self._overlays[name] = SliceFrameOverlay(self._widget(name), describe.get(name, lambda: None))
            self._observe()
        self.showSlice()
        # Views get their size only when the event loop turns; what was fitted before would be cut off.
        self._settled.start()

    def _observe(self):
        for name in PARALLEL:
            node = self._widget(name).mrmlSliceNode()
            moved = guarded(lambda name=name: self._onMoved(name))
            self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_event, moved=moved: moved())))
            window, rendered = self._widget(name).sliceView().renderWindow(), guarded(lambda name=name: self._onRendered(name))
            self._observed.append((window, window.AddObserver(vtk.vtkCommand.EndEvent, lambda *_event, rendered=rendered: rendered())))

    def _onSettled(self):
        if self.active and self._fitted is not None and not self._looks.of(self._workspace.path, self._fitted)["zoom"]:
            self._fitted = None
            self.showSlice()

    def exit(self):
        """Give the user's layout back."""
        if not self.active:
            return
        self._settled.stop()
        self.rememberLook()
        self._fitted = None
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        for overlay in self._overlays.values():
            overlay.remove()
        self._overlays, self._observed = {}, []
        self._letGo()
        manager = slicer.app.layoutManager()
        node = manager.layoutLogic().GetLayoutNode()
        # A layout that the user chose while the module was open stays.
        if node.GetViewArrangement() == LAYOUT_ID:
            # Kept from one Slicer to the next: a scene saved with the module open comes with the module's own.
            manager.setLayout(settings.layoutBefore() or node.SlicerLayoutFourUpView)

    @property
    def active(self):
        """Whether the module is open, with views."""
        return bool(self._overlays)

    # Showing

    def _widget(self, name):
        return slicer.app.layoutManager().sliceWidget(name)

    def _node(self, name):
        return self._widget(name).mrmlSliceNode()

    def _ready(self):
        """The scene, when it holds the case of the open slice."""
        scene, ref = self._workspace.scene, self._workspace.current
        if not self.active or scene is None or ref is None or scene.case != ref.case or scene.volume() is None:
            return None
        return scene

    def showSlice(self):
        """Show the open slice, when its case is in the scene."""
        scene = self._ready()
        if scene is None:
            return
        manager = slicer.app.layoutManager()
        node = manager.layoutLogic().GetLayoutNode()
        if node.GetViewArrangement() != LAYOUT_ID:
            manager.setLayout(LAYOUT_ID)
        elif not self.visible:
            # A double click gives the whole window to one view, here to one that shows no slice.
            node.RemoveAllMaximizedViewNodes()
        # A case that is loaded again has new nodes, which know nothing of how the reader left it.
        reference = scene.volume().GetID()
        first = self._fitted != scene.case or self._reference != reference
        self._following = True
        try:
            for name in ORTHOGONAL:
                if first or not self._ours(name, scene):
                    self._setVolume(name, scene)
            for name in PARALLEL:
                self._setVolume(name, scene)
            if first:
                self._turn(scene)
                self._fitted, self._reference = scene.case, reference
            for name in (*PARALLEL, *ORTHOGONAL) if first else PARALLEL:
                if name in PARALLEL and not self._parallel(name, scene):
                    self._turnParallel(name, scene)
                self._node(name).JumpSliceByOffsetting(*scene.centre(self._workspace.current))
        finally:
            self._following = False
        self._showLabelsHereOnly(scene)
        self.caption.forget()
        self._onMoved(SLICE)
        self.redraw()

    def _setVolume(self, name, scene):
        composite = self._widget(name).mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(scene.volume(self.modality(name)).GetID())
        # Other modules put volumes over the background of every view there is.
        composite.SetForegroundVolumeID(None)
        composite.SetForegroundOpacity(0)
        composite.SetLabelVolumeID(None)
        # Slicer brings whatever is loaded into every view that lets it, here under the labels of this case.
        composite.SetDoPropagateVolumeSelection(False)

    def _showLabelsHereOnly(self, scene):
        # The Segment Editor warns of oblique cases in straight views, also of hidden ones, where they might be shown.
        if scene.segmentation is not None:
            for name in (*PARALLEL, *ORTHOGONAL):
                scene.segmentation.GetDisplayNode().AddViewNodeID(self._node(name).GetID())

    def _letGo(self):
        """Views that show no case take what is loaded, and labels are shown in every view, as all of Slicer's are."""
        for name in (*PARALLEL, *ORTHOGONAL):
            self._widget(name).mrmlSliceCompositeNode().SetDoPropagateVolumeSelection(True)
        scene = self._workspace.scene
        if scene is not None and scene.segmentation is not None:
            scene.segmentation.GetDisplayNode().RemoveAllViewNodeIDs()

    def _ours(self, name, scene):
        """Whether a view shows a sequence of the case, and no other volume over it."""
        composite = self._widget(name).mrmlSliceCompositeNode()
        if composite.GetForegroundVolumeID() or composite.GetLabelVolumeID():
            return False
        return composite.GetBackgroundVolumeID() in {volume.GetID() for volume in self._volumes(scene).values()}

    def _onStudy(self):
        if self.active and self._workspace.scene.case is None:
            self._letGo()
        self.redraw()

    def _turn(self, scene):
        """Turn and fit every view to a case that was not shown before, or to how the reader left it."""
        plane = self._workspace.study.record.plane
        for name, orientation in zip(ORTHOGONAL, ORIENTATIONS[plane][1:], strict=True):
            self._node(name).SetOrientation(orientation)
            self._node(name).RotateToVolumePlane(scene.volume())
            self._widget(name).fitSliceToBackground()
        look = self._looks.of(self._workspace.path, scene.case)
        for name in PARALLEL:
            self._turnParallel(name, scene)
        # After all are turned: fitting a view fits those that are linked with it.
        for name in PARALLEL:
            self._restoreZoom(name, look)
        looks.setWindows(self._volumes(scene), look["windows"])

    def _turnParallel(self, name, scene):
        node = self._node(name)
        node.SetOrientation(ORIENTATIONS[self._workspace.study.record.plane][0])
        matrix = vtk.vtkMatrix4x4()
        scene.volume().GetIJKToRASMatrix(matrix)
        # As `RotateToVolumePlane`, but across the axis that the slices are counted on, also where another is as near.
        node.RotateToAxes(matrix, 2 - scene.frame.axis)
        self._widget(name).fitSliceToBackground()

    def _restoreZoom(self, name, look):
        zoom = look["zoom"].get(name, {}).get(self.modality(name))
        if zoom is not None:
            looks.setZoom(self._node(name), zoom)

    def modality(self, name):
        """The sequence that a view shows: the reference, except beside the suggested slice, where there is a choice."""
        modalities = self._workspace.scene.modalities
        if name == OTHER and len(modalities) > 1:
            return modalities[1 + self._sequence % (len(modalities) - 1)]
        return modalities[0]

    def cycleSequence(self):
        """Show the next sequence in the view beside the suggested slice."""
        scene = self._ready()
        if scene is None:
            return
        self.rememberLook()
        self._sequence += 1
        self._setVolume(OTHER, scene)
        self._restoreZoom(OTHER, self._looks.of(self._workspace.path, scene.case))
        self.redraw()

    def returnToSuggested(self):
        """Scroll, and if need be turn, back to the open slice, with every structure; a case that lacks nodes is loaded again."""
        self.showSlice()
        if self.hidden():
            segments.showSegments(self._workspace.scene.segmentation)
        # Of a case that could not be loaded, nothing is there; the one before still is.
        if not self._workspace.scene.whole or self._ready() is None:
            self._workspace.scene.restore()

    def redraw(self):
        """What the frames say may have changed."""
        self.caption.forget()
        for overlay in self._overlays.values():
            overlay.update()

    # Where the views are

    @property
    def visible(self):
        """Whether a view along the slices is on the screen."""
        return self.active and any(self._node(name).IsViewVisibleInLayout() for name in PARALLEL)

    def hidden(self, name=SLICE):
        """Names of the case's structures that a view does not draw, whatever hides them."""
        scene = self._ready()
        if scene is None or scene.segmentation is None:
            return []
        return segments.hiddenSegments(scene.segmentation, scene.schema, self._node(name).GetID())

    def shownSlice(self):
        """The native slice that the large view shows now, None when it shows no slice of the case."""
        return self._shownIn(SLICE)

    def _plane(self, scene):
        """Centre of the first slice, and the step from slice to slice, RAS millimetres."""
        first, second = (np.asarray(scene.centre(SliceRef(scene.case, scene.frame.axis, index))) for index in (0, 1))
        return first, second - first

    def _parallel(self, name, scene):
        _first, step = self._plane(scene)
        normal = slicer.util.arrayFromVTKMatrix(self._node(name).GetSliceToRAS())[:3, 2]
        return abs(normal @ step) > STRAIGHT * np.linalg.norm(step)

    def _shownIn(self, name):
        scene = self._workspace.scene
        if not self.active or scene is None or scene.case is None or scene.volume() is None:
            return None
        if not self._ours(name, scene) or not self._parallel(name, scene):
            return None
        first, step = self._plane(scene)
        place = slicer.util.arrayFromVTKMatrix(self._node(name).GetSliceToRAS())[:3, 3]
        index = round(float((place - first) @ step / (step @ step)))
        return SliceRef(scene.case, scene.frame.axis, index) if 0 <= index < scene.frame.count else None

    @staticmethod
    def _volumes(scene):
        return {modality: scene.volume(modality) for modality in scene.modalities}

    def _onMoved(self, name):
        """The other parallel view follows; Slicer's own linking does not see moves by programs, and may be off."""
        if self._following or self._ready() is None:
            return
        shown = self._shownIn(name)
        if shown is None:
            return
        other = OTHER if name == SLICE else SLICE
        if self._shownIn(other) not in (shown, None):
            self._following = True
            try:
                self._node(other).JumpSliceByOffsetting(*self._workspace.scene.centre(shown))
            finally:
                self._following = False
        here = self._shownIn(SLICE)
        if here != self._at:
            self._at = here
            self.moved()

    def _onRendered(self, name):
        """What is on the screen now can be seen; also what was scrolled to: a range is accepted only where somebody looked."""
        here = self._shownIn(name) if self._ready() is not None else None
        if here is None:
            return
        hidden = bool(self.hidden(name))
        changed = name == SLICE and hidden != self._hiding
        if changed:
            self._hiding = hidden
        fresh = here not in self.displayed and not hidden and self._node(name).IsViewVisibleInLayout()
        if fresh:
            self.displayed.add(here)
        if fresh or changed:
            self.moved()

    # Frames

    def _describeSlice(self):
        return self.caption.of(self._shownIn(SLICE)) if self._ready() is not None else None

    def _describeOther(self):
        what = self.caption.of(self._shownIn(OTHER)) if self._ready() is not None else None
        return None if what is None else (self.modality(OTHER), *what[1:])

    # Memory

    def rememberLook(self):
        """Keep zoom, window and level of the case that is shown."""
        scene = self._workspace.scene
        if not self.active or scene is None or scene.case is None or self._fitted != scene.case or scene.volume() is None:
            return
        path = self._workspace.path
        before = self._looks.of(path, scene.case)
        zoom = {name: dict(kept) for name, kept in before["zoom"].items()}
        for name in PARALLEL:
            zoom.setdefault(name, {})[self.modality(name)] = looks.zoomOf(self._node(name))
        self._looks.keep(path, scene.case, {"zoom": zoom, "windows": before["windows"] | looks.windowsOf(self._volumes(scene))})

    def forget(self):
        """The scene is closing: the case has to be fitted again."""
        self._fitted = self._at = None
        self.redraw()

    def cleanup(self):
        """Leave, and stop following."""
        self.exit()
        for signal, call in self._followed:
            signal.disconnect(call)
