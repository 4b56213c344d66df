"""Labels of public volumes as DICOM SEG and `.seg.nrrd`, out and in again. SUGGESTIVE_ANNOTATION_DATA names the folder of the volumes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from Support.dataset_content import make_content, stage
from Support.dicom_content import dicom_case
from Support.dicom_validation import dicom_errors

from SuggestiveAnnotationLib.cohort.files.itk import sitk
from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on, read_label_file
from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.cohort.labels.segment_values import values_by_name
from SuggestiveAnnotationLib.export import dicom_seg, seg_nrrd

CASES = {
    "malc2012": ("T1_brain/1000_SS.nii.gz", "labels/1000_glm.nii.gz", "malc-25"),
    "brats2013": ("brats_2013_pat0001_1/T1c_subtrMeanDivStd.nii.gz", "brats_2013_pat0001_1/OTMultiClass.nii.gz", "brats"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_real_labels_come_back_pixel_by_pixel(tmp_path: Path, name: str) -> None:
    root = Path(os.environ.get("SUGGESTIVE_ANNOTATION_DATA", ""))
    image_name, label_name, schema_name = CASES[name]
    if not os.environ.get("SUGGESTIVE_ANNOTATION_DATA") or not (root / name).is_dir():
        pytest.skip(f"SUGGESTIVE_ANNOTATION_DATA does not name a folder with {name}")
    schema = replace(load_schema(schema_name), ignore_unlabelled_in_mask=False)
    image, drawn = (sitk.DICOMOrient(sitk.ReadImage(str(root / name / part)), "LPS") for part in (image_name, label_name))
    voxels = sitk.GetArrayFromImage(image)
    stored = np.rint((voxels - voxels.min()) / (voxels.max() - voxels.min()) * 4000).astype(np.uint16)
    labels = apply_merge(np.rint(sitk.GetArrayFromImage(drawn)).astype(np.int32), schema)
    busiest = np.argsort([-len(np.unique(one)) for one in labels])[:4]
    empty = next(k for k, one in enumerate(labels) if not one.any())
    case = dicom_case(
        tmp_path,
        schema=schema,
        array=stored,
        labels=labels,
        slices={int(k): {} for k in (*busiest, empty)},
        direction=np.reshape(image.GetDirection(), (3, 3)),
        spacing=image.GetSpacing()[::-1],
        origin=image.GetOrigin(),
    )
    content = make_content(case)
    wanted = np.where(case.volume()[1], labels, 0)
    assert len(np.unique(wanted)) > 3
    for exporter in (dicom_seg, seg_nrrd):
        done = exporter.write(tmp_path / "out", content, overwrite=True, stage=stage(content))
        file = read_label_file(done.files[0])
        placed = labels_on(file, case.grid.geometry, name="a", reference_name="b")
        assert np.array_equal(values_by_name(placed, file.classes, schema, name="a"), wanted)
        assert [(c.name, c.colour, c.terminology) for c in file.classes] == [(c.name, c.colour, c.terminology) for c in schema.classes]
    assert dicom_errors(tmp_path / "out" / "c1_annotation.dcm") == []
