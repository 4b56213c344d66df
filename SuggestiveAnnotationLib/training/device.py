"""Which device computes, in which precision, and what to do when its memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch

from SuggestiveAnnotationLib.errors import InputError, StudyError

Result = TypeVar("Result")

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    Args:
        name: `"auto"` (CUDA, then Apple's MPS, then the CPU), or a torch device such as `"cpu"` or `"cuda:1"`.

    Raises:
        InputError: the device is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"There is no device {name!r}.", hint='Use "auto", "cpu" or "cuda".') from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise InputError(f"The device {name!r} is not available on this computer.", hint='Use "auto" or "cpu".')
    return device


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it natively, else None (float32).

    Nothing is timed: the answer is part of what the weights follow from, and other load must not change it.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else None
    if device.type == "cpu" and _cpu_has_bf16():
        return torch.bfloat16
    return None


def _cpu_has_bf16() -> bool:
    """The CPU multiplies bfloat16 matrices in hardware, and oneDNN is there to use it and not told to leave it alone.

    oneDNN alone would say yes to AVX-512 without bfloat16, which it emulates, slower than float32. Other kinds of processor are left out:
    whether bfloat16 is faster on them was never measured.
    """
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        capabilities = ask()
        native = any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
    else:  # torch before 2.11
        questions = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
        native = any(question() for question in questions if question is not None)
    there = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled  # type: ignore[no-untyped-call]
    return bool(native and there and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def describe_device(device: torch.device) -> str:
    """One line for the log and the panel, for example `CPU, 4 threads, bfloat16`."""
    precision = "bfloat16" if autocast_dtype(device) is torch.bfloat16 else "float32"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {precision}"
    if device.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads, {precision}"
    return f"{device.type.upper()}, {precision}"


def exact_float32(device: torch.device) -> AbstractContextManager[None]:
    """Inside, float32 is float32: no TF32, and the same algorithm every time. For gradients and latents."""
    return _cudnn(device, allow_tf32=False)


def reproducible_convolutions(device: torch.device) -> AbstractContextManager[None]:
    """Inside, cuDNN takes the same algorithm every time, so that the same seed gives the same weights."""
    return _cudnn(device, allow_tf32=True)


@contextmanager
def _cudnn(device: torch.device, *, allow_tf32: bool) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=allow_tf32):
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """The error says that the device's or the computer's memory ran out."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def halve_on_out_of_memory(
    work: Callable[[int], Result], batch_size: int, *, smallest: int = 1, say: Callable[[str], None] | None = None
) -> tuple[Result, int]:
    """Call `work(batch_size)`, with half the batch each time memory runs out.

    Args:
        work: called with the batch size; begins anew each time.
        batch_size: to begin with. smallest: below which nothing is tried.
        say: told in one sentence each time the batch is halved.

    Returns:
        The result and the batch size that worked.

    Raises:
        StudyError: not even the smallest batch fits.
    """
    while True:
        try:
            return work(batch_size), batch_size
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if batch_size <= smallest:
                raise StudyError(
                    f"There is not enough memory for a batch of {batch_size}.",
                    hint="Choose a smaller network grid or close other programs.",
                ) from error
        # Outside the handler: the traceback would keep the failed batch's tensors alive.
        batch_size = max(smallest, batch_size // 2)
        if say is not None:
            say(f"Memory ran out; it goes on with {batch_size} slices at a time, which takes longer.")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
