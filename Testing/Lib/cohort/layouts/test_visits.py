from __future__ import annotations

import pytest

from SuggestiveAnnotationLib.cohort.layouts.visits import people_of_visits, say_visits


def names(people: str, visits: str, *, outside: bool = False) -> list[str]:
    return [f"{v}_{p}" if outside else f"{p}_{v}" for p in people.split() for v in visits.split()]


@pytest.mark.parametrize("visits", ["baseline followup", "ses-1 ses-2", "pre post", "V1 V2", "m00 m12", "year1 year2", "MR1 MR2", "T0 T1"])
def test_visits_of_people_with_numbers(visits: str) -> None:
    found = people_of_visits(names("P01 P02 P03", visits))
    assert len(found) == 6
    assert all(name.startswith(f"{person}_") for name, person in found.items())


@pytest.mark.parametrize("visits", ["baseline followup", "visit1 visit2", "pre post", "scan1 scan2"])
def test_the_visit_may_stand_first(visits: str) -> None:
    found = people_of_visits(names("P01 P02", visits, outside=True))
    assert len(found) == 4
    assert all(name.endswith(f"_{person}") for name, person in found.items())


def test_few_second_visits_are_enough() -> None:
    people = [f"OAS1_{n:04}_MR1" for n in range(30)]
    assert people_of_visits([*people, "OAS1_0007_MR2"]) == {"OAS1_0007_MR1": "OAS1_0007", "OAS1_0007_MR2": "OAS1_0007"}


@pytest.mark.parametrize(
    "found",
    [
        # Volunteers of two sites, mice and sessions, names of challenges.
        names("site1 site2", "V1 V2 V3 V4"),
        names("siteA siteB", "V1 V2"),
        names("m1 m2", "s1 s2"),
        names("IBSR", "01 02 03"),
        names("brats_2013_pat0001 brats_2013_pat0002", "1"),
        names("BraTS19_CBICA_AAB BraTS19_TCIA_123", "1"),
        ["1000_3", "1001_3", "1036_3"],
        names("P01", "baseline followup"),
        names("P01 P02", "left right"),
    ],
)
def test_names_of_people_are_no_visits(found: list[str]) -> None:
    assert people_of_visits(found) == {}


@pytest.mark.parametrize(
    "found", [names("P01 P02", "1 2"), names("P01 P02", "2019 2021"), names("anna berta", "V1 V2"), names("P01 P02", "v1 v2", outside=True)]
)
def test_what_may_be_visits_is_asked(found: list[str]) -> None:
    assert people_of_visits(found) == {}
    (said,) = say_visits(found, {})
    assert "may be visits of one person" in said


@pytest.mark.parametrize(
    "found",
    [names("IBSR", "1 2"), names("siteA siteB", "1 2"), names("P01 P02", "1"), names("P1 P2", "1 2 3"), names("P01 P02", "001 002")],
)
def test_where_nothing_points_to_visits_nothing_is_asked(found: list[str]) -> None:
    assert say_visits(found, people_of_visits(found)) == []


def test_one_person_is_one_person() -> None:
    found = [*names("P01", "baseline followup"), "P02"]
    (said,) = say_visits(found, people_of_visits(found))
    assert "2 cases are visits of 1 person (P01_baseline: P01)" in said
