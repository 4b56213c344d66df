"""Grids in every kind of orientation, a schema, and annotations of made-up slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import SimpleITK

from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema, SliceRef


@dataclass(frozen=True)
class Accepted:
    """An accepted annotation, as a study would hand it over."""

    ref: SliceRef
    labels: np.ndarray
    annotator: str = "anna"
    provenance: str = "corrected"
    accepted_at: str = "2026-01-01T10:00:00.000+00:00"
    round: int | None = 1
    prediction_id: int | None = None
    effort: dict[str, Any] | None = None
    minutes: float | None = None


def rotation(x: float, y: float, z: float) -> np.ndarray:
    transform = SimpleITK.Euler3DTransform()
    transform.SetRotation(x, y, z)
    return np.reshape(transform.GetMatrix(), (3, 3))


DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "left-handed": np.diag([1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "permuted and flipped": np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]),
    "oblique": rotation(0.3, -0.2, 0.25),
    "oblique and permuted": rotation(-0.1, 0.35, 0.2) @ np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]]),
}


def make_geometry(direction: np.ndarray, *, size=(7, 6, 5), spacing=(0.9, 1.1, 3.3)) -> Geometry:
    return Geometry(size=size, spacing=spacing, origin_lps=(-91.125, 12.3456, 33.3), direction_lps=tuple(direction.ravel().tolist()))


@pytest.fixture
def schema() -> LabelSchema:
    grey = LabelClass(2, "grey matter", (200, 80, 80), terminology="SCT^1^Grey")
    return LabelSchema("tissue", (grey, LabelClass(7, "lesion", (9, 9, 255))))


@pytest.fixture(params=[(name, plane) for name in DIRECTIONS for plane in ("axial", "coronal", "sagittal")], ids=" ".join)
def grid(request, schema) -> CaseGrid:
    name, plane = request.param
    geometry = make_geometry(DIRECTIONS[name])
    return CaseGrid("sub-10", geometry, SliceFrame.of(geometry, plane), schema)


@pytest.fixture
def plain_grid(schema) -> CaseGrid:
    geometry = make_geometry(np.eye(3))
    return CaseGrid("sub-10", geometry, SliceFrame.of(geometry, "axial"), schema)


@pytest.fixture
def accept():
    """Make an annotation with random labels: `accept(grid, native_index, **fields)`."""

    def make(grid: CaseGrid, index: int, **fields: Any) -> Accepted:
        rng = np.random.default_rng(index)
        labels = rng.choice(np.array([0, 2, 7, 255], np.uint16), size=(grid.frame.rows, grid.frame.columns))
        return Accepted(SliceRef(grid.case, grid.frame.axis, index), **{"labels": labels, **fields})

    return make


@pytest.fixture
def directions():
    """Geometry by the name of its orientation."""
    return lambda name: make_geometry(DIRECTIONS[name])
