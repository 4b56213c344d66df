"""`qMRMLSliceView`: the real displayable managers and interactor style in an off-screen window."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from .base import observe
from .render_area import RenderArea

_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager", "vtkMRMLModelSliceDisplayableManager", "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager", "vtkMRMLRulerDisplayableManager", "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager", "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)  # fmt: skip


class qMRMLSliceView(RenderArea):
    """Libs/MRML/Widgets/qMRMLSliceView.h"""

    def __init__(self, parent: Any = None) -> None:
        window = vtk.vtkRenderWindow()
        self._renderer, self._overlay = vtk.vtkRenderer(), vtk.vtkRenderer()
        for renderer in (self._renderer, self._overlay):
            renderer.GetActiveCamera().ParallelProjectionOn()
        window.SetNumberOfLayers(2)
        window.SetAlphaBitPlanes(1)
        window.AddRenderer(self._renderer)
        self._overlay.SetLayer(1)
        window.AddRenderer(self._overlay)
        interactor = vtk.vtkRenderWindowInteractor()
        interactor.SetRenderWindow(window)
        super().__init__(window, parent)
        interactor.Initialize()
        interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor = interactor
        self._scene: Any = None
        self._connection: Any = None
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        # In Slicer CTK's light box draws the slice's image; it is not wrapped.
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._image_actor = vtk.vtkActor2D()
        self._image_actor.SetMapper(mapper)
        self._image_actor.GetProperty().SetDisplayLocationToBackground()
        self._image_actor.SetVisibility(False)
        # Before the displayable managers add theirs, as the light box does: of actors in the background the later one covers the earlier.
        self._renderer.AddViewProp(self._image_actor)
        self._corners, self._overlay_corners = vtk.vtkCornerAnnotation(), vtk.vtkCornerAnnotation()
        self._renderer.AddViewProp(self._corners)
        self._overlay.AddViewProp(self._overlay_corners)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        self._group.Initialize(factory, self._renderer)
        observe(self, self._group, "UpdateEvent", self.scheduleRender)
        self._style.SetDisplayableManagers(self._group)

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    def interactorStyle(self) -> Any:
        return self._interactor.GetInteractorStyle()

    def interactorObserver(self) -> Any:
        return self._style

    def sliceViewInteractorStyle(self) -> Any:
        return self._style

    def cornerAnnotation(self) -> Any:
        return self._corners

    def overlayCornerAnnotation(self) -> Any:
        return self._overlay_corners

    def overlayRenderer(self) -> Any:
        return self._overlay

    def addDisplayableManager(self, name: str) -> None:
        manager = slicer.vtkMRMLDisplayableManagerGroup.InstantiateDisplayableManager(name)
        self._group.AddDisplayableManager(manager)

    def getDisplayableManagers(self, collection: Any) -> None:
        for index in range(self._group.GetDisplayableManagerCount()):
            collection.AddItem(self._group.GetNthDisplayableManager(index))

    def displayableManagerByClassName(self, name: str) -> Any:
        return self._group.GetDisplayableManagerByClassName(name)

    def convertDeviceToXYZ(self, xy: Any) -> list[float]:
        height = self._window.GetSize()[1]
        return [float(xy[0]), float(height - 1 - xy[1]), 0.0]

    def convertRASToXYZ(self, ras: Any) -> list[float]:
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self._group.GetMRMLDisplayableNode().GetXYToRAS(), matrix)
        return list(matrix.MultiplyPoint((*ras, 1.0))[:3])

    def convertXYZToRAS(self, xyz: Any) -> list[float]:
        return list(self._group.GetMRMLDisplayableNode().GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3])

    def setViewCursor(self, cursor: Any) -> None:
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        self.unsetCursor()

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self.setCursor(cursor)

    # For the slice widget

    def _show(self, node: Any, logic: Any) -> None:
        self._logic = logic
        self._group.SetMRMLDisplayableNode(node)
        self._style.SetSliceLogic(logic)
        self._style.SetInteractor(self._interactor)

    def _connect_image(self, connection: Any) -> None:
        if connection is self._connection:
            return
        self._connection = connection
        self._image_actor.GetMapper().SetInputConnection(connection)
        self._image_actor.SetVisibility(connection is not None)
        self.scheduleRender()

    def _resized(self, width: int, height: int) -> None:
        if getattr(self, "_logic", None) is not None:
            self._logic.ResizeSliceNode(width, height)
