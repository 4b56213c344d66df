"""A real worker that learns: rounds, cancelling, predictions meanwhile, the end of its input, kill -9."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from worker_process import Answer, Worker

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef
from SuggestiveAnnotationLib.worker.protocol import (
    Command,
    DecodeLatent,
    DropRound,
    Evaluate,
    FitManifold,
    ImportModel,
    LatentView,
    LoadCase,
    OpenStudy,
    PredictCase,
    PredictSlice,
    Prepare,
    Release,
    RunRound,
    Shutdown,
    Status,
    Train,
)

MakeStudy = Callable[..., Study]
OPTIONS = {"network": "tiny", "steps": 4, "batch": 4, "budget": 3, "device": "cpu"}
VAE = {"manifold_network": "tiny", "manifold_steps": 4, "manifold_batch": 4, "manifold_pixels": 32, "latent_size": 2, "device": "cpu"}
TRAINING = {name: OPTIONS[name] for name in ("network", "batch", "device")}
SOON = 2.0
"""Seconds within which the worker answers on a computer that has much else to do; the benchmark holds it to one."""


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    made = make_study(prepared=True, roles=("pool", "pool", "test"))
    annotate(made, SliceRef("case0", 0, 3), SliceRef("case1", 0, 4))
    return made


@pytest.fixture
def worker(study: Study) -> Iterator[Worker]:
    with Worker() as one:
        one.ask(OpenStudy(str(study.path)))
        yield one


def annotate(study: Study, *refs: SliceRef) -> None:
    for ref in refs:
        Session(study, annotator="a").accept({ref: np.array(study.reference_labels(ref.case)[ref.native_index])})


def under_way(worker: Worker, command: Command, *, stage: str) -> Answer:
    """A command that has done something of a stage and is still at it."""
    answer = worker.send(command)
    worker.until(lambda: answer.done or any(e.stage == stage and 0 < e.done < e.total for e in answer.events))
    assert not answer.done, answer.failed or answer.data
    return answer


def cancelled(worker: Worker, answer: Answer) -> float:
    """Cancel and return the seconds until the answer."""
    began = time.monotonic()
    worker.client.cancel(answer.id)
    worker.until(lambda: answer.done, seconds=20)
    assert answer.failed is not None
    assert answer.failed.kind == "cancelled"
    return answer.at - began


def test_rounds_with_their_progress(worker: Worker, study: Study) -> None:
    first = worker.send(RunRound(OPTIONS, VAE))
    worker.until(lambda: first.done)
    assert first.failed is None
    assert first.data["round"] == 0
    assert first.data["suggestions"] == 3
    steps = [e for e in first.events if e.stage == "train"]
    assert steps[-1].done == steps[-1].total == 4
    assert steps[-1].loss is not None
    assert {e.stage for e in first.events} >= {"train", "evaluate", "fit manifold", "suggest", "predict"}
    for row in study.suggestions(0):
        assert study.prediction(row.suggestion.ref) is not None
    waiting = worker.refuse(RunRound(OPTIONS))
    assert waiting.sentence == "Round 0 waits for annotations."
    Session(study, annotator="a").finish_round()
    assert worker.refuse(DropRound()).sentence == "No round was interrupted, so there is none to drop."
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    assert worker.ask(DropRound()) == {}
    assert study.rounds()[-1].stage == "finished"
    assert worker.ask(RunRound(OPTIONS))["round"] == 2
    assert worker.ask(Evaluate())["metrics"] > 0
    places = np.load(worker.ask(LatentView())["path"], allow_pickle=False)
    assert places["points"].shape == (16, 2)
    decoded = worker.ask(DecodeLatent("case0", 0, 3, 1, 5))
    assert np.load(decoded["path"], allow_pickle=False).shape[0] == len(decoded["values"]) == 5
    volume = np.load(worker.ask(PredictCase("case0"))["path"], allow_pickle=False)
    assert volume.shape == study.case("case0").geometry.shape


def test_a_model_is_judged_under_its_own_round_also_once_the_next_has_begun(study: Study, worker: Worker) -> None:
    worker.ask(RunRound({**OPTIONS, "strategy": "random"}, VAE))
    judged = study.metrics(0)
    study.finish_round(0)
    study.start_round(strategy="random", budget=1, seed=0, unit="slice", settings={})
    # Two lobes and the region of both, in one test case.
    assert worker.ask(Evaluate()) == {"metrics": 3}
    assert study.metrics() == judged


@pytest.mark.parametrize(
    ("command", "stage"),
    [(FitManifold({**VAE, "manifold_steps": 100_000}), "fit manifold"), (Train({**TRAINING, "steps": 100_000}), "train")],
    ids=["manifold", "segmentation"],
)
def test_cancelling_is_answered_at_once_and_publishes_nothing(worker: Worker, study: Study, command: Command, stage: str) -> None:
    answer = under_way(worker, command, stage=stage)
    assert cancelled(worker, answer) < SOON
    assert study.models() == ()
    assert worker.ask(Status())["running"] is None


def test_cancelling_a_prediction(make_study: MakeStudy) -> None:
    study = make_study(shape=(240, 96, 96), cases=1)
    with Worker() as worker:
        worker.ask(OpenStudy(str(study.path)))
        worker.ask(Prepare(pixels=128))
        annotate(study, SliceRef("case0", 0, 120), SliceRef("case0", 0, 130))
        worker.ask(Train({**TRAINING, "network": "thin", "steps": 1, "batch": 2}))
        answer = under_way(worker, PredictCase("case0"), stage="predict case0")
        assert cancelled(worker, answer) < SOON
        assert list((study.path / "predictions").rglob("*.npy")) == []
        assert worker.ask(PredictCase("case0"))["path"].endswith(".npy")


def test_what_waits_is_cancelled_before_it_begins(worker: Worker, study: Study) -> None:
    running = under_way(worker, Train({**TRAINING, "steps": 100_000}), stage="train")
    waiting, later = worker.send(FitManifold(VAE)), worker.send(Release())
    assert worker.ask(Status())["waiting"] == ["fit_manifold", "release"]
    worker.client.cancel(waiting.id)
    worker.until(lambda: waiting.done)
    assert waiting.failed is not None
    assert waiting.failed.kind == "cancelled"
    assert not running.done
    worker.client.cancel()
    worker.until(lambda: running.done and later.done)
    assert running.failed is not None
    assert later.failed is not None


def test_predictions_meanwhile_are_those_of_the_last_published_model(worker: Worker, study: Study) -> None:
    ref = SliceRef("case0", 0, 5)
    assert "No segmentation model" in worker.refuse(PredictSlice("case0", 0, 5)).sentence
    published = worker.ask(Train({**TRAINING, "steps": 3}))["model"]
    running = under_way(worker, Train({**TRAINING, "steps": 100_000}, 1), stage="train")
    shown = study.prediction_by_id(worker.ask(PredictSlice("case0", 0, 5))["prediction"])
    assert not running.done
    assert (shown.ref, shown.model_id) == (ref, published)
    status = worker.ask(Status())
    assert (status["running"], status["models"]) == ("train", 1)
    assert worker.ask(LoadCase("case1"))["case"] == "case1"
    assert not running.done
    cancelled(worker, running)
    second = worker.ask(Train({**TRAINING, "steps": 3}, 1))["model"]
    again = study.prediction_by_id(worker.ask(PredictSlice("case0", 0, 5))["prediction"])
    assert again.model_id == second
    assert np.array_equal(study.prediction_by_id(shown.id).labels, shown.labels)
    worker.ask(Release())
    assert worker.ask(Status())["models"] == 0


def test_nothing_is_kept_when_it_has_been_idle(study: Study) -> None:
    with Worker("--idle-seconds", "0.5") as worker:
        worker.ask(OpenStudy(str(study.path)))
        worker.ask(Train({**TRAINING, "steps": 2}))
        worker.ask(PredictSlice("case0", 0, 5))
        assert worker.ask(Status())["models"] == 1
        began = time.monotonic()
        # Asking for its state does not keep it awake.
        worker.until(lambda: worker.ask(Status())["models"] == 0, seconds=10)
        assert time.monotonic() - began > 0.3
        assert worker.ask(PredictSlice("case0", 0, 6))["prediction"] > 0


def test_the_network_of_whole_cases_is_kept_until_there_is_a_newer_one(study: Study, worker: Worker) -> None:
    for model in range(2):
        published = worker.ask(Train({**TRAINING, "steps": 2}, model))["model"]
        for case in ("case0", "case1"):
            assert f"model-{published}" in worker.ask(PredictCase(case, "cpu"))["path"]
            assert worker.ask(Status())["models"] == 1
    worker.ask(Release())
    assert worker.ask(Status())["models"] == 0


@pytest.mark.parametrize("command", [PredictCase("case0", "cuda:99"), PredictSlice("case0", 0, 5, "cuda:99"), Evaluate("cuda:99")])
def test_a_network_runs_where_it_is_told_to(study: Study, worker: Worker, command: Command) -> None:
    worker.ask(Train({**TRAINING, "steps": 2}))
    assert worker.refuse(command).sentence == "The device 'cuda:99' is not available on this computer."
    worker.ask(replace(command, device="cpu"))


@pytest.mark.parametrize("farewell", ["end of input", "shutdown"])
def test_it_ends_though_it_is_busy(worker: Worker, study: Study, farewell: str) -> None:
    under_way(worker, Train({**TRAINING, "steps": 100_000}), stage="train")
    process = worker.transport.process
    assert process is not None
    assert process.stdin is not None
    if farewell == "shutdown":
        worker.send(Shutdown())
    else:
        process.stdin.close()
    worker.until(lambda: worker.ended)
    assert worker.ended == ["exit code 0"]
    with study.lock():
        assert study.models() == ()


@pytest.mark.kill
def test_killed_while_it_trains_the_round_goes_on_where_it_was(worker: Worker, study: Study) -> None:
    worker.ask(RunRound({**OPTIONS, "strategy": "random"}))
    refs = [row.suggestion.ref for row in study.suggestions(0)]
    annotate(study, *refs)
    Session(study, annotator="a").finish_round()
    running = under_way(worker, RunRound({**OPTIONS, "strategy": "random", "steps": 400}), stage="train")
    worker.transport.kill()
    worker.until(lambda: worker.ended)
    assert running.failed is not None
    assert running.failed.kind == "worker gone"
    assert [round_.stage for round_ in study.rounds()] == ["finished", "training"]
    assert study.suggestions(1) == ()
    assert set(refs) <= study.annotated_refs()
    # The same client asks on: another process is started.
    worker.ask(OpenStudy(str(study.path)))
    done = worker.ask(RunRound({**OPTIONS, "strategy": "random"}))
    assert (done["round"], done["suggestions"]) == (1, 3)
    newest = study.latest_model("segmentation")
    assert newest is not None
    assert newest.card["settings"]["steps"] == 400


@pytest.mark.kill
@pytest.mark.slow
def test_killed_again_and_again_a_round_comes_to_the_same_end(make_study: MakeStudy) -> None:
    ends = []
    command = RunRound({**OPTIONS, "steps": 60}, {**VAE, "manifold_steps": 60})
    for moments in ((), (0.2, 1.0, 2.0, 2.6, 3.0)):
        study = make_study(prepared=True, name=f"killed {len(moments)} times", roles=("pool", "pool", "test"))
        annotate(study, SliceRef("case0", 0, 3), SliceRef("case1", 0, 4))
        with Worker() as worker:
            for moment in moments:
                worker.ask(OpenStudy(str(study.path)))
                # The round may be done by then, and refuse to be run again.
                worker.send(command)
                began = time.monotonic()
                worker.until(lambda since=began, moment=moment: time.monotonic() - since > moment)
                worker.transport.kill()
                worker.until(lambda: not worker.client.running and not worker.client.open_requests)
            worker.ask(OpenStudy(str(study.path)))
            if not study.rounds() or study.rounds()[0].stage != "annotating":
                worker.ask(command)
        refs = [row.suggestion.ref for row in study.suggestions(0)]
        predictions = [study.prediction(ref) for ref in refs]
        ends.append((refs, [p.labels.tobytes() for p in predictions if p is not None]))
    assert ends[0] == ends[1]
    assert len(ends[0][1]) == 3


def test_a_model_of_another_study_is_taken_in(worker: Worker, study: Study, make_study: MakeStudy) -> None:
    worker.ask(Train(TRAINING))
    newest = study.latest_model("segmentation")
    assert newest is not None
    other = make_study(prepared=True, name="other")
    worker.ask(OpenStudy(str(other.path)))
    done = worker.ask(ImportModel(str(newest.path)))
    assert done == {"model": 1, "new": True, "options": {"warm_start": True, "architecture": "unet", "network": "tiny"}, "notes": []}
    assert worker.ask(ImportModel(str(study.path)))["new"] is False
    round_ = worker.ask(RunRound({**OPTIONS, "strategy": "entropy"}))
    assert round_["round"] == 0
    assert {row.suggestion.rationale.strategy for row in other.suggestions(0)} == {"entropy"}
