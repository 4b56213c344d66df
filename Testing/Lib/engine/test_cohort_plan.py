"""A plan of a cohort on its way through a dialog: as JSON, changed by a person, and made into a study."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.engine.check import check
from SuggestiveAnnotationLib.engine.cohort import (
    GivenVolume,
    as_created,
    create_from_plan,
    find,
    plan_from_files,
    with_guessed_schema,
    with_labels_as,
)
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError

WritePhantoms = Callable[..., Path]


@pytest.fixture
def folder(write_phantoms: WritePhantoms, tmp_path: Path) -> Path:
    """Three cases with t1, labels, and a flair on a grid of its own."""
    folder = write_phantoms(tmp_path / "cohort", cases=3)
    for index in range(3):
        image = sitk.ReadImage(str(folder / f"case{index}_t1.nii.gz"))
        sitk.WriteImage(image[:, :, ::2], str(folder / f"case{index}_flair.nii.gz"))
    return folder


def volumes(folder: Path, *, cases: int = 3) -> list[GivenVolume]:
    out = []
    for name in (f"case{index}" for index in range(cases)):
        out.append(GivenVolume(str(folder / f"{name}_t1.nii.gz"), name, "T1"))
        out.append(GivenVolume(str(folder / f"{name}_flair.nii.gz"), name, "FLAIR"))
        out.append(GivenVolume(str(folder / f"{name}_label.nii.gz"), name, labels=True))
    return out


def confirmed(plan: CohortPlan) -> dict[str, Any]:
    """The plan as a dialog gets it: through JSON text."""
    data: dict[str, Any] = json.loads(json.dumps(with_guessed_schema(plan).to_json()))
    return copy.deepcopy(data)


def test_what_was_found_in_a_folder_survives_json(folder: Path) -> None:
    plan = with_guessed_schema(find(folder))
    assert plan.schema is not None
    assert [(c.value, c.name) for c in plan.schema.classes] == [(1, "label 1"), (2, "label 2")]
    assert CohortPlan.from_json(confirmed(plan)) == plan


def test_volumes_that_a_person_named_become_a_plan(folder: Path) -> None:
    plan = plan_from_files(volumes(folder), reference="FLAIR")
    assert (plan.modalities, plan.reference) == (("T1", "FLAIR"), "FLAIR")
    assert [c.name for c in plan.usable] == ["case0", "case1", "case2"]
    assert {c.geometry.size for c in plan.cases} == {(20, 24, 4)}
    assert plan.cases[1].label == str(folder / "case1_label.nii.gz")
    assert CohortPlan.from_json(confirmed(plan)) == with_guessed_schema(plan)


def test_a_case_without_a_modality_or_with_a_damaged_file_is_excluded_with_the_reason(folder: Path) -> None:
    (folder / "case1_t1.nii.gz").write_bytes(b"no image")
    given = [one for one in volumes(folder) if one.path != str(folder / "case0_flair.nii.gz")]
    plan = plan_from_files(given)
    assert [(c.name, c.role) for c in plan.cases] == [("case0", "excluded"), ("case1", "excluded"), ("case2", "pool")]
    assert plan.cases[0].excluded_reason == "It has no FLAIR image."
    assert "case1_t1.nii.gz" in plan.cases[1].excluded_reason


@pytest.mark.parametrize(
    ("given", "reference", "message"),
    [
        ([GivenVolume("a", "x", "T1"), GivenVolume("b", "x", "T1")], None, "Case x has two images T1: a and b"),
        ([GivenVolume("a", "x", "T1"), GivenVolume("b", "x", labels=True), GivenVolume("c", "x", labels=True)], None, "two labelmaps"),
        ([GivenVolume("b", "x", labels=True)], None, "No image was chosen"),
        ([GivenVolume("a", "x", "T1")], "T2", "There is no modality T2.*Chosen are: T1"),
    ],
)
def test_volumes_that_make_no_plan_are_refused(given: list[GivenVolume], reference: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_from_files(given, reference=reference)


def test_a_study_is_made_as_the_person_changed_the_plan(folder: Path, tmp_path: Path) -> None:
    data = confirmed(plan_from_files(volumes(folder)))
    # Another reference, renamed modalities, a test case, an excluded one, names and colours of structures.
    data["modalities"], data["reference"] = ["fluid", "anatomy"], "fluid"
    for case in data["cases"]:
        case["images"] = {"fluid": case["images"]["FLAIR"], "anatomy": case["images"]["T1"]}
    data["cases"][1]["role"] = "test"
    data["cases"][2].update(role="excluded", excluded_reason="Another protocol.")
    data["schema"]["classes"][0].update(name="left lobe", colour=[10, 20, 30])
    study = create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data), name="Lobes")
    assert (study.name, study.modalities, study.reference_modality) == ("Lobes", ("fluid", "anatomy"), "fluid")
    assert [(c.role, c.excluded_reason) for c in study.cases()] == [("pool", ""), ("test", ""), ("excluded", "Another protocol.")]
    assert study.schema.classes[0].name == "left lobe"
    assert study.schema.classes[0].colour == (10, 20, 30)
    # The grid is that of the reference that was chosen last.
    assert study.case("case0").geometry.size == (20, 24, 4)


def test_a_plan_without_labels_gets_its_structures_from_the_person(folder: Path, tmp_path: Path) -> None:
    data = confirmed(plan_from_files([one for one in volumes(folder) if not one.labels]))
    assert data["schema"] is None
    with pytest.raises(InputError, match="names no structure"):
        create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))
    labels = [{"value": 1, "name": "lobe", "colour": [1, 2, 3]}]
    data["schema"] = {"format": "suggestive-annotation label schema", "version": 1, "name": "mine", "classes": labels}
    study = create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))
    assert prepare(study, pixels=32).built == 3


def test_labels_that_say_nothing_are_a_warning_and_no_end(folder: Path) -> None:
    for index in range(3):
        path = str(folder / f"case{index}_label.nii.gz")
        sitk.WriteImage(sitk.Image(20, 24, 8, sitk.sitkUInt8), path)
    plan = with_guessed_schema(plan_from_files(volumes(folder)))
    assert plan.schema is None
    assert "every label file is empty" in plan.warnings[-1]


def test_a_case_that_cannot_be_read_any_more_is_excluded_when_the_study_is_made(folder: Path, tmp_path: Path) -> None:
    plan = with_guessed_schema(plan_from_files(volumes(folder)))
    (folder / "case0_t1.nii.gz").unlink()
    study = create_from_plan(tmp_path / "study", plan=plan)
    assert [c.role for c in study.cases()] == ["excluded", "pool", "pool"]
    assert "case0_t1.nii.gz" in study.case("case0").excluded_reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "T9"}, "There is no modality T9"),
        ({"modalities": []}, "needs a name of its own"),
        ({"modalities": ["T1", "T1"]}, "needs a name of its own"),
        ({"modalities": ["T1", "T2"]}, r"No case can be used: It has no T2 image\."),
        ({"cases": []}, "No case can be used"),
        ({"labels_as": "validation"}, "every case has labels: none is left to annotate"),
    ],
)
def test_a_plan_that_makes_no_study_is_refused(folder: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = confirmed(plan_from_files(volumes(folder))) | change
    with pytest.raises(InputError, match=message):
        create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(("key", "value", "message"), [("name", "case1", "Two cases are called case1"), ("role", "king", "the role king")])
def test_a_case_that_does_not_fit_is_named(folder: Path, tmp_path: Path, key: str, value: str, message: str) -> None:
    data = confirmed(plan_from_files(volumes(folder)))
    data["cases"][0][key] = value
    with pytest.raises(InputError, match=message):
        create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))


@pytest.mark.parametrize(("first", "second"), [("Anna", "anna"), ("Z\u00fc", "zu\u0308")])
def test_names_that_some_systems_take_for_one_are_refused(folder: Path, tmp_path: Path, first: str, second: str) -> None:
    data = confirmed(plan_from_files(volumes(folder)))
    data["cases"][0]["name"], data["cases"][2]["name"] = first, second
    with pytest.raises(InputError, match=rf"Two cases are called {first} and {second}.*some systems"):
        create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))
    # A case that is left out has no files.
    data["cases"][2] |= {"role": "excluded", "excluded_reason": "Two cases are called alike."}
    assert len(create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data)).cases("pool")) == 2


@pytest.mark.parametrize("broken", [{}, {"cases": 3}, {"cases": [{"nonsense": 1}], "modalities": ["T1"]}])
def test_something_else_is_no_plan(broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no plan of a cohort"):
        CohortPlan.from_json(broken)


def test_the_voxels_are_those_of_the_files_that_were_named(folder: Path, tmp_path: Path) -> None:
    study = create_from_plan(tmp_path / "study", plan=with_guessed_schema(plan_from_files(volumes(folder))))
    prepare(study, pixels=32)
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "case1_label.nii.gz")))
    np.testing.assert_array_equal(study.frame("case1").stack(truth), study.reference_labels("case1"))


def test_a_cohort_that_is_held_out_whole_is_refused(folder: Path) -> None:
    plan = find(folder)
    with pytest.raises(InputError, match="every case has labels: none is left to annotate"):
        as_created(with_labels_as(plan, "validation"), test=1)
    with pytest.raises(InputError, match="Every case is held out"):
        as_created(replace(plan, cases=tuple(replace(case, role="test") for case in plan.cases)))


@pytest.mark.parametrize("wrong", [1.5, 1.0001, float("inf"), float("nan"), -1])
def test_a_number_of_people_to_hold_out_is_whole(folder: Path, wrong: float) -> None:
    for held_out in ({"test": wrong}, {"validation": wrong}):
        with pytest.raises(InputError, match=r"is no number of .* patients\. Give a whole number"):
            as_created(find(folder), **held_out)
    assert [case.role for case in as_created(find(folder), test=1.0).cases].count("test") == 1


def test_what_was_said_of_the_source_of_a_case_outlives_check_and_prepare(folder: Path, tmp_path: Path) -> None:
    """What was said of a file that is used as it stands is found again, or mended."""
    plan = with_guessed_schema(plan_from_files(volumes(folder)))
    said = "There are 2 segmentations; the newest was taken."
    label = plan.cases[0].label or ""
    cases = (replace(plan.cases[0], problems=(said,)), replace(plan.cases[1], problems=("It covers only 20 %.",)), plan.cases[2])
    plan = replace(plan, cases=cases, sources={label: Source("segmentation", (label,))})
    study = create_from_plan(tmp_path / "study", plan=plan)
    check(study)
    assert study.case("case0").problems == (said,)
    prepared = prepare(study, plane="axial", pixels=32)
    assert [case.problems for case in study.cases()] == [(said,), (), ()]
    assert prepared.warnings == {}


def test_prepare_says_of_a_case_what_check_says(folder: Path, tmp_path: Path) -> None:
    """Neither qform nor sform, and a sequence that covers a part of the other."""
    path = folder / "case1_t1.nii"
    sitk.WriteImage(sitk.ReadImage(str(folder / "case1_t1.nii.gz")), str(path))
    header = bytearray(path.read_bytes())
    header[252:256] = bytes(4)
    path.write_bytes(header)
    flair = sitk.ReadImage(str(folder / "case2_flair.nii.gz"))
    sitk.WriteImage(flair[:, :, 2:3], str(folder / "case2_flair.nii.gz"))
    given = [replace(one, path=str(path)) if one.path.endswith("case1_t1.nii.gz") else one for one in volumes(folder)]
    given = [one for one in given if not one.labels]
    plan = replace(plan_from_files(given), schema=with_guessed_schema(plan_from_files(volumes(folder))).schema)
    study = create_from_plan(tmp_path / "study", plan=plan)
    check(study)
    seen = {case.name: case.problems for case in study.cases()}
    assert "left and right may be swapped" in " ".join(seen["case1"])
    assert "covers only" in " ".join(seen["case2"])
    prepared = prepare(study, plane="axial", pixels=32)
    assert {case.name: case.problems for case in study.cases()} == seen
    assert prepared.warnings == {name: " ".join(sentences) for name, sentences in seen.items() if sentences}
