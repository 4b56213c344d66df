"""Folders that are hard to walk, names that are hard to keep apart, tables and schemas that are none."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest
from broken_files import bounded, fifo, labels, linked, noise, sound

from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
from SuggestiveAnnotationLib.engine.cohort import GivenVolume, create, create_from_plan, plan_from_files, with_guessed_schema
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import InputError


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_links_in_a_circle_end_and_linked_folders_count_once(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    for number in range(3):
        sound(cohort / f"case{number}" / "t1.nii.gz", noise(number))
        linked(cohort / f"case{number}" / "up", "..")
    linked(cohort / "again", "case0")
    linked(cohort / "self", "self")
    linked(cohort / "one", "other")
    linked(cohort / "other", "one")
    plan = discover(cohort)
    # Which of the two names of one folder counts is told by the order of names.
    assert len(plan.usable) == 3


@pytest.mark.parametrize("name", ["case one", "Größe 1", "病例 1", "a'b\"c", "x;rm -rf", "-rf", "%41", "a" * 200, "é" * 90])
def test_names_of_any_kind_become_cases_and_stay_inside_the_study(tmp_path: Path, name: str) -> None:
    cohort = tmp_path / "cohort"
    for case in (name, "other"):
        sound(cohort / case / "t1.nii.gz", noise(len(case)) * (labels() * 3 + 1))
        sound(cohort / case / "seg.nii.gz", labels())
    before = everything(cohort)
    study = create(tmp_path / "study", plan=discover(cohort))
    prepare(study, pixels=32)
    assert len(study.cases("pool")) == 2
    assert all(study.slices(case.name).images.shape[0] for case in study.cases())
    assert everything(cohort) == before
    assert {p.name for p in tmp_path.iterdir()} == {"cohort", "study"}


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "..", ".hidden", "a/b", "a\\b", "C:\\x", "con", " ", "x" * 900])
def test_a_case_called_like_a_path_stays_inside_the_study(tmp_path: Path, name: str) -> None:
    image, label = sound(tmp_path / "in" / "a.nii.gz", noise() * (labels() * 3 + 1)), sound(tmp_path / "in" / "b.nii.gz", labels())
    plan = plan_from_files([GivenVolume(str(image), name, "T1"), GivenVolume(str(label), name, labels=True)])
    if not name.strip():
        with pytest.raises(InputError, match="name"):
            CohortPlan.from_json(with_guessed_schema(plan).to_json())
        return
    study = create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(with_guessed_schema(plan).to_json()))
    prepare(study, pixels=32)
    assert {p.name for p in tmp_path.iterdir()} == {"in", "study"}
    with study.lock():
        # What a killed worker left is swept away; what is a case is not.
        assert study.slices(name).images.shape[0]
    study.forget_slices()
    assert study.slices(name).images.shape[0]


def test_names_that_cannot_be_shown_are_left_out_and_told(tmp_path: Path) -> None:
    for name in ("case0_t1.nii.gz", "case1_t1.nii.gz", "case\n2_t1.nii.gz", "case\x1b[31m3_t1.nii.gz"):
        sound(tmp_path / "plain.nii.gz").rename(tmp_path / name)
    os.rename(sound(tmp_path / "plain.nii.gz"), os.fsencode(tmp_path) + b"/case\xff4_t1.nii.gz")
    plan = discover(tmp_path)
    assert [c.name for c in plan.cases] == ["case0", "case1"]
    told = [w for w in plan.warnings if "cannot be shown" in w]
    assert len(told) == 3
    assert all(w.isprintable() for w in told)


def test_one_name_in_two_spellings_is_one_case_with_two_files(tmp_path: Path) -> None:
    composed, taken_apart = unicodedata.normalize("NFC", "Zoé"), unicodedata.normalize("NFD", "Zoé")
    sound(tmp_path / f"{composed}_t1.nii.gz")
    sound(tmp_path / f"{taken_apart}_t1.nii.gz")
    sound(tmp_path / "Ada_t1.nii.gz")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system keeps one of the spellings only")
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["Ada"]
    assert "has 2 files for T1" in plan.excluded[0].excluded_reason


def test_labels_and_tables_find_a_name_in_its_other_spelling(tmp_path: Path) -> None:
    composed, taken_apart = unicodedata.normalize("NFC", "Zoé"), unicodedata.normalize("NFD", "Zoé")
    for name, kind in ((composed, "t1"), (taken_apart, "seg"), ("Ada", "t1"), ("Ada", "seg")):
        sound(tmp_path / f"{name}_{kind}.nii.gz", labels() if kind == "seg" else noise())
    plan = discover(tmp_path)
    assert all(case.label is not None for case in plan.usable)
    assert len(plan.usable) == 2
    table = tmp_path / "people.csv"
    table.write_text(f"case,site\n{taken_apart},here\n", encoding="utf-8")
    cases, notes = apply_table(plan.cases, read_table(table))
    assert not notes
    assert {c.name: c.site for c in cases} == {composed: "here", "Ada": ""}


def test_names_that_differ_in_capitals_only_are_both_left_out(tmp_path: Path) -> None:
    for name in ("Case1", "case1", "case2"):
        sound(tmp_path / name / "t1.nii.gz")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system does not tell capitals apart")
    plan = discover(tmp_path)
    assert [c.name for c in plan.usable] == ["case2"]
    assert sorted(c.name for c in plan.excluded) == ["Case1", "case1"]
    assert all("capitals only" in c.excluded_reason for c in plan.excluded)


def test_ten_thousand_small_files_take_less_than_a_minute_and_say_what_they_are(tmp_path: Path) -> None:
    image, label = sound(tmp_path / "i.nii").read_bytes(), sound(tmp_path / "l.nii", labels()).read_bytes()
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    for number in range(5000):
        (cohort / f"p{number:04}_t1.nii").write_bytes(image)
        (cohort / f"p{number:04}_seg.nii").write_bytes(label)
    since = time.process_time()
    plan = discover(cohort)
    # Of the processor, so that other work on the computer does not count.
    assert time.process_time() - since < 60
    assert len(plan.usable) == 5000
    assert all(case.label for case in plan.cases)
    assert "5000 of 5000 cases" in plan.describe()


def test_an_unreadable_folder_is_told_and_the_others_are_used(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    for number in range(3):
        sound(tmp_path / f"case{number}" / "t1.nii.gz", noise(number))
    (tmp_path / "case1").chmod(0)
    sound(tmp_path / "case2" / "t1.nii.gz").chmod(0)
    plan = discover(tmp_path)
    (tmp_path / "case1").chmod(0o755)
    assert [c.name for c in plan.usable] == ["case0"]
    assert any("case1" in w and "cannot be read" in w for w in plan.warnings)
    assert "may not be read" in plan.excluded[0].excluded_reason


# Tables, schemas, plans -----------------------------------------------------------------------------------------------------------

GOOD_SCHEMA = (
    '{"format": "suggestive-annotation label schema", "version": 1, "name": "n", '
    '"classes": [{"value": 1, "name": "a", "colour": [1, 2, 3]}], "merge": {"1": ["1-3"]}%s}'
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 200_000, "nested too deep"),
        (b"", "JSON"),
        (b"\x00\x01\x02", "not text"),
        (b"\xff\xfe{}", "UTF-8"),
        (b"9" * 5000, "JSON"),
        (b"NaN", "NaN is no number"),
        (b'{"format": NaN}', "NaN is no number"),
        ((GOOD_SCHEMA % "").replace('"1-3"', '"0-999999999999"').encode(), "65535"),
        ((GOOD_SCHEMA % "").replace('"1-3"', '"' + "9" * 5000 + "-" + "9" * 5001 + '"').encode(), "65535"),
        ((GOOD_SCHEMA % ', "merge_other": []').encode(), "merge_other"),
        ((GOOD_SCHEMA % ', "regions": {"r": [[]]}').encode(), "region"),
        ((GOOD_SCHEMA % "").replace('"a"', '"a\\n\\u0000"').encode(), "name"),
        ((GOOD_SCHEMA % "").replace('"value": 1,', '"value": 1e400,').encode(), "class value"),
    ],
)
def test_a_schema_that_is_none_is_refused_with_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        load_schema(path)
    assert "mine.json" in error.value.sentence
    assert len(error.value.sentence) < 1000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"case,site\na\x00b,here\n", "bytes of value 0"),
        (b"case,site\n" + b'"' + b"x" * 200_000 + b'"\n', "cannot be read"),
        (b"\xff\xfec\x00a\x00s\x00e\x00", "UTF-8"),
        (b"", "no column for the case"),
        (b"case\n", "no rows"),
        (b"case,role\na,king\n", "is no role"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        read_table(path)
    assert "mine.csv" in error.value.sentence


def test_a_path_in_a_table_names_no_file(tmp_path: Path) -> None:
    sound(tmp_path / "c" / "a_t1.nii.gz")
    sound(tmp_path / "c" / "b_t1.nii.gz")
    (tmp_path / "t.csv").write_text("case,site\na,here\n../../b,there\n/etc/passwd,there\n")
    plan = discover(tmp_path / "c", table=tmp_path / "t.csv")
    assert {c.name: c.site for c in plan.cases} == {"a": "here", "b": ""}
    assert "2 unknown cases" in plan.warnings[0]


def test_pipes_and_devices_in_place_of_text_are_refused_at_once(tmp_path: Path) -> None:
    paths = [fifo(tmp_path / "pipe.json"), linked(tmp_path / "device.json", "/dev/zero"), linked(tmp_path / "gone.json", "nothing")]
    code = """
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.cohort.table import read_table
from SuggestiveAnnotationLib.errors import InputError
for path in sys.argv[1:]:
    for read in (load_schema, read_table):
        try:
            read(path)
        except InputError as error:
            print(error.sentence)
"""
    ran = bounded(code, *paths)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 2 * len(paths)


def test_a_plan_of_a_stranger_writes_nowhere_else_and_reads_no_device(tmp_path: Path) -> None:
    sound(tmp_path / "c" / "a_t1.nii.gz", noise() * (labels() * 3 + 1))
    sound(tmp_path / "c" / "a_seg.nii.gz", labels())
    data = with_guessed_schema(discover(tmp_path / "c")).to_json()
    stranger = {"name": "../../evil", "images": {"T1": "/dev/zero"}, "label": str(fifo(tmp_path / "pipe.nii"))}
    data["cases"].append({**data["cases"][0], **stranger})
    study = create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(data))
    assert study.case("../../evil").role == "excluded"
    assert "is a device" in study.case("../../evil").excluded_reason
    assert {p.name for p in tmp_path.iterdir()} == {"c", "study", "pipe.nii"}
    kinds = {"cases": ["x", [{"name": 1}]], "modalities": [{"a": 1}], "patterns": [[]], "sources": [{"x": []}], "labels_as": [1, []]}
    for spoilt in ({key: value} for key, values in kinds.items() for value in values):
        with pytest.raises(InputError, match="no plan of a cohort"):
            CohortPlan.from_json({**data, **spoilt})
