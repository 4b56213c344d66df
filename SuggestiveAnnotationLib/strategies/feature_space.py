"""The segmentation network's own features as a manifold: bottleneck features, reduced to a few dimensions by principal components."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.strategies.base import model_of
from SuggestiveAnnotationLib.strategies.contract import Query, SegmentationAccess
from SuggestiveAnnotationLib.strategies.points import features_of


class FeatureSpace:
    """`ManifoldAccess` whose encoder is the segmentation network and a linear map. It has no decoder.

    Args:
        model: gives the features of images, differentiable.
        mean: of the pool's features, `(F,)`. axes: orthonormal columns, `(F, d)`.
        latents: of the whole pool, `(slices, d)`.
    """

    def __init__(
        self, model: SegmentationAccess, mean: NDArray[np.float64], axes: NDArray[np.float64], latents: NDArray[np.float32]
    ) -> None:
        self._model, self._mean, self._axes = model, torch.from_numpy(mean).float(), torch.from_numpy(axes).float()
        self.latents = latents

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """See `ManifoldAccess.encode`."""
        features = self._model.feature_map(images)
        return (features - self._mean.to(features)) @ self._axes.to(features)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Raises: StudyError, always."""
        raise StudyError("The network's features have no decoder.", hint="Use the direction of the encoder.")


def feature_space(query: Query, size: int) -> FeatureSpace:
    """The first `size` principal components of the pool's features; blank slices lie at the origin. Not whitened.

    Raises: StudyError, without a model or where a feature is not finite.
    """
    shown = np.flatnonzero(~query.pool.blank)
    features = features_of(query, shown).astype(np.float64)
    mean = features.mean(0)
    centred = features - mean
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, : min(size, centred.shape[1])]
    # The sign of an eigenvector is the library's whim.
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    axes = np.ascontiguousarray(axes * np.where(largest < 0, -1.0, 1.0))
    latents = np.zeros((len(query.pool.refs), axes.shape[1]), np.float32)
    latents[shown] = centred @ axes
    return FeatureSpace(model_of(query), mean, axes, latents)
