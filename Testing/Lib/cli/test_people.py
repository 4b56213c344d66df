"""What people's work becomes on the command line: reviews, the advice, labelmaps by state, a report without names."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cli_calls import TINY, Capture, done, refused

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


@pytest.fixture
def drawn(study: Path) -> Path:
    """The study with two slices of a case accepted by Dr A."""
    opened = Study(study)
    axis = opened.frame("case0").axis
    refs = [SliceRef("case0", axis, index) for index in (2, 3)]
    Session(opened, annotator="Dr A").accept({ref: np.array(opened.reference_labels("case0")[ref.native_index]) for ref in refs})
    opened.close()
    return study


def review(study: Path, *arguments: str) -> list[str | Path]:
    return ["annotations", "review", study, "--case", "case0", *arguments]


def test_a_second_reader_approves_and_only_that_is_exported(drawn: Path, tmp_path: Path, capsys: Capture) -> None:
    said = done(capsys, *review(drawn, "--slices", "3", "--reviewer", "Dr B", "--verdict", "approved", "--note", "fine"))
    assert said == {"case": "case0", "slices": [3], "verdict": "approved"}
    for states, slices in ((["reviewed"], {2}), (["accepted"], {3}), (["accepted", "reviewed"], {2, 3})):
        out = tmp_path / "-".join(states)
        done(capsys, "export", drawn, "--out", out, "--states", *states)
        (mask,) = out.rglob("*mask*")
        assert set(np.flatnonzero(sitk.GetArrayFromImage(sitk.ReadImage(str(mask))).any(axis=(1, 2)))) == slices
    done(capsys, "export", drawn, "--out", tmp_path / "all")
    assert "draft" in refusal(capsys, "export", drawn, "--out", tmp_path / "none", "--states", "draft")


def refusal(capsys: Capture, *arguments: str | Path) -> str:
    """What argparse says to a choice that it does not know."""
    with pytest.raises(SystemExit):
        main([*map(str, arguments)])
    return capsys.readouterr().err


def test_nobody_approves_their_own_slices_under_the_same_name_with_a_space(drawn: Path, capsys: Capture) -> None:
    told = refused(capsys, *review(drawn, "--slices", "3", "--reviewer", " Dr A ", "--verdict", "approved"), code=3)
    assert "nothing of another reader" in told


def test_a_name_that_the_terminal_cannot_show_is_spelt_out_once_the_work_is_done(drawn: Path) -> None:
    command = review(drawn, "--slices", "3", "--reviewer", "Dr Müller", "--verdict", "approved")
    run = subprocess.run(
        [sys.executable, "-m", "SuggestiveAnnotationLib", *map(str, command)],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.startswith(rb"Dr M\xfcller approved 1 slice")
    assert [one.reviewer for one in Study(drawn).reviews().values()] == ["Dr Müller"]


def test_a_name_that_is_no_text_is_refused(drawn: Path, capsys: Capture) -> None:
    assert "cannot be kept" in refused(capsys, *review(drawn, "--slices", "3", "--reviewer", "M\udcfc", "--verdict", "approved"), code=2)
    assert Study(drawn).reviews() == {}


def test_returned_slices_go_back_to_their_drawer(drawn: Path, capsys: Capture) -> None:
    done(capsys, *review(drawn, "--slices", "3-4", "--reviewer", "Dr B", "--verdict", "returned"))
    study = Study(drawn)
    assert study.annotations() == ()
    assert {draft.annotator for draft in study.drafts()} == {"Dr A"}


@pytest.mark.parametrize(
    ("slices", "reviewer", "code", "message"),
    [
        ("3", "Dr A", 3, "nothing of another reader to review on case case0, slice 3"),
        ("5", "Dr B", 3, "nothing of another reader to review on case case0, slice 5"),
        ("99", "Dr B", 2, "slice numbers from 1 to 6"),
        ("3", " ", 3, "needs a name"),
    ],
)
def test_what_cannot_be_reviewed_is_refused(drawn: Path, capsys: Capture, slices: str, reviewer: str, code: int, message: str) -> None:
    said = refused(capsys, *review(drawn, "--slices", slices, "--reviewer", reviewer, "--verdict", "approved"), code=code)
    assert message in said
    assert Study(drawn).reviews() == {}


def test_an_import_is_told_and_taken_back(drawn: Path, capsys: Capture) -> None:
    label = str(Study(drawn).case("case0").label)
    take = ["annotations", "import", str(drawn), label, "--case", "case0", "--annotator", "Dr A", "--quiet"]
    assert main([*take, "--slices", "4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Accepted 1 slice of case case0 by Dr A.",
        "Note: 1 slice that Dr A had accepted is replaced; what was there stays in the study as superseded.",
        f"Next: suggestive-annotation run-round {drawn}",
    ]
    newest = [a.id for a in Study(drawn).annotations()]
    assert main(["annotations", "undo", str(drawn), "--annotator", "Dr A", "--quiet"]) == 0
    assert capsys.readouterr().out == "1 slice of case case0 (4) accepted by Dr A is taken back; what was there before counts again.\n"
    assert len(Study(drawn).annotations()) == len(newest)
    assert [a.id for a in Study(drawn).annotations()] != newest
    assert "no accept to undo" in refused(capsys, "annotations", "undo", drawn, "--annotator", "Dr Z", code=3)


def test_the_advice_says_what_it_is_made_of(drawn: Path, capsys: Capture) -> None:
    said = done(capsys, "advice", drawn)
    assert said["rounds"] == []
    assert said["advice"]["pays"] is None
    done(capsys, "run-round", drawn, "--strategy", "random", "--budget", "2", "--audit", "1", *TINY)
    said = done(capsys, "advice", drawn)
    assert [one["round"] for one in said["rounds"]] == [0]
    assert main(["advice", str(drawn), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "agreement on audit" in shown
    assert "cannot be said yet" in shown


def test_a_round_that_goes_on_takes_no_other_options_and_says_so(drawn: Path, capsys: Capture) -> None:
    settings = asdict(RoundOptions(strategy="random", budget=2, network="tiny", steps=4, batch=2, device="cpu"))
    Study(drawn).start_round(strategy="random", budget=2, seed=0, unit="slice", settings=settings)
    assert main(["run-round", str(drawn), "--strategy", "gradient-core-set", "--steps", "300", "--budget", "2", "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    assert "Round 0 goes on with --strategy random and --steps 4, as it began; what was given instead is not used." in shown.err
    assert "Round 0 waits for annotations of 2 slices." in shown.out


def test_every_step_of_a_round_names_the_next(drawn: Path, capsys: Capture) -> None:
    def said(verb: str, *words: str) -> list[str]:
        assert main([*verb.split(), str(drawn), *words, "--quiet"]) == 0
        return capsys.readouterr().out.splitlines()

    assert said("prepare")[-1] == f"Next: suggestive-annotation run-round {drawn}"
    shown = said("run-round", "--strategy", "random", "--budget", "2", *TINY)
    first = Study(drawn).suggestion_states(0)[0]
    assert shown[-2] == "Round 0 waits for annotations of 2 slices."
    assert shown[-1].startswith(f"Next: suggestive-annotation annotations import {drawn} LABELMAP --case {first.ref.case} --annotator NAME")
    take = (str(Study(drawn).case(first.ref.case).label), "--case", first.ref.case, "--annotator", "Dr A", "--slices")
    assert said("annotations import", *take, str(first.ref.native_index + 1))[-1] == (
        f"Next: suggestive-annotation finish-round {drawn} (1 suggestion of round 0 waits until then)"
    )
    assert said("finish-round") == [
        "Round 0 is finished: 1 of 2 slices answered; 1 suggestion was left unanswered.",
        f"Next: suggestive-annotation run-round {drawn}",
    ]


def test_a_round_after_the_last_open_slice_has_nothing_to_annotate(drawn: Path, capsys: Capture) -> None:
    opened = Study(drawn)
    session = Session(opened, annotator="Dr A")
    for case in opened.cases("pool"):
        axis, reference = opened.frame(case.name).axis, opened.reference_labels(case.name)
        session.accept({SliceRef(case.name, axis, index): np.array(labels) for index, labels in enumerate(reference)})
    opened.close()
    assert main(["run-round", str(drawn), "--strategy", "random", "--budget", "2", *TINY, "--quiet"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("Note: Suggested 0 of 2 slices: the pool has no more")
    assert shown[-2:] == ["Round 0 has nothing to annotate.", f"Next: suggestive-annotation finish-round {drawn}"]


def test_a_round_interrupted_before_its_suggestions_is_gone_on_with_or_dropped(drawn: Path, capsys: Capture) -> None:
    settings = asdict(RoundOptions(strategy="random"))
    Study(drawn).start_round(strategy="random", budget=2, seed=0, unit="slice", settings=settings)
    said = refused(capsys, "finish-round", drawn, code=3)
    assert said.startswith("Round 0 is unfinished: it is training, ")
    assert said.endswith("`run-round` goes on with it, `finish-round --abandon` drops it.")
    assert main(["finish-round", str(drawn), "--abandon", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "Round 0 was dropped."


def test_a_redacted_report_names_nobody(drawn: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "report.html"
    done(capsys, "report", drawn, "--out", page)
    assert str(drawn) in page.read_text(encoding="utf-8")
    done(capsys, "report", drawn, "--out", page, "--redacted")
    text = page.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "Dr A" not in text
