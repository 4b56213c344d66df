"""A checkpoint that somebody else made: weights are safetensors, the card is JSON, and neither can ask for memory or run code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.checkpoint import load_checkpoint, read_card, save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network

SPEC = {"network": "unet", "size": "tiny", "channels": 1, "classes": 2}
VAE = {"network": "vae", "size": "tiny", "channels": 1, "latent_size": 2, "grid_size": [32, 32], "input_size": [16, 16]}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, build_network(SPEC), {"record_key": "abc"})
    return path


def signed(path: Path, weights: bytes, **changes: Any) -> None:
    """The weights, and a card that vouches for them, as who means harm would write it."""
    path.write_bytes(weights)
    card = {
        **json.loads(path.with_suffix(".json").read_text(encoding="utf-8")),
        **changes,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(card))


class Harm:
    def __reduce__(self) -> Any:
        return (os.system, ("touch ran-code",))


def header(data: dict[str, Any], numbers: bytes = b"") -> bytes:
    text = json.dumps(data).encode()
    return struct.pack("<Q", len(text)) + text + numbers


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "a pickle": lambda _: pickle.dumps(Harm()),
    "nothing": lambda _: b"",
    "truncated": lambda good: good[:-100],
    "extended": lambda good: good + bytes(100),
    "a header longer than the file": lambda good: struct.pack("<Q", 2**62) + good[8:],
    "a header that is no JSON": lambda good: struct.pack("<Q", 8) + b"{{{{{{{{" + good[16:],
    "a header that is a list": lambda _: struct.pack("<Q", 2) + b"[]",
    "a header nested deep": lambda _: struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a tensor of any size": lambda _: header({"w": {"dtype": "F32", "shape": [2**30, 2**30, 4], "data_offsets": [0, 8]}}, bytes(8)),
    "a tensor of negative size": lambda _: header({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}, bytes(8)),
    "a type that there is not": lambda _: header({"w": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
    "another network": lambda _: save(build_network({**SPEC, "channels": 3}).state_dict()),
    "values that are no numbers": lambda _: save({n: t * float("nan") for n, t in build_network(SPEC).state_dict().items()}),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_are_none_are_refused_with_a_sentence(what: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signed(saved, WEIGHTS[what](saved.read_bytes()))
    with pytest.raises(StudyError, match=r"m\.safetensors is damaged or of another version") as error:
        load_checkpoint(saved)
    assert error.value.hint
    assert not (tmp_path / "ran-code").exists()


@pytest.mark.parametrize(
    "spec",
    [
        {**SPEC, "channels": 10**9},
        {**SPEC, "classes": 10**12},
        {**SPEC, "classes": 60_000},
        {**SPEC, "channels": -1},
        {**SPEC, "channels": "1e400"},
        {**SPEC, "channels": [1]},
        {**SPEC, "size": ["tiny"]},
        {**SPEC, "network": ["unet"]},
        {**SPEC, "network": "os.system"},
        {**SPEC, "__class__": "x"},
        {**VAE, "latent_size": 10**9},
        {**VAE, "latent_size": 65536, "grid_size": [8192, 8192], "input_size": None},
        {**VAE, "grid_size": [10**6, 10**6]},
        {**VAE, "grid_size": 7},
        {**VAE, "input_size": {"0": 16}},
        {},
    ],
)
def test_a_card_cannot_ask_for_a_network_that_the_weights_are_not_of(spec: dict[str, Any], saved: Path) -> None:
    signed(saved, saved.read_bytes(), network=spec)
    with pytest.raises(StudyError, match=r"m\.safetensors is damaged"):
        load_checkpoint(saved)


NO_CARDS = ["", "NaN", "[" * 100_000, "[]", '{"network": NaN}', '{"network": 7}', "9" * 5000, "\xff", '{"network": {}, "x": 1e']


@pytest.mark.parametrize("text", NO_CARDS)
def test_a_card_that_is_none_is_refused_with_a_sentence(text: str, saved: Path) -> None:
    saved.with_suffix(".json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StudyError, match=r"m\.json"):
        read_card(saved)


def test_pipes_in_place_of_files_are_refused_at_once(saved: Path) -> None:
    for path in (saved, saved.with_suffix(".json")):
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(StudyError, match="is a pipe, not a file"):
            load_checkpoint(saved)


def test_a_huge_file_is_not_read(saved: Path) -> None:
    good = saved.read_bytes()
    with saved.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(StudyError, match="another size than the file"):
        load_checkpoint(saved)
    saved.write_bytes(good)
    with saved.with_suffix(".json").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(StudyError, match="more than 64 MiB"):
        load_checkpoint(saved)


def test_a_sound_checkpoint_is_read_all_the_same(saved: Path) -> None:
    model, _ = load_checkpoint(saved, record_key="abc")
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), build_network(SPEC).state_dict().values(), strict=True))
