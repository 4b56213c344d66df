"""Devices, precision and running out of memory."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.training.device import (
    autocast_dtype,
    describe_device,
    halve_on_out_of_memory,
    is_out_of_memory,
    pick_device,
)


def test_automatic_choice_is_a_device_that_works():
    device = pick_device()
    assert torch.zeros(2, device=device).sum().item() == 0
    assert device.type in describe_device(device).lower() or device.type == "cuda"


@pytest.mark.parametrize("name", ["abacus", "cuda:97", "meta"])
def test_a_device_that_is_not_there_is_refused_with_advice(name):
    with pytest.raises(InputError, match=name):
        pick_device(name)


def test_bfloat16_is_off_where_the_cpu_lacks_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_f": True}, raising=False)
    assert autocast_dtype(torch.device("cpu")) is None
    assert "float32" in describe_device(torch.device("cpu"))


@pytest.mark.parametrize("name", ["amx_bf16", "avx512_bf16"])
def test_the_precision_follows_from_what_the_cpu_has_and_not_from_its_speed(monkeypatch, name):
    """A busy processor must not give other weights."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True}, raising=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(time, "perf_counter", lambda: pytest.fail("timed"))
    assert autocast_dtype(torch.device("cpu")) is torch.bfloat16
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert autocast_dtype(torch.device("cpu")) is None


def test_bfloat16_is_off_when_onednn_is_told_not_to_use_it():
    """The CPU's flags still claim it."""
    code = "import torch; from SuggestiveAnnotationLib.training.device import autocast_dtype; print(autocast_dtype(torch.device('cpu')))"
    environment = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1", "PYTHONPATH": "."}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "None"


def test_other_devices_compute_in_float32():
    assert autocast_dtype(torch.device("mps")) is None


def test_the_batch_is_halved_until_it_fits():
    tried = []

    def work(batch: int) -> str:
        tried.append(batch)
        if batch > 5:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")
        return "done"

    assert halve_on_out_of_memory(work, 32) == ("done", 4)
    assert tried == [32, 16, 8, 4]


def test_an_apple_gpu_gives_back_what_the_failed_batch_held(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append(True))

    def work(batch: int) -> str:
        if batch > 2:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: 9.07 GB).")
        return "done"

    assert halve_on_out_of_memory(work, 8) == ("done", 2)
    assert len(emptied) == 2


def test_when_nothing_fits_a_sentence_says_so():
    def work(batch: int) -> None:
        raise MemoryError

    with pytest.raises(StudyError, match="not enough memory"):
        halve_on_out_of_memory(work, 4)


def test_other_errors_pass_through():
    def work(batch: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        halve_on_out_of_memory(work, 4)


def test_a_real_allocation_failure_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)
