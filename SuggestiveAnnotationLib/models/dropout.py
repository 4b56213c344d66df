"""Monte Carlo dropout: masks from given generators, everything else in evaluation mode (Gal and Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def dropout_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that would drop something in training."""
    return [part for part in model.modules() if isinstance(part, _KINDS) and part.p > 0]


@contextmanager
def sampled_dropout(model: nn.Module, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Inside, the dropout layers of a model in evaluation mode drop, and nothing else changes.

    Args:
        model: in evaluation mode.
        generators: on the CPU, one an image of the batch: its masks depend neither on the others nor on the device. Where a network cuts
            its images into tiles, image after image, all tiles of an image share a channel mask: they pass through one sampled network.
    """

    def drop(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
        x, p = inputs[0], float(getattr(layer, "p", 0.0))
        tiles = len(x) // len(generators)
        channelwise = isinstance(layer, _BY_CHANNEL)
        shape = (1, x.shape[1], *[1] * (x.ndim - 2)) if channelwise else (tiles, *x.shape[1:])
        keep = torch.cat([(torch.rand(shape, generator=g) >= p).expand(tiles, *shape[1:]) for g in generators])
        # Dropping every channel with p = 1 leaves zeros.
        return x * (keep.to(x.device) / max(1.0 - p, 1e-6)).to(x.dtype)

    hooks = [layer.register_forward_hook(drop) for layer in dropout_layers(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
