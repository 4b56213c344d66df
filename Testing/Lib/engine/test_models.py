"""Which model a round is built on, what is judged under its name, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.engine import manifold as engine_manifold
from SuggestiveAnnotationLib.engine import train as training
from SuggestiveAnnotationLib.engine.evaluate import evaluate
from SuggestiveAnnotationLib.engine.manifold import fit_manifold, idle_units
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import suggest
from SuggestiveAnnotationLib.engine.train import lost_classes, newest_committee, train, train_committee
from SuggestiveAnnotationLib.errors import Cancelled
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import NetworkSlices, network_labels
from SuggestiveAnnotationLib.training.segmentation import SegmentationSettings
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=2, batch=4, device="cpu")
VAE = ManifoldOptions(manifold_network="tiny", manifold_steps=2, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """One accepted slice, three cases to judge on."""
    made = make_study(cases=4, prepared=True, roles=("pool", "test", "test", "test"))
    ref = SliceRef("case0", 0, 4)
    Session(made, annotator="a").accept({ref: np.array(made.reference_labels("case0")[4])})
    return made


def stopping(stage: str, done: int) -> dict[str, Any]:
    """Keywords of a verb that is cancelled once a stage has come so far."""
    cancel = CancelToken()

    def stop(event: ProgressEvent) -> None:
        if event.stage == stage and event.done == done:
            cancel.cancel()

    return {"progress": stop, "cancel": cancel}


def dice(study: Study, number: int) -> dict[tuple[str, str], float | None]:
    return {(m.case, m.label): m.value for m in study.metrics(number) if m.name == "dice_3d"}


def test_an_interrupted_judgement_goes_on_and_keeps_nothing_of_an_earlier_model(study: Study) -> None:
    train(study, options=OPTIONS, round_number=0)
    evaluate(study, number=0, device="cpu")
    first = dice(study, 0)
    model = train(study, options=replace(OPTIONS, steps=60, rate=5e-3), round_number=0)
    with pytest.raises(Cancelled):
        evaluate(study, number=0, device="cpu", **stopping("evaluate", 1))
    begun = dice(study, 0)
    assert {case for case, _ in begun} == {"case1"}
    told = evaluate(study, number=0, device="cpu")
    after = dice(study, 0)
    assert {key: after[key] for key in begun} == begun
    assert {case for case, _ in after} == {"case1", "case2", "case3"}
    assert all(after[key] != first[key] for key in first)
    assert {(case, label): value for case, of in told.items() for label, value in of.items()} == after
    # Also of a case that was judged before the interruption.
    assert {tuple(of) for of in told.values()} == {(*(c.name for c in study.schema.classes), *study.schema.regions)}
    assert [m.value for m in study.metrics(0) if m.name == "judged_model"] == [model.id]


def test_a_model_of_no_round_is_judged_and_nothing_is_kept(study: Study) -> None:
    train(study, options=OPTIONS)
    assert set(evaluate(study, number=None, device="cpu")) == {"case1", "case2", "case3"}
    assert study.metrics() == ()


def test_classes_that_a_network_did_not_learn_are_told_with_the_round(study: Study) -> None:
    model = train(study, options=replace(OPTIONS, steps=1))
    # By brute force: what the network says of the slice that it learnt from.
    network = load_checkpoint(model.path, record_key=study.record.key)[0]
    images = NetworkSlices(study, [SliceRef("case0", 0, 4)])
    truth = network_labels(study, study.schema, [SliceRef("case0", 0, 4)], [study.reference_labels("case0")[4]])[0]
    with torch.no_grad():
        guess = network(images.images([0])).argmax(1)[0]
    expected = {
        one.name: 2 * float(((guess == k) & (truth == k)).sum()) / float((guess == k)[truth >= 0].sum() + (truth == k).sum())
        for k, one in enumerate(study.schema.classes, start=1)
        if (truth == k).any()
    }
    assert model.card["training_dice"] == pytest.approx(expected, abs=1e-3)
    lost = [name for name, value in expected.items() if value < 0.1]
    assert lost
    said = lost_classes(model)
    assert all(name in said for name in lost)
    assert said in suggest(study, options=replace(OPTIONS, strategy="random", budget=2)).notes


def test_no_word_of_classes_that_were_learnt(study: Study) -> None:
    model = train(study, options=replace(OPTIONS, network="thin", steps=80, rate=5e-3))
    assert min(model.card["training_dice"].values()) > 0.1
    assert lost_classes(model) == ""


@pytest.mark.parametrize(
    ("active", "words"),
    [(0, "has collapsed: all slices lie at the same place"), (1, "Only 1 of the manifold's 2 dimensions tell"), (2, "")],
)
def test_a_manifold_that_does_not_tell_slices_apart_is_told(study: Study, monkeypatch: pytest.MonkeyPatch, active: int, words: str) -> None:
    fit = engine_manifold.train_vae
    monkeypatch.setattr(engine_manifold, "train_vae", lambda *given, **others: replace(fit(*given, **others), active_units=active))
    events: list[ProgressEvent] = []
    model = fit_manifold(study, options=VAE, progress=events.append)
    said = idle_units(model)
    assert words in said
    assert [e.message for e in events if e.message] == ([said] if words else [])
    of_places = suggest(study, options=replace(OPTIONS, strategy="core-set", budget=2)).notes
    assert list(of_places) == ([said] if words else [])
    study.finish_round(0)
    assert not suggest(study, options=replace(OPTIONS, strategy="random", budget=2)).notes


def test_all_members_of_an_ensemble_count(study: Study) -> None:
    model = fit_manifold(study, options=replace(VAE, manifold_members=2, latent_size=1))
    card = model.card
    card["metrics"]["active_units"] = 1
    assert "1 of the manifold's 2 dimensions" in idle_units(replace(model, card=card))


def test_a_round_takes_its_own_model_again_only_while_that_is_the_newest(study: Study) -> None:
    first = train(study, options=OPTIONS, round_number=0)
    assert train(study, options=OPTIONS, round_number=0).id == first.id
    between = train(study, options=replace(OPTIONS, steps=1))
    again = train(study, options=OPTIONS, round_number=0)
    newest = study.latest_model("segmentation")
    assert newest is not None
    # Suggestions, predictions and judgements look through the newest model.
    assert newest.id == again.id != between.id


def test_a_committee_is_of_one_kind(study: Study) -> None:
    whole = train_committee(study, options=OPTIONS, members=2)
    assert [m.id for m in newest_committee(study)] == [m.id for m in whole]
    other = replace(OPTIONS, steps=3)
    with pytest.raises(Cancelled):
        train_committee(study, options=other, members=2, **stopping("train", 3))
    published = [m for m in study.models("committee") if m.card["settings"]["steps"] == 3]
    train_committee(study, options=other, members=2)
    assert {m.card["settings"]["steps"] for m in newest_committee(study)} == {3}
    assert len(published) < 2


def test_a_committee_reads_what_it_is_validated_on_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.set_roles({"case1": "validation"})
    read: list[str] = []
    real = Study.reference_labels
    monkeypatch.setattr(Study, "reference_labels", lambda self, case: read.append(case) or real(self, case))
    one, other = train_committee(study, options=OPTIONS, members=2)
    assert read == ["case1"]
    assert one.card["validation"]
    assert other.card["validation"]


def test_what_was_trained_in_another_precision_is_trained_again(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "autocast_dtype", lambda device: torch.bfloat16)
    model = train(study, options=OPTIONS, round_number=0)
    members = train_committee(study, options=OPTIONS, members=2, round_number=0)
    assert train(study, options=OPTIONS, round_number=0).id == model.id
    monkeypatch.setattr(training, "autocast_dtype", lambda device: None)
    assert train(study, options=OPTIONS, round_number=0).id != model.id
    again = train_committee(study, options=OPTIONS, members=2, round_number=0)
    assert not {m.id for m in again} & {m.id for m in members}


def test_a_committee_that_was_interrupted_is_none(study: Study) -> None:
    train_committee(study, options=OPTIONS, members=2)
    other = replace(OPTIONS, steps=3)
    seen = 0
    cancel = CancelToken()

    def stop(event: ProgressEvent) -> None:
        nonlocal seen
        seen += event.stage == "train" and event.done == 3
        if seen and event.stage == "train" and event.done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        train_committee(study, options=other, members=2, progress=stop, cancel=cancel)
    assert [m.card["settings"]["steps"] for m in study.models("committee")] == [2, 2, 3]
    assert newest_committee(study) == ()


def test_where_memory_runs_out_each_try_takes_fewer_slices_at_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def small(*given: Any, settings: SegmentationSettings, **others: Any) -> Any:
        tried.append(settings.micro_batch)
        if len(tried) < 3:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return real(*given, settings=settings, **others)

    real = training.train_segmentation
    monkeypatch.setattr(training, "train_segmentation", small)
    monkeypatch.setattr(training, "micro_batch_size", lambda *_, **__: 8)
    train(study, options=replace(OPTIONS, batch=32))
    assert tried == [8, 4, 2]
