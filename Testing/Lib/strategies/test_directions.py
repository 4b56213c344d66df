from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.strategies.access import VaeAccess
from SuggestiveAnnotationLib.strategies.directions import encoder_direction, finite_difference, manifold_direction, normalised

ENCODER = np.array([[1.0, 0, 0, 0], [0, 2.0, 0, 0]])
DECODER = np.array([[1.0, 0], [0, 1.0], [3.0, 0], [0, 0]])


@pytest.fixture
def linear(hand: Any) -> Any:
    return hand.manifold(ENCODER, DECODER, np.zeros((1, 2)), (1, 2, 2))


def test_directions_of_a_linear_manifold_are_the_matrix_products(linear: Any) -> None:
    gradient = torch.tensor([[1.0, 1, 2, 5], [0, 0, 1, 0]]).reshape(2, 1, 2, 2)
    images = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    flat = gradient.flatten(1).numpy()
    np.testing.assert_allclose(encoder_direction(linear, images, gradient), flat @ ENCODER.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(finite_difference(linear, images, gradient), flat @ ENCODER.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(manifold_direction(linear, images, gradient), flat @ DECODER, rtol=1e-5)
    assert encoder_direction(linear, images, gradient)[0].tolist() == pytest.approx([1, 2])
    assert manifold_direction(linear, images, gradient)[0].tolist() == pytest.approx([1 + 3 * 2, 1])


@pytest.fixture
def vae() -> Any:
    torch.manual_seed(0)
    network = VAE(channels=1, latent_size=3, grid_size=(32, 32), input_size=(16, 16), size="tiny")
    network(torch.randn(8, 1, 32, 32))  # gives the batch norms something to hold
    return VaeAccess(network, np.zeros((1, 3), np.float32))


def test_forward_mode_agrees_with_the_finite_difference_on_a_real_vae(vae: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    images, gradients = torch.randn(6, 1, 32, 32, generator=generator), torch.randn(6, 1, 32, 32, generator=generator)
    exact = encoder_direction(vae, images, gradients)
    approximate = finite_difference(vae, images, gradients, rms=1e-3)
    assert functional.cosine_similarity(exact, approximate).min() > 0.99
    assert (exact.norm(dim=1) / approximate.norm(dim=1)).tolist() == pytest.approx([1] * 6, rel=0.1)


def test_the_manifold_direction_is_the_gradient_of_the_decoded_image(vae: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    images, gradients = torch.randn(3, 1, 32, 32, generator=generator), torch.randn(3, 1, 32, 32, generator=generator)
    latents = vae.encode(images).detach()
    jacobian = torch.autograd.functional.jacobian(lambda z: vae.decode(z[None])[0].flatten(), latents[1])
    torch.testing.assert_close(manifold_direction(vae, images, gradients)[1], gradients[1].flatten() @ jacobian, rtol=1e-3, atol=1e-4)


def test_directions_do_not_depend_on_the_batch(vae: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    images, gradients = torch.randn(4, 1, 32, 32, generator=generator), torch.randn(4, 1, 32, 32, generator=generator)
    for direction in (encoder_direction, manifold_direction, finite_difference):
        whole = direction(vae, images, gradients)
        torch.testing.assert_close(whole[2:3], direction(vae, images[2:3], gradients[2:3]), rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e20])
def test_tiny_and_huge_gradients_keep_their_direction_and_size(scale: float) -> None:
    unit, rms = normalised(torch.tensor([3.0, -4.0, 0, 0]).reshape(1, 1, 2, 2) * scale)
    assert unit.flatten().tolist() == pytest.approx([1.2, -1.6, 0, 0], rel=1e-5)
    assert float(rms) == pytest.approx(2.5 * scale, rel=1e-5)


def test_a_zero_gradient_stays_zero() -> None:
    unit, rms = normalised(torch.zeros(2, 1, 2, 2))
    assert not unit.any()
    assert not rms.any()
