"""Section 5 with the real worker on a study that has gone through real rounds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from review_study import READER, find_something, of_state, reviewed_study

from SuggestiveAnnotationLib.effort.agreement import ContourTotals
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return reviewed_study(tmp_path_factory, tmp_path)


@pytest.fixture
def review(host: Any, panel: Any, opened: Callable[[Path], Any], path: Path) -> Any:
    """The section, unfolded, with the latent view in the plot."""
    opened(path)
    section = panel.sections[4]
    section.widget.collapsed = False
    host.waitUntil(lambda: not section.latentPlot.empty, 60, "the latent view")
    host.pump(0.2)
    return section


def rows(study: Study) -> dict[SliceRef, Any]:
    return {row.suggestion.ref: row for row in study.suggestions(2)}


def test_before_there_is_a_study_it_says_so_and_nothing_can_be_pressed(host: Any, panel: Any) -> None:
    section = panel.sections[4]
    section.widget.collapsed = False
    assert section.ui.guidance.text == "Open a study first."
    for widget in (section.ui.updateButton, section.ui.decodeButton, section.ui.colourBox, section.ui.methodBox):
        assert not widget.enabled
    assert section.ui.decodeLabel.text == "There is no latent space yet."
    assert not section.ui.roundsGroup.isVisible()


def test_before_the_first_manifold_it_says_what_makes_one(host: Any, panel: Any, opened: Callable[[Path], Any], tmp_path: Path) -> None:
    from panel_study import add_round, make_study, square

    study = make_study(tmp_path, cases=1)
    add_round(study, {SliceRef("case0", 0, 4): "suggested"}, {SliceRef("case0", 0, 4): square(1)})
    study.close()
    opened(study.path)
    section = panel.sections[4]
    section.widget.collapsed = False
    assert "learnt by the first round" in section.ui.guidance.text
    assert section.ui.curveHint.isVisible()
    assert not section.ui.curvesPlace.isVisible()
    assert section.ui.effortLabel.text == "Nothing is accepted yet."
    assert "cannot be said yet" in section.ui.adviceLabel.text


def test_the_reason_of_the_open_slice_and_the_way_to_its_source(host: Any, review: Any) -> None:
    workspace = review.workspace
    ref, row = next((r, row) for r, row in rows(workspace.study).items() if row.state == "suggested" and row.suggestion.rationale.source)
    workspace.openSlice(ref)
    # While audit slices wait, one on which the model finds nothing is not told apart from them.
    assert review.ui.rationaleLabel.text.endswith("round 2: chosen as part of this round.")
    assert not review.ui.sourceButton.isVisible()
    find_something(workspace.study, ref)
    workspace.statesChanged()
    one = row.suggestion.rationale
    text = review.ui.rationaleLabel.text
    assert text.startswith(f"Case {ref.case}, slice {ref.native_index + 1}, round 2, Gradient-guided")
    assert text.endswith(one.sentence)
    assert f"distance to the projected point {one.details['distance_to_projected']:.3g}" in review.ui.numbersLabel.text
    assert f"loss of the source {one.details['source_loss']:.3g}" in review.ui.numbersLabel.text
    host.showInPanel(review.ui.sourceButton)
    host.click(review.ui.sourceButton)
    assert workspace.current == one.source
    host.pump(0.1)
    assert f"Case {one.source.case}, slice {one.source.native_index + 1}" in review.ui.rationaleLabel.text


def test_an_audit_slice_tells_nothing_before_it_is_accepted(host: Any, review: Any) -> None:
    workspace = review.workspace
    audits = [ref for ref, row in rows(workspace.study).items() if row.suggestion.kind == "audit"]
    open_, accepted = audits[1], audits[0]
    workspace.openSlice(open_)
    assert review.ui.rationaleLabel.text == f"Case {open_.case}, slice {open_.native_index + 1}, round 2: chosen as part of this round."
    assert not review.ui.numbersLabel.isVisible()
    assert not review.ui.sourceButton.isVisible()
    assert "audit" not in review.ui.legendLabel.text.replace("labelled,&nbsp;audit", "").replace("labelled, audit", "")
    workspace.openSlice(accepted)
    assert "the others are judged by it" in review.ui.rationaleLabel.text
    workspace.session.mark_empty([open_])
    workspace.statesChanged()
    workspace.openSlice(open_)
    assert "the others are judged by it" in review.ui.rationaleLabel.text


def test_a_slice_that_was_never_suggested(host: Any, review: Any) -> None:
    study = review.workspace.study
    ever = {row.suggestion.ref for row in study.suggestions()}
    ref = next(ref for ref in study.pool_refs() if ref not in ever)
    review.workspace.openSlice(ref)
    assert review.ui.rationaleLabel.text == f"Case {ref.case}, slice {ref.native_index + 1} was not suggested."


def test_decoding_shows_seven_images_and_the_slider_one_of_them_large(host: Any, review: Any) -> None:
    host.showInPanel(review.ui.decodeButton)
    assert not review.ui.decodePlace.isVisible()
    review.ui.axisBox.setCurrentIndex(1)
    host.click(review.ui.decodeButton)
    host.waitUntil(lambda: review.ui.decodePlace.isVisible(), 60, "the decoded images")
    decoded = np.load(review.workspace.path / "cache" / "decoded.npy")
    assert decoded.shape[0] == 7
    assert [caption.text for caption in review._captions] == ["-2.0 SD", "-1.3 SD", "-0.7 SD", "+0.0 SD", "+0.7 SD", "+1.3 SD", "+2.0 SD"]
    assert all(picture.pixmap.width() > 30 for picture in review._pictures)
    assert "latent axis 2" in review.ui.decodeLabel.text
    # What is shown large is the image of the slider's place: bright where the decoded image is.
    for place in (0, 6):
        review.ui.valueSlider.setValue(place)
        shown = review.ui.largePicture.pixmap.toImage()
        middle = np.clip(decoded, *np.percentile(decoded, (1, 99)))[place]
        side = len(middle)
        grid = [(r, c) for r in range(2, side - 2, 3) for c in range(2, side - 2, 3)]
        scale = shown.width() / side
        seen = [shown.pixelColor(int((c + 0.5) * scale), int((r + 0.5) * scale)).red() for r, c in grid]
        expected = [float(middle[r, c]) for r, c in grid]
        turned = [float(middle[::-1][r, c]) for r, c in grid]
        assert np.corrcoef(seen, expected)[0, 1] > 0.8
        assert np.corrcoef(seen, expected)[0, 1] > np.corrcoef(seen, turned)[0, 1] + 0.2
    # Another slice has another place: the images of the first go.
    other = next(ref for ref in review.latentPlot.refs if ref != review.workspace.current)
    review.workspace.openSlice(other)
    assert not review.ui.decodePlace.isVisible()


def test_a_projection_that_is_chosen_is_named_on_the_axes(host: Any, review: Any) -> None:
    assert review.ui.methodLabel.text.startswith("3 latent units were reduced to two by principal components")
    before = review.latentPlot.points.copy()
    review.ui.methodBox.setCurrentText("t-SNE")
    host.waitUntil(lambda: "t-SNE" in review.latentPlot.content.axes[0], 90, "t-SNE")
    host.pump(0.2)
    assert review.latentPlot._nodes.chart.GetXAxisTitle() == review.latentPlot.content.axes[0]
    assert not np.allclose(before, review.latentPlot.points)
    assert review.ui.methodLabel.text == review.latentPlot.content.method


def test_the_legend_names_every_group_in_its_colour(host: Any, review: Any) -> None:
    review.ui.colourBox.setCurrentText("case")
    for name, look in review.latentPlot.legend:
        assert name in review.ui.legendLabel.text
        assert look.colour in review.ui.legendLabel.text
    assert [name for name, _look in review.latentPlot.legend] == [f"case{n}" for n in range(4)]


def test_curves_and_advice_come_from_the_rounds(host: Any, review: Any) -> None:
    from SuggestiveAnnotationLib.report.rounds import advice, round_points

    study = review.workspace.study
    assert review.ui.adviceLabel.text == advice(study).sentence
    drawn = {}
    for measure in review._measures:
        review.ui.curveBox.setCurrentText(measure)
        known = [p for p in round_points(study) if getattr(p, review._measures[measure]) is not None]
        drawn[measure] = bool(known)
        assert review.ui.curvesPlace.isVisible() == bool(known)
        assert review.ui.curveHint.isVisible() == (not known)
        assert bool(review.ui.curveHint.text) == (not known)
    assert drawn == {
        "Agreement on audit slices": True,
        "Dice on held-out cases": False,
        "Retained contour": True,
        "Active minutes": False,
    }


def test_contour_work_is_a_sum_of_lengths_by_how_slices_were_accepted(host: Any, review: Any) -> None:
    """Recomputed from the pixels of what was shown and what was accepted."""
    study = review.workspace.study
    corrected = [a for a in study.annotations() if a.provenance == "corrected"]
    assert corrected
    totals = ContourTotals.of_slices(
        slice_agreement(study, a.ref, reference=a.labels, prediction=study.prediction_by_id(a.prediction_id).labels) for a in corrected
    )
    text = review.ui.effortLabel.text
    row = next(line for line in text.split("<tr>") if line.startswith("<td>corrected"))
    cells = [cell.split(">")[1].split("<")[0] for cell in row.split("<td")[2:]]
    overall = totals.overall
    assert cells == [str(len(corrected)), f"{overall.of_reference:.0%}", str(overall.added_pixels), str(overall.removed_pixels)]
    scratch = next(line for line in text.split("<tr>") if line.startswith("<td>from scratch"))
    assert scratch.count(">-<") == 3
    together = next(line for line in text.split("<tr>") if line.startswith("<td>together"))
    assert f">{len(study.annotations())}<" in together
    assert "says nothing about time" in text
    assert "minutes" not in text


def test_minutes_are_shown_only_to_who_agreed_to_timing(host: Any) -> None:
    from dataclasses import replace

    from SuggestiveAnnotationPanel import review_text

    from SuggestiveAnnotationLib.study.records import Annotation, PackedLabels, pack

    packed = PackedLabels(**pack(np.zeros((4, 4), np.uint16)))
    one = Annotation(1, "b", SliceRef("a", 0, 1), READER, "empty", "accepted", 0, None, None, 1.25, "now", packed)
    two = replace(one, id=2, ref=SliceRef("a", 0, 2), minutes=2.5, provenance="from scratch")
    three = replace(two, id=3, ref=SliceRef("a", 0, 3), minutes=None)
    assert "minutes" not in review_text.effortTable([one, two, three], timing=False)
    table = review_text.effortTable([one, two, three], timing=True)
    assert "minutes" in table
    assert [line.rsplit("<td", 1)[1].split(">")[1].split("<")[0] for line in table.split("<tr>")[2:]] == ["2.5", "1.2", "3.8"]
    assert review_text.effortTable([], timing=True) == ""


def test_filled_slices_are_no_contour_work(host: Any) -> None:
    from dataclasses import replace

    from SuggestiveAnnotationPanel import review_text

    from SuggestiveAnnotationLib.study.records import Annotation, PackedLabels, pack

    packed = PackedLabels(**pack(np.zeros((4, 4), np.uint16)))
    one = Annotation(1, "b", SliceRef("a", 0, 1), READER, "empty", "accepted", 0, None, None, None, "now", packed)
    two = replace(one, id=2, ref=SliceRef("a", 0, 3), provenance="from scratch")
    filled = replace(one, id=3, ref=SliceRef("a", 0, 2), provenance="filled")
    assert review_text.effortTable([one, two, filled], timing=False) == review_text.effortTable([one, two], timing=False)
    assert review_text.effortTable([filled], timing=False) == ""


def test_an_accept_is_seen_at_once(host: Any, review: Any) -> None:
    workspace = review.workspace
    before = len(workspace.study.annotations())
    workspace.session.mark_empty([of_state(workspace.study, "suggested")[0]])
    workspace.statesChanged()
    together = next(line for line in review.ui.effortLabel.text.split("<tr>") if line.startswith("<td>together"))
    assert f">{before + 1}<" in together


def test_work_in_an_excluded_case_is_no_contour_work(host: Any, review: Any) -> None:
    workspace = review.workspace
    accepted = workspace.study.annotations()
    case = accepted[0].ref.case
    workspace.session.exclude_case(case, reason="motion")
    workspace.studyChanged()
    together = next(line for line in review.ui.effortLabel.text.split("<tr>") if line.startswith("<td>together"))
    assert f">{sum(a.ref.case != case for a in accepted)}<" in together


def test_folded_it_reads_no_rounds_and_unfolded_it_does(host: Any, panel: Any, opened: Callable[[Path], Any], path: Path) -> None:
    section = panel.sections[4]
    assert section.widget.collapsed
    opened(path)
    assert section.ui.effortLabel.text == ""
    host.showInPanel(section.widget)
    host.click(section.widget)
    assert not section.widget.collapsed
    assert "<table>" in section.ui.effortLabel.text


def test_a_worker_that_dies_does_not_leave_the_plot_empty_for_good(
    host: Any, panel: Any, opened: Callable[[Path], Any], path: Path
) -> None:
    workspace = opened(path)
    review = panel.sections[4]
    host.waitUntil(lambda: not review.latentPlot.empty, 60, "the latent view")
    process = workspace.worker.ready.process
    review.latentPlot.reset()
    review.update()
    os.kill(process, signal.SIGKILL)
    host.waitUntil(lambda: not review.latentPlot.empty, 60, "the latent view of the next worker")
    assert workspace.worker.ready.process != process
    assert review.latentPlot._nodes.chart is not None
