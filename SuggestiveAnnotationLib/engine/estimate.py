"""How long a round takes: measured where there was one, else worked out from how fast this computer trains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions

if TYPE_CHECKING:
    from SuggestiveAnnotationLib.study.study import Study

UNET_GIGAFLOPS = 1.51
VAE_GIGAFLOPS = 0.127
"""One slice of two sequences forward through the networks of the default options, on 128 and on 64 pixels."""


def measured_round(study: Study) -> str:
    """One sentence on how long the last round took that trained; empty where none did."""
    for round_ in reversed(study.rounds()):
        if "train" in round_.seconds:
            return f"Round {round_.number} took {_said(sum(round_.seconds.values()))}."
    return ""


def expected_round() -> str:
    """One sentence on how long a round with the default options takes on this computer's processor; measures for about 0.1 s."""
    operations = training_speed()
    options, manifold = RoundOptions(), ManifoldOptions()
    unet = options.steps * options.batch * 3 * UNET_GIGAFLOPS / operations
    vae = manifold.manifold_members * manifold.manifold_steps * manifold.manifold_batch * 3 * VAE_GIGAFLOPS / operations
    return f"A round takes about {_said(unet)} on this computer's processor, the first one with a model {_said(unet + vae)}."


def training_speed() -> float:
    """Gigaflops of forward and backward through a few narrow layers, which training spends most of its time in."""
    import torch
    from torch import nn

    from SuggestiveAnnotationLib.training.device import autocast_dtype

    channels, pixels, images = 16, 128, 4
    dtype = autocast_dtype(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        layers = [layer for _ in range(3) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())]
        network = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.zeros(images, channels, pixels, pixels).contiguous(memory_format=torch.channels_last)
    runs = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            y = network(x)
        y.float().sum().backward()
        runs.append(time.perf_counter() - start)
    operations = 3 * 3 * 2 * 9 * channels**2 * pixels**2 * images
    return operations / min(runs) / 1e9


def _said(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "less than a minute" if seconds < 45 else f"{max(1, minutes)} minute{'s' if minutes > 1 else ''}"
