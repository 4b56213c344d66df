"""Labels that were there before the study: every use with every rule, a round on them, and a kill in the middle."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import SimpleITK as sitk
from partly_labelled import BY, COUNTED, IGNORE, SAYING, partly, settings, slices, suggested, suggestion

from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.labels import TAKEN, file_hash, start_from_labels
from SuggestiveAnnotationLib.engine.predict import predict_slices
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import Cancelled, StudyError
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import AnnotatedRule, LabelUse, SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=4, batch=4, budget=2, device="cpu")


@pytest.mark.parametrize("rule", get_args(AnnotatedRule))
@pytest.mark.parametrize("use", get_args(LabelUse))
def test_every_use_takes_the_slices_that_the_rule_counts(make_study: MakeStudy, use: LabelUse, rule: AnnotatedRule) -> None:
    roles = ("pool", "pool", "validation")
    study = make_study(roles=roles, settings=settings(use, rule), change_labels=partly)
    done = prepare(study, pixels=32)
    written = partly(0, np.zeros((8, 24, 20), np.uint8)).astype(np.uint16)
    for case in ("case0", "case1", "case2"):
        expected = written.copy()
        expected[[k for k in range(8) if k not in COUNTED[rule]]] = IGNORE
        np.testing.assert_array_equal(study.reference_labels(case), expected)
    taken = {case: SAYING[rule] for case in ("case0", "case1")}
    if use == "first-batch":
        annotations = study.annotations()
        assert slices(a.ref for a in annotations) == taken
        assert {(a.annotator, a.provenance, a.round, a.prediction_id, a.state) for a in annotations} == {
            (BY, "imported", None, None, "accepted")
        }
        for a in annotations:
            np.testing.assert_array_equal(a.labels, written[a.ref.native_index])
        assert len({a.batch for a in annotations}) == 2
    else:
        assert study.annotations() == ()
    if use == "pre-annotation":
        (model,) = study.models()
        found = study.prediction_ids(model.id)
        assert slices(found) == taken
        for ref, identifier in found.items():
            shown = study.prediction_by_id(identifier).labels
            # Readers draw structures; what the file ignores is nothing drawn.
            np.testing.assert_array_equal(shown, np.where(written[ref.native_index] == IGNORE, 0, written[ref.native_index]))
    else:
        assert study.models() == ()
    assert done.taken == (2 * len(SAYING[rule]) if use in ("first-batch", "pre-annotation") else 0)
    if done.taken:
        assert done.left_out == (
            f"{2 * (8 - len(SAYING[rule]))} slice{'s do' if 8 - len(SAYING[rule]) else ''} not count as annotated (rule: {rule}).",
        )
    again = prepare(study)
    assert (again.taken, again.built, again.left_out) == (0, 0, ())
    assert len(study.all_annotations()) == (done.taken if use == "first-batch" else 0)


def test_a_study_of_before_takes_nothing_and_its_store_keeps_its_name(make_study: MakeStudy) -> None:
    old, new = make_study(prepared=True, name="old"), make_study(prepared=True, name="new", settings=settings("reference", "all"))
    assert old.labels_as == "reference"
    assert old.slice_store.folder.name == new.slice_store.folder.name
    assert make_study(prepared=True, name="span", settings=settings("reference", "span")).slice_store.folder.name != (
        old.slice_store.folder.name
    )
    assert TAKEN not in old.properties()


def test_the_rule_is_applied_along_the_frozen_plane(make_study: MakeStudy) -> None:
    def plate(index: int, labels: np.ndarray) -> np.ndarray:
        out = np.zeros_like(labels)
        out[2:5, 10:14, 7] = 1
        return out

    study = make_study(settings=settings("first-batch", "labelled"), change_labels=plate)
    prepare(study, pixels=32, plane="sagittal")
    assert slices(a.ref for a in study.annotations()) == {f"case{n}": [7] for n in range(3)}
    assert {a.ref.axis for a in study.annotations()} == {2}


def test_training_starts_with_the_imported_first_batch(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, settings=settings("first-batch", "labelled"), change_labels=partly)
    run_round(study, options=replace(OPTIONS, strategy="average-bvsb", audit=0))
    assert study.rounds()[0].strategy == "average-bvsb"
    (model,) = study.models("segmentation")
    assert model.card["annotations"] == [a.id for a in study.annotations()]
    assert not {row.ref for row in study.suggestion_states(0)} & study.annotated_refs()
    assert collect(study, command="test").rounds[0].slices == 6


def test_only_slices_that_count_stop_training_and_judge_a_model(make_study: MakeStudy) -> None:
    roles = ("pool", "validation", "test")
    study = make_study(prepared=True, roles=roles, settings=settings("reference", "labelled"), change_labels=partly)
    Session(study, annotator="a").accept({SliceRef("case0", 0, 4): np.array(study.reference_labels("case0")[2])})
    model = train(study, options=OPTIONS, round_number=0)
    assert model.card["validation"]
    nothing = make_study(
        prepared=True, name="empty", roles=roles, settings=settings("reference", "labelled"), change_labels=lambda i, labels: labels * 0
    )
    Session(nothing, annotator="a").accept({SliceRef("case0", 0, 4): np.ones((24, 20), np.uint16)})
    # No validation slice counts, so nothing can stop training early.
    assert train(nothing, options=OPTIONS).card["validation"] == []
    evaluate(nothing, number=0, device="cpu")
    assert {m.value for m in nothing.metrics(0) if m.name == "dice_3d"} == {None}


# --- pre-annotation


def test_retained_contour_is_measured_against_the_imported_pre_annotation(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, settings=settings("pre-annotation", "labelled"), change_labels=partly)
    square, bar, other = SliceRef("case0", 0, 2), SliceRef("case0", 0, 5), SliceRef("case1", 0, 1)
    suggested(study, suggestion(square, 0), suggestion(bar, 1, kind="audit"), suggestion(other, 2))
    session = Session(study, annotator="reader")
    assert session.shown_labels(square).origin == "pre-annotation"
    np.testing.assert_array_equal(session.case_labels("case0")[square].labels, partly(0, np.zeros((8, 24, 20)))[2])
    assert session.shown_labels(bar).origin == "nothing"
    assert session.open(bar) is None
    assert session.open(other) is None
    assert session.open(square) is not None
    wider = np.zeros((24, 20), np.uint16)
    wider[8:14, 6:14] = 1
    (accepted,) = session.accept({square: wider})
    assert accepted.provenance == "corrected"
    one = accepted.effort["classes"][0]
    # 6 x 8 pixels of 1 mm drawn over 6 x 6: the left side and three quarters of top and bottom were there.
    assert (one["value"], one["reference_mm"], one["prediction_mm"], one["shared_mm"]) == (1, 28, 24, 18)
    assert (one["added_pixels"], one["removed_pixels"], one["false_components"]) == (12, 0, 0)
    # Within 1 mm, one more pixel edge of top and bottom each counts; those of the right side are 2 mm away.
    assert (one["shared_within_pixels_mm"], one["shared_within_millimetres_mm"]) == (20, 20)
    (drawn,) = session.accept({bar: wider})
    assert drawn.effort is None
    (same,) = session.accept({square: partly(0, np.zeros((8, 24, 20), np.uint16))[2]})
    assert same.provenance == "unchanged"
    effort = collect(study, command="test").effort
    assert [(row.quantity, row.effort.slices) for row in effort if not row.audit] == [("Retained contour", 1)] * 2


def test_the_prediction_of_a_newer_model_takes_the_place_of_the_imported_one(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, settings=settings("pre-annotation", "labelled"), change_labels=partly)
    first, second = SliceRef("case0", 0, 2), SliceRef("case1", 0, 2)
    suggested(study, suggestion(first, 0), suggestion(second, 1))
    session = Session(study, annotator="reader")
    imported = study.latest_model("imported")
    assert imported is not None
    assert session.open(first).model_id == imported.id
    session.accept({first: session.shown_labels(first).labels})
    model = train(study, options=OPTIONS)
    assert session.pre_annotation(second).model_id == imported.id
    predict_slices(study, [second], device="cpu")
    assert session.pre_annotation(second).model_id == model.id
    # What a reader began with stays what their work is measured against.
    assert session.first_shown(first).model_id == imported.id


def test_the_imported_model_has_a_card_without_weights_that_the_next_worker_keeps(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, settings=settings("pre-annotation", "span"), change_labels=partly)
    (model,) = study.models()
    assert model.kind == "imported"
    assert study.latest_model("segmentation") is None
    with study.lock():
        pass
    card = json.loads(model.path.read_text(encoding="utf-8"))
    assert card == model.card
    assert (card["by"], card["annotated_slices"], card["record_key"]) == (BY, "span", study.record.key)
    for case in study.cases():
        assert card["labels"][case.name]["file_sha256"] == hashlib.sha256(Path(case.label).read_bytes()).hexdigest()
    assert str(study.path.parent) not in json.dumps(card)
    run_round(study, options=OPTIONS)
    assert [r.stage for r in study.rounds()] == ["annotating"]
    assert collect(study, command="test").losses == ()


# --- later changes


def test_the_hash_of_a_file_is_its_own_and_covers_voxels_beside_it(make_study: MakeStudy, tmp_path: Path) -> None:
    label = Path(make_study().case("case0").label or "")
    assert file_hash(label) == hashlib.sha256(label.read_bytes()).hexdigest()
    sitk.WriteImage(sitk.ReadImage(str(label)), str(tmp_path / "a.mhd"))
    before = file_hash(tmp_path / "a.mhd")
    (tmp_path / "a.raw").write_bytes(bytes((tmp_path / "a.raw").stat().st_size))
    assert file_hash(tmp_path / "a.mhd") not in (before, None)
    (tmp_path / "a.raw").unlink()
    assert file_hash(tmp_path / "a.mhd") is None


def test_what_somebody_annotated_and_what_was_undone_is_not_taken_again(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1, settings=settings("first-batch", "labelled"), change_labels=partly)
    study.undo_accept(study.annotations()[0].batch, annotator=BY)
    for _ in range(2):
        start_from_labels(study)
        assert study.annotations() == ()
        study.set_property(TAKEN, {})
    Session(study, annotator="reader").accept({SliceRef("case0", 0, 5): np.zeros((24, 20), np.uint16)})
    start_from_labels(study)
    assert [(a.annotator, a.ref.native_index) for a in study.annotations()] == [("reader", 5)]


def test_a_case_that_is_mended_later_is_taken_then(make_study: MakeStudy) -> None:
    for use in ("first-batch", "pre-annotation"):
        study = make_study(name=use, settings=settings(use, "labelled"), change_labels=partly)
        path = Path(study.case("case1").images["t1"])
        whole = path.read_bytes()
        path.write_bytes(whole[:100])
        assert prepare(study, pixels=32).taken == 4
        path.write_bytes(whole)
        assert prepare(study).taken == 2
        refs = study.annotated_refs() if use == "first-batch" else {r for m in study.models("imported") for r in study.prediction_ids(m.id)}
        assert slices(refs) == {f"case{n}": [2, 5] for n in range(3)}


def test_labels_that_change_after_they_were_taken_leave_the_annotations_as_they_were(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=2, settings=settings("first-batch", "labelled"), change_labels=partly)
    path = study.case("case1").label
    image = sitk.ReadImage(path)
    array = sitk.GetArrayFromImage(image)
    array[6, 3:5, 3:5] = 1
    other = sitk.GetImageFromArray(array)
    other.CopyInformation(image)
    sitk.WriteImage(other, path)
    done = prepare(study)
    assert (done.built, done.taken) == (1, 0)
    assert done.left_out == ("The labels of case case1 have changed since they were taken; what was taken stays as it was.",)
    assert slices(a.ref for a in study.annotations()) == {"case0": [2, 5], "case1": [2, 5]}


# --- interrupted

KILLED = """
import os, signal, sys
from pathlib import Path
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.study.study import Study

study, name, wanted = Study(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
real, calls = getattr(study, name), []

def killed(*arguments, **options):
    calls.append(1)
    if len(calls) == wanted and name == "publish_model":
        os.kill(os.getpid(), signal.SIGKILL)
    done = real(*arguments, **options)
    if len(calls) == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

setattr(study, name, killed)
with study.lock():
    prepare(study, pixels=32)
"""


@pytest.mark.kill
@pytest.mark.parametrize(
    ("use", "moment", "left"),
    [
        ("first-batch", ("accept", 2), {"case0": [2, 5], "case1": [2, 5]}),
        ("pre-annotation", ("publish_model", 1), {}),
        ("pre-annotation", ("add_predictions", 2), {"case0": [2, 5], "case1": [2, 5]}),
    ],
    ids=str,
)
def test_killed_in_the_middle_the_same_call_goes_on(make_study: MakeStudy, use: LabelUse, moment: tuple[str, int], left: object) -> None:
    study = make_study(settings=settings(use, "labelled"), change_labels=partly)
    study.close()
    done = subprocess.run([sys.executable, "-c", KILLED, str(study.path), moment[0], str(moment[1])], check=False, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL
    study = Study(study.path)

    def taken() -> list[SliceRef]:
        if use == "first-batch":
            return sorted(a.ref for a in study.all_annotations())
        return sorted(r for m in study.models("imported") for r in study.prediction_ids(m.id))

    assert slices(taken()) == left
    with study.lock():
        prepare(study)
    assert taken() == [SliceRef(f"case{n}", 0, k) for n in range(3) for k in (2, 5)]
    if use == "pre-annotation":
        (model,) = study.models("imported")
        assert [path.name for path in (study.path / "models").iterdir()] == [model.path.name]


def test_cancelled_between_two_cases_it_resumes(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, settings=settings("reference", "labelled"), change_labels=partly)
    study.set_property("settings", settings("first-batch", "labelled"))
    study = Study(study.path)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        start_from_labels(study, progress=lambda event: cancel.cancel() if event.done == 1 else None, cancel=cancel)
    assert slices(study.annotated_refs()) == {"case0": [2, 5]}
    assert slices(ref for refs in start_from_labels(study).taken.values() for ref in refs) == {"case1": [2, 5], "case2": [2, 5]}


@pytest.mark.parametrize(("name", "value"), [("labels_as", "something"), ("annotated_slices", ["all"])])
def test_a_study_with_an_unknown_use_or_rule_is_named_damaged(make_study: MakeStudy, name: str, value: object) -> None:
    study = make_study()
    study.set_property("settings", {name: value})
    with pytest.raises(StudyError, match=r"damaged.*unknown"):
        prepare(Study(study.path), pixels=32)
