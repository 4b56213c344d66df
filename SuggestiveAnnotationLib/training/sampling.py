"""Order of training slices and learning-rate schedules: pure functions of the step and the seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["constant", "cosine"]


def shuffled_batches(count: int, batch_size: int, *, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of indices below `count`; every slice comes once before any comes again.

    With fewer slices than the batch size a batch is all of them, but never fewer than two entries: batch norm needs more than one.
    """
    if count < 1:
        raise ValueError("there are no slices to draw from")
    size = min(batch_size, max(count, 2))
    queue = torch.empty(0, dtype=torch.int64)
    while True:
        while len(queue) < size:
            queue = torch.cat([queue, torch.randperm(count, generator=generator)])
        yield queue[:size]
        queue = queue[size:]


def learning_rate_factor(step: int, steps: int, schedule: Schedule) -> float:
    """Factor on the learning rate of step `step` (from 0) of `steps`: 1, or half a cosine from 1 towards 0."""
    return 1.0 if schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps)))
