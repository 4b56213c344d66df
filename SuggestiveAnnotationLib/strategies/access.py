"""The pool as strategies see it through a trained network: probabilities, loss gradients, and the manifold's two maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.models.dropout import dropout_layers, sampled_dropout
from SuggestiveAnnotationLib.models.segmentation import SegmentationNetwork
from SuggestiveAnnotationLib.strategies.contract import Variation
from SuggestiveAnnotationLib.training.losses import per_class_dice_loss, per_sample_dice_loss
from SuggestiveAnnotationLib.training.predict import evaluation_mode
from SuggestiveAnnotationLib.training.views import ViewSettings, views
from SuggestiveAnnotationLib.types import LabelSchema

Images = Callable[[Sequence[int]], Tensor]
"""Pool indices -> images on the network grid, `(n, C, rows, columns)`."""

Accepted = Callable[[int], "NDArray[np.int16] | None"]
"""Pool index -> channel indices of the accepted annotation on the network grid, ignore -1; None where there is none."""


class ModelAccess:
    """`SegmentationAccess` of a segmentation network.

    Args:
        model: on `device`.
        images: of pool slices; moved to the device batch by batch.
        accepted: annotations, the only labels that are ever asked for.
        schema: what is annotated.
        batch_size: slices at a time; what is said of a slice does not depend on it.
        autocast: lower precision for everything but gradients (`torch.bfloat16`); those are always float32.
        flip: columns run from side to side, so that a mirrored slice is a slice.
    """

    def __init__(
        self,
        model: SegmentationNetwork,
        images: Images,
        accepted: Accepted,
        schema: LabelSchema,
        *,
        batch_size: int = 32,
        device: torch.device | str = "cpu",
        autocast: torch.dtype | None = None,
        flip: bool = False,
    ) -> None:
        self._model, self._images, self._accepted, self._schema = model, images, accepted, schema
        self._batch, self._device, self._autocast = batch_size, torch.device(device), autocast
        self._views = ViewSettings(flip=flip, partner=schema.channel_partner)

    def probabilities(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.probabilities`; float32. Raises: StudyError, when the model has another number of classes."""
        yield from self._each(indices, lambda x: self._checked(torch.softmax(self._model(x).float(), dim=1)))

    def features(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.features`."""
        yield from self._each(indices, lambda x: self._model.bottleneck_features(x).float())

    def predicted_losses(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.predicted_losses`."""

        def predicted(x: Tensor) -> Tensor:
            losses = self._model.predicted_losses(x)
            if losses is None:
                raise StudyError("The model does not predict its own loss.", hint="Train it with --loss-head.")
            return losses.float()

        yield from self._each(indices, predicted)

    def gradient_embeddings(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.gradient_embeddings`."""

        def embedded(x: Tensor) -> Tensor:
            features = self._model.pixel_features(x)
            probabilities = self._checked(torch.softmax(self._model.classify(features).float(), dim=1))
            chosen = torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(1, keepdim=True), 1.0)
            with torch.autocast(x.device.type, enabled=False):
                product = (probabilities - chosen).flatten(2) @ features.float().flatten(2).transpose(1, 2)
            return (product / x[0, 0].numel()).flatten(1)

        yield from self._each(indices, embedded)

    def sampled_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.sampled_probabilities`."""
        self._check_dropout()

        def sampled(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
            with sampled_dropout(self._model, generators), self._precision():
                logits = self._model(x)
            return torch.softmax(logits.float(), dim=1)

        yield from self._passes(indices, sampled, passes=passes, seed=seed)

    def augmented_probabilities(self, indices: Sequence[int], *, passes: int, seed: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """See `SegmentationAccess.augmented_probabilities`."""

        def augmented(x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
            seen, carried_back = views(x, settings=self._views, generators=generators)
            with self._precision():
                logits = self._model(seen)
            return carried_back(torch.softmax(logits.float(), dim=1))

        yield from self._passes(indices, augmented, passes=passes, seed=seed)

    def _each(self, indices: Sequence[int], look: Callable[[Tensor], Tensor]) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Batch after batch in evaluation and inference mode; between batches the caller's own mode holds."""
        for batch in _batches(indices, self._batch):
            x = self._images(batch).to(self._device, torch.float32)
            with evaluation_mode(self._model), torch.inference_mode(), self._precision():
                out = look(x)
            yield np.array(batch, np.intp), out

    def _passes(
        self,
        indices: Sequence[int],
        look: Callable[[Tensor, Sequence[torch.Generator]], Tensor],
        *,
        passes: int,
        seed: int,
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """`(passes, n, K+1, rows, columns)`, with a generator for every slice and pass; no more images at a time than a batch."""
        for batch in _batches(indices, max(1, self._batch // passes)):
            x = self._images(batch).to(self._device, torch.float32)
            # Slice after slice inside a pass.
            jobs = [(place, _generator(seed, index, one)) for one in range(passes) for place, index in enumerate(batch)]
            done = []
            for start in range(0, len(jobs), self._batch):
                places, generators = zip(*jobs[start : start + self._batch], strict=True)
                with evaluation_mode(self._model), torch.inference_mode():
                    done.append(self._checked(look(x[list(places)], generators)))
            out = torch.cat(done)
            yield np.array(batch, np.intp), out.reshape(passes, len(batch), *out.shape[1:])

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None)

    def loss_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor, Tensor]]:
        """See `SegmentationAccess.loss_gradients`: per-sample losses, summed, so that no slice's gradient depends on its batch.

        Raises: StudyError, when a slice has no accepted annotation.
        """
        for index, x, y in self._sources(indices):
            with self._differentiating():
                losses = per_sample_dice_loss(self._checked(self._model(x)), y)
                (gradient,) = torch.autograd.grad(losses.sum(), x)
            yield index, x.detach(), losses.detach(), gradient

    def class_gradients(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor, Tensor]]:
        """See `SegmentationAccess.class_gradients`: the Dice loss of eq. 2 without its mean over the classes, whatever `loss` is.

        Raises: StudyError, when a slice has no accepted annotation.
        """
        for index, x, y in self._sources(indices):
            with self._differentiating():
                losses = per_class_dice_loss(self._checked(self._model(x)), y)
                # A sum over nan would poison the other slices.
                sums = losses.nan_to_num(nan=0.0).sum(0)
                gradients = [torch.autograd.grad(one, x, retain_graph=True)[0] for one in sums]
            yield index, x.detach(), losses.detach().T, torch.stack(gradients)

    def varied_gradients(
        self, indices: Sequence[int], *, by: Variation, passes: int, noise: float, seed: int
    ) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor, Tensor]]:
        """See `SegmentationAccess.varied_gradients`.

        Raises: StudyError, when a slice has no accepted annotation, or the model no dropout.
        """
        if by == "dropout":
            self._check_dropout()
        for index, x, y in self._sources(indices):
            losses, gradients = [], []
            for one in range(passes):
                generators = [_generator(seed, i, one) for i in index.tolist()]
                seen = x.detach()
                if by == "noise":
                    seen = seen + noise * torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators]).to(x)
                seen.requires_grad_()
                with self._differentiating(), sampled_dropout(self._model, generators) if by == "dropout" else nullcontext():
                    loss = per_sample_dice_loss(self._checked(self._model(seen)), y)
                    gradients.append(torch.autograd.grad(loss.sum(), seen)[0])
                losses.append(loss.detach())
            yield index, x.detach(), torch.stack(losses), torch.stack(gradients)

    def feature_map(self, images: Tensor) -> Tensor:
        """See `SegmentationAccess.feature_map`."""
        with evaluation_mode(self._model), torch.autocast(images.device.type, enabled=False):
            return self._model.bottleneck_features(images.float())

    def _sources(self, indices: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], Tensor, Tensor]]:
        """Batches of (indices, images that require a gradient, accepted channels), without slices whose annotation is empty."""
        labelled = [(i, self._labels(i)) for i in indices]
        shown = {i: labels for i, labels in labelled if (labels > 0).any()}
        for batch in _batches(list(shown), self._batch):
            x = self._images(batch).to(self._device, torch.float32).clone().requires_grad_()
            y = torch.from_numpy(np.stack([shown[i] for i in batch])).to(self._device)
            yield np.array(batch, np.intp), x, y

    @contextmanager
    def _differentiating(self) -> Iterator[None]:
        with evaluation_mode(self._model), torch.enable_grad(), torch.autocast(self._device.type, enabled=False):
            yield

    def _check_dropout(self) -> None:
        if not dropout_layers(self._model):
            raise StudyError("The model has no dropout, so nothing can be sampled.", hint="Train it with --dropout, for example 0.2.")

    def _labels(self, index: int) -> NDArray[np.int16]:
        labels = self._accepted(index)
        if labels is None:
            raise StudyError(f"Pool slice {index} has no accepted annotation and gives no gradient.")
        return labels

    def _checked(self, outputs: Tensor) -> Tensor:
        if outputs.shape[1] != self._schema.channels:
            sentence = f"The model has {outputs.shape[1]} output channels, schema {self._schema.name} needs {self._schema.channels}."
            raise StudyError(sentence, hint="Train a model for this schema.")
        return outputs


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
        with evaluation_mode(self._vae), torch.autocast(images.device.type, enabled=False):
            mean: Tensor = self._vae.encode(images.float())[0]  # type: ignore[operator]
        return mean

    def decode(self, latents: Tensor) -> Tensor:
        """See `ManifoldAccess.decode`."""
        with evaluation_mode(self._vae), torch.autocast(latents.device.type, enabled=False):
            images: Tensor = self._vae.decode(latents.float())  # type: ignore[operator]
        return images


def _batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(indices), size):
        yield [int(i) for i in indices[start : start + size]]


def _generator(seed: int, index: int, one: int) -> torch.Generator:
    """For one pass of one slice, whatever batch it is in."""
    (state,) = np.random.SeedSequence([seed, index, one]).generate_state(1)
    return torch.Generator().manual_seed(int(state))
