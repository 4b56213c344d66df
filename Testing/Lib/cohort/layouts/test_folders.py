from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.discover import discover

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "people", "kinds"),
    [
        ("{0}/{0}_{1}", "patient001 patient002 patient003", "4d frame01 frame12"),
        ("{0}/{0}_sa_{1}", "A001 A002 A003", "ED ES"),
        ("{0}/{0}_{1}", "patient0001 patient0002", "2CH_ED 4CH_ES"),
        ("{0}/{0}_{1}", "P01 P02 P03", "left right"),
        ("{0}/{0}_run-{1}", "P01 P02 P03", "1 2"),
        ("{0}/{1}", "P0 P1 P2", "CTres PET SUV"),
        ("{0}/{1}", "anna berta carl", "arterial venous"),
        ("{0}/{1}/CT", "P01 P02 P03", "arterial venous"),
        ("{0}/{0}_{1}", "participant01 participant02", "left right"),
        ("siteA/{0}/{0}_{1}", "P01 P02 P03", "left right"),
    ],
)
def test_a_folder_with_kinds_of_images_is_a_person(write_image: Write, tmp_path: Path, name: str, people: str, kinds: str) -> None:
    for person, kind in product(people.split(), kinds.split()):
        write_image(f"{name.format(person, kind)}.nii.gz")
    plan = discover(tmp_path)
    assert len(plan.usable) == len(people.split()) * len(kinds.split())
    assert {c.patient for c in plan.usable} == set(people.split())
    assert all(c.patient in c.images[plan.reference] for c in plan.usable)
    (said,) = plan.warnings
    assert f"By their folders {len(plan.usable)} cases are of {len(people.split())} people" in said
    assert "--table" in said


def test_frames_of_one_person_are_held_out_together(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    from SuggestiveAnnotationLib.cohort.split import assign_roles

    for n, frame in product((1, 2, 3), ("frame01", "frame12")):
        write_image(f"patient00{n}/patient00{n}_{frame}.nii.gz")
        write_image(f"patient00{n}/patient00{n}_{frame}_gt.nii.gz", labels)
    cases = assign_roles(discover(tmp_path).cases, test=1, validation=1, seed=0)
    assert sorted(len({c.name for c in cases if c.role == role}) for role in ("pool", "validation", "test")) == [2, 2, 2]
    assert len({(c.patient, c.role) for c in cases}) == 3


def test_one_name_at_two_sites_is_two_people(write_image: Write, tmp_path: Path) -> None:
    for site, n, side in product("AB", (1, 2, 3), ("left", "right")):
        write_image(f"site{site}/P0{n}/P0{n}_{side}.nii.gz")
    assert {c.patient for c in discover(tmp_path).usable} == {f"site{site}_P0{n}" for site in "AB" for n in (1, 2, 3)}


@pytest.mark.parametrize(
    ("name", "folders", "cases", "note"),
    [
        ("{0}/{1}_T1", "siteA siteB siteC", "P01 P02", ""),
        ("{0}/{0}_{1}_T1", "site1 site2 site3", "P01 P02", ""),
        ("{0}/{1}_T1", "HC PD MS", "anna berta", ""),
        ("{0}/{1}_T1", "family1 family2 family3", "anna berta", ""),
        ("{0}/{1}_T1", "K1 K2 K3", "patient control", "K1_control and K1_patient lie in one folder and may be of one person"),
        ("{0}/{0}_{1}", "ADNI1 ADNI2 ADNI3", "0001 0002", "ADNI1_0001 and ADNI1_0002 lie in one folder and may be of one person"),
        ("{0}/{1}", "P0 P1", "CTres PET SUV", "P0_CTres and P0_PET lie in one folder and may be of one person"),
        ("{0}/{0}_{1}", "P01 P02 P03", "k7 k9", "P01_k7 and P01_k9 lie in one folder and may be of one person"),
        ("{0}/{1}", "1 2 3", "arterial venous", "1_arterial and 1_venous lie in one folder and may be of one person"),
        ("{0}/{1}", "arterial venous", "anna berta carl", "arterial_anna and venous_anna may be of one person"),
        ("{0}/{1}", "A B", "P01 P02 P03", "A_P01 and B_P01 may be of one person"),
        ("{0}/{0}_{1}", "P01", "left right", "P01_left and P01_right may be of one person"),
        ("{0}_{1}_T1", "P01 P02", "left right", "P01_left and P01_right may be of one person"),
        ("{0}_{1}", "patient001 patient002", "frame01 frame12", "patient001_frame01 and patient001_frame12 may be of one person"),
    ],
)
def test_other_folders_are_no_people_and_what_may_be_one_is_said(
    write_image: Write, tmp_path: Path, name: str, folders: str, cases: str, note: str
) -> None:
    for folder, case in product(folders.split(), cases.split()):
        write_image(f"{name.format(folder, case)}.nii.gz")
    plan = discover(tmp_path)
    assert len({c.patient for c in plan.usable}) == len(folders.split()) * len(cases.split())
    assert [w.partition(";")[0] for w in plan.warnings] == ([note] if note else [])


def test_visits_in_folders_of_their_own_meet_in_their_person(write_image: Write, tmp_path: Path) -> None:
    for n, visit, side in product((1, 2), ("baseline", "followup"), ("left", "right")):
        write_image(f"flat/P0{n}_{visit}/{side}.nii.gz")
    assert {c.patient for c in discover(tmp_path / "flat").usable} == {"P01", "P02"}
    for n, visit, side in product((1, 2, 3, 4), ("ses-1", "ses-2"), ("left", "right")):
        write_image(f"deep/P0{n}/{visit}/{side}.nii.gz")
    assert {c.patient for c in discover(tmp_path / "deep").usable} == {"P01", "P02", "P03", "P04"}


def test_a_table_overrules_folders_and_ends_questions(write_image: Write, tmp_path: Path) -> None:
    for n, side in product((1, 2, 3), ("left", "right")):
        write_image(f"images/P0{n}/P0{n}_{side}.nii.gz")
    table = tmp_path / "people.csv"
    table.write_text("case,patient\n" + "".join(f"P0{n}_{s},{s}{n}\n" for n in (1, 2, 3) for s in ("left", "right")), encoding="utf-8")
    assert len({c.patient for c in discover(tmp_path, table=table).usable}) == 6
