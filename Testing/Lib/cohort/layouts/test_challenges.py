from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.cohort.layouts.challenge_list import CHALLENGES
from SuggestiveAnnotationLib.cohort.layouts.challenges import plan_challenge, recognise
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.recognise import layout_of, plan_folder
from SuggestiveAnnotationLib.errors import InputError

Write = Callable[..., Path]
_LABELS = ("seg", "truth", ".ot.", "glm", "classified", "otmulti", "wmh.", "lesion")
_MASKS = ("mask",)


def tree(write_image: Write, labels: np.ndarray, files: list[str]) -> None:
    """A real file for every name; what is called like labels holds labels, all else noise."""
    for n, file in enumerate(files):
        name = Path(file).name.casefold()
        is_label, is_mask = any(w in name for w in _LABELS), any(w in name for w in _MASKS)
        write_image(file, labels if is_label else (labels > 0).astype(np.uint8) if is_mask else None, seed=n)


def plan_of(root: Path) -> CohortPlan:
    """The plan of a folder that has to be recognised."""
    assert layout_of(root) == "challenge"
    plan = plan_folder(root)
    assert CohortPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    return plan


def four(folder: str, name: str, images: tuple[str, ...], label: str, ending: str, joint: str = "_") -> list[str]:
    return [f"{folder}/{name}{joint}{part}{ending}" for part in (*images, *([label] if label else []))]


BRATS = ("flair", "t1", "t1ce", "t2")
VSD = {"MR_T1": 1, "MR_T1c": 2, "MR_T2": 3, "MR_Flair": 4}

LAYOUTS: dict[str, tuple[list[str], str, tuple[str, ...], dict[str, tuple[str, str, str]], str | None]] = {
    # what -> files, layout, modalities, case -> (patient, site, role), schema
    "2012": (
        [f for case in ("BRATS_HG0001", "SimBRATS_LG0002") for f in four(case, case, ("FLAIR", "T1", "T1C", "T2"), "truth", ".mha")],
        "BraTS 2012",
        ("T1", "T1c", "FLAIR", "T2"),
        {case: (case, "", "pool") for case in ("BRATS_HG0001", "SimBRATS_LG0002")},
        None,
    ),
    "2013": (
        [
            f"Image_Data/{grade}/0001/VSD.Brain.XX.O.{part}/VSD.Brain.XX.O.{part}.{number}.mha"
            for grade in ("HG", "LG")
            for part, number in {**VSD, "OT": 9}.items()
        ],
        "BraTS 2013",
        ("T1", "T1c", "FLAIR", "T2"),
        {"HG_0001": ("HG_0001", "", "pool"), "LG_0001": ("LG_0001", "", "pool")},
        "brats",
    ),
    "2015": (
        [
            f"{grade}/{case}/VSD.Brain{'_3more' if part == 'OT' else ''}.XX.O.{part}.{number}/VSD.Brain.XX.O.{part}.{number}.mha"
            for grade, case in (("HGG", "brats_2013_pat0001_1"), ("HGG", "brats_tcia_pat105_0001"), ("LGG", "brats_tcia_pat105_0002"))
            for part, number in {**VSD, "OT": 9}.items()
        ],
        "BraTS 2015",
        ("T1", "T1c", "FLAIR", "T2"),
        {
            "brats_2013_pat0001_1": ("brats_2013_pat0001", "", "pool"),
            "brats_tcia_pat105_0001": ("brats_tcia_pat105", "TCIA", "pool"),
            "brats_tcia_pat105_0002": ("brats_tcia_pat105", "TCIA", "pool"),
        },
        "brats",
    ),
    "2018": (
        [
            *four("HGG/Brats18_CBICA_AAB_1", "Brats18_CBICA_AAB_1", BRATS, "seg", ".nii.gz"),
            *four("LGG/Brats18_TCIA01_130_1", "Brats18_TCIA01_130_1", BRATS, "seg", ".nii.gz"),
        ],
        "BraTS 2017 to 2020",
        ("T1", "T1c", "FLAIR", "T2"),
        {
            "Brats18_CBICA_AAB_1": ("Brats18_CBICA_AAB", "CBICA", "pool"),
            "Brats18_TCIA01_130_1": ("Brats18_TCIA01_130", "TCIA01", "pool"),
        },
        "brats-2017",
    ),
    "2020": (
        [f for n in (1, 2) for f in four(f"BraTS20_Training_00{n}", f"BraTS20_Training_00{n}", BRATS, "seg", ".nii")],
        "BraTS 2020",
        ("T1", "T1c", "FLAIR", "T2"),
        {f"BraTS20_Training_00{n}": (f"BraTS20_Training_00{n}", "", "pool") for n in (1, 2)},
        "brats-2017",
    ),
    "2021, flat": (
        [f for n in (0, 2) for f in four(".", f"BraTS2021_0000{n}", BRATS, "seg", ".nii.gz")],
        "BraTS 2021",
        ("T1", "T1c", "FLAIR", "T2"),
        {f"BraTS2021_0000{n}": (f"BraTS2021_0000{n}", "", "pool") for n in (0, 2)},
        "brats-2017",
    ),
    "2023": (
        [
            f
            for case in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-SSA-00041-000")
            for f in four(case, case, ("t1n", "t1c", "t2w", "t2f"), "seg", ".nii.gz", "-")
        ],
        "BraTS 2023 or later",
        ("T1", "T1c", "FLAIR", "T2"),
        {
            "BraTS-GLI-00005-000": ("BraTS-GLI-00005", "", "pool"),
            "BraTS-GLI-00005-001": ("BraTS-GLI-00005", "", "pool"),
            "BraTS-SSA-00041-000": ("BraTS-SSA-00041", "", "pool"),
        },
        "brats-2023",
    ),
    "paediatric": (
        four("BraTS-PED-00001-000", "BraTS-PED-00001-000", ("t1n", "t1c", "t2w", "t2f"), "seg", ".nii.gz", "-"),
        "BraTS 2023 or later, paediatric",
        ("T1", "T1c", "FLAIR", "T2"),
        {"BraTS-PED-00001-000": ("BraTS-PED-00001", "", "pool")},
        None,
    ),
    "malc": (
        [f"{part}-images/{n}_3.nii" for part, n in (("training", 1000), ("training", 1001), ("testing", 1003))]
        + [f"{part}-labels/{n}_3_glm.nii" for part, n in (("training", 1000), ("training", 1001), ("testing", 1003))],
        "MALC 2012",
        ("T1",),
        {"1000_3": ("1000_3", "", "pool"), "1001_3": ("1001_3", "", "pool"), "1003_3": ("1003_3", "", "test")},
        "malc-25",
    ),
    "malc, cut out": (
        [
            f
            for n in (1000, 1036)
            for f in (f"T1_brain/{n}_SS.nii.gz", f"labels/{n}_glm.nii.gz", f"tissue/{n}_classified.nii.gz", f"brainmask/{n}_mask.nii.gz")
        ],
        "MALC 2012, cut out",
        ("T1",),
        {"1000": ("1000", "", "pool"), "1036": ("1036", "", "pool")},
        "malc-25",
    ),
    "ibsr": (
        [
            f"IBSR_0{n}/IBSR_0{n}_{part}.nii.gz"
            for n in (1, 2)
            for part in ("ana", "ana_strip", "ana_brainmask", "seg_ana", "segTRI_ana", "segTRI_fill_ana")
        ],
        "IBSR18",
        ("T1",),
        {"IBSR_01": ("IBSR_01", "", "pool"), "IBSR_02": ("IBSR_02", "", "pool")},
        "ibsr-tissue",
    ),
    "promise": (
        [f"TrainingData_Part{p}/Case{n:02d}{e}.mhd" for p, n in ((1, 0), (2, 17)) for e in ("", "_segmentation")] + ["TestData/Case00.mhd"],
        "PROMISE12",
        ("T2",),
        {"Case00": ("Case00", "", "pool"), "Case17": ("Case17", "", "pool"), "TestData_Case00": ("TestData_Case00", "", "test")},
        "promise12",
    ),
    "mrbrains": (
        [f"training/{n}/{part}.nii.gz" for n in (1, 14) for part in ("pre/FLAIR", "pre/T1", "pre/IR", "orig/FLAIR", "orig/T1", "segm")],
        "MRBrainS18",
        ("T1", "FLAIR", "IR"),
        {"1": ("1", "", "pool"), "14": ("14", "", "pool")},
        "mrbrains18",
    ),
    "mrbrains, without labels": (
        [f"test/{n}/{part}.nii.gz" for n in (2, 3) for part in ("pre/FLAIR", "pre/T1", "pre/IR", "orig/FLAIR", "orig/T1")],
        "MRBrainS18",
        ("T1", "FLAIR", "IR"),
        {"2": ("2", "", "test"), "3": ("3", "", "test")},
        "mrbrains18",
    ),
    "wmh": (
        [
            f"{folder}/{part}.nii.gz"
            for folder in ("training/Utrecht/0", "training/Amsterdam/GE3T/100", "test/Singapore/51")
            for part in ("pre/FLAIR", "pre/T1", "orig/3DT1", "orig/FLAIR", "wmh")
        ],
        "WMH 2017",
        ("T1", "FLAIR"),
        {"0": ("0", "UTRECHT", "pool"), "51": ("51", "SINGAPORE", "test"), "100": ("100", "AMSTERDAM", "pool")},
        "wmh-2017",
    ),
    "wmh, without the folders of sites": (
        [f"{n}/{part}.nii.gz" for n in (0, 2) for part in ("pre/FLAIR", "pre/T1", "wmh")],
        "WMH 2017",
        ("T1", "FLAIR"),
        {"0": ("0", "", "pool"), "2": ("2", "", "pool")},
        "wmh-2017",
    ),
}


@pytest.mark.parametrize("what", LAYOUTS)
def test_challenges_are_known_by_their_names(write_image: Write, labels: np.ndarray, tmp_path: Path, what: str) -> None:
    files, layout, modalities, people, schema = LAYOUTS[what]
    tree(write_image, labels, files)
    plan = plan_of(tmp_path)
    assert (plan.layout, plan.modalities) == (layout, modalities)
    assert {c.name: (c.patient, c.site, c.role) for c in plan.usable} == people
    assert all(c.label is not None for c in plan.usable if c.role == "pool")
    assert plan.schema == (load_schema(schema) if schema else None)
    assert (plan.excluded, plan.guessed, plan.warnings) == ((), frozenset(), ())


def test_every_challenge_has_a_tree_in_these_tests() -> None:
    assert {c.name for c in CHALLENGES} == {layout for _, layout, _, _, _ in LAYOUTS.values()}


def test_the_most_telling_files_are_taken_and_the_others_offered(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["ibsr"][0])
    plan = plan_of(tmp_path)
    case = plan.cases[0]
    assert [Path(p or "").name for p in (case.images["T1"], case.label, case.mask)] == [
        "IBSR_01_ana_strip.nii.gz",
        "IBSR_01_segTRI_fill_ana.nii.gz",
        "IBSR_01_ana_brainmask.nii.gz",
    ]
    assert plan.patterns == {"T1": "IBSR_??_ana_strip.*"}
    assert set(plan.alternatives["label"]) == {"IBSR_??_segTRI_ana.*", "IBSR_??_seg_ana.*"}
    assert plan.alternatives["T1"] == ("IBSR_??_ana.*",)


def test_the_schema_follows_the_labels_that_are_chosen(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["malc, cut out"][0])
    tissue = plan_folder(tmp_path, label="tissue/*")
    assert tissue.schema == load_schema("malc-tissue")
    assert [Path(c.label or "").name for c in tissue.cases] == ["1000_classified.nii.gz", "1036_classified.nii.gz"]
    assert plan_folder(tmp_path, label="brainmask/*").schema is None
    without = plan_folder(tmp_path, label="")
    assert all(c.label is None for c in without.cases)
    assert without.schema == load_schema("malc-25")


def test_labels_that_the_challenge_does_not_know_have_a_schema_of_their_own(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, [f for f in LAYOUTS["2018"][0] if "_seg" not in f])
    assert plan_of(tmp_path).schema == load_schema("brats-2017")
    write_image("HGG/Brats18_CBICA_AAB_1/Brats18_CBICA_AAB_1_lesion.nii.gz", labels)
    assert plan_of(tmp_path).schema is None
    assert plan_folder(tmp_path, label="").schema == load_schema("brats-2017")


def test_labels_of_another_sort_do_not_fill_in(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["ibsr"][0])
    (tmp_path / "IBSR_02/IBSR_02_segTRI_fill_ana.nii.gz").unlink()
    assert [c.label is not None for c in plan_of(tmp_path).cases] == [True, False]
    (tmp_path / "IBSR_01/IBSR_01_segTRI_fill_ana.nii.gz").unlink()
    plan = plan_of(tmp_path)
    assert {Path(c.label or "").name for c in plan.cases} == {"IBSR_01_segTRI_ana.nii.gz", "IBSR_02_segTRI_ana.nii.gz"}
    assert plan.schema == load_schema("ibsr-tissue")


def test_malc_takes_its_own_table(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["malc, cut out"][0])
    (tmp_path / "subjects.csv").write_text("id,group,Subject\n1000,train,OAS1_0061\n1036,test,OAS1_0353\n")
    assert [(c.name, c.patient, c.role) for c in plan_of(tmp_path).cases] == [("1000", "OAS1_0061", "pool"), ("1036", "OAS1_0353", "test")]
    other = tmp_path / "mine.csv"
    other.write_text("case,role\n1000,test\n1036,train\n")
    assert [c.role for c in plan_folder(tmp_path, table=other).cases] == ["test", "pool"]


def test_patterns_overrule_the_challenge(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["2018"][0])
    plan = plan_folder(tmp_path, images={"water": "*_flair*", "after": "*_t1ce*"}, label="*_seg*", mask="*_t2*", reference="after")
    assert (plan.modalities, plan.reference, plan.layout) == (("water", "after"), "after", "BraTS 2017 to 2020")
    case = plan.cases[0]
    assert {m: Path(p).name for m, p in case.images.items()} == {
        "water": "Brats18_CBICA_AAB_1_flair.nii.gz",
        "after": "Brats18_CBICA_AAB_1_t1ce.nii.gz",
    }
    assert [Path(p or "").name for p in (case.label, case.mask)] == ["Brats18_CBICA_AAB_1_seg.nii.gz", "Brats18_CBICA_AAB_1_t2.nii.gz"]
    assert (case.patient, case.site) == ("Brats18_CBICA_AAB", "CBICA")
    # A pattern for the images does not take the labels.
    case = plan_folder(tmp_path, images={"water": "*_[fs]*"}).cases[0]
    assert [Path(p or "").name[-12:] for p in (case.images["water"], case.label)] == ["flair.nii.gz", "1_seg.nii.gz"]
    with pytest.raises(InputError, match=r'fits the pattern "\*_pet\*" for PET'):
        plan_folder(tmp_path, images={"PET": "*_pet*"})


def test_a_sequence_that_all_cases_lack_is_left_out(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, [f for f in LAYOUTS["2018"][0] if "_t2" not in f])
    assert plan_of(tmp_path).modalities == ("T1", "T1c", "FLAIR")


def test_a_case_without_a_sequence_is_excluded_with_the_reason(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["2023"][0])
    (tmp_path / "BraTS-GLI-00005-000/BraTS-GLI-00005-000-t2f.nii.gz").unlink()
    plan = plan_of(tmp_path)
    assert [(c.name, "has no FLAIR image" in c.excluded_reason) for c in plan.excluded] == [("BraTS-GLI-00005-000", True)]


def test_one_case_in_two_folders_is_refused_with_both_files(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["2018"][0])
    tree(write_image, labels, four("LGG/Brats18_CBICA_AAB_1", "Brats18_CBICA_AAB_1", BRATS, "seg", ".nii.gz"))
    reason = plan_of(tmp_path).excluded[0].excluded_reason
    assert "HGG/Brats18_CBICA_AAB_1/" in reason
    assert "LGG/Brats18_CBICA_AAB_1/" in reason


def test_files_of_another_name_are_left_out_and_said(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, [*LAYOUTS["2023"][0], "atlas/mni.nii.gz"])
    plan = plan_of(tmp_path)
    assert plan.warnings == ("1 image is not named as in BraTS 2023 or later and left out, for example atlas/mni.nii.gz.",)


def test_a_name_that_cannot_be_shown_is_said(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["2023"][0])
    write_image("bell\x07/T1.nii.gz")
    (said,) = plan_of(tmp_path).warnings
    assert "bell\\x07' has characters in its name that cannot be shown" in said


def test_a_folder_of_which_less_than_half_is_known_is_told_apart_by_names(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, [*LAYOUTS["paediatric"][0], *(f"p{n}/T1.nii.gz" for n in range(9))])
    assert recognise(scan(tmp_path)) is None


def test_a_challenge_that_fits_in_part_falls_back_and_says_so(write_image: Write, tmp_path: Path) -> None:
    for n in range(3):
        write_image(f"BraTS2021_0000{n}/BraTS2021_0000{n}_mprage.nii.gz", seed=n)
    write_image("BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz")
    plan = plan_of(tmp_path)
    assert (plan.layout, plan.modalities, len(plan.usable)) == ("", ("T1",), 3)
    assert plan.warnings[-1] == "The names are those of BraTS 2021 only in part, so cases were told apart without them."
    known = recognise(scan(tmp_path))
    assert known is not None
    named = plan_challenge(tmp_path, known, images={"T1": "*_mprage*"})
    assert (named.layout, len(named.usable), named.warnings) == ("BraTS 2021", 3, ())


def test_a_case_whose_images_have_other_names_is_excluded(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, [*LAYOUTS["2021, flat"][0], "BraTS2021_00007_pet.nii.gz"])
    assert [(c.name, "has no T1 image" in c.excluded_reason) for c in plan_of(tmp_path).excluded] == [("BraTS2021_00007", True)]


def test_broken_files_exclude_their_case(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    tree(write_image, labels, LAYOUTS["2020"][0])
    (tmp_path / "BraTS20_Training_001/BraTS20_Training_001_seg.nii").write_bytes(b"broken")
    write_image("BraTS20_Training_002/BraTS20_Training_002_seg.nii", labels, spacing=(1, 1, 1))
    reasons = [c.excluded_reason for c in plan_of(tmp_path).excluded]
    assert "BraTS20_Training_001_seg.nii is not a NIfTI file" in reasons[0]
    assert "is on another voxel grid" in reasons[1]


@pytest.mark.parametrize(
    "files",
    [
        ["a_T1.nii", "b_T1.nii", "b_seg.nii"],
        ["Case_a.mhd", "Case_b.mhd"],
        ["1/T1.nii.gz", "2/T1.nii.gz"],
        ["labels/p1.nii.gz", "images/p1.nii.gz"],
        ["1/pre/T1.nii.gz", "1/pre/FLAIR.nii.gz", "1/lesion.nii.gz"],
    ],
)
def test_other_folders_are_no_challenge(write_image: Write, labels: np.ndarray, tmp_path: Path, files: list[str]) -> None:
    tree(write_image, labels, files)
    assert recognise(scan(tmp_path)) is None
    assert layout_of(tmp_path) == "names"
