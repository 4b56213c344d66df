"""What is done between the steps of training changes nothing in it, and people work on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.engine.estimate import UNET_GIGAFLOPS, VAE_GIGAFLOPS, expected_round, training_speed
from SuggestiveAnnotationLib.engine.manifold import fit_manifold
from SuggestiveAnnotationLib.engine.predict import NewestModel, predict_case, predict_slice, predict_slices
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.engine.suggest import ask
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.models.unet import UNet
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.cost import forward_flops
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=6, batch=4, budget=3, device="cpu")
MANIFOLD = ManifoldOptions(manifold_network="tiny", manifold_steps=6, manifold_batch=4, manifold_pixels=32, latent_size=2, device="cpu")


class Meanwhile(CancelToken):
    """Does something whenever it is asked."""

    def __init__(self, work: Callable[[int], object]) -> None:
        super().__init__()
        self.work, self.times, self.busy = work, 0, False

    def raise_if_cancelled(self) -> None:
        if not self.busy:
            self.busy = True
            self.times += 1
            self.work(self.times)
            self.busy = False
        super().raise_if_cancelled()


def annotate(study: Study, *refs: SliceRef, annotator: str = "a") -> None:
    for ref in refs:
        Session(study, annotator=annotator).accept({ref: truth(study, ref)})


def truth(study: Study, ref: SliceRef) -> np.ndarray:
    return np.array(study.reference_labels(ref.case)[ref.native_index])


def weights(model: Model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_checkpoint(model.path)[0].state_dict().items()}


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    made = make_study(prepared=True, roles=("pool", "pool", "validation"))
    annotate(made, SliceRef("case0", 0, 3), SliceRef("case1", 0, 4))
    return made


def test_predictions_between_the_steps_leave_the_weights_as_they_were(study: Study) -> None:
    train(study, options=OPTIONS)
    alone = [weights(train(study, options=OPTIONS, seed=1)), weights(fit_manifold(study, options=MANIFOLD, seed=1))]
    refs = study.pool_refs()
    newest = NewestModel(study, device="cpu")

    def predict(times: int) -> None:
        torch.rand(3)
        predict_slice(study, refs[times % len(refs)], newest=newest)

    token = Meanwhile(predict)
    disturbed = [
        weights(train(study, options=OPTIONS, seed=1, cancel=token)),
        weights(fit_manifold(study, options=MANIFOLD, seed=1, cancel=token)),
    ]
    # Before and after each backward pass, and between batches of the validation set.
    assert token.times >= 2 * 6 + 2 * 6
    for one, other in zip(alone, disturbed, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_prediction_leaves_the_global_random_state_and_the_modes_alone(study: Study) -> None:
    train(study, options=OPTIONS)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    predict_slice(study, SliceRef("case0", 0, 5), device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_the_network_is_loaded_once_for_each_published_model(study: Study) -> None:
    first = train(study, options=OPTIONS)
    newest = NewestModel(study, device="cpu")
    network = newest.get()[1]
    assert newest.get()[1] is network
    # A prediction made while gradients are off must not spoil the network for later.
    with torch.inference_mode():
        kept = predict_slice(study, SliceRef("case0", 0, 5), newest=newest)
    assert kept.model_id == first.id
    assert predict_slice(study, SliceRef("case0", 0, 5), newest=newest).id == kept.id
    second = train(study, options=OPTIONS, seed=2)
    assert newest.get()[0].id == second.id
    assert newest.get()[1] is not network


def test_what_is_accepted_meanwhile_enters_at_the_next_round(study: Study) -> None:
    late = SliceRef("case0", 0, 5)

    def accept(times: int) -> None:
        if times == 3:
            annotate(study, late)

    run_round(study, options=replace(OPTIONS, strategy="random"), cancel=Meanwhile(accept))
    first = study.latest_model("segmentation")
    assert first is not None
    assert first.card["metrics"]["annotated_slices"] == 2
    assert late in study.annotated_refs()
    # Nor is it suggested, since the suggestions came after it.
    assert late not in [row.suggestion.ref for row in study.suggestions(0)]
    Session(study, annotator="a").finish_round()
    run_round(study, options=replace(OPTIONS, strategy="random"))
    second = study.latest_model("segmentation")
    assert second is not None
    assert second.card["metrics"]["annotated_slices"] == 3


def test_a_fresh_pre_annotation_never_touches_a_slice_with_a_draft(study: Study) -> None:
    run_round(study, options=replace(OPTIONS, strategy="random"))
    session = Session(study, annotator="a")
    before, meanwhile = (row.suggestion.ref for row in study.suggestions(0)[:2])
    shown = {ref: session.pre_annotation(ref) for ref in (before, meanwhile)}
    drawn = {ref: truth(study, ref) for ref in (before, meanwhile)}
    session.open(before)
    session.draft(before, drawn[before])
    session.finish_round()

    def draw(times: int) -> None:
        if times == 3:
            session.open(meanwhile)
            session.draft(meanwhile, drawn[meanwhile])

    # Everything that is left is suggested, the slices with drafts among it.
    run_round(study, options=replace(OPTIONS, strategy="random", budget=30), cancel=Meanwhile(draw))
    suggested = {row.suggestion.ref for row in study.suggestions(1)}
    fresh = study.latest_model("segmentation")
    assert fresh is not None
    assert before in suggested
    for ref in (before, meanwhile):
        labels = session.shown_labels(ref)
        assert labels.origin == "draft"
        assert np.array_equal(labels.labels, drawn[ref])
        kept, first = session.first_shown(ref), shown[ref]
        assert kept is not None
        assert first is not None
        # The effort of the slice is measured against what its reader began with.
        assert kept.id == first.id
        assert kept.model_id != fresh.id
    assert study.prediction(before, model_id=fresh.id) is not None


# --- memory


def limit(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, most: int) -> None:
    """Let a network have no memory for more than `most` images."""
    real = getattr(kind, method)

    def limited(module: torch.nn.Module, images: torch.Tensor) -> object:
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(module, images)

    monkeypatch.setattr(kind, method, limited)


def test_where_memory_runs_out_fewer_slices_are_taken_and_it_is_said(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[ProgressEvent] = []
    options = replace(OPTIONS, batch=8)
    annotate(study, *(SliceRef("case0", 0, k) for k in (1, 2, 4, 5, 6)))
    train(study, options=options)
    whole = predict_case(study, "case1", device="cpu").read_bytes()
    limit(monkeypatch, UNet, "forward", 3)

    def told() -> list[tuple[str, str]]:
        found = [(e.stage, e.message) for e in said if e.message]
        said.clear()
        return found

    model = train(study, options=options, seed=3, progress=said.append)
    assert model.card["metrics"]["micro_batch"] == 2
    assert told() == [("train", f"Memory ran out; it goes on with {n} slices at a time, which takes longer.") for n in (4, 2)]
    predict_slices(study, study.pool_refs(), device="cpu", progress=said.append)
    assert {stage for stage, _ in told()} == {"predict"}
    monkeypatch.undo()
    train(study, options=options)
    limit(monkeypatch, UNet, "forward", 3)
    assert predict_case(study, "case1", device="cpu", progress=said.append).read_bytes() == whole
    assert told()
    chosen = ask(study, options=replace(options, strategy="entropy"), number=1, progress=said.append)
    assert len(chosen.suggestions) == 3
    assert {stage for stage, _ in told()} == {"suggest"}


def test_the_manifold_is_fitted_in_smaller_batches_where_memory_runs_out(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[ProgressEvent] = []
    limit(monkeypatch, VAE, "encode_reduced", 4)
    model = fit_manifold(study, options=replace(MANIFOLD, manifold_batch=8), progress=said.append)
    assert [e.message for e in said if "slices at a time" in e.message] == [
        f"Memory ran out; it goes on with {n} slices at a time, which takes longer." for n in (4, 2)
    ]
    assert model.card["settings"]["batch_size"] == 2
    assert len(study.latents(model)[0]) == 16


# --- how long it takes


def test_the_estimate_is_for_the_networks_that_are_trained_by_default() -> None:
    unet = build_network({"network": "unet", "size": "thin", "channels": 2, "classes": 4})
    vae = build_network(
        {"network": "vae", "size": "thin", "channels": 2, "latent_size": 3, "grid_size": [128, 128], "input_size": [64, 64]}
    )
    assert forward_flops(unet, 2, (128, 128)) == pytest.approx(UNET_GIGAFLOPS * 1e9, rel=0.03)
    assert forward_flops(vae, 2, (128, 128)) == pytest.approx(VAE_GIGAFLOPS * 1e9, rel=0.03)
    assert training_speed() > 0.1
    assert "minute" in expected_round()
