from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.cohort.acquired import acquired_plane
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import Case

AXIAL = (1, 0, 0, 0, 1, 0, 0, 0, 1)
CORONAL = (1, 0, 0, 0, 0, 1, 0, -1, 0)
SAGITTAL = (0, 0, 1, 1, 0, 0, 0, -1, 0)


@pytest.mark.parametrize(
    ("direction", "spacing", "plane"),
    [
        (AXIAL, (1, 1, 5), "axial"),
        (SAGITTAL, (1, 1, 5), "sagittal"),
        # Slices that lie closer together than pixels: CT, PET, a resampled crop.
        (AXIAL, (0.85, 0.85, 0.625), "axial"),
        (AXIAL, (4.07, 4.07, 3), "axial"),
        (AXIAL, (2, 2, 1), "axial"),
        (SAGITTAL, (0.9, 0.9, 0.6), "sagittal"),
        (CORONAL, (0.9, 0.9001, 0.6), "coronal"),
        (AXIAL, (0.6, 0.9, 0.9), "sagittal"),
        # Isotropic, or nearly.
        (SAGITTAL, (1, 1, 1), "axial"),
        (SAGITTAL, (1, 1, 1.1), "axial"),
        # Three spacings: the largest where it stands out, else the axis that slices are stacked along.
        (AXIAL, (1, 3, 2), "coronal"),
        (AXIAL, (1, 1.2, 1.1), "axial"),
        (SAGITTAL, (1, 1.2, 1.1), "sagittal"),
    ],
)
def test_the_spacing_that_differs_decides_the_plane(direction: tuple[float, ...], spacing: tuple[float, float, float], plane: str) -> None:
    assert acquired_plane([Case("x", "x", "pool", {}, geometry=Geometry((64, 64, 20), spacing, (0, 0, 0), direction))]) == plane


def test_the_plane_is_told_before_a_study_is_made(write_image: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(f"{name}_ct.nii.gz", spacing=(0.85, 0.85, 0.625))
    assert "Slices will be axial, by the spacing of voxels; `prepare --plane` chooses others." in discover(tmp_path).describe()
