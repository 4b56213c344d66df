"""Networks by name, and checkpoints that rebuild them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from SuggestiveAnnotationLib.errors import InputError, StorageError, StudyError
from SuggestiveAnnotationLib.models.checkpoint import card_path, load_checkpoint, read_card, save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network, network_spec

UNET = {"network": "unet", "size": "tiny", "channels": 2, "classes": 3}
VAE = {"network": "vae", "size": "tiny", "channels": 1, "latent_size": 2, "grid_size": [32, 32], "input_size": [16, 16]}
CARD = {"record_key": "abc", "data_hash": "d" * 12, "seed": 3, "metrics": {"dice": 0.5}}


@pytest.mark.parametrize("spec", [UNET, VAE], ids=lambda s: s["network"])
def test_a_spec_builds_a_network_that_gives_the_spec_back_through_json(spec):
    model = build_network(json.loads(json.dumps(spec)))
    assert network_spec(model) == spec


def test_the_seed_decides_the_weights_and_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (build_network(UNET, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("spec", "words"),
    [({"network": "os.system"}, "no network"), ({**UNET, "size": "huge"}, "no network size"), ({**UNET, "depth": 3}, "cannot be built")],
)
def test_a_spec_that_does_not_fit_is_refused_with_a_sentence(spec, words):
    with pytest.raises(InputError, match=words):
        build_network(spec)


def test_a_foreign_network_has_no_spec():
    with pytest.raises(InputError, match="Linear"):
        network_spec(nn.Linear(2, 2))


@pytest.mark.parametrize("spec", [UNET, VAE], ids=lambda s: s["network"])
def test_a_checkpoint_gives_back_the_same_network_and_card(tmp_path, spec):
    model = build_network(spec, seed=7)
    model.train()
    model(torch.randn(4, spec["channels"], 32, 32))
    model = model.to(memory_format=torch.channels_last)
    written = save_checkpoint(tmp_path / "models" / "round-1", model, CARD)
    again, card = load_checkpoint(tmp_path / "models" / "round-1.safetensors", record_key="abc")
    assert card == written
    assert card["record_key"] == "abc"
    assert card["network"] == spec
    assert set(card["versions"]) >= {"torch", "monai", "library"}
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["round-1.json", "round-1.safetensors"]


def test_the_card_is_readable_text(tmp_path):
    save_checkpoint(tmp_path / "m", build_network(UNET), CARD)
    assert '"seed": 3' in card_path(tmp_path / "m.safetensors").read_text(encoding="utf-8")
    assert read_card(tmp_path / "m.safetensors")["metrics"] == {"dice": 0.5}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, build_network(UNET), CARD)
    return path


def test_a_model_of_another_preprocessing_record_is_refused(saved):
    with pytest.raises(StudyError, match="prepared differently"):
        load_checkpoint(saved, record_key="another")


def test_damaged_weights_are_refused(saved):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(StudyError, match="do not belong"):
        load_checkpoint(saved)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "\x80"])
def test_a_damaged_card_is_refused_with_a_sentence(saved, content):
    card_path(saved).write_bytes(content.encode("latin-1"))
    with pytest.raises(StudyError, match="card"):
        load_checkpoint(saved)


def test_missing_files_are_named(saved):
    saved.unlink()
    with pytest.raises(StudyError, match=r"m\.safetensors"):
        load_checkpoint(saved)
    card_path(saved).unlink()
    with pytest.raises(StudyError, match=r"m\.json"):
        load_checkpoint(saved)


def test_a_card_of_another_network_is_refused(saved):
    card = json.loads(card_path(saved).read_text(encoding="utf-8"))
    card["network"]["classes"] = 9
    card_path(saved).write_text(json.dumps(card))
    with pytest.raises(StudyError, match="damaged or of another version"):
        load_checkpoint(saved)


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save_checkpoint(tmp_path / "file" / "m", build_network(UNET), CARD)


def test_failing_to_write_keeps_the_model_that_was_there(saved):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(saved, build_network(UNET, seed=1), {"metrics": float("nan")})
    assert saved.read_bytes() == before
    load_checkpoint(saved)
