"""Several VAEs of the same images, with their latents side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.vae import VAE


class VAEEnsemble(nn.Module):
    """VAEs with weights of their own as one manifold of `members * d` dimensions.

    A distance in it is the quadratic mean over the members' (up to a factor), so what one VAE happens to put side by side counts less.
    Encoder and decoder have the derivatives of `VAE`: a direction is made of the members' directions.

    Args:
        members: at least two, of one spec.
    """

    def __init__(self, members: Sequence[VAE]) -> None:
        super().__init__()
        specs = [one.spec for one in members]
        if len(members) < 2 or any(spec != specs[0] for spec in specs):
            raise ValueError("an ensemble needs two VAEs or more of one spec")
        self.spec = {**specs[0], "network": "vae-ensemble", "members": len(members)}
        self.members = nn.ModuleList(members)
        self.latent_size = sum(one.latent_size for one in members)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and log variance of one member after the other, each float32 `(n, members * d)`."""
        means, log_variances = zip(*(one.encode(images) for one in self._vaes()), strict=True)
        return torch.cat(means, 1), torch.cat(log_variances, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Mean of the members' images, each from its own part of the latents `(n, members * d)`."""
        parts = latents.chunk(len(self.members), 1)
        return torch.stack([one.decode(part) for one, part in zip(self._vaes(), parts, strict=True)]).mean(0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `VAE.forward`."""
        mean, log_variance = self.encode(images)
        return self.decode(mean), mean, log_variance

    def _vaes(self) -> list[VAE]:
        return [one for one in self.members if isinstance(one, VAE)]
