"""What section 4 does not accept or does not leave, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from panel_hands import press
from panel_reader import OTHER, SLICE, A, B, C, Reader
from panel_study import square

from SuggestiveAnnotationLib.session import Session


@pytest.mark.parametrize("button", ["accept", "empty"])
def test_only_the_slice_on_the_screen_is_accepted(reader: Reader, button: str) -> None:
    reader.scroll(B)
    reader.brush(segment="value-4")
    right, anterior, _superior = reader.place(30, 12)
    height = reader.workspace.scene.centre(B)[2]
    reader.host.drag(SLICE, [(right, anterior, height), (right - 16, anterior, height)])
    reader.host.waitUntil(lambda: B in reader.workspace.sync.changedSlices(), 3, "the stroke")
    said = "The large view shows slice 6, but slice 4 is open. Go back to it (J), or click in the strip of 3 to open another."
    assert reader.ui.guidance.text == said
    assert not reader.ui.acceptButton.isEnabled()
    if button == "accept":
        reader.host.press("Ctrl+Return")
    else:
        reader.panel.sections[2].markEmpty()
    assert reader.said[-1] == ("warning", said)
    assert [reader.state(ref) for ref in (A, B)] == ["suggested", "draft"]
    assert reader.workspace.current == A
    # Opened by a click in the strip, what was drawn there is what is accepted.
    reader.open(B)
    painted = reader.labels(B)
    reader.host.press("Ctrl+Return")
    (annotation,) = reader.workspace.study.annotations()
    assert annotation.ref == B
    assert np.array_equal(annotation.labels, painted)


@pytest.mark.parametrize("name", ["emptyButton", "unreadableButton"])
def test_who_judges_a_slice_has_it_on_the_screen(reader: Reader, name: str) -> None:
    button = getattr(reader.panel.sections[2].ui, name)
    assert button.isEnabled()
    reader.scroll(B)
    assert not button.isEnabled()
    assert button.toolTip.startswith("The large view shows slice 6, but slice 4 is open")
    # To pass it over nobody needs to look at it.
    assert reader.panel.sections[2].ui.skipButton.isEnabled()
    reader.host.press("J")
    assert button.isEnabled()


def test_a_slice_on_which_nothing_was_ever_drawn_is_not_accepted_as_empty_by_the_way(reader: Reader) -> None:
    reader.open(C)
    said = "Nothing is drawn on slice 8 yet. Draw the structures, or press Empty in 3 where there are none."
    assert reader.ui.guidance.text == said
    reader.host.press("Ctrl+Return")
    assert reader.said[-1] == ("warning", said)
    assert (reader.state(C), reader.workspace.current) == ("suggested", C)
    reader.workspace.sync.write(C, square(1))
    reader.workspace.sync.write(C, square(0))
    reader.host.press("Ctrl+Return")
    assert reader.state(C) == "suggested"
    reader.host.click(reader.panel.sections[2].ui.emptyButton)
    assert reader.state(C) == "accepted"


def test_a_pre_annotation_that_was_erased_is_accepted_as_empty_also_on_another_day(reader: Reader, suggested: Path) -> None:
    reader.workspace.sync.write(A, square(0))
    reader.workspace.closeStudy()
    reader.workspace.openStudy(suggested)
    reader.open(A)
    assert reader.state(A) == "draft"
    assert reader.ui.guidance.text.startswith("Draw the structures")
    reader.host.click(reader.ui.acceptButton)
    (annotation,) = reader.workspace.study.annotations()
    assert (annotation.ref, annotation.provenance) == (A, "empty")


def _by_the_eye(reader: Reader) -> None:
    import slicer
    from PySide6 import QtCore

    table = slicer.util.findChild(reader.editor, "SegmentsTable")
    table.item(1, 0).setCheckState(QtCore.Qt.Unchecked)


def _by_the_data_tree(reader: Reader) -> None:
    reader.workspace.scene.segmentation.GetDisplayNode().SetVisibility(False)


def _by_a_folder(reader: Reader) -> None:
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "folder")
    hierarchy.CreateItem(folder, reader.workspace.scene.segmentation)
    display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLFolderDisplayNode")
    hierarchy.SetItemDataNode(folder, display)
    display.SetVisibility(False)


def _by_g(reader: Reader) -> None:
    """What the key does in a slice view."""
    reader.workspace.scene.segmentation.GetDisplayNode().SetOpacity(0.0)


def _by_the_sliders(reader: Reader) -> None:
    display = reader.workspace.scene.segmentation.GetDisplayNode()
    display.SetOpacity2DFill(0.0)
    display.SetVisibility2DOutline(False)


@pytest.mark.parametrize("way", [_by_the_eye, _by_the_data_tree, _by_a_folder, _by_g, _by_the_sliders])
def test_hidden_structures_are_not_accepted(reader: Reader, way: Callable[[Reader], None]) -> None:
    names = "right lobe" if way is _by_the_eye else "left lobe, right lobe, Ignore"
    said = f"Hidden: {names}. Press Show all structures (J) in 4 first."
    assert not reader.ui.showButton.visible
    way(reader)
    reader.host.waitUntil(lambda: reader.ui.guidance.text == said, 3, "the sentence")
    reader.host.press("Ctrl+Return")
    assert reader.said[-1] == ("warning", said)
    assert reader.state(A) == "suggested"
    reader.scroll(B)
    assert B not in reader.workspace.views.displayed
    reader.host.click(reader.ui.showButton)
    assert not reader.ui.showButton.visible
    assert reader.section.obstacle() == ""
    # What was scrolled through meanwhile was not seen.
    assert reader.section.obstacle([A, B]) == "Slice 6 has not been shown yet. Scroll through it first."
    reader.host.press("Ctrl+Return")
    assert reader.state(A) == "accepted"


@pytest.mark.parametrize("show", ["the button in 4", "the eye"])
def test_a_slice_whose_structures_are_hidden_is_not_accepted_as_empty(reader: Reader, show: str) -> None:
    import slicer
    from PySide6 import QtCore

    suggestions = reader.panel.sections[2]
    button = suggestions.ui.emptyButton
    assert A in reader.workspace.views.displayed
    assert button.isEnabled()
    _by_the_eye(reader)
    said = "Hidden: right lobe. Press Show all structures (J) in 4 first."
    # The press may come before the picture.
    suggestions.markEmpty()
    assert reader.said[-1] == ("warning", said)
    assert reader.state(A) == "suggested"
    reader.host.waitUntil(lambda: not button.isEnabled(), 3, "the refusal")
    assert button.toolTip == said
    if show == "the eye":
        slicer.util.findChild(reader.editor, "SegmentsTable").item(1, 0).setCheckState(QtCore.Qt.Checked)
    else:
        reader.host.waitUntil(lambda: reader.ui.showButton.visible, 3, "the button")
        reader.host.click(reader.ui.showButton)
    reader.host.waitUntil(button.isEnabled, 3, "the way free")
    reader.host.click(button)
    assert reader.state(A) == "accepted"


def test_one_way_to_draw_a_structure_is_enough(reader: Reader) -> None:
    display = reader.workspace.scene.segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSegmentOpacity2DFill("value-4", 0.0)
    reader.workspace.scene.toggleModelOutline()
    assert reader.section.obstacle() == ""
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(False)
    assert reader.section.obstacle().startswith("Hidden: right lobe.")
    press(reader.host, "J")
    assert reader.section.obstacle() == ""


def test_hidden_structures_are_not_judged(reader: Reader) -> None:
    Session(reader.workspace.study, annotator="Dr First").accept({A: square(4)})
    reader.workspace.statesChanged()
    reader.host.waitUntil(lambda: A in reader.workspace.views.displayed, 3, "the picture")
    _by_the_eye(reader)
    reader.section.approve()
    assert reader.said[-1] == ("warning", "Hidden: right lobe. Press Show all structures (J) in 4 first.")
    press(reader.host, "J")
    reader.section.approve()
    assert reader.state(A) == "reviewed"


def test_an_outline_that_is_not_applied_blocks(reader: Reader) -> None:
    reader.effect("Draw")
    corners = [(30.0, 10.0), (30.0, 20.0), (38.0, 20.0), (38.0, 10.0)]
    reader.drag(*corners)
    reader.host.waitUntil(lambda: not reader.ui.acceptButton.isEnabled(), 3, "the outline")
    assert "outline" in reader.ui.guidance.text
    reader.host.press("Ctrl+Return")
    assert reader.state(A) == "suggested"
    reader.editor.setActiveEffectByName("")
    reader.host.waitUntil(lambda: reader.ui.acceptButton.isEnabled(), 3, "the way free")


def test_a_slice_with_an_outline_that_is_not_applied_is_not_left(reader: Reader) -> None:
    first, suggestions = reader.panel.sections[0], reader.panel.sections[2]
    reader.effect("Draw")
    reader.drag((30.0, 10.0), (30.0, 20.0), (38.0, 20.0), (38.0, 10.0))
    before = reader.labels(B)
    ways = (
        lambda: press(reader.host, "N"),
        lambda: press(reader.host, "P"),
        lambda: reader.workspace.openSlice(OTHER),
        reader.workspace.nextToReview,
        lambda: reader.host.click(suggestions.ui.skipButton),
        lambda: reader.host.click(suggestions.ui.emptyButton),
        lambda: reader.host.click(first.ui.blindBox),
        lambda: first.openPath("/another study"),
        lambda: reader.host.click(first.ui.closeButton),
        suggestions.excludeCase,
    )
    for leave in ways:
        reader.said.clear()
        leave()
        assert reader.said[-1][1].startswith("An outline is not applied yet")
        assert (reader.workspace.current, reader.state(A)) == (A, "suggested")
    assert not first.ui.blindBox.checked
    reader.host.clickItem(suggestions.ui.suggestionTree, suggestions._items[B])
    reader.host.pump(0.2)
    assert reader.workspace.current == A
    assert suggestions._items[A].isSelected()
    press(reader.host, "Return")
    reader.host.pump(0.4)
    assert (reader.labels(A)[31:37, 12:18] == 1).all()
    assert np.array_equal(reader.labels(B), before)
    press(reader.host, "N")
    assert reader.workspace.current == B


def test_a_preview_that_is_not_applied_blocks(reader: Reader) -> None:
    effect = reader.effect("Fill between slices")
    effect.self().onPreview()
    reader.host.waitUntil(lambda: not reader.ui.acceptButton.isEnabled(), 3, "the preview")
    assert "Fill between slices" in reader.ui.guidance.text
    effect.self().onCancel()
    reader.host.waitUntil(lambda: reader.ui.acceptButton.isEnabled(), 3, "the way free")


def test_what_was_not_painted_on_the_screen_is_not_accepted(reader: Reader) -> None:
    """The event loop does not turn between the two: the second slice is open, and nobody can have seen it."""
    reader.section.acceptAndNext()
    assert reader.workspace.current == B
    reader.section.acceptAndNext()
    assert reader.workspace.current == B
    assert reader.said[-1] == ("warning", "Slice 6 has not been shown yet. Scroll through it first.")
    assert (reader.state(A), reader.state(B)) == ("accepted", "suggested")
    reader.host.waitUntil(lambda: reader.ui.acceptButton.isEnabled(), 3, "the picture")
    reader.section.acceptAndNext()
    assert reader.state(B) == "accepted"


def test_a_case_whose_images_were_moved_is_not_called_loading_and_comes_once_they_are_back(reader: Reader) -> None:
    images = Path(reader.workspace.study.case("case1").images["t1"])
    away = images.rename(images.with_name("away"))
    reader.workspace.openSlice(OTHER)
    said = "Case case1 could not be loaded. Load it again (J) once its images are there, or choose another case in 3."
    reader.host.waitUntil(lambda: reader.ui.guidance.text == said, 30, "why there is nothing to see")
    away.rename(images)
    press(reader.host, "J")
    reader.open(OTHER)
    assert "loaded" not in reader.ui.guidance.text


def test_what_another_reader_accepted_is_not_accepted_again_as_it_is(reader: Reader) -> None:
    Session(reader.workspace.study, annotator="Dr First").accept({A: square(4)})
    reader.workspace.statesChanged()
    reader.host.waitUntil(lambda: A in reader.workspace.views.displayed, 3, "the picture")
    said = "Slice 4 is as Dr First accepted it. Approve or return it below, or correct it and accept."
    reader.host.waitUntil(lambda: reader.ui.guidance.text == said, 3, "the sentence")
    reader.host.press("Ctrl+Return")
    assert reader.said[-1] == ("warning", said)
    assert not reader.section._accept([A])
    assert {a.annotator for a in reader.workspace.study.all_annotations()} == {"Dr First"}
    reader.workspace.sync.write(A, square(4, left=11))
    reader.host.press("Ctrl+Return")
    mine = [a for a in reader.workspace.study.all_annotations(ref=A) if a.annotator != "Dr First"]
    assert [(a.provenance, a.prediction_id, a.effort) for a in mine] == [("corrected", None, None)]


def test_a_key_does_nothing_while_a_note_is_typed(reader: Reader) -> None:
    Session(reader.workspace.study, annotator="Dr First").accept({B: square(4)})
    reader.open(B)
    reader.workspace.sync.write(B, square(4, left=11))
    reader.host.type(reader.ui.noteEdit, "one column")
    reader.host.press("Ctrl+Return", reader.ui.noteEdit)
    assert reader.said[-1][1].startswith("Ctrl+Return does nothing while you type.")
    assert {a.annotator for a in reader.workspace.study.all_annotations()} == {"Dr First"}


def test_what_is_judged_is_on_the_screen_as_the_other_reader_left_it(reader: Reader) -> None:
    Session(reader.workspace.study, annotator="Dr First").accept({A: square(4), B: square(1)})
    reader.workspace.statesChanged()
    reader.host.waitUntil(lambda: A in reader.workspace.views.displayed, 3, "the picture")
    # A double click: the event loop does not turn between the two.
    reader.section.approve()
    reader.section.approve()
    assert (reader.workspace.current, reader.state(A), reader.state(B)) == (B, "reviewed", "accepted")
    assert reader.said[-1] == ("warning", "The slice is not on the screen. Bring it back (J), then judge it.")
    reader.host.waitUntil(lambda: B in reader.workspace.views.displayed, 3, "the picture")
    reader.scroll(A)
    reader.section.approve()
    assert reader.state(B) == "accepted"
    reader.host.press("J")
    reader.workspace.sync.write(B, square(1, left=11))
    reader.section.approve()
    assert reader.said[-1][1].startswith("You have changed this slice.")
    assert not [one for one in reader.workspace.study.reviews().values() if one.annotation_id != 1]


def test_empty_answers_what_was_skipped(reader: Reader) -> None:
    suggestions = reader.panel.sections[2]
    reader.host.click(suggestions.ui.skipButton)
    reader.open(A)
    assert reader.state(A) == "skipped"
    reader.host.waitUntil(suggestions.ui.emptyButton.isEnabled, 3, "the way free")
    reader.host.click(suggestions.ui.emptyButton)
    assert reader.state(A) == "accepted"
