"""`qSlicerLayoutManager`: lays the views out as the XML of the real layout node says; the real logic makes the view nodes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .base import observe
from .plot_widget import qMRMLPlotWidget
from .slice_widget import qMRMLSliceWidget
from .threed_widget import qMRMLThreeDWidget

SPACING = 1


class qSlicerLayoutManager(QtCore.QObject):
    """Libs/MRML/Widgets/qMRMLLayoutManager.h and Base/QTGUI/qSlicerLayoutManager.h

    Args:
        application: `slicer.app` (anything with `mrmlScene()` and `applicationLogic()`).
    """

    layoutChanged = QtCore.Signal(int)

    def __init__(self, application: Any) -> None:
        super().__init__()
        if hasattr(application, "mrmlScene"):
            self._scene, self._application_logic = application.mrmlScene(), application.applicationLogic()
        else:
            self._scene, self._application_logic = application.scene, application.app_logic
        self._views: dict[str, dict[Any, QtWidgets.QWidget]] = {name: {} for name in _CLASSES}
        self._slice_logics, self._view_logics = vtk.vtkCollection(), vtk.vtkCollection()
        self._application_logic.SetSliceLogics(self._slice_logics)
        self._application_logic.SetViewLogics(self._view_logics)
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self._application_logic)
        self._viewport = QtWidgets.QWidget()
        self._viewport.setObjectName("CentralWidgetLayoutFrame")
        box = QtWidgets.QVBoxLayout(self._viewport)
        box.setContentsMargins(0, 0, 0, 0)
        self._box, self._content = box, None
        self._enabled, self._pauses = True, 0
        self._splits: list[tuple[Any, list[int]]] = []
        self._scene.AddObserver(self._scene.NodeAddedEvent, self._node_added)
        self._scene.AddObserver(self._scene.NodeRemovedEvent, self._node_removed)
        observe(self, self._scene, self._scene.EndBatchProcessEvent, self._make_missing)
        observe(self, self._scene, self._scene.StartCloseEvent, self._clear)
        observe(self, self._scene, self._scene.EndCloseEvent, self._closed)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(self._application_logic)
        self._logic.SetMRMLScene(self._scene)
        self._make_missing()
        self._layout_node = self._logic.GetLayoutNode()
        observe(self, self._layout_node, "ModifiedEvent", self._update)
        self._update()

    # What scripts may call

    def viewport(self) -> QtWidgets.QWidget:
        return self._viewport

    def mrmlScene(self) -> Any:
        return self._scene

    def layoutLogic(self) -> Any:
        return self._logic

    def setLayout(self, identifier: int) -> None:
        node = self._logic.GetLayoutNode()
        if node.GetViewArrangement() == identifier:
            return
        node.RemoveAllMaximizedViewNodes()
        node.SetViewArrangement(identifier if node.IsLayoutDescription(identifier) else node.SlicerLayoutConventionalView)

    def _get_layout(self) -> int:
        return int(self._logic.GetLayoutNode().GetViewArrangement())

    layout = QtCore.Property(int, _get_layout, setLayout)

    def _get_enabled(self) -> bool:
        return self._enabled

    def setEnabled(self, on: bool) -> None:
        self._enabled = on
        if on:
            self._update()

    enabled = QtCore.Property(bool, _get_enabled, setEnabled)

    def sliceViewNames(self) -> tuple[str, ...]:
        """Of every slice node there is, laid out or not."""
        return tuple(node.GetName() for node in self._views["vtkMRMLSliceNode"])

    def sliceWidget(self, name: str) -> Any:
        return self._named("vtkMRMLSliceNode", name)

    def threeDWidget(self, which: int | str) -> Any:
        return self._named("vtkMRMLViewNode", which) if isinstance(which, str) else self._nth("vtkMRMLViewNode", which)

    def plotWidget(self, index: int) -> Any:
        return self._nth("vtkMRMLPlotViewNode", index)

    def viewWidget(self, node: Any) -> Any:
        for views in self._views.values():
            if node in views:
                return views[node]
        return None

    def viewWidgets(self) -> list[Any]:
        return [widget for views in self._views.values() for widget in views.values()]

    threeDViewCount = QtCore.Property(int, lambda self: len(self._views["vtkMRMLViewNode"]))
    plotViewCount = QtCore.Property(int, lambda self: len(self._views["vtkMRMLPlotViewNode"]))
    tableViewCount = QtCore.Property(int, lambda self: 0)

    def mrmlSliceLogics(self) -> Any:
        return self._slice_logics

    def mrmlViewLogics(self) -> Any:
        return self._view_logics

    def addMaximizedViewNode(self, node: Any) -> None:
        self._logic.GetLayoutNode().AddMaximizedViewNode(node)

    def removeMaximizedViewNode(self, node: Any) -> None:
        self._logic.GetLayoutNode().RemoveMaximizedViewNode(node)

    def removeAllMaximizedViewNodes(self) -> None:
        self._logic.GetLayoutNode().RemoveAllMaximizedViewNodes()

    def resetSliceViews(self) -> None:
        for widget in self._views["vtkMRMLSliceNode"].values():
            widget.sliceController().fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for widget in self._views["vtkMRMLViewNode"].values():
            widget.threeDView().resetFocalPoint()

    def setRenderPaused(self, pause: bool) -> None:
        self.pauseRender() if pause else self.resumeRender()

    def pauseRender(self) -> None:
        self._pauses += 1
        for widget in self.viewWidgets():
            widget.pauseRender()

    def resumeRender(self) -> None:
        if self._pauses:
            self._pauses -= 1
            for widget in self.viewWidgets():
                widget.resumeRender()

    # View nodes and their widgets

    def _named(self, kind: str, name: str) -> Any:
        return next((widget for node, widget in self._views[kind].items() if node.GetName() == name), None)

    def _nth(self, kind: str, index: int) -> Any:
        widgets = list(self._views[kind].values())
        return widgets[index] if 0 <= index < len(widgets) else None

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, _scene: Any, _event: str, node: Any) -> None:
        if not self._scene.IsBatchProcessing():
            self._make(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_removed(self, _scene: Any, _event: str, node: Any) -> None:
        for views in self._views.values():
            widget = views.pop(node, None)
            if widget is None:
                continue
            if isinstance(widget, qMRMLSliceWidget):
                self._slice_logics.RemoveItem(widget.sliceLogic())
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()

    def _make_missing(self) -> None:
        for index in range(self._scene.GetNumberOfNodes()):
            self._make(self._scene.GetNthNode(index))

    def _make(self, node: Any) -> None:
        """Every view node has its widget from the start, hidden until it is laid out."""
        if not isinstance(node, slicer.vtkMRMLAbstractViewNode) or node.GetParentLayoutNode() is not None:
            return
        kind = next((name for name in _CLASSES if node.IsA(name)), None)
        if kind is None or node in self._views[kind]:
            return
        widget = _CLASSES[kind](self, node)
        for _ in range(self._pauses):
            widget.pauseRender()
        widget.hide()
        self._views[kind][node] = widget
        observe(widget, node, "ModifiedEvent", lambda: widget.setVisible(bool(node.IsViewVisibleInLayout())))

    def _make_slice(self, node: Any) -> qMRMLSliceWidget:
        widget = qMRMLSliceWidget(self._viewport)
        logic = widget.sliceLogic()
        logic.SetMRMLApplicationLogic(self._application_logic)
        self._slice_logics.AddItem(logic)
        logic.SetDisplayableManagerGroup(widget.sliceView()._group)
        widget.setObjectName(f"qMRMLSliceWidget{node.GetLayoutName()}")
        widget.setMRMLSliceNode(node)
        widget.setMRMLScene(self._scene)
        return widget

    def _make_plot(self, node: Any) -> qMRMLPlotWidget:
        widget = qMRMLPlotWidget(self._viewport)
        widget.setObjectName(f"qMRMLPlotWidget{node.GetLayoutName()}")
        widget.setMRMLScene(self._scene)
        widget.setMRMLPlotViewNode(node)
        return widget

    def _make_three_d(self, node: Any) -> qMRMLThreeDWidget:
        widget = qMRMLThreeDWidget(self._viewport)
        widget.setObjectName(f"ThreeDWidget{node.GetLayoutName()}")
        widget.setMRMLScene(self._scene)
        widget.setMRMLViewNode(node)
        return widget

    # Laying out

    def _closed(self) -> None:
        if not self._scene.IsBatchProcessing():
            self._make_missing()
            self._update()

    def _clear(self) -> None:
        for views in self._views.values():
            for node, widget in views.items():
                widget.hide()
                widget.setParent(self._viewport)
                node.SetMappedInLayout(0)
        if self._content is not None:
            self._content.hide()
            self._content.deleteLater()
            self._content = None

    def _update(self) -> None:
        if not self._enabled or self._scene.IsBatchProcessing() or self._scene.IsClosing():
            return
        node = self._logic.GetLayoutNode()
        identifier = node.GetViewArrangement()
        if identifier == node.SlicerLayoutCustomView:
            return
        text = node.GetCurrentLayoutDescription()
        for index in range(node.GetNumberOfMaximizedViewNodes()):
            text = self._logic.GetMaximizedViewLayoutDescription(node.GetMaximizedViewNode(index), text)
        self._viewport.setUpdatesEnabled(False)
        try:
            self._clear()
            if text:
                self._splits = []
                self._content = self._build(ElementTree.fromstring(text))
                self._box.addWidget(self._content)
                self._content.show()
                self._box.activate()
                # From the outside in: a splitter shares out only what it has by then.
                for splitter, sizes in reversed(self._splits):
                    splitter.setSizes(sizes)
        finally:
            self._viewport.setUpdatesEnabled(True)
        self.layoutChanged.emit(identifier)

    def _build(self, element: Any) -> QtWidgets.QWidget:
        if element.tag == "view":
            return self._place(element)
        if element.tag == "viewports":
            return self._build(element[0])
        kind = element.get("type", "horizontal")
        if kind == "tab":
            tabs = QtWidgets.QTabWidget()
            for item in element.findall("item"):
                tabs.addTab(self._build(item[0]), item.get("name", ""))
            return tabs
        if kind == "grid":
            return self._grid(element)
        vertical = kind == "vertical"
        if element.get("split", "true") != "true":
            frame = QtWidgets.QWidget()
            row = QtWidgets.QVBoxLayout(frame) if vertical else QtWidgets.QHBoxLayout(frame)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(SPACING)
            for item in element.findall("item"):
                row.addWidget(self._build(item[0]))
            return frame
        splitter = QtWidgets.QSplitter(QtCore.Qt.Vertical if vertical else QtCore.Qt.Horizontal)
        splitter.setHandleWidth(SPACING)
        sizes = []
        for item in element.findall("item"):
            splitter.addWidget(self._build(item[0]))
            sizes.append(int(item.get("splitSize", "0")))
        sizes = sizes if any(sizes) else [1000] * len(sizes)
        for place, size in enumerate(sizes):
            splitter.setStretchFactor(place, size)
        self._splits.append((splitter, sizes))
        return splitter

    def _grid(self, element: Any) -> QtWidgets.QWidget:
        frame = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(frame)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACING)
        for item in element.findall("item"):
            row, column, rows, columns = (int(item.get(name, default)) for name, default in _CELL)
            grid.addWidget(self._build(item[0]), row, column, rows, columns)
        return frame

    def _place(self, element: Any) -> QtWidgets.QWidget:
        node = self._scene.GetSingletonNode(element.get("singletontag"), element.get("class"))
        widget = self.viewWidget(node) if node is not None else None
        if widget is None:
            label = QtWidgets.QLabel(f"{element.get('class')} is not drawn by the host")
            label.setAlignment(QtCore.Qt.AlignCenter)
            return label
        node.SetMappedInLayout(1)
        widget.setVisible(bool(node.IsViewVisibleInLayout()))
        return widget


_CELL = (("row", "0"), ("column", "0"), ("rowspan", "1"), ("colspan", "1"))
_CLASSES = {
    "vtkMRMLSliceNode": qSlicerLayoutManager._make_slice,
    "vtkMRMLPlotViewNode": qSlicerLayoutManager._make_plot,
    "vtkMRMLViewNode": qSlicerLayoutManager._make_three_d,
}
