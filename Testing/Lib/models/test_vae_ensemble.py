"""VAEs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.models.vae_ensemble import VAEEnsemble

SPEC = {
    "network": "vae-ensemble", "members": 3, "size": "tiny", "channels": 2, "latent_size": 2, "grid_size": [32, 48], "input_size": [16, 32],
}  # fmt: skip


@pytest.fixture
def ensemble() -> VAEEnsemble:
    made = build_network(SPEC, seed=1)
    assert isinstance(made, VAEEnsemble)
    return made.eval()


def test_latents_stand_side_by_side_and_images_are_the_mean(ensemble: VAEEnsemble) -> None:
    images = torch.randn(4, 2, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean, log_variance = ensemble.encode(images)
        own = [one.encode(images) for one in ensemble.members]
        assert mean.shape == log_variance.shape == (4, ensemble.latent_size) == (4, 6)
        for number, (one, spread) in enumerate(own):
            assert torch.equal(mean[:, 2 * number : 2 * number + 2], one)
            assert torch.equal(log_variance[:, 2 * number : 2 * number + 2], spread)
        decoded = sum(one.decode(part) for one, (part, _) in zip(ensemble.members, own, strict=True)) / 3
        torch.testing.assert_close(ensemble.decode(mean), decoded)
        torch.testing.assert_close(ensemble(images)[0], decoded)


def test_its_members_differ(ensemble: VAEEnsemble) -> None:
    first, second, _ = (torch.cat([p.flatten() for p in one.parameters()]) for one in ensemble.members)
    assert not torch.equal(first, second)


def test_its_derivatives_are_made_of_the_members_derivatives(ensemble: VAEEnsemble) -> None:
    ensemble = ensemble.double()
    x, direction = torch.randn(2, 2, 2, 32, 48, dtype=torch.float64)
    _, pushed = torch.func.jvp(lambda images: ensemble.encode(images)[0], (x,), (direction,))
    for one, part in zip(ensemble.members, pushed.chunk(3, 1), strict=True):
        _, own = torch.func.jvp(lambda images, one=one: one.encode(images)[0], (x,), (direction,))
        torch.testing.assert_close(part, own)
    z = torch.randn(2, 6, dtype=torch.float64)
    (pulled,) = torch.func.vjp(ensemble.decode, z)[1](direction)
    for one, at, part in zip(ensemble.members, z.chunk(3, 1), pulled.chunk(3, 1), strict=True):
        (own,) = torch.func.vjp(one.decode, at)[1](direction)
        torch.testing.assert_close(part, own / 3)


def test_it_comes_back_from_a_checkpoint(ensemble: VAEEnsemble, tmp_path: Path) -> None:
    card = save_checkpoint(tmp_path / "m.safetensors", ensemble, {"record_key": "r"})
    assert card["network"] == SPEC
    again, _ = load_checkpoint(tmp_path / "m.safetensors", record_key="r")
    assert isinstance(again, VAEEnsemble)
    latents = torch.randn(3, 6)
    with torch.no_grad():
        assert torch.equal(again.decode(latents), ensemble.decode(latents))


def test_one_vae_or_unlike_ones_are_no_ensemble() -> None:
    def vae(size: int) -> VAE:
        return VAE(channels=1, latent_size=size, grid_size=(16, 16), size="tiny")

    with pytest.raises(ValueError, match="two VAEs or more of one spec"):
        VAEEnsemble([vae(2)])
    with pytest.raises(ValueError, match="two VAEs or more of one spec"):
        VAEEnsemble([vae(2), vae(3)])
