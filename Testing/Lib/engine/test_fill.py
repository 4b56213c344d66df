"""What is filled between annotated slices, what is not, and that nobody pays for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from sqlalchemy import Engine, event

from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.fill import FILLED_BY, fill_annotated, renew_filled
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.simulate import SIMULATION, simulate
from SuggestiveAnnotationLib.engine.suggest import pool_of
from SuggestiveAnnotationLib.errors import Cancelled
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.strategies.interpolation import fill_between
from SuggestiveAnnotationLib.study.annotation_rows import NewAnnotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=2, batch=4, budget=2, device="cpu", strategy="widest-gap", fill=4)


def truth(study: Study, ref: SliceRef) -> np.ndarray:
    return np.array(study.reference_labels(ref.case)[ref.native_index])


def accept(study: Study, case: str, *places: int) -> None:
    refs = [SliceRef(case, 0, place) for place in places]
    Session(study, annotator="a").accept({ref: truth(study, ref) for ref in refs})


def test_slices_between_are_filled_once_and_drawn_ones_stay(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, shape=(12, 24, 20))
    accept(study, "case0", 2, 4, 10)
    accept(study, "case1", 5)
    assert fill_annotated(study, furthest=3, annotator="a") == 1
    by_place = {(a.ref.case, a.ref.native_index): a for a in study.annotations()}
    assert sorted(by_place) == [("case0", 2), ("case0", 3), ("case0", 4), ("case0", 10), ("case1", 5)]
    filled = by_place["case0", 3]
    rows, columns = study.frame("case0").spacing[1:]
    expected = fill_between({i: truth(study, SliceRef("case0", 0, i)) for i in (2, 4)}, spacing=(rows, columns))
    assert (filled.labels == expected[3]).all()
    assert filled.provenance == FILLED
    assert filled.minutes is None
    assert filled.effort is None
    # Again: nothing is left to fill, and nothing is filled from what was filled.
    assert fill_annotated(study, furthest=3, annotator="a") == 0
    assert fill_annotated(study, furthest=6, annotator="a") == 5


def test_a_slice_drawn_later_takes_the_place_of_the_filled_one(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    accept(study, "case0", 1, 5)
    assert fill_annotated(study, furthest=4, annotator="a") == 3
    accept(study, "case0", 3)
    kept = {a.ref.native_index: a.provenance for a in study.annotations()}
    assert {place for place, provenance in kept.items() if provenance == FILLED} == {2, 4}


def test_other_cases_and_nought_fill_nothing(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("test", "pool", "pool"))
    accept(study, "case0", 1, 5)
    accept(study, "case1", 1, 5)
    assert fill_annotated(study, furthest=0, annotator="a") == 0
    assert fill_annotated(study, furthest=4, annotator="a") == 3
    assert {a.ref.case for a in study.annotations() if a.provenance == FILLED} == {"case1"}


def filled_in(study: Study) -> dict[tuple[str, int], int]:
    """Place of every filled slice -> number of its annotation."""
    return {(a.ref.case, a.ref.native_index): a.id for a in study.annotations() if a.provenance == FILLED}


def trained_on(study: Study) -> set[int]:
    return set(study.models("segmentation")[-1].card["annotations"])


def test_a_round_trains_on_what_it_fills_and_shows_it_to_nobody(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(prepared=True, cases=2)
    accept(study, "case0", 1, 5)
    said: list[str] = []
    run_round(study, options=OPTIONS, progress=lambda at: said.append(at.message))
    assert "3 slices between annotated ones are filled by interpolation." in said
    filled = filled_in(study)
    assert set(filled) == {("case0", k) for k in (2, 3, 4)}
    assert trained_on(study) == {a.id for a in study.annotations()}
    assert len(trained_on(study)) == 5
    assert study.filled_refs() == {SliceRef("case0", 0, k) for k in (2, 3, 4)}
    assert not study.filled_refs() & {row.ref for row in study.suggestion_states(0)}
    for session in (Session(study, annotator="a"), Session(study, annotator="b")):
        ref = SliceRef("case0", 0, 3)
        assert session.status(ref) is None
        assert session.shown_labels(ref).origin == "nothing"
        assert (session.to_review(ref), session.left_over()) == (None, ())
    assert set(Session(study, annotator="b").to_be_reviewed()) == {SliceRef("case0", 0, k) for k in (1, 5)}
    assert (study.accepted_counts(), study.accepted_counts_by_state()) == ({"case0": 2}, {"case0": {"accepted": 2}})
    done = export(study, tmp_path / "out")
    (mask,) = (path for path in done.files if "mask" in path.name)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(mask))).any(axis=(1, 2)).nonzero()[0].tolist() == [1, 5]
    assert "3 slices filled by interpolation, which nobody drew." in done.left_out
    report = collect(study, command="report")
    assert (report.annotated_slices, report.rounds[0].slices) == (2, 2)


def test_what_is_filled_follows_what_is_annotated_and_the_option_of_the_round(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    accept(study, "case0", 1, 5)
    assert renew_filled(study, furthest=4) == 3
    before = filled_in(study)
    assert renew_filled(study, furthest=4) == 3
    assert filled_in(study) == before
    empty = np.zeros_like(truth(study, SliceRef("case0", 0, 3)))
    Session(study, annotator="b").accept({SliceRef("case0", 0, 3): empty})
    assert [a.provenance for a in study.annotations() if a.ref.native_index == 3] == ["empty"]
    assert renew_filled(study, furthest=4) == 2
    drawn = {1: truth(study, SliceRef("case0", 0, 1)), 3: empty, 5: truth(study, SliceRef("case0", 0, 5))}
    rows, columns = study.frame("case0").spacing[1:]
    expected = fill_between(drawn, spacing=(rows, columns))
    labels = {a.ref.native_index: a.labels for a in study.annotations() if a.provenance == FILLED}
    assert labels.keys() == expected.keys() == {2, 4}
    assert all((labels[k] == expected[k]).all() for k in labels)
    assert {a.annotator for a in study.all_annotations() if a.provenance == FILLED} == {FILLED_BY}
    assert renew_filled(study, furthest=1) == 0
    assert filled_in(study) == {}
    assert {a.state for a in study.all_annotations() if a.provenance != FILLED} == {"accepted"}


def test_without_the_option_a_later_round_trains_on_nothing_filled(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=2)
    accept(study, "case0", 1, 5)
    run_round(study, options=OPTIONS)
    Session(study, annotator="a").finish_round()
    accept(study, "case1", 4)
    run_round(study, options=replace(OPTIONS, fill=0))
    assert filled_in(study) == {}
    assert trained_on(study) == {a.id for a in study.annotations()}
    assert len(trained_on(study)) == 3
    pool = pool_of(study)
    assert not pool.labelled[pool.refs.index(SliceRef("case0", 0, 3))]


def test_a_round_that_was_interrupted_fills_once(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    accept(study, "case0", 1, 5)
    stop = CancelToken()

    def cancel(at: ProgressEvent) -> None:
        if "filled" in at.message:
            stop.cancel()

    with pytest.raises(Cancelled):
        run_round(study, options=OPTIONS, progress=cancel, cancel=stop)
    before = filled_in(study)
    assert len(before) == 3
    # The round keeps the option that it began with.
    run_round(study, options=replace(OPTIONS, fill=0))
    assert filled_in(study) == before
    assert len(study.all_annotations()) == 5


def test_filling_tells_how_far_it_came_and_stops_between_two_gaps(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=2)
    accept(study, "case0", 1, 3)
    accept(study, "case1", 1, 3, 5)
    stop = CancelToken()
    told: list[tuple[int, int]] = []

    def cancel(at: ProgressEvent) -> None:
        if at.stage == "fill":
            told.append((at.done, at.total))
            if at.done == 2:
                stop.cancel()

    with pytest.raises(Cancelled):
        run_round(study, options=OPTIONS, progress=cancel, cancel=stop)
    assert told == [(0, 3), (1, 3), (2, 3)]
    # The case under way is as it was, the one before it is done.
    before = filled_in(study)
    assert set(before) == {("case0", 2)}
    assert run_round(study, options=OPTIONS).stage == "annotating"
    assert filled_in(study).items() > before.items()
    assert set(filled_in(study)) == {("case0", 2), ("case1", 2), ("case1", 4)}


def test_no_labels_are_read_where_nothing_is_or_was_filled(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=2)
    accept(study, "case0", 1, 5)
    accept(study, "case1", 1)
    asked: list[Any] = []

    def hear(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "annotations.labels" in statement:
            asked.append(values)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        assert renew_filled(study, furthest=0) == 0
        assert asked == []
        assert renew_filled(study, furthest=4) == 3
        assert ("case0",) in asked
        assert ("case1",) not in asked
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def test_a_round_that_began_before_there_was_the_option_goes_on_without(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    accept(study, "case0", 1, 5)
    settings = asdict(replace(OPTIONS, fill=0))
    del settings["fill"]
    study.start_round(strategy="widest-gap", budget=2, seed=0, unit="slice", settings=settings)
    assert run_round(study, options=OPTIONS).stage == "annotating"
    assert filled_in(study) == {}


def test_what_readers_passed_over_is_not_filled_and_filling_answers_nothing(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    run_round(study, options=replace(OPTIONS, budget=8))
    session = Session(study, annotator="a")
    session.unreadable(SliceRef("case0", 0, 2), reason="motion")
    session.skip(SliceRef("case0", 0, 3), reason="difficult")
    accept(study, "case0", 1, 5)
    session.finish_round()
    assert renew_filled(study, furthest=4) == 1
    assert set(filled_in(study)) == {("case0", 4)}
    states = {row.ref.native_index: row.state for row in study.suggestion_states(0)}
    assert [states[k] for k in (1, 2, 3, 4, 5)] == ["accepted", "unreadable", "skipped", "expired", "accepted"]


def test_filling_takes_the_place_of_nothing_and_comes_back_when_an_accept_is_undone(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    accept(study, "case0", 1, 5)
    renew_filled(study, furthest=4)
    before, ref = filled_in(study), SliceRef("case0", 0, 3)
    Session(study, annotator="b").accept({ref: truth(study, ref)})
    # As one that was chosen to be filled before it was accepted.
    study.accept([NewAnnotation(ref, np.zeros_like(truth(study, ref)), FILLED)], annotator=FILLED_BY)
    assert [a.annotator for a in study.all_annotations(ref=ref) if a.state == "accepted"] == ["b"]
    assert set(filled_in(study)) == {("case0", 2), ("case0", 4)}
    assert study.filled_refs() == {SliceRef("case0", 0, 2), SliceRef("case0", 0, 4)}
    Session(study, annotator="b").undo()
    assert filled_in(study) == before


def test_an_accept_undone_over_a_filled_slice_leaves_its_suggestion_unanswered(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    run_round(study, options=replace(OPTIONS, budget=8))
    accept(study, "case0", 1, 5)
    session = Session(study, annotator="a")
    session.finish_round()
    renew_filled(study, furthest=4)
    accept(study, "case0", 3)
    session.undo()
    assert SliceRef("case0", 0, 3) in study.filled_refs()
    states = {row.ref.native_index: row.state for row in study.suggestion_states(0)}
    assert [states[k] for k in (1, 2, 3)] == ["accepted", "expired", "expired"]


def test_a_reader_of_the_name_that_is_filled_under_keeps_drafts_and_undoes_nothing_filled(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1)
    session, ref = Session(study, annotator=FILLED_BY), SliceRef("case0", 0, 3)
    session.accept({one: truth(study, one) for one in (SliceRef("case0", 0, 1), SliceRef("case0", 0, 5))})
    session.draft(ref, truth(study, ref))
    assert renew_filled(study, furthest=4) == 3
    assert [draft.ref for draft in session.drafts()] == [ref]
    assert {one.native_index for one in session.undo()} == {1, 5}


def test_a_simulation_fills_by_the_same_option_and_counts_apart_what_it_filled(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    vae = ManifoldOptions(manifold_network="tiny", manifold_steps=2, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")
    options = replace(OPTIONS, strategy="strided", strategy_options={"every": 3}, fill=3)
    done = simulate(study, rounds=1, options=options, manifold=vae)
    assert study.properties()[SIMULATION]["fill"] == 3
    counts = [(r["annotated_slices"], r["filled_slices"]) for r in done["rounds"]]
    assert [drawn for drawn, _ in counts] == [2, 4]
    assert [list(r["dice"]) for r in done["rounds"]] == 2 * [["left lobe", "right lobe", "both"]]
    assert counts[-1][1] == len(filled_in(study)) > 0
    assert {a.round for a in study.annotations() if a.provenance == FILLED} <= {0, 1}
    again = simulate(study, rounds=1, options=options, manifold=vae)
    assert [(r["annotated_slices"], r["filled_slices"]) for r in again["rounds"]] == counts
    plain = make_study(name="plain", prepared=True, roles=("pool", "pool", "test"))
    simulate(plain, rounds=0, options=replace(options, fill=0), manifold=vae)
    assert "fill" not in plain.properties()[SIMULATION]
