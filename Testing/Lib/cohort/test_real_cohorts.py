"""Public cohorts in the layouts they come in. SUGGESTIVE_ANNOTATION_DATA names the folder that holds malc2012, brats2013, ms-lesions."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.checks import examine_case
from SuggestiveAnnotationLib.cohort.convert import convert
from SuggestiveAnnotationLib.cohort.files.read import read_labels, read_volume
from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge
from SuggestiveAnnotationLib.cohort.labels.schema import guess_schema, load_schema
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.cohort.recognise import plan_folder


def cohort(name: str) -> Path:
    root = os.environ.get("SUGGESTIVE_ANNOTATION_DATA", "")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"SUGGESTIVE_ANNOTATION_DATA does not name a folder with {name}")
    return Path(root) / name


def test_malc_is_found_with_its_table_and_its_tissue_labels_fit() -> None:
    folder = cohort("malc2012")
    plan = discover(folder, label="tissue/*", table=folder / "subjects.csv")
    assert Counter(c.role for c in plan.cases) == {"pool": 15, "test": 9}
    assert (plan.modalities, len({c.patient for c in plan.cases})) == (("T1",), 24)
    schema = load_schema("malc-tissue")
    report = examine_case(plan.cases[0], schema, plan.modalities, plane="axial")
    assert (report.problems, report.warnings) == ((), ())


@pytest.mark.slow
def test_every_malc_label_has_a_place_among_the_25_structures() -> None:
    plan = discover(cohort("malc2012"))
    schema = load_schema("malc-25")
    for case in plan.usable:
        assert case.label is not None
        assert case.mask is not None
        merged = apply_merge(read_labels(case.label)[0], schema, read_labels(case.mask)[0])
        assert set(np.unique(merged)) == {0, *range(1, 26), 255}


def test_brats_is_found_and_its_labels_fit() -> None:
    plan = discover(cohort("brats2013"))
    assert (len(plan.usable), plan.modalities, plan.excluded) == (6, ("T1c", "FLAIR"), ())
    assert [c.value for c in guess_schema(plan.usable).classes] == [1, 2, 3, 4]
    assert examine_case(plan.cases[0], load_schema("brats"), plan.modalities, plane="axial").problems == ()


def test_ms_lesions_are_found_and_their_labels_fit() -> None:
    plan = discover(cohort("ms-lesions"))
    assert ([c.name for c in plan.usable], plan.modalities) == (["patient07", "patient19", "patient26"], ("T1", "FLAIR"))
    for case in plan.usable:
        assert examine_case(case, load_schema("ms-lesions"), plan.modalities, plane="axial").problems == ()


def test_malc_is_recognised_with_its_own_table() -> None:
    plan = plan_folder(cohort("malc2012"))
    assert plan.layout == "MALC 2012, cut out"
    assert Counter(c.role for c in plan.usable) == {"pool": 15, "test": 9}
    assert len({c.patient for c in plan.usable}) == 24
    assert plan.schema == load_schema("malc-25")
    tissue = plan_folder(cohort("malc2012"), label="tissue/*")
    assert tissue.schema == load_schema("malc-tissue")
    assert examine_case(tissue.cases[0], tissue.schema, tissue.modalities, plane="axial").problems == ()


def test_brats_is_recognised() -> None:
    plan = plan_folder(cohort("brats2013"))
    assert (plan.layout, plan.modalities, len(plan.usable)) == ("BraTS 2015", ("T1c", "FLAIR"), 6)
    assert plan.cases[0].patient == "brats_2013_pat0001"
    assert plan.schema == load_schema("brats")
    assert all(c.label and c.mask for c in plan.usable)


def test_malc_as_bids(tmp_path: Path) -> None:
    folder = cohort("malc2012")
    for n in (1000, 1001):
        anat, derived = tmp_path / f"sub-{n}/anat", tmp_path / f"derivatives/manual/sub-{n}/anat"
        anat.mkdir(parents=True)
        derived.mkdir(parents=True)
        os.symlink(folder / f"T1_brain/{n}_SS.nii.gz", anat / f"sub-{n}_T1w.nii.gz")
        os.symlink(folder / f"tissue/{n}_classified.nii.gz", derived / f"sub-{n}_desc-tissue_dseg.nii.gz")
        os.symlink(folder / f"brainmask/{n}_mask.nii.gz", derived / f"sub-{n}_desc-brain_mask.nii.gz")
    (tmp_path / "derivatives/manual/desc-tissue_dseg.tsv").write_text("index\tname\n1\tCSF\n2\tGM\n3\tWM\n")
    plan = plan_folder(tmp_path)
    assert (plan.layout, [c.name for c in plan.usable], plan.warnings) == ("BIDS", ["sub-1000", "sub-1001"], ())
    assert plan.schema is not None
    assert [c.name for c in plan.schema.classes] == ["CSF", "GM", "WM"]
    assert examine_case(plan.cases[0], plan.schema, plan.modalities, plane="axial").problems == ()


def test_brats_as_nnunet_raw(tmp_path: Path) -> None:
    folder = cohort("brats2013")
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (tmp_path / part).mkdir()
    for n, part in ((1, "Tr"), (2, "Tr"), (3, "Ts")):
        case = folder / f"brats_2013_pat000{n}_1"
        os.symlink(case / "Flair_subtrMeanDivStd.nii.gz", tmp_path / f"images{part}/pat_{n}_0000.nii.gz")
        os.symlink(case / "T1c_subtrMeanDivStd.nii.gz", tmp_path / f"images{part}/pat_{n}_0001.nii.gz")
        if part == "Tr":
            os.symlink(case / "OTMultiClass.nii.gz", tmp_path / f"labelsTr/pat_{n}.nii.gz")
    labels = {"background": 0, "whole tumour": [1, 2, 3, 4], "tumour core": [1, 3, 4], "enhancing": 4}
    description = {"channel_names": {"0": "FLAIR", "1": "T1c"}, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    plan = plan_folder(tmp_path)
    assert [(c.name, c.role) for c in plan.usable] == [("pat_1", "pool"), ("pat_2", "pool"), ("pat_3", "test")]
    assert plan.schema is not None
    assert plan.schema.regions["tumour core"] == (1, 3, 4)
    assert examine_case(plan.cases[0], plan.schema, plan.modalities, plane="axial").problems == ()


def test_brats_as_the_decathlon(tmp_path: Path) -> None:
    case = cohort("brats2013") / "brats_2013_pat0001_1"
    images = [sitk.ReadImage(str(case / f"{name}_subtrMeanDivStd.nii.gz")) for name in ("Flair", "T1c")]
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    sitk.WriteImage(sitk.JoinSeries(images), str(tmp_path / "imagesTr/BRATS_001.nii"))
    os.symlink(case / "OTMultiClass.nii.gz", tmp_path / "labelsTr/BRATS_001.nii.gz")
    description = {
        "modality": {"0": "FLAIR", "1": "t1gd"},
        "labels": {"0": "background", "1": "a", "2": "b", "3": "c", "4": "d"},
        "training": [{"image": "./imagesTr/BRATS_001.nii", "label": "./labelsTr/BRATS_001.nii.gz"}],
        "test": [],
        "numTraining": 1,
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    plan = plan_folder(tmp_path)
    assert (plan.layout, len(plan.usable)) == ("Medical Segmentation Decathlon", 1)
    assert plan.schema is not None
    (made,) = convert(plan.cases, plan.sources, tmp_path / "study", reference=plan.reference, schema=plan.schema)
    assert np.array_equal(read_volume(made.images["t1gd"]).array, sitk.GetArrayFromImage(images[1]))
    assert examine_case(made, plan.schema, plan.modalities, plane="axial").problems == ()
