"""Where a loss gradient leads on the manifold: three ways to carry an image-space gradient into latent space.

`x' = x + alpha g` in float32 changes few pixels at the papers' alpha, and `enc(x') - enc(x)` is rounding noise. The directions here are the
limit of that difference, computed without the subtraction (or with a step that float32 can carry).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from SuggestiveAnnotationLib.strategies.contract import ManifoldAccess

Direction = Literal["encoder", "manifold"]
Derivative = Literal["forward mode", "finite difference"]


def encoder_direction(manifold: ManifoldAccess, images: Tensor, gradients: Tensor) -> Tensor:
    """Push-forward `J_enc(x) g` by forward-mode differentiation, `(n, latent size)` with the gradient's own magnitude."""
    unit, rms = normalised(gradients)
    with torch.no_grad():
        pushed: Tensor = torch.func.jvp(manifold.encode, (images,), (unit,))[1]
    return pushed * rms


def finite_difference(manifold: ManifoldAccess, images: Tensor, gradients: Tensor, *, rms: float = 1e-2) -> Tensor:
    """The same by a centred difference: `(enc(x + e u) - enc(x - e u)) / 2e` with u the gradient at root mean square 1 and e = `rms`."""
    unit, scale = normalised(gradients)
    with torch.no_grad():
        ahead, behind = manifold.encode(images + rms * unit), manifold.encode(images - rms * unit)
    return (ahead - behind) / (2 * rms) * scale


def manifold_direction(manifold: ManifoldAccess, images: Tensor, gradients: Tensor) -> Tensor:
    """Pull-back `J_dec(z)^T g` at `z = enc(x)`, `(n, latent size)`: the gradient of the loss along the decoder's surface."""
    unit, rms = normalised(gradients)
    with torch.no_grad():
        latents = manifold.encode(images)
    latents = latents.detach().requires_grad_()
    with torch.enable_grad():
        decoded = manifold.decode(latents)
        (pulled,) = torch.autograd.grad(decoded, latents, grad_outputs=unit.to(decoded.dtype))
    return pulled.detach() * rms


def normalised(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Every sample's gradient at root mean square 1, and the root mean squares `(n, 1)`; zero gradients stay zero.

    Dice gradients are some 1e-6 a pixel: at root mean square 1 nothing underflows on the way.
    """
    # Squares of tiny gradients underflow in float32: take the largest entry out first.
    largest = gradients.flatten(1).abs().amax(1)
    safe = torch.where(largest > 0, largest, torch.ones_like(largest))
    scaled = gradients / safe[:, None, None, None]
    rms = scaled.flatten(1).square().mean(1).sqrt()
    divisor = torch.where(rms > 0, rms, torch.ones_like(rms))
    return scaled / divisor[:, None, None, None], (rms * safe * (largest > 0))[:, None]
