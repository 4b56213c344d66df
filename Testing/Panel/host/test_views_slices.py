"""Slice views of the host: wheel, keys, links, actors, and how fast they are."""

from __future__ import annotations

import time

import numpy as np
import pytest


def turn(view, forward=True):
    """Turn the mouse wheel once."""
    from PySide6 import QtCore, QtGui

    place, step = QtCore.QPointF(80, 80), QtCore.QPoint(0, 120 if forward else -120)
    event = QtGui.QWheelEvent(
        place, place, QtCore.QPoint(), step, QtCore.Qt.NoButton, QtCore.Qt.NoModifier, QtCore.Qt.NoScrollPhase, False
    )  # fmt: skip
    QtCore.QCoreApplication.sendEvent(view, event)


def offset(stage, name="Red"):
    return stage.layout.sliceWidget(name).sliceLogic().GetSliceOffset()


def picture(stage, name="Red"):
    """What the view shows, (row, column, 3)."""
    view = stage.view(name)
    view.forceRender()
    image = view._image
    return (
        np.frombuffer(image.constBits(), np.uint8)
        .reshape(image.height(), image.bytesPerLine())[:, : 3 * image.width()]
        .reshape(image.height(), image.width(), 3)
    )


def test_the_wheel_and_the_arrows_scroll_by_one_slice(stage):
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    assert offset(stage) == pytest.approx(0)
    turn(stage.view("Red"))
    assert offset(stage) == pytest.approx(2)
    turn(stage.view("Red"), forward=False)
    QTest.keyClick(stage.view("Red"), QtCore.Qt.Key_Left)
    assert offset(stage) == pytest.approx(-2)
    QTest.keyClick(stage.view("Red"), QtCore.Qt.Key_Up)
    assert offset(stage) == pytest.approx(0)


def test_linked_views_follow_the_person_but_not_a_program(stage):
    node = stage.layout.layoutLogic().GetLayoutNode()
    axial = '<property name="orientation" action="default">Axial</property>'
    view = f'<item><view class="vtkMRMLSliceNode" singletontag="{{}}">{axial}</view></item>'
    node.AddLayoutDescription(7001, f'<layout type="horizontal">{view.format("Red")}{view.format("HostSecond")}</layout>')
    stage.layout.setLayout(7001)
    stage.show(stage.volume)
    for name in ("Red", "HostSecond"):
        stage.layout.sliceWidget(name).mrmlSliceCompositeNode().SetLinkedControl(1)
    logic = stage.layout.sliceWidget("Red").sliceLogic()
    logic.SetSliceOffset(4)
    assert offset(stage, "HostSecond") == pytest.approx(0)
    logic.StartSliceOffsetInteraction()
    logic.SetSliceOffset(6)
    logic.EndSliceOffsetInteraction()
    assert offset(stage, "HostSecond") == pytest.approx(6)
    turn(stage.view("Red"))
    assert offset(stage, "HostSecond") == pytest.approx(8)
    for name in ("Red", "HostSecond"):
        stage.layout.sliceWidget(name).mrmlSliceCompositeNode().SetLinkedControl(0)


def test_an_actor_in_the_first_renderer_outlives_slice_volume_layout_and_scene(stage):
    import vtk

    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for x, y in ((20, 20), (60, 20), (60, 60), (20, 60)):
        points.InsertNextPoint(x, y, 0)
    lines.InsertNextCell(4, [0, 1, 2, 3])
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(lines)
    mapper = vtk.vtkPolyDataMapper2D()
    mapper.SetInputData(data)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(1, 0, 1)
    renderer = stage.view("Red").renderWindow().GetRenderers().GetFirstRenderer()
    renderer.AddViewProp(actor)

    def seen():
        image = picture(stage)
        return (image[image.shape[0] - 1 - 40, 40] == (255, 0, 255)).all()

    assert seen()
    turn(stage.view("Red"))
    assert seen()
    stage.layout.setLayout(stage.slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    stage.host.pump(0.05)
    assert seen()
    stage.scene.Clear(0)
    stage.host.pump(0.05)
    assert seen()
    assert renderer.HasViewProp(actor)
    renderer.RemoveViewProp(actor)
    assert not seen()


def test_the_view_shows_the_volume_and_the_segments(stage):
    before = picture(stage).astype(int)
    assert before.max() > 100, "the volume is drawn"
    square = np.zeros(stage.mask("a").shape, bool)
    square[10, 20:44, 20:44] = True
    stage.fill("a", square)
    stage.host.pump(0.1)
    after = picture(stage).astype(int)
    reddened = (after[..., 0] - after[..., 1]) > 20
    assert reddened.sum() > 1000
    assert not ((before[..., 0] - before[..., 1]) > 20).any()


def test_the_image_is_seen_through_labels_that_were_there_first(stage):
    axial = '<property name="orientation" action="default">Axial</property>'
    layout = f'<layout><item><view class="vtkMRMLSliceNode" singletontag="HostLate">{axial}</view></item></layout>'
    stage.layout.layoutLogic().GetLayoutNode().AddLayoutDescription(7003, layout)
    stage.fill("a", np.ones((20, 64, 64), bool))
    stage.segmentation.GetDisplayNode().SetOpacity2DFill(0.3)
    stage.layout.setLayout(7003)
    stage.host.pump(0.1)
    picture(stage, "HostLate")
    stage.show(stage.volume)
    shown = picture(stage, "HostLate")
    middle = shown[shown.shape[0] // 2 - 20 : shown.shape[0] // 2 + 20, shown.shape[1] // 2 - 20 : shown.shape[1] // 2 + 20]
    # The red of the segment alone would be one colour.
    assert len(np.unique(middle[..., 1])) > 10
    assert middle[..., 0].mean() > middle[..., 1].mean() + 20


def test_the_slider_of_the_bar_moves_the_slice(stage):
    widget = stage.layout.sliceWidget("Red")
    widget.sliceController().setSliceOffsetValue(6)
    assert offset(stage) == pytest.approx(6)
    stage.host.pump(0.05)
    slider = stage.slicer.util.findChild(widget, "SliceOffsetSlider")
    assert slider.maximum == 19
    slider.setValue(0)
    assert offset(stage) == pytest.approx(-20)


def test_orientation_and_label_are_attributes_and_unknown_ones_fail(stage):
    widget = stage.layout.sliceWidget("Green")
    assert widget.sliceOrientation == "Coronal"
    assert widget.sliceViewLabel == "G"
    widget.setSliceOrientation("Axial")
    assert widget.mrmlSliceNode().GetOrientation() == "Axial"
    widget.setSliceOrientation("Coronal")
    with pytest.raises(AttributeError):
        widget.sliceView().mrmlSliceNode()
    with pytest.raises(AttributeError):
        widget.setOffset(3)


def test_paused_rendering_waits(stage):
    view = stage.view("Red")
    before = picture(stage)
    stage.layout.pauseRender()
    stage.layout.sliceWidget("Red").sliceLogic().SetSliceOffset(8)
    stage.host.pump(0.1)
    assert np.array_equal(before, np.array(picture(stage)))
    stage.layout.resumeRender()
    stage.host.waitUntil(lambda: not np.array_equal(before, picture(stage)), 20, "the picture of the other slice")
    assert not view.isRenderPaused()


def test_scrolling_and_painting_a_large_volume_are_fluent(booted, make_stage):
    """At most 60 ms of the processor a frame on 256 x 256 x 150, for half of the frames at least; other work does not count."""
    from PySide6 import QtCore
    from PySide6.QtTest import QTest

    stage = make_stage((150, 256, 256))
    scrolled = []
    for step in range(20):
        start = time.process_time()
        stage.layout.sliceWidget("Red").sliceLogic().SetSliceOffset(2.0 * step)
        stage.host.pump(0)
        scrolled.append(time.process_time() - start)
    stage.layout.sliceWidget("Red").sliceLogic().SetSliceOffset(0)
    stage.brush("Paint", 20)
    view, painted = stage.view("Red"), []
    places = [stage.host.place("Red", (-60 + 6 * step, 0, 0)) for step in range(20)]
    QTest.mousePress(view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, places[0])
    for place in places[1:]:
        start = time.process_time()
        QTest.mouseMove(view, place)
        stage.host.pump(0)
        painted.append(time.process_time() - start)
    QTest.mouseRelease(view, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, places[-1])
    assert stage.mask("a").sum() > 1000
    assert np.median(scrolled) <= 0.06, scrolled
    assert np.median(painted) <= 0.06, painted
