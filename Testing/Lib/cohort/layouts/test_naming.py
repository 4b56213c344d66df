from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, group_words, guess, is_number, time_or_sequence, vocabulary


def file(name: str) -> ImageFile:
    return ImageFile(f"/cohort/{name}.nii.gz", f"{name}.nii.gz")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["PD_001_T1", "HC_001_T1"], {"pd"}),
        (["siteA_PD_001_T1", "siteA_PD_002_T1"], {"pd"}),
        (["tumor_001_T1", "control_001_T1"], {"tumor"}),
        (["tumor_001", "control_001"], {"tumor"}),
        (["tumor/P01/T1", "control/P01/T1"], {"tumor"}),
        (["T1/PD_001", "T1/HC_001"], {"pd"}),
        (["P01_T0_FLAIR", "P01_T1_FLAIR"], {"t0", "t1"}),
        # They mean a sequence or a label.
        (["001_T1", "lesion_001_T1"], set()),
        (["image_001_T1", "tumor_001_T1"], set()),
        (["T1/001", "T1/lesion_001"], set()),
        (["P01_T1", "P01_lesion_FLAIR", "P01_FLAIR_brain"], set()),
        (["PD_001_reg_to_T1", "T1_001"], set()),
        (["PD_N4_T1", "T1_N4"], set()),
        (["PD_1", "T1_1"], set()),
        (["P01_T1_FLAIR", "P01_T2_FLAIR"], set()),
        (["images/001", "labels/tumor_001"], set()),
    ],
)
def test_words_that_name_groups_of_people(names: list[str], words: set[str]) -> None:
    assert group_words([file(name) for name in names]) == words


@pytest.mark.parametrize(
    ("name", "groups", "kind", "modality"),
    [
        ("PD_001_T1", {"pd"}, "image", "T1"),
        ("PD_001_PD", {"pd"}, "image", "PD"),
        ("PD_001_seg", {"pd"}, "label", "seg"),
        ("images_T2w/PD_001", {"pd"}, "image", "T2"),
        ("labels/PD_001", {"pd"}, "label", "labels"),
        ("PD_001/PD_001_T1", {"pd"}, "image", "T1"),
        ("tumor/P01/T1", {"tumor"}, "image", "T1"),
        ("tumor_001_tumor", {"tumor"}, "label", "tumor"),
        ("P01_T1_FLAIR", {"t0", "t1"}, "image", "FLAIR"),
        ("P01_T1_T1", {"t0", "t1"}, "image", "T1"),
        ("P01_T1_brain", {"t0", "t1"}, "image", "T1"),
        ("P01_FLAIR_to_T1", set(), "image", "FLAIR"),
    ],
)
def test_a_word_for_a_group_does_not_name_the_kind(name: str, groups: set[str], kind: str, modality: str) -> None:
    found = guess(file(name), groups=frozenset(groups))
    assert (found.kind, found.name) == (kind, modality)


def test_a_sequence_that_all_names_have_is_one_under_a_folder_for_a_group() -> None:
    assert guess(file("tumor/P01/T1"), universal=frozenset({"t1"}), groups=frozenset({"tumor"})).name == "T1"


def test_the_words_for_the_kind_are_told() -> None:
    assert guess(file("P01_ground_truth_T1")).said == {"ground", "truth"}
    assert guess(file("T1_brain/1000_SS")).said == {"t1"}
    assert guess(file("P01")).said == set()
    assert vocabulary("P01_gold-standard_T1_brain") == {"gold", "standard", "t1"}


@pytest.mark.parametrize(
    ("word", "number"), [("P01", True), ("7", True), ("T1", False), ("3T", False), ("1mm", False), ("n4", False), ("a", False)]
)
def test_numbers_that_may_be_of_a_person(word: str, number: bool) -> None:
    assert is_number(word) is number


def test_times_and_sequences_that_are_called_alike() -> None:
    assert time_or_sequence([file("a/x_T1_flair"), file("a/x_T2_flair")]) == ("x_T1_flair", "x_T2_flair", "FLAIR")
    assert time_or_sequence([file("a/x_T1_flair"), file("b/x_T2_flair"), file("x_T1"), file("x_T2")]) is None
