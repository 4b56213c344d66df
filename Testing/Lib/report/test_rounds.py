"""Numbers a round and the advice whether another one pays, on values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.report.collect_effort import effort_rows
from SuggestiveAnnotationLib.report.numbers import mean_dice
from SuggestiveAnnotationLib.report.rounds import Ratio, advice, audit_slices, round_points, slice_dice
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.records import Metric
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, Rationale, SliceRef, Suggestion, SuggestionKind

MakeStudy = Callable[..., Study]
SCHEMA = LabelSchema("s", (LabelClass(1, "a", (1, 1, 1)), LabelClass(2, "b", (2, 2, 2))))


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    return make_study(prepared=True, cases=4)


def bar(length: int, value: int = 1) -> np.ndarray:
    """A bar of `length` pixels; two bars of n and m pixels share min(n, m)."""
    out = np.zeros((24, 20), np.uint16)
    out[5, :length] = value
    return out


def add_model(study: Study, number: int, *, trained_on: list[int] | None = None) -> int:
    """A model of a round, trained on annotations of its own unless others are given."""
    card = {"annotations": [number] if trained_on is None else trained_on}
    weights = study.path / "models" / f"m{number}.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    return study.publish_model("segmentation", path=weights, card=card, record_key=study.record.key, round_number=number).id


def begin(study: Study, kinds: dict[SliceRef, SuggestionKind]) -> int:
    number = study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={}).number
    suggestions = [Suggestion(ref, rank, Rationale("random", "Drawn."), kind=kind) for rank, (ref, kind) in enumerate(kinds.items())]
    study.publish_suggestions(number, suggestions)
    return number


def audit_round(study: Study, slices: dict[SliceRef, tuple[int | None, int]], *, drawn: int = 10) -> int:
    """A finished round of audit slices: slice -> lengths of the bar that the model before and the round's own predicted."""
    number = begin(study, dict.fromkeys(slices, "audit"))
    before = study.latest_model("segmentation")
    own = add_model(study, number)
    for ref, (length_before, length) in slices.items():
        study.add_predictions(own, [(ref, bar(length))])
        if before is not None and length_before is not None:
            study.add_predictions(before.id, [(ref, bar(length_before))])
    study.enter_stage(number, "annotating")
    session = Session(study, annotator="a")
    for ref in slices:
        session.open(ref)
        session.accept({ref: bar(drawn)})
    study.finish_round(number)
    return number


def refs(*places: tuple[int, int]) -> list[SliceRef]:
    return [SliceRef(f"case{case}", 0, index) for case, index in places]


EIGHT = refs((0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2))


def dice(a: int, b: int) -> float:
    return 2 * min(a, b) / (a + b)


# Dice of a slice


def test_dice_of_a_slice_counts_every_pixel_for_its_own_class_and_leaves_out_what_is_ignored() -> None:
    prediction = np.array([[1, 1, 2, 0], [1, 0, 2, 2]], np.uint16)
    reference = np.array([[1, 2, 2, 255], [1, 1, 0, 255]], np.uint16)
    # Counted are six pixels: predicted 1 1 2 1 0 2 (five), drawn 1 2 2 1 1 0 (five); three agree in their class.
    assert slice_dice(prediction, reference, SCHEMA) == pytest.approx(2 * 3 / 10)
    assert slice_dice(prediction, prediction, SCHEMA) == 1
    empty = np.zeros((2, 2), np.uint16)
    assert slice_dice(empty, empty, SCHEMA) == 1
    assert slice_dice(empty, np.full((2, 2), 255, np.uint16), SCHEMA) is None
    assert slice_dice(empty, np.full((2, 2), 1, np.uint16), SCHEMA) == 0


# Intervals


def test_an_interval_is_of_whole_cases() -> None:
    # Two cases of means 0 and 1: more than what is possible, 0 to 1.
    two = Ratio.of(refs((0, 1), (0, 2), (1, 1), (1, 2)), np.array([0, 0, 1, 1.0]), np.ones(4), seed=0)
    assert (two.value, two.low, two.high) == (0.5, 0, 1)
    # The same four values, each of two in both cases: every sample of cases has the mean 1/2.
    mixed = Ratio.of(refs((0, 1), (0, 2), (1, 1), (1, 2)), np.array([0, 1, 0, 1.0]), np.ones(4), seed=0)
    assert (mixed.value, mixed.low, mixed.high) == (0.5, 0.5, 0.5)


def test_a_ratio_is_of_sums_and_undefined_without_a_whole() -> None:
    one = Ratio.of(refs((0, 1), (1, 1)), np.array([1.0, 30]), np.array([10.0, 30]), seed=0)
    assert one.value == pytest.approx(31 / 40)
    assert (one.low, one.high) == (0, 1)
    assert Ratio.of(refs((0, 1), (0, 2)), np.ones(2), np.ones(2), seed=0) == Ratio(1.0)
    assert Ratio.of(refs((0, 1)), np.zeros(1), np.zeros(1), seed=0) == Ratio()
    assert Ratio.of([], np.zeros(0), np.zeros(0), seed=0) == Ratio()


def test_an_interval_of_means_is_students() -> None:
    # The cases' means are 0.4, 0.5 and 0.6: standard error 0.1 / sqrt(3), and 4.303 of them with two degrees of freedom.
    three = Ratio.of_means(refs((0, 1), (0, 2), (1, 1), (2, 1)), [0.3, 0.5, 0.5, 0.6], seed=0)
    assert three.value == pytest.approx(0.5)
    assert three.low == pytest.approx(0.5 - 4.3027 * 0.1 / 3**0.5, abs=1e-4)
    assert three.high == pytest.approx(0.5 + 4.3027 * 0.1 / 3**0.5, abs=1e-4)
    gain = Ratio.of_means(refs((0, 1), (1, 1)), [-0.1, 0.9], seed=0, least=-1.0)
    assert (gain.low, gain.high) == (-1, 1)


def test_an_interval_of_a_ratio_is_of_what_each_case_lies_above_or_below_it() -> None:
    parts, wholes = np.array([4.0, 12, 9]), np.array([10.0, 20, 20])
    found = Ratio.of(refs((0, 1), (1, 1), (2, 1)), parts, wholes, seed=0)
    # 25 / 50, from which the cases are -1, 2 and -1; relative to a mean whole of 50 / 3, a standard deviation of 3 / 10 * sqrt(3) / 5.
    assert found.value == 0.5
    assert found.high == pytest.approx(0.5 + 4.3027 * 0.3 * 3**0.5 / 5 / 3**0.5, abs=1e-4)


def test_an_interval_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(1).random(8)
    first, again = (Ratio.of(EIGHT, values, np.ones(8), seed=3) for _ in range(2))
    assert first == again
    assert first.low is not None
    assert first.high is not None
    assert 0 <= first.low < values.mean() < first.high <= 1


@pytest.mark.parametrize("cases", [3, 4, 5, 8])
@pytest.mark.parametrize("uneven", [False, True])
def test_an_interval_holds_the_truth_as_often_as_it_says(cases: int, uneven: bool) -> None:
    rng = np.random.default_rng(cases)
    per_case = [8 if uneven and case == 0 else 2 for case in range(cases)]
    slices = [SliceRef(f"case{case}", 0, index) for case in range(cases) for index in range(per_case[case])]
    trials, held, above = 1500, 0, 0
    for trial in range(trials):
        gains = np.repeat(rng.normal(0, 0.05, cases), per_case) + rng.normal(0, 0.02, len(slices))
        found = Ratio.of_means(slices, gains.tolist(), seed=trial, least=-1.0)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        above += found.low > 0
    # Four standard errors of 1500 trials.
    assert held / trials > 0.95 - 4 * (0.95 * 0.05 / trials) ** 0.5
    assert above / trials < 0.025 + 4 * (0.025 * 0.975 / trials) ** 0.5


# Rounds


def test_a_round_in_numbers(study: Study) -> None:
    audit, shown, other = refs((0, 1), (0, 4), (1, 4))
    study.set_roles({"case3": "test"})
    begin(study, {audit: "audit", shown: "suggested", other: "suggested"})
    model = add_model(study, 0)
    study.add_predictions(model, [(audit, bar(6)), (shown, bar(4)), (other, bar(10))])
    study.enter_stage(0, "annotating")
    session = Session(study, annotator="a")
    for ref in (audit, shown, other):
        session.open(ref)
    session.accept({audit: bar(10)}, minutes={audit: 2.0})
    session.accept({shown: bar(4)}, minutes={shown: 0.5})
    session.accept({other: bar(10, 2)})
    study.put_metrics([Metric(0, "dice_3d", "case3", "left lobe", 0.4), Metric(0, "dice_3d", "case3", "right lobe", 0.8)])
    study.put_metrics([Metric(0, "dice_3d", "case3", "both", None), Metric(0, "judged_model", "", "", 1)])
    (point,) = round_points(study)
    assert point.audit_dice == pytest.approx(2 * 6 / 16)
    # One slice, one case: no interval.
    assert (point.audit_low, point.audit_high, point.audit_slices) == (None, None, 1)
    assert point.held_out_dice == pytest.approx(0.6)
    # Bars of 4 and 10 pixels have contours of 10 and 22 pixel edges of 1 mm. The first is kept; the other has another class.
    assert point.retained == pytest.approx(10 / 32)
    assert (point.retained_low, point.retained_high) == (0, 1)
    assert (point.slices, point.minutes) == (3, 2.5)


def test_held_out_dice_is_the_reports_and_excluded_cases_have_no_part_in_it(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=5, roles=("pool", "pool", "test", "test", "test"))
    begin(study, {})
    values = {"case2": (0.9, None), "case3": (0.3, 0.5), "case4": (0.0, 0.0), "case0": (1.0, 1.0)}
    for case, (left, right) in values.items():
        study.put_metrics([Metric(0, "dice_3d", case, "left lobe", left), Metric(0, "dice_3d", case, "right lobe", right)])
    study.exclude_case("case4", "another patient")
    (point,) = round_points(study)
    # A case counts once, whatever classes it holds; a case of the pool never.
    assert point.held_out_dice == pytest.approx((0.9 + 0.4) / 2)
    assert point.held_out_dice == mean_dice(collect(study, command=""), None, 0)


def test_what_was_drawn_in_an_excluded_case_has_no_say(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, {ref: ((1, 10) if ref.case in ("case0", "case1") else (8, 8)) for ref in EIGHT})
    for case in ("case0", "case1"):
        study.exclude_case(case, "another patient")
    assert "4 audit slices of 2 cases" in advice(study).sentence
    assert round_points(study)[1].audit_dice == pytest.approx(dice(8, 10))
    assert {row.effort.slices for row in effort_rows(study)} == {4}


def test_effort_is_of_the_round_whose_model_was_corrected_also_once_the_next_has_begun(study: Study) -> None:
    begin(study, {})
    study.finish_round(0)
    shown, audit = refs((0, 4), (1, 4))
    number = begin(study, {shown: "suggested", audit: "audit"})
    study.add_predictions(add_model(study, number), [(ref, bar(7)) for ref in (shown, audit)])
    study.enter_stage(number, "annotating")
    study.finish_round(number)
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    session = Session(study, annotator="a")
    for ref in (shown, audit):
        session.open(ref)
        session.accept({ref: bar(10)})
    assert [a.round for a in study.annotations()] == [2, 2]
    points = round_points(study)
    assert [p.retained is not None for p in points] == [False, True, False]
    assert [p.audit_slices for p in points] == [0, 1, 0]
    assert [p.slices for p in points] == [0, 0, 2]
    rows = {(row.round, row.quantity, row.audit) for row in effort_rows(study)}
    assert rows == {(1, "Retained contour", False), (1, "Saved effort", True)}


def test_effort_on_the_outline_of_an_imported_network_is_of_the_round_that_showed_it(study: Study) -> None:
    (weights := study.path / "models" / "imported.safetensors").parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    card = {"imported_from": {"file": "sent.safetensors"}}
    network = study.publish_model("segmentation", path=weights, card=card, record_key=study.record.key, round_number=None)
    begun, again = refs((0, 4), (1, 4))
    begin(study, {begun: "suggested", again: "suggested"})
    study.add_predictions(network.id, [(ref, bar(7)) for ref in (begun, again)])
    study.enter_stage(0, "annotating")
    session = Session(study, annotator="a")
    for ref in (begun, again):
        session.open(ref)
        session.draft(ref, bar(10))
    study.finish_round(0)
    # What is suggested anew keeps what its draft began with.
    number = begin(study, {again: "suggested"})
    study.add_predictions(add_model(study, number), [(again, bar(9))])
    study.enter_stage(number, "annotating")
    for ref in (begun, again):
        session.accept({ref: bar(10)})
    assert [(a.round, study.prediction_by_id(a.prediction_id or 0).model_id) for a in study.annotations()] == [(1, network.id)] * 2
    assert [p.retained is not None for p in round_points(study)] == [True, False]
    assert {row.round for row in effort_rows(study)} == {0}


def test_a_round_without_any_of_it_says_so(study: Study) -> None:
    begin(study, {})
    (point,) = round_points(study)
    assert (point.audit_dice, point.held_out_dice, point.retained, point.minutes) == (None, None, None, None)
    assert (point.audit_slices, point.slices) == (0, 0)
    assert round_points(study) == round_points(study)


def test_an_audit_slice_counts_only_when_its_rounds_model_had_predicted_it_and_it_was_drawn_unseen(study: Study) -> None:
    drawn, seen, unpredicted, waiting = EIGHT[:4]
    begin(study, dict.fromkeys((drawn, seen, unpredicted, waiting), "audit"))
    model = add_model(study, 0)
    study.add_predictions(model, [(ref, bar(6)) for ref in (drawn, seen, waiting)])
    session = Session(study, annotator="a")
    for ref in (drawn, unpredicted):
        session.accept({ref: bar(10)})
    prediction = study.prediction(seen)
    assert prediction is not None
    study.save_draft(seen, bar(9), annotator="a", prediction_id=prediction.id)
    session.accept({seen: bar(9)})
    assert [(one.ref, one.dice, one.before) for one in audit_slices(study)] == [(drawn, pytest.approx(12 / 16), None)]


@pytest.mark.parametrize(("kind", "rounds"), [("suggested", []), ("audit", [1])])
def test_an_audit_slice_that_expired_and_is_suggested_again_is_of_the_later_round_alone(
    study: Study, kind: SuggestionKind, rounds: list[int]
) -> None:
    slice_ = EIGHT[0]
    for number, kinds in enumerate(({slice_: "audit"}, {slice_: kind})):
        begin(study, kinds)
        study.add_predictions(add_model(study, number), [(slice_, bar(6))])
        if number == 0:
            study.finish_round(0)
    Session(study, annotator="a").import_annotations({slice_: bar(10)})
    assert [one.round for one in audit_slices(study)] == rounds
    assert [point.audit_slices for point in round_points(study)] == [0, len(rounds)]
    assert {row.round for row in effort_rows(study) if row.audit} == set(rounds)


# Advice


def test_nothing_is_said_without_two_models_in_a_row(study: Study) -> None:
    assert "no audit slice is accepted that two models in a row had predicted" in advice(study).sentence
    assert "`run-round --audit 4`" in advice(study).sentence
    audit_round(study, dict.fromkeys(EIGHT, (None, 8)))
    said = advice(study)
    assert (said.pays, said.change, said.slices) == (None, None, 0)
    assert "cannot be said yet" in said.sentence


@pytest.mark.parametrize(
    ("chosen", "have"),
    [
        (EIGHT[:7], "7 audit slices of 4 cases"),
        (EIGHT[:1], "1 audit slice of 1 case"),
        (refs(*((c, k) for c in (0, 1) for k in range(1, 6))), "10 audit slices of 2 cases"),
    ],
)
def test_with_few_slices_or_cases_it_says_how_many_are_needed(study: Study, chosen: list[SliceRef], have: str) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(chosen, (5, 8)))
    assert advice(study).sentence == f"Whether another round pays cannot be said yet: {have}, at least 8 of 3 cases are needed."


def test_a_clear_gain_pays(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(EIGHT, (5, 8)))
    said = advice(study)
    gain = dice(8, 10) - dice(5, 10)
    assert said.pays is True
    assert (said.change, said.low, said.high) == (pytest.approx(gain), pytest.approx(gain), pytest.approx(gain))
    assert said.sentence == (
        "Agreement on audit slices rose by 0.222 with the last model (95 % interval +0.222 to +0.222, 8 slices of round 1): "
        "another round is likely to pay."
    )


def test_no_gain_is_unlikely_to_become_one(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(EIGHT, (8, 8)))
    said = advice(study)
    assert (said.pays, said.change, said.high) == (False, 0, 0)
    assert "another round is unlikely to raise it much" in said.sentence


def test_a_model_of_an_abandoned_round_is_not_the_one_before(study: Study) -> None:
    first = add_model(study, begin(study, {}), trained_on=[1, 2])
    study.finish_round(0)
    abandoned = add_model(study, begin(study, {}), trained_on=[1, 2, 3])
    study.finish_round(1)
    own = add_model(study, begin(study, dict.fromkeys(EIGHT, "audit")), trained_on=[1, 2, 3])
    for model, length in ((first, 5), (abandoned, 8), (own, 8)):
        study.add_predictions(model, [(ref, bar(length)) for ref in EIGHT])
    for ref in EIGHT:
        Session(study, annotator="a").accept({ref: bar(10)})
    said = advice(study)
    assert said.pays is True
    assert said.change == pytest.approx(dice(8, 10) - dice(5, 10))


def test_older_rounds_are_taken_in_where_the_newest_have_slices_enough_but_not_cases(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(EIGHT, (5, 8)))
    audit_round(study, dict.fromkeys(refs(*((case, k) for case in (0, 1) for k in (3, 4, 5, 6))), (8, 8)))
    said = advice(study)
    assert said.slices == 16
    assert "16 slices of rounds 1 to 2" in said.sentence


def test_false_contours_that_are_gone_from_slices_without_structure_are_a_gain(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(EIGHT, (6, 0)), drawn=0)
    said = advice(study)
    assert (said.pays, said.change, said.slices) == (True, 1, 8)


def test_a_loss_is_said_as_such(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(EIGHT, (8, 5)))
    said = advice(study)
    assert said.pays is False
    assert said.sentence.startswith("Agreement on audit slices fell by 0.222")


def test_gains_here_and_losses_there_are_too_uncertain(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, {ref: ((5, 8) if ref.case in ("case0", "case1") else (8, 5)) for ref in EIGHT})
    said = advice(study)
    assert said.pays is None
    assert said.change == pytest.approx(0)
    assert said.low is not None
    assert said.high is not None
    assert said.low < -0.1
    assert said.high > 0.1
    assert "too uncertain" in said.sentence


def test_the_newest_rounds_are_taken_together_until_there_are_enough_and_older_ones_have_no_say(study: Study) -> None:
    audit_round(study, {})
    audit_round(study, dict.fromkeys(refs(*((c, k) for c in range(4) for k in (3, 4))), (1, 10)))
    audit_round(study, dict.fromkeys(EIGHT[:4], (8, 8)))
    audit_round(study, dict.fromkeys(EIGHT[4:], (5, 8)))
    said = advice(study)
    # Four slices gained nothing and four gained; the eight of round 1, which gained the most, are not needed.
    assert said.slices == 8
    assert said.change == pytest.approx((dice(8, 10) - dice(5, 10)) / 2)
    assert "8 slices of rounds 2 to 3" in said.sentence
