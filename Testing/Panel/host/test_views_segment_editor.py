"""The segment editor of the host changes what the mouse passes over, and tells of it as Slicer's does."""

from __future__ import annotations

import numpy as np
import pytest

K = 10


def disc(stage, points: list[tuple[float, float]], diameter: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of slice 10 certainly under a brush that goes through the points, and those possibly under it."""
    rows, columns = np.mgrid[: stage.mask("a").shape[1], : stage.mask("a").shape[2]]
    r, a = stage.matrix[0, 3] - columns, stage.matrix[1, 3] - rows
    distance = np.full(rows.shape, np.inf)
    for (r0, a0), (r1, a1) in zip(points, points[1:] or points, strict=False):
        length = max((r1 - r0) ** 2 + (a1 - a0) ** 2, 1e-9)
        along = np.clip(((r - r0) * (r1 - r0) + (a - a0) * (a1 - a0)) / length, 0, 1)
        distance = np.minimum(distance, np.hypot(r - r0 - along * (r1 - r0), a - a0 - along * (a1 - a0)))
    return distance <= diameter / 2 - 1.5, distance <= diameter / 2 + 1.5


def test_a_stroke_paints_what_lies_under_the_brush_in_the_shown_slice(stage):
    stage.brush("Paint", 8)
    points = [(-10.0, -5.0), (0.0, -5.0), (10.0, 5.0)]
    stage.drag(*points)
    mask = stage.mask("a")
    surely, possibly = disc(stage, points, 8)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [K]
    assert mask[K][surely].all()
    assert not mask[K][~possibly].any()
    assert surely.sum() > 50
    assert not stage.mask("b").any()


def test_a_stroke_tells_once_of_changed_content(stage):
    stage.brush("Paint", 6)
    stage.taken()
    stage.drag((-8, 0), (0, 0), (8, 0))
    assert stage.taken()["content"] == 1
    stage.brush("Erase", 6)
    stage.drag((-8, 0), (0, 0))
    assert stage.taken() == {"content": 1}


def test_painting_one_segment_takes_voxels_from_the_other_in_the_same_layer(stage):
    stage.brush("Paint", 8)
    stage.drag((-10, 0), (10, 0))
    before = stage.mask("a")
    stage.editor.setCurrentSegmentID("b")
    stage.drag((0, -10), (0, 10))
    a, b = stage.mask("a"), stage.mask("b")
    assert b.any()
    assert not (a & b).any()
    assert ((a | b)[before]).all()
    assert (before & b).any()
    assert stage.segmentation.GetSegmentation().GetNumberOfLayers() == 1


def test_erasing_takes_from_the_chosen_segment_only(stage):
    stage.brush("Paint", 8)
    stage.drag((-10, 0), (10, 0))
    stage.editor.setCurrentSegmentID("b")
    stage.drag((-10, 12), (10, 12))
    b = stage.mask("b")
    stage.editor.setCurrentSegmentID("a")
    stage.brush("Erase", 8)
    before = stage.mask("a")
    stage.drag((0, 0), (10, 0), (10, 12))
    surely, _ = disc(stage, [(0, 0), (10, 0)], 8)
    assert not stage.mask("a")[K][surely].any()
    assert stage.mask("a").any()
    assert (stage.mask("a") & ~before).sum() == 0
    assert np.array_equal(stage.mask("b"), b)


def test_undo_and_redo_bring_voxels_back_and_tell_only_of_the_segments(stage):
    stage.brush("Paint", 8)
    stage.drag((-10, 0), (10, 0))
    first = stage.mask("a")
    stage.drag((-10, 10), (10, 10))
    second = stage.mask("a")
    stage.taken()
    stage.editor.undo()
    assert np.array_equal(stage.mask("a"), first)
    events = stage.taken()
    assert "content" not in events
    assert events["segment"] >= 1
    stage.editor.redo()
    assert np.array_equal(stage.mask("a"), second)
    assert "content" not in stage.taken()


def test_enabling_undo_forgets_what_could_be_undone(stage):
    stage.brush("Paint", 8)
    stage.drag((-10, 0), (10, 0))
    painted = stage.mask("a")
    stage.editor.setUndoEnabled(True)
    stage.editor.undo()
    assert np.array_equal(stage.mask("a"), painted)


def test_a_preview_stays_when_another_effect_is_chosen(stage):
    square = np.zeros(stage.mask("a").shape, bool)
    square[6, 20:40, 20:40] = square[12, 24:36, 24:36] = True
    stage.fill("a", square)
    effect = stage.activate("Fill between slices")
    effect.self().onPreview()
    assert stage.node.GetNodeReference("SegmentationResultPreview") is not None
    assert stage.node.GetAttribute("SegmentationResultPreviewOwnerEffect") == "Fill between slices"
    stage.activate("Paint")
    assert stage.node.GetNodeReference("SegmentationResultPreview") is not None
    effect.self().onCancel()
    assert stage.node.GetNodeReference("SegmentationResultPreview") is None
    assert np.array_equal(stage.mask("a"), square)


def test_a_saved_state_is_where_undo_of_a_programmatic_edit_leads(stage):
    stage.brush("Paint", 8)
    stage.drag((-10, 0), (10, 0))
    painted = stage.mask("a")
    stage.editor.saveStateForUndo()
    stage.fill("a", np.zeros_like(painted))
    assert not stage.mask("a").any()
    stage.editor.undo()
    assert np.array_equal(stage.mask("a"), painted)


def test_the_sphere_brush_reaches_the_neighbouring_slices(stage):
    stage.brush("Paint", 12)
    stage.editor.activeEffect().setCommonParameter("BrushSphere", 1)
    stage.drag((0, 0))
    touched = np.flatnonzero(stage.mask("a").any(axis=(1, 2)))
    # 12 mm across, slices 2 mm apart: the poles, 6 mm away, lie on the slices three away.
    assert touched[0] in (K - 3, K - 2)
    assert touched[-1] in (K + 2, K + 3)
    stage.editor.activeEffect().setCommonParameter("BrushSphere", 0)


def test_control_and_shift_do_not_paint_and_shift_and_wheel_changes_the_brush(stage):
    from PySide6 import QtCore, QtGui
    from PySide6.QtTest import QTest

    effect = stage.brush("Paint", 10)
    place = stage.host.place("Red", (0, 0, 0))
    QTest.mouseClick(stage.view("Red"), QtCore.Qt.LeftButton, QtCore.Qt.ShiftModifier, place)
    assert not stage.mask("a").any()
    turn = QtGui.QWheelEvent(
        QtCore.QPointF(place), QtCore.QPointF(place), QtCore.QPoint(), QtCore.QPoint(0, 120), QtCore.Qt.NoButton,
        QtCore.Qt.ShiftModifier, QtCore.Qt.NoScrollPhase, False,
    )  # fmt: skip
    QtCore.QCoreApplication.sendEvent(stage.view("Red"), turn)
    assert effect.doubleParameter("BrushAbsoluteDiameter") == pytest.approx(12)
    assert stage.layout.sliceWidget("Red").sliceLogic().GetSliceOffset() == pytest.approx(0)


def test_fill_between_slices_fills_the_gap_and_tells_of_it_twice_a_segment(stage):
    square = np.zeros(stage.mask("a").shape, bool)
    square[6, 20:40, 20:40] = True
    square[12, 24:36, 24:36] = True
    stage.fill("a", square)
    other = np.zeros_like(square)
    other[6, 50:56, 50:56] = other[12, 50:56, 50:56] = True
    stage.fill("b", other)
    effect = stage.activate("Fill between slices")
    button = stage.slicer.util.findChild(stage.editor, "SegmentEditorFillBetweenSlicesEffectPreview")
    stage.host.click(button)
    assert np.array_equal(stage.mask("a"), square), "the preview changes nothing"
    stage.taken()
    stage.host.click(stage.slicer.util.findChild(stage.editor, "SegmentEditorFillBetweenSlicesEffectApply"))
    assert stage.taken()["content"] == 4
    filled = stage.mask("a")
    assert filled[6:13].any(axis=(1, 2)).all()
    assert np.array_equal(filled[6], square[6])
    assert np.array_equal(filled[12], square[12])
    assert filled[9, 26:34, 26:34].all()
    assert not filled[9, :18].any()
    assert effect.self() is effect


def test_draw_fills_the_outline_when_the_right_button_ends_it(stage):
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    stage.activate("Draw")
    for point in ((-10, -10), (10, -10), (10, 10), (-10, 10)):
        QTest.mouseClick(stage.view("Red"), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, stage.host.place("Red", (*point, 0)))
    assert not stage.mask("a").any(), "nothing before it is ended"
    QTest.mouseClick(stage.view("Red"), QtCore.Qt.RightButton, QtCore.Qt.NoModifier, stage.host.place("Red", (0, 0, 0)))
    mask = stage.mask("a")
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [K]
    assert 19**2 <= mask.sum() <= 22**2


def test_scissors_cut_through_every_slice(stage):
    stage.fill("a", np.ones(stage.mask("a").shape, bool))
    stage.activate("Scissors")
    stage.drag((-10, -10), (10, -10), (10, 10), (-10, 10))
    mask = stage.mask("a")
    assert not mask[:, 26:38, 26:38].any()
    assert mask[:, :20].all()
    assert mask[:, 44:].all()


def test_threshold_sets_the_range_and_islands_keep_the_largest(stage):
    effect = stage.activate("Threshold")
    effect.setParameter("MinimumThreshold", 95.0)
    effect.setParameter("MaximumThreshold", 110.0)
    effect.self().onApply()
    image = stage.slicer.util.arrayFromVolume(stage.volume)
    assert np.array_equal(stage.mask("a"), (image >= 95) & (image <= 110))
    two = np.zeros(image.shape, bool)
    two[5, 10:30, 10:30] = True
    two[5, 40:45, 40:45] = True
    stage.fill("a", two)
    islands = stage.activate("Islands")
    assert islands.parameter("Operation") == "KEEP_LARGEST_ISLAND"
    islands.setParameter("MinimumSize", 1)
    islands.self().onApply()
    assert stage.mask("a").sum() == 400


def test_smoothing_takes_a_lone_voxel_away(stage):
    lone = np.zeros(stage.mask("a").shape, bool)
    lone[5:15, 10:40, 10:40] = True
    lone[3, 50, 50] = True
    stage.fill("a", lone)
    effect = stage.activate("Smoothing")
    effect.setParameter("KernelSizeMm", 3.0)
    effect.self().onApply()
    assert not stage.mask("a")[3, 50, 50]
    assert stage.mask("a")[8, 20, 20]


def test_a_hidden_segment_is_not_painted(stage):
    stage.brush("Paint", 8)
    stage.segmentation.GetDisplayNode().SetSegmentVisibility("a", False)
    stage.drag((-5, 0), (5, 0))
    assert not stage.mask("a").any()


def test_nothing_can_be_edited_without_a_source_volume_or_when_read_only(stage):
    stage.editor.setReadOnly(True)
    button = stage.slicer.util.findChild(stage.editor, "Paint")
    assert not button.isEnabled()
    stage.editor.setReadOnly(False)
    assert button.isEnabled()
    stage.host.click(button)
    assert stage.editor.activeEffect().name == "Paint"
    assert stage.node.GetActiveEffectName() == "Paint"
    stage.editor.setReadOnly(True)
    assert stage.editor.activeEffect() is None


def test_the_editor_that_got_its_node_before_its_scene_shows_no_segmentation(stage):
    editor = stage.slicer.qMRMLSegmentEditorWidget()
    node = stage.scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.setMRMLSegmentEditorNode(node)
    editor.setMRMLScene(stage.scene)
    editor.setSegmentationNode(stage.segmentation)
    assert editor.segmentationNode() is None
    editor.deleteLater()


def test_the_editor_survives_the_end_of_the_scene(stage):
    stage.brush("Paint", 8)
    stage.scene.Clear(0)
    assert stage.editor.segmentationNode() is None
    assert stage.editor.activeEffect() is None
    assert stage.editor.mrmlSegmentEditorNode() is None
    stage.populate()
    stage.attach()
    stage.brush("Paint", 8)
    stage.drag((-5, 0), (5, 0))
    assert stage.mask("a").any()


def test_an_editor_node_that_outlives_the_scene_has_its_defaults_again(stage):
    made = stage.slicer.vtkMRMLSegmentEditorNode()
    made.SetSingletonTag("kept")
    node = stage.scene.AddNode(made)
    stage.editor.setMRMLSegmentEditorNode(node)
    before = node.GetAttribute("BrushAbsoluteDiameter")
    assert before
    stage.scene.Clear(0)
    assert stage.editor.mrmlSegmentEditorNode() is node
    assert node.GetAttribute("BrushAbsoluteDiameter") == before
    stage.scene.RemoveNode(node)


def test_the_segments_table_is_found_by_name_and_chooses_segments(stage):
    table = stage.slicer.util.findChild(stage.editor, "SegmentsTable")
    table.setEditTriggers(0)
    chosen = []
    assert stage.editor.connect("currentSegmentIDChanged(QString)", chosen.append)
    table.selectRow(1)
    assert chosen == ["b"]
    assert stage.editor.currentSegmentID() == "b"
    stage.editor.setCurrentSegmentID("a")
    assert stage.editor.currentSegmentID() == "a"
    assert chosen == ["b"], "Slicer tells only of a choice in the table"


def test_only_ordered_effects_are_shown_when_asked(stage):
    stage.editor.setEffectNameOrder(["Paint", "Erase"])
    stage.editor.unorderedEffectsVisible = False
    find = stage.slicer.util.findChild
    assert not find(stage.editor, "Paint").isHidden()
    assert find(stage.editor, "Threshold").isHidden()


def test_methods_and_attributes_that_slicer_lacks_fail(stage):
    with pytest.raises(AttributeError):
        stage.editor.setMasterNode(None)
    with pytest.raises(AttributeError):
        stage.editor.nodeOfMine = 1
    stage.brush("Paint", 8)
    with pytest.raises(AttributeError):
        stage.editor.activeEffect().self()
    with pytest.raises(TypeError):
        stage.editor.readOnly()


def test_the_editor_installs_the_keys_that_slicers_does(stage):
    from SlicerHost.views.segment_editor_keys import EDITOR_KEYS

    stage.editor.installKeyboardShortcuts()
    installed = stage.editor._shortcuts.sequences()
    assert len(installed) == len(set(installed)) == 35
    assert set(installed) == set(EDITOR_KEYS)
    stage.editor.uninstallKeyboardShortcuts()
    assert stage.editor._shortcuts.sequences() == ()


def test_the_source_volume_appears_in_views_that_show_another(stage):
    other = stage.slicer.util.addVolumeFromArray(np.zeros((20, 64, 64), np.int16), name="other")
    composite = stage.layout.sliceWidget("Green").mrmlSliceCompositeNode()
    composite.SetBackgroundVolumeID(other.GetID())
    stage.editor.setSourceVolumeNode(other)
    assert stage.layout.sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID() == other.GetID()
    stage.editor.autoShowSourceVolumeNode = False
    stage.editor.setSourceVolumeNode(stage.volume)
    assert composite.GetBackgroundVolumeID() == other.GetID()
