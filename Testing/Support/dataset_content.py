"""Content of a made-up study for the exporters of datasets: images on disk, annotations with random labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.content import CaseContent, StudyContent
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.records import Annotation, PackedLabels, pack
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, Plane, PreprocessingRecord, Role, SliceRef

SCHEMA = LabelSchema(
    "tissue",
    (LabelClass(7, "lesion", (9, 9, 255)), LabelClass(2, "grey matter", (200, 80, 80), terminology="SCT^1^Grey")),
)
WIDE = LabelSchema("regions", (LabelClass(1002, "left", (1, 2, 3)), LabelClass(40, "right", (4, 5, 6))), ignore_value=65535)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    transform = sitk.Euler3DTransform()
    transform.SetRotation(x, y, z)
    return np.reshape(transform.GetMatrix(), (3, 3))


DIRECTIONS = {
    "identity": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "permuted and flipped": np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]),
    "oblique": rotation(0.3, -0.2, 0.25),
    "oblique and permuted": rotation(-0.1, 0.35, 0.2) @ np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]]),
}


def geometry_of(direction: np.ndarray, *, size: tuple[int, int, int] = (7, 6, 5), scale: float = 1.0) -> Geometry:
    spacing = (0.9 * scale, 1.1 * scale, 3.3 * scale)
    return Geometry(size, spacing, (-91.125, 12.3456, 33.3), tuple(direction.ravel().tolist()))


def write_image(path: Path, array: np.ndarray, geometry: Geometry) -> str:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return str(path)


def annotation(ref: SliceRef, labels: np.ndarray, **fields: Any) -> Annotation:
    plain: dict[str, Any] = {
        "id": ref.native_index + 1,
        "batch": "b",
        "ref": ref,
        "annotator": "anna",
        "provenance": "corrected",
        "state": "accepted",
        "round": 1,
        "prediction_id": None,
        "effort": None,
        "minutes": None,
        "accepted_at": "2026-01-01T10:00:00.000+00:00",
        "packed": PackedLabels(**pack(labels.astype(np.uint16))),
    }
    return Annotation(**{**plain, **fields})


def make_case(
    folder: Path,
    name: str,
    *,
    number: int = 0,
    patient: str | None = None,
    role: Role = "pool",
    slices: Sequence[int] = (0, 3),
    direction: str = "identity",
    plane: Plane = "axial",
    schema: LabelSchema = SCHEMA,
    modalities: Sequence[str] = ("T1",),
    other_grid: bool = False,
) -> CaseContent:
    """A case; with `other_grid` all modalities but the first lie on a grid with another spacing."""
    rng = np.random.default_rng(number)
    geometry = geometry_of(DIRECTIONS[direction])
    images = {}
    for position, modality in enumerate(modalities):
        grid = geometry_of(DIRECTIONS[direction], size=(9, 8, 4), scale=1.3) if other_grid and position else geometry
        array = rng.normal(100, 30, grid.shape).round().astype(np.float32)
        images[modality] = write_image(folder / f"case{number}_{position}.nrrd", array, grid)
    frame = SliceFrame.of(geometry, plane)
    values = np.array([*schema.values, schema.ignore_value], np.uint16)
    annotations = tuple(
        annotation(SliceRef(name, frame.axis, k), rng.choice(values, (frame.rows, frame.columns)), id=100 * number + k) for k in slices
    )
    case = Case(name=name, patient=name if patient is None else patient, role=role, images=images, geometry=geometry)
    return CaseContent(case, CaseGrid(name, geometry, frame, schema), annotations)


def make_content(*cases: CaseContent, title: str = "My study", modalities: tuple[str, ...] = ("T1",), **fields: Any) -> StudyContent:
    schema, plane = cases[0].grid.schema, fields.pop("plane", "axial")
    record = PreprocessingRecord(plane, modalities, modalities[0], (1.0, 1.0), (16, 16), schema.key)
    return StudyContent(title, schema, modalities, modalities[0], record, cases, version="0.1.0", **fields)


def with_labels(one: CaseContent, labels: dict[int, np.ndarray], **fields: Any) -> CaseContent:
    """The case with these slices annotated, and no others."""
    made = (annotation(SliceRef(one.case.name, one.grid.frame.axis, k), values, **fields) for k, values in labels.items())
    return replace(one, annotations=tuple(made))


def stage(content: StudyContent) -> Stage:
    return Stage("export", len(content.cases))


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def native_slice(volume: np.ndarray, frame: SliceFrame, index: int) -> np.ndarray:
    """Canonical slice of a native volume, step by step."""
    plane = np.take(volume, index, axis=frame.axis)
    plane = plane.T if frame.transpose else plane
    plane = plane[::-1] if frame.flip_rows else plane
    return plane[:, ::-1] if frame.flip_columns else plane
