"""The pool as strategies see it through a trained network: probabilities, loss gradients, and the manifold's two maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.training.losses import per_sample_dice_loss
from SuggestiveAnnotationLib.types import LabelSchema

Images = Callable[[Sequence[int]], Tensor]
"""Pool indices -> images on the network grid, `(n, C, rows, columns)`."""

Accepted = Callable[[int], "NDArray[np.int16] | None"]
"""Pool index -> channel indices of the accepted annotation on the network grid, ignore -1; None where there is none."""


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for all parts of a module; afterwards every part has the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class ModelAccess:
    """`SegmentationAccess` of any network that gives logits `(n, K+1, rows, columns)`.

    Args:
        model: on `device`.
        images: of pool slices; moved to the device batch by batch.
        accepted: annotations, the only labels that are ever asked for.
        schema: what is annotated.
        batch_size: slices at a time; gradients do not depend on it.
        autocast: lower precision for the probabilities (`torch.bfloat16`); gradients are always float32.
        loss: `(logits, channels) -> (n,)`, per-sample; default: Dice, 2022 paper eq. 2.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        accepted: Accepted,
        schema: LabelSchema,
        *,
        batch_size: int = 32,
        device: torch.device | str = "cpu",
        autocast: torch.dtype | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] = per_sample_dice_loss,
    ) -> None:
        self._model, self._images, self._accepted, self._schema = model, images, accepted, schema
        self._batch, self._device, self._autocast, self._loss = batch_size, torch.device(device), autocast, loss

    def probabilities(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.probabilities`; float32. Raises: StudyError, when the model has another number of classes."""
        for batch in _batches(indices, self._batch):
            x = self._images(batch).to(self._device, torch.float32)
            with evaluation(self._model), torch.inference_mode():
                with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
                    logits = self._model(x)
                probabilities = torch.softmax(logits.float(), dim=1)
            self._check_classes(probabilities)
            yield np.array(batch, np.intp), probabilities

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor, Tensor]]:
        """See `SegmentationAccess.loss_gradients`: per-sample losses, summed, so that no slice's gradient depends on its batch.

        Raises: StudyError, when a slice has no accepted annotation.
        """
        labelled = [(i, self._labels(i)) for i in indices]
        shown = {i: labels for i, labels in labelled if (labels > 0).any()}
        for batch in _batches(list(shown), self._batch):
            x = self._images(batch).to(self._device, torch.float32).clone().requires_grad_()
            y = torch.from_numpy(np.stack([shown[i] for i in batch])).to(self._device)
            with evaluation(self._model), torch.enable_grad(), torch.autocast(self._device.type, enabled=False):
                logits = self._model(x)
                self._check_classes(logits)
                losses = self._loss(logits, y)
                (gradient,) = torch.autograd.grad(losses.sum(), x)
            yield np.array(batch, np.intp), x.detach(), losses.detach(), gradient

    def _labels(self, index: int) -> NDArray[np.int16]:
        labels = self._accepted(index)
        if labels is None:
            raise StudyError(f"Pool slice {index} has no accepted annotation and gives no gradient.")
        return labels

    def _check_classes(self, outputs: Tensor) -> None:
        if outputs.shape[1] != self._schema.channels:
            sentence = f"The model has {outputs.shape[1]} output channels, schema {self._schema.name} needs {self._schema.channels}."
            raise StudyError(sentence, hint="Train a model for this schema.")


class VaeAccess:
    """`ManifoldAccess` of a VAE with `encode(images) -> (mean, log variance)` and `decode(latents)`.

    Args:
        vae: on the device of the images that strategies hand in.
        latents: posterior means of the whole pool, `(slices, latent size)`.
    """

    def __init__(self, vae: nn.Module, latents: NDArray[np.float32]) -> None:
        self._vae = vae
        self.latents = np.ascontiguousarray(latents, np.float32)

    def encode(self, images: Tensor) -> Tensor:
        """See `ManifoldAccess.encode`."""
        with evaluation(self._vae), torch.autocast(images.device.type, enabled=False):
            mean: Tensor = self._vae.encode(images.float())[0]  # type: ignore[operator]
        return mean

    def decode(self, latents: Tensor) -> Tensor:
        """See `ManifoldAccess.decode`."""
        with evaluation(self._vae), torch.autocast(latents.device.type, enabled=False):
            images: Tensor = self._vae.decode(latents.float())  # type: ignore[operator]
        return images


def _batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(indices), size):
        yield [int(i) for i in indices[start : start + size]]
