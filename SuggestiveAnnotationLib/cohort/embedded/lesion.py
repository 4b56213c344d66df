"""Irregular tumour-like lesions with three nested parts, and the room they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.embedded.fields import Floats, smooth_noise

CSF, GREY, WHITE, OEDEMA, ENHANCING, NECROTIC = 1, 2, 3, 4, 5, 6
RIM_MM = 2.2
"""The enhancing rim is nowhere thinner, before labels are made on the scanner's grid."""


@dataclass(frozen=True)
class LesionPlan:
    """What is drawn before a lesion grows.

    Attributes:
        radius: of a ball with the volume of the whole lesion, millimetres.
        tumour: share of the whole lesion that is rim or core.
        core: share of the rim and core together that is core.
        push: strength of the mass effect, 0 none; below 0.5 nothing folds.
        shape: 3x3 matrix that makes the lesion longer in one direction, determinant 1.
    """

    radius: float
    tumour: float
    core: float
    push: float
    shape: NDArray[np.float64]


def draw_plan(rng: np.random.Generator) -> LesionPlan:
    """A random lesion."""
    stretch = np.exp(rng.uniform(-0.28, 0.28, 3))
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return LesionPlan(
        radius=float(rng.uniform(20, 31)),
        tumour=float(rng.uniform(0.33, 0.5)),
        core=float(rng.uniform(0.38, 0.55)),
        push=float(rng.uniform(0.2, 0.42)),
        shape=turn @ np.diag(stretch / np.prod(stretch) ** (1 / 3)) @ turn.T,
    )


def mass_effect(plan: LesionPlan, offset: Floats, depth: Floats) -> Floats:
    """Displacement in millimetres that shows tissue further from the lesion's centre than it was; weaker near the brain's surface.

    Args:
        plan: the lesion.
        offset: position relative to the lesion's centre, `(3, a, b, c)` millimetres.
        depth: distance to the brain's surface there, millimetres.

    Returns:
        Same shape as `offset`. Radially `r -> r (1 - push exp(-(r / reach)^2))`, which rises with r for every push below 1.
    """
    reach = 0.9 * plan.radius
    distance2 = np.square(offset).sum(0)
    room = np.clip(depth / 16, 0, 1)
    return np.asarray(-plan.push * np.exp(-distance2 / reach**2) * room * offset, np.float32)


def grow(
    rng: np.random.Generator, labels: NDArray[np.uint8], spacing: Sequence[float], centre: NDArray[np.float64], plan: LesionPlan
) -> NDArray[np.uint8]:
    """Grow the lesion into a tissue map: along white matter rather than through grey matter, hardly into fluid.

    Args:
        rng: source of the irregularity.
        labels: tissues, 0 outside the brain, fine grid.
        spacing: of the grid, millimetres.
        centre: index of the lesion's centre.
        plan: the lesion.

    Returns:
        A copy with the values oedema, enhancing and necrotic where the lesion is.
    """
    reach = 2.3 * plan.radius
    box = tuple(
        slice(max(0, int(c - reach / s)), min(n, int(c + reach / s) + 2)) for c, s, n in zip(centre, spacing, labels.shape, strict=True)
    )
    tissue = labels[box]
    axes = [(np.arange(b.start, b.stop) - c) * s for b, c, s in zip(box, centre, spacing, strict=True)]
    offset = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    noise = [smooth_noise(rng, tissue.shape, spacing, knots) for knots in (11.0, 6.0, 3.0)]
    tumour_noise = [smooth_noise(rng, tissue.shape, spacing, knots) for knots in (9.0, 4.0)]
    core_noise = smooth_noise(rng, tissue.shape, spacing, 4.5)

    stretched = np.einsum("ab,b...->a...", plan.shape.astype(np.float32), offset)
    distance = np.sqrt(np.square(stretched).sum(0)) / np.float32(plan.radius)
    barrier = np.array([0, 0.9, 0.38, 0], np.float32)[tissue]
    spread = distance * (1 + barrier) + 0.3 * barrier + 0.17 * noise[0] + 0.11 * noise[1] + 0.05 * noise[2]
    voxel = float(np.prod(spacing))
    wanted = 4 / 3 * np.pi * plan.radius**3 / voxel
    whole = _connected(_lowest(spread, tissue > 0, wanted))

    depth = ndimage.distance_transform_edt(np.pad(whole, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    bulk = distance + 0.16 * tumour_noise[0] + 0.08 * tumour_noise[1]
    tumour = _connected(_lowest(bulk, whole & (depth > RIM_MM), plan.tumour * whole.sum()))
    depth = ndimage.distance_transform_edt(np.pad(tumour, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    core = _lowest(core_noise - depth.astype(np.float32) / 2, tumour & (depth > RIM_MM), plan.core * tumour.sum())

    out = labels.copy()
    part = out[box]
    part[whole] = OEDEMA
    part[tumour] = ENHANCING
    part[core] = NECROTIC
    return out


def _lowest(values: Floats, allowed: NDArray[np.bool_], count: float) -> NDArray[np.bool_]:
    """The `count` allowed voxels with the lowest values; all of them where there are fewer."""
    candidates = values[allowed]
    k = min(int(count), candidates.size)
    if k == 0:
        return np.zeros_like(allowed)
    out: NDArray[np.bool_] = allowed & (values <= np.partition(candidates, k - 1)[k - 1])
    return out


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part, without holes."""
    parts, count = ndimage.label(mask)
    if count > 1:
        mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    out: NDArray[np.bool_] = ndimage.binary_fill_holes(mask)
    return out
