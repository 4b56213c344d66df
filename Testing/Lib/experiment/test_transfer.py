"""A plan with a second site: its network is gone on from, and nothing else of it takes part."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.engine.fill import fill_annotated
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.judge import judge_newest
from SuggestiveAnnotationLib.experiment.plan import Plan, Transfer
from SuggestiveAnnotationLib.experiment.plan_file import plan_from_json, read_plan
from SuggestiveAnnotationLib.experiment.record import read_records
from SuggestiveAnnotationLib.experiment.runner import compare
from SuggestiveAnnotationLib.experiment.stem import WORK, base_of, begin_of, copy_study
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR
from SuggestiveAnnotationLib.study.study import Study

WritePlan = Callable[..., Path]
HERE = {"case0", "case1", "case2", "case3"}


@pytest.fixture
def data(tmp_path: Path, write_phantoms: Callable[..., Path]) -> Path:
    write_phantoms(tmp_path / "data" / "phantoms", cases=6)
    return tmp_path / "data"


@pytest.fixture
def plan(write_plan: WritePlan, plan_text: str) -> Plan:
    text = plan_text.replace("steps = 3\nbatch", "warm_start = true\nsteps = 3\nbatch").replace("folds = 2", "folds = 2\nrun = [0]")
    return read_plan(write_plan(text + '[transfer]\ncases = "case[45]"\nsteps = 7\nevery = 2\n'))


def shown(study: Study, names: set[str]) -> dict[str, int]:
    """Slices that are not blank, by case."""
    return {name: int((~study.slices(name).blank).sum()) for name in names}


def test_the_first_model_goes_on_from_the_other_site_and_nothing_else_of_it_takes_part(plan: Plan, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert not compare(plan, out, data=data, threads=1, keep_studies=True).failed
    records = list(read_records(out))
    assert {record.arm for record in records} == {"random", "guided"}
    learnt = set()
    for record in records:
        with closing(Study(out / "work" / "runs" / record.run)) as study:
            elsewhere, *here = study.models("segmentation")
            learnt.add(elsewhere.path.read_bytes())
            pool = {case.name for case in study.cases("pool")}
            # Every second slice of the other site, for the steps that the plan gives.
            assert elsewhere.round is None
            assert elsewhere.card["metrics"]["steps"] == 7
            assert elsewhere.card["metrics"]["annotated_slices"] == sum(-(-n // 2) for n in shown(study, {"case4", "case5"}).values())
            # The first model goes on from it, on the first batch alone, and the second from the first.
            assert [model.round for model in here] == [1, 2]
            assert [model.card["started_from"] for model in here] == [elsewhere.id, here[0].id]
            assert [model.card["metrics"]["annotated_slices"] for model in here] == [4, 6]
            # What it drew in the first batch was shown before the annotator corrected it.
            first = study.annotations(round_number=0)
            predicted = study.predictions_by_id({a.prediction_id for a in first})
            assert len(predicted) == len(first) == 4
            assert {one.model_id for one in predicted.values()} == {elsewhere.id}
            if record.arm == "guided":
                assert {ref.case for ref in study.latents()[0]} == pool
                assert study.latest_model("manifold").card["slices"] == sum(shown(study, pool).values())
        assert pool == set(record.pool)
        assert set(record.patients) == set(record.pool) | set(record.test) == HERE
        assert {case for batch in record.batches for case, _ in (*batch.slices, *batch.random_slices)} <= pool
        assert [point.slices for point in record.points] == [4, 6]
        assert record.points[0].minutes == pytest.approx(record.batches[0].minutes, abs=1e-3)
        assert record.batches[0].saved_effort["slices"] == 4
        assert "train elsewhere" in record.shared_seconds
        assert all(set(one.tests) == set(record.test) for point in record.points for one in point.trainings)
    assert len(learnt) == 1


def test_another_training_of_the_first_model_starts_where_that_one_did(plan: Plan, data: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy"
    training = replace(plan.training, steps=20, rate=0.03)
    arm = replace(plan.arms[0], training=training)
    plan = replace(plan, training=training, arms=(arm,), primary=None, repeats=2)
    compare(plan, out, data=data, threads=1, keep_studies=True)
    (record,) = read_records(out)
    again = record.points[0].trainings[1]
    copy_study(base_of(out, 0, 0), copy)
    with closing(Study(copy)) as study:
        train(study, options=training, seed=again.seed, round_number=1)
        assert again.tests == judge_newest(study, device="cpu", surfaces=False)


def test_another_training_of_a_first_model_with_filled_slices_learns_from_them_too(plan: Plan, data: Path, tmp_path: Path) -> None:
    out, copy = tmp_path / "out", tmp_path / "copy"
    training = replace(plan.training, steps=20, rate=0.03)
    arm = replace(plan.arms[0], training=training, fill=8)
    plan = replace(plan, training=training, arms=(arm,), primary=None, repeats=2)
    compare(plan, out, data=data, threads=1, keep_studies=True)
    (record,) = read_records(out)
    again = record.points[0].trainings[1]
    copy_study(out / WORK / begin_of(arm, fold=0, seed=0).name, copy)
    with closing(Study(copy)) as study:
        assert fill_annotated(study, furthest=8, annotator=SIMULATED_ANNOTATOR) > 0
        train(study, options=training, seed=again.seed, round_number=1)
        assert again.tests == judge_newest(study, device="cpu", surfaces=False)


def test_the_ceiling_is_of_the_cases_that_take_part(plan: Plan, data: Path, tmp_path: Path) -> None:
    both, alone = (tmp_path / name for name in ("both", "alone"))
    only = replace(plan, transfer=None, split=replace(plan.split, among="case[0-3]"), arms=plan.arms[:1], primary=None)
    compare(replace(plan, arms=plan.arms[:1], primary=None), both, data=data, threads=1)
    compare(only, alone, data=data, threads=1)
    (one,), (other,) = read_records(both), read_records(alone)
    assert one.ceiling == other.ceiling
    for case in ("case4", "case5"):
        for file in (data / "phantoms").glob(f"{case}_*"):
            file.unlink()
    compare(replace(only, split=replace(only.split, among="*")), tmp_path / "without", data=data, threads=1)
    (without,) = read_records(tmp_path / "without")
    assert without.ceiling == one.ceiling


def test_a_case_of_the_other_site_that_cannot_be_used_is_left_out(plan: Plan, data: Path, tmp_path: Path) -> None:
    (data / "phantoms" / "case5_t1.nii.gz").write_bytes(b"no image")
    out = tmp_path / "out"
    done = compare(replace(plan, arms=plan.arms[:1], primary=None), out, data=data, threads=1, keep_studies=True)
    assert not done.failed
    with closing(Study(out / "work" / "runs" / done.done[0])) as study:
        elsewhere = study.models("segmentation")[0]
        assert elsewhere.card["metrics"]["annotated_slices"] == -(-shown(study, {"case4"})["case4"] // 2)
    (data / "phantoms" / "case4_t1.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"No case that can be used is named case\[45\]"):
        compare(plan, tmp_path / "none", data=data, threads=1, only_estimate=True)


def test_nothing_is_learnt_elsewhere_for_an_estimate(plan: Plan, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    compare(plan, out, data=data, threads=1, only_estimate=True, progress=lambda event: said.append(event.stage))
    assert "train" not in said
    for base in (out / "work").glob("base-*"):
        with closing(Study(base)) as study:
            assert study.models("segmentation") == ()
    # What was measured on is no base of a run.
    done = compare(plan, out, data=data, threads=1, at_most=1, keep_studies=True)
    with closing(Study(out / "work" / "runs" / done.done[0])) as study:
        assert study.models("segmentation")[0].card["metrics"]["steps"] == 7


def test_a_plan_with_a_transfer_comes_back(plan: Plan) -> None:
    assert plan.transfer == Transfer("case[45]", steps=7, every=2)
    assert plan_from_json(plan.to_json()) == plan


@pytest.mark.parametrize("own", ["dropout = 0.2", "loss_head = true", 'network = "thin"', 'architecture = "voxresnet"'])
def test_an_arm_that_cannot_go_on_from_the_transferred_network_is_refused(write_plan: WritePlan, plan_text: str, own: str) -> None:
    text = plan_text.replace("steps = 3\nbatch", "warm_start = true\nsteps = 3\nbatch") + '[transfer]\ncases = "case[45]"\nsteps = 7\n'
    path = write_plan(text, old='strategy = "random"', new=f'strategy = "random"\ntraining = {{ {own} }}')
    with pytest.raises(InputError, match=f"the arm random with its own {own.split()[0]}") as refused:
        read_plan(path)
    assert "[training]" in refused.value.hint
