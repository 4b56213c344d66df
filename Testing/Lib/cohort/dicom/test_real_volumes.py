"""Public volumes written as DICOM and read back. SUGGESTIVE_ANNOTATION_DATA names the folder that holds brats2013 and ms-lesions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series

from SuggestiveAnnotationLib.cohort.convert import convert
from SuggestiveAnnotationLib.cohort.dicom.plan import plan_dicom
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_volume
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

SCHEMA = LabelSchema("one", (LabelClass(1, "lesion", (255, 0, 0)),))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["brats2013", "ms-lesions"])
def test_a_real_case_comes_back_voxel_by_voxel(tmp_path: Path, name: str) -> None:
    root = os.environ.get("SUGGESTIVE_ANNOTATION_DATA", "")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"SUGGESTIVE_ANNOTATION_DATA does not name a folder with {name}")
    case = discover(Path(root) / name).usable[0]
    written = {}
    for number, (modality, path) in enumerate(case.images.items()):
        volume = read_volume(path)
        grid = volume.geometry
        low, high = float(volume.array.min()), float(volume.array.max())
        slope = (high - low) / 30000
        stored = np.rint((volume.array - low) / slope).astype(np.int16)
        written[modality] = (stored * np.float64(f"{slope:.10g}") + np.float64(f"{low:.10g}"), grid)
        write_series(
            tmp_path / "dicom" / modality,
            array=stored,
            spacing=grid.spacing[::-1],
            origin=grid.origin_lps,
            direction=np.reshape(grid.direction_lps, (3, 3)),
            description={"T1c": "t1 KM", "T1": "t1_mprage", "FLAIR": "t2_tirm dark-fluid"}[modality],
            series_number=number + 1,
            slope=float(f"{slope:.10g}"),
            intercept=float(f"{low:.10g}"),
        )
    plan = plan_dicom(tmp_path / "dicom")
    assert (set(plan.modalities), [c.role for c in plan.cases]) == (set(written), ["pool"])
    (made,) = convert(plan.cases, plan.sources, tmp_path / "images", reference=plan.reference, schema=SCHEMA)
    assert made.role == "pool", made.problems
    for modality, (values, grid) in written.items():
        right_handed = np.linalg.det(np.reshape(grid.direction_lps, (3, 3))) > 0
        expected = values if right_handed else values[::-1]
        np.testing.assert_array_equal(read_volume(made.images[modality]).array, expected.astype(np.float32))
        if right_handed:
            assert read_geometry(made.images[modality]).same_grid(grid)
