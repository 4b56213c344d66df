"""From nothing to exported labelmaps as a clinician would, with the real worker, by mouse and keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from panel_hands import SLICE, stroke

EXPECTED_FIRST = 6


@pytest.mark.slow
def test_from_an_empty_folder_to_labelmaps_by_clicks_alone(host: Any, panel: Any, studies: Path) -> None:
    workspace = panel.workspace
    study, round_, suggestions, annotate, review, export = panel.sections
    ui = annotate.ui

    # 1. The sample study in one click; before it nothing else can be done.
    assert not round_.ui.startButton.enabled
    host.dialogs.answers = []
    host.click(study.ui.sampleButton)
    host.waitUntil(lambda: workspace.study is not None and workspace.task is None, 180, "the sample study")
    assert study.ui.cohortTable.rowCount == 8

    # 2. A first round, small.
    round_.ui.budgetBox.value = EXPECTED_FIRST
    round_.ui.auditBox.value = 0
    round_.ui.stepsBox.value = 30
    round_.ui.manifoldStepsBox.value = 60
    host.click(round_.ui.startButton)
    host.waitUntil(lambda: workspace.task is None and workspace.current is not None, 120, "round 0")
    assert len(workspace.suggestions()) == EXPECTED_FIRST

    # 3. and 4. Paint and accept every suggestion but three.
    painted: dict[Any, np.ndarray] = {}
    while len(painted) < EXPECTED_FIRST - 3:
        ref = workspace.current
        before = workspace.sync.labels(ref).copy() if workspace.scene.case == ref.case else None
        after = stroke(host, workspace)
        assert before is None or (after != before).any()
        assert set(np.unique(after)) == {0, 1}
        painted[ref] = after
        host.press("Ctrl+Return")
        assert workspace.session.status(ref).state == "accepted"

    # Undo the last accept: its labels are a draft, and are shown again.
    last = list(painted)[-1]
    host.click(ui.undoAcceptButton)
    assert workspace.current == last
    host.waitUntil(lambda: last in workspace.views.displayed and workspace.scene.case == last.case, 30)
    assert workspace.session.status(last).state == "draft"
    assert (workspace.sync.labels(last) == painted[last]).all()
    host.click(ui.acceptButton)

    # One slice is empty, one is skipped, one cannot be read.
    empty = workspace.current
    host.waitUntil(lambda: suggestions.ui.emptyButton.enabled, 60, "the slice to be shown")
    host.click(suggestions.ui.emptyButton)
    painted[empty] = np.zeros_like(workspace.session.shown_labels(empty).labels)
    skipped = workspace.current
    host.click(suggestions.ui.skipButton)
    unreadable = workspace.current
    host.waitUntil(lambda: suggestions.ui.unreadableButton.enabled, 60, "the slice to be shown")
    host.click(suggestions.ui.unreadableButton)
    states = workspace.session.slice_status()
    assert (states[empty].state, states[skipped].state, states[unreadable].state) == ("accepted", "skipped", "unreadable")
    assert workspace.current is None

    # A round with a model: it is trained in the background, and the suggestions have pre-annotations.
    host.click(round_.ui.startButton)
    host.waitUntil(lambda: workspace.task is None and workspace.current is not None, 240, "round 1")
    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 60)
    assert workspace.study.current_round().number == 1
    assert not {row.suggestion.ref for row in workspace.suggestions()} & {skipped, unreadable}

    # Correct one: effort is computed from the edit.
    corrected = workspace.current
    first = workspace.session.pre_annotation(corrected).labels
    painted[corrected] = stroke(host, workspace, row=20.0)
    assert (painted[corrected] != first).any()
    host.click(ui.acceptButton)
    accepted = workspace.study.annotations(case=corrected.case)[-1]
    assert accepted.effort["quantity"] == "retained contour"
    assert ui.effortLabel.text

    # 5. The latent plot has every pool slice; a click opens the slice of a point.
    host.waitUntil(lambda: not review.latentPlot.empty, 30, "the latent view")
    plot = review.latentPlot
    assert len(plot.refs) == len(workspace.study.pool_refs())
    distances = np.linalg.norm(plot.points[:, None] - plot.points[None], axis=2) + np.eye(len(plot.points)) * 1e9
    lonely = int(distances.min(axis=1).argmax())
    host.clickPlot(plot._widget(), *plot.points[lonely])
    assert workspace.current == plot.refs[lonely]

    # The scene is closed in between: the slice comes back with what was drawn.
    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 60)
    drawn = stroke(host, workspace)
    here = workspace.current
    host.closeScene()
    host.waitUntil(lambda: workspace.scene.case == here.case, 60, "the case after the scene was closed")
    host.pump(0.3)
    assert workspace.session.status(here).state == "draft"
    assert (workspace.sync.labels(here) == drawn).all()

    # 6. Export, and compare voxel by voxel with what was painted. The draft is left out.
    panel.sections[5].widget.collapsed = False
    folder = studies / "out"
    export.ui.folderEdit.currentPath = str(folder)
    host.click(export.ui.exportButton)
    host.waitUntil(lambda: workspace.task is None and export.ui.resultLabel.text, 60, "the export")
    for ref, labels in painted.items():
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{ref.case}_annotation.nii.gz")))
        assert (workspace.study.frame(ref.case).stack(image)[ref.native_index] == labels).all()
    for case in {ref.case for ref in painted}:
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}_annotation.nii.gz")))
        stack = workspace.study.frame(case).stack(image)
        others = set(range(len(stack))) - {ref.native_index for ref in painted if ref.case == case}
        assert all((stack[index] == 255).all() for index in others)
    assert not any("Error" in text for _, text in host.dialogs.said)


def test_slices_that_fill_between_made_are_accepted_as_a_range(host: Any, opened: Any, in_round_0: Path, panel: Any) -> None:
    from SuggestiveAnnotationLib.types import SliceRef

    workspace, annotate = opened(in_round_0), panel.sections[3]
    first = workspace.current
    last = SliceRef(first.case, first.axis, first.native_index + 4)
    stroke(host, workspace)
    workspace.openSlice(last)
    host.waitUntil(lambda: last in workspace.views.displayed, 30)
    stroke(host, workspace)
    annotate.editor.setActiveEffectByName("Fill between slices")
    host.pump(0.2)
    import slicer

    for name in ("Initialize", "Apply"):
        for button in slicer.util.findChildren(annotate.editor, text=name):
            if button.isVisible() and button.isEnabled():
                host.click(button)
    host.waitUntil(lambda: len(workspace.sync.changedSlices()) == 5, 20, "the slices in between")
    annotate.editor.setActiveEffectByName("")
    between = [SliceRef(first.case, first.axis, first.native_index + i) for i in range(5)]
    labels = {ref: workspace.sync.labels(ref) for ref in between}
    assert all((labels[ref] == 1).any() for ref in between)
    annotate.ui.fromBox.value, annotate.ui.toBox.value = first.native_index + 1, last.native_index + 1
    assert not annotate.ui.acceptRangeButton.isEnabled()
    assert "has not been shown" in annotate.ui.changedLabel.text
    for ref in between:
        slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode().JumpSliceByOffsetting(*workspace.scene.centre(ref))
        host.pump(0.1)
    host.waitUntil(lambda: annotate.ui.acceptRangeButton.isEnabled(), 5, "the range, once it was looked at")
    host.click(annotate.ui.acceptRangeButton)
    accepted = {a.ref: a for a in workspace.study.annotations(case=first.case)}
    assert set(between) <= set(accepted)
    assert len({accepted[ref].batch for ref in between}) == 1
    assert all((accepted[ref].labels == labels[ref]).all() for ref in between)


def test_a_blind_second_reader_sees_nothing_of_the_first_and_then_reviews(host: Any, opened: Any, in_round_0: Path, panel: Any) -> None:
    workspace, annotate = opened(in_round_0), panel.sections[3]
    study = panel.sections[0].ui
    ref = workspace.current
    drawn = stroke(host, workspace)
    host.click(annotate.ui.acceptButton)
    host.click(study.blindBox)
    host.type(study.annotatorEdit, "Dr B")
    study.annotatorEdit.editingFinished.emit()
    workspace.openSlice(ref)
    host.waitUntil(lambda: ref in workspace.views.displayed and workspace.scene.case == ref.case, 30)
    host.pump(0.3)
    assert workspace.session.annotator == "Dr B"
    assert not workspace.sync.labels(ref).any()
    assert not annotate.ui.reviewBox.isVisible()
    host.click(study.blindBox)
    host.waitUntil(
        lambda: (workspace.scene.case == ref.case) and (workspace.sync.labels(ref) == drawn).all(), 30, "the first reader's labels"
    )
    workspace.openSlice(ref)
    host.click(annotate.ui.returnButton)
    assert workspace.study.all_annotations(ref=ref)[-1].state == "returned"
    assert [d.annotator for d in workspace.study.drafts(ref=ref)] == ["reader 1"]
