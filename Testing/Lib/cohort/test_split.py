from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case


def visits(patients: int, each: int = 2) -> list[Case]:
    return [Case(f"p{p}v{v}", f"p{p}", "pool", {}, label="x") for p in range(patients) for v in range(each)]


def people(cases: tuple[Case, ...], role: str) -> set[str]:
    return {c.patient for c in cases if c.role == role}


@given(patients=st.integers(3, 12), test=st.integers(0, 5), validation=st.integers(0, 5), seed=st.integers(0, 99))
def test_whole_patients_are_held_out_in_the_numbers_asked_for(patients: int, test: int, validation: int, seed: int) -> None:
    cases = visits(patients)
    if test + validation >= patients and test + validation:
        with pytest.raises(InputError, match="leaves none to annotate"):
            assign_roles(cases, test=test, validation=validation, seed=seed)
        return
    out = assign_roles(cases, test=test, validation=validation, seed=seed)
    sides = [people(out, role) for role in ("test", "validation", "pool")]
    assert [len(s) for s in sides] == [test, validation, patients - test - validation]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert [c.name for c in out] == [c.name for c in cases]


def test_shares_count_patients_and_give_at_least_one() -> None:
    out = assign_roles(visits(10), test=0.3, validation=0.01, seed=0)
    assert (len(people(out, "test")), len(people(out, "validation"))) == (3, 1)


def test_the_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    cases = visits(10)
    first = assign_roles(cases, test=3, validation=2, seed=1)
    again = assign_roles(cases[::-1], test=3, validation=2, seed=1)
    assert {c.name: c.role for c in first} == {c.name: c.role for c in again}
    assert {c.name: c.role for c in first} != {c.name: c.role for c in assign_roles(cases, test=3, validation=2, seed=2)}


def test_patients_without_labels_are_never_held_out_and_excluded_cases_stay_so() -> None:
    cases = [replace(c, label=None) if c.patient in {"p0", "p1"} else c for c in visits(5)]
    cases[-1] = replace(cases[-1], role="excluded")
    for seed in range(10):
        out = assign_roles(cases, test=2, validation=1, seed=seed)
        assert people(out, "pool") >= {"p0", "p1"}
        assert out[-1].role == "excluded"
    with pytest.raises(InputError, match="only 3 have reference labels"):
        assign_roles(cases, test=4, validation=0, seed=0)


@pytest.mark.parametrize("wrong", [-1, -0.1, 1.0, 1.5, float("nan"), True])
def test_numbers_that_make_no_sense_are_refused(wrong: float) -> None:
    with pytest.raises(InputError, match="no number of test patients"):
        assign_roles(visits(5), test=wrong, validation=0, seed=0)
