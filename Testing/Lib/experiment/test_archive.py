"""Archives of records: what they keep, what they refuse, and that published numbers follow from those beside them."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_comparison import Made, make_comparison

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.archive import pack, unpack
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.record import read_records, write_record
from SuggestiveAnnotationLib.experiment.runner import compare

RESULTS = Path(__file__).parents[3] / "Resources" / "Results"
PUBLISHED = sorted(RESULTS.glob("*/records.jsonl.xz"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Eight runs, one of which failed."""
    make_comparison(tmp_path / "runs", {"random": Made(), "gradient": Made("gradient-guided")}, failed=("random__fold-1__seed-0",))
    return tmp_path / "runs"


def test_records_come_back_as_they_were_and_pack_to_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    records = {one.run: one for one in read_records(runs)}
    archive, key = tmp_path / "deep" / "records.jsonl.xz", next(iter(records.values())).plan_key
    assert pack(runs, archive) == len(records)
    assert unpack(archive, tmp_path / "other", plan_key=key) == tuple(records)
    assert {one.run: one for one in read_records(tmp_path / "other")} == records
    pack(tmp_path / "other", tmp_path / "again.xz")
    assert (tmp_path / "again.xz").read_bytes() == archive.read_bytes()


def test_a_record_that_is_there_is_not_replaced(runs: Path, tmp_path: Path) -> None:
    pack(runs, tmp_path / "a.xz")
    first, second = list(read_records(runs))[:2]
    write_record(runs, replace(first, seconds=99.0))
    (runs / "records" / f"{second.run}.json").unlink()
    assert unpack(tmp_path / "a.xz", runs, plan_key=first.plan_key) == (second.run,)
    assert next(read_records(runs)).seconds == 99.0


def test_without_records_there_is_no_archive(tmp_path: Path) -> None:
    assert pack(tmp_path, tmp_path / "a.xz") == 0
    assert not (tmp_path / "a.xz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4", lzma.compress(b"{}\n"), lzma.compress(b"\xff\n"), lzma.compress(b"{}\n")[:-4]])
def test_what_is_no_archive_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.xz").write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.xz is no archive of records"):
        unpack(tmp_path / "notes.xz", tmp_path / "out", plan_key="x")
    assert not (tmp_path / "out").exists()


def test_records_of_another_plan_are_refused_whole(runs: Path, tmp_path: Path) -> None:
    first = next(read_records(runs))
    write_record(runs, replace(first, plan_key="another"))
    pack(runs, tmp_path / "a.xz")
    with pytest.raises(InputError, match="records of another plan"):
        unpack(tmp_path / "a.xz", tmp_path / "out", plan_key=first.plan_key)
    assert not (tmp_path / "out").exists()


def test_a_comparison_goes_on_from_an_archive_on_another_machine(plan: Plan, data: Path, tmp_path: Path) -> None:
    plan = replace(plan, split=replace(plan.split, run=(0,)))
    archive, here, there = tmp_path / "records.jsonl.xz", tmp_path / "here", tmp_path / "there"
    one = compare(plan, here, data=data, archive=archive, at_most=1, threads=1)
    assert (len(one.done), one.left) == (1, 1)
    assert one.estimate is not None
    assert one.estimate.runs == 1
    rest = compare(plan, there, data=data, archive=archive, threads=1)
    assert (rest.kept, len(rest.done), rest.left) == (one.done, 1, 0)
    # Without a cohort: nothing is to be done.
    last = compare(plan, tmp_path / "reader", archive=archive, at_most=0)
    assert (set(last.kept), last.done, last.left) == ({*one.done, *rest.done}, (), None)


def test_a_report_needs_the_archive_alone(
    write_plan: Callable[..., Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_plan(old="folds = 2", new="folds = 2\nrun = [0]")
    archive = tmp_path / "records.jsonl.xz"
    command = ["compare", str(path), "--records", str(archive), "--threads", "1", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "out"), "--data", str(data), "--runs", "1"]) == 0
    assert "1 run is still to be done" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "reader"), "--runs", "0", "--report", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "README.md").read_text(encoding="utf-8")
    made = "suggestive-annotation compare Resources/Plans/tiny.toml --out comparisons/tiny"
    kept = "--records Resources/Results/tiny/records.jsonl.xz"
    assert f"```\n{made} --data DIR {kept}\n{made} {kept} --runs 0 --report Resources/Results/tiny\n```" in page
    assert main([*command, "--out", str(tmp_path / "none"), "--runs", "-1"]) == 2
    assert "--runs is -1. Give a number from 0 on." in capsys.readouterr().err


@pytest.mark.parametrize("archive", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_numbers_follow_from_the_records_beside_them(archive: Path, tmp_path: Path) -> None:
    name = archive.parent.name
    plan = RESULTS.parent / "Plans" / f"{name}.toml"
    command = ["compare", str(plan), "--out", str(tmp_path / "out"), "--records", str(tmp_path / archive.name), "--runs", "0", "--quiet"]
    (tmp_path / archive.name).write_bytes(archive.read_bytes())
    assert main([*command, "--report", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "results.csv").read_text() == (archive.parent / "results.csv").read_text()
    ours, theirs = (json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (tmp_path / "report", archive.parent))
    alike(ours, theirs, at=name)


def alike(ours: object, theirs: object, *, at: str) -> None:
    """Numbers to nine digits, which is what processors agree in; everything else to the letter."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), at
        assert ours.keys() == theirs.keys(), at
        for key in theirs:
            alike(ours[key], theirs[key], at=f"{at}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), at
        assert len(ours) == len(theirs), at
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            alike(*pair, at=f"{at}.{place}")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12), at
    else:
        assert ours == theirs, at
