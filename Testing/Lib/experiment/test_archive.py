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
from SuggestiveAnnotationLib.errors import Cancelled, InputError
from SuggestiveAnnotationLib.experiment.archive import pack, unpack
from SuggestiveAnnotationLib.experiment.plan import Plan
from SuggestiveAnnotationLib.experiment.record import RunRecord, read_records, write_record
from SuggestiveAnnotationLib.experiment.runner import compare
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent

RESULTS = Path(__file__).parents[3] / "Resources" / "Results"
PUBLISHED = sorted(RESULTS.glob("*/records.jsonl.xz"))


ARMS = {"random": Made(), "gradient": Made("gradient-guided")}
BROKEN = "random__fold-1__seed-0"


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    """The plan of twelve runs in `runs`, one of which failed."""
    return make_comparison(tmp_path / "runs", ARMS, failed=(BROKEN,))


@pytest.fixture
def runs(made: Plan, tmp_path: Path) -> Path:
    return tmp_path / "runs"


def by_name(folder: Path) -> dict[str, RunRecord]:
    return {one.run: one for one in read_records(folder)}


def written(path: Path, *records: RunRecord, change: Callable[[str], str] = str) -> Path:
    """An archive of records, as somebody else may have made it."""
    path.write_bytes(lzma.compress("".join(change(json.dumps(one.to_json())) + "\n" for one in records).encode()))
    return path


def test_records_come_back_as_they_were_and_pack_to_the_same_bytes(made: Plan, runs: Path, tmp_path: Path) -> None:
    first = next(read_records(runs))
    # Characters that end a line of text, but not of JSON.
    write_record(runs, replace(first, settings={"note": "one\u2028two\u0085three\nfour"}))
    archive = tmp_path / "deep" / "records.jsonl.xz"
    pack(runs, archive, made)
    unpack(archive, tmp_path / "other", made)
    assert by_name(tmp_path / "other") == by_name(runs)
    pack(tmp_path / "other", tmp_path / "again.xz", made)
    assert (tmp_path / "again.xz").read_bytes() == archive.read_bytes()


def test_a_record_that_is_there_is_not_replaced(made: Plan, runs: Path, tmp_path: Path) -> None:
    pack(runs, tmp_path / "a.xz", made)
    first, second = list(read_records(runs))[:2]
    write_record(runs, replace(first, seconds=99.0))
    (runs / "records" / f"{second.run}.json").unlink()
    unpack(tmp_path / "a.xz", runs, made)
    assert by_name(runs)[first.run].seconds == 99.0
    assert by_name(runs)[second.run] == second


def test_done_beats_failed_on_both_sides(made: Plan, runs: Path, tmp_path: Path) -> None:
    pack(runs, tmp_path / "failed.xz", made)
    make_comparison(tmp_path / "mended", ARMS)
    pack(tmp_path / "mended", tmp_path / "mended.xz", made)
    unpack(tmp_path / "failed.xz", tmp_path / "mended", made)
    assert by_name(tmp_path / "mended")[BROKEN].status == "done"
    pack(runs, tmp_path / "mended.xz", made)
    assert by_name(runs)[BROKEN].status == "done"
    assert unpacked(tmp_path / "mended.xz", made)[BROKEN].status == "done"


def unpacked(archive: Path, plan: Plan) -> dict[str, RunRecord]:
    folder = archive.with_name(f"{archive.name}-content")
    unpack(archive, folder, plan)
    return by_name(folder)


def test_what_others_added_meanwhile_stays(made: Plan, runs: Path, tmp_path: Path) -> None:
    records = list(read_records(runs))
    shared = written(tmp_path / "shared.xz", *records[:3])
    unpack(shared, tmp_path / "here", made)
    written(shared, *records[:5])
    write_record(tmp_path / "here", records[6])
    pack(tmp_path / "here", shared, made)
    assert list(unpacked(shared, made)) == list(by_name(tmp_path / "here")) == [one.run for one in (*records[:5], records[6])]


def test_what_others_pack_while_this_one_compresses_stays(made: Plan, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, shared = list(read_records(runs)), tmp_path / "shared.xz"
    for folder, part in (("here", records[:3]), ("there", records[3:6])):
        for one in part:
            write_record(tmp_path / folder, one)
    really = lzma.compress

    def slowly(content: bytes) -> bytes:
        monkeypatch.setattr(lzma, "compress", really)
        pack(tmp_path / "there", shared, made)
        return really(content)

    monkeypatch.setattr(lzma, "compress", slowly)
    pack(tmp_path / "here", shared, made)
    assert list(unpacked(shared, made)) == [one.run for one in records[:6]]


def test_an_archive_that_lacks_nothing_is_not_written(made: Plan, runs: Path, tmp_path: Path) -> None:
    records = list(read_records(runs))
    archive = written(tmp_path / "a.xz", *records)
    before = archive.read_bytes()
    for part in (records[:2], records):
        for one in part:
            write_record(tmp_path / "here", one)
        pack(tmp_path / "here", archive, made)
    # Other bytes than this computer would have made of the same records.
    assert archive.read_bytes() == before
    assert len(by_name(tmp_path / "here")) == len(records)


def test_without_records_there_is_no_archive(plan: Plan, tmp_path: Path) -> None:
    pack(tmp_path, tmp_path / "a.xz", plan)
    assert not (tmp_path / "a.xz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4", lzma.compress(b"{}\n"), lzma.compress(b"\xff\n"), lzma.compress(b"{}\n")[:-4]])
def test_what_is_no_archive_is_refused_by_name(content: bytes, plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "notes.xz").write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.xz is no archive of records"):
        unpack(tmp_path / "notes.xz", tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


STRANGE: dict[str, dict[str, object]] = {
    "another plan": {"plan_key": "another"},
    "a way out of the folder": {"run": "../../evil"},
    "the name of another run": {"run": "gradient__fold-2__seed-1"},
    "an arm that is not in the plan": {"arm": "oracle", "run": "oracle__fold-0__seed-0"},
    "a seed that is not in the plan": {"seed": 7, "run": "gradient__fold-0__seed-7"},
}


@pytest.mark.parametrize("changes", STRANGE.values(), ids=STRANGE)
def test_what_is_no_run_of_the_plan_is_refused_with_all_the_rest(
    changes: dict[str, object], made: Plan, runs: Path, tmp_path: Path
) -> None:
    first, second = list(read_records(runs))[:2]
    archive = written(tmp_path / "a.xz", second, replace(first, **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="which is no run of this plan"):
        unpack(archive, tmp_path / "deep" / "er" / "out", made)
    assert not (tmp_path / "deep").exists()


def test_a_comparison_goes_on_from_an_archive_on_another_computer(plan: Plan, data: Path, tmp_path: Path) -> None:
    archive, here, there = tmp_path / "here" / "records.jsonl.xz", tmp_path / "here", tmp_path / "there"
    here.mkdir()
    archive.write_bytes(lzma.compress(b""))
    # One run is asked for; the other arm of its fold starts from the same files, and is done with it.
    one = compare(plan, here, data=data, archive=archive, at_most=1, threads=1)
    assert (len(one.done), one.left) == (2, 2)
    assert one.estimate is not None
    assert one.estimate.runs == 2
    rest = compare(plan, there, data=data, archive=archive, threads=1)
    assert (rest.kept, len(rest.done), rest.left) == (tuple(sorted(one.done)), 2, 0)
    # Without a cohort: nothing is to be done.
    last = compare(plan, tmp_path / "reader", archive=archive, at_most=0)
    assert (set(last.kept), last.done, last.left) == ({*one.done, *rest.done}, (), None)


def test_what_was_done_before_a_cancel_is_in_the_archive(plan: Plan, data: Path, tmp_path: Path) -> None:
    archive, cancel = tmp_path / "records.jsonl.xz", CancelToken()

    def after_one(event: ProgressEvent) -> None:
        if event.stage == "compare" and event.done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        compare(plan, tmp_path / "out", data=data, archive=archive, threads=1, progress=after_one, cancel=cancel)
    assert unpacked(archive, plan) == by_name(tmp_path / "out")
    assert len(by_name(tmp_path / "out")) == 1


def test_records_of_other_people_are_refused(plan: Plan, data: Path, tmp_path: Path, write_phantoms: Callable[..., Path]) -> None:
    archive = tmp_path / "records.jsonl.xz"
    compare(plan, tmp_path / "here", data=data, archive=archive, at_most=1, threads=1)
    write_phantoms(tmp_path / "more" / "phantoms", cases=5)
    before = archive.read_bytes()
    with pytest.raises(InputError, match="is of another cohort") as refused:
        compare(plan, tmp_path / "there", data=tmp_path / "more", archive=archive, threads=1)
    assert "--data" in refused.value.hint
    assert archive.read_bytes() == before


def test_a_report_needs_the_archive_alone(
    write_plan: Callable[..., Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, report = write_plan(), tmp_path / "report"
    archive = report / "records.jsonl.xz"
    command = ["compare", str(path), "--records", str(archive), "--threads", "1", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "out"), "--data", str(data), "--runs", "1"]) == 0
    assert "2 runs are still to be done" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "reader"), "--runs", "0", "--report", str(report)]) == 0
    page = (report / "README.md").read_text(encoding="utf-8")
    made, kept = f"suggestive-annotation compare {path} --out comparisons/tiny", f"--records {archive}"
    assert f"```\n{made} --data DIR {kept}\n{made} {kept} --runs 0 --report {report}\n```" in page
    # An archive that lies elsewhere is in no command of the page.
    assert main([*command, "--out", str(tmp_path / "reader"), "--runs", "0", "--report", str(tmp_path / "elsewhere")]) == 0
    assert "--records" not in (tmp_path / "elsewhere" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--runs", "-1"], "--runs is -1. Give a number from 0 on."),
        (["--runs", "0"], "There is no record in"),
        (["--runs", "0", "--records", "typo.xz"], "and none in typo.xz. Check the names"),
        (["--runs", "0", "--estimate"], "--estimate carries no run out, which leaves nothing for --runs 0."),
        (["--report", "a.html", "--estimate"], "--estimate carries no run out, which leaves nothing for --report."),
    ],
)
def test_calls_that_could_do_nothing_say_so(
    given: list[str], said: str, write_plan: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(write_plan()), "--out", str(tmp_path / "none"), "--quiet", *given]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


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
