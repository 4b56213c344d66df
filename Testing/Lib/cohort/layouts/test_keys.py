from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.layouts.keys import case_keys
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, group_words, guess


def keys_of(names: Iterable[str]) -> dict[str, str]:
    """Name -> case, for names without suffix."""
    files = [ImageFile(f"/cohort/{name}.nii.gz", f"{name}.nii.gz") for name in names]
    groups = group_words(files)
    found = case_keys({file: guess(file, groups=groups) for file in files})
    return {file.relative.removesuffix(".nii.gz"): found[file] for file in files}


def owners(names: Iterable[str]) -> dict[str, str]:
    """Label -> the image of its case."""
    keys = keys_of(names)
    kinds = {name: guess(ImageFile("", f"{name}.nii")).kind for name in keys}
    images = {key: name for name, key in keys.items() if kinds[name] == "image"}
    return {name: images[key] for name, key in keys.items() if kinds[name] != "image" and key in images}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        # A word that all labels have tells a visit, a site, a person.
        (["P1_baseline_T1", "P1_followup_T1", "P2_baseline_T1", "P2_followup_T1", "P1_baseline_seg", "P2_baseline_seg"],
         {"P1_baseline_seg": "P1_baseline_T1", "P2_baseline_seg": "P2_baseline_T1"}),
        (["P1_baseline_T1", "P1_followup_T1", "P2_followup_T1", "P1_baseline_seg", "P2_baseline_seg"],
         {"P1_baseline_seg": "P1_baseline_T1"}),
        (["MS03/baseline/T1", "MS05/followup/T1", "MS09/baseline/T1", "MS03/baseline/seg", "MS03/followup/seg"],
         {"MS03/baseline/seg": "MS03/baseline/T1"}),
        (["siteA/001_T1", "siteA/003_T1", "siteB/001_T1", "siteB/004_T1", "siteB/001_seg", "siteB/003_seg"],
         {"siteB/001_seg": "siteB/001_T1"}),
        # A label may say less than the image where one image fits.
        (["siteA/001_T1", "siteA/002_T1", "siteB/004_T1", "labels/001_seg", "labels/004_seg", "labels/007_seg"],
         {"labels/001_seg": "siteA/001_T1", "labels/004_seg": "siteB/004_T1"}),
        (["P1_baseline_T1", "P2_followup_T1", "P3_baseline_T1", "P1_seg", "P2_seg", "P4_followup_seg"],
         {"P1_seg": "P1_baseline_T1", "P2_seg": "P2_followup_T1"}),
        # Numbers are of a person and of a visit, in this order.
        (["1_1_T1", "1_2_T1", "3_1_T1", "2_1_seg", "1_1_seg", "3_1_seg"], {"1_1_seg": "1_1_T1", "3_1_seg": "3_1_T1"}),
        (["1_2/1_2_T1", "3_1/3_1_T1", "2_1/2_1_seg", "3_1/3_1_seg"], {"3_1/3_1_seg": "3_1/3_1_T1"}),
        (["A_9_a_T1", "A_8_b_T1", "B_9_a_T1", "A_9_b_seg", "A_9_a_seg"], {"A_9_a_seg": "A_9_a_T1"}),
        # Readers are no visits.
        (["P1_T1", "P2_T1", "P1_seg_rater1", "P2_seg_rater2"], {"P1_seg_rater1": "P1_T1", "P2_seg_rater2": "P2_T1"}),
        (["P1_T1", "P2_T1", "P1_seg", "P2_followup_seg"], {"P1_seg": "P1_T1"}),
        # A number and the word for the kind in one word.
        (["img/img01", "img/img02", "label/label01", "label/label02"], {"label/label01": "img/img01", "label/label02": "img/img02"}),
        (["a/img/img01", "a/img/img02", "b/img/img61", "a/label/label01", "a/label/label02"],
         {"a/label/label01": "a/img/img01", "a/label/label02": "a/img/img02"}),
        (["img/img1_2", "img/img3_4", "label/label2_1", "label/label3_4"], {"label/label3_4": "img/img3_4"}),
        (["a/img/img01", "b/img/img01", "c/label/label01", "c/label/label02"], {}),
        # One image and one label.
        (["x/S0001", "x/S0006_seg"], {}),
        (["S0001_T1", "S0006_seg"], {}),
        (["x/S0001", "x/S0001_seg"], {"x/S0001_seg": "x/S0001"}),
        (["x/T1", "x/seg"], {"x/seg": "x/T1"}),
        # All images of one person, all labels of another.
        (["P002_m00_T1", "P002_m12_T1", "P005_m00_seg", "P005_m12_seg"], {}),
        (["P2_a_T1", "P2_b_T1", "P8_a_seg"], {}),
        (["P1_a_T1", "P2_a_T1", "P1_a_seg", "P2_b_seg"], {"P1_a_seg": "P1_a_T1"}),
        (["P2_baseline_T1", "P3_followup_T1", "P1_baseline_seg", "P1_followup_seg"], {}),
        # Capitals do not count.
        (["p1_T1", "p2_T1", "P1_seg", "P2_seg"], {"P1_seg": "p1_T1", "P2_seg": "p2_T1"}),
    ],
)  # fmt: skip
def test_a_label_belongs_to_its_own_image_or_to_none(names: list[str], found: dict[str, str]) -> None:
    assert owners(names) == found


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        (["P1_baseline_T1", "P1_baseline_FLAIR", "P1_followup_FLAIR", "P2_baseline_T1", "P2_baseline_FLAIR"],
         ["P1_baseline", "P1_baseline", "P1_followup", "P2_baseline", "P2_baseline"]),
        (["P1_baseline_T1", "P2_baseline_T1", "P1_followup_FLAIR", "P2_followup_FLAIR"],
         ["P1_baseline", "P2_baseline", "P1_followup", "P2_followup"]),
        (["a_T1", "a_T1_brain", "a_FLAIR_brain", "b_T1", "b_T1_brain", "b_FLAIR_brain"],
         ["a", "a_brain", "a", "b", "b_brain", "b"]),
        (["PD_001_T1", "HC_001_T1", "PD_001_FLAIR"], ["PD_001", "HC_001", "PD_001"]),
    ],
)  # fmt: skip
def test_images_of_one_visit_meet(names: list[str], cases: list[str]) -> None:
    assert list(keys_of(names).values()) == cases


WORDS = {
    "person": ["P{:02}", "sub{}", "MS{:03}", "patient_{}"],
    "visit": [["baseline", "followup"], ["v1", "v2"], ["ses-1", "ses-2"], ["2019-01-02", "2020-03-04"], ["m00", "m12"], ["x", "y"]],
    "site": [["siteA", "siteB"], ["A", "B"], ["PD", "HC"], ["tumor", "control"]],
}


def differ(cases: list[tuple[str, str, str]], sites: int) -> bool:
    """Whether the cases have several people, visits and, where there are some, sites."""
    found = [len(set(part)) for part in zip(*cases, strict=True)]
    return found[0] == sites and min(found[1:]) > 1


@given(st.data())
def test_no_label_ever_gets_to_another_case(data: st.DataObject) -> None:
    person = data.draw(st.sampled_from(WORDS["person"]))
    visits = data.draw(st.sampled_from(WORDS["visit"]))
    sites = data.draw(st.sampled_from([[""], *WORDS["site"]]))
    wanted = [(s, person.format(n), v) for n in (1, 2, 7) for s in sites for v in visits]
    # Words that all images share and no label has may as well name the sequence.
    images = data.draw(st.lists(st.sampled_from(wanted), min_size=2, unique=True).filter(lambda found: differ(found, len(sites))))
    labels = data.draw(st.lists(st.sampled_from(wanted), min_size=1, unique=True))
    spelt = data.draw(st.sampled_from(["flat", "case", "person", "visit", "kind"]))

    def name(case: tuple[str, str, str], kind: str) -> str:
        site, who, visit = case
        parts = [part for part in case if part]
        full = "_".join(parts)
        return {
            "flat": f"{full}_{kind}",
            "case": f"{full}/{full}_{kind}",
            "person": "/".join([*parts, kind]),
            "visit": "/".join([visit, "_".join(filter(None, [site, who])), kind]),
            "kind": f"{kind}/{full}",
        }[spelt]

    truth = {name(case, kind): case for kind, cases in (("T1", images), ("seg", labels)) for case in cases}
    keys = keys_of(truth)
    cases = {keys[name(case, "T1")]: case for case in images}
    assert len(cases) == len(images)
    for case in labels:
        owner = cases.get(keys[name(case, "seg")])
        assert owner in (None, case)
        if case in images:
            assert owner == case
