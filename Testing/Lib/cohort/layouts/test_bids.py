from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.bids import is_bids, plan_bids
from SuggestiveAnnotationLib.cohort.layouts.bids_names import ignored, parse
from SuggestiveAnnotationLib.cohort.layouts.bids_tables import lookup_table, read_lookup
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.recognise import layout_of, plan_folder
from SuggestiveAnnotationLib.errors import InputError

Write = Callable[..., Path]
LOOKUP = (
    "index\tname\tabbreviation\tcolor\tmapping\n0\tbackground\tBG\t#000000\t0\n1\tGrey matter\tGM\t#ff53bb\t1\n"
    "2\tHippocampus\tHC\tn/a\tn/a\n3\tCSF\tCSF\t#36DE72\t3\n"
)


def dataset(
    write_image: Write, root: Path, *, sessions: tuple[str, ...] = ("01", "02"), suffixes: tuple[str, ...] = ("T1w", "FLAIR")
) -> None:
    """Two subjects, with or without sessions."""
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    for subject in ("sub-01", "sub-02"):
        for session in sessions or ("",):
            folder = f"{subject}/ses-{session}/anat" if session else f"{subject}/anat"
            name = f"{subject}_ses-{session}" if session else subject
            for n, suffix in enumerate(suffixes):
                write_image(f"{folder}/{name}_{suffix}.nii.gz", seed=n)


def case(plan: CohortPlan, name: str) -> dict[str, str]:
    """File names of a case by modality, and of its label and mask."""
    found = next(c for c in plan.cases if c.name == name)
    parts = {**found.images, "label": found.label, "mask": found.mask}
    return {what: Path(path).name for what, path in parts.items() if path}


def test_sessions_are_cases_of_one_patient(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path)
    assert is_bids(tmp_path)
    assert layout_of(tmp_path) == "bids"
    plan = plan_bids(tmp_path)
    assert (plan.layout, plan.modalities, plan.reference) == ("BIDS", ("T1", "FLAIR"), "T1")
    assert [(c.name, c.patient, c.role) for c in plan.usable] == [
        (f"{sub}_ses-{ses}", sub, "pool") for sub in ("sub-01", "sub-02") for ses in ("01", "02")
    ]
    assert plan.cases[1].images["FLAIR"] == str(tmp_path / "sub-01/ses-02/anat/sub-01_ses-02_FLAIR.nii.gz")
    assert plan.patterns == {"T1": "*_T1w.nii.gz", "FLAIR": "*_FLAIR.nii.gz"}
    assert (plan.warnings, plan.schema, plan.guessed, plan.excluded) == ((), None, frozenset(), ())
    assert CohortPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_subjects_without_sessions_are_cases(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=())
    assert [(c.name, c.patient) for c in plan_bids(tmp_path).usable] == [("sub-01", "sub-01"), ("sub-02", "sub-02")]


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("T1w", "T1"),
        ("ce-gadolinium_T1w", "T1c"),
        ("acq-mprage_ce-gd_run-1_T1w", "T1c"),
        ("ce-gd_FLAIR", "FLAIRc"),
        ("T2w", "T2"),
        ("PDw", "PD"),
        ("inplaneT2", "inplaneT2"),
        ("swi", "SWI"),
        ("SWI", "SWI"),
        ("T2starw", "T2starw"),
        ("dseg", None),
        ("label-GM_probseg", None),
        ("desc-brain_mask", None),
    ],
)
def test_suffixes_tell_the_sequence(name: str, modality: str | None) -> None:
    found = parse(ImageFile("/x/f.nii.gz", f"sub-1/anat/sub-1_{name}.nii.gz"))
    assert found is not None
    assert found.modality == modality


@pytest.mark.parametrize(
    "relative",
    [
        "sub-01/anat/T1w.nii.gz",
        "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-01/anat/sub-01_acq_T1w.nii.gz",
        "sub-01/anat/sub-01_dseg.dlabel.nii",
        "sub-01/anat/sub-_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nrrd",
        "anat/ses-1_sub-1_T1w.nii.gz",
        "sub-01.nii.gz",
    ],
)
def test_other_names_are_none_of_bids(relative: str) -> None:
    assert parse(ImageFile(f"/x/{relative}", relative)) is None


def test_contrast_agent_makes_another_sequence(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w", "ce-gadolinium_T1w"))
    plan = plan_bids(tmp_path)
    assert plan.modalities == ("T1", "T1c")
    assert case(plan, "sub-02") == {"T1": "sub-02_T1w.nii.gz", "T1c": "sub-02_ce-gadolinium_T1w.nii.gz"}


def test_of_several_files_the_plainest_and_first_is_taken(write_image: Write, tmp_path: Path) -> None:
    suffixes = ("run-2_T1w", "run-1_T1w", "acq-fast_T1w", "rec-norm_run-1_T1w", "part-phase_T2w", "part-mag_T2w")
    dataset(write_image, tmp_path, sessions=(), suffixes=suffixes)
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-01") == {"T1": "sub-01_run-1_T1w.nii.gz", "T2": "sub-01_part-mag_T2w.nii.gz"}
    assert "2 cases have several files for T1" in plan.warnings[0]
    assert plan.alternatives["T1"] == ("*_acq-fast_T1w.nii.gz", "*_rec-norm_run-*_T1w.nii.gz")
    chosen = plan_bids(tmp_path, images={"T1": plan.alternatives["T1"][0]})
    assert case(chosen, "sub-01") == {"T1": "sub-01_acq-fast_T1w.nii.gz"}


def test_of_two_acquisitions_the_one_that_most_cases_have_is_taken(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("acq-z_T1w",))
    write_image("sub-01/anat/sub-01_acq-a_T1w.nii.gz")
    assert case(plan_bids(tmp_path), "sub-01") == {"T1": "sub-01_acq-z_T1w.nii.gz"}


def test_the_same_image_twice_is_refused_with_both_files(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    write_image("sub-01/anat/sub-01_T1w.nii")
    reason = plan_bids(tmp_path).excluded[0].excluded_reason
    assert "sub-01 has 2 files for T1" in reason
    assert "sub-01_T1w.nii and" in reason


def test_a_case_without_a_sequence_is_excluded_and_a_rare_one_left_out(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path)
    (tmp_path / "sub-01/ses-01/anat/sub-01_ses-01_FLAIR.nii.gz").unlink()
    write_image("sub-01/ses-01/anat/sub-01_ses-01_T2w.nii.gz")
    plan = plan_bids(tmp_path)
    assert plan.modalities == ("T1", "FLAIR")
    assert [(c.name, "has no FLAIR image" in c.excluded_reason) for c in plan.excluded] == [("sub-01_ses-01", True)]
    assert "1 file of T2, which less than half" in plan.warnings[0]


def test_other_data_and_other_names_are_left_out_and_said(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=())
    for name in ("func/sub-01_task-rest_bold", "dwi/sub-01_dwi", "func/sub-01_task-a_bold", "anat/localizer"):
        write_image(f"sub-01/{name}.nii.gz")
    for folder in ("sourcedata/sub-01/anat", "code", ".git/annex", "sub-01/anat/.hidden"):
        write_image(f"{folder}/sub-01_T1w.nii.gz")
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-01")["T1"] == "sub-01_T1w.nii.gz"
    assert plan.warnings == (
        "Only anatomical images are read; left out: 1 in dwi, 2 in func.",
        "Left out, since it has no valid BIDS name: sub-01/anat/localizer.nii.gz.",
    )


def test_folders_that_cannot_be_used_are_said(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=())
    write_image("sub-03/anat/sub-03_T1w.nii.gz")
    os.rename(tmp_path / "sub-03" / "anat", os.fsencode(tmp_path / "sub-03") + b"/anat\x82")
    for top in ("sourcedata", "derivatives"):
        write_image(f"{top}/{'/'.join('abcdefgh')}/sub-01_T1w.nii.gz")
    deep, strange = plan_bids(tmp_path).warnings
    assert f"The folder {tmp_path / 'derivatives'}" in deep
    assert "lies too deep" in deep
    assert "sub-03/anat\\udc82' has characters in its name that cannot be shown" in strange


def test_ignored_files_are_left_out(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=())
    (tmp_path / ".bidsignore").write_text("# not scanned well\n*_FLAIR.nii.gz\nsub-02/\n")
    plan = plan_bids(tmp_path)
    assert ([c.name for c in plan.cases], plan.modalities) == (["sub-01"], ("T1",))


@pytest.mark.parametrize(
    ("line", "out", "kept"),
    [
        ("*_x.nii", ["a_x.nii", "sub/a_x.nii"], ["a_x.nii.gz"]),
        ("/sub-1", ["sub-1/anat/f.nii"], ["extra/sub-1/f.nii", "sub-10/f.nii"]),
        ("extra/", ["extra/f", "sub/extra/f"], ["extra"]),
        ("sub-*/anat/a?.nii", ["sub-1/anat/ab.nii"], ["sub-1/x/anat/ab.nii", "sub-1/anat/a/.nii"]),
        ("**/work", ["a/b/work/f", "work/f"], ["worked"]),
        ("*.nii\n!keep.nii", ["a.nii"], ["keep.nii", "sub/keep.nii"]),
    ],
)
def test_the_syntax_of_ignore_files(tmp_path: Path, line: str, out: list[str], kept: list[str]) -> None:
    (tmp_path / ".bidsignore").write_text(line)
    left_out = ignored(tmp_path)
    assert [p for p in out if not left_out(p)] == []
    assert [p for p in kept if left_out(p)] == []


def test_segmentations_with_their_table(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path)
    for sub in ("sub-01", "sub-02"):
        for ses in ("01", "02"):
            base = f"derivatives/manual/{sub}/ses-{ses}/anat/{sub}_ses-{ses}"
            write_image(f"{base}_dseg.nii.gz", labels)
            write_image(f"{base}_space-MNI152NLin6Asym_dseg.nii.gz", labels, origin=(90, 0, 0))
            write_image(f"{base}_desc-brain_mask.nii.gz", (labels > 0).astype(np.uint8))
    (tmp_path / "derivatives/manual/dseg.tsv").write_text(LOOKUP)
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-02_ses-01")["label"] == "sub-02_ses-01_dseg.nii.gz"
    assert case(plan, "sub-02_ses-01")["mask"] == "sub-02_ses-01_desc-brain_mask.nii.gz"
    assert plan.label_pattern == "derivatives/manual/*_dseg.nii.gz"
    assert plan.mask_pattern == "derivatives/manual/*_desc-brain_mask.nii.gz"
    assert plan.schema is not None
    assert [(c.value, c.name, c.terminology) for c in plan.schema.classes] == [
        (1, "Grey matter", "SCT^389081007^Grey matter"),
        (2, "Hippocampus", None),
        (3, "CSF", "SCT^65216001^Cerebrospinal fluid"),
    ]
    assert [plan.schema.classes[i].colour for i in (0, 2)] == [(255, 83, 187), (54, 222, 114)]
    assert plan.warnings == ("For label, 4 files are in a template space and left out.",)
    assert len(plan.usable) == 4


def test_labels_on_another_grid_are_left_out_and_said(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    write_image("derivatives/fs/sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", labels, spacing=(1, 1, 1))
    write_image("derivatives/fs/sub-02/anat/sub-02_desc-aseg_dseg.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert [c.label is None for c in plan.usable] == [True, False]
    assert "For label, 1 file is on another voxel grid than the images and left out" in plan.warnings[0]
    assert "open derivatives/fs by itself" in plan.warnings[0]


def test_the_grid_of_the_labels_decides_the_reference(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2):
        write_image(f"sub-{n}/anat/sub-{n}_T1w.nii.gz", spacing=(1, 1, 1))
        write_image(f"sub-{n}/anat/sub-{n}_FLAIR.nii.gz")
        write_image(f"derivatives/ms/sub-{n}/anat/sub-{n}_dseg.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert (plan.reference, len(plan.usable)) == ("FLAIR", 2)
    assert plan.cases[0].geometry.spacing == (1, 2, 3)


def test_of_several_pipelines_the_one_with_most_cases_is_taken(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    write_image("derivatives/a/sub-01/anat/sub-01_dseg.nii.gz", labels)
    for n in (1, 2):
        write_image(f"derivatives/b/sub-0{n}/anat/sub-0{n}_dseg.nii.gz", labels)
        write_image(f"derivatives/b/sub-0{n}/anat/sub-0{n}_desc-aseg_dseg.nii.gz", labels)
        write_image(f"derivatives/lesions/sub-0{n}/anat/sub-0{n}_label-lesion_mask.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert {Path(c.label or "").parts[-4] for c in plan.cases} == {"b"}
    assert {Path(c.label or "").name for c in plan.cases} == {"sub-01_dseg.nii.gz", "sub-02_dseg.nii.gz"}
    others = plan.alternatives["label"]
    assert set(others) == {
        "derivatives/a/*_dseg.nii.gz",
        "derivatives/b/*_desc-aseg_dseg.nii.gz",
        "derivatives/lesions/*_label-lesion_mask.nii.gz",
    }
    lesions = plan_folder(tmp_path, label="derivatives/lesions/*_label-lesion_mask.nii.gz")
    assert [Path(c.label or "").name for c in lesions.cases] == ["sub-01_label-lesion_mask.nii.gz", "sub-02_label-lesion_mask.nii.gz"]
    assert all(c.label is None for c in plan_bids(tmp_path, label="").cases)


def test_labels_follow_the_run_and_the_acquisition_of_their_image(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for name in ("sub-1/anat/sub-1_run-1_T1w", "sub-1/anat/sub-1_run-2_T1w", "sub-2/anat/sub-2_acq-x_T1w"):
        write_image(f"{name}.nii.gz")
        write_image(f"derivatives/d/{name.replace('T1w', 'dseg')}.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-1")["label"] == "sub-1_run-1_dseg.nii.gz"
    assert case(plan, "sub-2")["label"] == "sub-2_acq-x_dseg.nii.gz"


def test_a_pattern_may_fit_images_of_the_dataset_and_of_a_pipeline(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    for n in (1, 2):
        write_image(f"derivatives/prep/sub-0{n}/anat/sub-0{n}_desc-preproc_T1w.nii.gz")
    assert case(plan_bids(tmp_path, images={"T1": "*T1w*"}), "sub-01") == {"T1": "sub-01_T1w.nii.gz"}


def test_a_label_without_session_belongs_to_the_only_session(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, suffixes=("T1w",), sessions=("01",))
    write_image("sub-02/ses-02/anat/sub-02_ses-02_T1w.nii.gz")
    for n in (1, 2):
        write_image(f"derivatives/d/sub-0{n}/anat/sub-0{n}_dseg.nii.gz", labels)
    plan = plan_bids(tmp_path)
    assert [(c.name, c.label is not None) for c in plan.usable] == [
        ("sub-01_ses-01", True),
        ("sub-02_ses-01", False),
        ("sub-02_ses-02", False),
    ]
    assert any("1 label file fits no image" in w for w in plan.warnings)


def test_a_derivatives_dataset_by_itself(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2):
        base = f"sub-{n}/anat/sub-{n}"
        write_image(f"{base}_desc-preproc_T1w.nii.gz", seed=n)
        write_image(f"{base}_space-MNI152NLin6Asym_desc-preproc_T1w.nii.gz", spacing=(2, 2, 2))
        write_image(f"{base}_dseg.nii.gz", labels)
        write_image(f"{base}_desc-brain_mask.nii.gz", (labels > 0).astype(np.uint8))
        write_image(f"{base}_label-GM_probseg.nii.gz", labels / 3)
        (tmp_path / f"{base}_dseg.tsv").write_text("index\tname\n1\tGM\n2\tWM\n3\tCSF\n")
    assert is_bids(tmp_path)
    plan = plan_bids(tmp_path)
    assert case(plan, "sub-1") == {
        "T1": "sub-1_desc-preproc_T1w.nii.gz",
        "label": "sub-1_dseg.nii.gz",
        "mask": "sub-1_desc-brain_mask.nii.gz",
    }
    assert plan.schema is not None
    assert [c.name for c in plan.schema.classes] == ["GM", "WM", "CSF"]


def test_a_broken_label_excludes_its_case(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    for n in (1, 2):
        write_image(f"derivatives/d/sub-0{n}/anat/sub-0{n}_dseg.nii.gz", labels)
    (tmp_path / "derivatives/d/sub-01/anat/sub-01_dseg.nii.gz").write_bytes(b"broken")
    plan = plan_bids(tmp_path)
    assert [c.name for c in plan.usable] == ["sub-02"]
    assert "sub-01_dseg.nii.gz" in plan.excluded[0].excluded_reason


@pytest.mark.parametrize(
    ("tables", "chosen"),
    [
        (["d/dseg.tsv"], "d/dseg.tsv"),
        (["d/desc-a_dseg.tsv", "d/dseg.tsv"], "d/desc-a_dseg.tsv"),
        (["d/desc-b_dseg.tsv", "d/dseg.tsv"], "d/dseg.tsv"),
        (["d/desc-b_dseg.tsv"], None),
        (["d/sub-1/dseg.tsv", "d/desc-a_dseg.tsv"], "d/sub-1/dseg.tsv"),
        (["d/sub-1/anat/sub-1_desc-a_dseg.tsv", "d/dseg.tsv"], "d/sub-1/anat/sub-1_desc-a_dseg.tsv"),
        (["dseg.tsv"], None),
        (["d/xdseg.tsv"], None),
    ],
)
def test_tables_are_inherited(tmp_path: Path, tables: list[str], chosen: str | None) -> None:
    (tmp_path / "d/sub-1/anat").mkdir(parents=True)
    for table in tables:
        (tmp_path / table).write_text(LOOKUP)
    found = lookup_table(tmp_path / "d/sub-1/anat/sub-1_desc-a_dseg.nii.gz", tmp_path / "d")
    assert found == (tmp_path / chosen if chosen else None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no columns index and name"),
        ("a\tb\n1\t2\n", "has no columns index and name"),
        ("index\tname\nx\tGM\n", 'line 2: index "x"'),
        ("index\tname\n-1\tGM\n", 'line 2: index "-1"'),
        ("index\tname\n70000\tGM\n", 'index "70000"'),
        ("index\tname\n1\tGM\n\n1\tWM\n", "line 4: index 1 stands twice"),
        ("index\tname\n1\t\udcff\n", "UTF-8"),
    ],
)
def test_broken_tables_are_said_and_not_used(write_image: Write, labels: np.ndarray, tmp_path: Path, text: str, sentence: str) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    write_image("derivatives/d/sub-01/anat/sub-01_dseg.nii.gz", labels)
    table = tmp_path / "derivatives/d/dseg.tsv"
    table.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=sentence):
        read_lookup(table)
    plan = plan_bids(tmp_path)
    assert plan.schema is None
    assert any("dseg.tsv" in w and "was not used" in w for w in plan.warnings)


def test_cases_whose_tables_contradict_each_other_are_excluded(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    for n, name in ((1, "GM"), (2, "WM")):
        write_image(f"derivatives/d/sub-0{n}/anat/sub-0{n}_dseg.nii.gz", labels)
        (tmp_path / f"derivatives/d/sub-0{n}/anat/sub-0{n}_dseg.tsv").write_text(f"index\tname\n1\t{name}\n")
    plan = plan_bids(tmp_path)
    assert [c.name for c in plan.usable] == ["sub-01"]
    assert 'calls 1 "WM", others "GM"' in plan.excluded[0].excluded_reason


def test_of_a_long_table_only_what_occurs_is_taken(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    for n in (1, 2):
        write_image(f"derivatives/d/sub-0{n}/anat/sub-0{n}_dseg.nii.gz", labels)
    rows = "".join(f"{i}\tarea {i}\n" for i in range(1, 1200))
    (tmp_path / "derivatives/d/dseg.tsv").write_text("index\tname\n" + rows)
    plan = plan_bids(tmp_path)
    assert plan.schema is not None
    assert [c.name for c in plan.schema.classes] == ["area 1", "area 2", "area 3"]
    assert "list 1199 structures; the 3 that occur" in plan.warnings[0]


def test_the_site_comes_from_the_participants(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, suffixes=("T1w",))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tgroup\tsite\nsub-01\t30\tcontrol\tUtrecht\n02\t31\tpatient\tn/a\n")
    plan = plan_bids(tmp_path)
    assert {c.name: (c.site, c.role) for c in plan.cases} == {
        "sub-01_ses-01": ("Utrecht", "pool"),
        "sub-01_ses-02": ("Utrecht", "pool"),
        "sub-02_ses-01": ("", "pool"),
        "sub-02_ses-02": ("", "pool"),
    }
    (tmp_path / "participants.tsv").write_bytes(b"participant_id\tsite\n\xff\xfe\n")
    assert "not text in UTF-8" in plan_bids(tmp_path).warnings[0]


def test_a_table_gives_roles(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    table = tmp_path / "roles.csv"
    table.write_text("case,role\nsub-01,train\nsub-02,test\n")
    assert [c.role for c in plan_bids(tmp_path, table=table).cases] == ["pool", "test"]


def test_links_to_absent_content_are_said(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path, sessions=(), suffixes=("T1w",))
    path = tmp_path / "sub-01/anat/sub-01_T1w.nii.gz"
    path.unlink()
    os.symlink("../../.git/annex/objects/none.nii.gz", path)
    plan = plan_bids(tmp_path)
    assert "datalad get" in plan.warnings[0]
    assert [c.name for c in plan.usable] == ["sub-02"]


def test_folders_that_are_not_bids(write_image: Write, tmp_path: Path) -> None:
    write_image("sub-01_T1w.nii.gz")
    write_image("sub-01/T1.nii.gz")
    write_image("sub-02/anat/T1.nii.gz")
    assert not is_bids(tmp_path)
    (tmp_path / "dataset_description.json").write_text("{}")
    assert not is_bids(tmp_path)


def test_patterns_that_fit_nothing_are_refused(write_image: Write, tmp_path: Path) -> None:
    dataset(write_image, tmp_path)
    with pytest.raises(InputError, match=r'No file of a case fits the pattern "\*_T2w\*" for T2'):
        plan_bids(tmp_path, images={"T2": "*_T2w*"})
    with pytest.raises(InputError, match=r'fits the pattern "\*_dseg\*" for label'):
        plan_bids(tmp_path, label="*_dseg*")
    with pytest.raises(InputError, match="no modality T2 in"):
        plan_bids(tmp_path, reference="T2")
