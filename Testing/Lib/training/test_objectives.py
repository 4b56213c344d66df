"""What networks of each architecture are trained on, and that each can learn three slices by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tensor_images import TensorImages

from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.training.data import ChosenImages
from SuggestiveAnnotationLib.training.losses import DiceSettings, dice_loss
from SuggestiveAnnotationLib.training.objectives import objective, patch_settings, ranking_loss
from SuggestiveAnnotationLib.training.segmentation import SegmentationSettings, ValidationSet, mean_dice, train_segmentation

ALL = DiceSettings(background=True)
NAMES = ("unet", "u-shape-patches", "voxresnet", "multi-scale-patches")


def spec(name: str, **changes: object) -> dict[str, object]:
    return {"network": name, "size": "tiny", "channels": 1, "classes": 3, **changes}


def blobs(n: int, size: int = 32, noise: float = 0.2) -> tuple[TensorImages, torch.Tensor]:
    """A disc of class 1 with a core of class 2 on noise."""
    g = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    middle = size / 2 + (torch.rand(n, 2, generator=g) - 0.5) * size / 3
    distance = ((rows - middle[:, :1, None]) ** 2 + (columns - middle[:, 1:, None]) ** 2).sqrt()
    labels = (distance < size / 4).int() + (distance < size / 8).int()
    return TensorImages((labels.float() + noise * torch.randn(n, size, size, generator=g))[:, None]), labels


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_learns_three_slices_by_heart(name: str) -> None:
    images, labels = blobs(3, 72 if name == "u-shape-patches" else 32)
    settings = SegmentationSettings(steps=60, batch_size=3, augment=None, learning_rate=1e-2, micro_batch=3)
    trained = train_segmentation(spec(name), images, labels, settings=settings)
    # The multi-scale network sees 48 pixels a step, the others all.
    assert mean_dice(trained.model, ValidationSet(images, labels)) > (0.8 if name == "multi-scale-patches" else 0.93)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights_with_dropout_too(name: str) -> None:
    images, labels = blobs(4, 80 if name == "u-shape-patches" else 32)
    settings = SegmentationSettings(steps=2, batch_size=4, augment=None, seed=3)
    networks = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        networks.append(train_segmentation(spec(name, dropout=0.5), images, labels, settings=settings).model)
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in networks), strict=True))


def test_dropout_drops_in_training() -> None:
    images, labels = blobs(4)
    settings = SegmentationSettings(steps=1, batch_size=4, augment=None, mixed_precision=False)
    with_dropout, without = (train_segmentation(spec("unet", dropout=p), images, labels, settings=settings) for p in (0.5, 0.0))
    assert with_dropout.losses != without.losses


def test_how_slices_are_cut() -> None:
    assert patch_settings(build_network(spec("unet")), (96, 96)) is None
    u_shape = [patch_settings(build_network(spec("u-shape-patches")), (px, px)) for px in (32, 64, 128, 256)]
    assert [(p.size, p.count, p.middle) for p in u_shape if p] == [(64, 1, False), (64, 1, False), (64, 4, False), (64, 16, False)]
    middle = patch_settings(build_network(spec("multi-scale-patches")), (96, 96))
    assert middle is not None
    assert (middle.size, middle.middle) == (75, True)


@pytest.mark.parametrize(("done", "weight"), [(0.0, 1.0), (0.5, 10**-1.5), (1.0, 1e-3)])
def test_voxresnet_holds_every_depth_to_the_labels_less_and_less(done: float, weight: float) -> None:
    images, labels = blobs(2)
    network = build_network(spec("voxresnet")).eval()
    x = images.images([0, 1])
    with torch.no_grad():
        depths = network.depths(network.pixel_features(x))
        expected = dice_loss(sum(depths), labels, settings=ALL) + weight * sum(dice_loss(d, labels, settings=ALL) for d in depths)
        torch.testing.assert_close(objective(network, x, labels, settings=ALL, done=done), expected)


class TestLearningLoss:
    def test_the_ranking_loss_by_hand(self) -> None:
        """Pairs (0, 1) right by 2: 0; (2, 3) right by .2: .3; (4, 5) wrong by 1: 1.5; alike losses cost the margin; the last is alone."""
        predicted = torch.tensor([2.0, 0.0, 0.1, 0.3, 1.0, 0.0, 5.0, 5.0, 9.0])
        losses = torch.tensor([0.9, 0.1, 0.2, 0.4, 0.1, 0.3, 0.2, 0.2, 0.5])
        assert ranking_loss(predicted, losses).item() == pytest.approx((0 + 0.3 + 1.5 + 0.5) / 4)
        assert ranking_loss(predicted[:1], losses[:1]).item() == 0

    def test_after_three_fifths_of_the_training_its_gradient_stays_in_the_head(self) -> None:
        images, labels = blobs(4)
        x = images.images(range(4))

        def gradient(loss_head: bool, done: float) -> torch.Tensor:
            network = build_network(spec("unet"), seed=1).train()
            if loss_head:
                whole = build_network(spec("unet", loss_head=True), seed=2).train()
                whole.load_state_dict(network.state_dict(), strict=False)
                network = whole
            objective(network, x, labels, settings=ALL, done=done).backward()
            return network.down[-1].convs.conv_0.conv.weight.grad

        plain, early, late = gradient(False, 0.0), gradient(True, 0.59), gradient(True, 0.6)
        torch.testing.assert_close(late, plain, rtol=1e-4, atol=1e-7)
        assert not torch.allclose(early, plain, rtol=1e-2)

    def test_it_ranks_losses_that_it_can_rank(self) -> None:
        """The noisier a slice, the worse it is segmented: the head says which."""
        clean, labels = blobs(12)
        noise = torch.linspace(0, 3, 12)[:, None, None, None]
        x = clean.images(range(12)) + noise * torch.randn(12, 1, 32, 32, generator=torch.Generator().manual_seed(1))
        settings = SegmentationSettings(steps=60, batch_size=12, micro_batch=12, augment=None, learning_rate=5e-3)
        model = train_segmentation(spec("unet", loss_head=True), TensorImages(x), labels, settings=settings).model
        with torch.no_grad():
            predicted = model.predicted_losses(x)
            losses = torch.stack([dice_loss(model(x[i : i + 1]), labels[i : i + 1], settings=ALL) for i in range(12)])
        assert np.corrcoef(predicted.argsort().argsort(), losses.argsort().argsort())[0, 1] > 0.8

    def test_without_a_head_nothing_is_predicted(self) -> None:
        assert build_network(spec("unet")).predicted_losses(torch.zeros(1, 1, 16, 16)) is None


def test_chosen_images_are_those_of_the_source() -> None:
    images, _ = blobs(4)
    chosen = ChosenImages(images, [3, 3, 0])
    assert (len(chosen), chosen.channels, chosen.size, chosen.device) == (3, 1, (32, 32), images.device)
    assert torch.equal(chosen.images(torch.tensor([2, 0])), images.images([0, 3]))


def test_middle_pixels_are_not_balanced_twice() -> None:
    """Their classes are drawn alike: weights of the classes would count rare ones again."""
    images, labels = blobs(3)
    settings = SegmentationSettings(steps=1, batch_size=3, augment=None, micro_batch=3)
    one, two = (
        train_segmentation(spec("multi-scale-patches"), images, labels, settings=replace(settings, balance=b)).losses for b in (0.0, 1.0)
    )
    assert one == two
