"""A small study with a round to annotate, made without training, for tests of the panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, Plane, Rationale, SliceRef, Suggestion, SuggestionKind

SHAPE = (10, 48, 40)
"""Voxels of an axial case `(k, j, i)`."""
SPACING = (1.0, 1.0, 2.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SCHEMA = LabelSchema(
    name="lobes",
    classes=(
        LabelClass(1, "left lobe", (230, 159, 0), terminology="SCT^5366008^Hippocampus"),
        LabelClass(4, "right lobe", (86, 180, 233)),
    ),
)


def square(value: int, *, top: int = 12, left: int = 10, side: int = 10, shape: tuple[int, int] = SHAPE[1:]) -> np.ndarray:
    """A canonical slice with one square."""
    labels = np.zeros(shape, np.uint16)
    labels[top : top + side, left : left + side] = value
    return labels


def write_case(folder: Path, name: str, *, seed: int, direction: tuple[float, ...] = STRAIGHT, shape: tuple[int, int, int] = SHAPE) -> Case:
    """Two sequences of an ellipsoid with noise, as NIfTI files."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (z / 0.95) ** 2 + (y / 0.85) ** 2 + (x / 0.8) ** 2 < 1
    images, geometry = {}, None
    for modality, level in (("t1", 100.0), ("flair", 60.0)):
        image = sitk.GetImageFromArray((inside * (level + rng.normal(0, 4, shape))).astype(np.int16))
        image.SetSpacing(SPACING)
        image.SetOrigin((-20.0, -24.0, 5.0))
        image.SetDirection(direction)
        images[modality] = str(folder / f"{name}_{modality}.nii.gz")
        sitk.WriteImage(image, images[modality])
        geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return Case(name=name, patient=name, role="pool", images=images, geometry=geometry)


def make_study(
    folder: Path, *, cases: int = 2, direction: tuple[float, ...] = STRAIGHT, shape: tuple[int, int, int] = SHAPE, plane: Plane = "axial"
) -> Study:
    """A prepared study without a round."""
    files = folder / "cohort"
    files.mkdir(parents=True)
    rows = [write_case(files, f"case{n}", seed=n, direction=direction, shape=shape) for n in range(cases)]
    study = Study.create(folder / "study", name="panel", cases=rows, schema=SCHEMA, modalities=("t1", "flair"), reference="t1")
    with study.lock():
        prepare(study, plane=plane, pixels=32)
    return study


def add_round(study: Study, chosen: dict[SliceRef, SuggestionKind], predictions: dict[SliceRef, np.ndarray] | None = None) -> int:
    """Publish a round with its suggestions and what a model predicted on them; its number. A round before it is finished."""
    newest = study.current_round()
    if newest is not None and newest.stage != "finished":
        study.finish_round(newest.number)
    number = study.start_round(strategy="random", budget=len(chosen), seed=0, unit="slice", settings={}).number
    weights = study.path / "models" / f"{number}.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=number)
    study.add_predictions(model.id, list((predictions or {}).items()))
    rows = [Suggestion(ref, rank, Rationale("random", "Drawn at random."), kind=kind) for rank, (ref, kind) in enumerate(chosen.items())]
    study.publish_suggestions(number, rows)
    study.enter_stage(number, "annotating")
    return number
