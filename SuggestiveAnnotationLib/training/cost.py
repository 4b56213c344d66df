"""How long a training step takes, from counted operations: the same answer every time on as many threads of the same machine."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

TARGET_SECONDS = 0.3
_SMALLEST = 4
_GIGAFLOPS_PER_THREAD = {torch.bfloat16: 160.0, torch.float32: 60.0}


def forward_flops(model: nn.Module, channels: int, size: tuple[int, int]) -> int:
    """Floating-point operations of one slice through the network; buffers do not change."""
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, channels, *size, device=device))
    model.train(was_training)
    return int(counter.get_total_flops())


def micro_batch_size(
    model: nn.Module,
    channels: int,
    size: tuple[int, int],
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype | None,
    seconds: float = TARGET_SECONDS,
    training: bool = True,
) -> int:
    """Slices that one go handles in about `seconds` on this kind of device, from 4 (1 when not training) to `batch_size`.

    No step is timed, since a measured time would make the same seed give different weights, as another number of threads does: what a
    batch is split into decides in which order augmentation draws. GPUs take the whole batch.

    Args:
        model: on `device`. channels, size: of its images.
        batch_size: the most.
        device, dtype: that it computes on and in.
        seconds: of one go.
        training: forward and backward, where batch norm needs several slices; else the forward pass alone.
    """
    if device.type != "cpu" or batch_size == 1:
        return batch_size
    rate = _GIGAFLOPS_PER_THREAD[dtype or torch.float32] * 1e9 * max(1, torch.get_num_threads())
    # Backward costs about twice the forward pass.
    each = (3 if training else 1) * forward_flops(model, channels, size) / rate
    return max(min(_SMALLEST if training else 1, batch_size), min(batch_size, int(seconds / each)))
