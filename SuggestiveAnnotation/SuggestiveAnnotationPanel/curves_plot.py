"""Curves over the rounds in a plot of the panel's own."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _

from . import state_style
from .plot_nodes import Look, PlotNodes, addHidden, chartOf, putLegendAbove

VIEW_NAME = "SuggestiveCurves"
CURVE = Look("circle", state_style.BLUE, 9.0, "Solid", 2.0)
INTERVAL = Look("", state_style.GREY, 1.0, "Solid", 2.0)
INTERVALS = {"audit_dice": ("audit_low", "audit_high"), "retained": ("retained_low", "retained_high")}
"""Measure -> the fields of its interval."""
HEADROOM = 1.1
MOST_TICKS = 15


def measures():
    """What can be drawn: field of `report.rounds.RoundPoint` -> (name, axis title, what is missing while there is nothing)."""
    return {
        "audit_dice": (
            _("Agreement on audit slices"),
            _("Dice (0 to 1)"),
            _("No audit slice that a model had predicted has been accepted yet."),
        ),
        "held_out_dice": (
            _("Dice on held-out cases"),
            _("mean 3D Dice (0 to 1)"),
            _("No test case has reference labels, or no model has been judged on one yet."),
        ),
        "retained": (
            _("Retained contour"),
            _("share of contour (0 to 1)"),
            _("No slice that showed a pre-annotation has been accepted yet."),
        ),
        "minutes": (
            _("Active minutes"),
            _("active time (minutes)"),
            _("No time was measured. It is only when the reader agrees to timing in 1."),
        ),
    }


class CurvesPlot:
    """One measure over the rounds, with its interval where there is one.

    Args:
        place: widget whose layout gets the plot.
    """

    def __init__(self, place):
        self._nodes = PlotNodes()
        self._viewNode = self._owner = self._drawn = None
        self.widget = slicer.qMRMLPlotWidget()
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.widget.setMinimumHeight(220)
        self.widget.objectName = "curvesPlotWidget"
        place.layout().addWidget(self.widget)

    def draw(self, points, measure):
        """Draw a measure of `report.rounds.RoundPoint`s; returns whether there was anything to draw."""
        known = [(p.round, getattr(p, measure)) for p in points if getattr(p, measure) is not None]
        content = (measure, tuple(points))
        if known and content == self._drawn and self._nodes.chart is not None:
            return True
        self.clear()
        if not known:
            return False
        self._useViewNode()
        name, title, _missing = measures()[measure]
        chart = self._nodes.makeChart(name, _("round"), title)
        low, high = INTERVALS.get(measure, ("", ""))
        bars = [[(p.round, getattr(p, low)), (p.round, getattr(p, high))] for p in points if low and getattr(p, low) is not None]
        if bars:
            self._nodes.addPieces(_("95 % interval"), bars, INTERVAL)
        self._nodes.addSeries(name, known, CURVE, [_("round {n}").format(n=n) for n, _value in known])
        putLegendAbove(self.widget.plotView())
        chart.SetLegendVisibility(bool(bars))
        # Shares keep their whole scale, so that two studies can be compared; a lone round stands in the middle.
        top = 1.0 if measure != "minutes" else HEADROOM * max(max(value for _n, value in known), 1e-3)
        chart.SetXAxisRangeAuto(False)
        chart.SetXAxisRange(known[0][0] - 1, known[-1][0] + 1)
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(0.0, top)
        self._viewNode.SetPlotChartNodeID(chart.GetID())
        self._tickRounds(range(known[0][0] - 1, known[-1][0] + 2))
        self._drawn = content
        return True

    def _tickRounds(self, numbers):
        """There is no round one and a half."""
        places, names = vtk.vtkDoubleArray(), vtk.vtkStringArray()
        step = 1 + len(numbers) // MOST_TICKS
        for number in numbers[1:-1:step]:
            places.InsertNextValue(number)
            names.InsertNextValue(str(number))
        chartOf(self.widget.plotView()).GetAxis(vtk.vtkAxis.BOTTOM).SetCustomTickPositions(places, names)

    def _useViewNode(self):
        """An embedded plot needs a view node; one with an owner is left alone by the layout manager."""
        if self._viewNode is not None and slicer.mrmlScene.IsNodePresent(self._viewNode):
            return
        owner = addHidden(slicer.vtkMRMLScriptedModuleNode(), VIEW_NAME)
        view = slicer.vtkMRMLPlotViewNode()
        view.SetLayoutName(VIEW_NAME)
        view.SetLayoutLabel("C")
        view.SetAndObserveParentLayoutNodeID(owner.GetID())
        self._viewNode = addHidden(view, VIEW_NAME)
        self._owner = owner
        self.widget.setMRMLPlotViewNode(self._viewNode)

    def clear(self):
        """Remove the chart's nodes."""
        self._nodes.clear()
        self._drawn = None

    def forget(self):
        """The scene is closing; its nodes go by themselves."""
        self._nodes.forget()
        self._viewNode = self._owner = self._drawn = None

    def cleanup(self):
        """Remove the nodes, the plot's own view too."""
        self.clear()
        for node in (self._viewNode, self._owner):
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        self._viewNode = self._owner = None
