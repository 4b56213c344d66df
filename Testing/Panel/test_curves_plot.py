"""The curves over the rounds: values, intervals, axes and what is seen, from numbers made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.report.rounds import RoundPoint

FIRST = RoundPoint(
    round=1,
    audit_dice=0.5,
    audit_low=0.3,
    audit_high=0.7,
    audit_slices=6,
    held_out_dice=0.6,
    retained=0.25,
    retained_low=0.125,
    retained_high=0.5,
    slices=9,
    minutes=30.0,
)
SECOND = replace(
    FIRST,
    round=2,
    audit_dice=0.75,
    audit_low=0.7,
    audit_high=0.8,
    held_out_dice=None,
    retained=0.5,
    retained_low=None,
    retained_high=None,
    minutes=20.0,
)
NOTHING = replace(FIRST, audit_dice=None, audit_low=None, audit_high=None, held_out_dice=None, retained=None, minutes=None)


@pytest.fixture
def curves(host: Any, panel: Any) -> Iterator[Any]:
    """A plot of its own in a widget that is shown."""
    import qt
    from SuggestiveAnnotationPanel.curves_plot import CurvesPlot

    place = qt.QWidget()
    qt.QVBoxLayout(place)
    place.resize(400, 260)
    made = CurvesPlot(place)
    place.show()
    yield made
    made.cleanup()
    place.deleteLater()


def series(curves: Any) -> dict[str, np.ndarray]:
    from vtk.util.numpy_support import vtk_to_numpy

    chart = curves._nodes.chart
    found = {}
    for i in range(chart.GetNumberOfPlotSeriesNodes()):
        node = chart.GetNthPlotSeriesNode(i)
        table = node.GetTableNode().GetTable()
        found[node.GetName()] = np.stack([vtk_to_numpy(table.GetColumnByName(name)) for name in ("x", "y")], axis=1)
    return found


def test_agreement_has_its_interval_as_a_bar_at_each_round(curves: Any) -> None:
    assert curves.draw((FIRST, SECOND), "audit_dice")
    drawn = series(curves)
    assert drawn["Agreement on audit slices"].tolist() == [[1, 0.5], [2, 0.75]]
    bars = drawn["95 % interval"]
    assert bars[:2].tolist() == [[1, 0.3], [1, 0.7]]
    assert np.isnan(bars[2]).all()
    assert bars[3:].tolist() == [[2, 0.7], [2, 0.8]]
    chart = curves._nodes.chart
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("round", "Dice (0 to 1)")
    assert chart.GetYAxisRange() == (0.0, 1.0)


@pytest.mark.parametrize(
    ("measure", "expected", "title"),
    [
        ("retained", [[1, 0.25], [2, 0.5]], "(0 to 1)"),
        ("minutes", [[1, 30], [2, 20]], "(minutes)"),
        ("held_out_dice", [[1, 0.6]] * 2, "(0 to 1)"),
    ],
)
def test_other_measures_and_the_unit_of_their_axis(curves: Any, measure: str, expected: list[list[float]], title: str) -> None:
    from SuggestiveAnnotationPanel.curves_plot import measures

    assert curves.draw((FIRST, SECOND), measure)
    drawn = series(curves)[measures()[measure][0]]
    assert drawn.tolist() == expected
    assert title in curves._nodes.chart.GetYAxisTitle()
    assert curves._nodes.chart.GetYAxisRange()[1] >= drawn[:, 1].max()


def test_retained_contour_has_its_interval_where_there_is_one(curves: Any) -> None:
    curves.draw((FIRST, SECOND), "retained")
    assert series(curves)["95 % interval"].tolist() == [[1, 0.125], [1, 0.5]]


def test_every_measure_says_what_is_missing_when_there_is_nothing(curves: Any) -> None:
    from SuggestiveAnnotationPanel.curves_plot import measures

    for measure, (name, title, missing) in measures().items():
        assert not curves.draw((NOTHING,), measure)
        assert curves._nodes.chart is None
        assert name
        assert title
        assert missing.endswith(".")


def test_points_are_seen_where_their_values_say(host: Any, curves: Any) -> None:
    for points in ((FIRST, SECOND), (FIRST,)):
        curves.draw(points, "retained")
        host.pump(0.2)
        view = curves.widget.plotView()
        image = view.grab().toImage()
        for one in points:
            place = view.placeOf(one.round, one.retained)
            # Blue of the curve on the light ground.
            colour = image.pixelColor(place)
            assert colour.blue() > colour.red() + 60, (one.round, colour.name())


def test_the_layout_manager_makes_no_view_of_it(host: Any, curves: Any) -> None:
    import slicer

    before = slicer.app.layoutManager().plotViewCount
    curves.draw((FIRST,), "retained")
    assert slicer.app.layoutManager().plotViewCount == before


def test_drawing_again_leaves_nothing_behind_and_closing_the_scene_is_survived(host: Any, curves: Any) -> None:
    import slicer

    def nodes() -> int:
        kinds = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode", "vtkMRMLPlotViewNode", "vtkMRMLScriptedModuleNode")
        return sum(len(slicer.util.getNodesByClass(kind)) for kind in kinds)

    curves.draw((FIRST, SECOND), "audit_dice")
    before = nodes()
    for measure in ("retained", "minutes", "audit_dice"):
        curves.draw((FIRST, SECOND), measure)
    assert nodes() == before
    curves.forget()
    host.closeScene()
    curves.draw((FIRST, SECOND), "audit_dice")
    assert len(series(curves)) == 2
    assert curves.widget.mrmlPlotViewNode().GetPlotChartNodeID() == curves._nodes.chart.GetID()
    curves.cleanup()
    assert curves._nodes.chart is None
