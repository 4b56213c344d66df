"""The engine's verbs on a small real study: what enters training, what may be suggested, where predictions land."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.engine.annotations import import_annotations
from SuggestiveAnnotationLib.engine.evaluate import dice_3d
from SuggestiveAnnotationLib.engine.fill import FILLED
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.predict import predict_case, predict_slice
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions, TrainingOptions
from SuggestiveAnnotationLib.engine.simulate import simulate
from SuggestiveAnnotationLib.engine.suggest import ask, pool_of, sources, suggest
from SuggestiveAnnotationLib.engine.train import augmentation, train
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyError
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=4, batch=4, budget=3, device="cpu")
VAE = ManifoldOptions(manifold_network="tiny", manifold_steps=4, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")


def truth(study: Study, ref: SliceRef) -> np.ndarray:
    return np.array(study.reference_labels(ref.case)[ref.native_index])


def annotate(study: Study, *refs: SliceRef) -> None:
    session = Session(study, annotator="a")
    for ref in refs:
        session.accept({ref: truth(study, ref)})


def weights_of(study: Study) -> dict[str, np.ndarray]:
    model = study.latest_model("segmentation")
    assert model is not None
    return {name: value.numpy() for name, value in load_checkpoint(model.path)[0].state_dict().items()}


def test_drafts_and_slices_of_test_cases_never_enter_training(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(study, SliceRef("case0", 0, 3), SliceRef("case1", 0, 4))
    train(study, options=OPTIONS)
    before = weights_of(study)
    session = Session(study, annotator="a")
    session.draft(SliceRef("case0", 0, 5), truth(study, SliceRef("case0", 0, 5)))
    session.accept({SliceRef("case2", 0, 4): truth(study, SliceRef("case2", 0, 4))})
    model = train(study, options=OPTIONS)
    after = weights_of(study)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert model.card["metrics"]["annotated_slices"] == 2


def test_slices_that_are_ignored_everywhere_are_nothing_to_train_on(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    ref = SliceRef("case0", 0, 4)
    Session(study, annotator="a").accept({ref: np.full_like(truth(study, ref), study.schema.ignore_value)})
    with pytest.raises(StudyError, match="no annotated slice"):
        train(study, options=OPTIONS)
    assert study.models() == ()


def test_warm_start_goes_on_from_the_last_weights(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    first = train(study, options=OPTIONS)
    second = train(study, options=replace(OPTIONS, warm_start=True, steps=1, rate=1e-8))
    assert second.card["started_from"] == first.id
    one, two = load_checkpoint(first.path)[0].state_dict(), load_checkpoint(second.path)[0].state_dict()
    assert all(np.allclose(one[n].numpy(), two[n].numpy(), atol=1e-6) for n in one if n.endswith("conv.weight"))


def test_locked_validation_cases_decide_when_training_stops_and_nothing_else(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "validation"))
    annotate(study, SliceRef("case0", 0, 4))
    model = train(study, options=replace(OPTIONS, steps=60))
    assert model.card["validation"]
    assert len(model.card["annotations"]) == 1


def test_a_model_of_another_preprocessing_is_refused(make_study: MakeStudy) -> None:
    one, two = make_study(prepared=True, name="one"), make_study(name="two")
    prepare(two, pixels=48)
    annotate(one, SliceRef("case0", 0, 4))
    model = train(one, options=OPTIONS)
    with pytest.raises(StudyError, match="prepared differently"):
        load_checkpoint(model.path, record_key=two.record.key)


def test_the_pool_is_what_is_neither_blank_annotated_skipped_nor_open(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    run_round(study, options=OPTIONS)
    suggested = [row.suggestion.ref for row in study.suggestions(0)]
    Session(study, annotator="a").skip(suggested[0], reason="motion")
    annotate(study, suggested[1])
    pool = pool_of(study)
    free = {pool.refs[i] for i in pool.candidates}
    assert not free & set(suggested)
    assert {ref.case for ref in pool.refs} == {"case0", "case1"}
    assert set(pool.spacing_mm) == {2.0}
    for i, ref in enumerate(pool.refs):
        assert pool.blank[i] == study.slices(ref.case).blank[ref.native_index]
    study.finish_round(0)
    # What expired unanswered may be suggested again; what was skipped may not.
    free = {pool_of(study).refs[i] for i in pool_of(study).candidates}
    assert suggested[2] in free
    assert suggested[0] not in free


def test_sources_are_the_previous_rounds_the_first_batchs_or_all(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    per_round = []
    for _ in range(2):
        run_round(study, options=replace(OPTIONS, strategy="random"))
        refs = [row.suggestion.ref for row in study.suggestions() if row.state == "suggested"]
        annotate(study, *refs)
        per_round.append(set(refs))
        Session(study, annotator="a").finish_round()
    pool = pool_of(study)
    known = {a.ref: a for a in study.annotations()}

    def chosen(which: str) -> set[SliceRef]:
        return {pool.refs[i] for i in sources(pool, known, replace(OPTIONS, sources=which), 2)}

    assert chosen("previous") == per_round[1]
    assert chosen("initial") == per_round[0]
    assert chosen("all") == per_round[0] | per_round[1]


def test_annotations_outside_the_pool_do_not_decide_what_is_previous_or_initial(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(study, SliceRef("case0", 0, 3), SliceRef("case2", 0, 4))
    pool = pool_of(study)
    mine = pool.refs[3]
    one, elsewhere = (next(a for a in study.annotations() if a.ref.case == case) for case in ("case0", "case2"))
    known = {mine: replace(one, round=1), elsewhere.ref: elsewhere}
    for outside, which in ((None, "initial"), (2, "previous")):
        known[elsewhere.ref] = replace(elsewhere, round=outside)
        assert [pool.refs[i] for i in sources(pool, known, replace(OPTIONS, sources=which), 3)] == [mine]


def test_progress_counts_the_slices_that_a_strategy_looks_at(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    for _ in range(2):
        run_round(study, options=replace(OPTIONS, strategy="random"))
        annotate(study, *[row.suggestion.ref for row in study.suggestions() if row.state == "suggested"])
        Session(study, annotator="a").finish_round()
    fit_manifold(study, options=VAE)
    train(study, options=OPTIONS)

    def total(strategy: str) -> set[int]:
        events: list[ProgressEvent] = []
        ask(study, options=replace(OPTIONS, strategy=strategy), number=2, progress=events.append)
        return {event.total for event in events if event.stage == "suggest" and not event.message}

    # Two batches of three: gradients start from the last of them, and the core set's from both.
    assert total("gradient-guided") == {3}
    assert total("gradient-core-set") == {6}
    assert total("entropy") == {len(pool_of(study).candidates)}


def test_filled_slices_are_known_in_the_pool_and_are_no_sources(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    drawn, filled = [SliceRef("case0", 0, k) for k in (2, 4)], SliceRef("case0", 0, 3)
    annotate(study, *drawn)
    Session(study, annotator="a").import_annotations({filled: truth(study, filled)}, provenance=FILLED)
    pool = pool_of(study)

    def marked(mask: np.ndarray) -> set[SliceRef]:
        return {pool.refs[i] for i in np.flatnonzero(mask)}

    assert marked(pool.labelled) == {*drawn, filled}
    assert pool.filled is not None
    assert marked(pool.filled) == {filled}
    assert marked(pool.by_people) == set(drawn)
    known = {a.ref: a for a in study.annotations()}
    assert {pool.refs[i] for i in sources(pool, known, OPTIONS, 1)} == set(drawn)
    annotate(study, filled)
    pool = pool_of(study)
    assert marked(pool.by_people) == {*drawn, filled}


def test_context_slices_come_along_and_are_predicted(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(study, SliceRef("case0", 0, 4), SliceRef("case1", 0, 4))
    run_round(study, options=replace(OPTIONS, strategy="gradient-guided", context=1, budget=1), manifold=VAE)
    rows = study.suggestions(0)
    assert [row.suggestion.kind for row in rows].count("suggested") == 1
    assert any(row.suggestion.kind == "context" for row in rows)
    assert all(study.prediction(row.suggestion.ref) is not None for row in rows)


def test_a_manifold_that_does_not_know_a_case_is_refused_and_fitted_anew_by_the_next_round(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=3)
    study.exclude_case("case2", "motion", retry=True)
    first = fit_manifold(study, options=VAE)
    annotate(study, SliceRef("case0", 0, 4))
    train(study, options=OPTIONS)
    study.include_case("case2")
    guided = replace(OPTIONS, strategy="gradient-guided")
    with pytest.raises(StudyError, match="another pool"):
        ask(study, options=guided, number=1)
    assert run_round(study, options=guided, manifold=VAE).stage == "annotating"
    newest = study.latest_model("manifold")
    assert newest is not None
    assert newest.id > first.id


def test_the_manifold_stays_when_a_case_is_excluded(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=3)
    fitted = fit_manifold(study, options=VAE)
    annotate(study, SliceRef("case0", 0, 4))
    Session(study, annotator="a").exclude_case("case1", reason="wrong scan")
    run_round(study, options=replace(OPTIONS, strategy="gradient-guided"), manifold=VAE)
    newest = study.latest_model("manifold")
    assert newest is not None
    assert newest.id == fitted.id
    known, latents = study.latents(fitted)
    for row in study.suggestions(0):
        assert row.suggestion.ref.case != "case1"
        # The latents are those of the slices that are named, not of those that moved into their places.
        np.testing.assert_allclose(row.suggestion.rationale.chosen_latent, latents[known.index(row.suggestion.ref)], rtol=1e-5)


def test_cancelling_publishes_nothing_and_the_round_goes_on_later(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    cancel = CancelToken()

    def stop_in_the_middle(event: ProgressEvent) -> None:
        if event.stage == "train" and event.done == 2:
            cancel.cancel()

    with pytest.raises(Cancelled):
        run_round(study, options=replace(OPTIONS, strategy="entropy"), progress=stop_in_the_middle, cancel=cancel)
    assert study.models() == ()
    assert study.rounds()[0].stage == "training"
    assert run_round(study, options=replace(OPTIONS, strategy="random")).strategy == "entropy"


def test_a_round_that_waits_for_people_is_not_run_again(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    run_round(study, options=OPTIONS)
    with pytest.raises(StudyError, match="waits for annotations"):
        run_round(study, options=OPTIONS)


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, -1, 0, 0, 0, 1)])
def test_whole_case_predictions_land_on_the_native_grid(make_study: MakeStudy, direction: tuple[float, ...]) -> None:
    study = make_study(prepared=True, direction=direction)
    annotate(study, *(SliceRef("case0", study.frame("case0").axis, k) for k in (3, 4, 5)))
    train(study, options=replace(OPTIONS, steps=40, augment=False))
    volume = np.load(predict_case(study, "case0", device="cpu"), allow_pickle=False)
    assert volume.shape == study.case("case0").geometry.shape
    frame = SliceFrame.of(study.case("case0").geometry, study.record.plane)
    ref = SliceRef("case0", frame.axis, 4)
    np.testing.assert_array_equal(frame.stack(volume)[4], predict_slice(study, ref, device="cpu").labels)


def test_a_trained_network_finds_the_lobes_and_tells_left_from_right(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, shape=(16, 48, 40), roles=("pool", "pool", "test"))
    annotate(study, *(SliceRef(f"case{c}", 0, k) for c in (0, 1) for k in (5, 7, 8, 10)))
    train(study, options=replace(OPTIONS, steps=150, rate=1e-2))
    volume = np.load(predict_case(study, "case2", device="cpu"), allow_pickle=False)
    dice = dice_3d(volume, sitk.GetArrayFromImage(sitk.ReadImage(study.case("case2").label)), study.schema)
    assert min(dice.values()) > 0.5, dice


def test_imported_slices_are_accepted_without_effort(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    case = study.case("case0")
    done = import_annotations(study, Path(case.label), case="case0", annotator="Dr A", slices="3,5-6")
    assert [ref.native_index for ref in done.refs] == [2, 4, 5]
    for annotation in study.annotations():
        assert annotation.provenance == "imported"
        assert annotation.effort is None
        np.testing.assert_array_equal(annotation.labels, truth(study, annotation.ref))


def test_an_import_from_another_grid_is_refused_with_both_named(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(prepared=True)
    path = tmp_path / "shifted.nii.gz"
    image = sitk.ReadImage(study.case("case0").label)
    image.SetOrigin((0, 0, 0))
    sitk.WriteImage(image, str(path))
    with pytest.raises(InputError, match="another voxel grid"):
        import_annotations(study, path, case="case0", annotator="Dr A")
    assert study.all_annotations() == ()


def test_a_simulation_corrects_to_the_reference_and_keeps_saved_effort(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    summary = simulate(study, rounds=1, options=OPTIONS, manifold=VAE)
    for annotation in study.annotations():
        np.testing.assert_array_equal(annotation.labels, truth(study, annotation.ref))
        assert annotation.minutes is not None
    second = [a for a in study.annotations(round_number=1)]
    assert second
    assert {a.effort["quantity"] for a in second} == {SavedEffort.name}
    assert [r["annotated_slices"] for r in summary["rounds"]] == [3, 6]
    entry = summary["rounds"][0]["contour_effort"]["left lobe"]
    assert entry["reference_mm"] == pytest.approx(
        sum(c["reference_mm"] for a in second for c in a.effort["classes"] if c["value"] == 1), abs=0.1
    )


def test_a_simulation_needs_reference_labels(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, labelled=False)
    with pytest.raises(StudyError, match="no reference labels"):
        simulate(study, rounds=1, options=OPTIONS, manifold=VAE)


SCHEMA = LabelSchema("t", (LabelClass(1, "a", (1, 1, 1)), LabelClass(4, "b", (2, 2, 2))), regions={"both": (1, 4)})


@given(st.integers(0, 10_000))
def test_dice_equals_a_loop_over_voxels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, reference = rng.choice([0, 1, 4], (3, 4, 5)).astype(np.uint16), rng.choice([0, 1, 4, 255], (3, 4, 5)).astype(np.uint16)
    for name, values in (("a", {1}), ("b", {4}), ("both", {1, 4})):
        both = total = 0
        for p, r in zip(prediction.ravel(), reference.ravel(), strict=True):
            if r != 255:
                both += int(p in values and r in values)
                total += int(p in values) + int(r in values)
        assert dice_3d(prediction, reference, SCHEMA)[name] == pytest.approx(2 * both / total if total else None)


def test_dice_of_a_class_in_neither_volume_is_undefined() -> None:
    empty = np.zeros((2, 2, 2), np.uint16)
    assert dice_3d(empty, empty, SCHEMA) == {"a": None, "b": None, "both": None}


def test_flips_never_lie() -> None:
    sides = LabelSchema("s", (LabelClass(1, "left", (1, 1, 1), partner=2), LabelClass(2, "right", (2, 2, 2), partner=1)))
    assert augmentation(sides, "axial").flip
    assert augmentation(sides, "coronal").partner == (0, 2, 1)
    assert not augmentation(sides, "sagittal").flip
    one_sided = LabelSchema("s", (LabelClass(1, "left hippocampus", (1, 1, 1)), LabelClass(2, "tumour", (2, 2, 2))))
    assert not augmentation(one_sided, "axial").flip
    assert TrainingOptions().augment


@pytest.mark.parametrize(
    "wrong", [{"budget": -1}, {"min_gap": -2}, {"steps": 0}, {"batch": 1}, {"rate": float("nan")}, {"seed": -1}, {"audit": -1}]
)
def test_settings_out_of_range_are_refused_before_anything_begins(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="Give a number from"):
        replace(OPTIONS, **wrong)


def test_a_round_that_cannot_be_carried_out_is_not_begun(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    for wrong in ({"strategy": "oracle"}, {"strategy": "unheard-of"}, {"device": "cuda:9"}, {"strategy_options": {"tua": 1}}):
        with pytest.raises(InputError):
            run_round(study, options=replace(OPTIONS, **wrong))
    assert study.rounds() == ()


def test_annotations_of_test_cases_alone_leave_the_round_a_first_batch(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(study, SliceRef("case2", 0, 4))
    assert run_round(study, options=OPTIONS).strategy == "strided"


def test_a_suggest_that_was_interrupted_before_the_pre_annotation_goes_on(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    train(study, options=OPTIONS)
    cancel = CancelToken()

    def stop(event: ProgressEvent) -> None:
        if event.stage == "predict":
            cancel.cancel()

    with pytest.raises(Cancelled):
        suggest(study, options=replace(OPTIONS, strategy="random"), progress=stop, cancel=cancel)
    before = [row.suggestion.ref for row in study.suggestions(0)]
    done = suggest(study, options=replace(OPTIONS, strategy="random", seed=9))
    assert (done.number, done.stage) == (0, "annotating")
    assert [row.suggestion.ref for row in study.suggestions(0)] == before
    assert all(study.prediction(ref) is not None for ref in before)


def test_a_round_can_be_abandoned_and_the_next_begins(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    first = study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    study.finish_round(first.number)
    assert run_round(study, options=OPTIONS).number == 1


def test_the_round_that_waits_is_closed_by_the_next_one_that_can_begin(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    assert run_round(study, options=OPTIONS).number == 0
    with pytest.raises(StudyError, match="Round 0 waits"):
        run_round(study, options=OPTIONS, finishes=1)
    with pytest.raises(InputError):
        run_round(study, options=replace(OPTIONS, device="cuda:9"), finishes=0)
    assert study.current_round().stage == "annotating"
    assert run_round(study, options=OPTIONS, finishes=0).number == 1
    assert [one.stage for one in study.rounds()] == ["finished", "annotating"]
    assert {row.state for row in study.suggestion_states(0)} == {"expired"}


def test_audit_slices_come_on_top_and_without_pre_annotation(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    run_round(study, options=replace(OPTIONS, strategy="entropy", budget=2, audit=2))
    kinds = [row.kind for row in study.suggestion_states(0)]
    assert sorted(kinds) == ["audit", "audit", "suggested", "suggested"]
    session = Session(study, annotator="a")
    audits = [row.ref for row in study.suggestion_states(0) if row.kind == "audit"]
    assert all(session.open(ref) is None for ref in audits)


def test_audit_slices_are_predicted_by_the_model_before_too_and_nothing_else_is(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    options = replace(OPTIONS, strategy="random", budget=2, audit=2)
    run_round(study, options=options)
    assert study.models("segmentation")[0].round == 0
    Session(study, annotator="a").finish_round()
    annotate(study, SliceRef("case1", 0, 4))
    run_round(study, options=options)
    before, own = study.models("segmentation")
    suggested_first = {row.ref for row in study.suggestion_states(0)}
    for row in study.suggestion_states(1):
        assert study.prediction(row.ref, model_id=own.id) is not None
        known = study.prediction(row.ref, model_id=before.id) is not None
        assert known == (row.kind == "audit" or row.ref in suggested_first)


def test_audit_slices_are_not_compared_with_a_model_that_learnt_from_the_same_slices(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    options = replace(OPTIONS, strategy="random", budget=1, audit=1)
    run_round(study, options=options)
    study.finish_round(0)
    annotate(study, SliceRef("case1", 0, 4))
    # Round 1 is abandoned, so that rounds 1 and 2 train on the same slices.
    run_round(study, options=options)
    study.finish_round(1)
    run_round(study, options=options)
    first, abandoned, own = study.models("segmentation")
    assert abandoned.card["annotations"] == own.card["annotations"]
    (audit,) = (row.ref for row in study.suggestion_states(2) if row.kind == "audit")
    assert study.prediction(audit, model_id=own.id) is not None
    assert study.prediction(audit, model_id=first.id) is not None


def test_a_model_that_is_gone_keeps_no_round_from_people(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    annotate(study, SliceRef("case0", 0, 4))
    train(study, options=OPTIONS).path.unlink()
    annotate(study, SliceRef("case0", 0, 3))
    said: list[str] = []
    options = replace(OPTIONS, strategy="random", budget=2, audit=2)
    assert run_round(study, options=options, progress=lambda event: said.append(event.message)).stage == "annotating"
    assert any("This round's gain cannot be measured" in message for message in said)


def test_the_gap_is_kept_from_slices_that_are_being_drawn(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, shape=(24, 24, 20))
    session = Session(study, annotator="a")
    drawn = SliceRef("case0", 0, 12)
    session.draft(drawn, truth(study, drawn))
    suggestions = ask(study, options=replace(OPTIONS, strategy="random", budget=60, min_gap=3), number=0).suggestions
    of_case = sorted(one.ref.native_index for one in suggestions if one.ref.case == "case0")
    near = [index for index in of_case if abs(index - 12) <= 3]
    assert of_case
    # The slice itself may come again; its neighbours may not.
    assert near in ([], [12])
    session.discard(drawn)
    free = ask(study, options=replace(OPTIONS, strategy="random", budget=60, min_gap=3), number=0).suggestions
    assert any(0 < abs(one.ref.native_index - 12) <= 3 for one in free if one.ref.case == "case0")


def test_test_cases_are_judged_in_rounds_that_people_annotate(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(study, SliceRef("case0", 0, 4))
    run_round(study, options=replace(OPTIONS, strategy="random"))
    assert {m.case for m in study.metrics(0) if m.name == "dice_3d"} == {"case2"}
