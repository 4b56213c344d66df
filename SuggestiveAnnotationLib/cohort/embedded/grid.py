"""The scanner's side of the embedded cohort: on which voxel grid a subject is imaged, and in which order it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.itk import sitk

FIELD_OF_VIEW = (192.0, 216.0, 184.0)
"""Millimetres (slice, row, column) when the brain does not need more."""


@dataclass(frozen=True)
class Protocol:
    """How one scanner stores its volumes.

    Attributes:
        name: for the case's record.
        axes: array axis b of the file is axis `axes[b]` of the axial grid (slice, row, column).
        flips: array axes of the file that run the other way.
        tilt: degrees about the slice, row and column direction.
        stretch: factor on the spacing (slice, row, column).
    """

    name: str
    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)


PLAIN = Protocol("axial")
PROTOCOLS = (
    PLAIN,
    Protocol("oblique", tilt=(3.0, -2.0, 8.0)),
    Protocol("rows and columns reversed", flips=(False, True, True)),
    Protocol("stored sagittal", axes=(2, 0, 1), flips=(False, True, False)),
    Protocol("axial, slices from the top", flips=(True, False, False), stretch=(1.3, 1.0, 1.0)),
    Protocol("stored coronal, unequal spacing", axes=(1, 0, 2), flips=(False, True, False), stretch=(1.0, 0.9, 1.15)),
    Protocol("oblique, reversed", flips=(True, True, False), tilt=(-4.0, 3.0, -6.0)),
)


def protocol_of(index: int, *, variety: bool) -> Protocol:
    """The protocol of the subject with this 0-based index; without variety always plain axial."""
    return PROTOCOLS[index % len(PROTOCOLS)] if variety else PLAIN


@dataclass(frozen=True)
class ScanGrid:
    """An axial grid, before the storage order is applied. World coordinates are LPS millimetres in the order (z, y, x).

    Attributes:
        shape, spacing: (slice, row, column), millimetres.
        rotation: 3x3, columns are the world directions of slice, row and column.
        centre: world position of the grid's centre.
        protocol: storage order.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    rotation: NDArray[np.float64]
    centre: NDArray[np.float64]
    protocol: Protocol

    def to_image(self, array: NDArray[Any]) -> Any:
        """The SimpleITK image of an array on this grid, in the protocol's storage order."""
        directions = [self.rotation[:, axis] for axis in range(3)]
        middle = (np.asarray(self.shape) - 1) / 2
        origin = self.centre - self.rotation @ (middle * self.spacing)
        stored = np.transpose(array, self.protocol.axes)
        directions = [directions[axis] for axis in self.protocol.axes]
        spacing = [self.spacing[axis] for axis in self.protocol.axes]
        for axis, flipped in enumerate(self.protocol.flips):
            if flipped:
                stored = np.flip(stored, axis)
                origin = origin + directions[axis] * spacing[axis] * (stored.shape[axis] - 1)
                directions[axis] = -directions[axis]
        image = sitk.GetImageFromArray(np.ascontiguousarray(stored))
        image.SetSpacing([float(s) for s in spacing[::-1]])
        image.SetOrigin([float(o) for o in origin[::-1]])
        image.SetDirection(np.stack([d[::-1] for d in directions[::-1]], axis=1).ravel().tolist())
        return image


def rotation_of(degrees: Sequence[float]) -> NDArray[np.float64]:
    """Rotation matrix in array-axis order: about the slice, then the row, then the column axis."""
    out = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        out = turn @ out
    return out
