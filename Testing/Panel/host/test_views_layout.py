"""The layout manager of the host reads the real layout node."""

from __future__ import annotations

import pytest

LAYOUT = """<layout type="vertical" split="true">
<item splitSize="600"><view class="vtkMRMLSliceNode" singletontag="HostLarge">
<property name="orientation" action="default">Sagittal</property>
<property name="viewlabel" action="default">L</property><property name="viewcolor" action="default">#E17012</property></view></item>
<item splitSize="200"><layout type="horizontal" split="true">
<item splitSize="300"><view class="vtkMRMLPlotViewNode" singletontag="HostPlot"/></item>
<item splitSize="100"><view class="vtkMRMLSliceNode" singletontag="Red"/></item></layout></item></layout>"""
NUMBER = 7100


@pytest.fixture
def layout(booted):
    import slicer

    manager = slicer.app.layoutManager()
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(NUMBER, LAYOUT)
    return manager


def visible(manager):
    return {name for name in manager.sliceViewNames() if manager.sliceWidget(name).isVisible()}


def test_slicers_own_layouts_show_their_views(layout):
    import slicer

    assert layout.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert visible(layout) == {"Red", "Green", "Yellow"}
    assert layout.threeDWidget(0).isVisible()
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert visible(layout) == {"Red"}
    assert not layout.threeDWidget(0).isVisible()


def test_a_layout_of_ones_own_makes_its_views_and_keeps_to_its_sizes(booted, layout):
    seen = []

    def changed(number):
        seen.append(number)

    layout.connect("layoutChanged(int)", changed)
    layout.setLayout(NUMBER)
    booted.pump(0.1)
    layout.disconnect("layoutChanged(int)", changed)
    assert seen[-1] == NUMBER
    assert layout.layout == NUMBER
    assert visible(layout) == {"HostLarge", "Red"}
    large, red, plot = layout.sliceWidget("HostLarge"), layout.sliceWidget("Red"), _plot(layout)
    assert large.sliceOrientation == "Sagittal"
    assert large.sliceViewLabel == "L"
    assert large.mrmlSliceNode().GetLayoutColor() == pytest.approx((225 / 255, 112 / 255, 18 / 255), abs=0.01)
    assert large.height / red.height == pytest.approx(3, rel=0.05)
    assert plot.width / red.width == pytest.approx(3, rel=0.05)
    assert plot.mrmlPlotViewNode().GetSingletonTag() == "HostPlot"


def test_leaving_and_coming_back_keeps_the_same_views(booted, layout):
    before = layout.layoutLogic().GetLayoutNode().GetViewArrangement()
    layout.setLayout(NUMBER)
    large = layout.sliceWidget("HostLarge")
    layout.setLayout(before)
    assert layout.sliceWidget("HostLarge") is large
    assert not large.isVisible()
    assert "HostLarge" in layout.sliceViewNames(), "Slicer lists views that are not laid out, too"
    layout.setLayout(NUMBER)
    assert large.isVisible()
    assert large.mrmlSliceNode().IsMappedInLayout()


def test_slicers_four_views_are_equally_large_whatever_came_before(booted, layout):
    import slicer

    layout.setLayout(NUMBER)
    booted.pump(0.05)
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    booted.pump(0.05)
    red, yellow, three_d = layout.sliceWidget("Red"), layout.sliceWidget("Yellow"), layout.threeDWidget(0)
    assert abs(red.width - three_d.width) <= 2
    assert abs(red.width - yellow.width) <= 2
    assert abs(red.height - yellow.height) <= 2


def test_a_changed_description_is_laid_out_anew(layout):
    node = layout.layoutLogic().GetLayoutNode()
    layout.setLayout(NUMBER)
    node.SetLayoutDescription(
        NUMBER, '<layout type="horizontal"><item><view class="vtkMRMLSliceNode" singletontag="Green"/></item></layout>'
    )
    node.Modified()
    assert visible(layout) == {"Green"}
    node.SetLayoutDescription(NUMBER, LAYOUT)


def test_one_view_can_be_maximized(layout):
    layout.setLayout(NUMBER)
    node = layout.sliceWidget("Red").mrmlSliceNode()
    layout.addMaximizedViewNode(node)
    assert visible(layout) == {"Red"}
    layout.removeMaximizedViewNode(node)
    assert visible(layout) == {"HostLarge", "Red"}
    layout.addMaximizedViewNode(node)
    layout.setLayout(NUMBER)
    assert visible(layout) == {"Red"}
    layout.setLayout(layout.layoutLogic().GetLayoutNode().SlicerLayoutOneUpGreenSliceView)
    layout.setLayout(NUMBER)
    assert visible(layout) == {"HostLarge", "Red"}


def test_the_layout_survives_the_end_of_the_scene(booted, layout):
    import slicer

    layout.setLayout(NUMBER)
    slicer.mrmlScene.Clear(0)
    booted.pump(0.1)
    layout.setLayout(NUMBER)
    booted.pump(0.1)
    assert {"HostLarge", "Red"} <= visible(layout)
    assert layout.sliceWidget("HostLarge").sliceLogic().GetSliceNode() is layout.sliceWidget("HostLarge").mrmlSliceNode()


def test_what_the_real_one_lacks_fails(layout):
    with pytest.raises(TypeError):
        layout.layout()
    with pytest.raises(AttributeError):
        layout.setLayoutDescription(1, "")
    assert layout.sliceWidget("nobody") is None
    assert layout.plotWidget(99) is None


def _plot(manager):
    widgets = (manager.plotWidget(index) for index in range(manager.plotViewCount))
    return next(widget for widget in widgets if widget.mrmlPlotViewNode().GetName() == "HostPlot")
