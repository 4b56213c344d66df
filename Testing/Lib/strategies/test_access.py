from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.access import ModelAccess
from SuggestiveAnnotationLib.training.losses import per_sample_dice_loss
from SuggestiveAnnotationLib.training.predict import evaluation_mode
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema


def gradients(access: Any, indices: list[int]) -> dict[int, torch.Tensor]:
    return {int(i): g for batch, _, _, gs in access.loss_gradients(indices) for i, g in zip(batch, gs, strict=True)}


def test_probabilities_come_in_order_sum_to_one_and_use_the_running_statistics(world: Any) -> None:
    access = world.query().model
    batches = list(access.probabilities([7, 1, 30, 2, 22]))
    assert np.concatenate([b for b, _ in batches]).tolist() == [7, 1, 30, 2, 22]
    probabilities = torch.cat([p for _, p in batches])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5, 16, 16))
    alone = next(iter(access.probabilities([30])))[1]
    torch.testing.assert_close(alone[0], probabilities[2])


def test_gradients_are_those_of_each_slice_alone(world: Any) -> None:
    together = gradients(world.query().model, [3, 6, 14, 25, 36])
    world.network.eval()
    for i, gradient in together.items():
        x = world.images[i : i + 1].clone().requires_grad_()
        loss = per_sample_dice_loss(world.network(x), torch.from_numpy(world.accepted[i : i + 1])).sum()
        torch.testing.assert_close(torch.autograd.grad(loss, x)[0][0], gradient)


def test_slices_with_an_empty_annotation_are_no_sources(world: Any) -> None:
    world.accepted[6] = np.where(np.arange(16) < 5, -1, 0)  # nothing but background and ignored pixels
    assert set(gradients(world.query().model, [3, 6, 47, 14])) == {3, 14}


def test_a_slice_without_annotation_is_refused(world: Any) -> None:
    with pytest.raises(StudyError, match="Pool slice 7 has no accepted annotation"):
        gradients(world.query().model, [3, 7])


def test_a_model_of_another_schema_is_refused(world: Any) -> None:
    schema = LabelSchema("one", (LabelClass(1, "one", (0, 0, 0)),))
    access = ModelAccess(world.network, lambda i: world.images[list(i)], lambda i: world.accepted[i], schema)
    with pytest.raises(StudyError, match="3 output channels, schema one needs 2"):
        next(access.probabilities([1]))


def test_autocast_touches_the_probabilities_only(world: Any) -> None:
    query = world.query()
    low = ModelAccess(
        world.network, lambda i: world.images[list(i)], lambda i: world.accepted[i], query.schema, batch_size=4, autocast=torch.bfloat16
    )
    exact, rough = next(query.model.probabilities([1, 2]))[1], next(low.probabilities([1, 2]))[1]
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.02)
    assert torch.equal(gradients(query.model, [3])[3], gradients(low, [3])[3])


def test_evaluation_mode_ends_with_every_part_as_it_was(world: Any) -> None:
    world.network.train()
    world.network.body[1].eval()  # a frozen batch norm inside a training network
    with evaluation_mode(world.network):
        assert not any(part.training for part in world.network.modules())
    assert world.network.training
    assert not world.network.body[1].training


class TestWhatElseIsAsked:
    """Bottleneck features, dropout, test-time augmentation, predicted losses and gradient embeddings."""

    INDICES = (7, 1, 30, 2, 22)
    ASKED: ClassVar[dict[str, dict[str, int]]] = {
        "features": {},
        "predicted_losses": {},
        "gradient_embeddings": {},
        "sampled_probabilities": {"passes": 3, "seed": 5},
        "augmented_probabilities": {"passes": 3, "seed": 5},
    }

    def access(self, world: Any, **changes: Any) -> ModelAccess:
        settings = {"batch_size": 4, "flip": True, **changes}
        return ModelAccess(world.network, lambda i: world.images[list(i)], lambda i: world.accepted[i], world.query().schema, **settings)

    def ask(self, access: ModelAccess, name: str, indices: Any = INDICES, **changes: int) -> torch.Tensor:
        batches = list(getattr(access, name)(list(indices), **{**self.ASKED[name], **changes}))
        assert np.concatenate([b for b, _ in batches]).tolist() == list(indices)
        return torch.cat([values for _, values in batches], dim=1 if "passes" in self.ASKED[name] else 0)

    @pytest.mark.parametrize("name", ASKED)
    def test_what_is_said_of_a_slice_does_not_depend_on_its_batch(self, world: Any, name: str) -> None:
        together = self.ask(self.access(world, batch_size=32), name)
        for size in (1, 2, 4):
            torch.testing.assert_close(self.ask(self.access(world, batch_size=size), name), together, rtol=1e-4, atol=1e-5)
        alone = self.ask(self.access(world), name, (30,))
        place = (slice(None), slice(2, 3)) if "passes" in self.ASKED[name] else slice(2, 3)
        torch.testing.assert_close(alone, together[place], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("name", ASKED)
    def test_network_and_global_random_state_are_bit_identical_afterwards(self, world: Any, name: str) -> None:
        before, state = {k: v.clone() for k, v in world.network.state_dict().items()}, torch.get_rng_state()
        self.ask(self.access(world), name)
        assert all(torch.equal(v, before[k]) for k, v in world.network.state_dict().items())
        assert torch.equal(state, torch.get_rng_state())
        assert world.network.training

    @pytest.mark.parametrize("name", ["sampled_probabilities", "augmented_probabilities"])
    def test_passes_differ_and_the_seed_decides_them(self, world: Any, name: str) -> None:
        access = self.access(world)
        first = self.ask(access, name)
        assert first.shape == (3, 5, 3, 16, 16)
        torch.testing.assert_close(first.sum(2), torch.ones(3, 5, 16, 16))
        assert first.var(0).mean() > 1e-5
        assert torch.equal(self.ask(access, name), first)
        torch.testing.assert_close(self.ask(access, name, passes=7)[:3], first)
        assert not torch.allclose(self.ask(access, name, seed=6), first)

    def test_without_dropout_nothing_can_be_sampled(self, world: Any) -> None:
        world.network.body[3].p = 0.0
        with pytest.raises(StudyError, match="no dropout") as raised:
            self.ask(self.access(world), "sampled_probabilities")
        assert "--dropout" in str(raised.value.hint)

    def test_the_less_is_dropped_the_less_passes_differ(self, world: Any) -> None:
        variances = []
        for p in (1e-9, 0.1, 0.5):
            world.network.body[3].p = p
            variances.append(self.ask(self.access(world), "sampled_probabilities").var(0).mean().item())
        assert variances[0] == pytest.approx(0, abs=1e-12)
        assert 0 < variances[1] < variances[2]

    def test_without_a_loss_head_nothing_is_predicted(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world.network, "predicted_losses", lambda images: None)
        with pytest.raises(StudyError, match="does not predict") as raised:
            self.ask(self.access(world), "predicted_losses")
        assert "--loss-head" in str(raised.value.hint)

    def test_embeddings_are_the_gradient_of_the_last_layers_weights(self, world: Any) -> None:
        """Of the mean cross-entropy against the predicted labels, by automatic differentiation."""
        world.network.body[4] = torch.nn.Conv2d(6, 3, 1, bias=False)
        embedded = self.ask(self.access(world), "gradient_embeddings")
        assert embedded.shape == (5, 18)
        world.network.eval()
        for index, embedding in zip(self.INDICES, embedded, strict=True):
            logits = world.network(world.images[index : index + 1])
            loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1))
            (gradient,) = torch.autograd.grad(loss, world.network.body[4].weight)
            torch.testing.assert_close(embedding, gradient.flatten())

    def test_views_of_a_sagittal_plane_are_not_mirrored(self, world: Any) -> None:
        """With a network that copies the column number, a mirrored view would come back mirrored."""
        world.network.body = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Conv2d(1, 3, 1))
        world.images[:] = torch.linspace(-2, 2, 16)
        seen: list[torch.Tensor] = []
        world.network.body[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
        for flip in (False, True):
            seen.clear()
            self.ask(self.access(world, flip=flip), "augmented_probabilities", passes=8)
            falling = torch.cat(seen)[:, 0, 8, 4] > torch.cat(seen)[:, 0, 8, 12]
            assert falling.any() == flip


@pytest.mark.gpu
def test_strategies_run_on_the_device_and_pick_what_the_processor_picks(world: Any) -> None:
    from dataclasses import replace

    from SuggestiveAnnotationLib.strategies.registry import strategy

    names = ("gradient-guided", "random-direction", "entropy", "oracle-foreground")
    query = world.query(budget=5)
    expected = {name: [s.ref for s in strategy(name).suggest(query).suggestions] for name in names}
    world.network.cuda()
    world.autoencoder.cuda()
    on_device = ModelAccess(world.network, lambda i: world.images[list(i)], world._accepted, query.schema, device="cuda")
    for name in names:
        assert [s.ref for s in strategy(name).suggest(replace(query, model=on_device)).suggestions] == expected[name]
