"""How a subject looks in each MR contrast. No contrast, noise or texture ever hides a border between neighbouring tissues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.embedded.anatomy import Anatomy
from SuggestiveAnnotationLib.cohort.embedded.fields import smooth_noise

MINIMUM_CONTRAST = 3.0
"""Means of neighbouring tissues differ by at least this many standard deviations of noise and fine texture together."""

NEIGHBOURS = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4), (4, 5), (5, 6))
"""Pairs of label values that share borders."""


@dataclass(frozen=True)
class Sequence:
    """Mean signal of the label values 0..6, and how strongly regional T1 differences show (negative: inverted)."""

    means: tuple[float, float, float, float, float, float, float]
    regional: float


SEQUENCES: Mapping[str, Sequence] = MappingProxyType(
    {  # background, fluid, grey, white, oedema, enhancing rim, necrotic core
        "t1": Sequence((0, 0.22, 0.56, 0.80, 0.40, 0.62, 0.30), 0.22),
        "t1c": Sequence((0, 0.22, 0.56, 0.80, 0.40, 1.08, 0.30), 0.22),
        "t2": Sequence((0, 1.00, 0.62, 0.42, 0.83, 0.62, 0.94), -0.12),
        "flair": Sequence((0, 0.18, 0.63, 0.46, 0.95, 0.77, 0.36), -0.10),
    }
)


@dataclass(frozen=True)
class Contrast:
    """One scan's signal.

    Attributes:
        means: of the label values 0..6; signal before bias and gain.
        noise: standard deviation of the noise in each of the two receiver channels.
        texture: standard deviation of fine texture inside a tissue.
        regional: see `Sequence.regional`.
        gain: file intensity per signal.
        bias: logarithmic deviation of the receiver field.
    """

    means: NDArray[np.float32]
    noise: float
    texture: float
    regional: float
    gain: float
    bias: float

    @property
    def smallest_gap(self) -> float:
        """Smallest difference of means between neighbouring tissues."""
        return min(abs(float(self.means[a] - self.means[b])) for a, b in NEIGHBOURS)


def draw_contrast(modality: str, rng: np.random.Generator) -> Contrast:
    """A random scan of a modality; noise and texture are limited so that every border stays visible, see `MINIMUM_CONTRAST`."""
    sequence = SEQUENCES[modality]
    means = np.asarray(sequence.means, np.float32)
    means[1:] += rng.uniform(-0.022, 0.022, means.size - 1).astype(np.float32)
    draft = Contrast(
        means=means,
        noise=float(rng.uniform(0.016, 0.034)),
        texture=float(rng.uniform(0.012, 0.022)),
        regional=sequence.regional,
        gain=float(rng.uniform(300, 900)),
        bias=float(rng.uniform(0.05, 0.12)),
    )
    shrink = min(1.0, draft.smallest_gap / MINIMUM_CONTRAST / float(np.hypot(draft.noise, draft.texture)))
    return Contrast(means, draft.noise * shrink, draft.texture * shrink, draft.regional, draft.gain, draft.bias)


def render(anatomy: Anatomy, modality: str, seed: np.random.SeedSequence) -> NDArray[np.int16]:
    """The scan of an anatomy, on its grid; exactly 0 outside the brain, as after skull stripping.

    Args:
        anatomy: what is imaged.
        modality: a key of `SEQUENCES`.
        seed: same seed, same image.
    """
    rng = np.random.default_rng(seed)
    contrast = draw_contrast(modality, rng)
    tissue = anatomy.tissue
    signal = contrast.means[tissue]
    # Inside a lesion the template's own signal means nothing; a coarser texture stands for mixed tissue.
    weights = np.array([0, 0.3, 1, 1, 0.3, 0, 0], np.float32) * np.float32(contrast.regional)
    signal += weights[tissue] * anatomy.regional
    fine = smooth_noise(rng, tissue.shape, anatomy.fine_spacing, 3.0)
    np.clip(fine, -2.5, 2.5, out=fine)
    amount = np.array([0, 0.7, 1, 1, 1.6, 2.0, 1.6], np.float32) * np.float32(contrast.texture)
    fine *= amount[tissue]
    signal += fine

    image = anatomy.blocks(signal)
    image = ndimage.gaussian_filter(image, (0, 0.35, 0.35), mode="constant")
    spacing = anatomy.grid.spacing
    field = smooth_noise(rng, image.shape, spacing, 60.0) + 0.3 * smooth_noise(rng, image.shape, spacing, 30.0)
    image *= np.exp(np.clip(contrast.bias * field, -0.3, 0.3))
    real = image + contrast.noise * rng.standard_normal(image.shape, dtype=np.float32)
    image = np.hypot(real, contrast.noise * rng.standard_normal(image.shape, dtype=np.float32))

    kept = anatomy.blocks(tissue > 0) > 0.35
    kept |= anatomy.labels[anatomy.box] > 0
    out = np.zeros(anatomy.grid.shape, np.int16)
    out[anatomy.box] = np.where(kept, np.maximum(np.rint(image * contrast.gain), 1), 0).astype(np.int16)
    return out
