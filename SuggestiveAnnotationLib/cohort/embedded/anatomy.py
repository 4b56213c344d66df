"""One subject's anatomy on one scanner's grid: the template, moved and deformed, with tissue borders of its own and perhaps a lesion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SuggestiveAnnotationLib.cohort.embedded.fields import Floats, compose, exponential, smooth_noise, upsample
from SuggestiveAnnotationLib.cohort.embedded.grid import FIELD_OF_VIEW, Protocol, ScanGrid, rotation_of
from SuggestiveAnnotationLib.cohort.embedded.lesion import CSF, GREY, WHITE, LesionPlan, draw_plan, grow, mass_effect
from SuggestiveAnnotationLib.cohort.embedded.template import BrainTemplate, sample

LATTICE_MM = 4.0
_LATTICE_VIEW = (248.0, 272.0, 240.0)  # wide enough for every head that `_draw_head` makes
_MARGIN_MM = 10.0
_FINE_MM = 2.0  # a fine voxel is at most about this long, and half a voxel where voxels are longer than 1.5 mm


@dataclass(frozen=True)
class Anatomy:
    """What is imaged.

    Attributes:
        grid: the scanner's grid, axial.
        labels: schema values on the grid, uint16.
        box: part of the grid that holds the brain.
        factors: fine voxels per voxel, (slice, row, column).
        tissue: schema values inside the box on the fine grid, uint8.
        regional: regional T1 signal on the fine grid, see `BrainTemplate.regional`.
        displacement: on the lattice, `(3, a, b, c)` millimetres, for checks.
        lesion: the plan of the lesion; None: healthy.
    """

    grid: ScanGrid
    labels: NDArray[np.uint16]
    box: tuple[slice, slice, slice]
    factors: tuple[int, int, int]
    tissue: NDArray[np.uint8]
    regional: Floats
    displacement: Floats
    lesion: LesionPlan | None

    @property
    def fine_spacing(self) -> tuple[float, float, float]:
        """Millimetres of the fine grid."""
        a, b, c = (s / f for s, f in zip(self.grid.spacing, self.factors, strict=True))
        return (a, b, c)

    def blocks(self, fine: NDArray[Any]) -> Floats:
        """Mean of the fine voxels of each voxel of the box: the scanner's partial volume."""
        shape = [n for part, f in zip(fine.shape, self.factors, strict=True) for n in (part // f, f)]
        out: Floats = fine.reshape(shape).mean((1, 3, 5), dtype=np.float32)
        return out


@dataclass(frozen=True)
class _Head:
    """Where the head lies and how it differs from the template: template index = matrix @ (u + displacement(u)) + offset."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    displacement: Floats
    fluid: float

    def index(self, u: NDArray[np.floating], displacement: Floats) -> Floats:
        moved = np.asarray(u + displacement, np.float32)
        # Not BLAS: the same bits with any number of threads.
        out = np.einsum("ab,b...->a...", self.matrix.astype(np.float32), moved)
        out += self.offset.astype(np.float32).reshape([3] + [1] * (out.ndim - 1))
        return np.asarray(out, np.float32)


def make_anatomy(
    template: BrainTemplate, seed: np.random.SeedSequence, *, spacing: tuple[float, float, float], protocol: Protocol, lesion: bool
) -> Anatomy:
    """Make one subject.

    Args:
        template: where the tissues come from.
        seed: same seed and arguments, same anatomy.
        spacing: millimetres (slice, row, column), before the protocol stretches it.
        protocol: how it is scanned.
        lesion: with a lesion.
    """
    head_rng, lesion_rng, border_rng = (np.random.default_rng(s) for s in seed.spawn(3))
    step = tuple(s * f for s, f in zip(spacing, protocol.stretch, strict=True))
    middle = template.centre + head_rng.normal(0, 8, 3)
    grid = ScanGrid((1, 1, 1), (step[0], step[1], step[2]), rotation_of(protocol.tilt), middle, protocol)
    head = _draw_head(head_rng, template, grid)

    u = _lattice()
    plan, centre = None, np.zeros(3)
    if lesion:
        plan = draw_plan(lesion_rng)
        index = head.index(u, head.displacement)
        depth = template.depth_at(index)
        centre = _lesion_site(lesion_rng, template, index, u, depth)
        push = mass_effect(plan, np.asarray(u - centre.reshape(3, 1, 1, 1), np.float32), depth)
        head = replace(head, displacement=compose(head.displacement, push, LATTICE_MM))

    near = sample(template.inside, head.index(u, head.displacement)) > 0.02
    reach = [(u[(a, *np.nonzero(near))].min(), u[(a, *np.nonzero(near))].max()) for a in range(3)]
    view = [max(v, 2 * (max(-low, high) + LATTICE_MM + _MARGIN_MM)) for v, (low, high) in zip(FIELD_OF_VIEW, reach, strict=True)]
    shape = [int(np.ceil(v / s)) for v, s in zip(view, grid.spacing, strict=True)]
    grid = replace(grid, shape=(shape[0], shape[1], shape[2]))
    box = [
        slice(max(0, int((low - LATTICE_MM) / s + (n - 1) / 2)), min(n, int((high + LATTICE_MM) / s + (n - 1) / 2) + 2))
        for (low, high), s, n in zip(reach, grid.spacing, shape, strict=True)
    ]
    factors = [max(min(2, round(s)), round(s / _FINE_MM)) for s in grid.spacing]
    axes = [
        (np.arange(b.start * f, b.stop * f) + 0.5 - n * f / 2) * s / f for b, f, s, n in zip(box, factors, grid.spacing, shape, strict=True)
    ]
    tissue, regional = _tissues(border_rng, template, head, axes, near)
    if plan is not None:
        fine = [s / f for s, f in zip(grid.spacing, factors, strict=True)]
        at = np.array([(c - axis[0]) / s for c, axis, s in zip(centre, axes, fine, strict=True)])
        tissue = grow(lesion_rng, tissue, fine, at, plan)

    out = Anatomy(
        grid=grid,
        labels=np.zeros(shape, np.uint16),
        box=(box[0], box[1], box[2]),
        factors=(factors[0], factors[1], factors[2]),
        tissue=tissue,
        regional=regional,
        displacement=head.displacement,
        lesion=plan,
    )
    out.labels[out.box] = _majority(out)
    return out


def _lattice() -> Floats:
    """Position of every lattice point relative to the grid's centre, `(3, a, b, c)` millimetres."""
    axes = [np.arange(-v / 2, v / 2 + 0.5, LATTICE_MM) for v in _LATTICE_VIEW]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def _draw_head(rng: np.random.Generator, template: BrainTemplate, grid: ScanGrid) -> _Head:
    size = np.clip(rng.normal(1, 0.035), 0.93, 1.07) * np.clip(rng.normal(1, 0.025, 3), 0.95, 1.05)
    shear = np.eye(3) + np.triu(np.clip(rng.normal(0, 0.02, (3, 3)), -0.04, 0.04), 1)
    pose = rotation_of(np.clip(rng.normal(0, 3.0, 3), -6, 6).tolist())
    affine = np.diag(1 / size) @ shear @ pose
    aside = rng.uniform(-4, 4, 3)  # the technician does not centre perfectly
    matrix = template.to_index @ affine @ grid.rotation
    offset = template.to_index @ (affine @ aside + template.centre) + template.offset

    shape = [int(v / LATTICE_MM) + 1 for v in _LATTICE_VIEW]
    spacing = [LATTICE_MM] * 3
    velocity = [3.6 * smooth_noise(rng, shape, spacing, 38) + 1.2 * smooth_noise(rng, shape, spacing, 17) for _ in range(3)]
    displacement = exponential(np.stack([np.clip(v, -13, 13) for v in velocity]), LATTICE_MM)
    return _Head(matrix, offset, displacement, float(rng.uniform(1.5, 2.6)))


def _lesion_site(rng: np.random.Generator, template: BrainTemplate, index: Floats, u: Floats, depth: Floats) -> NDArray[np.float64]:
    """A place in the white matter of the hemispheres, away from the midline and from the brain stem."""
    middle = template.to_index @ template.centre + template.offset
    fits = (sample(template.white, index) > 0.6) & (depth > 13) & (index[0] > middle[0] - 8) & (abs(index[2] - middle[2]) > 16)
    places = np.argwhere(fits)
    place = places[rng.integers(len(places))]
    return np.asarray(u[(slice(None), *place)], np.float64)


def _tissues(
    rng: np.random.Generator, template: BrainTemplate, head: _Head, axes: list[NDArray[np.float64]], near: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], Floats]:
    """Tissue values and regional signal on the fine grid whose positions are `axes`, millimetres from the grid's centre."""
    on_lattice = [(axis + v / 2) / LATTICE_MM for axis, v in zip(axes, _LATTICE_VIEW, strict=True)]
    shape = [len(axis) for axis in axes]
    fine = [float(axis[1] - axis[0]) for axis in axes]
    wide = ndimage.binary_dilation(near, iterations=2)
    nearest = [np.clip(np.rint(p).astype(int), 0, n - 1) for p, n in zip(on_lattice, near.shape, strict=True)]
    brain = wide[np.ix_(*nearest)]
    where = np.nonzero(brain)
    u = np.stack([axis[w] for axis, w in zip(axes, where, strict=True)]).astype(np.float32)
    index = head.index(u, np.stack([upsample(part, on_lattice)[brain] for part in head.displacement]))

    grey, white, inside, regional = (sample(m, index) for m in (template.grey, template.white, template.inside, template.regional))
    wobble = [a * smooth_noise(rng, shape, fine, k)[brain] for a, k in ((0.14, 4.5), (0.10, 5.0), (0.05, 4.0))]
    # Brain stem and cerebellar white matter are grey in the tissue maps, but bright in T1.
    white = white + 0.6 * np.clip(regional, 0, 0.5)
    fluid = np.clip(1 - grey - white, 0, 1) * head.fluid
    scores = np.stack([fluid + wobble[0], grey, white + wobble[1]])
    chosen = np.array([CSF, GREY, WHITE], np.uint8)[scores.argmax(0)]
    chosen[inside + wobble[2] < 0.45] = 0

    tissue = np.zeros(shape, np.uint8)
    tissue[brain] = chosen
    signal = np.zeros(shape, np.float32)
    signal[brain] = regional
    return tissue, signal


def _majority(anatomy: Anatomy) -> NDArray[np.uint16]:
    """The value that most of a voxel's fine voxels have; ties go to the higher value."""
    best: Floats | None = None
    out = np.zeros(0, np.uint16)
    for value in np.unique(anatomy.tissue):
        share = anatomy.blocks(anatomy.tissue == value)
        if best is None:
            best, out = share, np.full(share.shape, value, np.uint16)
            continue
        better = share >= best
        better &= share > 0
        out[better] = value
        best = np.maximum(best, share)
    return out
