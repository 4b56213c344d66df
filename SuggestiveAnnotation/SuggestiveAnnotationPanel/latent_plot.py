"""The latent space in the layout's plot view: every slice of the pool, and why the suggested ones were chosen."""

from __future__ import annotations

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import describe

from . import layout, state_style
from .connect import connect, guarded
from .latent_points import LatentPoints
from .plot_nodes import Look, PlotNodes, chartOf, putLegendAbove

LEGEND_LINE, LEGEND_SHARE = 16, 0.4
"""Pixels of an entry, and the part of the view's height that a legend may take."""
NEAR = 14
"""Pixels; a click farther from every point means none. VTK calls points at most half a marker further away."""
OPEN = Look("cross", "#000000", 14.0)
WAY = Look("circle", state_style.RED, 6.0, "Solid", 2.0)
OTHER_WAY = Look("", state_style.GREY, 1.0, "Solid", 1.0)


class LatentPlot:
    """Draws the points of a latent view and opens the slice of a clicked point.

    Attributes:
        content: `LatentPoints`, empty until `read`.
        legend: name and look of every group that is drawn.
        everyWay: whether the ways of all answered suggestions are drawn, not only that of the open slice.
    """

    def __init__(self, workspace):
        self._workspace = workspace
        self._nodes, self._overlay, self._drawn = PlotNodes(), [], None
        self._view = self._slot = None
        self._opening = False
        self.content, self.everyWay, self.legend = LatentPoints(), False, []

    def read(self, path):
        """Take the points of a `.npz` of `engine.latents.latent_view`."""
        self.content = LatentPoints(path)

    def reset(self):
        """Another study: there are no points until they are read."""
        self.clear()
        self.content = LatentPoints()

    @property
    def refs(self):
        """The slices that are drawn."""
        return self.content.refs

    @property
    def points(self):
        """Where they lie on the plot `(n, 2)`."""
        return self.content.points

    @property
    def empty(self):
        """Whether there is nothing to draw."""
        return not self.refs

    # Drawing

    def draw(self, colourBy="state"):
        """Draw the points in groups, and what belongs to the open slice. Nothing happens where the layout has no place for it."""
        widget = self._widget()
        if widget is None or self.empty or self._workspace.session is None:
            self.clear()
            return
        groups = self.content.groups(colourBy, self._workspace.session)
        content = (id(self.content), colourBy, [(g.name, g.rows.tobytes()) for g in groups])
        if content != self._drawn or self._nodes.chart is None:
            self.clear()
            self._nodes.makeChart(_("Latent space"), *self.content.axes)
            self.legend = [(group.name, group.look) for group in groups]
            for group in groups:
                names = [describe(self.refs[row]) for row in group.rows]
                self._nodes.addSeries(group.name, self.points[group.rows], group.look, names)
            self._drawn = content
        self.mark()
        widget.mrmlPlotViewNode().SetPlotChartNodeID(self._nodes.chart.GetID())

    def mark(self):
        """Draw only what belongs to the open slice again: where it lies, and the way from source to projected point to it."""
        chart = self._nodes.chart
        if chart is None or self._view is None:
            return
        was = chart.StartModify()
        for identifier in self._overlay:
            self._nodes.removeSeries(identifier)
        self._overlay = []
        here = self._workspace.current
        others = self._answeredWays(here) if self.everyWay else []
        if others:
            self._overlay.append(self._nodes.addPieces(_("of other slices"), others, OTHER_WAY))
        if here in self.content.arrows and here not in self._workspace.session.withheld():
            self._overlay.append(self._nodes.addSeries(_("source, step, chosen"), self.content.arrows[here], WAY))
        if here in self.refs:
            place = self.points[[self.refs.index(here)]]
            self._overlay.append(self._nodes.addSeries(_("open slice"), place, OPEN, [describe(here)]))
        self._fitLegend(chart)
        chart.EndModify(was)

    def _answeredWays(self, here):
        """A suggestion without a way would give an audit slice away: only what is answered shows its own."""
        states = self.content.states(self._workspace.session)
        return [way for ref, way in self.content.arrows.items() if states.get(ref) in ("labelled", "skipped") and ref != here]

    def _fitLegend(self, chart):
        """Above the points, not upon them; left out where it would take more than its share of the view: the panel has one too."""
        putLegendAbove(self._view)
        chart.SetLegendVisibility(chart.GetNumberOfPlotSeriesNodes() * LEGEND_LINE <= LEGEND_SHARE * self._view.height)

    def clear(self):
        """Remove the nodes."""
        self._nodes.clear()
        self._overlay, self._drawn, self.legend = [], None, []

    def forget(self):
        """The scene is closing; its nodes go by themselves."""
        self._nodes.forget()
        self._overlay, self._drawn = [], None

    # Clicking

    def _widget(self):
        """The plot widget of the module's layout, None where another layout is shown or there is no main window."""
        manager = slicer.app.layoutManager()
        for index in range(manager.plotViewCount if manager is not None else 0):
            widget = manager.plotWidget(index)
            node = widget.mrmlPlotViewNode()
            if node is not None and node.GetLayoutName() == layout.LATENT:
                self._listenTo(widget.plotView())
                return widget
        return None

    def _listenTo(self, view):
        if view is not self._view:
            self._view = view
            self._slot = connect(view, "dataSelected(vtkStringArray*, vtkCollection*)", self._onSelected)

    def _onSelected(self, _series, rows):
        """A click is told twice, with the selections of all series, old ones too, and the row is not the nearest: look for it here."""
        if rows.GetNumberOfItems() == 0 or self._opening:
            return
        row = self.nearest(*self._view.renderWindow().GetInteractor().GetEventPosition())
        if row is None:
            return
        self._opening = True
        # The chart is in the middle of handling the click, and opening a slice changes its plots.
        qt.QTimer.singleShot(0, guarded(lambda: self._open(row)))

    def _open(self, row):
        self._opening = False
        if self._view is not None:
            self._view.RemovePlotSelections()
        if row < len(self.refs) and self.refs[row] != self._workspace.current:
            self._workspace.openSlice(self.refs[row])

    def nearest(self, x, y):
        """Index of the point that is drawn nearest to a pixel of the view, counted from below; None where none is near.

        Of points in the same place the one that somebody worked on is taken.
        """
        if self.empty:
            return None
        across, up = (self._pixels(axis, column) for axis, column in ((vtk.vtkAxis.BOTTOM, 0), (vtk.vtkAxis.LEFT, 1)))
        away = np.hypot(across - x, up - y)
        states = self.content.states(self._workspace.session)
        worked = np.array([ref not in states for ref in self.refs])
        row = int(np.lexsort((worked, np.round(away)))[0])
        return row if away[row] <= NEAR else None

    def _pixels(self, axis, column):
        drawn = chartOf(self._view).GetAxis(axis)
        first, last = drawn.GetPoint1()[column], drawn.GetPoint2()[column]
        low, high = drawn.GetUnscaledMinimum(), drawn.GetUnscaledMaximum()
        return first + (self.points[:, column] - low) / ((high - low) or 1.0) * (last - first)

    def cleanup(self):
        """Remove the nodes and stop listening."""
        self.clear()
        if self._view is not None:
            self._view.disconnect("dataSelected(vtkStringArray*, vtkCollection*)", self._slot)
            self._view = self._slot = None
