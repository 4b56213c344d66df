"""Eq. 1 and eq. 2 against references written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceLoss

from SuggestiveAnnotationLib.training.losses import DiceSettings, balanced_weights, dice_loss, per_sample_dice_loss, vae_loss


def _reference_dice(logits: np.ndarray, labels: np.ndarray, *, background: bool, smooth: float) -> float:
    """Pixel by pixel, class by class."""
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    p = exponents / exponents.sum(1, keepdims=True)
    n, classes, rows, columns = p.shape
    scores = []
    for k in range(0 if background else 1, classes):
        overlap = mass = 0.0
        for i in range(n):
            for r in range(rows):
                for c in range(columns):
                    if labels[i, r, c] != -1:
                        y = float(labels[i, r, c] == k)
                        overlap += p[i, k, r, c] * y
                        mass += p[i, k, r, c] + y
        scores.append((2 * overlap + smooth) / (mass + smooth))
    return 1 - float(np.mean(scores))


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("smooth", [1e-5, 1.0])
def test_batch_dice_is_equation_2_with_sums_over_the_batch(background, smooth):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3, 4, 5, 6)), rng.integers(-1, 4, (3, 5, 6))
    settings = DiceSettings(background=background, smooth=smooth)
    loss = dice_loss(torch.from_numpy(logits), torch.from_numpy(labels), settings=settings)
    assert loss.item() == pytest.approx(_reference_dice(logits, labels, background=background, smooth=smooth), abs=1e-6)


def test_per_sample_dice_is_equation_2_of_every_slice_by_itself():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(3, 3, 4, 4)), rng.integers(-1, 3, (3, 4, 4))
    losses = per_sample_dice_loss(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = [_reference_dice(logits[i : i + 1], labels[i : i + 1], background=False, smooth=1.0) for i in range(3)]
    np.testing.assert_allclose(losses.numpy(), expected, atol=1e-6)


def test_without_ignored_pixels_it_is_monais_dice_loss():
    logits, labels = torch.randn(4, 3, 8, 8), torch.randint(0, 3, (4, 8, 8))
    reference = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=0.5, smooth_dr=0.5)
    torch.testing.assert_close(dice_loss(logits, labels, settings=DiceSettings(smooth=0.5)), reference(logits, labels[:, None]))


def test_hand_computed_value():
    """Two pixels, two classes, all probabilities 1/2, one pixel of class 1: 1 - (2 * 0.5 + 1) / (1 + 1 + 1) = 1/3."""
    loss = dice_loss(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]]))
    assert loss.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("cross_entropy", [0.0, 1.0])
@pytest.mark.parametrize("loss", [dice_loss, lambda *a, **k: per_sample_dice_loss(*a, **k).sum()], ids=["batch", "per sample"])
def test_ignored_pixels_have_exactly_zero_gradient_and_no_say(loss, cross_entropy):
    settings = DiceSettings(cross_entropy=cross_entropy)
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    labels = torch.randint(-1, 3, (2, 6, 6))
    value = loss(logits, labels, settings=settings)
    value.backward()
    gradient = logits.grad.movedim(1, -1)
    assert (gradient[labels == -1] == 0).all()
    assert (gradient[labels != -1] != 0).any()
    changed = torch.where((labels == -1)[:, None], torch.randn_like(logits) * 9, logits.detach())
    torch.testing.assert_close(loss(changed, labels, settings=settings), value.detach())


@pytest.mark.parametrize("cross_entropy", [0.0, 1.0])
def test_an_unannotated_slice_changes_neither_loss_nor_gradient(cross_entropy):
    settings = DiceSettings(cross_entropy=cross_entropy)
    logits = torch.randn(3, 3, 6, 6, requires_grad=True)
    labels = torch.randint(0, 3, (3, 6, 6))
    labels[1] = -1
    whole = dice_loss(logits, labels, settings=settings)
    whole.backward()
    assert (logits.grad[1] == 0).all()
    torch.testing.assert_close(whole, dice_loss(logits[[0, 2]], labels[[0, 2]], settings=settings))
    assert per_sample_dice_loss(logits, labels)[1] == 0


def test_per_sample_gradients_do_not_depend_on_the_batch():
    logits, labels = torch.randn(4, 3, 6, 6, requires_grad=True), torch.randint(0, 3, (4, 6, 6))
    per_sample_dice_loss(logits, labels).sum().backward()
    one = logits.detach()[2:3].requires_grad_()
    per_sample_dice_loss(one, labels[2:3]).sum().backward()
    assert torch.equal(logits.grad[2:3], one.grad)


def test_bfloat16_logits_are_summed_in_float32():
    logits, labels = torch.randn(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64))
    half = dice_loss(logits.bfloat16(), labels)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, dice_loss(logits.bfloat16().float(), labels))


@given(st.integers(0, 10_000), st.booleans())
def test_dice_lies_between_0_and_1(seed, background):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(scale=8, size=(2, 3, 4, 4)))
    labels = torch.from_numpy(rng.integers(-1, 3, (2, 4, 4)))
    settings = DiceSettings(background=background)
    assert 0 <= dice_loss(logits, labels, settings=settings) <= 1
    assert ((per_sample_dice_loss(logits, labels, settings=settings) >= -1e-6) & (per_sample_dice_loss(logits, labels) <= 1)).all()


def test_smooth_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        DiceSettings(smooth=0)


def test_vae_loss_is_equation_1_summed_over_an_image_and_averaged_over_the_batch():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3, 2, 4, 5))
    mean, log_variance = rng.normal(size=(2, 3, 2))
    squared = np.mean([((x[i] - y[i]) ** 2).sum() for i in range(3)])
    variance = np.exp(log_variance)
    kl = np.mean([sum(0.5 * (variance[i, k] + mean[i, k] ** 2 - 1 - log_variance[i, k]) for k in range(2)) for i in range(3)])
    loss = vae_loss(*map(torch.from_numpy, (x, y, mean, log_variance)), kl_weight=0.5)
    assert loss.reconstruction.item() == pytest.approx(squared, rel=1e-6)
    assert loss.kl.item() == pytest.approx(kl, rel=1e-6)
    assert loss.total.item() == pytest.approx(squared + 0.5 * kl, rel=1e-6)


def test_the_divergence_is_that_of_torch_distributions():
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    images = torch.zeros(5, 1, 2, 2)
    torch.testing.assert_close(vae_loss(images, images, mean, log_variance).kl, expected)


def test_balanced_weights_by_hand():
    """Frequencies 3/4 and 1/4: weights are as 1 to sqrt 3, and their mean over the four pixels is 1."""
    first, second, absent = balanced_weights(torch.tensor([0, 0, 0, 1, -1]), 3)
    assert second / first == pytest.approx(3**0.5)
    assert (3 * first + second) / 4 == pytest.approx(1)
    assert absent == second
    assert balanced_weights(torch.tensor([0, 0, 0, 1]), 2, exponent=0) == pytest.approx((1, 1))
    assert balanced_weights(torch.tensor([-1]), 2) == (1, 1)


def test_class_weights_scale_the_cross_entropy_of_their_class():
    logits, labels = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[[0, 1], [2, -1]]])
    plain = dice_loss(logits, labels, settings=DiceSettings(cross_entropy=0.0))
    weighted = dice_loss(logits, labels, settings=DiceSettings(cross_entropy=1.0, class_weights=(1.0, 2.0, 5.0)))
    log_p = torch.log_softmax(logits, 1)[0]
    expected = -(log_p[0, 0, 0] + 2 * log_p[1, 0, 1] + 5 * log_p[2, 1, 0]) / 3
    assert weighted - plain == pytest.approx(expected.item(), abs=1e-5)
