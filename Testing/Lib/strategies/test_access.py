from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.access import ModelAccess, evaluation
from SuggestiveAnnotationLib.training.losses import per_sample_dice_loss
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
    with evaluation(world.network):
        assert not any(part.training for part in world.network.modules())
    assert world.network.training
    assert not world.network.body[1].training


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
