from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.cohort.plan import CohortPlan

Write = Callable[..., Path]


@pytest.fixture
def plan_of(write_image: Write, labels: np.ndarray, tmp_path: Path) -> Callable[..., CohortPlan]:
    """Writes a labelmap or noise for every name and gives the plan; `#` in a name stands for 1, 2 and 3."""

    def plan(*names: str, **given: object) -> CohortPlan:
        for name in names:
            for n in (1, 2, 3) if "#" in name else (1,):
                is_label = any(word in name for word in ("seg", "pred"))
                write_image(f"{name.replace('#', str(n))}.nii.gz", labels if is_label else None, seed=n)
        return discover(tmp_path, **given)  # type: ignore[arg-type]

    return plan


def found(plan: CohortPlan) -> dict[str, tuple[str, str, str]]:
    """Case -> patient, image, label, without suffixes."""

    def stem(path: str | None) -> str:
        return Path(path or "").name.removesuffix(".nii.gz")

    return {c.name: (c.patient, stem(next(iter(c.images.values()))), stem(c.label)) for c in plan.usable}


@pytest.mark.parametrize("step", ["brain", "n4", "bet", "resampled", "raw", "denoised", "brain_n4"])
@pytest.mark.parametrize("name", ["P0#_T1", "P0#/P0#_T1", "P0#_ct"])
def test_a_version_of_an_image_is_no_case_and_takes_no_labels(plan_of: Callable[..., CohortPlan], name: str, step: str) -> None:
    plan = plan_of(name, f"{name}_{step}", f"{name}_seg")
    stem = name.rpartition("/")[2]
    wanted = {f"P0{n}": (f"P0{n}", stem.replace("#", str(n)), f"{stem.replace('#', str(n))}_seg") for n in (1, 2, 3)}
    assert found(plan) == wanted
    assert any(w.startswith("By name 3 files are other versions of images") and "--image" in w for w in plan.warnings)
    assert plan.alternatives.popitem()[1][0].endswith(f"_{step}.nii.gz")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("plain", "version", "label"),
    [
        ("T1/P0#_T1", "T1_brain/P0#_T1_brain", "seg/P0#_seg"),
        ("images/P0#", "images_n4/P0#_n4", "segs/P0#"),
        ("raw/P0#", "brain/P0#", "segs/P0#"),
        ("raw/P0#_T1", "preprocessed/P0#_T1", "seg/P0#_seg"),
        ("P0#/T1", "P0#/brain/T1", "P0#/seg"),
    ],
)
def test_versions_may_have_a_folder_of_their_own(plan_of: Callable[..., CohortPlan], plain: str, version: str, label: str) -> None:
    plan = plan_of(plain, version, label)
    assert [(c.name, c.patient, c.label is not None) for c in plan.usable] == [(f"P0{n}", f"P0{n}", True) for n in (1, 2, 3)]
    assert len({Path(c.images[plan.reference]).parent.name.rstrip("123") for c in plan.usable}) == 1
    assert plan.warnings[0].startswith("By name 3 files are other versions of images")


@pytest.mark.parametrize(
    ("first", "other", "label", "image"),
    [
        ("orig/P0#_T1", "registered/P0#_T1", "registered/P0#_seg", "registered/P0#_T1"),
        ("orig/images/P0#", "cropped/images/P0#", "cropped/labels/P0#_seg", "cropped/images/P0#"),
        ("images_orig/P0#", "images_resampled/P0#", "segs_resampled/P0#", "images_resampled/P0#"),
        ("raw/P0#_T1", "brain/P0#_T1_brain", "raw/P0#_seg", "raw/P0#_T1"),
        ("raw/P0#", "brain/P0#_brain", "segs/P0#", "raw/P0#"),
    ],
)
def test_a_case_has_the_image_that_its_labels_were_drawn_on(
    plan_of: Callable[..., CohortPlan], first: str, other: str, label: str, image: str
) -> None:
    plan = plan_of(first, other, label)
    assert [c.patient for c in plan.usable] == ["P01", "P02", "P03"]
    for n, case in enumerate(plan.usable, start=1):
        assert case.images[plan.reference].endswith(f"/{image.replace('#', str(n))}.nii.gz")
        assert (case.label or "").endswith(f"/{label.replace('#', str(n))}.nii.gz")


def test_where_few_labels_are_of_another_version_each_has_its_own(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P0#_T1", "P0#_T1_warped", "P01_T1_warped_seg", "P02_T1_seg", "P03_T1_seg")
    assert {name: (image, label) for name, (_, image, label) in found(plan).items()} == {
        "P01": ("P01_T1_warped", "P01_T1_warped_seg"), "P02": ("P02_T1", "P02_T1_seg"), "P03": ("P03_T1", "P03_T1_seg"),
    }  # fmt: skip


@pytest.mark.parametrize("time", ["intraop", "preoperative", "retest", "later", "after"])
def test_another_time_is_no_version(plan_of: Callable[..., CohortPlan], time: str) -> None:
    plan = plan_of("P0#_T1", "P0#_T1_seg", f"P0#_T1_{time}", f"P0#_T1_{time}_seg")
    assert len(plan.usable) == 6
    assert len({c.patient for c in plan.usable}) == 3
    assert all(Path(c.label or "").name == Path(c.images["T1"]).name.replace(".nii", "_seg.nii") for c in plan.usable)


def test_cases_of_two_sites_stay_where_they_are(plan_of: Callable[..., CohortPlan]) -> None:
    assert len(plan_of("siteA/P0#_T1", "siteB/P0#_T1_brain").usable) == 6


def test_the_folder_may_say_that_a_model_drew_it(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("images/P0#_T1", "predictions/P0#_T1", "segs/P0#")
    assert found(plan)["P02"] == ("P02", "P02_T1", "P02")


@pytest.mark.parametrize("word", ["pred", "prob", "autoseg", "nnunet"])
@pytest.mark.parametrize("name", ["P0#_T1", "P0#/T1", "P0#_T1_seg"])
def test_what_a_model_drew_is_no_image_and_no_reference_label(plan_of: Callable[..., CohortPlan], name: str, word: str) -> None:
    kind = name.removesuffix("_seg")
    plan = plan_of(kind, f"{kind}_seg", f"{name}_{word}")
    assert [(c.name, Path(c.label or "").name.endswith("_seg.nii.gz")) for c in plan.usable] == [
        ("P01", True),
        ("P02", True),
        ("P03", True),
    ]
    (said,) = plan.warnings
    assert f"_{word}.nii.gz" in said
    assert "--label" in said


def test_a_pattern_takes_what_a_model_drew(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P0#_T1", "P0#_T1_pred", label="*_pred*")
    assert (found(plan)["P02"], plan.warnings) == (("P02", "P02_T1", "P02_T1_pred"), ())


def test_people_called_prob_are_people(plan_of: Callable[..., CohortPlan]) -> None:
    assert list(found(plan_of("Prob_00#_T1", "Pat_00#_T1")))[3:] == ["Prob_001", "Prob_002", "Prob_003"]


def test_a_version_can_be_chosen(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P0#_T1", "P0#_T1_brain", "P0#_T1_seg", images={"T1": "*_T1_brain*"})
    assert found(plan)["P02"] == ("P02", "P02_T1_brain", "P02_T1_seg")


def test_the_version_that_labels_are_called_after_is_taken(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P0#_CT", "P0#_CT_contrast", "P0#_CT_contrast_seg")
    assert found(plan)["P02"] == ("P02", "P02_CT_contrast", "P02_CT_contrast_seg")


def test_the_version_that_most_cases_have_is_taken_and_what_lacks_it_is_said(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P01_T1", "P0#_T1_brain")
    assert [image for _, image, _ in found(plan).values()] == ["P01_T1_brain", "P02_T1_brain", "P03_T1_brain"]
    plan = plan_of("P02_T1", "P03_T1", "P04_T1")
    assert [image for _, image, _ in found(plan).values()] == ["P01_T1", "P02_T1", "P03_T1", "P04_T1"]


def test_a_case_with_another_version_only_is_said(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("P01_T1", "P01_T1_brain", "P02_T1_brain", "P03_T1")
    assert list(found(plan)) == ["P01", "P03"]
    assert "1 case is left out with only another kind of image" in plan.warnings[-1]
    assert "P02_T1_brain.nii.gz" in plan.warnings[-1]


def test_without_a_sequence_steps_make_versions_and_names_make_people(plan_of: Callable[..., CohortPlan]) -> None:
    assert found(plan_of("P0#", "P0#_brain", "P0#_seg"))["P02"] == ("P02", "P02", "P02_seg")


@pytest.mark.parametrize("name", ["{}", "{}_T1", "T1_{}"])
def test_anna_and_anna_lena_are_two_people(plan_of: Callable[..., CohortPlan], name: str) -> None:
    plan = plan_of(*map(name.format, ("anna", "anna_lena", "berta")))
    assert ([c.patient.removeprefix("T1_") for c in plan.usable], plan.warnings) == (["anna", "anna_lena", "berta"], ())


@pytest.mark.parametrize("more", ["2", "left", "followup"])
def test_a_further_image_of_a_person_stays_with_the_person_and_takes_no_labels(plan_of: Callable[..., CohortPlan], more: str) -> None:
    plan = plan_of("P0#_T1", f"P0#_T1_{more}", "P0#_T1_seg")
    assert found(plan)["P02"] == ("P02", "P02_T1", "P02_T1_seg")
    assert found(plan)[f"P02_T1_{more}"] == ("P02", f"P02_T1_{more}", "")
    assert "3 cases are further images of people" in plan.warnings[0]
    assert "--table" in plan.warnings[0]


def test_a_file_without_a_word_and_one_called_image_are_of_one_person(plan_of: Callable[..., CohortPlan]) -> None:
    assert {c.patient for c in plan_of("ID#", "ID#_img").usable} == {"ID1", "ID2", "ID3"}


def test_another_site_may_have_another_person(plan_of: Callable[..., CohortPlan]) -> None:
    assert len({c.patient for c in plan_of("P0#_T1", "P0#_T1_siteB").usable}) == 6


def test_a_name_after_the_sequence_alone_may_be_a_person(plan_of: Callable[..., CohortPlan]) -> None:
    plan = plan_of("A/T1", "A/T1_anna", "A/T1_berta", "B/T1_carl", "B/T1_dora")
    assert len({c.patient for c in plan.usable}) == 5


def test_one_person_with_a_version(plan_of: Callable[..., CohortPlan]) -> None:
    (case,) = plan_of("P01_T1", "P01_T1_brain", "P01_T1_seg").usable
    assert (Path(case.images["T1"]).name, Path(case.label or "").name) == ("P01_T1.nii.gz", "P01_T1_seg.nii.gz")
