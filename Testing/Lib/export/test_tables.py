"""The tables against the database, by hand where numbers are measured."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported_study import BY, READER, SECOND, exported_study

from SuggestiveAnnotationLib.engine.export import content_of, export
from SuggestiveAnnotationLib.errors import ExistsError, StorageError
from SuggestiveAnnotationLib.export import tables
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Study:
    return exported_study(make_study, tmp_path)


def test_every_accepted_annotation_has_its_line_with_what_the_database_says(study: Study, tmp_path: Path) -> None:
    done = export(study, tmp_path / "out", format="csv")
    assert [path.name for path in done.files] == ["effort.csv", "events.csv"]
    rows = read(done.files[0])
    accepted = [a for a in study.all_annotations() if a.state == "accepted" and a.ref.case != "case2"]
    assert [(r["case"], r["slice"], r["native_index"]) for r in rows] == [
        ("case0", "3", "2"), ("case0", "6", "5"), ("case0", "6", "5"), ("case1", "7", "6"),
    ]  # fmt: skip
    by_id = {a.id: a for a in accepted}
    assert sorted(by_id) == sorted(int(r["annotation"]) for r in rows)
    for row in rows:
        a = by_id[int(row["annotation"])]
        assert (row["provenance"], row["accepted_at"], row["axis"]) == (a.provenance, a.accepted_at, str(a.ref.axis))
        assert row["annotator"].removeprefix("'") == a.annotator
        assert (row["patient"], row["site"], row["role"]) == (f"p{row['case'][-1]}", "", "pool")
        assert row["prediction"] == ("" if a.prediction_id is None else str(a.prediction_id))
    first, earlier, later, audit = rows
    assert (first["state"], first["reviewer"], first["round"], first["minutes"]) == ("reviewed", SECOND, "0", "1.5")
    assert (first["strategy"], first["kind"], first["rank"], first["score"]) == ("random", "suggested", "0", "0.25")
    assert (first["model"], first["model_kind"]) == (str(study.models("imported")[0].id), "imported")
    assert [earlier["in_labelmap"], later["in_labelmap"], later["annotator"]] == ["0", "1", SECOND]
    assert (earlier["strategy"], earlier["quantity"], earlier["total: reference_mm"], later["minutes"]) == ("", "", "", "")
    assert (audit["kind"], audit["score"], audit["prediction"], audit["model_kind"], audit["provenance"]) == ("audit", "", "", "", "empty")


def test_measured_contours_are_those_worked_out_by_hand(study: Study, tmp_path: Path) -> None:
    row = read(export(study, tmp_path / "out", format="csv").files[0])[0]
    assert study.frame("case0").spacing == (2, 1, 1)
    # 6 x 8 pixels drawn over 6 x 6: the left side and 6 of 8 mm of top and bottom were there.
    expected = {
        "reference_mm": 2 * (6 + 8),
        "prediction_mm": 2 * (6 + 6),
        "shared_mm": 6 + 2 * 6,
        "of_reference": 18 / 28,
        "of_prediction": 18 / 24,
        # One more pixel edge of top and bottom each lies within a pixel of 1 mm.
        "shared_within_pixels_mm": 20,
        "shared_within_millimetres_mm": 20,
        "of_reference_within_pixels": 20 / 28,
        "of_reference_within_millimetres": 20 / 28,
        "false_components": 0,
        "added_mm3": 2 * 6 * 1 * 1 * 2,
        "removed_mm3": 0,
    }
    for part in ("total", "1 left lobe"):
        assert {name: float(row[f"{part}: {name}"]) for name in expected} == pytest.approx(expected, abs=0)
    assert float(row["2 right lobe: reference_mm"]) == 0
    assert row["2 right lobe: of_reference"] == ""
    assert (row["quantity"], row["slice_spacing_mm"], row["tolerance_pixels"], row["tolerance_mm"]) == (
        "retained contour",
        "2.0",
        "1.0",
        "1.0",
    )


def test_text_that_a_spreadsheet_would_calculate_is_marked_and_comes_back(study: Study, tmp_path: Path) -> None:
    effort, events = export(study, tmp_path / "out", format="csv").files
    assert read(effort)[0]["annotator"] == f"'{READER}"
    for path in (effort, events):
        for row in read(path):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in row.values())
    assert {tables._safe(text) for text in ("'a", "@b", "-1", "c", "")} == {"''a", "'@b", "'-1", "c", ""}
    assert [tables._safe(number) for number in (-1, -0.5, None)] == [-1, -0.5, None]


def test_events_are_those_of_the_exported_cases_in_order(study: Study, tmp_path: Path) -> None:
    done = export(study, tmp_path / "out", format="csv")
    rows = read(done.files[1])
    kept: list[Any] = [e for e in study.events() if e.ref is not None and e.ref.case != "case2"]
    assert [int(r["event"]) for r in rows] == [e.id for e in kept]
    for row, event in zip(rows, kept, strict=True):
        assert (row["at"], row["kind"], row["case"]) == (event.at, event.kind, event.ref.case)
        assert (int(row["slice"]), int(row["native_index"])) == (event.ref.native_index + 1, event.ref.native_index)
        assert json.loads(row["payload"]) == event.payload
    others = len(study.events()) - len(kept)
    assert f"{others} events on cases that are not exported." in done.left_out
    assert "case2" not in done.files[1].read_text(encoding="utf-8")


def test_lines_end_as_rfc_4180_says_and_the_order_is_stable(study: Study, tmp_path: Path) -> None:
    one, two = (export(study, tmp_path / name, format="csv").files for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        data = a.read_bytes()
        assert data == b.read_bytes()
        assert data.count(b"\n") == data.count(b"\r\n") > 1


def test_nothing_is_replaced_unasked_and_both_tables_or_none_are_written(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(study, out, format="csv")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ExistsError, match=r"already has effort\.csv and events\.csv"):
        export(study, out, format="csv")
    Study(study.path).record_event("shown", annotator=BY)
    real = tables._write

    def full(path: Path, rows: object) -> None:
        if "events" in path.name:
            raise OSError(28, "No space left on device")
        real(path, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "_write", full)
    with pytest.raises(StorageError, match="The disk is full"):
        export(study, out, format="csv", overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    monkeypatch.undo()
    export(study, out, format="csv", overwrite=True)
    assert (out / "events.csv").read_bytes() != before["events.csv"]


def test_one_step_of_progress_a_case_and_a_header_without_events(study: Study, tmp_path: Path) -> None:
    from dataclasses import replace

    content = replace(content_of(study), events=())
    seen: list[int] = []
    stage = Stage("export", len(content.cases), progress=lambda event: seen.append(event.done))
    tables.write(tmp_path, content, overwrite=False, stage=stage)
    assert seen == [0, 1, 2]
    assert (tmp_path / "events.csv").read_text(encoding="utf-8").split() == [",".join(tables._EVENT)]
