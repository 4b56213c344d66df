"""A case whose image was made from DICOM files, as an exporter is given it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from Support.dataset_content import SCHEMA, annotation
from Support.dicom_files import ramp, write_multiframe, write_series

from SuggestiveAnnotationLib.cohort.dicom.volume import read_series
from SuggestiveAnnotationLib.cohort.files.write import write_array_as
from SuggestiveAnnotationLib.cohort.origin import Origin, Source
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.content import CaseContent
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.types import Case, LabelSchema, SliceRef


def dicom_case(
    folder: Path,
    name: str = "c1",
    *,
    shape: tuple[int, int, int] = (8, 10, 12),
    direction: np.ndarray | None = None,
    slices: Mapping[int, Mapping[str, Any]] | None = None,
    axis: int = 0,
    schema: LabelSchema = SCHEMA,
    multi: bool = False,
    array: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    models: Mapping[int, int] | None = None,
    **dicom: Any,
) -> CaseContent:
    """A series of `shape`, its volume with its origin beside it, and annotations with random labels of the schema, ignore among them.

    Args:
        direction: of the series. slices: native index -> fields of its annotation; `labels` among them is the canonical slice.
        axis: array axis that slices are taken across. array: voxels. labels: annotate with these `(k, j, i)`.
        dicom: more for the maker of the series.
    """
    voxels = ramp(shape) if array is None else array
    given = {"array": voxels, "spacing": (3.3, 1.1, 0.9), "direction": direction, "patient_id": f"ID-{name}", **dicom}
    files = [write_multiframe(folder / name / "multi", **given)] if multi else write_series(folder / name, **given)
    volume, instances = read_series([str(file) for file in files])
    image = folder / f"{name}.nrrd"
    write_array_as(image, image, volume.array, volume.geometry)
    source = Source("dicom series", tuple(map(str, files)))
    Origin(source, source.stamps(), instances).save(image)
    frame = next(f for plane in ("axial", "coronal", "sagittal") if (f := SliceFrame.of(volume.geometry, plane)).axis == axis)
    rng = np.random.default_rng(0)
    values = np.array([*schema.values, schema.ignore_value], np.uint16)
    made = []
    for k, fields in (slices or {1: {}, 2: {}, 5: {}}).items():
        drawn = rng.choice(values, (frame.rows, frame.columns)) if labels is None else frame.stack(labels)[k]
        rest = {key: value for key, value in fields.items() if key != "labels"}
        made.append(annotation(SliceRef(name, axis, k), fields.get("labels", drawn), **rest))
    case = Case(name=name, patient=name, role="pool", images={"T1": str(image)}, geometry=volume.geometry)
    return CaseContent(case, CaseGrid(name, volume.geometry, frame, schema), tuple(made), models=models or {})
