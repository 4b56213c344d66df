"""Training the segmentation network, and predicting with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tensor_images import TensorImages

from SuggestiveAnnotationLib.errors import Cancelled, StudyError
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.training.augment import AugmentSettings
from SuggestiveAnnotationLib.training.losses import DiceSettings, balanced_weights, dice_loss
from SuggestiveAnnotationLib.training.predict import predict_probabilities
from SuggestiveAnnotationLib.training.sampling import shuffled_batches
from SuggestiveAnnotationLib.training.segmentation import (
    SegmentationSettings,
    ValidationSet,
    _Best,
    class_dice,
    mean_dice,
    train_segmentation,
)

SPEC = {"network": "unet", "size": "tiny", "channels": 1, "classes": 3}
FAST = SegmentationSettings(steps=3, batch_size=4, augment=None)


def _blobs(n: int, size: int = 32, seed: int = 0) -> tuple[TensorImages, torch.Tensor]:
    """A disc of class 1 with a core of class 2 on noise."""
    g = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    middle = size / 2 + (torch.rand(n, 2, generator=g) - 0.5) * size / 3
    distance = ((rows - middle[:, :1, None]) ** 2 + (columns - middle[:, 1:, None]) ** 2).sqrt()
    labels = (distance < size / 4).int() + (distance < size / 8).int()
    images = labels.float() + 0.2 * torch.randn(n, size, size, generator=g)
    return TensorImages(images[:, None]), labels


def _same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_network_overfits_four_slices():
    images, labels = _blobs(4)
    settings = SegmentationSettings(steps=120, batch_size=4, augment=None, learning_rate=1e-2)
    trained = train_segmentation(SPEC, images, labels, settings=settings)
    assert trained.losses[-1] < 0.3 * trained.losses[0]
    assert mean_dice(trained.model, ValidationSet(images, labels)) > 0.95
    assert (trained.steps, trained.stopped_early, trained.slices) == (120, False, 4)
    assert not trained.model.training


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    images, labels = _blobs(6)
    settings = replace(FAST, augment=AugmentSettings(flip=True))
    one, two, other = (train_segmentation(SPEC, images, labels, settings=replace(settings, seed=s)) for s in (1, 1, 2))
    assert _same(one.model, two.model)
    assert one.losses == two.losses
    assert not _same(one.model, other.model)


def test_unannotated_slices_never_enter():
    """Garbage in slices that are ignored everywhere changes no bit of the result."""
    images, labels = _blobs(6)
    labels[[1, 4]] = -1
    kept = [0, 2, 3, 5]
    alone = train_segmentation(SPEC, TensorImages(images.images(kept)), labels[kept], settings=FAST)
    garbage = images.images(range(6))
    garbage[[1, 4]] = float("nan")
    with_garbage = train_segmentation(SPEC, TensorImages(garbage), labels, settings=FAST)
    assert with_garbage.slices == 4
    assert _same(alone.model, with_garbage.model)


def test_without_annotations_a_sentence_says_what_to_do():
    images, labels = _blobs(2)
    with pytest.raises(StudyError, match="no annotated slice"):
        train_segmentation(SPEC, images, torch.full_like(labels, -1), settings=FAST)


def test_a_class_the_network_does_not_know_is_refused():
    images, labels = _blobs(2)
    with pytest.raises(StudyError, match="class 7"):
        train_segmentation(SPEC, images, torch.where(labels == 2, 7, labels), settings=FAST)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [16, 32])
def test_any_number_of_slices_trains_even_where_the_bottleneck_is_one_pixel(n, size):
    images, labels = _blobs(n, size)
    trained = train_segmentation(SPEC, images, labels, settings=replace(FAST, micro_batch=1))
    assert np.isfinite(trained.losses).all()


def test_going_on_from_a_network_leaves_it_as_it_was():
    images, labels = _blobs(4)
    first = train_segmentation(SPEC, images, labels, settings=FAST).model
    before = {name: value.clone() for name, value in first.state_dict().items()}
    second = train_segmentation(first, images, labels, settings=FAST).model
    assert all(torch.equal(before[name], value) for name, value in first.state_dict().items())
    assert not _same(first, second)
    assert second.spec == first.spec


def test_cancelling_stops_within_one_step():
    images, labels = _blobs(4)
    token, seen = CancelToken(), []

    def progress(event: ProgressEvent) -> None:
        seen.append(event.done)
        if event.done == 2:
            token.cancel()

    with pytest.raises(Cancelled):
        train_segmentation(SPEC, images, labels, settings=replace(FAST, steps=50), progress=progress, cancel=token)
    assert seen == [0, 1, 2]


def test_the_worker_may_speak_between_micro_batches_outside_autocast_and_gradients():
    images, labels = _blobs(8)
    calls = []

    class Speaking(CancelToken):
        def raise_if_cancelled(self) -> None:
            calls.append((torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()))

    trained = train_segmentation(SPEC, images, labels, settings=replace(FAST, batch_size=8, micro_batch=3), cancel=Speaking())
    assert trained.micro_batch == 3
    assert len(calls) >= 9
    assert set(calls) == {(False, False)}


def test_the_loss_of_a_step_is_the_mean_over_micro_batches_by_their_share():
    images, labels = _blobs(5)
    loss = DiceSettings(background=True)
    settings = replace(FAST, steps=1, batch_size=5, micro_batch=3, mixed_precision=False, loss=loss)
    network = build_network(SPEC, seed=settings.seed).train()
    order = next(shuffled_batches(5, 5, generator=torch.Generator().manual_seed(settings.seed)))
    parts = [dice_loss(network(images.images(part)), labels[part], settings=loss).item() for part in (order[:3], order[3:])]
    trained = train_segmentation(SPEC, images, labels, settings=settings)
    assert trained.losses[0] == pytest.approx(0.6 * parts[0] + 0.4 * parts[1], abs=1e-5)


def test_every_step_is_adam_on_the_balanced_loss_with_the_scheduled_rate_and_clipped_gradients():
    images, labels = _blobs(4)
    settings = replace(FAST, steps=4, mixed_precision=False, micro_batch=4, gradient_clip=0.01)
    trained = train_segmentation(SPEC, images, labels, settings=settings)
    network = build_network(SPEC, seed=settings.seed).train()
    optimiser = torch.optim.Adam(network.parameters())
    loss_settings = DiceSettings(background=True, cross_entropy=1.0, class_weights=balanced_weights(labels, 3, exponent=0.5))
    losses = []
    for factor in (1, 0.5 + 0.5 * 0.5**0.5, 0.5, 0.5 - 0.5 * 0.5**0.5):
        optimiser.param_groups[0]["lr"] = 1e-3 * factor
        loss = dice_loss(network(images.images(range(4))), labels, settings=loss_settings)
        optimiser.zero_grad()
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
        for parameter in network.parameters():
            parameter.grad *= min(1.0, 0.01 / norm.item())
        optimiser.step()
        losses.append(loss.item())
    assert trained.losses == pytest.approx(losses, abs=1e-4)
    first = build_network(SPEC, seed=settings.seed)
    moved, expected = (
        torch.cat([(p - q).flatten() for p, q in zip(n.parameters(), first.parameters(), strict=True)]) for n in (trained.model, network)
    )
    assert (moved - expected).norm() < 0.02 * expected.norm()


def test_validation_stops_training_and_the_best_weights_are_kept():
    images, labels = _blobs(4)
    other_images, other_labels = _blobs(4, seed=5)
    nonsense = ValidationSet(other_images, other_labels.flip(-1).roll(9, -1))
    settings = SegmentationSettings(steps=200, batch_size=4, augment=None, learning_rate=1e-2, validate_every=5, patience=2)
    trained = train_segmentation(SPEC, images, labels, settings=settings, validation=nonsense)
    scores = [score for _, score in trained.validation_curve]
    assert trained.stopped_early
    assert trained.steps == trained.validation_curve[-1][0] < 200
    assert scores[-3] == max(scores)
    assert mean_dice(trained.model, nonsense) == pytest.approx(max(scores), abs=0.02)


@pytest.mark.parametrize("shown", [1, 0], ids=["never found", "nothing to find"])
def test_of_equal_looks_the_weights_of_the_last_are_kept(shown):
    images, labels = _blobs(4)
    truth = torch.zeros(1, 32, 32, dtype=torch.int32)
    truth[0, 0, 0] = shown
    # Far below anything that the network has seen.
    validation = ValidationSet(TensorImages(torch.full((1, 1, 32, 32), -50.0)), truth)
    settings = SegmentationSettings(steps=60, batch_size=4, augment=None, learning_rate=1e-2, validate_every=10)
    trained = train_segmentation(SPEC, images, labels, settings=settings, validation=validation)
    assert {score for _, score in trained.validation_curve[-3:]} == {float(not shown)}
    assert trained.steps == 60
    assert _same(trained.model, train_segmentation(SPEC, images, labels, settings=settings).model)


def test_equal_looks_are_no_gain():
    best = _Best(patience=2)
    looks = [best.stops(torch.nn.Linear(1, 1), step, 0.5) for step in range(3)]
    assert looks == [False, False, True]


def test_without_validation_all_steps_are_taken_and_no_curve_is_drawn():
    images, labels = _blobs(4)
    trained = train_segmentation(SPEC, images, labels, settings=FAST)
    assert (trained.steps, trained.validation_curve, trained.stopped_early) == (3, (), False)


def test_averaged_weights_lie_between_the_first_and_the_last():
    images, labels = _blobs(4)
    settings = replace(FAST, steps=8, schedule="constant")
    last = train_segmentation(SPEC, images, labels, settings=settings).model
    averaged = train_segmentation(SPEC, images, labels, settings=replace(settings, ema=0.9)).model
    first = build_network(SPEC, seed=settings.seed)

    def distance(a: torch.nn.Module, b: torch.nn.Module) -> float:
        return sum((x - y).square().sum().item() for x, y in zip(a.parameters(), b.parameters(), strict=True))

    assert 0 < distance(averaged, first) < distance(last, first)
    assert 0 < distance(averaged, last) < distance(last, first)


def test_divergence_is_a_sentence_not_nonsense():
    images, labels = _blobs(2)
    broken = images.images([0, 1])
    broken[0, 0, 0, 0] = float("nan")
    with pytest.raises(StudyError, match="diverged at step 1"):
        train_segmentation(SPEC, TensorImages(broken), labels, settings=FAST)


def test_predictions_come_in_order_and_leave_every_buffer_bit_identical():
    images, labels = _blobs(7)
    model = train_segmentation(SPEC, images, labels, settings=FAST).model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batches = list(predict_probabilities(model, images, [6, 0, 3, 1, 5], batch_size=2, mixed_precision=False))
    assert [b.tolist() for b, _ in batches] == [[6, 0], [3, 1], [5]]
    assert all(p.dtype == torch.float32 for _, p in batches)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        expected = model(images.images([3])).softmax(1)
    torch.testing.assert_close(batches[1][1][:1], expected, atol=1e-5, rtol=0)


def test_predicting_leaves_each_modules_own_mode_alone():
    images, labels = _blobs(2)
    model = train_segmentation(SPEC, images, labels, settings=FAST).model
    model.first.train()
    list(predict_probabilities(model, images, [0]))
    assert model.first.training
    assert not model.last.training


def test_mean_dice_by_hand():
    """A network that copies its input: class 1 hits 2 of 3 + 3 pixels, class 2 none; ignored pixels do not count."""

    class Copy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 10 * torch.nn.functional.one_hot(x[:, 0].long(), 3).movedim(-1, 1).float()

    guess = torch.tensor([[[1.0, 1, 1, 0], [0, 0, 2, 0]]])[None]
    truth = torch.tensor([[[1, 1, 2, 1], [-1, 0, -1, 0]]])
    data = ValidationSet(TensorImages(guess[0][None]), truth)
    assert mean_dice(Copy(), data) == pytest.approx((4 / 6 + 0) / 2)
    assert class_dice(Copy(), data).tolist() == pytest.approx([4 / 6, 0])


def test_a_class_that_is_nowhere_has_no_dice():
    class Nothing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(0 * x[:, 0].long(), 3).movedim(-1, 1).float()

    data = ValidationSet(TensorImages(torch.zeros(1, 1, 4, 4)), torch.tensor([0, 0, 0, 1] * 4).reshape(1, 4, 4))
    found = class_dice(Nothing(), data)
    assert found[0] == 0
    assert found[1].isnan()
    assert mean_dice(Nothing(), data) == 0


@pytest.mark.gpu
def test_a_gpu_trains_reproducibly():
    images, labels = _blobs(8)
    on_gpu = TensorImages(images.images(range(8)).cuda())
    one, two = (train_segmentation(SPEC, on_gpu, labels.cuda(), settings=replace(FAST, augment=AugmentSettings())) for _ in range(2))
    assert _same(one.model, two.model)
