"""Class probabilities of a segmentation network, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from SuggestiveAnnotationLib.models.unet import probabilities
from SuggestiveAnnotationLib.training.data import ImageSource, batches
from SuggestiveAnnotationLib.training.device import autocast_dtype


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode: batch norm uses its running averages and does not change them."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def predict_probabilities(
    model: nn.Module, images: ImageSource, indices: Sequence[int] | NDArray[np.intp], *, batch_size: int = 16, mixed_precision: bool = True
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Probabilities of slices, in inference mode.

    Args:
        model: from images `(n, C, H, W)` to logits.
        images: on the network grid.
        indices: slices, in the order wanted.
        batch_size: slices at a time.
        mixed_precision: compute in bfloat16 where the device has it.

    Yields:
        (indices of the batch, float32 probabilities `(n, K+1, H, W)` on the device).
    """
    dtype = autocast_dtype(images.device) if mixed_precision else None
    for batch in batches(indices, batch_size):
        # Entered anew for every batch: between batches the caller's own mode holds.
        with torch.inference_mode(), evaluation_mode(model):
            x = images.images(batch).contiguous(memory_format=torch.channels_last)
            with torch.autocast(x.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                logits = model(x)
            out = probabilities(logits)
        yield batch, out
