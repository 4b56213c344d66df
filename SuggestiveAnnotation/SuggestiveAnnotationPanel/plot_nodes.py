"""Tables, series and charts in the scene for the module's two plots; hidden from lists and never saved with the scene."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from . import state_style

TITLE_SIZE, LABEL_SIZE = 11, 10
"""Points of axis titles, and of numbers and legend."""


@dataclass(frozen=True)
class Look:
    """How a series looks.

    Attributes:
        marker: cross, plus, square, circle, diamond, or empty for none.
        line: None, Solid, Dash or Dot.
    """

    marker: str
    colour: str
    size: float = 8.0
    line: str = "None"
    width: float = 1.0


def chartOf(view):
    """The `vtkChartXY` of a plot view."""
    # Slicer imports VTK's modules when they are first named: a chart handed out before has no methods of its own until Slicer is restarted.
    importlib.import_module("vtkmodules.vtkChartsCore")
    return view.chart()


def putLegendAbove(view):
    """Have the legend of a plot view beside the points, not upon them."""
    legend = chartOf(view).GetLegend()
    legend.SetInline(False)
    legend.SetHorizontalAlignment(vtk.vtkChartLegend.CENTER)
    legend.SetVerticalAlignment(vtk.vtkChartLegend.TOP)


def addHidden(node, name):
    """Put a new node into the scene that no list shows and no saved scene holds. Returns it."""
    node.SetName(name)
    # Before the scene has it: Slicer's lists ask once.
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return slicer.mrmlScene.AddNode(node)


class PlotNodes:
    """The nodes of one plot, by id: the scene may remove them at any time."""

    def __init__(self):
        self._identifiers = []
        self._chart = ""

    @property
    def chart(self):
        """The chart node; None before `makeChart` and after the scene removed it."""
        return slicer.mrmlScene.GetNodeByID(self._chart) if self._chart else None

    def makeChart(self, name, xTitle, yTitle):
        """A chart without a title of its own: what it shows is said by the widget beside it."""
        chart = self._add("vtkMRMLPlotChartNode", name)
        chart.SetTitleVisibility(False)
        chart.SetXAxisTitle(xTitle)
        chart.SetYAxisTitle(yTitle)
        chart.SetAxisTitleFontSize(TITLE_SIZE)
        chart.SetAxisLabelFontSize(LABEL_SIZE)
        chart.SetLegendFontSize(LABEL_SIZE)
        self._chart = chart.GetID()
        return chart

    def addSeries(self, name, points, look, labels=None):
        """Add points `(n, 2)` to the chart. `labels` are shown when the mouse rests on a point. Returns the id of the series."""
        table = self._add("vtkMRMLTableNode", name)
        points = np.asarray(points, float)
        if len(points) == 1:
            # VTK reports an error for a line of one point, also where no line is drawn.
            points, labels = np.repeat(points, 2, axis=0), None if labels is None else [*labels, *labels]
        slicer.util.updateTableFromArray(table, (points[:, 0].copy(), points[:, 1].copy()), ["x", "y"])
        series = self._add("vtkMRMLPlotSeriesNode", name)
        if labels is not None:
            column = vtk.vtkStringArray()
            column.SetName("label")
            for text in labels:
                column.InsertNextValue(text)
            table.AddColumn(column)
            series.SetLabelColumnName("label")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        series.SetPlotType(series.PlotTypeScatter)
        # Without a style of its own a scatter series joins its points.
        series.SetLineStyle(getattr(series, f"LineStyle{look.line}"))
        series.SetLineWidth(look.width)
        series.SetMarkerStyle(getattr(series, f"MarkerStyle{look.marker.capitalize() or 'None'}"))
        series.SetMarkerSize(look.size)
        series.SetColor(*state_style.rgb(look.colour))
        self.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return series.GetID()

    def addPieces(self, name, pieces, look):
        """Add polylines `(n, 2)` that are not joined to each other as one series. Returns its id."""
        gap = np.full((1, 2), np.nan)
        return self.addSeries(name, np.concatenate([part for piece in pieces for part in (piece, gap)][:-1]), look)

    def removeSeries(self, identifier):
        """Take one series and its table out of the chart and the scene."""
        series = slicer.mrmlScene.GetNodeByID(identifier)
        if series is None:
            return
        table = series.GetTableNode()
        if self.chart is not None:
            self.chart.RemovePlotSeriesNodeID(identifier)
        for node in (series, table):
            if node is not None:
                self._identifiers.remove(node.GetID())
                slicer.mrmlScene.RemoveNode(node)

    def _add(self, kind, name):
        node = addHidden(getattr(slicer, kind)(), name)
        self._identifiers.append(node.GetID())
        return node

    def clear(self):
        """Remove every node, series before their tables."""
        for identifier in reversed(self._identifiers):
            node = slicer.mrmlScene.GetNodeByID(identifier)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self.forget()

    def forget(self):
        """The scene is closing; its nodes go by themselves."""
        self._identifiers, self._chart = [], ""
