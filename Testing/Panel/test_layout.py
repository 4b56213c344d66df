"""The module's layout in real views: it comes and goes, shows the open slice in every grid, follows, remembers how it was left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Support.panel_hands import press
from Support.panel_study import SCHEMA, STRAIGHT, add_round, make_study, square, write_case

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Plane, SliceRef

SLICE, OTHER, ORTHOGONAL_1 = "SuggestiveSlice", "SuggestiveOther", "SuggestiveOrtho1"
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL_FIRST = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILTED = (1.0, 0.0, 0.0, 0.0, 0.9396926, -0.3420201, 0.0, 0.3420201, 0.9396926)


def node(name: str) -> Any:
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()


def background(name: str) -> str:
    import slicer

    composite = slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()
    return str(slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName())


def arrangement() -> int:
    import slicer

    return int(slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetViewArrangement())


def axis_of(study: Study) -> int:
    return study.frame("case0").axis


def with_round(study: Study, places: tuple[int, ...] = (3, 6)) -> Path:
    """Suggestions at the same places of every case."""
    axis = axis_of(study)
    add_round(study, {SliceRef(case.name, axis, place): "suggested" for case in study.cases() for place in places})
    path = study.path
    study.close()
    return path


@pytest.fixture
def workspace(tmp_path: Path, opened: Callable[[Path], Any]) -> Any:
    """Two cases with two suggestions each; the first is open."""
    return opened(with_round(make_study(tmp_path / "two")))


def test_the_layout_comes_with_the_module_and_the_users_comes_back(host: Any, panel: Any) -> None:
    import slicer

    before = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    host.exit("SuggestiveAnnotation")
    slicer.app.layoutManager().setLayout(before)
    host.enter("SuggestiveAnnotation")
    assert arrangement() == 5371
    host.exit("SuggestiveAnnotation")
    assert arrangement() == before
    host.enter("SuggestiveAnnotation")


def test_the_users_layout_comes_back_after_the_scene_was_closed(host: Any, panel: Any) -> None:
    import slicer

    before = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    host.exit("SuggestiveAnnotation")
    slicer.app.layoutManager().setLayout(before)
    host.enter("SuggestiveAnnotation")
    host.closeScene()
    assert arrangement() == 5371
    host.exit("SuggestiveAnnotation")
    assert arrangement() == before
    host.enter("SuggestiveAnnotation")


def test_the_layout_is_known_from_the_start_of_slicer(host: Any, panel: Any) -> None:
    """A scene that was saved with the module open has its views again before the module is opened."""
    import slicer
    from SuggestiveAnnotationPanel import layout

    host.exit("SuggestiveAnnotation")
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    node.SetLayoutDescription(layout.LAYOUT_ID, "")
    slicer.app.startupCompleted.emit()
    assert node.GetLayoutDescription(layout.LAYOUT_ID) == layout.XML
    host.enter("SuggestiveAnnotation")


def test_without_a_main_window_no_layout_is_registered(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer
    from SuggestiveAnnotationPanel import layout

    monkeypatch.setattr(type(slicer.app), "layoutManager", lambda self: None)
    layout.registerLayout()


def test_a_layout_chosen_while_the_module_is_open_stays(host: Any, panel: Any) -> None:
    import slicer

    chosen = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView
    slicer.app.layoutManager().setLayout(chosen)
    host.exit("SuggestiveAnnotation")
    assert arrangement() == chosen
    host.enter("SuggestiveAnnotation")


@pytest.mark.parametrize("direction", [STRAIGHT, FLIPPED, SAGITTAL_FIRST, TILTED], ids=["straight", "flipped", "sagittal", "tilted"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_grid_is_shown_at_the_open_slice_the_way_up_radiologists_read(
    tmp_path: Path, opened: Callable[[Path], Any], plane: Plane, direction: tuple[float, ...]
) -> None:
    """Columns run to the left and rows to posterior (axial) or inferior; the pixels are those of the canonical slice."""
    import slicer
    from SuggestiveAnnotationPanel.slice_frame import letter

    workspace = opened(with_round(make_study(tmp_path / "grid", cases=1, direction=direction, plane=plane)))
    assert workspace.views.shownSlice() == workspace.current
    for name in (SLICE, OTHER):
        matrix = slicer.util.arrayFromVTKMatrix(node(name).GetSliceToRAS())
        edges = letter(matrix[:3, 0]) + letter(-matrix[:3, 1])
        assert edges == {"axial": "LP", "coronal": "LI", "sagittal": "PI"}[plane]
    # Three points off the centre: what lies under the screen there is what the canonical slice has there.
    frame, ref = workspace.study.frame("case0"), workspace.current
    volume = workspace.scene.volume()
    canonical = frame.stack(slicer.util.arrayFromVolume(volume))[ref.native_index]
    to_ras = slicer.util.arrayFromVTKMatrix(node(SLICE).GetSliceToRAS())
    to_ijk = np.linalg.inv(slicer.util.arrayFromVTKMatrix(_ijk_to_ras(volume)))
    centre = np.asarray(workspace.scene.centre(ref))
    for row, column in ((0, 0), (1, 4), (5, 2)):
        across = (column - (frame.columns - 1) / 2) * frame.spacing[2]
        down = (row - (frame.rows - 1) / 2) * frame.spacing[1]
        ras = centre + across * to_ras[:3, 0] - down * to_ras[:3, 1]
        i, j, k = np.rint((to_ijk @ [*ras, 1])[:3]).astype(int)
        assert slicer.util.arrayFromVolume(volume)[k, j, i] == canonical[row, column]


def _ijk_to_ras(volume: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_the_reference_is_large_and_another_sequence_stands_beside_it(workspace: Any) -> None:
    assert (background(SLICE), background(OTHER), background(ORTHOGONAL_1)) == ("case0 t1", "case0 flair", "case0 t1")


def test_a_key_cycles_through_the_other_sequences(host: Any, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    files = tmp_path / "cohort"
    files.mkdir()
    case = write_case(files, "case0", seed=0)
    case.images["t2"] = case.images["flair"]
    study = Study.create(tmp_path / "study", name="three", cases=[case], schema=SCHEMA, modalities=("t1", "flair", "t2"), reference="t1")
    with study.lock():
        prepare(study, plane="axial", pixels=32)
    opened(with_round(study))
    seen = [background(OTHER)]
    for _press in range(2):
        press(host, "K")
        seen.append(background(OTHER))
    assert seen == ["case0 flair", "case0 t2", "case0 flair"]
    assert background(SLICE) == "case0 t1"


def test_with_one_sequence_the_other_view_shows_the_same(host: Any, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    files = tmp_path / "cohort"
    files.mkdir()
    case = write_case(files, "case0", seed=0)
    study = Study.create(tmp_path / "study", name="one", cases=[case], schema=SCHEMA, modalities=("t1",), reference="t1")
    with study.lock():
        prepare(study, plane="axial", pixels=32)
    opened(with_round(study))
    press(host, "K")
    assert (background(SLICE), background(OTHER)) == ("case0 t1", "case0 t1")


def test_scrolling_is_free_and_the_other_sequence_follows_both_ways(host: Any, workspace: Any) -> None:
    views, first = workspace.views, workspace.current
    assert (first.native_index, first) == (3, views.shownSlice())
    moved = []
    views.moved.connect(lambda: moved.append(views.shownSlice()))
    node(SLICE).SetSliceOffset(node(SLICE).GetSliceOffset() + 1 * 2.0)
    node(SLICE).SetSliceOffset(node(SLICE).GetSliceOffset() + 1 * 2.0)
    assert views.shownSlice() == views._shownIn(OTHER) == SliceRef("case0", 0, 5)
    assert [ref.native_index for ref in moved] == [4, 5]
    assert {ref.native_index for ref in views.displayed} == {3}
    host.waitUntil(lambda: views.shownSlice() in views.displayed, 30, "the picture")
    assert [ref.native_index for ref in moved] == [4, 5, 5]
    node(OTHER).SetSliceOffset(node(OTHER).GetSliceOffset() - 4 * 2.0)
    assert views.shownSlice() == views._shownIn(OTHER) == SliceRef("case0", 0, 1)
    host.waitUntil(lambda: views.shownSlice() in views.displayed, 30, "the picture")
    # What was run through too fast to be painted was not seen.
    assert {ref.native_index for ref in views.displayed} == {3, 5, 1}
    assert workspace.current == first
    press(host, "J")
    assert views.shownSlice() == first


def test_a_reader_who_has_seen_nothing_yet_is_told_when_a_slice_is_seen(host: Any, workspace: Any) -> None:
    seen = []
    workspace.views.displayed.clear()
    workspace.views.moved.connect(lambda: seen.append(set(workspace.views.displayed)))
    workspace.views.showSlice()
    assert seen == []
    host.waitUntil(lambda: seen, 30, "the picture")
    assert seen == [{workspace.current}]


def test_one_key_comes_back_from_a_view_that_was_turned_away(host: Any, workspace: Any) -> None:
    node(SLICE).SetOrientation("Sagittal")
    assert workspace.views.shownSlice() is None
    press(host, "J")
    assert workspace.views.shownSlice() == workspace.current


def test_another_volume_in_the_large_view_counts_as_nothing_displayed(host: Any, workspace: Any) -> None:
    import slicer

    stranger = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "stranger")
    slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceCompositeNode().SetBackgroundVolumeID(stranger.GetID())
    before = set(workspace.views.displayed)
    node(SLICE).SetSliceOffset(node(SLICE).GetSliceOffset() + 2.0)
    host.pump(0.1)
    assert workspace.views.shownSlice() is None
    assert workspace.views.displayed == before


def load_volume(name: str) -> None:
    """What every reader of Slicer does after it read a volume."""
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveVolumeID(volume.GetID())
    logic.PropagateVolumeSelection(0)


def test_a_volume_that_is_loaded_meanwhile_does_not_come_under_the_labels_of_the_case(host: Any, workspace: Any) -> None:
    import slicer

    load_volume("first")
    assert [background(name) for name in (SLICE, OTHER, ORTHOGONAL_1)] == ["case0 t1", "case0 flair", "case0 t1"]
    assert workspace.views.shownSlice() == workspace.current
    path = workspace.path
    workspace.closeStudy()
    load_volume("second")
    assert background(SLICE) == "second"
    workspace.openStudy(path)
    host.waitUntil(lambda: workspace.views.shownSlice() is not None, 30, "the slice")
    host.exit("SuggestiveAnnotation")
    load_volume("third")
    assert background(SLICE) == "third"
    host.enter("SuggestiveAnnotation")
    assert slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceCompositeNode().GetDoPropagateVolumeSelection() is False
    assert [background(name) for name in (SLICE, OTHER, ORTHOGONAL_1)] == ["case0 t1", "case0 flair", "case0 t1"]


def test_an_orthogonal_view_with_another_volume_gets_the_case_back(host: Any, workspace: Any) -> None:
    import slicer

    stranger = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "stranger")
    for name, chosen in ((ORTHOGONAL_1, stranger), ("SuggestiveOrtho2", workspace.scene.volume("flair"))):
        slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode().SetBackgroundVolumeID(chosen.GetID())
    press(host, "J")
    assert background(ORTHOGONAL_1) == "case0 t1"
    # A sequence of the case is the reader's choice.
    assert background("SuggestiveOrtho2") == "case0 flair"


@pytest.mark.parametrize("lost", ["flair", "t1"], ids=["other", "reference"])
def test_a_case_that_lost_a_volume_is_loaded_again_with_its_labels(host: Any, workspace: Any, lost: str) -> None:
    import slicer

    first, drawn = workspace.current, square(4)
    workspace.sync.write(first, drawn)
    set_look(workspace)
    workspace.saveNow()
    slicer.mrmlScene.RemoveNode(workspace.scene.volume(lost))
    press(host, "N")
    assert workspace.current == SliceRef("case0", 0, 6)
    host.waitUntil(lambda: workspace.scene.whole and workspace.views.shownSlice() == workspace.current, 30, "the next slice")
    assert (background(SLICE), background(OTHER)) == ("case0 t1", "case0 flair")
    assert look(workspace) == pytest.approx(AS_SET)
    assert np.array_equal(workspace.sync.labels(first), drawn)
    assert workspace.session.status(first).state == "draft"


def test_what_is_left_of_a_case_that_lost_a_sequence_is_shown_meanwhile(panel: Any, workspace: Any) -> None:
    import slicer

    slicer.mrmlScene.RemoveNode(workspace.scene.volume("flair"))
    assert workspace.scene.modalities == ["t1"]
    workspace.openSlice(SliceRef("case0", 0, 6))
    assert workspace.views.shownSlice() == workspace.current
    assert (background(SLICE), background(OTHER)) == ("case0 t1", "case0 t1")


def test_one_key_brings_the_reference_back(host: Any, panel: Any, workspace: Any) -> None:
    import slicer

    slicer.mrmlScene.RemoveNode(workspace.scene.volume())
    assert "Bring the suggested slice back (J)." in panel.sections[3].obstacle()
    press(host, "J")
    host.waitUntil(lambda: workspace.views.shownSlice() == workspace.current, 30, "the slice")
    # All that is in the way now is that nobody has drawn anything.
    assert panel.sections[3].obstacle().startswith("Nothing is drawn on slice 4 yet.")


@pytest.mark.parametrize("lost", ["flair", "t1"], ids=["other", "reference"])
def test_a_case_that_lost_a_volume_in_another_module_is_whole_again_after_entering(host: Any, workspace: Any, lost: str) -> None:
    import slicer

    host.exit("SuggestiveAnnotation")
    slicer.mrmlScene.RemoveNode(workspace.scene.volume(lost))
    host.enter("SuggestiveAnnotation")
    host.waitUntil(lambda: workspace.scene.whole and workspace.views.shownSlice() == workspace.current, 30, "the slice")
    first = workspace.current
    press(host, "N")
    assert workspace.current != first


def test_labels_of_a_tilted_case_are_shown_in_no_hidden_straight_view(host: Any, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    """The Segment Editor warns of every view that could show them and is not turned to them."""
    import slicer

    workspace = opened(with_round(make_study(tmp_path / "tilted", cases=1, direction=TILTED)))
    names = [name for name in slicer.app.layoutManager().sliceViewNames() if name.startswith("Suggestive")]
    assert len(names) == 4

    def shown() -> list[str]:
        display = workspace.scene.segmentation.GetDisplayNode()
        return [name for name in slicer.app.layoutManager().sliceViewNames() if display.IsDisplayableInView(node(name).GetID())]

    assert shown() == names
    host.exit("SuggestiveAnnotation")
    assert "Red" in shown()
    host.enter("SuggestiveAnnotation")
    assert shown() == names
    host.closeScene()
    host.waitUntil(lambda: workspace.views.shownSlice() == workspace.current, 30, "the slice")
    assert shown() == names


def test_orthogonal_views_stay_where_they_are_within_a_case(host: Any, workspace: Any) -> None:
    node(ORTHOGONAL_1).SetSliceOffset(node(ORTHOGONAL_1).GetSliceOffset() + 7.0)
    there = node(ORTHOGONAL_1).GetSliceOffset()
    press(host, "N")
    assert workspace.current == SliceRef("case0", 0, 6)
    assert node(ORTHOGONAL_1).GetSliceOffset() == pytest.approx(there)


def test_opening_a_slice_brings_the_layout_back(host: Any, workspace: Any) -> None:
    import slicer

    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert arrangement() != 5371
    node(SLICE).SetSliceOffset(node(SLICE).GetSliceOffset() + 2.0)
    host.pump(0.1)
    assert SliceRef("case0", 0, 4) not in workspace.views.displayed
    press(host, "N")
    assert arrangement() == 5371
    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 30, "the slice")


def set_look(workspace: Any) -> None:
    node(SLICE).SetFieldOfView(30.0 * node(SLICE).GetDimensions()[0] / node(SLICE).GetDimensions()[1], 30.0, 1.0)
    node(SLICE).SetXYZOrigin(4.0, -3.0, 0.0)
    workspace.scene.volume("t1").GetDisplayNode().SetWindowLevelMinMax(20, 70)
    workspace.scene.volume("flair").GetDisplayNode().SetWindowLevelMinMax(5, 50)


def look(workspace: Any) -> list[float]:
    displays = [workspace.scene.volume(name).GetDisplayNode() for name in ("t1", "flair")]
    windows = [value for display in displays for value in (display.GetWindowLevelMin(), display.GetWindowLevelMax())]
    return [node(SLICE).GetFieldOfView()[1], *node(SLICE).GetXYZOrigin()[:2], *windows]


AS_SET = [30.0, 4.0, -3.0, 20.0, 70.0, 5.0, 50.0]


def go_to(host: Any, workspace: Any, ref: SliceRef) -> None:
    workspace.openSlice(ref)
    host.waitUntil(lambda: workspace.views.shownSlice() == ref, 30, f"{ref}")


def test_zoom_and_window_are_remembered_for_each_case(host: Any, workspace: Any) -> None:
    first = workspace.current
    set_look(workspace)
    go_to(host, workspace, SliceRef("case1", 0, 3))
    fitted = look(workspace)
    assert fitted[:3] != AS_SET[:3]
    assert fitted[3:] != AS_SET[3:]
    go_to(host, workspace, first)
    assert look(workspace) == pytest.approx(AS_SET)


def test_zoom_is_remembered_where_slice_views_are_linked(host: Any, workspace: Any) -> None:
    """Fitting one view to its image fits all that are linked with it."""
    import slicer

    slicer.app.layoutManager().sliceWidget(SLICE).sliceController().setSliceLink(True)
    first = workspace.current
    set_look(workspace)
    node(OTHER).SetXYZOrigin(2.0, 1.0, 0.0)
    go_to(host, workspace, SliceRef("case1", 0, 3))
    go_to(host, workspace, first)
    assert look(workspace) == pytest.approx(AS_SET)
    assert node(OTHER).GetXYZOrigin()[:2] == pytest.approx((2.0, 1.0))


def test_zoom_and_window_outlive_the_panel_and_a_change_of_the_windows_shape(host: Any, panel: Any, workspace: Any) -> None:
    import slicer

    path, first = workspace.path, workspace.current
    set_look(workspace)
    host.unload("SuggestiveAnnotation")
    host.window.resize(1100, 900)
    host.closeScene()
    again = host.loadModule(Path(__file__).parents[2] / "SuggestiveAnnotation" / "SuggestiveAnnotation.py").workspace
    again.openStudy(path)
    host.waitUntil(lambda: again.views.shownSlice() == first, 30, "the slice that was open")
    host.pump(0.1)
    assert look(again) == pytest.approx(AS_SET)
    matrix = slicer.util.arrayFromVTKMatrix(node(SLICE).GetXYToRAS())
    assert np.linalg.norm(matrix[:3, 0]) == pytest.approx(np.linalg.norm(matrix[:3, 1]), rel=1e-6)
    host.window.resize(1280, 820)


def test_the_zoom_of_the_other_view_belongs_to_its_sequence(host: Any, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    files = tmp_path / "cohort"
    files.mkdir()
    case = write_case(files, "case0", seed=0)
    case.images["t2"] = case.images["flair"]
    study = Study.create(tmp_path / "study", name="three", cases=[case], schema=SCHEMA, modalities=("t1", "flair", "t2"), reference="t1")
    with study.lock():
        prepare(study, plane="axial", pixels=32)
    opened(with_round(study))
    node(OTHER).SetXYZOrigin(5.0, 0.0, 0.0)
    press(host, "K")
    node(OTHER).SetXYZOrigin(-6.0, 0.0, 0.0)
    press(host, "K")
    assert node(OTHER).GetXYZOrigin()[0] == pytest.approx(5.0)
    press(host, "K")
    assert node(OTHER).GetXYZOrigin()[0] == pytest.approx(-6.0)


def test_the_slice_comes_back_after_the_scene_was_closed(host: Any, workspace: Any) -> None:
    here = workspace.current
    set_look(workspace)
    host.closeScene()
    host.waitUntil(lambda: workspace.views.shownSlice() == here, 30, "the slice")
    assert arrangement() == 5371
    assert look(workspace) == pytest.approx(AS_SET)


def test_a_first_case_is_fitted_to_the_views(workspace: Any) -> None:
    """Nothing of the 48 mm high and 40 mm wide slices is cut off."""
    for name in (SLICE, OTHER):
        across, up, _ = node(name).GetFieldOfView()
        assert across >= 39.9
        assert up >= 47.9
        assert max(across / 40, up / 48) < 4
