"""A whole comparison on phantoms: what arms share, what a record holds, kills, failures, other plans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.effort.time_model import Workload
from SuggestiveAnnotationLib.engine.fill import FILLED
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyLockedError
from SuggestiveAnnotationLib.experiment import run as run_module
from SuggestiveAnnotationLib.experiment.judge import judge_case
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.plan_file import read_plan
from SuggestiveAnnotationLib.experiment.record import RunRecord, read_record, read_records
from SuggestiveAnnotationLib.experiment.runner import Compared, compare
from SuggestiveAnnotationLib.experiment.stem import budget_of
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.study.location import WorkerLock
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

WritePlan = Callable[..., Path]


def go(plan: Plan, out: Path, data: Path, **options: object) -> Compared:
    return compare(plan, out, data=data, threads=1, **options)  # type: ignore[arg-type]


def by_name(out: Path) -> dict[str, RunRecord]:
    return {record.run: record for record in read_records(out)}


def same(record: RunRecord) -> dict[str, object]:
    """What does not depend on the clock."""
    data = replace(record, seconds=0, started="", finished="", shared_seconds={}, peak_memory_gb=0).to_json()
    for batch in data["batches"]:
        batch["seconds"] = {}
    for point in data["points"]:
        for training in point["trainings"]:
            training["seconds"] = 0
    return data


def test_a_comparison_end_to_end(plan: Plan, data: Path, tmp_path: Path) -> None:
    plan, out, said = replace(plan, repeats=2), tmp_path / "out", []
    done = go(plan, out, data, keep_studies=True, progress=said.append)
    records = by_name(out)
    assert set(done.done) == set(records) == {f"{arm}__fold-{fold}__seed-0" for arm in ("random", "guided") for fold in (0, 1)}
    assert done.estimate is not None
    assert done.estimate.runs == 4
    assert done.estimate.hours > 0
    messages = [event.message for event in said if event.stage == "compare" and event.message]
    assert messages[0].startswith("4 runs, about")
    assert messages[-1].startswith("4/4 ")
    for fold in (0, 1):
        random, guided = records[f"random__fold-{fold}__seed-0"], records[f"guided__fold-{fold}__seed-0"]
        # The same first batch, the same first model with the same verdict, the same random slices to compare with.
        assert replace(random.batches[0], seconds={}) == replace(guided.batches[0], seconds={})
        one, two = (record.points[0].trainings for record in (random, guided))
        assert [t.tests for t in one] == [t.tests for t in two]
        assert random.batches[1].random_slices == guided.batches[1].random_slices
        weights = []
        for record in (random, guided):
            study = Study(out / "work" / "runs" / record.run)
            weights.append(study.models("segmentation")[0].path.read_bytes())
            assert [(r.suggestion.ref.case, r.suggestion.ref.native_index) for r in study.suggestions(1)] == list(record.batches[1].slices)
        assert weights[0] == weights[1]
    tests = [set(records[f"random__fold-{fold}__seed-0"].test) for fold in (0, 1)]
    assert tests[0] | tests[1] == set(random.patients)
    assert not tests[0] & tests[1]
    check_record(plan, records["guided__fold-0__seed-0"])


def check_record(plan: Plan, record: RunRecord) -> None:
    assert (record.status, record.plan_key) == ("done", plan.key)
    assert [len(batch.slices) for batch in record.batches] == [4, 2]
    assert {case for batch in record.batches for case, _ in batch.slices} <= set(record.pool)
    assert [point.slices for point in record.points] == [4, 6]
    for point in record.points:
        paid = record.batches[: point.model]
        work = sum((Workload(**batch.workload) for batch in paid), Workload())
        assert point.minutes == pytest.approx(sum(batch.minutes for batch in paid), abs=1e-3) == pytest.approx(work.minutes(), abs=1e-3)
        assert point.contour_mm == pytest.approx(work.inspected_mm, abs=1e-2)
        assert [one.chooses for one in point.trainings] == [True, False]
        assert point.trainings[0].seed != point.trainings[1].seed
        for one in point.trainings:
            assert set(one.tests) == set(record.test)
            assert set(one.tests[record.test[0]]) == set(record.classes)
    assert record.batches[0].saved_effort is None
    assert record.batches[1].saved_effort["slices"] == record.batches[1].saved_effort_random["slices"] == 2
    assert {"train", "evaluate", "fit manifold"} <= record.shared_seconds.keys()
    assert {"train", "suggest", "predict", "annotate"} <= record.batches[1].seconds.keys()
    assert record.ceiling["quantity"] == "resolution ceiling"
    assert record.versions["torch"]
    assert record.machine["threads"] == 1
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_filled_slices_are_trained_on_and_cost_nothing(write_plan: WritePlan, data: Path, tmp_path: Path) -> None:
    arm = '[[arms]]\nname = "guided"\nstrategy = "gradient-guided"\n'
    filling = '[[arms]]\nname = "guided"\nstrategy = "strided"\noptions = { every = 3 }\nfill = 3\n'
    plan = read_plan(write_plan(old=arm, new=filling))
    go(plan, tmp_path / "out", data, keep_studies=True)
    for name, record in by_name(tmp_path / "out").items():
        with closing(Study(tmp_path / "out" / "work" / "runs" / name)) as study:
            filled = [a for a in study.annotations() if a.provenance == FILLED]
            used = study.models("segmentation")[-1].card["metrics"]["annotated_slices"]
        drawn = sum(len(batch.slices) for batch in record.batches)
        assert record.points[-1].slices == drawn
        assert used == drawn + len(filled)
        assert bool(filled) == (record.arm == "guided")


def test_what_was_cancelled_goes_on_and_gives_what_would_have_come_at_once(plan: Plan, data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    plan = replace(plan, split=replace(plan.split, run=(0,)))
    go(plan, whole, data)
    cancel = CancelToken()

    def after_one(event: ProgressEvent) -> None:
        if event.stage == "compare" and event.done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        go(plan, parts, data, progress=after_one, cancel=cancel)
    first = by_name(parts)
    assert len(first) == 1
    rest = go(plan, parts, data)
    assert (rest.kept, len(rest.done)) == (tuple(first), 1)
    both = by_name(parts)
    assert both[next(iter(first))] == next(iter(first.values()))
    assert {name: same(record) for name, record in both.items()} == {name: same(record) for name, record in by_name(whole).items()}
    assert not (parts / "work").exists()
    assert go(plan, parts, data).estimate is None


def test_a_folder_in_which_runs_are_under_way_is_left_alone(plan: Plan, data: Path, tmp_path: Path) -> None:
    plan, out = replace(plan, split=replace(plan.split, run=(0,))), tmp_path / "out"
    done = go(plan, out, data, keep_studies=True)
    kept, open_ = out / "work" / "runs" / done.done[0], out / "work" / "runs" / "under-way"
    open_.mkdir()
    with WorkerLock(out / "work"):
        with pytest.raises(StudyLockedError, match="Another `compare` is at work") as refused:
            go(plan, out, data)
        assert "--out" in refused.value.hint
        assert len(go(plan, out, data, at_most=0).kept) == 2
        assert open_.exists()
    go(plan, out, data, keep_studies=True)
    # Nobody is at it any more; what has a record was asked to be kept.
    assert not open_.exists()
    assert kept.exists()
    # Later calls were not told to keep anything, nor to throw away what an earlier one kept.
    go(plan, out, data, only_estimate=True)
    go(plan, out, data)
    assert [one.name for one in (out / "work").iterdir() if one.is_dir()] == ["runs"]
    assert Study(kept).rounds()


def test_a_cohort_that_was_refused_is_looked_at_again(plan: Plan, data: Path, tmp_path: Path) -> None:
    out, label = tmp_path / "out", next((data / "phantoms").rglob("*_label*"))
    label.rename(tmp_path / label.name)
    with pytest.raises(InputError, match="no reference labels"):
        go(plan, out, data, only_estimate=True)
    (tmp_path / label.name).rename(label)
    assert go(plan, out, data, only_estimate=True).left == 4


def test_the_network_grid_may_be_as_fine_as_the_scans(write_plan: WritePlan, data: Path, tmp_path: Path) -> None:
    plan = read_plan(write_plan(old="pixels = 32", new='grid_spacing = "native"'))
    go(plan, tmp_path / "out", data, only_estimate=True)
    with closing(Study(tmp_path / "out" / "work" / "cohort")) as study:
        own = [min(study.frame(case.name).spacing[1:]) for case in study.cases()]
        record = study.frozen_record()
    assert record is not None
    assert record.spacing == (np.median(own), np.median(own))


def test_a_cohort_that_is_converted_goes_on(write_plan: WritePlan, tmp_path: Path) -> None:
    task, generator, listed = tmp_path / "data" / "Task01", np.random.default_rng(0), []
    for folder in ("imagesTr", "labelsTr"):
        (task / folder).mkdir(parents=True)
    for number in range(4):
        labels = np.zeros((6, 24, 20), np.uint8)
        labels[1:5, 8:14, 6:12] = 1
        channels = [100.0 * (labels > -1) + 40 * labels + generator.normal(0, 5, labels.shape) for _ in range(2)]
        name = f"c{number}.nii.gz"
        sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(one.astype(np.float32)) for one in channels]), task / "imagesTr" / name)
        sitk.WriteImage(sitk.GetImageFromArray(labels), task / "labelsTr" / name)
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    named = {"modality": {"0": "T1", "1": "FLAIR"}, "labels": {"0": "background", "1": "lobe"}}
    (task / "dataset.json").write_text(json.dumps({"name": "T", **named, "numTraining": 4, "training": listed, "test": []}))
    path = write_plan(old='folder = "${DATA}/phantoms"\nlabel = "*_label*"', new='folder = "${DATA}/Task01"')
    for _ in range(2):
        assert go(read_plan(path), tmp_path / "out", tmp_path / "data", only_estimate=True).left == 4


def test_a_share_of_cases_is_of_cases(plan: Plan, data: Path, tmp_path: Path) -> None:
    go(plan, tmp_path / "out", data, only_estimate=True)
    with closing(Study(tmp_path / "out" / "work" / "cohort")) as study:
        slices = sum(int((~study.slices(case.name).blank).sum()) for case in study.cases("pool"))
        assert [budget_of(study, 0.5, unit) for unit in ("case", "slice")] == [2, round(slices / 2)]
        assert budget_of(study, 0.01, "case") == 1


def test_a_failure_is_a_record_and_tried_again_only_when_asked(
    plan: Plan, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = replace(plan, split=replace(plan.split, run=(0,))), tmp_path / "out"
    really = run_module.simulate

    def breaks(study: Study, **options: object) -> object:
        if options["options"].strategy == "random":  # type: ignore[attr-defined]
            raise RuntimeError("the network caught fire")
        return really(study, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "simulate", breaks)
    done = go(plan, out, data)
    assert (done.failed, len(done.done)) == (("random__fold-0__seed-0",), 1)
    record = by_name(out)["random__fold-0__seed-0"]
    assert (record.status, record.points) == ("failed", ())
    assert record.error["sentence"] == "the network caught fire"
    assert "breaks" in record.error["trace"]
    monkeypatch.setattr(run_module, "simulate", really)
    again = go(plan, out, data)
    assert (again.done, again.estimate) == ((), None)
    mended = go(plan, out, data, retry_failed=True)
    assert mended.done == ("random__fold-0__seed-0",)
    assert by_name(out)["random__fold-0__seed-0"].status == "done"


def test_a_folder_with_another_plan_is_refused_once_it_has_records(write_plan: WritePlan, plan: Plan, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = read_plan(write_plan(old="steps = 3\nbatch", new="steps = 2\nbatch"))
    only = replace(plan, split=replace(plan.split, run=(0,)), arms=plan.arms[:1], primary=None)
    said: list[ProgressEvent] = []
    assert go(other, out, data, only_estimate=True, progress=said.append).done == ()
    # The estimate is the result, so that it is not told on the way as well.
    assert [event.message for event in said if event.stage == "compare"] == []
    # Nothing has run yet: a plan may still be changed.
    go(only, out, data)
    with pytest.raises(InputError, match="of another plan"):
        go(other, out, data)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no comparison"):
        go(only, tmp_path / "full", data)
    record = next((out / "records").glob("*.json"))
    record.write_text("{}")
    with pytest.raises(InputError, match="is no record of a run"):
        read_record(record)


def test_cases_of_another_folder_are_refused_once_some_are_prepared(plan: Plan, data: Path, tmp_path: Path) -> None:
    out, other, link = tmp_path / "out", tmp_path / "other", tmp_path / "link"
    go(plan, out, data, only_estimate=True)
    (other / "phantoms").mkdir(parents=True)
    with pytest.raises(InputError, match=r"were prepared from .* which is not ") as refused:
        go(plan, out, other, only_estimate=True)
    assert "--out" in refused.value.hint
    link.symlink_to(data)
    assert go(plan, out, link, only_estimate=True).estimate is not None


def test_an_endpoint_of_a_label_that_is_not_there_is_refused(plan: Plan, data: Path, tmp_path: Path) -> None:
    assert plan.primary is not None
    strange = replace(plan, primary=replace(plan.primary, labels=("whole tumour",)))
    with pytest.raises(InputError, match="is of whole tumour, which the schema") as refused:
        go(strange, tmp_path / "out", data, only_estimate=True)
    assert "Classes and regions are" in refused.value.hint


@pytest.mark.kill
def test_killed_with_its_processes_it_goes_on(write_plan: WritePlan, data: Path, tmp_path: Path) -> None:
    path, out = write_plan(old="folds = 2", new="folds = 2\nrun = [0]"), tmp_path / "out"
    command = [sys.executable, "-m", "SuggestiveAnnotationLib", "compare", str(path), "--out", str(out), "--data", str(data)]
    said = tmp_path / "said.txt"
    with said.open("wb") as log:
        child = subprocess.Popen([*command, "--processes", "2", "--threads", "1"], start_new_session=True, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 240
        while not by_name(out) and child.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(child.pid, signal.SIGKILL)
    finally:
        child.wait()
    before = by_name(out)
    assert before, said.read_text(encoding="utf-8")
    assert main([*command[3:], "--threads", "1", "--quiet", "--json"]) == 0
    after = by_name(out)
    assert len(after) == 2
    assert all(after[name] == record for name, record in before.items())


def test_ignored_pixels_are_in_neither_volume_and_regions_are_judged_too() -> None:
    schema = LabelSchema("s", (LabelClass(1, "a", (0, 0, 0)), LabelClass(2, "b", (0, 0, 0))), regions={"both": (1, 2)})
    reference = np.array([[[1, 1, 2, 255]]], np.uint16)
    prediction = np.array([[[1, 2, 2, 1]]], np.uint16)
    found = judge_case(prediction, reference, schema, spacing=(1, 1, 1), surfaces=False)
    assert {name: one["dice_3d"] for name, one in found.items()} == {"a": 2 / 3, "b": 2 / 3, "both": 1.0}
