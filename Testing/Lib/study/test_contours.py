"""Contour agreement on slices of a study: spacing, schema, and the edge of a mask that the image was stripped with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, SliceRef

SCHEMA = LabelSchema("one", (LabelClass(1, "tissue", (200, 100, 50)),))
REF = SliceRef("case", 0, 1)


def make(folder: Path, schema: LabelSchema) -> Study:
    """Three slices of 12 x 12 pixels of 2 x 3 mm (row x column); the mask is rows 2..9, columns 2..9; the tissue fills its upper half."""
    rng = np.random.default_rng(0)
    mask = np.zeros((3, 12, 12), np.uint8)
    mask[:, 2:10, 2:10] = 1
    labels = mask.copy()
    labels[:, 6:] = 0
    paths = {}
    for name, array in (("t1", (mask * rng.normal(100, 9, mask.shape)).astype(np.float32)), ("mask", mask), ("label", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((3.0, 2.0, 4.0))
        paths[name] = str(folder / f"{name}.nii.gz")
        sitk.WriteImage(image, paths[name])
    geometry = Geometry((12, 12, 3), (3.0, 2.0, 4.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    case = Case("case", "p", "pool", {"t1": paths["t1"]}, label=paths["label"], mask=paths["mask"], geometry=geometry)
    study = Study.create(folder / "study", name="s", cases=[case], schema=schema, modalities=("t1",), reference="t1")
    prepare(study, plane="axial", pixels=32)
    return study


@pytest.mark.parametrize(
    ("exclude", "length"),
    [
        # 8 columns of 3 mm above and below, 4 rows of 2 mm on each side.
        (False, 2 * 8 * 3 + 2 * 4 * 2),
        # Only the border inside the mask is left.
        (True, 8 * 3),
    ],
)
def test_the_edge_of_the_mask_counts_only_where_the_schema_says_so(tmp_path: Path, exclude: bool, length: float) -> None:
    study = make(tmp_path, replace(SCHEMA, exclude_mask_edge=exclude))
    labels = np.array(study.reference_labels("case")[REF.native_index])
    agreement = slice_agreement(study, REF, reference=labels, prediction=labels)
    assert agreement.of(1).reference_mm == length
    assert agreement.of(1).of_reference == 1
