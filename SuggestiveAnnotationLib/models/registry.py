"""Networks by name: a plain dict in a checkpoint's card rebuilds the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.models.unet import WIDTHS as UNET_WIDTHS
from SuggestiveAnnotationLib.models.unet import UNet
from SuggestiveAnnotationLib.models.vae import VAE
from SuggestiveAnnotationLib.models.vae import WIDTHS as VAE_WIDTHS


def _unet(*, channels: int, classes: int, size: str = "paper") -> nn.Module:
    return UNet(channels=int(channels), classes=int(classes), size=_known_size(size, UNET_WIDTHS))


def _vae(*, channels: int, latent_size: int, grid_size: Any, input_size: Any = None, size: str = "paper") -> nn.Module:
    rows, columns = grid_size
    own = None if input_size is None else (int(input_size[0]), int(input_size[1]))
    return VAE(
        channels=int(channels),
        latent_size=int(latent_size),
        grid_size=(int(rows), int(columns)),
        input_size=own,
        size=_known_size(size, VAE_WIDTHS),
    )


def _known_size(size: str, widths: Mapping[str, Any]) -> str:
    if size not in widths:
        raise InputError(f"There is no network size {size!r}.", hint=f"Choose one of: {', '.join(widths)}.")
    return size


NETWORKS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({"unet": _unet, "vae": _vae})


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
    if name not in NETWORKS:
        raise InputError(f"There is no network {name!r}.", hint=f"Choose one of: {', '.join(NETWORKS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return NETWORKS[name](**arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f"The network {name!r} cannot be built: {error}.") from error


def network_spec(model: nn.Module) -> dict[str, Any]:
    """The dict that rebuilds the network with `build_network`.

    Raises:
        InputError: the model is not one of the registry's.
    """
    spec = getattr(model, "spec", None)
    if not isinstance(spec, dict) or spec.get("network") not in NETWORKS:
        raise InputError(f"A {type(model).__name__} is not a network of this library.")
    return dict(spec)
