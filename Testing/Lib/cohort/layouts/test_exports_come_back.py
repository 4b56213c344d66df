"""Datasets that this program exported, opened as cohorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_content import make_case, make_content, read, stage

from SuggestiveAnnotationLib.cohort.files.read import read_geometry
from SuggestiveAnnotationLib.cohort.recognise import plan_folder
from SuggestiveAnnotationLib.engine.cohort import as_created
from SuggestiveAnnotationLib.export import bids, nnunet
from SuggestiveAnnotationLib.export.case import write_labelmaps


def contents(folder: Path, direction: str) -> Any:
    return make_content(make_case(folder, "sub-10", direction=direction), make_case(folder, "sub-11", direction=direction))


@pytest.mark.parametrize("direction", ["identity", "oblique"])
def test_an_nnunet_dataset(tmp_path: Path, direction: str) -> None:
    content = contents(tmp_path / "in", direction)
    nnunet.write(tmp_path / "out", content, overwrite=False, stage=stage(content))
    plan = plan_folder(tmp_path / "out/Dataset501_My-study")
    assert (plan.layout, plan.modalities, plan.excluded, plan.warnings) == ("nnU-Net", content.modalities, (), ())
    assert [(c.name, c.role) for c in plan.usable] == [("sub-10", "pool"), ("sub-11", "pool")]
    assert plan.schema is not None
    assert [c.name for c in plan.schema.classes] == [c.name for c in content.schema.classes]
    assert plan.schema.ignore_value == len(content.schema.classes) + 1
    for one, case in zip(content.cases, plan.usable, strict=True):
        assert case.geometry.same_grid(one.grid.geometry)
        assert np.array_equal(read(case.images["T1"]), read(one.case.images["T1"]))
        labels = read(case.label)
        assert set(np.unique(labels)) <= {0, *(c.value for c in plan.schema.classes), plan.schema.ignore_value}


@pytest.mark.parametrize("direction", ["identity", "oblique"])
def test_a_bids_derivative_beside_its_raw_images(tmp_path: Path, direction: str) -> None:
    content = contents(tmp_path / "in", direction)
    for one in content.cases:
        anat = tmp_path / "set" / one.case.name / "anat"
        anat.mkdir(parents=True)
        sitk.WriteImage(sitk.ReadImage(one.case.images["T1"]), str(anat / f"{one.case.name}_T1w.nii.gz"))
    bids.write(tmp_path / "set/derivatives", content, overwrite=False, stage=stage(content))
    plan = plan_folder(tmp_path / "set")
    assert (plan.layout, plan.excluded, plan.warnings, plan.alternatives) == ("BIDS", (), (), {})
    assert plan.schema is not None
    by_value = sorted(content.schema.classes, key=lambda c: c.value)
    assert [(c.value, c.name, c.colour, c.terminology) for c in plan.schema.classes] == [
        (c.value, c.name, c.colour, c.terminology) for c in by_value
    ]
    assert plan.schema.ignore_value == content.schema.ignore_value
    for one, case in zip(content.cases, plan.usable, strict=True):
        assert case.label is not None
        assert np.array_equal(read(case.label), one.volume()[0])
        assert read_geometry(case.label).same_grid(case.geometry)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_labelmaps_beside_their_images(tmp_path: Path, suffix: str) -> None:
    content = contents(tmp_path / "in", "identity")
    for one in content.cases:
        (tmp_path / "set/images").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.ReadImage(one.case.images["T1"]), str(tmp_path / f"set/images/{one.case.name}_T1.nii.gz"))
    write_labelmaps(tmp_path / "set/export", content, suffix=suffix, overwrite=False, stage=stage(content))
    plan = as_created(plan_folder(tmp_path / "set", layout="names"))
    assert (plan.excluded, plan.warnings, [c.mask for c in plan.cases]) == ((), (), [None, None])
    assert plan.schema is not None
    assert plan.schema.ignore_value == content.schema.ignore_value
    assert {(c.value, c.name, c.colour, c.terminology) for c in plan.schema.classes} == {
        (c.value, c.name, c.colour, c.terminology) for c in content.schema.classes
    }
    for one, case in zip(content.cases, plan.usable, strict=True):
        assert case.label is not None
        assert np.array_equal(read(case.label), one.volume()[0])
