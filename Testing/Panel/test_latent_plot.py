"""The latent plot on a study that has gone through real rounds: what is drawn, and which slice a click opens."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from review_study import READER, find_something, of_state, reviewed_study

from SuggestiveAnnotationLib.engine.latents import latent_view
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return reviewed_study(tmp_path_factory, tmp_path)


@pytest.fixture
def plot(host: Any, panel: Any, opened: Callable[[Path], Any], path: Path) -> Any:
    """The plot of the opened study, drawn."""
    opened(path)
    review = panel.sections[4]
    host.waitUntil(lambda: not review.latentPlot.empty, 60, "the latent view")
    host.pump(0.2)
    return review.latentPlot


def series(plot: Any) -> dict[str, Any]:
    """Name -> series node, as the chart has them."""
    chart = plot._nodes.chart
    return {chart.GetNthPlotSeriesNode(i).GetName(): chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())}


def values(node: Any) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    table = node.GetTableNode().GetTable()
    return np.stack([vtk_to_numpy(table.GetColumnByName(name)) for name in ("x", "y")], axis=1)


def points_of(host: Any, study: Path) -> tuple[Any, Session]:
    from SuggestiveAnnotationPanel.latent_points import LatentPoints

    opened = Study(study)
    return LatentPoints(latent_view(opened)), Session(opened, annotator=READER)


# What groups there are


def test_states_are_those_of_the_database_and_an_audit_slice_shows_only_once_accepted(host: Any, path: Path) -> None:
    points, session = points_of(host, path)
    states = points.states(session)
    rows = [row.suggestion for row in session.study.suggestions(2)]
    audits = [one.ref for one in rows if one.kind == "audit"]
    accepted = of_state(session.study, "accepted")
    assert [states[ref] for ref in audits] == ["audit", *["suggested"] * (len(audits) - 1)]
    assert [states[ref] for ref in accepted if ref not in audits] == ["labelled"]
    assert [states[ref] for ref in of_state(session.study, "draft")] == ["draft"]
    assert [states[ref] for ref in of_state(session.study, "skipped")] == ["skipped"]
    groups = points.groups("state", session)
    assert [g.name for g in groups] == ["unlabelled", "labelled", "labelled, audit", "suggested", "draft", "skipped"]
    assert sorted(np.concatenate([g.rows for g in groups]).tolist()) == list(range(len(points.refs)))
    # Told apart without colour.
    looks = [(g.look.marker, g.look.size) for g in groups]
    assert len(set(looks)) == len(looks)


def test_colours_by_case_round_and_class(host: Any, path: Path) -> None:
    points, session = points_of(host, path)
    cases = {g.name: [points.refs[row].case for row in g.rows] for g in points.groups("case", session)}
    assert {name: set(found) for name, found in cases.items()} == {f"case{n}": {f"case{n}"} for n in range(4)}
    annotations = {a.ref: a for a in session.study.annotations()}
    rounds = {g.name: {points.refs[row] for row in g.rows} for g in points.groups("round", session)}
    for number in range(3):
        assert rounds[f"round {number}"] == {ref for ref, a in annotations.items() if a.round == number}
    assert rounds["unlabelled"] == set(points.refs) - set(annotations)
    classes = {g.name: {points.refs[row] for row in g.rows} for g in points.groups("class", session)}
    # The squares of the study: nothing on every fourth slice, class 1 on odd, class 4 on even slices.
    for name, holds in (("empty", lambda n: n % 4 == 3), ("left lobe", lambda n: n % 4 == 1), ("right lobe", lambda n: n % 2 == 0)):
        assert classes.get(name, set()) == {ref for ref in annotations if holds(ref.native_index)}


def test_a_blind_reader_sees_no_work_of_others(host: Any, path: Path) -> None:
    points, session = points_of(host, path)
    blind = Session(session.study, annotator="Dr B", blind=True)
    for colours in ("round", "class"):
        assert [g.name for g in points.groups(colours, blind)] == ["unlabelled"]
    assert set(points.states(blind).values()) <= {"suggested", "skipped"}


def test_a_blind_reader_sees_their_own_work_where_another_accepted_after_them(host: Any, path: Path) -> None:
    points, session = points_of(host, path)
    blind = Session(session.study, annotator=READER, blind=True)
    before = {colours: [(g.name, g.rows.tolist()) for g in points.groups(colours, blind)] for colours in ("round", "class")}
    other = Session(session.study, annotator="Dr B")
    for ref in of_state(session.study, "accepted"):
        other.import_annotations({ref: np.zeros_like(session.shown_labels(ref).labels)})
    for colours, groups in before.items():
        assert [(g.name, g.rows.tolist()) for g in points.groups(colours, blind)] == groups


def test_more_groups_than_colours_become_others(host: Any) -> None:
    from SuggestiveAnnotationPanel.latent_points import MOST_GROUPS, LatentPoints

    points = LatentPoints()
    # Case n has n slices, so the small ones are merged.
    points.refs = [SliceRef(f"case {n}", 0, i) for n in range(1, 13) for i in range(n)]
    groups = points.groups("case", session=None)
    assert [g.name for g in groups] == [*(f"case {n}" for n in range(5, 13)), "others"]
    assert len(groups) == MOST_GROUPS
    assert len(groups[-1].rows) == 1 + 2 + 3 + 4
    assert len({(g.look.colour, g.look.marker) for g in groups}) == len(groups)


# What is drawn


def test_it_is_drawn_in_a_slicer_that_has_just_started(plot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vtkmodules.vtkChartsCore", raising=False)
    plot.mark()
    monkeypatch.delitem(sys.modules, "vtkmodules.vtkChartsCore", raising=False)
    assert plot.nearest(-1000, -1000) is None


def test_every_slice_is_drawn_in_its_group_and_no_point_is_joined(plot: Any) -> None:
    drawn = series(plot)
    for group in plot.content.groups("state", plot._workspace.session):
        node = drawn[group.name]
        expected = plot.points[group.rows]
        # A lone point is drawn twice in its place.
        assert np.allclose(np.unique(values(node), axis=0), np.unique(expected, axis=0))
        assert node.GetLineStyle() == node.LineStyleNone
        labels = node.GetTableNode().GetTable().GetColumnByName(node.GetLabelColumnName())
        assert labels.GetValue(0) == f"case {plot.refs[group.rows[0]].case}, slice {plot.refs[group.rows[0]].native_index + 1}"
    chart = plot._nodes.chart
    assert chart.GetXAxisTitle().startswith("latent PCA 1 (")
    assert chart.GetYAxisTitle().startswith("latent PCA 2 (")
    # 16 pixels an entry, and two fifths of the view at most.
    assert chart.GetLegendVisibility() == (16 * chart.GetNumberOfPlotSeriesNodes() <= 0.4 * plot._view.height)
    assert [name for name, _look in plot.legend] == list(drawn)[: len(plot.legend)]


def test_nodes_are_hidden_and_never_saved_and_go_with_the_module(host: Any, panel: Any, plot: Any) -> None:
    import slicer
    import vtk

    def ours() -> list[Any]:
        kinds = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")
        return [node for kind in kinds for node in slicer.util.getNodesByClass(kind)]

    assert len(ours()) > 10
    assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() for node in ours())
    for colours in ("case", "round", "largest structure", "state"):
        panel.sections[4].ui.colourBox.setCurrentText(colours)
    before, seen = len(ours()), []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onAdded(_scene: Any, _event: str, node: Any) -> None:
        seen.append(node.GetHideFromEditors() and not node.GetSaveWithScene())

    tag = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, onAdded)
    panel.sections[4].ui.colourBox.setCurrentText("case")
    panel.sections[4].ui.colourBox.setCurrentText("state")
    slicer.mrmlScene.RemoveObserver(tag)
    assert len(ours()) == before, "drawing leaves nodes behind"
    # Slicer's lists and its data tree ask when a node comes, and not again.
    assert seen
    assert all(seen)
    host.unload("SuggestiveAnnotation")
    assert ours() == []


def test_the_way_to_the_open_slice_is_drawn_and_of_others_only_where_they_are_answered(host: Any, panel: Any, plot: Any) -> None:
    workspace = plot._workspace
    ref = next(ref for ref in plot.content.arrows if plot.content.states(workspace.session)[ref] == "suggested")
    workspace.openSlice(ref)
    # It looks like an audit slice, which has no way.
    assert "source, step, chosen" not in series(plot)
    find_something(workspace.study, ref)
    plot.mark()
    assert np.allclose(values(series(plot)["source, step, chosen"]), plot.content.arrows[ref])
    assert np.allclose(values(series(plot)["open slice"])[0], plot.points[plot.refs.index(ref)])
    panel.sections[4].ui.everyWayBox.checked = True
    answered = [
        way for other, way in plot.content.arrows.items() if plot.content.states(workspace.session)[other] in ("labelled", "skipped")
    ]
    drawn = values(series(plot)["of other slices"])
    assert len(answered) == 2
    assert np.allclose(drawn[:3], answered[0])
    assert np.isnan(drawn[3]).all()
    assert np.allclose(drawn[4:], answered[1])
    workspace.openSlice(next(other for other in plot.refs if other not in plot.content.arrows))
    assert "source, step, chosen" not in series(plot)


def test_an_accepted_slice_changes_its_group(host: Any, plot: Any) -> None:
    workspace = plot._workspace
    ref = next(ref for ref in plot.content.arrows if plot.content.states(workspace.session)[ref] == "suggested")
    place = plot.points[plot.refs.index(ref)]
    assert any(np.allclose(one, place) for one in values(series(plot)["suggested"]))
    workspace.session.mark_empty([ref])
    workspace.statesChanged()
    assert any(np.allclose(one, place) for one in values(series(plot)["labelled"]))


# Clicking


def lonely(plot: Any) -> int:
    """The point farthest from every other, so that a click can mean only it."""
    away = np.linalg.norm(plot.points[:, None] - plot.points[None], axis=2) + np.eye(len(plot.points)) * 1e9
    return int(away.min(axis=1).argmax())


def test_a_click_opens_the_slice_once(host: Any, plot: Any) -> None:
    workspace = plot._workspace
    row = lonely(plot)
    opened: list[Any] = []
    workspace.sliceChanged.connect(lambda: opened.append(workspace.current))
    host.clickPlot(plot._widget(), *plot.points[row].tolist())
    host.pump(0.2)
    assert opened == [plot.refs[row]]
    # The same point again, and what is still selected from before: nothing more happens.
    host.clickPlot(plot._widget(), *plot.points[row].tolist())
    host.pump(0.2)
    assert opened == [plot.refs[row]]


def test_clicks_on_one_point_after_another_open_each(host: Any, plot: Any) -> None:
    far = [lonely(plot), int(np.argmax(plot.points[:, 0])), int(np.argmin(plot.points[:, 1])), int(np.argmin(plot.points[:, 0]))]
    for row in far:
        host.clickPlot(plot._widget(), *plot.points[row].tolist())
        host.pump(0.3)
        # Several slices may lie in one place.
        assert np.allclose(plot.points[plot.refs.index(plot._workspace.current)], plot.points[row], atol=1e-6)


def test_where_two_points_lie_close_the_nearer_is_opened(host: Any, plot: Any) -> None:
    widget = plot._widget()
    height = widget.plotView().height
    places = np.array([(p.x(), height - 1 - p.y()) for p in (widget.plotView().placeOf(*point.tolist()) for point in plot.points)])
    for row, place in enumerate(places):
        distances = np.linalg.norm(places - place, axis=1)
        found = plot.nearest(*place.tolist())
        assert distances[found] <= 2, (row, found)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    close = np.argwhere((apart >= 3) & (apart <= 12))
    assert len(close), "the study has no points that lie close"
    for one, _other in close[:10]:
        assert np.linalg.norm(places[plot.nearest(*places[one].tolist())] - places[one]) < 2


def test_a_click_beside_every_point_opens_nothing(host: Any, plot: Any) -> None:
    before = plot._workspace.current
    low, high = plot.points.min(axis=0), plot.points.max(axis=0)
    grid = np.stack(np.meshgrid(*[np.linspace(a, b, 25) for a, b in zip(low, high, strict=True)]), axis=-1).reshape(-1, 2)
    scale = high - low
    emptiest = grid[np.linalg.norm((grid[:, None] - plot.points[None]) / scale, axis=2).min(axis=1).argmax()]
    host.clickPlot(plot._widget(), *emptiest.tolist())
    host.pump(0.2)
    assert plot._workspace.current == before


# Surviving


def test_the_plot_comes_back_after_the_scene_was_closed(host: Any, plot: Any) -> None:
    before = {name: values(node) for name, node in series(plot).items()}
    host.closeScene()
    host.pump(0.5)
    after = {name: values(node) for name, node in series(plot).items()}
    assert before.keys() == after.keys()
    assert all(np.allclose(before[name], after[name], equal_nan=True) for name in before)
    row = lonely(plot)
    host.clickPlot(plot._widget(), *plot.points[row].tolist())
    host.pump(0.2)
    assert plot._workspace.current == plot.refs[row]


def test_another_layout_and_back(host: Any, panel: Any, plot: Any) -> None:
    import slicer

    host.exit("SuggestiveAnnotation")
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    plot._workspace.statesChanged()
    host.enter("SuggestiveAnnotation")
    assert len(series(plot)) >= 5


def test_another_study_has_no_points_of_the_one_before(host: Any, panel: Any, plot: Any) -> None:
    plot._workspace.closeStudy()
    assert plot.empty
    assert plot._nodes.chart is None
