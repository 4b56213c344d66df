"""Networks by name: a plain dict in a checkpoint's card rebuilds the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.models.multi_scale import WIDTHS as MULTI_SCALE_WIDTHS
from SuggestiveAnnotationLib.models.multi_scale import MultiScale
from SuggestiveAnnotationLib.models.u_shape import WIDTHS as U_SHAPE_WIDTHS
from SuggestiveAnnotationLib.models.u_shape import UShape
from SuggestiveAnnotationLib.models.unet import WIDTHS as UNET_WIDTHS
from SuggestiveAnnotationLib.models.unet import UNet
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.models.vae import WIDTHS as VAE_WIDTHS
from SuggestiveAnnotationLib.models.vae_ensemble import VAEEnsemble
from SuggestiveAnnotationLib.models.voxresnet import WIDTHS as VOXRESNET_WIDTHS
from SuggestiveAnnotationLib.models.voxresnet import VoxResNet


def _unet(*, channels: int, classes: int, size: str = "paper", dropout: float = 0.0, loss_head: bool = False) -> nn.Module:
    if not isinstance(loss_head, bool):
        raise ValueError(f"loss_head is {loss_head!r}")
    return UNet(**_segmentation(channels, classes, size, dropout, UNET_WIDTHS), loss_head=loss_head)


def _u_shape(*, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> nn.Module:
    return UShape(**_segmentation(channels, classes, size, dropout, U_SHAPE_WIDTHS))


def _voxresnet(*, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> nn.Module:
    return VoxResNet(**_segmentation(channels, classes, size, dropout, VOXRESNET_WIDTHS))


def _multi_scale(*, channels: int, classes: int, size: str = "paper", dropout: float = 0.0) -> nn.Module:
    return MultiScale(**_segmentation(channels, classes, size, dropout, MULTI_SCALE_WIDTHS))


def _segmentation(channels: int, classes: int, size: str, dropout: float, widths: Mapping[str, Any]) -> dict[str, Any]:
    """What every segmentation network takes, checked."""
    if not 0 <= float(dropout) < 1:
        raise ValueError(f"dropout {dropout} is not from 0 to below 1")
    return {
        "channels": _count(channels, 1000),
        "classes": _count(classes, 65536),
        "size": _known_size(size, widths),
        "dropout": float(dropout),
    }


def _vae(*, channels: int, latent_size: int, grid_size: Any, input_size: Any = None, size: str = "paper") -> VAE:
    rows, columns = grid_size
    own = None if input_size is None else (_count(input_size[0], 8192), _count(input_size[1], 8192))
    return VAE(
        channels=_count(channels, 1000),
        latent_size=_count(latent_size, 65536),
        grid_size=(_count(rows, 8192), _count(columns, 8192)),
        input_size=own,
        size=_known_size(size, VAE_WIDTHS),
    )


def _vae_ensemble(*, members: int, **arguments: Any) -> nn.Module:
    return VAEEnsemble([_vae(**arguments) for _ in range(_count(members, 100))])


def _count(value: Any, most: int) -> int:
    """A whole number from 1 to `most`. Raises: ValueError, for anything else."""
    number = int(value)
    if not 1 <= number <= most:
        raise ValueError(f"{number} is not from 1 to {most}")
    return number


def _known_size(size: str, widths: Mapping[str, Any]) -> str:
    if not isinstance(size, str) or size not in widths:
        raise InputError(f"There is no network size {size!r}.", hint=f"Choose one of: {', '.join(widths)}.")
    return size


NETWORKS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "unet": _unet,
        "u-shape-patches": _u_shape,
        "voxresnet": _voxresnet,
        "multi-scale-patches": _multi_scale,
        "vae": _vae,
        "vae-ensemble": _vae_ensemble,
    }
)


def build_network(spec: Mapping[str, Any], *, seed: int = 0) -> nn.Module:
    """Build a network with freshly drawn weights.

    Args:
        spec: `{"network": name, ...}` with the keyword arguments of the network, JSON values only.
        seed: of the initial weights. The global random state is left as it was.

    Raises:
        InputError: unknown network or size, arguments that do not fit.
    """
    arguments = dict(spec)
    name = arguments.pop("network", None)
    if not isinstance(name, str) or name not in NETWORKS:
        raise InputError(f"There is no network {name!r}.", hint=f"Choose one of: {', '.join(NETWORKS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return NETWORKS[name](**arguments)
        except (TypeError, ValueError, LookupError, RuntimeError, ArithmeticError) as error:
            raise InputError(f"The network {name!r} cannot be built: {str(error)[:200]}.") from error


def network_spec(model: nn.Module) -> dict[str, Any]:
    """The dict that rebuilds the network with `build_network`.

    Raises:
        InputError: the model is not one of the registry's.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, dict) or spec.get("network") not in NETWORKS:
        raise InputError(f"A {type(model).__name__} is not a network of this library.")
    return dict(spec)
