"""Correcting and accepting in the panel, by mouse, keys and buttons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_reader import OTHER, PREDICTED, SLICE, A, B, C, Reader
from panel_study import add_round, square


def test_a_stroke_is_painted_where_the_mouse_went_and_accepted_as_it_is(reader: Reader) -> None:
    reader.brush(segment="value-4")
    reader.drag((30, 12), (30, 28))
    painted = reader.labels()
    assert (painted[30, 14:27] == 4).all()
    assert (painted[12:22, 10:20] == 1).all()
    assert painted[40:].max() == 0
    assert reader.state(A) == "suggested"
    reader.host.press("Ctrl+Return")
    assert reader.state(A) == "accepted"
    assert reader.workspace.current == B
    (annotation,) = reader.workspace.study.annotations()
    assert np.array_equal(annotation.labels, painted)
    assert annotation.provenance == "corrected"
    assert "corrected" in reader.ui.effortLabel.text
    assert "pixels added, 0 removed" in reader.ui.effortLabel.text


def test_retained_contour_of_a_known_correction(reader: Reader) -> None:
    # The square moves one column: 18 of the 40 mm of its outline stay, the top and bottom edges less one each.
    reader.workspace.sync.write(A, square(1, left=11))
    reader.host.click(reader.ui.acceptButton)
    assert reader.ui.effortLabel.text.startswith("Accepted slice 4: corrected. 45% of your contour was in the pre-annotation")
    assert "10 pixels added, 10 removed" in reader.ui.effortLabel.text
    reader.host.pump(0.5)  # Longer than a double click.
    reader.host.click(reader.ui.acceptButton)
    assert "Accepted slice 6: unchanged. 100%" in reader.ui.effortLabel.text
    reader.host.waitUntil(lambda: reader.workspace.current in reader.workspace.views.displayed, 3)
    assert not reader.ui.acceptButton.isEnabled()
    reader.workspace.sync.write(C, square(1))
    reader.host.waitUntil(reader.ui.acceptButton.isEnabled, 3)
    reader.host.pump(0.5)
    reader.host.click(reader.ui.acceptButton)
    assert reader.ui.effortLabel.text == "Accepted slice 8: drawn from scratch. There was no pre-annotation to compare with."


def test_erasing_and_the_ignore_brush(reader: Reader) -> None:
    reader.brush("Erase", diameter=4)
    reader.drag((16, 10), (16, 20))
    assert (reader.labels()[16, 11:19] == 0).all()
    reader.host.click(reader.ui.ignoreButton)
    assert reader.editor.currentSegmentID() == "ignore"
    reader.brush(segment="ignore", diameter=4)
    reader.drag((20, 8), (20, 22))
    assert (reader.labels()[20, 9:21] == 255).all()
    reader.host.click(reader.ui.acceptButton)
    (annotation,) = reader.workspace.study.annotations()
    assert set(np.unique(annotation.labels)) == {0, 1, 255}


def test_a_structure_cleared_by_the_tables_menu_is_accepted_as_cleared(reader: Reader) -> None:
    import slicer

    slicer.util.findChild(reader.editor, "SegmentsTableView").clearSelectedSegments()
    reader.host.press("Ctrl+Return")
    (annotation,) = reader.workspace.study.annotations()
    assert annotation.ref == A
    assert annotation.provenance == "empty"
    assert not annotation.labels.any()
    assert reader.ui.effortLabel.text.startswith("Accepted slice 4: empty. ")


def test_every_obstacle_has_its_sentence(reader: Reader) -> None:
    import slicer

    ui, workspace = reader.ui, reader.workspace
    assert ui.acceptButton.isEnabled()
    node = workspace.scene.segmentation
    node.GetSegmentation().AddEmptySegment("Segment_1", "my own", [1, 0, 0])
    reader.host.waitUntil(lambda: not ui.acceptButton.isEnabled(), 3, "the foreign segment")
    assert "my own" in ui.guidance.text
    reader.host.press("Ctrl+Return")
    assert reader.state(A) == "suggested"
    assert reader.said[-1] == ("warning", ui.guidance.text)
    node.GetSegmentation().RemoveSegment("Segment_1")
    reader.host.waitUntil(lambda: ui.acceptButton.isEnabled(), 3, "the way free")
    workspace.views.displayed.discard(A)
    reader.host.waitUntil(lambda: "has not been shown" in ui.guidance.text, 3)
    workspace.views.displayed.add(A)
    view = slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode()
    view.SetOrientation("Sagittal")
    reader.host.waitUntil(lambda: "shows no slice of this case" in ui.guidance.text, 3)
    reader.host.press("J")
    reader.host.waitUntil(lambda: ui.acceptButton.isEnabled(), 3, "the slice again")
    node.GetSegmentation().RemoveSegment("value-4")
    assert reader.section.obstacle() == "The segment right lobe was removed; it is being put back."
    reader.host.waitUntil(lambda: not reader.section.obstacle(), 3, "the segment again")
    slicer.mrmlScene.RemoveNode(node)
    reader.host.waitUntil(lambda: "being loaded" in ui.guidance.text, 3)
    workspace.closeStudy()
    assert ui.guidance.text == "Open a study first."
    assert not ui.acceptButton.isEnabled()


@pytest.mark.parametrize("way", ["button", "undo"])
def test_what_was_split_off_into_segments_of_its_own_is_no_work_and_can_be_put_back(reader: Reader, way: str) -> None:
    island = square(1)
    island[30:36, 25:31] = 1
    reader.workspace.sync.write(A, island)
    reader.workspace.saveNow()
    assert not reader.ui.putBackButton.isVisible()
    effect = reader.effect("Islands")
    effect.setParameter("Operation", "SPLIT_ISLANDS_TO_SEGMENTS")
    effect.setParameter("MinimumSize", 0)
    effect.self().onApply()
    reader.host.waitUntil(reader.ui.putBackButton.isVisible, 3, "the way out")
    assert "left lobe_2" in reader.ui.guidance.text
    assert "Ctrl+Z" in reader.ui.guidance.text
    reader.workspace.saveNow()
    (draft,) = reader.workspace.session.drafts()
    assert np.array_equal(draft.labels, island)
    if way == "button":
        reader.host.click(reader.ui.putBackButton)
    else:
        reader.editor.undo()
    reader.host.waitUntil(lambda: not reader.ui.putBackButton.isVisible(), 3, "the end of it")
    reader.host.pump(0.4)
    assert reader.section.obstacle() == ""
    assert np.array_equal(reader.labels(A), island)
    assert np.array_equal(reader.labels(B), PREDICTED[B])
    reader.host.click(reader.ui.acceptButton)
    (annotation,) = reader.workspace.study.annotations()
    assert np.array_equal(annotation.labels, island)


def test_a_preview_goes_with_its_case_and_cannot_be_applied_to_another(reader: Reader) -> None:
    import slicer

    def segmentations() -> tuple[int, int]:
        kinds = ("vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode")
        return tuple(slicer.mrmlScene.GetNumberOfNodesByClass(kind) for kind in kinds)

    node, before = reader.editor.mrmlSegmentEditorNode(), segmentations()
    reader.effect("Fill between slices").self().onPreview()
    assert node.GetNodeReference("SegmentationResultPreview") is not None
    reader.open(OTHER)
    assert node.GetNodeReference("SegmentationResultPreview") is None
    assert not node.GetAttribute("SegmentationResultPreviewOwnerEffect")
    assert segmentations() == before
    effect = reader.effect("Fill between slices")
    assert effect.self()._apply.isEnabled() is False
    assert reader.section.obstacle().startswith("Nothing is drawn")
    assert not reader.labels().any()


def test_a_preview_goes_when_no_slice_is_open_and_the_labels_are_opaque_again(reader: Reader) -> None:
    display = reader.workspace.scene.segmentation.GetDisplayNode()
    reader.effect("Fill between slices").self().onPreview()
    assert display.GetOpacity() < 1
    reader.workspace.openSlice(None)
    assert reader.editor.mrmlSegmentEditorNode().GetNodeReference("SegmentationResultPreview") is None
    assert display.GetOpacity() == 1


@pytest.mark.parametrize("way", ["key", "threshold"])
def test_a_mask_that_nobody_sees_is_switched_off_and_said(reader: Reader, way: str) -> None:
    node = reader.editor.mrmlSegmentEditorNode()
    reader.brush()
    if way == "key":
        reader.host.press("I")
    else:
        reader.effect("Threshold").self().onUseForPaint()
    # On a slow machine it is off again by now.
    assert "info" in [level for level, _text in reader.said]
    reader.host.waitUntil(lambda: not node.GetSourceVolumeIntensityMask(), 3, "the mask to go")
    assert reader.said[-1][0] == "warning"
    assert "Masking by intensity" in reader.said[-1][1]
    reader.brush(segment="value-4")
    # Through air, which the mask would leave out.
    reader.drag((2, 12), (2, 28))
    assert (reader.labels()[2, 14:27] == 4).all()


def test_undo_and_reopen(reader: Reader) -> None:
    reader.workspace.sync.write(A, square(4))
    reader.host.click(reader.ui.acceptButton)
    assert reader.workspace.current == B
    reader.host.click(reader.ui.undoAcceptButton)
    reader.open(A)
    assert reader.state(A) == "draft"
    assert np.array_equal(reader.labels(), square(4))
    assert not reader.ui.undoAcceptButton.isEnabled()
    reader.host.click(reader.ui.acceptButton)
    reader.open(A)
    reader.host.click(reader.ui.reopenButton)
    assert reader.state(A) == "draft"
    assert len(reader.workspace.study.annotations()) == 1
    reader.workspace.sync.write(A, square(1, side=3))
    reader.host.click(reader.ui.acceptButton)
    (annotation,) = reader.workspace.study.annotations()
    assert np.array_equal(annotation.labels, square(1, side=3))


@pytest.mark.parametrize("button", ["undoAcceptButton", "reopenButton"])
def test_nothing_is_called_answered_that_was_taken_back(reader: Reader, button: str) -> None:
    reader.workspace.session.accept({OTHER: square(4)})
    for ref in (A, B, C):
        reader.workspace.session.accept({ref: square(4)})
    reader.host.press("N")
    assert reader.panel.messageLabel.text.startswith("Every suggestion of this round is answered.")
    reader.open(C)
    reader.host.click(getattr(reader.ui, button))
    assert reader.panel.messageLabel.text == "Slice 8 is a draft again."


def test_an_undone_accept_in_an_excluded_case_says_so_and_nothing_of_it_is_accepted(reader: Reader) -> None:
    workspace, ui = reader.workspace, reader.ui
    workspace.session.accept({A: square(4)})
    workspace.session.exclude_case("case0", reason="wrong scan")
    reader.open(OTHER)
    workspace.studyChanged()
    reader.host.click(ui.undoAcceptButton)
    why = "Case case0 is excluded. Include it again in 1 to work on it."
    assert ui.effortLabel.text == f"Slice 4 is a draft again. {why}"
    assert workspace.current == OTHER
    reader.open(A)
    assert ui.guidance.text == why
    assert not ui.acceptButton.isEnabled()
    suggestions = reader.panel.sections[2].ui
    for button in (suggestions.emptyButton, suggestions.excludeCaseButton):
        assert (button.enabled, button.toolTip) == (False, why)
    reader.host.press("Ctrl+Return")
    assert reader.said[-1] == ("warning", why)
    assert workspace.study.annotations() == ()


def test_undo_in_the_editor_reaches_no_accepted_slice(reader: Reader) -> None:
    reader.brush()
    reader.drag((30, 12), (30, 28))
    painted = reader.labels()
    reader.host.press("Ctrl+Return")
    reader.open(B)
    reader.editor.undo()
    reader.host.pump(0.4)
    assert np.array_equal(reader.labels(A), painted)
    assert reader.state(A) == "accepted"


def test_undo_in_the_editor_makes_no_draft_of_what_the_study_replaced(reader: Reader) -> None:
    reader.brush()
    reader.drag((30, 12), (30, 28))
    add_round(reader.workspace.study, {A: "suggested", C: "suggested"}, {C: square(4, side=5)})
    reader.workspace.statesChanged()
    reader.editor.undo()
    reader.host.pump(0.4)
    reader.workspace.saveNow()
    assert {draft.ref for draft in reader.workspace.session.drafts()} == {A}
    assert np.array_equal(reader.labels(C), square(4, side=5))


def test_a_second_reader_reviews(reader: Reader) -> None:
    from SuggestiveAnnotationLib.session import Session

    first = Session(reader.workspace.study, annotator="Dr First")
    first.accept({A: square(4), B: square(1)})
    reader.workspace.statesChanged()
    assert reader.ui.reviewBox.isVisible()
    assert "Dr First" in reader.ui.reviewLabel.text
    assert np.array_equal(reader.labels(A), square(4))
    reader.host.type(reader.ui.noteEdit, "well drawn")
    reader.host.click(reader.ui.approveButton)
    assert reader.state(A) == "reviewed"
    assert reader.workspace.current == B
    reader.host.type(reader.ui.noteEdit, "of slice 6 alone")
    reader.open(A)
    assert reader.ui.noteEdit.text == ""
    assert reader.ui.sliceLabel.text.endswith('reader 1 approved it: "well drawn".')
    reader.host.click(reader.ui.nextReviewButton)
    assert reader.workspace.current == B
    assert reader.ui.noteEdit.text == ""
    assert not reader.ui.nextReviewButton.isEnabled()
    reader.host.type(reader.ui.noteEdit, "too small")
    reader.host.click(reader.ui.returnButton)
    assert reader.said[-1] == ("info", "No slice of another reader waits for review. Go to the next suggestion (N).")
    assert reader.workspace.current == B
    assert not reader.ui.reviewBox.isVisible()
    (review,) = [r for r in reader.workspace.study.reviews().values() if r.verdict == "returned"]
    assert review.note == "too small"
    assert first.status(B).state == "returned"


def test_what_was_said_of_a_readers_work_goes_with_the_reader(reader: Reader) -> None:
    study = reader.panel.sections[0].ui
    reader.host.click(reader.ui.acceptButton)
    assert "100% of your contour" in reader.ui.effortLabel.text
    reader.ui.noteEdit.text = "for Dr B only"
    reader.host.type(study.annotatorEdit, "Dr B")
    study.annotatorEdit.editingFinished.emit()
    assert (reader.ui.effortLabel.text, reader.ui.noteEdit.text) == ("", "")


def test_every_button_says_what_it_does(reader: Reader) -> None:
    names = ("undoAccept", "reopen", "acceptRange", "approve", "return", "accept", "drop", "putBack", "ignore", "model")
    assert [name for name in names if not getattr(reader.ui, f"{name}Button").toolTip] == []
    assert reader.ui.rangePinBox.toolTip
    assert reader.ui.noteEdit.toolTip


def test_tools_come_back_with_the_study(reader: Reader, suggested: Path) -> None:
    reader.open(B)
    reader.effect("Erase", "value-4")
    reader.workspace.closeStudy()
    assert reader.editor.segmentationNode() is None
    assert reader.editor.activeEffect() is None
    reader.workspace.openStudy(suggested)
    reader.open(B)
    assert reader.editor.currentSegmentID() == "value-4"
    assert reader.editor.activeEffect().name == "Erase"


def test_leaving_puts_the_tools_down_and_coming_back_takes_them_up(reader: Reader) -> None:
    from SlicerHost.pythonqt import Shortcut

    reader.effect("Erase", "value-4")
    reader.workspace.sync.write(A, square(4))
    taken = len([s for s in Shortcut.alive if s.key.toString() == "Esc"])
    reader.host.exit("SuggestiveAnnotation")
    assert reader.editor.activeEffect() is None
    assert len([s for s in Shortcut.alive if s.key.toString() == "Esc"]) == taken - 1
    assert [draft.ref for draft in reader.workspace.session.drafts()] == [A]
    reader.host.enter("SuggestiveAnnotation")
    reader.open(A)
    assert reader.editor.activeEffect().name == "Erase"
    assert reader.editor.currentSegmentID() == "value-4"


def test_the_scene_is_closed_and_the_slice_comes_back(reader: Reader) -> None:
    reader.brush()
    reader.drag((30, 12), (30, 28))
    painted = reader.labels()
    reader.host.closeScene()
    reader.host.waitUntil(lambda: reader.workspace.scene.segmentation is not None, what="the case")
    reader.open(A)
    assert np.array_equal(reader.labels(), painted)
    assert reader.state(A) == "draft"
    reader.brush(segment="value-4")
    reader.drag((40, 12), (40, 28))
    assert (reader.labels()[40, 14:27] == 4).all()
    reader.host.click(reader.ui.acceptButton)
    assert reader.state(A) == "accepted"


def add_scene(host: Any, folder: Path) -> None:
    """*Add data* with a scene of somebody else, in which there is a segmentation."""
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLSegmentationNode", "stranger")
    other.SetURL(str(folder / "other.mrml"))
    assert other.Commit()
    slicer.mrmlScene.SetURL(str(folder / "other.mrml"))
    assert slicer.mrmlScene.Import()


def test_nothing_is_accepted_and_the_editor_takes_the_case_up_again_after_a_scene_was_added(reader: Reader, tmp_path: Path) -> None:
    """Slicer's editor has no segmentation after an import, or the last one of the scene."""
    import slicer

    reader.brush(segment="value-4")
    reader.workspace.saveNow()
    add_scene(reader.host, tmp_path)
    assert slicer.mrmlScene.GetFirstNodeByName("stranger") is not None
    segmentation = reader.workspace.scene.segmentation
    assert reader.editor.segmentationNode() is not segmentation
    reader.section.acceptAndNext()
    assert reader.state(A) == "suggested"
    assert reader.said[-1] == ("warning", "The Segment Editor is being given the case again.")
    reader.host.waitUntil(lambda: reader.editor.segmentationNode() is segmentation, 3, "the editor")
    assert reader.section.obstacle() == ""
    assert reader.editor.sourceVolumeNode() is reader.workspace.scene.volume()
    assert (reader.editor.currentSegmentID(), reader.editor.activeEffect().name) == ("value-4", "Paint")
    reader.drag((40, 12), (40, 28))
    assert (reader.labels()[40, 14:27] == 4).all()


def test_the_gauge_is_off_until_it_is_wanted(reader: Reader) -> None:
    from SuggestiveAnnotationPanel import settings

    assert not reader.ui.gaugeBox.checked
    assert reader.ui.gaugeLabel.text == ""
    reader.host.click(reader.ui.gaugeBox)
    assert settings.gauge()
    assert reader.ui.gaugeLabel.text == "100% of the contour is the pre-annotation's."
    reader.workspace.sync.write(A, square(1, left=11))
    reader.host.waitUntil(lambda: reader.ui.gaugeLabel.text.startswith("45%"), 3, "the gauge")


def test_names_of_segments_come_back_and_segments_cannot_be_added(reader: Reader) -> None:
    import slicer

    segment = reader.workspace.scene.segmentation.GetSegmentation().GetSegment("value-1")
    slicer.util.findChild(reader.editor, "SegmentsTable").item(0, 2).setText("my own")
    assert segment.GetName() == "my own"
    reader.host.waitUntil(lambda: segment.GetName() == "left lobe", 3, "the name")
    assert reader.said[-1][0] == "warning"
    assert "belong to the study" in reader.said[-1][1]
    assert not reader.editor.addRemoveSegmentButtonsVisible
    assert not reader.editor.maskingSectionVisible
    node = reader.editor.mrmlSegmentEditorNode()
    assert node.GetOverwriteMode() == node.OverwriteAllSegments


def test_work_that_cannot_be_accepted_is_kept(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up between the draft and the accept: the sentence is shown, and the draft is there."""
    from SuggestiveAnnotationLib.errors import StorageError

    reader.workspace.sync.write(A, square(4))

    def full(*_: Any, **__: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(reader.workspace.study, "accept", full)
    reader.host.click(reader.ui.acceptButton)
    assert reader.said[-1] == ("error", "The disk is full.")
    assert reader.workspace.current == A
    (draft,) = reader.workspace.session.drafts()
    assert np.array_equal(draft.labels, square(4))
    monkeypatch.undo()
    reader.host.click(reader.ui.acceptButton)
    assert reader.state(A) == "accepted"
