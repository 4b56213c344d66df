"""Weights as safetensors and a readable JSON card beside them. Nothing that is read here can run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.cohort.files.bytes_in import regular_file
from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.files import whole_file, write_text
from SuggestiveAnnotationLib.models.registry import network_spec
from SuggestiveAnnotationLib.models.weights import load_weights, network_of, tensors_of

_FORMAT = 1
_RETRAIN = "Train the model again in this study."


def card_path(path: Path) -> Path:
    """Where the card of a checkpoint lies."""
    return path.with_suffix(".json")


def library_versions() -> dict[str, str]:
    """Versions that a model's numbers depend on."""
    found = {"library": __version__, "torch": str(torch.__version__)}
    for name in ("monai", "numpy", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def save_checkpoint(path: Path, model: nn.Module, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write weights, then the card; each is written aside, synced and renamed, so a card that exists has its weights.

    Args:
        path: of the weights; the suffix becomes `.safetensors`.
        model: a network of the registry.
        card: JSON values, no NaN: `record_key` (preprocessing record), `data_hash`, `parameters`, `metrics`, `seed`, ... The network's
            spec, the hash of the weights and the library versions are added.

    Returns:
        The card as written.

    Raises:
        StorageError: the disk is full or read-only.
    """
    path = Path(path).with_suffix(".safetensors")
    weights = save({name: tensor.detach().contiguous().cpu() for name, tensor in model.state_dict().items()})
    full = {
        **card,
        "format": _FORMAT,
        "network": network_spec(model),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": library_versions(),
    }
    text = json.dumps(full, indent=2, sort_keys=True, allow_nan=False)
    with whole_file(path) as scratch:
        scratch.write_bytes(weights)
    write_text(card_path(path), text)
    return full


def load_checkpoint(path: Path, *, record_key: str | None = None, device: torch.device | str = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a model in evaluation mode and read its card.

    Args:
        path: of the weights.
        record_key: key of the study's preprocessing record; a model of another record is refused. None: not asked.
        device: where the model goes.

    Raises:
        StudyError: a file is missing or damaged, or the model belongs to another preprocessing record.
    """
    path = Path(path).with_suffix(".safetensors")
    card = read_card(path)
    if record_key is not None and card.get("record_key") != record_key:
        raise StudyError(
            f"The model {path.name} was trained on images prepared differently (record {card.get('record_key')}, not {record_key}).",
            hint=_RETRAIN,
        )
    try:
        regular_file(path)
    except InputError as error:
        raise StudyError(f"The weights cannot be used: {error.sentence}", hint=_RETRAIN) from error
    try:
        model = network_of(card["network"], tensors_of(path))
        # As large as the network, no larger.
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != card.get("weights_sha256"):
            raise StudyError(f"The weights {path} do not belong to the card beside them.", hint=_RETRAIN)
        model.load_state_dict(load_weights(data))
    except OSError as error:
        raise StudyError(f"The weights {path} cannot be read: {error.strerror}.", hint=_RETRAIN) from error
    except (RuntimeError, ValueError, InputError, MemoryError) as error:
        reason = (str(error).splitlines() or ["there is not enough memory"])[0]
        raise StudyError(f"The model {path} is damaged or of another version: {reason.rstrip('.')}.", hint=_RETRAIN) from error
    return model.to(device).eval(), card


def read_card(path: Path) -> dict[str, Any]:
    """The card of a checkpoint.

    Raises:
        StudyError: it is missing or no card.
    """
    file = card_path(Path(path))
    try:
        card = read_json_file(file, "model card")
    except InputError as error:
        raise StudyError(f"The model card cannot be used: {error.sentence}", hint=_RETRAIN) from error
    if not isinstance(card, dict) or not isinstance(card.get("network"), dict):
        raise StudyError(f"The file {file} is not a model card.", hint=_RETRAIN)
    return card
