"""The variational autoencoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from SuggestiveAnnotationLib.models.vae import VAE


@pytest.fixture(params=[None, (16, 32)], ids=["own grid is the network grid", "own grid is coarser"])
def model(request: pytest.FixtureRequest) -> VAE:
    torch.manual_seed(0)
    vae = VAE(channels=2, latent_size=3, grid_size=(32, 48), input_size=request.param, size="tiny")
    vae.train()
    vae(torch.randn(8, 2, 32, 48))  # running averages that are not the initial ones
    return vae.eval()


def test_shapes_on_the_network_grid(model):
    mean, log_variance = model.encode(torch.randn(5, 2, 32, 48))
    assert mean.shape == log_variance.shape == (5, 3)
    assert model.decode(mean).shape == (5, 2, 32, 48)


def test_four_strided_levels_of_one_residual_block_with_batch_norm_and_leaky_relu():
    vae = VAE(channels=1, latent_size=2, grid_size=(64, 64))
    strided = [m for m in vae.encoder if hasattr(m, "residual")]
    assert len(strided) == 4
    assert all(m.negative_slope == 1e-2 for m in vae.modules() if isinstance(m, nn.LeakyReLU))
    assert not [m for m in vae.modules() if isinstance(m, (nn.ReLU, nn.PReLU, nn.InstanceNorm2d))]


def test_the_output_is_linear_so_z_scores_of_any_sign_can_be_reached(model):
    for level in (-50.0, 50.0):
        with torch.no_grad():
            model.decoder[-1].bias.fill_(level)
        torch.testing.assert_close(model.decode(torch.zeros(1, 3)), torch.full((1, 2, 32, 48), level), atol=5, rtol=0)


def test_forward_mode_derivative_of_the_encoder_agrees_with_finite_differences(model):
    model = model.double()
    x, direction = torch.randn(2, 2, 2, 32, 48, dtype=torch.float64)
    _, pushed = torch.func.jvp(lambda images: model.encode(images)[0], (x,), (direction,))
    with torch.no_grad():
        step = 1e-7
        finite = (model.encode(x + step * direction)[0] - model.encode(x - step * direction)[0]) / (2 * step)
    assert pushed.shape == (2, 3)
    torch.testing.assert_close(pushed, finite, rtol=1e-4, atol=1e-6)


def test_reverse_mode_derivative_of_the_decoder_agrees_with_finite_differences(model):
    model = model.double()
    z, image = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 2, 32, 48, dtype=torch.float64)
    _, pull = torch.func.vjp(model.decode, z)
    (gradient,) = pull(image)
    with torch.no_grad():
        for k in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[k] = 1e-7
            finite = ((model.decode(z + step) - model.decode(z - step)) * image).sum((1, 2, 3)) / 2e-7
            torch.testing.assert_close(gradient[:, k], finite, rtol=1e-4, atol=1e-5)


def test_both_derivatives_belong_to_the_same_encoder(model):
    """<J v, u> = <v, J^T u>."""
    x, v, u = torch.randn(1, 2, 32, 48), torch.randn(1, 2, 32, 48), torch.randn(1, 3)
    _, forward = torch.func.jvp(lambda images: model.encode(images)[0], (x,), (v,))
    _, pull = torch.func.vjp(lambda images: model.encode(images)[0], x)
    torch.testing.assert_close((forward * u).sum(), (pull(u)[0] * v).sum(), rtol=1e-3, atol=1e-4)


def test_encoding_leaves_batch_norm_buffers_bit_identical(model):
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    torch.func.jvp(lambda images: model.encode(images)[0], (torch.randn(1, 2, 32, 48),), (torch.randn(1, 2, 32, 48),))
    model(torch.randn(3, 2, 32, 48))
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_going_to_the_own_grid_and_back_keeps_a_constant():
    vae = VAE(channels=1, latent_size=2, grid_size=(48, 80), input_size=(32, 48), size="tiny")
    constant = torch.full((1, 1, 48, 80), 3.0)
    torch.testing.assert_close(vae.enlarge(vae.reduce(constant)), constant)


def test_an_own_grid_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        VAE(channels=1, latent_size=2, grid_size=(40, 48))
