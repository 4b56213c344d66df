"""BIDS derivative datasets, read back by the names and tables that BIDS lays down."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_content import DIRECTIONS, WIDE, make_case, make_content, native_slice, read, stage, with_labels
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.errors import ExistsError, InputError, StorageError
from SuggestiveAnnotationLib.export import bids
from SuggestiveAnnotationLib.export.bids_names import bids_names
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, Rationale, Suggestion

# Entities of the file names, in the order of BIDS.
FILE = re.compile(
    r"sub-[0-9a-zA-Z]+(_ses-[0-9a-zA-Z]+)?(_task-[0-9a-zA-Z]+)?(_acq-[0-9a-zA-Z]+)?(_ce-[0-9a-zA-Z]+)?(_rec-[0-9a-zA-Z]+)?(_run-[0-9]+)?"
    r"_space-orig_desc-annotated_(dseg|mask)\.(nii\.gz|json)"
)


def write(folder, content, *, overwrite=False):
    return bids.write(folder, content, overwrite=overwrite, stage=stage(content))


def case(name, patient=None):
    return Case(name=name, patient=name if patient is None else patient, role="pool", images={})


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_segmentation_and_mask_come_back_voxel_by_voxel(tmp_path, direction, plane):
    one = make_case(tmp_path / "in", "sub-01_ses-02", patient="sub-01", direction=direction, plane=plane)
    write(tmp_path, make_content(one, plane=plane))
    stem = tmp_path / "suggestive-annotation" / "sub-01" / "ses-02" / "anat" / "sub-01_ses-02_space-orig_desc-annotated"
    labels, mask = read(stem.with_name(stem.name + "_dseg.nii.gz")), read(stem.with_name(stem.name + "_mask.nii.gz"))
    for index in range(one.grid.frame.count):
        drawn = next((a.labels for a in one.annotations if a.ref.native_index == index), None)
        assert (native_slice(labels, one.grid.frame, index) == (255 if drawn is None else drawn)).all()
        assert (native_slice(mask, one.grid.frame, index) == (drawn is not None)).all()
    image = sitk.ReadImage(str(stem.with_name(stem.name + "_dseg.nii.gz")))
    np.testing.assert_allclose(image.GetDirection(), one.grid.geometry.direction_lps, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), one.grid.geometry.origin_lps, atol=1e-5)
    np.testing.assert_allclose(image.GetSpacing(), one.grid.geometry.spacing, rtol=1e-6)


def test_values_above_255_are_kept(tmp_path):
    one = make_case(tmp_path / "in", "p", schema=WIDE)
    write(tmp_path, make_content(one))
    labels = read(tmp_path / "suggestive-annotation" / "sub-p" / "anat" / "sub-p_space-orig_desc-annotated_dseg.nii.gz")
    assert labels.dtype == np.uint16
    assert (labels[0] == one.annotations[0].labels).all()
    assert (labels[1] == 65535).all()


def test_the_root_holds_what_bids_requires(tmp_path):
    exported = write(tmp_path, make_content(make_case(tmp_path / "in", "p"), title="Étude"))
    root = tmp_path / "suggestive-annotation"
    description = json.loads((root / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["Name"] == "Étude: annotated slices"
    assert description["BIDSVersion"] == "1.9.0"
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "SuggestiveAnnotation"
    assert description["GeneratedBy"][0]["Version"] == "0.1.0"
    with open(root / "dseg.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(int(r["index"]), r["name"], r["color"], r["terminology"]) for r in rows] == [
        (0, "background", "#000000", "n/a"),
        (7, "lesion", "#0909ff", "n/a"),
        (2, "grey matter", "#c85050", "SCT^1^Grey"),
        (255, "ignore", "#ffffff", "n/a"),
    ]
    assert "terminology" in json.loads((root / "dseg.json").read_text(encoding="utf-8"))
    assert (root / "README").is_file()
    # Nothing that BIDS does not know is there unannounced.
    known = {"dataset_description.json", "dseg.tsv", "dseg.json", "descriptions.tsv", "README", ".bidsignore"}
    ignored = set((root / ".bidsignore").read_text(encoding="utf-8").split())
    for path in exported.files:
        assert path.name in known | ignored or FILE.fullmatch(path.name)


def test_a_name_with_a_tab_or_a_line_break_keeps_the_table_whole(tmp_path):
    schema = LabelSchema("odd", (LabelClass(1, "left\tlobe\nof it", (0, 0, 0)),))
    write(tmp_path, make_content(make_case(tmp_path / "in", "p", schema=schema)))
    lines = (tmp_path / "suggestive-annotation" / "dseg.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "1\tleft lobe of it\t#000000\tn/a"


def test_the_sidecar_says_who_accepted_what(tmp_path):
    one = make_case(tmp_path / "in", "p", role="validation")
    ref = one.annotations[0].ref
    one = replace(one, suggestions={ref: Suggestion(ref, 1, Rationale("gradient", "Its gradient leads here.", score=0.5))})
    write(tmp_path, make_content(one))
    place = tmp_path / "suggestive-annotation" / "sub-p" / "anat"
    data = json.loads((place / "sub-p_space-orig_desc-annotated_dseg.json").read_text(encoding="utf-8"))
    assert data["SpatialReference"] == "orig"
    assert "Manual" not in data
    study = data["SuggestiveAnnotation"]
    assert (study["Case"], study["Role"], study["IgnoreValue"]) == ("p", "validation", 255)
    assert [(e["slice"], e["annotator"]) for e in study["Annotations"]] == [(1, "anna"), (4, "anna")]
    assert study["Annotations"][0]["suggestion"]["strategy"] == "gradient"
    mask = json.loads((place / "sub-p_space-orig_desc-annotated_mask.json").read_text(encoding="utf-8"))
    assert (mask["Type"], mask["SpatialReference"]) == ("ROI", "orig")
    # Paths of the machine are nobody's business.
    assert str(tmp_path) not in json.dumps(data)


def test_work_from_scratch_is_called_manual(tmp_path):
    one = with_labels(make_case(tmp_path / "in", "p"), {1: np.full((6, 7), 2)}, provenance="from scratch")
    write(tmp_path, make_content(one))
    sidecar = tmp_path / "suggestive-annotation" / "sub-p" / "anat" / "sub-p_space-orig_desc-annotated_dseg.json"
    assert json.loads(sidecar.read_text(encoding="utf-8"))["Manual"] is True


def test_odd_names_give_files_that_bids_allows_and_that_stay_apart(tmp_path):
    names = ["visit 1", "a/b", "../up", "Müller", "日本", "x" * 300, "A", "a", "sub-01_ses-02", "sub-01_ses-02_run-1", "sub-01"]
    cases = [
        make_case(tmp_path / "in", name, number=i, slices=(1,), patient="sub-01" if name.startswith("sub-") else None)
        for i, name in enumerate(names)
    ]
    exported = write(tmp_path / "out", make_content(*cases))
    files = [p for p in exported.files if p.name.endswith("_dseg.nii.gz")]
    assert len(files) == len(names)
    assert all(FILE.fullmatch(p.name) for p in files)
    for path in files:
        data = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text(encoding="utf-8"))
        one = next(c for c in cases if c.case.name == data["SuggestiveAnnotation"]["Case"])
        assert (read(path)[1] == one.annotations[0].labels).all()
    assert os.listdir(tmp_path / "out") == ["suggestive-annotation"]


# --- names


def test_bids_names_stay_and_others_are_derived():
    cases = [
        case("sub-01_ses-02", "sub-01"),
        case("sub-01_ses-03_acq-3d_run-2", "sub-01"),
        case("sub-07"),
        case("p9"),
        case("p 10_baseline", "p 10"),
        case("p 10_follow-up", "p 10"),
        case("anything", "sub-11"),
    ]
    assert bids_names(cases) == {
        "sub-01_ses-02": "sub-01_ses-02",
        "sub-01_ses-03_acq-3d_run-2": "sub-01_ses-03_acq-3d_run-2",
        "sub-07": "sub-07",
        "p9": "sub-p9",
        "p 10_baseline": "sub-p10_ses-baseline",
        "p 10_follow-up": "sub-p10_ses-followup",
        "anything": "sub-11_ses-anything",
    }


def test_a_person_without_a_bids_name_never_takes_the_label_of_one_that_has():
    names = bids_names([case("01"), case("sub-01")])
    assert names["sub-01"] == "sub-01"
    assert re.fullmatch("sub-01[0-9a-f]{8}", names["01"])


@given(
    st.dictionaries(
        st.text(max_size=6) | st.sampled_from(["sub-1", "sub-1_ses-1", "SUB-1", "sub-1_run-1"]), st.text(max_size=3), max_size=12
    )
)
def test_names_are_valid_and_never_meet(people):
    names = bids_names([case(name, patient) for name, patient in people.items()])
    assert names.keys() == people.keys()
    assert len({n.casefold() for n in names.values()}) == len(names)
    subjects = {}
    for name, patient in people.items():
        assert FILE.fullmatch(names[name] + "_space-orig_desc-annotated_dseg.nii.gz")
        subjects.setdefault(patient, set()).add(names[name].partition("_")[0].casefold())
    assert all(len(labels) == 1 for labels in subjects.values())
    assert len(set.union(*subjects.values(), set())) == len(subjects)


# --- overwriting and trouble


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    first, second = (make_content(make_case(tmp_path / "in", f"p{i}", number=i)) for i in range(2))
    write(tmp_path, first)
    with pytest.raises(ExistsError, match="suggestive-annotation exists already"):
        write(tmp_path, second)
    write(tmp_path, second, overwrite=True)
    assert not (tmp_path / "suggestive-annotation" / "sub-p0").exists()
    assert (tmp_path / "suggestive-annotation" / "sub-p1").is_dir()


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "suggestive-annotation").mkdir()
    (tmp_path / "suggestive-annotation" / "dataset_description.json").write_text("{}")
    with pytest.raises(InputError, match="no dataset of this kind"):
        write(tmp_path, make_content(make_case(tmp_path / "in", "p")), overwrite=True)
    assert os.listdir(tmp_path / "suggestive-annotation") == ["dataset_description.json"]


def test_a_labelmap_cut_short_is_an_error_of_storage(tmp_path, monkeypatch):
    from SuggestiveAnnotationLib.export import volume_file

    def cut(scratch, final, array, geometry, **_):
        original(scratch, final, array, geometry)
        scratch.write_bytes(scratch.read_bytes()[:-20])

    original = volume_file.write_array_as
    monkeypatch.setattr(volume_file, "write_array_as", cut)
    with pytest.raises(StorageError, match="sub-p_space-orig_desc-annotated_dseg"):
        write(tmp_path / "out", make_content(make_case(tmp_path / "in", "p")))
    assert os.listdir(tmp_path / "out") == []
