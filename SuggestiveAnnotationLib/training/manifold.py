"""Learning the data manifold: training the VAE and encoding the pool (2022 paper, section 2.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.models.vae_ensemble import VAEEnsemble
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.training.data import ImageSource, batches
from SuggestiveAnnotationLib.training.device import autocast_dtype, exact_float32, reproducible_convolutions
from SuggestiveAnnotationLib.training.losses import vae_loss
from SuggestiveAnnotationLib.training.sampling import Schedule, learning_rate_factor, shuffled_batches

ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True)
class ManifoldSettings:
    """How the manifold is learned; recorded with the model.

    Attributes:
        latent_size: d (2022 paper: 3 for BraTS, 2 for MALC; 2020 paper: 5).
        size: of the network, "paper" or "thin".
        input_size: the VAE's own grid, pixels; None: the network grid.
        steps: optimiser steps.
        batch_size: 16 in the papers.
        learning_rate: 1e-4 in the papers, over 50 epochs of large pools; fixed steps on small pools need more.
        schedule: of the learning rate.
        kl_weight: of the divergence in eq. 1.
        gradient_clip: largest norm of the gradient.
        mixed_precision: train in bfloat16 where the device has it; encoding is float32 always.
        members: VAEs that are trained one after the other, with seeds of their own, for an ensemble; 1: a VAE (papers).
        seed: of weights, order and noise; of the first member.
    """

    latent_size: int = 3
    size: str = "paper"
    input_size: tuple[int, int] | None = None
    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    kl_weight: float = 1.0
    gradient_clip: float = 1000.0
    mixed_precision: bool = True
    members: int = 1
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON values for a card."""
        return asdict(self)


@dataclass(frozen=True)
class FittedManifold:
    """A trained VAE, or an ensemble of them.

    Attributes:
        model: in evaluation mode, float32.
        losses: (step, reconstruction, divergence), each summed over an image and averaged over the batch; of an ensemble, one member's
            steps after the other's.
        latents: posterior means of all images, float32 `(n, d)`; of an ensemble `(n, members * d)`.
        active_units: latent dimensions whose posterior mean varies over the data by more than 0.01 (Burda et al., 2016). 0: collapsed.
        seconds: of training and encoding.
    """

    model: VAE | VAEEnsemble
    losses: tuple[tuple[int, float, float], ...]
    latents: NDArray[np.float32]
    active_units: int
    seconds: float


def fit_manifold(
    images: ImageSource,
    *,
    settings: ManifoldSettings = ManifoldSettings(),
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> FittedManifold:
    """Train the VAE of eq. 1 on all images (give it those of pool cases only) and encode them with the posterior mean.

    Args:
        images: on the network grid.
        settings: recorded with the model.
        progress: told once a step.
        cancel: asked before the backward pass and after every step. What it does meanwhile has no influence on the weights.

    Raises:
        StudyError: there are no images, or training diverged.
        Cancelled: once the token is set.
    """
    if len(images) == 0:
        raise StudyError("There are no slices to learn the manifold from.", hint="Add cases to the pool.")
    stage = Stage("fit manifold", settings.members * settings.steps, progress=progress, cancel=cancel)
    losses: list[tuple[int, float, float]] = []
    vaes = [_train_vae(images, replace(settings, seed=settings.seed + 1000 * n), losses, stage, cancel) for n in range(settings.members)]
    model = vaes[0] if len(vaes) == 1 else VAEEnsemble(vaes).eval()
    latents = encode_images(model, images, batch_size=2 * settings.batch_size, cancel=cancel)
    return FittedManifold(model, tuple(losses), latents, active_units(latents), stage.seconds)


def _train_vae(
    images: ImageSource, settings: ManifoldSettings, losses: list[tuple[int, float, float]], stage: Stage, cancel: CancelToken | None
) -> VAE:
    """One member, in evaluation mode; its losses are added to those that are there."""
    device = images.device
    spec = {
        "network": "vae",
        "size": settings.size,
        "channels": images.channels,
        "latent_size": settings.latent_size,
        "grid_size": list(images.size),
        "input_size": list(settings.input_size or images.size),
    }
    model: VAE = build_network(spec, seed=settings.seed).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = autocast_dtype(device) if settings.mixed_precision else None
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    order = shuffled_batches(len(images), settings.batch_size, generator=generator)
    model.train()
    with reproducible_convolutions(device):
        for step in range(settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * learning_rate_factor(step, settings.steps, settings.schedule)
            reduced = model.reduce(images.images(next(order)))
            reduced = reduced.contiguous(memory_format=torch.channels_last)
            noise = torch.randn(len(reduced), settings.latent_size, generator=generator).to(device)
            with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                mean, log_variance = model.encode_reduced(reduced)
                reconstruction = model.decode_reduced(mean + noise * (0.5 * log_variance).exp())
            loss = vae_loss(reduced, reconstruction, mean, log_variance, kl_weight=settings.kl_weight)
            if cancel is not None:
                cancel.raise_if_cancelled()
            optimiser.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
            optimiser.step()
            value = float(loss.total.detach())
            if not np.isfinite(value):
                raise StudyError(f"Learning the manifold diverged at step {step + 1}.", hint="Lower the learning rate or check the images.")
            losses.append((len(losses) + 1, float(loss.reconstruction.detach()), float(loss.kl.detach())))
            stage.advance(loss=value)
    return model.eval()


def encode_images(
    model: VAE | VAEEnsemble,
    images: ImageSource,
    *,
    batch_size: int = 64,
    cancel: CancelToken | None = None,
) -> NDArray[np.float32]:
    """Posterior means of all images, float32 `(n, d)`, in evaluation mode; buffers do not change."""
    was_training = model.training
    model.eval()
    out = np.empty((len(images), model.latent_size), np.float32)
    for indices in batches(np.arange(len(images)), batch_size):
        if cancel is not None:
            cancel.raise_if_cancelled()
        with torch.inference_mode(), exact_float32(images.device):
            mean, _ = model.encode(images.images(indices))
        out[indices] = mean.cpu().numpy()
    model.train(was_training)
    return out


def active_units(latents: NDArray[np.float32]) -> int:
    """Dimensions of `(n, d)` posterior means whose variance over the data exceeds 0.01 (Burda et al., 2016)."""
    return int((latents.var(axis=0) > ACTIVE_VARIANCE).sum())
