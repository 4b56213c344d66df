"""Gradients class by class and several times over, and features that can be differentiated."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from SuggestiveAnnotationLib.strategies.access import ModelAccess
from SuggestiveAnnotationLib.training.losses import per_class_dice_loss, per_sample_dice_loss


def together(batches: Any) -> dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Pool index -> image, losses `(v,)`, gradients `(v, C, rows, columns)`."""
    return {int(i): (x[k], losses[:, k], g[:, k]) for index, x, losses, g in batches for k, i in enumerate(index)}


def test_the_mean_over_shown_classes_is_the_loss_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(3, 4, 6, 6, generator=generator), torch.randint(0, 4, (3, 6, 6), generator=generator)
    labels[1][labels[1] == 2] = -1
    losses = per_class_dice_loss(logits, labels)
    assert torch.isnan(losses).tolist() == [[False] * 3, [False, True, False], [False] * 3]
    torch.testing.assert_close(losses[[0, 2]].mean(1), per_sample_dice_loss(logits, labels)[[0, 2]])


def test_gradients_of_the_classes_add_up_to_that_of_the_loss(world: Any) -> None:
    access = world.query().model
    whole = {int(i): g for index, _, _, gs in access.loss_gradients([3, 14, 25]) for i, g in zip(index, gs, strict=True)}
    single = together(access.class_gradients([3, 14, 25, 47]))
    assert set(single) == {3, 14, 25}  # an empty annotation gives nothing
    for i, (image, losses, gradients) in single.items():
        assert losses.shape == (2,)
        assert torch.equal(image, world.images[i])
        torch.testing.assert_close(gradients.mean(0), whole[i], atol=1e-8, rtol=1e-3)


def test_a_class_that_is_not_shown_has_no_loss_and_no_gradient(world: Any) -> None:
    world.accepted[3][world.accepted[3] == 2] = 0
    _, losses, gradients = together(world.query().model.class_gradients([3, 14]))[3]
    assert torch.isnan(losses).tolist() == [False, True]
    assert gradients[0].any()
    assert not gradients[1].any()


@pytest.mark.parametrize("by", ["noise", "dropout"])
def test_variations_differ_and_depend_on_the_seed_and_the_slice_alone(world: Any, by: str) -> None:
    access = world.query().model
    given = {"by": by, "passes": 3, "noise": 0.1, "seed": 5}
    all_of_them = together(access.varied_gradients([3, 6, 14], **given))
    image, losses, gradients = all_of_them[6]
    assert torch.equal(image, world.images[6])
    assert len({float(loss) for loss in losses}) == 3
    assert not torch.equal(gradients[0], gradients[1])
    _, losses_alone, gradients_alone = together(access.varied_gradients([6], **given))[6]
    torch.testing.assert_close(losses_alone, losses)
    torch.testing.assert_close(gradients_alone, gradients)
    other = together(access.varied_gradients([6], **{**given, "seed": 6}))[6]
    assert not torch.equal(other[2], gradients)


def test_with_hardly_any_noise_the_gradient_is_the_plain_one(world: Any) -> None:
    access = world.query().model
    (_, _, _, plain), *_ = access.loss_gradients([6])
    _, _, varied = together(access.varied_gradients([6], by="noise", passes=2, noise=1e-6, seed=0))[6]
    for one in varied:
        torch.testing.assert_close(one, plain[0], rtol=1e-2, atol=1e-7)


def test_the_feature_map_is_what_features_are_and_can_be_differentiated(world: Any) -> None:
    access: ModelAccess = world.query().model
    images = world.images[[3, 7]].clone().requires_grad_()
    mapped = access.feature_map(images)
    torch.testing.assert_close(mapped.detach(), next(iter(access.features([3, 7])))[1])
    mapped.sum().backward()
    assert images.grad is not None
    assert images.grad.any()
