"""The plane in which cases were acquired, told by the spacing of their voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.types import Case, Plane

_ALIKE = 1.02
"""Up to this ratio two spacings count as those of square pixels."""
_OTHER = 1.2
"""From this ratio on a spacing counts as the distance of slices."""


def acquired_plane(cases: Sequence[Case]) -> Plane:
    """The plane most cases were acquired in (across the spacing that differs from the others); axial where voxels are isotropic."""
    votes: dict[Plane, int] = dict.fromkeys(get_args(Plane), 0)
    for case in cases:
        votes[_plane_of(case.geometry)] += 1
    return max(votes, key=lambda plane: votes[plane])


def _plane_of(geometry: Geometry) -> Plane:
    small, middle, large = sorted(geometry.spacing)
    if large < _OTHER * small:
        return "axial"
    if middle <= _ALIKE * small or large >= _OTHER * middle:
        across = geometry.spacing.index(large)
    elif large <= _ALIKE * middle:
        across = geometry.spacing.index(small)
    else:
        # No spacing stands out; scanners and converters stack slices along k.
        across = 2
    return next(plane for plane in get_args(Plane) if SliceFrame.of(geometry, plane).axis == 2 - across)
