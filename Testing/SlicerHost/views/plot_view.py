"""`qMRMLPlotView`: a real vtkChartXY kept up to date with the MRML chart, clicked through VTK's own event handling."""

from __future__ import annotations

import math
import sys
from typing import Any

import slicer
import vtk
from PySide6 import QtCore

from .base import observe, sizeOf
from .render_area import RenderArea

_PEN = {
    "LineStyleNone": vtk.vtkPen.NO_PEN, "LineStyleSolid": vtk.vtkPen.SOLID_LINE, "LineStyleDash": vtk.vtkPen.DASH_LINE,
    "LineStyleDot": vtk.vtkPen.DOT_LINE, "LineStyleDashDot": vtk.vtkPen.DASH_DOT_LINE, "LineStyleDashDotDot": vtk.vtkPen.DASH_DOT_DOT_LINE,
}  # fmt: skip
_MARKER = {
    "MarkerStyleNone": vtk.vtkPlotPoints.NONE,
    "MarkerStyleCross": vtk.vtkPlotPoints.CROSS,
    "MarkerStylePlus": vtk.vtkPlotPoints.PLUS,
    "MarkerStyleSquare": vtk.vtkPlotPoints.SQUARE,
    "MarkerStyleCircle": vtk.vtkPlotPoints.CIRCLE,
    "MarkerStyleDiamond": vtk.vtkPlotPoints.DIAMOND,
}
CHARTS = "vtkmodules.vtkChartsCore"
_LEFT, _MIDDLE, _RIGHT = vtk.vtkContextMouseEvent.LEFT_BUTTON, vtk.vtkContextMouseEvent.MIDDLE_BUTTON, vtk.vtkContextMouseEvent.RIGHT_BUTTON


class qMRMLPlotView(RenderArea):
    """Libs/MRML/Widgets/qMRMLPlotView.h; ctkVTKChartView and QVTKOpenGLNativeWidget below it show scripts no `renderWindow()`."""

    mrmlSceneChanged = QtCore.Signal(object)
    dataSelected = QtCore.Signal(object, object)
    CPP_SIGNALS = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
        "dataSelected(vtkStringArray*,vtkCollection*)": "dataSelected",
    }

    def __init__(self, parent: Any = None) -> None:
        self._context = vtk.vtkContextView()
        window = self._context.GetRenderWindow()
        super().__init__(window, parent)
        interactor, style = vtk.vtkRenderWindowInteractor(), vtk.vtkContextInteractorStyle()
        interactor.SetRenderWindow(window)
        style.SetScene(self._context.GetScene())
        interactor.SetInteractorStyle(style)
        interactor.Initialize()
        self._interactor, self._style = interactor, style
        self._context.GetScene().SetRenderer(self._context.GetRenderer())
        self._chart = vtk.vtkChartXY()
        self._chart.GetBackgroundBrush().SetColor(255, 253, 246, 255)
        self._context.GetScene().AddItem(self._chart)
        observe(self, self._chart, "SelectionChangedEvent", self._emit_selection)
        observe(self, self._chart, "InteractionEvent", self._take_range)
        self._scene = self._node = self._chart_node = None
        self._series: dict[Any, str] = {}
        self._tags: list[tuple[Any, int]] = []
        self._chart_tag: tuple[Any, int] | None = None
        self._updating = False

    # What scripts may call

    def chart(self) -> Any:
        """Without methods of its own until somebody imported VTK's module of charts, which Slicer does when Python first names it."""
        return self._chart if CHARTS in sys.modules else vtk.vtkObject()

    def scene(self) -> Any:
        return self._context.GetScene()

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        if scene is not None:
            observe(self, scene, scene.EndBatchProcessEvent, self._chart_node_changed)
        self._chart_node_changed()
        if self._node is not None and self._node.GetScene() is not scene:
            self.setMRMLPlotViewNode(None)
        self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        if node is self._node:
            return
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags, self._node = [], node
        if node is not None:
            self._tags = [
                (node, observe(self, node, node.PlotChartNodeChangedEvent, self._chart_node_changed)),
                (node, observe(self, node, "ModifiedEvent", self._update_from_mrml)),
            ]
        self._chart_node_changed()

    def fitToContent(self) -> None:
        """Also axes with a fixed range are fitted, and the chart node gets the new ranges."""
        bounds = [math.inf, -math.inf, math.inf, -math.inf]
        for index in range(self._chart.GetNumberOfPlots()):
            found = [0.0] * 4
            self._chart.GetPlot(index).GetUnscaledInputBounds(found)
            if found[1] >= found[0]:
                bounds = [min(bounds[0], found[0]), max(bounds[1], found[1]), min(bounds[2], found[2]), max(bounds[3], found[3])]
        if bounds[0] <= bounds[1]:
            for axis, low, high in ((vtk.vtkAxis.BOTTOM, *bounds[:2]), (vtk.vtkAxis.LEFT, *bounds[2:])):
                self._chart.GetAxis(axis).SetUnscaledRange(low, high)
                self._chart.GetAxis(axis).AutoScale()
        self._take_range()
        self.scheduleRender()

    def RemovePlotSelections(self) -> None:
        self._chart.RemovePlotSelections()
        self.scheduleRender()

    # From MRML

    def _chart_node_changed(self) -> None:
        if self._chart_tag is not None:
            self._chart_tag[0].RemoveObserver(self._chart_tag[1])
            self._chart_tag = None
        node = None
        if self._scene is not None and self._node is not None and self._node.GetPlotChartNodeID():
            node = self._scene.GetNodeByID(self._node.GetPlotChartNodeID())
        self._chart_node = node
        if node is not None:
            self._chart_tag = (node, observe(self, node, "ModifiedEvent", self._update_from_mrml))
        self._update_from_mrml()

    def _update_from_mrml(self) -> None:
        if self._scene is None or self._node is None or self._updating or self._scene.IsBatchProcessing():
            return
        self._updating = True
        try:
            self._set_actions()
            self._set_plots()
            if self._chart_node is not None:
                self._set_texts(self._chart_node)
                self._set_axes(self._chart_node)
        finally:
            self._updating = False
        self._context.GetScene().SetDirty(True)
        self.scheduleRender()

    def _set_actions(self) -> None:
        chart, mode, kinds = self._chart, self._node.GetInteractionMode(), slicer.vtkMRMLPlotViewNode
        moving = mode == kinds.InteractionModeMovePoints
        chart.SetClickActionToButton(vtk.vtkChart.SELECT, vtk.vtkContextMouseEvent.NO_BUTTON if moving else _LEFT)
        left = {
            kinds.InteractionModePanView: vtk.vtkChart.PAN,
            kinds.InteractionModeSelectPoints: vtk.vtkChart.SELECT,
            kinds.InteractionModeFreehandSelectPoints: vtk.vtkChart.SELECT_POLYGON,
            kinds.InteractionModeMovePoints: vtk.vtkChart.CLICK_AND_DRAG,
        }[mode]
        chart.SetActionToButton(left, _LEFT)
        chart.SetActionToButton(vtk.vtkChart.ZOOM if mode == kinds.InteractionModePanView else vtk.vtkChart.PAN, _MIDDLE)
        chart.SetActionToButton(vtk.vtkChart.ZOOM_AXIS, _RIGHT)
        for along, name in ((chart.SetDragPointAlongX, "GetEnablePointMoveAlongX"), (chart.SetDragPointAlongY, "GetEnablePointMoveAlongY")):
            along(bool(self._chart_node is not None and getattr(self._node, name)() and getattr(self._chart_node, name)()))

    def _set_plots(self) -> None:
        wanted: list[str] = []
        if self._chart_node is not None:
            wanted = [self._chart_node.GetNthPlotSeriesNodeID(i) for i in range(self._chart_node.GetNumberOfPlotSeriesNodes())]
        kept: set[str] = set()
        for index in reversed(range(self._chart.GetNumberOfPlots())):
            plot = self._chart.GetPlot(index)
            identifier = self._series.get(plot, "")
            series = self._scene.GetNodeByID(identifier) if identifier in wanted else None
            if series is not None and _fill(series, plot) is plot:
                kept.add(identifier)
                continue
            # VTK cannot add a plot again that was removed from corner 0.
            self._chart.SetPlotCorner(plot, 1)
            self._chart.RemovePlotInstance(plot)
            self._series.pop(plot, None)
        for identifier in wanted:
            series = self._scene.GetNodeByID(identifier) if identifier else None
            plot = _fill(series, None) if series is not None and identifier not in kept else None
            if plot is not None:
                self._series[plot] = identifier
                self._chart.AddPlot(plot)

    def _set_texts(self, node: Any) -> None:
        chart = self._chart
        family = chart.GetTitleProperties().GetFontFamilyFromString(node.GetFontType() or "Arial")
        chart.SetTitle((node.GetTitle() or "") if node.GetTitleVisibility() else "")
        chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
        chart.SetShowLegend(bool(node.GetLegendVisibility()))
        chart.GetLegend().GetLabelProperties().SetFontSize(node.GetLegendFontSize())
        for properties in (chart.GetTitleProperties(), chart.GetLegend().GetLabelProperties()):
            properties.SetFontFamily(family)

    def _set_axes(self, node: Any) -> None:
        family = self._chart.GetTitleProperties().GetFontFamily()
        for number in (vtk.vtkAxis.BOTTOM, vtk.vtkAxis.TOP, vtk.vtkAxis.LEFT, vtk.vtkAxis.RIGHT):
            axis = self._chart.GetAxis(number)
            letter = "X" if number in (vtk.vtkAxis.BOTTOM, vtk.vtkAxis.TOP) else "Y"

            def get(what: str, letter: str = letter) -> Any:
                return getattr(node, f"Get{letter}Axis{what}")()

            axis.SetTitle((get("Title") or "") if get("TitleVisibility") else "")
            axis.SetLogScale(bool(get("LogScale")))
            if get("RangeAuto"):
                axis.SetBehavior(vtk.vtkAxis.AUTO)
            else:
                axis.SetBehavior(vtk.vtkAxis.FIXED)
                axis.SetUnscaledRange(*get("Range"))
                axis.Update()
            axis.SetGridVisible(bool(node.GetGridVisibility()))
            axis.GetTitleProperties().SetBold(False)
            for properties, size in (
                (axis.GetTitleProperties(), node.GetAxisTitleFontSize()),
                (axis.GetLabelProperties(), node.GetAxisLabelFontSize()),
            ):
                properties.SetFontFamily(family)
                properties.SetFontSize(size)

    # To MRML and to scripts

    def _take_range(self) -> None:
        if self._chart_node is None or self._updating:
            return
        was = self._chart_node.StartModify()
        for axis, store in ((vtk.vtkAxis.BOTTOM, self._chart_node.SetXAxisRange), (vtk.vtkAxis.LEFT, self._chart_node.SetYAxisRange)):
            bounds = [0.0, 1.0]
            self._chart.GetAxis(axis).GetUnscaledRange(bounds)
            store(bounds)
        self._chart_node.EndModify(was)

    def _emit_selection(self) -> None:
        """What is selected now in every series: VTK says it before and after a click took effect, and keeps other series' selections."""
        if self._chart_node is None:
            return
        identifiers, selections = vtk.vtkStringArray(), vtk.vtkCollection()
        for index in range(self._chart.GetNumberOfPlots()):
            plot = self._chart.GetPlot(index)
            selection = plot.GetSelection()
            if selection is not None and selection.GetNumberOfValues() > 0:
                selections.AddItem(selection)
                identifiers.InsertNextValue(self._series[plot])
        self._context.GetScene().SetDirty(True)
        self.scheduleRender()
        self.dataSelected.emit(identifiers, selections)

    # The widget

    def _resized(self, width: int, height: int) -> None:
        self._context.GetScene().SetGeometry(width, height)
        self._context.GetScene().SetDirty(True)

    def keyPressEvent(self, event: Any) -> None:
        super().keyPressEvent(event)
        if event.key() == QtCore.Qt.Key_S and self._node is not None:
            self._node.SetInteractionMode((self._node.GetInteractionMode() + 1) % self._node.InteractionMode_Last)
        elif event.key() == QtCore.Qt.Key_R:
            self.fitToContent()
        elif event.key() == QtCore.Qt.Key_U:
            self.RemovePlotSelections()

    def _place_of(self, x: float, y: float) -> QtCore.QPoint:
        """Where a data point lies in the widget; for the hands of the tests."""
        self.forceRender()
        found = []
        for number, value, side in ((vtk.vtkAxis.BOTTOM, x, 0), (vtk.vtkAxis.LEFT, y, 1)):
            axis = self._chart.GetAxis(number)
            bounds = [0.0, 1.0]
            axis.GetUnscaledRange(bounds)
            part = (value - bounds[0]) / ((bounds[1] - bounds[0]) or 1.0)
            found.append(axis.GetPoint1()[side] + part * (axis.GetPoint2()[side] - axis.GetPoint1()[side]))
        return QtCore.QPoint(round(found[0]), round(sizeOf(self)[1] - 1 - found[1]))

    placeOf = _place_of


def _fill(series: Any, plot: Any) -> Any:
    """Give a plot the data and the look of a series node; another plot where the kind changed; None where data are missing."""
    table = series.GetTableNode().GetTable() if series.GetTableNode() is not None else None
    y_name, x_name = series.GetYColumnName() or "", series.GetXColumnName() or ""
    if table is None or not y_name or table.GetColumnByName(y_name) is None:
        return None
    x_column = table.GetColumnByName(x_name) if x_name else None
    needed = [table.GetColumnByName(y_name)]
    if series.IsXColumnRequired():
        if x_column is None:
            return None
        needed.append(x_column)
    if any(column.GetDataType() in (vtk.VTK_STRING, vtk.VTK_BIT) for column in needed):
        return None
    bar = series.GetPlotType() in (series.PlotTypeBar, series.PlotTypeScatterBar)
    kind = vtk.vtkPlotBar if bar else vtk.vtkPlotLine
    if plot is None or not plot.IsA(kind.__name__):
        plot = kind()
    plot.SetWidth(series.GetLineWidth())
    plot.SetColorF(*series.GetColor())
    plot.SetOpacity(series.GetOpacity())
    plot.GetPen().SetOpacityF(series.GetOpacity())
    pen = {getattr(series, name): value for name, value in _PEN.items()}
    plot.GetPen().SetLineType(vtk.vtkPen.SOLID_LINE if series.GetPlotType() == series.PlotTypeBar else pen[series.GetLineStyle()])
    if not bar:
        plot.SetMarkerSize(series.GetMarkerSize())
        plot.SetMarkerStyle({getattr(series, name): value for name, value in _MARKER.items()}[series.GetMarkerStyle()])
    labels = table.GetColumnByName(series.GetLabelColumnName()) if series.GetLabelColumnName() else None
    plot.SetIndexedLabels(labels if isinstance(labels, vtk.vtkStringArray) else None)
    plot.SetUseIndexForXSeries(not series.IsXColumnRequired())
    plot.SetInputData(table, x_name if series.IsXColumnRequired() else y_name, y_name)
    form = "%l = (%x, %y)" if series.IsXColumnRequired() else "%l = %y"
    plot.SetTooltipLabelFormat(f"{form} %i" if plot.GetIndexedLabels() is not None else form)
    plot.SetLabel(series.GetName() or y_name)
    return plot
