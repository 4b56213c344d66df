"""The plot view of the host: VTK's chart, clicked, with what Slicer makes of it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

FIRST = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5], [3.0, 2.0]])
SECOND = np.array([[0.5, 1.0], [1.5, 1.5], [2.5, 0.25]])


class Plot:
    """A scatter plot of two series in a plot widget of its own."""

    def __init__(self, host):
        import slicer

        self.host, scene = host, slicer.mrmlScene
        self.node = scene.AddNewNodeByClass("vtkMRMLPlotViewNode")
        self.node.SetLayoutName("HostPlotTest")
        self.chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", "chart")
        self.series = [self.add(scene, name, data) for name, data in (("first", FIRST), ("second", SECOND))]
        self.widget = slicer.qMRMLPlotWidget()
        self.widget.setMRMLScene(scene)
        self.widget.setMRMLPlotViewNode(self.node)
        self.node.SetPlotChartNodeID(self.chart.GetID())
        host.panel.setWidget(self.widget)
        self.widget.show()
        host.pump(0.1)
        self.view, self.seen = self.widget.plotView(), []
        assert self.view.connect("dataSelected(vtkStringArray*, vtkCollection*)", self.selected)

    def add(self, scene, name, data):
        from vtk.util.numpy_support import numpy_to_vtk

        table = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        for column, label in enumerate("xy"):
            values = numpy_to_vtk(np.ascontiguousarray(data[:, column]), deep=1)
            values.SetName(label)
            table.AddColumn(values)
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetLineStyle(series.LineStyleNone)
        series.SetMarkerStyle(series.MarkerStyleCircle)
        series.SetColor(0.0, 0.45, 0.7)
        self.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return series

    def selected(self, ids, collection):
        import slicer

        names = [slicer.mrmlScene.GetNodeByID(ids.GetValue(i)).GetName() for i in range(ids.GetNumberOfValues())]
        rows = [collection.GetItemAsObject(i) for i in range(collection.GetNumberOfItems())]
        self.seen.append({name: [row.GetValue(j) for j in range(row.GetNumberOfValues())] for name, row in zip(names, rows, strict=True)})

    def click(self, x, y):
        self.seen.clear()
        self.host.clickPlot(self.widget, x, y)
        return list(self.seen)


@pytest.fixture
def plot(booted):
    made = Plot(booted)
    yield made
    booted.panel.takeWidget()


def test_a_click_tells_twice_first_of_the_old_then_of_the_new(plot):
    assert plot.click(*FIRST[2]) == [{}, {"first": [2]}]
    assert plot.click(*FIRST[1]) == [{"first": [2]}, {"first": [1]}]


def test_selections_of_other_series_are_told_again_until_they_are_removed(plot):
    plot.click(*FIRST[2])
    assert plot.click(*SECOND[0])[-1] == {"first": [2], "second": [0]}
    plot.view.RemovePlotSelections()
    assert plot.click(*SECOND[1]) == [{}, {"second": [1]}]


def test_a_click_on_nothing_selects_nothing(plot):
    assert all(told == {} for told in plot.click(2.0, 1.8))


def test_only_points_within_a_few_pixels_are_found(plot):
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    place = plot.view._place_of(*FIRST[1])
    for distance, found in ((3, True), (9, False)):
        plot.seen.clear()
        plot.view.RemovePlotSelections()
        plot.seen.clear()
        QTest.mouseClick(plot.view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place + QtCore.QPoint(distance, 0))
        assert any(told.get("first") == [1] for told in plot.seen) is found


def test_the_chart_shows_what_the_nodes_say(plot):
    import vtk
    import vtkmodules.vtkChartsCore  # noqa: F401

    chart, node = plot.view.chart(), plot.chart
    assert chart.GetNumberOfPlots() == 2
    drawn = chart.GetPlot(0)
    assert drawn.GetPen().GetLineType() == vtk.vtkPen.NO_PEN
    assert drawn.GetMarkerStyle() == vtk.vtkPlotPoints.CIRCLE
    colour = [0.0] * 3
    drawn.GetColorF(colour)
    assert colour == pytest.approx([0.0, 0.45, 0.7], abs=0.01)
    node.SetXAxisTitle("latent 1")
    node.SetYAxisRangeAuto(False)
    node.SetYAxisRange(-1.0, 5.0)
    node.SetTitle("map")
    node.SetAxisLabelFontSize(9)
    node.SetLegendVisibility(False)
    bounds = [0.0, 0.0]
    chart.GetAxis(vtk.vtkAxis.LEFT).GetUnscaledRange(bounds)
    assert bounds == [-1.0, 5.0]
    assert chart.GetAxis(vtk.vtkAxis.BOTTOM).GetTitle() == "latent 1"
    assert chart.GetTitle() == "map"
    assert chart.GetAxis(vtk.vtkAxis.BOTTOM).GetLabelProperties().GetFontSize() == 9
    assert not chart.GetShowLegend()
    node.RemoveNthPlotSeriesNodeID(0)
    assert [chart.GetPlot(i).GetLabel() for i in range(chart.GetNumberOfPlots())] == ["second"]


def test_without_line_style_none_the_points_are_joined(plot):
    import vtk
    import vtkmodules.vtkChartsCore  # noqa: F401

    plot.series[0].SetLineStyle(plot.series[0].LineStyleSolid)
    assert plot.view.chart().GetPlot(0).GetPen().GetLineType() == vtk.vtkPen.SOLID_LINE


def test_the_chart_has_no_methods_of_its_own_before_vtks_module_of_charts_is_imported(plot, monkeypatch):
    import vtkmodules.vtkChartsCore  # noqa: F401

    monkeypatch.delitem(sys.modules, "vtkmodules.vtkChartsCore")
    with pytest.raises(AttributeError):
        plot.view.chart().GetLegend()


def test_there_is_no_setter_for_the_chart_node(plot):
    with pytest.raises(AttributeError):
        plot.widget.setMRMLPlotChartNode(plot.chart)
    with pytest.raises(AttributeError):
        plot.view.select(3)


def test_moving_points_edits_the_table(plot):
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    plot.node.SetInteractionMode(plot.node.InteractionModeMovePoints)
    start = plot.view._place_of(*FIRST[1])
    QTest.mousePress(plot.view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, start)
    for step in range(1, 5):
        QTest.mouseMove(plot.view, start + QtCore.QPoint(0, 10 * step))
    QTest.mouseRelease(plot.view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, start + QtCore.QPoint(0, 40))
    moved = plot.series[0].GetTableNode().GetTable().GetValueByName(1, "y").ToDouble()
    assert moved < FIRST[1][1]
