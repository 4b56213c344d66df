from __future__ import annotations

from pathlib import Path

import pytest

from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import Case


def table(tmp_path: Path, text: str, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def case(name: str, **fields: str) -> Case:
    return Case(**{"name": name, "patient": name, "role": "pool", "images": {}, **fields})  # type: ignore[arg-type]


def test_columns_are_found_whatever_their_case_and_others_are_left_alone(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "ID,Patient,Age,SITE,Role\n a1 ,P1,30,Ulm,Train\na2,P2,40,,TEST\n"))
    assert [(r.case, r.patient, r.site, r.role, r.line) for r in rows] == [("a1", "P1", "Ulm", "pool", 2), ("a2", "P2", "", "test", 3)]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_mark_between_columns_is_found(tmp_path: Path, mark: str) -> None:
    assert read_table(table(tmp_path, "\ufeffcase,role\na,validation\n".replace(",", mark)))[0].role == "validation"


@pytest.mark.parametrize(
    ("above", "header"),
    [
        ("", "case;role;remark, of any kind, by whom, when"),
        ("sep=;\n", '"Case";"Role"'),
        ('"sep=;"\n\n', "case;role"),
        ("\n;;\n", "case;role"),
    ],
)
def test_what_stands_above_the_header_and_marks_in_names_of_columns_do_not_hide_the_case(tmp_path: Path, above: str, header: str) -> None:
    text = f"\ufeff{above}{header}\na;test\nb;holdout\n".replace("\n", "\r\n")
    path = table(tmp_path, text)
    with pytest.raises(InputError, match=rf'line {3 + above.count(chr(10))}: "holdout" is no role'):
        read_table(path)
    path.write_bytes(text.replace("holdout", "pool").encode())
    assert [(row.case, row.role) for row in read_table(path)] == [("a", "test"), ("b", "pool")]


def test_a_table_in_the_layout_of_the_malc_set_is_read(tmp_path: Path) -> None:
    text = "id,group,Subject,Gender,Age,Notes\n1000,train,OAS1_0061,F,20,\n1003,test,OAS1_0101,M,29,1st Scan\n"
    rows = read_table(table(tmp_path, text))
    assert [(r.case, r.role, r.patient) for r in rows] == [("1000", "pool", "OAS1_0061"), ("1003", "test", "OAS1_0101")]


@pytest.mark.parametrize(
    ("header", "lines", "roles"),
    [
        ("case,group,split", ["a,patient,train", "b,control,test"], ["pool", "test"]),
        ("case,set,group", ["a,train,patient", "b,,control"], ["pool", None]),
        ("case,group,split", ["a,,train", "b,,test"], ["pool", "test"]),
        ("case,role,split", ["a,test,train", "b,pool,test"], ["test", "pool"]),
    ],
)
def test_a_group_that_is_no_role_leaves_the_roles_to_another_column(
    tmp_path: Path, header: str, lines: list[str], roles: list[str | None]
) -> None:
    assert [row.role for row in read_table(table(tmp_path, "\n".join([header, *lines])))] == roles


def test_a_patient_is_one_person_whatever_the_capitals_and_blanks(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,patient\na,P 01\nb,p01\nc,P  01\nd,Müller\ne,MU\u0308LLER\n"))
    assert [row.patient for row in rows] == ["P 01", "P 01", "P 01", "Müller", "Müller"]
    for other in ("p01", "P 01", "p  0 1"):
        with pytest.raises(InputError, match="patient P01 on both sides of a split"):
            read_table(table(tmp_path, f"case,patient,role\na,P01,pool\nb,{other},test\n"))


def test_a_case_of_its_own_name_is_the_person_that_the_table_writes_in_another_way(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,patient,role\na,P01,pool\nb,,test\n"))
    with pytest.raises(InputError, match="patient P01 on both sides of a split"):
        apply_table([case("a"), case("b", patient="p01")], rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name_of,role\na,pool\n", "no column for the case, only name_of, role"),
        ("", "no column for the case"),
        ("case,role\n", "no rows"),
        ("case,role\na,pool\na2,holdout\n", 'line 3: "holdout" is no role'),
        ("case,group,split\na,patient,a\nb,control,b\n", 'line 2: "patient" is no role'),
        ("case,role\na,pool\nA,test\n", "lists case A twice, in lines 2 and 3"),
        ("case,patient,role\na,P,pool\nb,P,test\n", "patient P on both sides of a split: a is pool .line 2., b is test .line 3."),
    ],
)
def test_what_is_wrong_in_a_table_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        read_table(table(tmp_path, text))
    assert error.value.hint


def test_spreadsheets_missing_files_and_other_encodings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="spreadsheet"):
        read_table(tmp_path / "people.xlsx")
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("case,site\na,Köln\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_table(tmp_path / "latin.csv")


def test_cases_take_patient_site_and_role_from_the_table(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,patient,site,role\nA,P1,Ulm,test\nb,P2,Bonn,excluded\n"))
    cases, notes = apply_table([case("a"), case("b")], rows, source="people.csv")
    assert [(c.patient, c.site, c.role) for c in cases] == [("P1", "Ulm", "test"), ("P2", "Bonn", "excluded")]
    assert cases[1].excluded_reason == "people.csv excludes b."
    assert notes == ()


def test_unknown_cases_are_noted_and_cases_without_a_role_excluded(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,role\na,pool\nzz,test\n"))
    cases, notes = apply_table([case("a"), case("b")], rows, source="people.csv")
    assert notes == ("people.csv names 1 unknown case: zz.",)
    assert (cases[1].role, cases[1].excluded_reason) == ("excluded", "people.csv gives no role to b.")


def test_a_table_that_names_none_of_the_cases_is_refused(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,role\nx,pool\n"))
    with pytest.raises(InputError, match=r"names none of the cases.* The table has x; the cases are a, b"):
        apply_table([case("a"), case("b")], rows)


def test_a_case_that_cannot_be_used_stays_excluded(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,role\na,pool\nb,test\n"))
    cases, _ = apply_table([case("a", role="excluded", excluded_reason="broken"), case("b")], rows)
    assert (cases[0].role, cases[0].excluded_reason) == ("excluded", "broken")


def test_a_patient_on_both_sides_is_found_when_the_cases_name_the_patient(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "case,role\na,pool\nb,test\n"))
    with pytest.raises(InputError, match="patient P on both sides of a split: a is pool, b is test"):
        apply_table([case("a", patient="P"), case("b", patient="P")], rows)
