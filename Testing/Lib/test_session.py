"""One annotator's way through a round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.effort.quantities import RetainedContour
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study import annotation_rows
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

MakeStudy = Callable[..., Study]
REFS = (SliceRef("case0", 0, 2), SliceRef("case1", 0, 4), SliceRef("case0", 0, 5))


def square(value: int = 1, *, left: int = 5) -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[6:12, left : left + 6] = value
    return out


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """A round of three suggestions; a model (its weights are not needed here) predicted a square on the first."""
    study = make_study(prepared=True)
    number = study.start_round(strategy="random", budget=3, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, [Suggestion(ref, rank, Rationale("random", "Drawn at random.")) for rank, ref in enumerate(REFS)])
    weights = study.path / "models" / "m.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=number)
    study.add_predictions(model.id, [(REFS[0], square())])
    study.enter_stage(number, "annotating")
    return study


def test_suggestions_come_grouped_by_case_best_case_first(study: Study) -> None:
    session = Session(study, annotator="a")
    assert [row.suggestion.ref for row in session.suggestions()] == [REFS[0], REFS[2], REFS[1]]


def test_next_and_previous_walk_over_what_is_unanswered_and_wrap_around(study: Study) -> None:
    session = Session(study, annotator="a")
    assert [session.next() for _ in range(4)] == [REFS[0], REFS[2], REFS[1], REFS[0]]
    assert session.previous() == REFS[1]
    session.accept({REFS[2]: square()})
    assert [session.next() for _ in range(2)] == [REFS[0], REFS[1]]
    session.skip(REFS[0], reason="motion")
    session.mark_empty([REFS[1]])
    assert session.next() is None
    assert session.current is None


def test_retained_contour_is_measured_against_the_prediction_first_shown_even_after_reopening(study: Study) -> None:
    session = Session(study, annotator="a")
    shown = session.open(REFS[0])
    assert shown is not None
    # A newer model says something else; the slice is opened again.
    weights = study.path / "models" / "n.safetensors"
    weights.write_bytes(b"")
    newer = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=0)
    study.add_predictions(newer.id, [(REFS[0], square(left=9))])
    again = session.open(REFS[0])
    assert again is not None
    assert again.id == shown.id
    (annotation,) = session.accept({REFS[0]: square(left=6)})
    assert annotation.prediction_id == shown.id
    assert annotation.provenance == "corrected"
    totals = RetainedContour.from_json(annotation.effort).totals
    # Two squares of 6 x 6 pixels, one column apart: five of the six columns of top and bottom edges are shared. Spacing is 1 mm.
    assert totals.of(1).reference_mm == 24
    assert totals.of(1).shared_mm == 10


@pytest.mark.parametrize(
    ("labels", "opened", "provenance"),
    [
        (square(), True, "unchanged"),
        (square(left=6), True, "corrected"),
        (square(0), True, "empty"),
        (square(), False, "from scratch"),
        (square(0), False, "empty"),
    ],
)
def test_provenance_says_how_the_labels_came_about(study: Study, labels: np.ndarray, opened: bool, provenance: str) -> None:
    session = Session(study, annotator="a")
    if opened:
        session.open(REFS[0])
    (annotation,) = session.accept({REFS[0]: labels})
    assert annotation.provenance == provenance
    assert (annotation.effort is None) == (not opened)


def test_a_draft_survives_and_is_used_up_by_the_accept(study: Study) -> None:
    Session(study, annotator="a").draft(REFS[0], square(left=8))
    again = Session(Study(study.path), annotator="a")
    (draft,) = again.drafts()
    np.testing.assert_array_equal(draft.labels, square(left=8))
    assert again.suggestions()[0].state == "draft"
    again.accept({REFS[0]: draft.labels})
    assert again.drafts() == ()


def test_drafts_of_two_annotators_are_apart(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.draft(REFS[0], square(1))
    two.draft(REFS[0], square(2))
    one.accept({REFS[0]: square(1)})
    assert len(two.drafts()) == 1


def test_a_range_of_slices_is_accepted_in_one_batch_and_undone_in_one(study: Study) -> None:
    session = Session(study, annotator="a")
    refs = [SliceRef("case0", 0, k) for k in (2, 3, 4)]
    annotations = session.accept({ref: square() for ref in refs})
    assert len({a.batch for a in annotations}) == 1
    assert session.undo() == tuple(refs)
    assert study.annotations() == ()
    assert {d.ref for d in session.drafts()} == set(refs)
    with pytest.raises(StudyError, match="no accept to undo"):
        session.undo()


def test_labels_that_do_not_fit_are_refused_with_a_sentence_and_nothing_is_kept(study: Study) -> None:
    session = Session(study, annotator="a")
    with pytest.raises(StudyError, match=r"case case0, slice 3 are \(5, 5\)"):
        session.accept({REFS[0]: np.zeros((5, 5), np.uint16)})
    with pytest.raises(StudyError, match="values 77 are not in schema"):
        session.accept({REFS[0]: square(77)})
    assert study.all_annotations() == ()


def test_a_skipped_slice_keeps_its_reason(study: Study) -> None:
    session = Session(study, annotator="a")
    session.skip(REFS[1], reason="motion")
    row = next(r for r in study.suggestions(0) if r.suggestion.ref == REFS[1])
    assert (row.state, row.reason) == ("skipped", "motion")
    assert [e.payload for e in study.events(kind="skipped")] == [{"reason": "motion"}]


def test_an_audit_slice_is_drawn_without_the_prediction(study: Study) -> None:
    study.finish_round(0)
    number = study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, [Suggestion(REFS[0], 0, Rationale("random", "Drawn at random."), kind="audit")])
    study.enter_stage(number, "annotating")
    session = Session(study, annotator="fresh eyes")
    assert session.open(REFS[0]) is None
    (annotation,) = session.accept({REFS[0]: square()})
    assert annotation.provenance == "from scratch"
    assert annotation.effort is None


def test_finishing_a_round_expires_what_nobody_answered(study: Study) -> None:
    session = Session(study, annotator="a")
    session.accept({REFS[0]: square()})
    session.draft(REFS[1], square())
    session.finish_round()
    assert {r.suggestion.ref: r.state for r in study.suggestions(0)} == {REFS[0]: "accepted", REFS[1]: "expired", REFS[2]: "expired"}
    assert len(session.drafts()) == 1
    with pytest.raises(StudyError, match="no round waiting"):
        session.finish_round()


def test_an_annotator_needs_a_name(study: Study) -> None:
    with pytest.raises(StudyError, match="needs a name"):
        Session(study, annotator=" ")


def test_sessions_need_no_torch(study: Study, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfor name in ('torch', 'monai'): sys.modules[name] = None\n"
        "from pathlib import Path\nfrom SuggestiveAnnotationLib.session import Session\n"
        "from SuggestiveAnnotationLib.study.study import Study\n"
        "session = Session(Study(Path(sys.argv[1])), annotator='a')\nprint(session.next())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study.path)], capture_output=True, text=True, check=True)
    assert "case0" in done.stdout


def next_round(study: Study, *refs: SliceRef, prediction: np.ndarray) -> int:
    """Close the round, and open one that suggests `refs` with a newer model's prediction. Returns the model."""
    study.finish_round(study.rounds()[-1].number)
    number = study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={}).number
    study.publish_suggestions(number, [Suggestion(ref, rank, Rationale("random", "Drawn.")) for rank, ref in enumerate(refs)])
    weights = study.path / "models" / f"round-{number}.safetensors"
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=number)
    study.add_predictions(model.id, [(ref, prediction) for ref in refs])
    study.enter_stage(number, "annotating")
    return model.id


def test_a_slice_suggested_anew_shows_the_newer_prediction(study: Study) -> None:
    session = Session(study, annotator="a")
    session.open(REFS[0])
    model = next_round(study, REFS[0], prediction=square(left=9))
    shown = session.open(REFS[0])
    assert shown is not None
    assert shown.model_id == model
    (annotation,) = session.accept({REFS[0]: square(left=9)})
    assert annotation.provenance == "unchanged"


def test_an_accepted_slice_that_is_corrected_in_a_later_round_is_measured_against_what_it_began_with(study: Study) -> None:
    session = Session(study, annotator="a")
    first = session.open(REFS[0])
    assert first is not None
    session.accept({REFS[0]: square(left=6)})
    session.accept({REFS[2]: square()})
    next_round(study, REFS[0], REFS[2], prediction=square(left=9))
    (again,) = session.accept({REFS[0]: square(left=7)})
    assert again.prediction_id == first.id
    session.open(REFS[2])
    (scratch,) = session.accept({REFS[2]: square(left=4)})
    assert scratch.provenance == "from scratch"


def test_slices_that_were_seen_but_not_opened_are_measured_against_what_they_showed(study: Study) -> None:
    session = Session(study, annotator="a")
    prediction = session.pre_annotation(REFS[0])
    assert prediction is not None
    assert session.shown_labels(REFS[0]).prediction_id == session.case_labels("case0")[REFS[0]].prediction_id == prediction.id
    session.note_shown({REFS[0]: prediction.id})
    seen, other = session.accept({REFS[0]: square(), REFS[2]: square()})
    assert (seen.provenance, seen.prediction_id) == ("unchanged", prediction.id)
    assert RetainedContour.from_json(seen.effort or {}).totals.overall.of_reference == 1
    assert (other.provenance, other.effort) == ("from scratch", None)


def test_what_a_slice_showed_does_not_replace_what_its_work_began_with(study: Study) -> None:
    session = Session(study, annotator="a")
    session.draft(REFS[0], square(left=9))
    session.open(REFS[2])
    first = session.pre_annotation(REFS[0])
    session.note_shown({REFS[0]: study.newest_predictions("case0")[REFS[0]], REFS[2]: 1})
    assert first is None
    assert session.first_shown(REFS[0]) is None
    assert session.first_shown(REFS[2]) is None


def test_what_is_still_in_view_when_a_round_comes_is_shown_on_and_measured_against(study: Study) -> None:
    session = Session(study, annotator="a")
    old = session.open(REFS[0])
    assert old is not None
    next_round(study, REFS[2], prediction=square(left=9))
    assert REFS[0] not in session.case_labels("case0")
    assert session.shown_labels(REFS[0]).origin == "nothing"
    session.note_shown({REFS[0]: old.id})
    assert session.case_labels("case0")[REFS[0]].prediction_id == session.shown_labels(REFS[0]).prediction_id == old.id
    (annotation,) = session.accept({REFS[0]: square()})
    assert (annotation.provenance, annotation.prediction_id) == ("unchanged", old.id)


def test_autosave_on_an_answered_slice_leaves_the_answer(study: Study) -> None:
    session = Session(study, annotator="a")
    session.accept({REFS[0]: square()})
    session.draft(REFS[0], square(left=8))
    assert {row.suggestion.ref: row.state for row in study.suggestions(0)}[REFS[0]] == "accepted"


def test_undo_after_the_round_was_finished_makes_the_slice_free_again(study: Study) -> None:
    session = Session(study, annotator="a")
    session.accept({REFS[0]: square()})
    session.finish_round()
    session.undo()
    session.draft(REFS[1], square())
    states = {row.suggestion.ref: row.state for row in study.suggestions(0)}
    assert states[REFS[0]] == "expired"
    assert states[REFS[1]] == "expired"


# Readers


def test_work_that_began_with_another_readers_labels_is_not_measured_against_a_prediction_never_shown(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    assert one.open(REFS[0]) is not None
    one.accept({REFS[0]: square(1)})
    assert two.shown_labels(REFS[0]).origin == "other reader"
    assert two.open(REFS[0]) is None
    (second,) = two.accept({REFS[0]: square(left=8)})
    assert (second.prediction_id, second.effort) == (None, None)
    # Who does not see the first reader's work begins with the prediction.
    blind = Session(study, annotator="three", blind=True)
    assert blind.open(REFS[0]) is not None
    (third,) = blind.accept({REFS[0]: square(left=7)})
    assert third.provenance == "corrected"
    assert third.effort is not None


@pytest.mark.parametrize("way", ["opened", "scrolled to"])
def test_what_another_accepted_is_corrected_and_never_accepted_again_as_it_is(study: Study, way: str) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    one.accept({REFS[0]: square(1)})
    if way == "opened":
        two.open(REFS[0])
        with pytest.raises(StudyError, match="Case case0, slice 3, is exactly as one accepted it"):
            two.accept({REFS[0]: square(1)})
    two.draft(REFS[0], square(1, left=8))
    (corrected,) = two.accept({REFS[0]: square(1, left=8)})
    assert (corrected.provenance, corrected.prediction_id, corrected.effort) == ("corrected", None, None)
    two.reopen(REFS[0])
    with pytest.raises(StudyError, match="Approve it, return it"):
        two.accept({REFS[0]: square(1)})
    (emptied,) = two.mark_empty([REFS[0]])
    assert emptied.provenance == "empty"


def test_readers_who_saw_nothing_of_each_other_may_draw_the_same(study: Study) -> None:
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    two.open(REFS[1])
    two.draft(REFS[1], square(2))
    one.accept({REFS[1]: square(2)})
    (own,) = two.accept({REFS[1]: square(2)})
    assert own.provenance == "from scratch"
    blind = Session(study, annotator="three", blind=True)
    blind.open(REFS[1])
    (own,) = blind.accept({REFS[1]: square(2)})
    assert own.provenance == "from scratch"


def test_a_reader_is_the_same_with_white_space_around_the_name(study: Study) -> None:
    Session(study, annotator="B").accept({REFS[0]: square()})
    with pytest.raises(StudyError, match="nothing of another reader"):
        Session(study, annotator=" B ").review([REFS[0]], verdict="approved")


def test_a_name_that_is_no_text_is_refused_before_anything_is_kept(study: Study) -> None:
    with pytest.raises(InputError, match="cannot be kept"):
        Session(study, annotator="M\udcfcller")


def test_a_case_is_excluded_wholly_or_not_at_all(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    session = Session(study, annotator="one")
    monkeypatch.setattr(annotation_rows, "_event", killed)
    with pytest.raises(KeyboardInterrupt):
        session.exclude_case("case0", reason="wrong scan")
    assert study.case("case0").role == "pool"
    assert {row.ref: row.state for row in study.suggestion_states(0)}[REFS[0]] == "suggested"
