"""What the worker runs on: versions without importing anything heavy, the device once torch is there."""

from __future__ import annotations

import logging
import os
import platform
import sys
from importlib import metadata, util
from typing import Any

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.processor import memory_size
from SuggestiveAnnotationLib.study.version import SCHEMA_VERSION
from SuggestiveAnnotationLib.worker.protocol import Device, Ready

LOG = logging.getLogger(__name__)
NEEDED = {
    "torch": "torch",
    "monai": "monai",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "SimpleITK": "SimpleITK",
    "SQLAlchemy": "sqlalchemy",
}
"""Distribution -> the package it brings; what the worker's commands need."""


def ready() -> Ready:
    """The first event."""
    versions = {"python": platform.python_version(), "library": __version__}
    for name in (*NEEDED, "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    missing = tuple(name for name, package in NEEDED.items() if util.find_spec(package) is None)
    return Ready(versions=versions, missing=missing, schema=SCHEMA_VERSION, process=os.getpid())


def device() -> Device | None:
    """Where the networks run; None without torch, or where torch cannot be loaded. Takes as long as importing torch."""
    if util.find_spec("torch") is None:
        return None
    try:
        import torch

        from SuggestiveAnnotationLib.engine.estimate import expected_round
        from SuggestiveAnnotationLib.training.device import describe_device, pick_device

        chosen = pick_device()
        name = describe_device(chosen)
        estimate = expected_round() if chosen.type == "cpu" else ""
    except Exception:  # a broken installation must not take the worker down; the command that needs torch says what is wrong
        LOG.exception("torch cannot be loaded")
        return None
    if chosen.type == "cpu":
        gib = memory_size() / 2**30
        return Device(device=name, accelerated=False, memory_gib=round(gib, 1), sentence=f"No GPU. {estimate}")
    gib = torch.cuda.get_device_properties(chosen).total_memory / 2**30 if chosen.type == "cuda" else memory_size() / 2**30
    return Device(device=name, accelerated=True, memory_gib=round(gib, 1), sentence=f"GPU: {name}, {gib:.0f} GiB.")


def device_memory_mib() -> float:
    """Memory that this process holds on the GPU, MiB."""
    gpu = _gpu()
    if gpu is None:
        return 0.0
    held = gpu.memory_reserved() if hasattr(gpu, "memory_reserved") else gpu.driver_allocated_memory()
    return round(float(held) / 2**20, 1)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the computer or of the GPU."""
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:
        return False
    from SuggestiveAnnotationLib.training.device import is_out_of_memory

    return is_out_of_memory(error)


def empty_device() -> None:
    """Give memory that nothing uses back to the GPU. The driver's own context stays until the process ends."""
    gpu = _gpu()
    if gpu is not None:
        gpu.empty_cache()


def _gpu() -> Any:
    """`torch.cuda` once something has used it, else `torch.mps` on an Apple GPU, else None; another thread may just be importing torch."""
    cuda, mps, backends = (getattr(sys.modules.get("torch"), name, None) for name in ("cuda", "mps", "backends"))
    if getattr(cuda, "is_initialized", bool)():
        return cuda
    return mps if getattr(getattr(backends, "mps", None), "is_available", bool)() else None
