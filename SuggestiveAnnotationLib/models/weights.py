"""The weights of a checkpoint: a safetensors file is looked through before memory is asked for.

The format is a length in eight bytes, so many bytes of JSON (name -> dtype, shape, place), and the numbers
(github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.registry import build_network

_MAX_HEADER = 2**24
_KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_KINDS |= {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}

Tensors = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]
"""Name -> type and shape."""


def tensors_of(path: Path) -> Tensors:
    """Every tensor of a safetensors file, from its header.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors file, or its tensors are not exactly what it holds.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise ValueError("it is no safetensors file")
        header = _json(file.read(length))
    found = {name: _tensor(name, one) for name, one in header.items() if name != "__metadata__"}
    if sum(math.prod(shape) * kind.itemsize for kind, shape in found.values()) != size - 8 - length:
        raise ValueError("its tensors have another size than the file")
    return found


def network_of(spec: Mapping[str, Any], tensors: Tensors) -> nn.Module:
    """The network of a card, built only where a file's tensors are its weights: else a few bytes of card could ask for any memory.

    Raises:
        InputError: there is no such network.
        ValueError: the tensors are of another network.
    """
    # On the device "meta", tensors have shapes and no memory.
    with torch.device("meta"):
        wanted = {name: (one.dtype, tuple(one.shape)) for name, one in build_network(spec).state_dict().items()}
    if wanted != tensors:
        strange = next(name for name in sorted({*wanted, *tensors}) if wanted.get(name) != tensors.get(name))
        raise ValueError(f"it holds the weights of another network ({strange[:80]})")
    return build_network(spec)


def load_weights(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises: ValueError, when they are damaged, or hold NaN or infinity."""
    try:
        tensors: dict[str, Tensor] = load(data)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    for name, one in tensors.items():
        if one.is_floating_point() and not torch.isfinite(one).all():
            raise ValueError(f"{name} holds values that are not finite")
    return tensors


def _tensor(name: str, described: Any) -> tuple[torch.dtype, tuple[int, ...]]:
    if isinstance(described, dict):
        kind: Any = described.get("dtype")
        shape: Any = described.get("shape")
        good = isinstance(kind, str) and kind in _KINDS and isinstance(shape, list) and len(shape) <= 8
        if good and all(type(n) is int and 0 <= n < 2**31 for n in shape):
            return _KINDS[kind], tuple(shape)
    raise ValueError(f"the tensor {name[:60]!r} cannot be read")


def _json(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its header is damaged") from None
    if not isinstance(header, dict):
        raise ValueError("its header is damaged")
    return header
