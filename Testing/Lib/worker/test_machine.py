"""What the worker asks of a graphics card, where there is none: the questions alone."""

from __future__ import annotations

import pytest
import torch

from SuggestiveAnnotationLib.worker import machine


def test_memory_of_an_apple_gpu_is_told_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [3 * 2**20]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: held[0])
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: held.__setitem__(0, 2**20))
    assert machine.device_memory_mib() == 3
    machine.empty_device()
    assert machine.device_memory_mib() == 1


def test_without_a_gpu_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    machine.empty_device()
    assert machine.device_memory_mib() == 0
