"""From the intensities of a volume to network input: what is foreground, and z-scores inside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.files.itk import sitk

CLIP = 5.0
CORNER = 4
"""Voxels along an edge of a corner of the volume, in large volumes."""
CONSTANT_BACKGROUND_FROM = 0.05
"""Share of a volume that a constant background fills at least."""
TISSUE_FROM = 0.2
"""Share of the median of what is bright that the median of darker tissue reaches; noise in the air does too, where it is strong."""
NOISE_SPREAD, NOISE_HALVES = 0.4, 0.3
"""Of noise in the air, at least: deviation over mean (Rayleigh: 0.52), and median of its darker over that of its brighter half (0.47)."""
_MIDDLE = (0.1, 99.9)
"""Percentiles between which the bulk of the foreground lies."""
FAR = 3.0
"""A voxel that lies so many times the width of the bulk away from it says nothing of the others."""


@dataclass(frozen=True)
class Foreground:
    """What of a volume shows the body.

    Attributes:
        voxels: `(k, j, i)`.
        cut_out: what lies outside is known to be nothing: a mask says so, or it is one constant value. By intensity alone the darkest
            tissue may lie outside.
    """

    voxels: NDArray[np.bool_]
    cut_out: bool


def foreground_of(image: NDArray[Any], mask: NDArray[Any] | None) -> Foreground:
    """Foreground of a volume `(k, j, i)`: the mask file; else all but the constant background; else all but air.

    A field of view without air is foreground throughout.
    """
    if mask is not None:
        return Foreground(mask > 0, cut_out=True)
    background = _constant_background(image)
    if background is not None:
        return Foreground(image != background, cut_out=True)
    return Foreground(_not_air(image), cut_out=False)


def normalise(stack: NDArray[Any], foreground: NDArray[np.bool_], *, cut_out: bool = True) -> NDArray[np.float16]:
    """Z-score by mean and deviation inside the foreground, clipped to +-5; `(slice, row, column)` float16.

    Voxels far from the bulk of the foreground (a fitted map that ran away, a hot pixel) do not count for mean and deviation. Where the
    foreground was cut out, 0 is outside. Where it was not, every voxel has its score, less that of air: 0 is air, as beyond the image.
    """
    inside = stack[foreground].astype(np.float64)
    low, high = np.percentile(inside, _MIDDLE)
    reach = FAR * (high - low)
    bulk = inside[(inside >= low - reach) & (inside <= high + reach)]
    scale = bulk.std()
    scores: NDArray[np.float64] = ((stack - bulk.mean()) / (scale if scale > 0 else 1.0)).clip(-CLIP, CLIP)
    if cut_out:
        scores[~foreground] = 0
    elif not foreground.all():
        scores -= np.median(scores[~foreground])
    return scores.astype(np.float16)


def _constant_background(image: NDArray[Any]) -> Any:
    """The value that at least half of the volume's corners consist of and nothing else, as noise hardly ever does; else None."""
    ends = [(slice(None, edge), slice(-edge, None)) for edge in (min(CORNER, max(1, n // 8)) for n in image.shape)]
    blocks = [image[corner] for corner in product(*ends)]
    constant = Counter(block.flat[0] for block in blocks if (block == block.flat[0]).all())
    if not constant:
        return None
    value, corners = constant.most_common(1)[0]
    return value if 2 * corners >= len(blocks) and (image == value).mean() >= CONSTANT_BACKGROUND_FROM else None


def _not_air(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Above Otsu's threshold, and what is tissue all the same among the darker voxels; everything where nothing is as dark as air."""
    low, high = np.percentile(image, _MIDDLE)
    if low == high:
        return np.asarray(image > low)
    # A threshold from a histogram: a few voxels far from all others would leave the others in one bin.
    levels = image.clip(low, high) - min(low, 0)
    dark = levels <= _otsu(levels)
    tissue = TISSUE_FROM * np.median(levels[~dark])
    lower = dark & (levels <= _otsu(levels[dark]))
    upper = levels[dark & ~lower]
    if len(upper) and np.median(upper) >= tissue and np.median(levels[lower]) < NOISE_HALVES * np.median(upper):
        dark = lower
    rest = levels[dark]
    if np.median(rest) >= tissue and rest.std() < NOISE_SPREAD * rest.mean():
        return np.ones(image.shape, np.bool_)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(~dark)
    return filled


def _otsu(values: NDArray[Any]) -> float:
    method = sitk.OtsuThresholdImageFilter()
    method.Execute(sitk.GetImageFromArray(values.reshape(1, -1)))
    return float(method.GetThreshold())
