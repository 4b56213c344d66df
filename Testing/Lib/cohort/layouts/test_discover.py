from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

Write = Callable[..., Path]


def malc(write_image: Write, labels: np.ndarray, names: tuple[str, ...] = ("1000", "1001", "1036")) -> None:
    """A folder per kind of file."""
    for n, name in enumerate(names):
        write_image(f"T1_brain/{name}_SS.nii.gz", seed=n)
        write_image(f"labels/{name}_glm.nii.gz", labels)
        write_image(f"tissue/{name}_classified.nii.gz", labels)
        write_image(f"brainmask/{name}_mask.nii.gz", (labels > 0).astype(np.uint8))


def brats(write_image: Write, labels: np.ndarray, names: tuple[int, ...] = (1, 2, 6)) -> None:
    """A folder per case."""
    for n in names:
        folder = f"brats_2013_pat000{n}_1"
        write_image(f"{folder}/Flair_subtrMeanDivStd.nii.gz", seed=n)
        write_image(f"{folder}/T1c_subtrMeanDivStd.nii.gz", seed=n + 10)
        write_image(f"{folder}/OTMultiClass.nii.gz", labels.astype(np.float32))
        write_image(f"{folder}/brainmask.nii.gz", (labels > 0).astype(np.float32))


def test_a_folder_per_kind_is_understood(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    plan = discover(tmp_path)
    assert [c.name for c in plan.cases] == ["1000", "1001", "1036"]
    assert plan.modalities == ("T1",)
    assert plan.patterns == {"T1": "T1_brain/*_SS.nii.gz"}
    assert (plan.label_pattern, plan.mask_pattern) == ("labels/*_glm.nii.gz", "brainmask/*_mask.nii.gz")
    assert plan.alternatives == {"label": ("tissue/*_classified.nii.gz",)}
    case = plan.cases[2]
    assert case.images == {"T1": str(tmp_path / "T1_brain/1036_SS.nii.gz")}
    assert case.label == str(tmp_path / "labels/1036_glm.nii.gz")
    assert case.mask == str(tmp_path / "brainmask/1036_mask.nii.gz")
    assert case.geometry == Geometry((7, 6, 5), (1, 2, 3), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert (case.role, case.problems, plan.warnings) == ("pool", (), ())


def test_the_label_can_be_chosen_by_pattern(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    plan = discover(tmp_path, label="tissue/*")
    assert [Path(c.label or "").name for c in plan.cases] == ["1000_classified.nii.gz", "1001_classified.nii.gz", "1036_classified.nii.gz"]
    assert plan.guessed == {"T1", "mask"}


def test_an_empty_pattern_means_none(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    plan = discover(tmp_path, label="", mask="")
    assert all(c.label is None and c.mask is None for c in plan.cases)


def test_a_folder_per_case_is_understood(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    brats(write_image, labels)
    plan = discover(tmp_path)
    assert [c.name for c in plan.cases] == ["brats_2013_pat0001_1", "brats_2013_pat0002_1", "brats_2013_pat0006_1"]
    assert plan.modalities == ("T1c", "FLAIR")
    assert (plan.label_pattern, plan.mask_pattern) == ("*/OTMultiClass.nii.gz", "*/brainmask.nii.gz")
    assert len(plan.usable) == 3


def test_long_file_names_full_of_processing_steps_are_understood(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in ("07", "19"):
        write_image(f"patient{n}/FLAIR_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz")
        write_image(f"patient{n}/T1_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz")
        write_image(f"patient{n}/GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz", labels)
    plan = discover(tmp_path)
    assert [c.name for c in plan.cases] == ["patient07", "patient19"]
    assert plan.modalities == ("T1", "FLAIR")
    assert all("GOLD_STANDARD" in (c.label or "") for c in plan.cases)


@pytest.mark.parametrize(
    ("files", "names", "modalities"),
    [
        (["Case00.mhd", "Case00_segmentation.mhd", "Case01.mhd", "Case01_segmentation.mhd"], ["Case00", "Case01"], ("image",)),
        (["a_T1.nii", "a_T2.nii", "a_seg.nii", "b_T1.nii", "b_T2.nii", "b_seg.nii"], ["a", "b"], ("T1", "T2")),
        (["T1_a.nrrd", "label_a.nrrd", "T1_b.nrrd", "label_b.nrrd"], ["a", "b"], ("T1",)),
        (
            ["BraTS_X_1_t1.nii", "BraTS_X_1_t1ce.nii", "BraTS_X_1_seg.nii", "BraTS_Y_2_t1.nii", "BraTS_Y_2_t1ce.nii", "BraTS_Y_2_seg.nii"],
            ["BraTS_X_1", "BraTS_Y_2"],
            ("T1", "T1c"),
        ),
        (["sub-01_T1w.nii.gz", "sub-02_T1w.nii.gz", "sub-03_T1w.nii.gz"], ["sub-01", "sub-02", "sub-03"], ("T1",)),
        (["images/p1.nii", "images/p2.nii", "labels/p1.nii", "labels/p2.nii"], ["p1", "p2"], ("image",)),
        (["imagesTr/c_1_0000.nii", "imagesTr/c_1_0001.nii", "imagesTr/c_2_0000.nii", "imagesTr/c_2_0001.nii",
          "labelsTr/c_1.nii", "labelsTr/c_2.nii"], ["c_1", "c_2"], ("0000", "0001")),
        (["one/T1.nii", "one/seg.nii"], ["one"], ("T1",)),
        (["A/p1/T1.nii", "A/p1/seg.nii", "A/p2/T1.nii", "A/p2/seg.nii", "B/p1/T1.nii", "B/p1/seg.nii"], ["A_p1", "A_p2", "B_p1"], ("T1",)),
        (["a_t1.nii", "a_mask.nii", "b_t1.nii", "b_mask.nii"], ["a", "b"], ("T1",)),
        (["PD_1_T1.nii", "PD_1_FLAIR.nii", "PD_2_T1.nii", "PD_2_FLAIR.nii"], ["PD_1", "PD_2"], ("T1", "FLAIR")),
        (["A/p1.nii", "A/p2.nii", "B/p1.nii", "C/p1.nii"], ["A_p1", "A_p2", "B_p1", "C_p1"], ("image",)),
        (["a/T1.nii"], ["a"], ("T1",)),
        (["only.nii.gz"], ["only"], ("image",)),
    ],
)  # fmt: skip
def test_layouts_and_names_people_use(
    write_image: Write, labels: np.ndarray, tmp_path: Path, files: list[str], names: list[str], modalities: tuple[str, ...]
) -> None:
    for n, file in enumerate(files):
        is_label = any(word in file for word in ("seg", "label", "mask"))
        write_image(file, labels if is_label else None, seed=n)
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == names
    assert plan.modalities == modalities
    has_labels = any(word in " ".join(files) for word in ("seg", "label", "mask"))
    assert all((c.label is not None) == has_labels for c in plan.cases)
    assert plan.excluded == ()


def test_visits_of_one_person_share_the_patient(write_image: Write, tmp_path: Path) -> None:
    for subject in ("sub-01", "sub-02"):
        for session in ("ses-1", "ses-2"):
            write_image(f"{subject}/{session}/anat/{subject}_{session}_T1w.nii.gz")
            write_image(f"{subject}/{session}/anat/{subject}_{session}_FLAIR.nii.gz")
    plan = discover(tmp_path)
    assert [(c.name, c.patient) for c in plan.cases][:2] == [("sub-01_ses-1", "sub-01"), ("sub-01_ses-2", "sub-01")]


@pytest.mark.parametrize(
    ("visits", "people"),
    [
        (("baseline", "followup"), 3),
        (("ses-1", "ses-2"), 3),
        (("Visit01", "Visit02"), 3),
        (("2019-03-04", "2020-11-22"), 3),
        (("V1", "V2"), 3),
        (("m00", "m12"), 3),
        (("MR1", "MR2"), 3),
        (("scan1", "scan2"), 3),
        (("pre", "post"), 3),
        # Nothing says that these are visits.
        (("10023456", "10023457"), 6),
    ],
)
def test_visits_in_flat_names_share_the_patient(write_image: Write, tmp_path: Path, visits: tuple[str, ...], people: int) -> None:
    for n in range(3):
        for m, visit in enumerate(visits):
            write_image(f"P{n:02}_{visit}_T1.nii.gz", seed=2 * n + m)
    plan = discover(tmp_path)
    assert len(plan.usable) == 6
    assert len({c.patient for c in plan.usable}) == people
    assert [w for w in plan.warnings if "visits of 3 people" in w and "--table" in w] == list(plan.warnings)
    assert len(plan.warnings) == (people == 3)


def test_one_person_with_dates_is_not_guessed_to_be_one(write_image: Write, tmp_path: Path) -> None:
    for n, day in enumerate(("20190304", "20201122", "20210101")):
        write_image(f"brain_{day}_T1.nii.gz", seed=n)
    assert len({c.patient for c in discover(tmp_path).usable}) == 3


def test_a_visit_folder_may_lie_outside(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for visit in ("baseline", "followup"):
        for n in (1, 2):
            write_image(f"{visit}/P0{n}_T1.nii.gz", seed=n)
            write_image(f"{visit}/P0{n}_seg.nii.gz", labels)
    plan = discover(tmp_path)
    assert [(c.name, c.patient) for c in plan.usable] == [
        ("baseline_P01", "P01"),
        ("baseline_P02", "P02"),
        ("followup_P01", "P01"),
        ("followup_P02", "P02"),
    ]
    assert all(c.label and c.name.replace("_", "/") in c.label for c in plan.cases)


def test_what_may_be_visits_is_asked_and_not_guessed(write_image: Write, tmp_path: Path) -> None:
    for n in range(3):
        for visit in (1, 2):
            write_image(f"P0{n}_{visit}_T1.nii.gz", seed=n)
    plan = discover(tmp_path)
    assert len({c.patient for c in plan.usable}) == 6
    (said,) = plan.warnings
    assert "P00_1 and P00_2 may be visits of one person" in said
    assert "--table" in said
    table = tmp_path / "people.csv"
    table.write_text("case,patient\n" + "".join(f"P0{n}_{v},P0{n}\n" for n in range(3) for v in (1, 2)), encoding="utf-8")
    plan = discover(tmp_path, table=table)
    assert (len({c.patient for c in plan.usable}), plan.warnings) == (3, ())


def test_times_and_sequences_that_are_called_alike_are_said(write_image: Write, tmp_path: Path) -> None:
    for n in (1, 2):
        for time in ("T1", "T2"):
            write_image(f"P0{n}_{time}_FLAIR.nii.gz", seed=n)
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["P01", "P02"]
    assert plan.warnings == (
        "P01_T1_FLAIR and P01_T2_FLAIR count as two sequences of one visit; "
        'if T1 and T2 are visits, name the images: --image FLAIR="*FLAIR*".',
    )
    plan = discover(tmp_path, images={"FLAIR": "*FLAIR*"})
    assert [(c.name, c.patient) for c in plan.usable] == [("P01_T1", "P01"), ("P01_T2", "P01"), ("P02_T1", "P02"), ("P02_T2", "P02")]


@pytest.mark.parametrize("name", ["annotated-mask", "model-completed", "model-completed_annotated-mask", "model-prediction"])
def test_what_this_program_exported_is_no_mask_and_no_image(write_image: Write, labels: np.ndarray, tmp_path: Path, name: str) -> None:
    for n in (1, 2):
        write_image(f"images/P0{n}.nii.gz", seed=n)
        write_image(f"export/P0{n}_annotation.nii.gz", labels)
        write_image(f"export/P0{n}_{name}.nii.gz", labels)
    plan = discover(tmp_path)
    assert [(c.name, list(c.images), Path(c.label or "").name, c.mask) for c in plan.usable] == [
        ("P01", ["image"], "P01_annotation.nii.gz", None),
        ("P02", ["image"], "P02_annotation.nii.gz", None),
    ]
    assert discover(tmp_path, mask=f"*_{name}.nii.gz").cases[0].mask is not None


def test_labels_of_one_visit_keep_their_visit(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2, 3):
        for visit in ("baseline", "followup"):
            if (n, visit) != (2, "baseline"):
                write_image(f"P0{n}_{visit}_T1.nii.gz", seed=n)
        write_image(f"P0{n}_baseline_seg.nii.gz", labels)
    plan = discover(tmp_path)
    found = {c.name: Path(c.label).name for c in plan.usable if c.label}
    assert found == {"P01_baseline": "P01_baseline_seg.nii.gz", "P03_baseline": "P03_baseline_seg.nii.gz"}
    rule = "files of a case need the same words and numbers in their names, but for the kind (P1_T1, P1_seg)"
    assert plan.warnings[0] == f"1 label file fits no image, for example P02_baseline_seg.nii.gz; {rule}."


def test_numbers_glued_to_the_word_for_the_kind_pair_labels_with_images(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in (1, 2, 3):
        write_image(f"img/img000{n}.nii.gz", seed=n)
        write_image(f"label/label000{n}.nii.gz", labels)
    for plan in (discover(tmp_path), discover(tmp_path, images={"CT": "img/*"}, label="label/*")):
        assert {c.name: Path(c.label or "").name for c in plan.usable} == {f"img000{n}": f"label000{n}.nii.gz" for n in (1, 2, 3)}
        assert (plan.label_pattern in ("label/*.nii.gz", "label/*"), plan.warnings) == (True, ())
    write_image("label/label0009.nii.gz", labels)
    plan = discover(tmp_path)
    assert all(c.label is not None for c in plan.usable)
    assert plan.warnings[0].startswith("1 label file fits no image, for example label/label0009.nii.gz; ")


def test_groups_of_people_called_like_a_sequence_or_a_label_stay_apart(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for folder, groups in (("a", ("PD", "HC")), ("b", ("tumor", "control"))):
        for group in groups:
            for n in (1, 2):
                write_image(f"{folder}/{group}_00{n}_T1.nii.gz", seed=n)
                write_image(f"{folder}/{group}_00{n}_seg.nii.gz", labels)
        plan = discover(tmp_path / folder)
        assert [c.name for c in plan.usable] == sorted(f"{group}_00{n}" for group in groups for n in (1, 2))
        assert (plan.modalities, plan.alternatives) == (("T1",), {})
        assert all(Path(c.label or "").name == f"{c.name}_seg.nii.gz" for c in plan.cases)


def test_images_can_be_named_by_pattern_in_any_case(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    brats(write_image, labels)
    plan = discover(tmp_path, images={"after": "*/t1C*", "water": "flair_*.nii.gz"}, reference="water")
    assert plan.modalities == ("after", "water")
    assert plan.reference == "water"
    assert len(plan.usable) == 3
    assert all(c.label for c in plan.cases)


def test_a_wide_pattern_does_not_take_the_labels(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(f"{name}_t1.nii.gz")
        write_image(f"{name}_t1_seg.nii.gz", labels)
    plan = discover(tmp_path, images={"T1": "*_t1*"})
    assert [Path(c.images["T1"]).name for c in plan.usable] == ["a_t1.nii.gz", "b_t1.nii.gz"]
    assert [Path(c.label or "").name for c in plan.usable] == ["a_t1_seg.nii.gz", "b_t1_seg.nii.gz"]


def test_a_case_without_one_modality_is_excluded_with_the_reason(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    brats(write_image, labels)
    (tmp_path / "brats_2013_pat0002_1/Flair_subtrMeanDivStd.nii.gz").unlink()
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["brats_2013_pat0001_1", "brats_2013_pat0006_1"]
    said = "brats_2013_pat0002_1 has no FLAIR image (*/Flair_subtrMeanDivStd.nii.gz). Add it, or name other images (--image)."
    assert plan.excluded[0].excluded_reason == said


def test_a_case_without_label_or_mask_stays_usable(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    (tmp_path / "labels/1001_glm.nii.gz").unlink()
    (tmp_path / "brainmask/1001_mask.nii.gz").unlink()
    plan = discover(tmp_path)
    assert len(plan.usable) == 3
    assert [c.label is None for c in plan.cases] == [False, True, False]
    assert [c.mask is None for c in plan.cases] == [False, True, False]


@pytest.mark.parametrize("place", ["T1_brain/1001_SS.nii.gz", "labels/1001_glm.nii.gz", "brainmask/1001_mask.nii.gz"])
def test_a_broken_file_excludes_its_case_only(write_image: Write, labels: np.ndarray, tmp_path: Path, place: str) -> None:
    malc(write_image, labels)
    (tmp_path / place).write_bytes((tmp_path / place).read_bytes()[:100])
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["1000", "1036"]
    assert Path(place).name in plan.excluded[0].excluded_reason
    assert "truncated" in plan.excluded[0].excluded_reason


def test_a_label_on_another_grid_excludes_its_case(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    write_image("labels/1000_glm.nii.gz", labels, origin=(3, 0, 0))
    write_image("labels/1001_glm.nii.gz", labels[1:])
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["1036"]
    assert "same size, but another position" in plan.excluded[0].excluded_reason
    assert "7 x 6 x 4 against 7 x 6 x 5 voxels" in plan.excluded[1].excluded_reason
    assert "nearest-neighbour" in plan.excluded[1].excluded_reason


def test_a_label_on_another_grid_is_found_in_a_folder_named_with_a_number_sign(
    write_image: Write, labels: np.ndarray, tmp_path: Path
) -> None:
    write_image("case #3/T1.nii.gz")
    write_image("case #3/seg.nii.gz", labels[:, ::2])
    (case,) = discover(tmp_path).cases
    assert case.role == "excluded"
    assert "seg.nii.gz is on another voxel grid than" in case.excluded_reason


def test_other_modalities_may_have_another_grid_but_must_overlap(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    brats(write_image, labels)
    write_image("brats_2013_pat0001_1/Flair_subtrMeanDivStd.nii.gz", spacing=(2, 2, 2))
    write_image("brats_2013_pat0002_1/Flair_subtrMeanDivStd.nii.gz", origin=(900, 0, 0))
    write_image("brats_2013_pat0006_1/Flair_subtrMeanDivStd.nii.gz", origin=(5, 0, 0))
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["brats_2013_pat0001_1", "brats_2013_pat0006_1"]
    assert "does not overlap" in plan.excluded[0].excluded_reason
    assert "covers only 29%" in plan.usable[1].problems[0]


def test_the_grid_of_the_labels_decides_the_reference(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(f"{name}_T1.nii.gz", spacing=(1, 1, 1))
        write_image(f"{name}_FLAIR.nii.gz")
        write_image(f"{name}_seg.nii.gz", labels)
    plan = discover(tmp_path)
    assert (plan.reference, len(plan.usable)) == ("FLAIR", 2)
    assert plan.cases[0].geometry.spacing == (1, 2, 3)


def test_one_case_in_two_formats_is_refused_with_both_files(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    write_image("T1_brain/1001_SS.nrrd")
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["1000", "1036"]
    reason = plan.excluded[0].excluded_reason
    assert "1001_SS.nii.gz" in reason
    assert "1001_SS.nrrd" in reason


def test_names_that_differ_in_capitals_only_are_refused_with_both_files(write_image: Write, tmp_path: Path) -> None:
    for name in ("p1", "P1", "p2"):
        write_image(f"{name}/T1.nii.gz")
        write_image(f"{name}/T2.nii.gz")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system does not tell capitals apart")
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["p2"]
    assert sorted(c.name for c in plan.excluded) == ["P1", "p1"]
    assert all("p1/T1.nii.gz" in c.excluded_reason and "P1/T1.nii.gz" in c.excluded_reason for c in plan.excluded)


def test_of_two_files_for_a_place_the_kind_that_most_cases_have_is_taken(write_image: Write, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(f"{name}/T1.nii.gz")
        write_image(f"{name}/T2.nii.gz")
    write_image("b/T1_repeat.nii.gz")
    plan = discover(tmp_path)
    assert [Path(c.images["T1"]).name for c in plan.usable] == ["T1.nii.gz"] * 3
    assert plan.alternatives == {"T1": ("*/T1_repeat.nii.gz",)}


def test_sites_may_name_their_files_each_in_their_own_way(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for name, image, label in (("a", "T1", "seg"), ("b", "T1", "seg"), ("c", "mprage", "label"), ("d", "mprage", "label")):
        write_image(f"{name}/{image}.nii.gz")
        write_image(f"{name}/{label}.nii.gz", labels)
    plan = discover(tmp_path)
    assert len(plan.usable) == 4
    assert plan.patterns == {"T1": "*/T1.nii.gz or */mprage.nii.gz"}
    assert all(c.label for c in plan.cases)


def test_a_missing_label_is_not_replaced_by_one_of_another_kind(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(f"{name}/T1.nii.gz")
        write_image(f"{name}/seg_rater2.nii.gz", labels)
        if name != "c":
            write_image(f"{name}/seg.nii.gz", labels)
    plan = discover(tmp_path, label="*/seg.nii.gz")
    assert [c.label is None for c in plan.cases] == [False, False, True]
    assert {Path(c.label or "").name for c in discover(tmp_path).cases} == {"seg_rater2.nii.gz"}


def test_a_sequence_that_few_cases_have_and_files_without_a_word_are_left_out_and_said(write_image: Write, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(f"{name}/T1.nii.gz")
        write_image(f"{name}/warp.nii.gz")
    write_image("a/T2.nii.gz")
    plan = discover(tmp_path)
    assert plan.modalities == ("T1",)
    assert len(plan.usable) == 3
    assert len(plan.warnings) == 2
    assert any("a/T2.nii.gz" in w for w in plan.warnings)
    assert any("3 files such as a/warp.nii.gz" in w for w in plan.warnings)


def test_a_single_slice_is_allowed_and_said(write_image: Write, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(f"{name}_T1.nii.gz", np.random.default_rng(0).normal(size=(1, 6, 7)))
    plan = discover(tmp_path)
    assert len(plan.usable) == 2
    assert plan.usable[0].problems == (f"{tmp_path / 'a_T1.nii.gz'} has a single slice.",)


def test_hidden_files_and_links_that_go_in_circles_do_no_harm(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    for hidden in ("T1_brain/._1000_SS.nii.gz", ".cache/1009_SS.nii.gz", "__MACOSX/1000_SS.nii.gz", "T1_brain/~1000_SS.nii.gz"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"x")
    os.symlink(tmp_path, tmp_path / "T1_brain/loop")
    os.symlink(tmp_path / "T1_brain", tmp_path / "labels/loop")
    os.symlink(tmp_path / "nowhere.nii.gz", tmp_path / "labels/dangling")
    assert [c.name for c in discover(tmp_path).usable] == ["1000", "1001", "1036"]


def test_a_cohort_of_links_is_followed(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    linked = tmp_path / "linked"
    linked.mkdir()
    for kind in ("T1_brain", "labels"):
        os.symlink(tmp_path / kind, linked / kind)
    assert [c.name for c in discover(linked).usable] == ["1000", "1001", "1036"]


def test_a_table_gives_roles_and_patients(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    table = tmp_path / "subjects.csv"
    table.write_text("id,group,Subject\n1000,train,A\n1001,test,B\n1036,train,A\n7777,test,C\n")
    plan = discover(tmp_path, table=table)
    assert [(c.role, c.patient) for c in plan.cases] == [("pool", "A"), ("test", "B"), ("pool", "A")]
    assert "7777" in plan.warnings[0]


def test_what_was_guessed_is_shown_in_a_table(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    malc(write_image, labels)
    (tmp_path / "T1_brain/1001_SS.nii.gz").write_bytes(b"broken")
    text = discover(tmp_path, mask="brainmask/*").describe()
    lines = text.splitlines()
    assert lines[0] == f"{tmp_path}: 2 of 3 cases can be used, of 2 people (2 pool)."
    assert lines[2].split() == ["image", "T1", "T1_brain/*_SS.nii.gz", "3", "guessed,", "annotations", "live", "on", "its", "grid"]
    assert lines[4].split() == ["foreground", "mask", "brainmask/*", "3"]
    assert 'choose with --label "tissue/*_classified.nii.gz"' in text
    assert "Excluded 1001: " in text


def test_folders_and_patterns_without_images_are_refused(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        discover(tmp_path / "none")
    with pytest.raises(InputError, match="no images in"):
        discover(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is a file, not a folder"):
        discover(tmp_path / "notes.txt")
    malc(write_image, labels)
    with pytest.raises(InputError, match=r'No file fits the pattern "t9/\*" for T9'):
        discover(tmp_path, images={"T9": "t9/*"})
    with pytest.raises(InputError, match=r'No file fits the pattern "x\*" for label'):
        discover(tmp_path, label="x*")
    with pytest.raises(InputError, match="no modality T2"):
        discover(tmp_path, reference="T2")
    shutil.rmtree(tmp_path / "T1_brain")
    with pytest.raises(InputError, match="Only labels or masks"):
        discover(tmp_path)
