"""The module's layout where Slicer changes it too: a view that was maximised, a scene that brings a layout, volumes over the image."""

from __future__ import annotations

from typing import Any

import pytest
from panel_reader import A, B
from panel_study import square
from Support.panel_hands import press

SLICE, OTHER, ORTHOGONAL = "SuggestiveSlice", "SuggestiveOther", "SuggestiveOrtho1"


def node(name: str) -> Any:
    import slicer

    return slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()


def layout_node() -> Any:
    import slicer

    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def maximise(host: Any, name: str) -> None:
    """What a double click on a view does (vtkMRMLSliceIntersectionWidget::ProcessMaximizeView)."""
    layout_node().AddMaximizedViewNode(node(name))
    host.pump(0.2)


def test_in_the_other_sequence_maximised_slices_are_seen_and_accepted(host: Any, reader: Any) -> None:
    maximise(host, OTHER)
    assert not node(SLICE).IsViewVisibleInLayout()
    for _slice in range(2):
        press(host, "N")
        open_slice = reader.workspace.current
        host.waitUntil(lambda ref=open_slice: ref in reader.workspace.views.displayed, 30, "the slice")
        reader.workspace.sync.write(open_slice, square(1))
        host.waitUntil(lambda: reader.ui.acceptButton.enabled, 30, "the button")
        assert reader.section.obstacle() == ""
    accepted = reader.workspace.current
    host.click(reader.ui.acceptButton)
    assert reader.state(accepted) == "accepted"
    # The reader's choice stays.
    assert layout_node().GetNumberOfMaximizedViewNodes() == 1


@pytest.mark.parametrize("key", ["J", "N"])
def test_a_view_across_the_slices_maximised_gives_way_to_the_slice(host: Any, reader: Any, key: str) -> None:
    maximise(host, ORTHOGONAL)
    reader.workspace.views.displayed.clear()
    assert reader.section.obstacle() == "Slice 4 has not been shown yet, and its views are hidden now. Bring them back (J)."
    press(host, key)
    assert layout_node().GetNumberOfMaximizedViewNodes() == 0
    host.waitUntil(lambda: reader.workspace.current in reader.workspace.views.displayed, 30, "the slice")
    assert reader.workspace.current == {"J": A, "N": B}[key]
    assert reader.section.obstacle() == ""


def test_nothing_is_accepted_while_a_view_across_the_slices_is_maximised(host: Any, reader: Any) -> None:
    host.waitUntil(reader.ui.acceptButton.isEnabled, 30, "the slice")
    maximise(host, ORTHOGONAL)
    said = "The views along the slices are hidden. Bring them back (J)."
    host.waitUntil(lambda: reader.ui.guidance.text == said, 3, "the refusal")
    for answer in (reader.section.acceptAndNext, reader.panel.sections[2].markEmpty):
        answer()
        assert reader.said[-1] == ("warning", said)
    assert reader.workspace.study.annotations() == ()
    press(host, "J")
    host.waitUntil(reader.ui.acceptButton.isEnabled, 30, "the slice")


def test_a_scene_saved_with_the_module_open_does_not_leave_its_layout_behind(host: Any, panel: Any) -> None:
    import slicer

    four_up, one_up = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView, slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    for before, after in ((None, four_up), (one_up, one_up)):
        host.exit("SuggestiveAnnotation")
        if before is None:
            qt_settings().remove("SuggestiveAnnotation/LayoutBefore")
        else:
            slicer.app.layoutManager().setLayout(before)
            host.enter("SuggestiveAnnotation")
        # What the layout node of such a scene says.
        slicer.app.layoutManager().setLayout(5371)
        host.enter("SuggestiveAnnotation")
        host.exit("SuggestiveAnnotation")
        assert layout_node().GetViewArrangement() == after
        host.enter("SuggestiveAnnotation")


def qt_settings() -> Any:
    import qt

    return qt.QSettings()


@pytest.mark.parametrize("away", [True, False], ids=["in another module", "in this module"])
@pytest.mark.parametrize("layer", ["foreground", "label"])
def test_a_volume_over_the_case_counts_as_nothing_displayed_and_is_taken_off(host: Any, reader: Any, layer: str, away: bool) -> None:
    import slicer

    workspace = reader.workspace
    kind = "vtkMRMLLabelMapVolumeNode" if layer == "label" else "vtkMRMLScalarVolumeNode"
    stranger = slicer.mrmlScene.AddNewNodeByClass(kind, "stranger")
    before = set(workspace.views.displayed)
    if away:
        host.exit("SuggestiveAnnotation")
    # As the entries "show as foreground" and "show as label" of the Data module do.
    slicer.util.setSliceViewerLayers(**{layer: stranger, f"{layer}Opacity": 0.5})
    widgets = [slicer.app.layoutManager().sliceWidget(name) for name in (SLICE, OTHER, ORTHOGONAL)]
    if away:
        host.enter("SuggestiveAnnotation")
    else:
        assert workspace.views.shownSlice() is None
        assert reader.section.obstacle() == "The large view shows no slice of this case. Bring the suggested slice back (J)."
        reader.scroll(B)
        assert workspace.views.displayed == before
        press(host, "J")
    assert workspace.views.shownSlice() == workspace.current
    for composite in (widget.mrmlSliceCompositeNode() for widget in widgets):
        assert not composite.GetForegroundVolumeID()
        assert composite.GetForegroundOpacity() == 0
        assert not composite.GetLabelVolumeID()
