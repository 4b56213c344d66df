"""nnU-Net datasets, read back voxel by voxel, and checked by nnU-Net itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_content import DIRECTIONS, WIDE, geometry_of, make_case, make_content, native_slice, read, stage, with_labels, write_image
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.files.read import Volume
from SuggestiveAnnotationLib.cohort.files.resample import resample_onto
from SuggestiveAnnotationLib.cohort.layouts.dataset_json import plan_dataset
from SuggestiveAnnotationLib.errors import ExistsError, InputError, StorageError
from SuggestiveAnnotationLib.export import nnunet
from SuggestiveAnnotationLib.export.nnunet import label_values, splits
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

VERIFY = """
import sys
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
if __name__ == "__main__":
    verify_dataset_integrity(sys.argv[1], num_processes=1)
"""


def write(folder, content, *, overwrite=False):
    return nnunet.write(folder, content, overwrite=overwrite, stage=stage(content))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_every_voxel_is_the_annotation_or_ignore(tmp_path, direction, plane):
    one = make_case(tmp_path / "in", "sub-10", direction=direction, plane=plane)
    write(tmp_path, make_content(one, plane=plane))
    dataset = tmp_path / "Dataset501_My-study"
    labels = read(dataset / "labelsTr" / "sub-10.nii.gz")
    expected = {0: 0, 7: 1, 2: 2, 255: 3}
    for index in range(one.grid.frame.count):
        drawn = next((a.labels for a in one.annotations if a.ref.native_index == index), None)
        want = 3 if drawn is None else np.vectorize(expected.get)(drawn)
        assert (native_slice(labels, one.grid.frame, index) == want).all()
    image = sitk.ReadImage(str(dataset / "imagesTr" / "sub-10_0000.nii.gz"))
    g = one.grid.geometry
    np.testing.assert_allclose(image.GetDirection(), g.direction_lps, atol=1e-6)
    np.testing.assert_allclose(image.GetSpacing(), g.spacing, rtol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), g.origin_lps, atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), read(one.case.images["T1"]))


def test_the_dataset_json_is_what_nn_unet_asks_for(tmp_path):
    one = make_case(tmp_path / "in", "a", modalities=("T1", "FLAIR"))
    exported = write(tmp_path, make_content(one, modalities=("T1", "FLAIR")))
    data = json.loads((tmp_path / "Dataset501_My-study" / "dataset.json").read_text(encoding="utf-8"))
    assert data["channel_names"] == {"0": "T1", "1": "FLAIR"}
    assert data["labels"] == {"background": 0, "lesion": 1, "grey matter": 2, "ignore": 3}
    assert (data["numTraining"], data["file_ending"], data["name"]) == (1, ".nii.gz", "My study")
    mapping = json.loads((tmp_path / "Dataset501_My-study" / "label_values.json").read_text(encoding="utf-8"))
    assert [(s["value"], s["nnunet_label"]) for s in mapping["structures"]] == [(7, 1), (2, 2)]
    assert mapping["ignore"] == {"value": 255, "nnunet_label": 3}
    assert mapping["cases"] == {"a": "a"}
    (said,) = exported.left_out
    assert "one person" in said
    names = sorted(p.relative_to(tmp_path / "Dataset501_My-study").as_posix() for p in exported.files)
    assert names == [
        "README.md",
        "dataset.json",
        "imagesTr/a_0000.nii.gz",
        "imagesTr/a_0001.nii.gz",
        "label_values.json",
        "labelsTr/a.nii.gz",
        nnunet.MARKER,
    ]


def test_other_modalities_are_resampled_onto_the_grid_of_the_reference(tmp_path):
    one = make_case(tmp_path / "in", "a", modalities=("T1", "FLAIR"), other_grid=True, direction="oblique")
    write(tmp_path, make_content(one, modalities=("T1", "FLAIR")))
    files = [tmp_path / "Dataset501_My-study" / "imagesTr" / f"a_000{c}.nii.gz" for c in (0, 1)]
    assert sitk.ReadImage(str(files[0])).GetSize() == sitk.ReadImage(str(files[1])).GetSize() == (7, 6, 5)
    moving = sitk.ReadImage(one.case.images["FLAIR"], sitk.sitkFloat32)
    outside = float(sitk.GetArrayViewFromImage(moving).min())
    expected = sitk.Resample(moving, sitk.ReadImage(one.case.images["T1"]), sitk.Transform(), sitk.sitkLinear, outside)
    np.testing.assert_allclose(read(files[1]), sitk.GetArrayFromImage(expected), atol=1e-4)


def test_values_above_255_become_consecutive(tmp_path):
    one = make_case(tmp_path / "in", "a", schema=WIDE)
    write(tmp_path, make_content(one))
    labels = read(tmp_path / "Dataset501_My-study" / "labelsTr" / "a.nii.gz")
    assert labels.dtype == np.uint8
    assert (labels[0] == np.vectorize({0: 0, 1002: 1, 40: 2, 65535: 3}.get)(one.annotations[0].labels)).all()
    assert (labels[1] == 3).all()


def test_many_structures_take_sixteen_bits(tmp_path):
    schema = LabelSchema("many", tuple(LabelClass(1000 + i, f"s{i}", (1, 1, 1)) for i in range(300)), ignore_value=65535)
    one = make_case(tmp_path / "in", "a", schema=schema)
    one = with_labels(one, {1: np.full((6, 7), 1299)})
    write(tmp_path, make_content(one))
    labels = read(tmp_path / "Dataset501_My-study" / "labelsTr" / "a.nii.gz")
    assert (labels[1] == 300).all()
    assert (labels[0] == 301).all()


def test_structures_called_background_and_ignore_keep_nn_unets_names_free(tmp_path):
    classes = tuple(LabelClass(v, name, (1, 1, 1)) for v, name in ((3, "ignore"), (5, "background"), (4, "skull")))
    one = make_case(tmp_path / "in", "a", schema=LabelSchema("odd", classes))
    write(tmp_path, make_content(one))
    labels = json.loads((tmp_path / "Dataset501_My-study" / "dataset.json").read_text(encoding="utf-8"))["labels"]
    assert labels == {"background": 0, "ignore (3)": 1, "background (5)": 2, "skull": 3, "ignore": 4}


NESTED = LabelSchema(
    "nested",
    tuple(LabelClass(value, name, (1, 1, value)) for value, name in ((4, "enhancing"), (1, "necrosis"), (2, "oedema"))),
    regions={"core": (1, 4), "whole": (1, 2, 4), "enhancing tumour": (4,)},
)


def test_regions_are_written_so_that_each_structure_keeps_its_label(tmp_path):
    one = make_case(tmp_path / "in", "a", schema=NESTED)
    write(tmp_path, make_content(one))
    dataset = tmp_path / "Dataset501_My-study"
    data = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    assert list(data["labels"].items()) == [
        ("background", 0),
        ("whole", [1, 2, 3]),
        ("core", [1, 2]),
        ("enhancing tumour", 1),
        ("ignore", 4),
    ]
    labels = read(dataset / "labelsTr" / "a.nii.gz")
    # As nnU-Net makes labels of the regions that it predicts: one over the other, in the order that is given.
    again = np.where(labels == 4, 4, 0)
    for members, written in zip([[1, 2, 3], [1, 2], [1]], data["regions_class_order"], strict=True):
        again[np.isin(labels, members)] = written
    assert (again == labels).all()
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}
    schema = plan_dataset(dataset).schema
    assert [(c.value, c.name) for c in schema.classes] == [(1, "enhancing"), (2, "necrosis"), (3, "oedema")]
    assert schema.regions == {"core": (1, 2), "whole": (1, 2, 3), "enhancing tumour": (1,)}
    assert schema.ignore_value == 4
    mapping = json.loads((dataset / "label_values.json").read_text(encoding="utf-8"))
    assert mapping["regions"][1] == {"name": "whole", "nnunet_labels": [2, 3, 1]}


@pytest.mark.parametrize(
    "regions",
    [
        {"one": (4,), "other": (4,), "whole": (1, 2, 4), "part": (1, 4)},
        {"part": (1, 2)},
        {"whole": (1, 2, 4), "core": (4,)},
        {"other name": (4,), "x": (1,), "y": (2,)},
    ],
)
def test_regions_that_do_not_tell_structures_apart_are_left_out_and_said(tmp_path, regions):
    one = make_case(tmp_path / "in", "a", schema=replace(NESTED, regions=regions))
    left_out = write(tmp_path, make_content(one)).left_out
    data = json.loads((tmp_path / "Dataset501_My-study" / "dataset.json").read_text(encoding="utf-8"))
    assert data["labels"] == {"background": 0, "enhancing": 1, "necrosis": 2, "oedema": 3, "ignore": 4}
    assert "regions_class_order" not in data
    assert f"The regions {', '.join(regions)}: nnU-Net trains by regions only where they tell all structures apart." in left_out


def test_a_dataset_with_regions_goes_out_as_it_came_in(tmp_path):
    given = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ignore (region)": [3], "ignore": 4}
    (tmp_path / "came").mkdir()
    for place in ("imagesTr/a_0000", "labelsTr/a"):
        write_image(tmp_path / "came" / f"{place}.nii.gz", np.zeros((5, 6, 7), np.uint8), geometry_of(np.eye(3)))
    about = {"channel_names": {"0": "T1"}, "labels": given, "regions_class_order": [1, 2, 3], "numTraining": 1, "file_ending": ".nii.gz"}
    (tmp_path / "came" / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    came = plan_dataset(tmp_path / "came").schema
    write(tmp_path, make_content(make_case(tmp_path / "in", "a", schema=came)))
    went = plan_dataset(tmp_path / "Dataset501_My-study").schema
    assert (went.classes, went.regions, went.ignore_value) == (came.classes, came.regions, came.ignore_value)


def test_test_cases_are_kept_apart(tmp_path):
    roles = ("pool", "validation", "test")
    cases = [make_case(tmp_path / "in", f"case{i}", number=i, role=role) for i, role in enumerate(roles)]
    write(tmp_path, make_content(*cases))
    dataset = tmp_path / "Dataset501_My-study"
    for part, names in {"Tr": ["case0", "case1"], "Ts": ["case2"]}.items():
        assert sorted(os.listdir(dataset / f"labels{part}")) == [f"{n}.nii.gz" for n in names]
        assert sorted(os.listdir(dataset / f"images{part}")) == [f"{n}_0000.nii.gz" for n in names]
    assert json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 2
    folds = json.loads((dataset / "splits_final.json").read_text(encoding="utf-8"))
    assert sorted(fold["val"] for fold in folds) == [["case0"], ["case1"]]


def test_what_cannot_train_is_left_out_and_said(tmp_path):
    good = make_case(tmp_path / "in", "good", modalities=("T1", "T2"))
    empty = with_labels(make_case(tmp_path / "in", "blank", number=1, modalities=("T1", "T2")), {0: np.full((6, 7), 255)})
    lone = make_case(tmp_path / "in", "lone", number=2)
    out = make_case(tmp_path / "in", "out", number=3, modalities=("T1", "T2"), role="excluded")
    exported = write(tmp_path, make_content(good, empty, lone, out, modalities=("T1", "T2")))
    assert os.listdir(tmp_path / "Dataset501_My-study" / "labelsTr") == ["good.nii.gz"]
    said = " ".join(exported.left_out)
    assert "Case blank is left out: every annotated pixel is marked to be ignored." in said
    assert "Case lone is left out: it has no image T2." in said
    assert "Case out is left out: it is excluded from the study." in said


def test_a_dataset_without_a_case_to_train_on_is_refused(tmp_path):
    content = make_content(make_case(tmp_path / "in", "a", role="test"))
    with pytest.raises(InputError, match="at least one case that is not a test case"):
        write(tmp_path / "out", content)
    assert not (tmp_path / "out").exists()


def test_an_earlier_annotation_of_the_same_slice_is_counted(tmp_path):
    one = make_case(tmp_path / "in", "a", slices=(1,))
    early = replace(one.annotations[0], id=99, annotator="ben", accepted_at="2025-01-01T10:00:00.000+00:00")
    exported = write(tmp_path, make_content(replace(one, annotations=(*one.annotations, early))))
    assert "1 annotation is left out because somebody accepted the same slice later." in exported.left_out


# --- names, ids and overwriting


def test_names_that_files_cannot_have_are_made_safe_and_listed(tmp_path):
    names = ["visit 1", "a/b", "../up", "Müller", "日本", "x" * 300, "A", "a", "nul"]
    cases = [make_case(tmp_path / "in", name, number=i, slices=(1,)) for i, name in enumerate(names)]
    write(tmp_path / "out", make_content(*cases, title="../Ärzte / 1"))
    assert os.listdir(tmp_path / "out") == ["Dataset501_Arzte-1"]
    dataset = tmp_path / "out" / "Dataset501_Arzte-1"
    mapping = json.loads((dataset / "label_values.json").read_text(encoding="utf-8"))["cases"]
    assert mapping.keys() == set(names)
    assert sorted(os.listdir(dataset / "labelsTr")) == sorted(f"{stem}.nii.gz" for stem in mapping.values())
    for one in cases:
        assert (read(dataset / "labelsTr" / f"{mapping[one.case.name]}.nii.gz")[1] < 4).all()
        np.testing.assert_array_equal(read(dataset / "imagesTr" / f"{mapping[one.case.name]}_0000.nii.gz"), read(one.case.images["T1"]))


def test_the_smallest_free_id_is_taken(tmp_path):
    (tmp_path / "Dataset501_Other").mkdir()
    (tmp_path / "Dataset503_Other").mkdir()
    content = make_content(make_case(tmp_path / "in", "a"))
    write(tmp_path, content)
    write(tmp_path, content)
    found = sorted(p.name for p in tmp_path.iterdir() if p.name != "in")
    assert found == ["Dataset501_Other", "Dataset502_My-study", "Dataset503_Other", "Dataset504_My-study"]


def test_overwriting_replaces_the_dataset_of_the_same_study_only(tmp_path):
    mine, other = (make_content(make_case(tmp_path / "in", name, number=i), key=name) for i, name in enumerate("ab"))
    write(tmp_path, other)
    write(tmp_path, mine)
    # Both are called the same.
    write(tmp_path, replace(make_content(make_case(tmp_path / "in", "c", number=2)), key="a"), overwrite=True)
    assert os.listdir(tmp_path / "Dataset501_My-study" / "labelsTr") == ["b.nii.gz"]
    assert os.listdir(tmp_path / "Dataset502_My-study" / "labelsTr") == ["c.nii.gz"]
    assert sorted(os.listdir(tmp_path)) == ["Dataset501_My-study", "Dataset502_My-study", "in"]


def test_an_interrupted_overwrite_is_mended_before_the_id_is_chosen(tmp_path):
    content = make_content(make_case(tmp_path / "in", "a"))
    write(tmp_path, content)
    hidden = tmp_path / ".Dataset501_My-study.suggestive-annotation-export"
    hidden.mkdir()
    (tmp_path / "Dataset501_My-study").rename(hidden / "old")
    write(tmp_path, content, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["Dataset501_My-study", "in"]


def test_no_free_id_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(nnunet, "LAST_ID", 502)
    for number in (501, 502):
        (tmp_path / f"Dataset{number}_x").mkdir()
    with pytest.raises(InputError, match="every id from 501 to 502"):
        write(tmp_path, make_content(make_case(tmp_path / "in", "a")))


# --- trouble


def test_an_image_that_is_gone_leaves_nothing_behind(tmp_path):
    good, gone = (make_case(tmp_path / "in", f"c{i}", number=i) for i in range(2))
    os.unlink(gone.case.images["T1"])
    with pytest.raises(InputError, match=r"case1_0\.nrrd does not exist"):
        write(tmp_path / "out", make_content(good, gone))
    assert os.listdir(tmp_path / "out") == []


def test_a_reference_image_that_changed_is_refused(tmp_path):
    one = make_case(tmp_path / "in", "a")
    other = replace(one.grid.geometry, spacing=(2.0, 2.0, 2.0))
    array = np.random.default_rng(0).normal(size=other.shape).astype(np.float32)
    write_image(tmp_path / "in" / "case0_0.nrrd", array, other)
    with pytest.raises(InputError, match="another voxel grid than case a had when the study was made"):
        write(tmp_path / "out", make_content(one))


def test_a_disk_that_takes_only_part_of_a_file_is_an_error_of_storage(tmp_path, monkeypatch):
    one = make_case(tmp_path / "in", "a")
    from SuggestiveAnnotationLib.export import case_images

    def cut(scratch, final, array, geometry, **_):
        original(scratch, final, array, geometry)
        data = scratch.read_bytes()
        scratch.write_bytes(data[: len(data) // 2])

    original = case_images.write_array_as
    monkeypatch.setattr(case_images, "write_array_as", cut)
    with pytest.raises(StorageError, match="Dataset501_My-study could not be written"):
        write(tmp_path / "out", make_content(one))
    assert os.listdir(tmp_path / "out") == []


def test_a_dataset_folder_made_meanwhile_is_not_touched(tmp_path):
    content = make_content(make_case(tmp_path / "in", "a"))

    class Meddling(type(stage(content))):
        def advance(self, *arguments, **options):
            (tmp_path / "Dataset501_My-study").mkdir()
            return super().advance(*arguments, **options)

    with pytest.raises((ExistsError, InputError), match="no dataset of this kind"):
        nnunet.write(tmp_path, content, overwrite=False, stage=Meddling("export", 1))
    assert os.listdir(tmp_path / "Dataset501_My-study") == []


# --- splits


@given(st.dictionaries(st.text(max_size=5), st.sampled_from("pqrstuvwxyz"), min_size=1, max_size=40))
def test_splits_keep_the_cases_of_a_person_together(patients):
    folds = splits(patients)
    people = set(patients.values())
    assert len(folds) == (min(5, len(people)) if len(people) > 1 else 0)
    assert splits(dict(reversed(patients.items()))) == folds
    for fold in folds:
        train, val = ({patients[c] for c in fold[part]} for part in ("train", "val"))
        assert not train & val
        assert train
        assert val
        assert sorted(fold["train"] + fold["val"]) == sorted(patients)
    if folds:
        assert sorted(c for fold in folds for c in fold["val"]) == sorted(patients)


def test_splits_are_balanced_by_hand():
    patients = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c", "d1": "d"}
    assert splits(patients, folds=2) == [
        {"train": ["b1", "b2", "c1"], "val": ["a1", "a2", "a3", "d1"]},
        {"train": ["a1", "a2", "a3", "d1"], "val": ["b1", "b2", "c1"]},
    ]


def test_label_values_follow_the_order_of_the_schema():
    assert label_values(WIDE) == {0: 0, 1002: 1, 40: 2, 65535: 3}


# --- nnU-Net's own check


def test_nn_unets_own_integrity_check_passes(tmp_path):
    python = os.environ.get("NNUNET_PYTHON") or (sys.executable if importlib.util.find_spec("nnunetv2") else "")
    if not python:
        pytest.skip("nnunetv2 is not installed; NNUNET_PYTHON may name a python that has it")
    names = ["visit 1", "a/b", "sub-01_ses-02", "a_0000", "a"]
    cases = [
        make_case(
            tmp_path / "in",
            name,
            number=i,
            direction=direction,
            plane="coronal",
            schema=WIDE,
            modalities=("T1", "T2"),
            other_grid=True,
            role="test" if i == 4 else "pool",
        )
        for i, (name, direction) in enumerate(zip(names, DIRECTIONS, strict=True))
    ]
    write(tmp_path, make_content(*cases, modalities=("T1", "T2"), plane="coronal"))
    script = tmp_path / "verify.py"
    script.write_text(VERIFY, encoding="utf-8")
    folders = {name: str(tmp_path) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    command = [python, str(script), str(tmp_path / "Dataset501_My-study")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, env={**os.environ, **folders})
    assert result.returncode == 0, result.stdout + result.stderr
    assert "verify_dataset_integrity Done" in result.stdout
    assert "Error" not in result.stdout
    assert "Warning" not in result.stdout


def test_resampling_is_that_of_the_study(tmp_path):
    """What trains nnU-Net is what the study's own networks see."""
    one = make_case(tmp_path / "in", "a", modalities=("T1", "T2"), other_grid=True)
    write(tmp_path, make_content(one, modalities=("T1", "T2")))
    image = sitk.ReadImage(one.case.images["T2"])
    geometry = replace(one.grid.geometry, size=image.GetSize(), spacing=image.GetSpacing())
    ours = resample_onto(Volume(sitk.GetArrayFromImage(image), geometry), one.grid.geometry)
    np.testing.assert_allclose(read(tmp_path / "Dataset501_My-study" / "imagesTr" / "a_0001.nii.gz"), ours.array, atol=1e-6)
