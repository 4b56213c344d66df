"""Edits become drafts, and what comes from the study does not: a real scene, a real study, a real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_desk import PREDICTED, A, B, C, Desk
from panel_study import SHAPE, add_round, make_study, square

from SuggestiveAnnotationLib.types import SliceRef

OBLIQUE = tuple(float(v) for v in (np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])).ravel())


@pytest.fixture(scope="module", autouse=True)
def _imports(host: Any) -> None:
    """Slicer's modules are there once the host runs."""
    global slicer, segments
    import slicer
    from SuggestiveAnnotationPanel import segments


def test_looking_makes_no_draft(desk: Desk) -> None:
    for ref in (A, B, SliceRef("case1", 0, 4), A):
        desk.open(ref)
        desk.host.pump(0.3)
    desk.workspace.saveNow()
    assert desk.drafts() == {}
    assert all(np.array_equal(desk.labels(ref), labels) for ref, labels in PREDICTED.items())


def test_a_change_is_seen_after_a_moment_and_saved_with_the_slice(desk: Desk) -> None:
    desk.open(A)
    seen: list[int] = []
    desk.sync.edited.connect(lambda: seen.append(1))
    desk.paint(A, square(1, left=14))
    assert not seen
    desk.host.waitUntil(lambda: seen, seconds=2, what="the change")
    assert desk.sync.changedSlices() == [A]
    assert desk.drafts() == {}
    desk.open(B)
    assert list(desk.drafts()) == [A]
    assert np.array_equal(desk.drafts()[A], square(1, left=14))
    assert desk.drafts()[A].dtype == np.uint16


def test_every_slice_that_a_tool_changed_becomes_a_draft(desk: Desk) -> None:
    desk.open(A)
    for index in (2, 3, 4, 8):
        desk.paint(SliceRef("case0", 0, index), square(4, top=index))
    desk.workspace.saveNow()
    assert {ref.native_index: labels[ref.native_index, 12] for ref, labels in desk.drafts().items()} == {2: 4, 3: 4, 4: 4, 8: 4}


def test_names_colours_and_terminology_are_put_back_and_are_no_edit(desk: Desk) -> None:
    import vtk

    desk.open(A)
    edits: list[int] = []
    events: list[int] = []
    desk.sync.edited.connect(lambda: edits.append(1))
    segment = desk.node.GetSegmentation().GetSegment("value-1")
    key, entry = segment.GetTerminologyEntryTagName(), vtk.reference("")
    segment.GetTag(key, entry)
    was = str(entry)
    assert "Hippocampus" in was
    segment.SetName("my own")
    segment.SetColor(1, 1, 1)
    segment.SetTag(key, "another~entry")
    desk.node.GetSegmentation().GetSegment("ignore").SetName("my own too")
    desk.host.pump(0.4)
    segment.GetTag(key, entry)
    assert (segment.GetName(), str(entry)) == ("left lobe", was)
    assert segment.GetColor() == pytest.approx((230 / 255, 159 / 255, 0))
    assert desk.node.GetSegmentation().GetSegment("ignore").GetName() == "Ignore"
    desk.node.AddObserver(slicer.vtkSegmentation.SegmentModified, lambda *_: events.append(1))
    desk.host.pump(0.5)
    desk.workspace.saveNow()
    assert (edits, events) == ([], [])
    assert desk.drafts() == {}


def test_a_segment_removed_by_hand_is_put_back_with_its_labels(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4, left=14))
    desk.host.pump(0.4)
    segmentation = desk.node.GetSegmentation()
    order = list(segmentation.GetSegmentIDs())
    segmentation.RemoveSegment("value-1")
    segmentation.RemoveSegment("ignore")
    desk.host.pump(0.4)
    assert list(segmentation.GetSegmentIDs()) == order
    assert segmentation.GetSegment("value-1").GetName() == "left lobe"
    assert desk.said[-1][0] == "warning"
    assert np.array_equal(desk.labels(A), square(4, left=14))
    assert all(np.array_equal(desk.labels(ref), labels) for ref, labels in PREDICTED.items() if ref != A)
    desk.workspace.saveNow()
    assert list(desk.drafts()) == [A]


def test_a_segment_that_could_not_be_put_back_at_once_is_not_taken_for_erased(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.open(A)
    importVolume = segments.importVolume

    def fails(*_arguments: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(segments, "importVolume", fails)
    desk.node.GetSegmentation().RemoveSegment("value-1")
    with pytest.raises(RuntimeError, match="no memory"):
        desk.sync.look()
    monkeypatch.setattr(segments, "importVolume", importVolume)
    desk.sync.look()
    desk.workspace.saveNow()
    assert desk.drafts() == {}
    assert all(np.array_equal(desk.labels(ref), labels) for ref, labels in PREDICTED.items())


def test_a_segmentation_that_leaves_the_scene_takes_no_labels_with_it(desk: Desk) -> None:
    """Slicer's subject hierarchy removes every segment from a node that is about to go."""
    desk.open(A)
    desk.paint(A, square(1, left=14))
    desk.host.pump(0.4)
    node = desk.node
    for identifier in list(node.GetSegmentation().GetSegmentIDs()):
        node.GetSegmentation().RemoveSegment(identifier)
    slicer.mrmlScene.RemoveNode(node)
    desk.host.pump(0.5)
    desk.sync.save()
    assert [(ref, labels.sum()) for ref, labels in desk.drafts().items()] == [(A, square(1, left=14).sum())]
    desk.open(SliceRef("case1", 0, 4))
    desk.open(A)
    assert np.array_equal(desk.labels(A), square(1, left=14))
    assert all(np.array_equal(desk.labels(ref), labels) for ref, labels in PREDICTED.items() if ref != A)


def test_work_is_saved_by_itself(desk: Desk) -> None:
    desk.open(A)
    desk.sync._saves.setInterval(400)
    desk.paint(A, square(1, left=2))
    desk.host.waitUntil(lambda: desk.drafts(), seconds=3, what="the autosave")
    desk.sync._saves.setInterval(10_000)


def test_undo_to_where_the_person_began_leaves_no_draft(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(1, left=14))
    desk.workspace.saveNow()
    assert list(desk.drafts()) == [A]
    desk.paint(A, PREDICTED[A])
    desk.workspace.saveNow()
    assert desk.drafts() == {}
    assert desk.workspace.session.status(A).state == "suggested"


def test_undo_and_redo_of_the_segment_editor_are_seen(desk: Desk) -> None:
    desk.open(A)
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(desk.node.GetSegmentation())
    history.SaveState()
    desk.paint(A, square(1, left=14))
    desk.workspace.saveNow()
    assert list(desk.drafts()) == [A]
    assert history.RestorePreviousState()
    desk.host.pump(0.4)
    desk.workspace.saveNow()
    assert desk.drafts() == {}
    assert history.RestoreNextState()
    desk.host.pump(0.4)
    desk.workspace.saveNow()
    assert np.array_equal(desk.drafts()[A], square(1, left=14))


def test_a_segment_cleared_by_the_tables_menu_is_seen(desk: Desk) -> None:
    """*Clear selected segments* tells neither of a stroke nor of an undo."""
    desk.open(A)
    seen: list[int] = []
    desk.sync.edited.connect(lambda: seen.append(1))
    assert slicer.vtkSlicerSegmentationsModuleLogic.ClearSegment(desk.node, "value-1")
    desk.host.waitUntil(lambda: seen, seconds=2, what="the change")
    assert desk.sync.changedSlices() == [A, C]
    desk.workspace.saveNow()
    assert not desk.drafts()[A].any()
    # Labels from the study are no edit, whichever events they fire.
    desk.workspace.session.discard(A)
    desk.workspace.statesChanged()
    desk.host.pump(0.4)
    assert np.array_equal(desk.labels(A), PREDICTED[A])
    assert (desk.sync.changedSlices(), len(seen)) == ([C], 1)


def test_what_is_accepted_is_what_is_there_though_nothing_told_of_it(desk: Desk) -> None:
    desk.open(A)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(desk.node, "value-1")[:] = 0
    desk.host.pump(0.4)
    assert desk.sync.labels(A).any()
    desk.sync.accepting([A])
    assert not desk.sync.labels(A).any()


def test_a_draft_of_another_day_is_not_dropped_by_an_undo_to_it(desk: Desk) -> None:
    desk.workspace.session.draft(A, square(4, left=3))
    desk.open(A)
    assert np.array_equal(desk.labels(A), square(4, left=3))
    assert desk.sync.changedSlices() == [A]
    desk.paint(A, square(1))
    desk.workspace.saveNow()
    desk.paint(A, square(4, left=3))
    desk.workspace.saveNow()
    assert np.array_equal(desk.drafts()[A], square(4, left=3))


def test_an_undone_accept_is_not_dropped_by_an_edit_and_back(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4))
    desk.workspace.session.accept({A: desk.sync.labels(A)})
    desk.sync.accepted([A])
    desk.workspace.statesChanged()
    assert desk.sync.changedSlices() == []
    desk.workspace.session.undo()
    desk.workspace.statesChanged()
    desk.paint(A, square(1, left=1))
    desk.workspace.saveNow()
    desk.paint(A, square(4))
    desk.workspace.saveNow()
    assert np.array_equal(desk.drafts()[A], square(4))


def test_ignored_pixels_and_random_edits_come_back_as_drawn(desk: Desk) -> None:
    desk.open(A)
    rng = np.random.default_rng(0)
    drawn = {}
    for _ in range(8):
        ref = SliceRef("case0", 0, int(rng.integers(SHAPE[0])))
        drawn[ref] = rng.choice([0, 1, 4, 255], (12, 10)).repeat(4, 0).repeat(4, 1).astype(np.uint16)
        desk.paint(ref, drawn[ref])
    desk.workspace.saveNow()
    drafts = desk.drafts()
    assert set(drafts) == set(drawn)
    for ref, labels in drawn.items():
        assert np.array_equal(drafts[ref], labels)
        assert np.array_equal(desk.sync.labels(ref), labels)


def test_a_stroke_is_read_where_it_is_and_nowhere_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.open(A)
    read, rows = segments.readBox, []

    def readBox(*arguments: Any) -> np.ndarray:
        rows.append(arguments[-1][0])
        return np.asarray(read(*arguments))

    monkeypatch.setattr(segments, "readBox", readBox)
    desk.paint(A, square(4, left=20))
    desk.sync.look()
    assert rows == [slice(A.native_index, A.native_index + 1)]
    desk.paint(C, square(0))
    desk.paint(B, square(4, left=1))
    desk.sync.look()
    assert rows[1:] == [slice(B.native_index, C.native_index + 1)]
    assert desk.sync.changedSlices() == [A, B, C]


def test_going_to_another_case_and_back_finds_the_draft(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4, left=22))
    desk.open(SliceRef("case1", 0, 4))
    assert list(desk.drafts()) == [A]
    assert not desk.labels(SliceRef("case1", 0, 3)).any()
    desk.open(A)
    assert np.array_equal(desk.labels(A), square(4, left=22))
    assert np.array_equal(desk.labels(B), PREDICTED[B])


def test_drafts_survive_the_close_of_the_scene(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4, left=22))
    # What the module does at the two events.
    desk.workspace.saveNow()
    desk.sync.detach()
    desk.scene.dropReferences()
    slicer.mrmlScene.Clear(0)
    assert desk.node is None
    desk.scene.restore()
    desk.host.waitUntil(lambda: desk.node is not None, what="the case")
    assert np.array_equal(desk.labels(A), square(4, left=22))
    assert np.array_equal(desk.labels(B), PREDICTED[B])


def test_a_study_that_closes_takes_its_nodes_with_it(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4, left=22))
    path = desk.workspace.path
    desk.workspace.closeStudy()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeDisplayNode") == 0
    desk.workspace.openStudy(path)
    desk.host.waitUntil(lambda: desk.scene.case == "case0", what="the case")
    assert np.array_equal(desk.labels(A), square(4, left=22))


def test_strokes_are_recorded_only_with_the_readers_consent(desk: Desk) -> None:
    desk.open(A)
    desk.paint(A, square(4))
    desk.workspace.saveNow()
    assert desk.workspace.study.events(kind="stroke") == ()
    desk.workspace.session.timing = True
    desk.paint(A, square(4, left=3))
    desk.workspace.saveNow()
    assert [event.ref for event in desk.workspace.study.events(kind="stroke")] == [A]


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_plane_of_an_oblique_image(one_desk: Desk, tmp_path: Path, plane: Any) -> None:
    study = make_study(tmp_path, cases=1, direction=OBLIQUE, plane=plane)
    frame = study.frame("case0")
    refs = frame.refs("case0")
    shape = (frame.rows, frame.columns)
    shown = {refs[2]: np.zeros(shape, np.uint16), refs[6]: np.zeros(shape, np.uint16)}
    shown[refs[2]][1:4, 2:9] = 1
    shown[refs[6]][3:8, 1:4] = 4
    add_round(study, {ref: "suggested" for ref in shown}, shown)
    study.close()
    one_desk.workspace.openStudy(study.path)
    one_desk.open(refs[2])
    assert all(np.array_equal(one_desk.labels(ref), labels) for ref, labels in shown.items())
    drawn = np.zeros(shape, np.uint16)
    drawn[2:7, 3:8], drawn[0, 0], drawn[-1, -2] = 4, 255, 1
    one_desk.paint(refs[4], drawn)
    one_desk.workspace.saveNow()
    assert list(one_desk.drafts()) == [refs[4]]
    assert np.array_equal(one_desk.drafts()[refs[4]], drawn)
    assert all(np.array_equal(one_desk.labels(ref), labels) for ref, labels in shown.items())
    one_desk.workspace.closeStudy()
