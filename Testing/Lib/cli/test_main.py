"""The command line as a person uses it: real files, real exit codes, JSON that parses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cli.main import build_parser, main
from SuggestiveAnnotationLib.study.study import Study

TINY = ["--network", "tiny", "--steps", "4", "--batch", "2", "--device", "cpu"]
TINY_VAE = ["--manifold-network", "tiny", "--manifold-steps", "4", "--manifold-pixels", "32", "--latent-size", "2"]


@pytest.fixture
def cohort(tmp_path: Path, write_phantoms: Any) -> Path:
    return write_phantoms(tmp_path / "cohort", cases=4)


@pytest.fixture
def study(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "study"
    assert main(["study", "create", str(path), "--cohort", str(cohort), "--test", "1"]) == 0
    assert main(["prepare", str(path), "--pixels", "32", "--processes", "1", "--quiet"]) == 0
    capsys.readouterr()
    return path


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> Any:
    """Run a command with --json, and give back what it printed."""
    assert main([*(str(a) for a in arguments), "--json", "--quiet"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_whole_study_by_hand(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = call(capsys, "run-round", study, "--budget", "2", *TINY, *TINY_VAE)
    assert first["stage"] == "annotating"
    assert first["strategy"] == "strided"
    assert len(first["suggestions"]) == 2
    opened = Study(study)
    for one in first["suggestions"]:
        case = opened.case(one["case"])
        drawn_by = ["--case", case.name, "--annotator", "Dr A"]
        done = call(capsys, "annotations", "import", study, case.label, *drawn_by, "--slices", str(one["slice"]))
        assert done["slices"] == [one["slice"]]
    assert call(capsys, "finish-round", study)["answered"] == 2
    second = call(capsys, "run-round", study, "--strategy", "gradient-guided", "--budget", "2", *TINY, *TINY_VAE)
    assert second["strategy"] == "gradient-guided"
    assert all(s["rationale"]["sentence"] for s in second["suggestions"])
    shown = call(capsys, "study", "show", study)
    assert [r["stage"] for r in shown["rounds"]] == ["finished", "annotating"]
    assert {m["kind"] for m in shown["models"]} == {"segmentation", "manifold"}
    assert call(capsys, "predict", study, "--case", opened.cases("pool")[0].name, "--device", "cpu")["predictions"]
    predicted = ["predict", study, "--case", opened.cases("test")[0].name, "--device", "cpu", "--out", tmp_path / "predicted"]
    ((name, path),) = call(capsys, *predicted)["predictions"].items()
    labelmap, image = sitk.ReadImage(path), sitk.ReadImage(opened.case(name).label)
    assert [p.name for p in (tmp_path / "predicted").iterdir()] == [f"{name}_model-prediction.nii.gz"]
    assert (labelmap.GetSize(), labelmap.GetOrigin(), labelmap.GetDirection()) == (image.GetSize(), image.GetOrigin(), image.GetDirection())
    assert labelmap.GetSpacing() == pytest.approx(image.GetSpacing())
    inside = np.load(call(capsys, *predicted[:-2])["predictions"][name])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(labelmap), inside)
    assert call(capsys, *predicted, code=2)["error"]["kind"] == "exists"
    assert call(capsys, *predicted, "--overwrite")["predictions"][name] == path
    files = call(capsys, "export", study, "--out", tmp_path / "out")["files"]
    case = opened.case(first["suggestions"][0]["case"])
    exported = next(f for f in files if Path(f).name.startswith(case.name) and f.endswith("_annotation.nii.gz"))
    written, drawn = sitk.GetArrayFromImage(sitk.ReadImage(exported)), sitk.GetArrayFromImage(sitk.ReadImage(case.label))
    index = first["suggestions"][0]["slice"] - 1
    np.testing.assert_array_equal(written[index], drawn[index])
    assert (np.delete(written, [s["slice"] - 1 for s in first["suggestions"] if s["case"] == case.name], axis=0) == 255).all()
    assert call(capsys, "export", study, "--out", tmp_path / "out", code=2)["error"]["kind"] == "exists"
    report = call(capsys, "report", study, "--out", tmp_path / "report.html")["report"]
    assert "</html>" in Path(report).read_text(encoding="utf-8")


def test_a_round_fills_between_what_was_annotated(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = Study(study)
    case = opened.cases("pool")[0]
    call(capsys, "annotations", "import", study, case.label, "--case", case.name, "--annotator", "Dr A", "--slices", "3,5")
    call(capsys, "run-round", study, "--strategy", "strided", "--budget", "2", "--fill", "2", *TINY)
    assert [ref.native_index for ref in opened.filled_refs()] == [3]
    assert len(opened.models("segmentation")[0].card["annotations"]) == 3
    shown = call(capsys, "study", "show", study)
    assert {c["name"]: c["annotated"] for c in shown["cases"]}[case.name] == 2
    assert main(["run-round", str(study), "--fill", "-1", "--quiet"]) == 2
    assert "--fill is -1. Give a number from 0 on." in capsys.readouterr().err


def test_simulate_fills_as_rounds_do_and_says_how_many(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--strategy", "strided", "--option", "every=2", "--fill", "2", "--first-batch", "6", "--budget", "2"]
    assert main(["simulate", str(study), "--rounds", "0", *options, *TINY, "--quiet"]) == 0
    filled = len(Study(study).filled_refs())
    assert filled
    assert f"model 1: 6 annotated slices and {filled} filled; Dice" in capsys.readouterr().out


def test_simulate_runs_whole_rounds_and_resumes_to_the_same_summary(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", study, "--rounds", "1", "--budget", "2", *TINY, *TINY_VAE]
    summary = call(capsys, *arguments)
    assert [r["annotated_slices"] for r in summary["rounds"]] == [2, 4]
    assert set(summary["rounds"][0]["dice"]) == {"label 1", "label 2"}
    assert summary["simulated_minutes"] > 0
    assert call(capsys, *arguments)["rounds"] == summary["rounds"]


def test_dry_run_shows_what_was_found_and_makes_nothing(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, "study", "create", tmp_path / "s", "--cohort", cohort, "--dry-run")
    assert len(found["cases"]) == 4
    assert not (tmp_path / "s").exists()
    command = ["study", "create", str(tmp_path / "s"), "--cohort", str(cohort), "--dry-run"]
    assert main([*command, "--test", "1", "--labels-as", "first-batch", "--labels-by", "Dr A"]) == 0
    shown = capsys.readouterr()
    assert "4 of 4 cases can be used, of 4 people (3 pool, 1 test)." in shown.out
    assert "Schema guessed from the labels: 1 label 1, 2 label 2." in shown.out
    assert "as accepted slices by Dr A (--labels-as first-batch, slices: all)." in shown.out
    assert main([*command, "--label", "none"]) == 0
    assert "As it stands no study would be made:" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()


def test_a_cohort_that_needs_no_conversion_shows_none(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "create", str(tmp_path / "s"), "--cohort", str(cohort)]) == 0
    assert "convert" not in capsys.readouterr().err


def test_the_same_seed_gives_the_same_suggestions(tmp_path: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = []
    for name in ("one", "two"):
        path = tmp_path / name
        call(capsys, "study", "create", path, "--cohort", cohort)
        call(capsys, "prepare", path, "--pixels", "32", "--processes", "1")
        call(capsys, "simulate", path, "--rounds", "1", "--budget", "2", "--seed", "5", *TINY, *TINY_VAE)
        answers.append([row.suggestion for row in Study(path).suggestions()])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["prepare", "{tmp}/nowhere"], 2, "There is no study at"),
        (["study", "create", "{tmp}/s", "--cohort", "{tmp}/missing"], 2, "does not exist"),
        (["study", "create", "{study}", "--cohort", "{cohort}"], 3, "not empty"),
        (["study", "create", "{tmp}/s", "--cohort", "{cohort}", "--schema", "unheard-of"], 2, "no label schema"),
        (["train", "{study}"], 3, "no annotated slice"),
        (["suggest", "{study}", "--strategy", "clairvoyance"], 2, "clairvoyance"),
        (["run-round", "{study}", "--strategy", "gradient-guidd"], 2, "'gradient-guidd'. Did you mean gradient-guided?"),
        (["run-round", "{study}", "--device", "cuda:7"], 2, "cuda:7"),
        (["finish-round", "{study}"], 3, "no round waiting"),
        (["export", "{study}", "--out", "{tmp}/out"], 3, "no accepted slice"),
        (["predict", "{study}"], 3, "No segmentation model"),
        (["annotations", "import", "{study}", "{tmp}/x.nii.gz", "--case", "nobody", "--annotator", "a"], 2, "no case nobody"),
        (["export", "{study}", "--out", "{tmp}/out", "--case", "nobody"], 2, "no case nobody"),
        (["predict", "{study}", "--case", "nobody"], 2, "no case nobody"),
        (["prepare", "{study}", "--pixels", "31"], 2, "multiple of 16"),
        (["prepare", "{study}", "--pixels", "64"], 3, "frozen at 32 pixels. Leave --pixels out, or create another study for 64."),
        (["prepare", "{study}", "--plane", "coronal"], 3, "frozen with axial slices. Leave --plane out, or create another study"),
    ],
)
def test_bad_input_gets_one_sentence_and_its_exit_code(
    arguments: list[str], code: int, sentence: str, study: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [a.format(tmp=tmp_path, study=study, cohort=cohort) for a in arguments]
    assert main([*filled, "--quiet"]) == code
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_frozen_study_is_prepared_again_without_naming_its_grid(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for again in ([], ["--pixels", "32"], ["--plane", "axial"]):
        assert call(capsys, "prepare", study, *again)["record"]["size"] == [32, 32]


def test_a_failed_suggest_leaves_no_round_behind(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suggest", str(study), "--strategy", "clairvoyance", "--quiet"]) == 2
    assert main(["suggest", str(study), "--strategy", "entropy", "--quiet"]) == 3
    assert Study(study).rounds() == ()


def test_a_second_worker_is_told_who_holds_the_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Study(study).lock():
        assert main(["prepare", str(study), "--quiet"]) == 4
    assert "Another worker" in capsys.readouterr().err


def test_ctrl_c_leaves_a_study_that_resumes(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "SuggestiveAnnotationLib", "fit-manifold", str(study), *TINY_VAE, "--manifold-steps", "100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "fit manifold" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume" in error
    assert Study(study).models() == ()
    assert main(["fit-manifold", str(study), *TINY_VAE, "--quiet"]) == 0


def test_every_command_has_help_json_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["study", "create"], ["study", "check"], ["study", "show"], ["prepare"], ["fit-manifold"], ["train"], ["suggest"], ["predict"],
        ["run-round"], ["finish-round"], ["simulate"], ["annotations", "import"], ["export"], ["report"], ["demo"], ["strategies"],
        ["networks"], ["import-model"],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stopped:
            build_parser().parse_args([*words, "--help"])
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        assert "--json" in text
        assert "--quiet" in text


def test_strategies_that_need_reference_labels_are_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    names = {s["name"] for s in call(capsys, "strategies")["strategies"]}
    assert "gradient-guided" in names
    assert not {n for n in names if n.startswith("oracle")}
    assert {s["name"] for s in call(capsys, "strategies", "--all")["strategies"]} > names


def test_the_study_keeps_the_commands_that_made_it_each_once(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fit-manifold", study, *TINY_VAE]
    call(capsys, *arguments)
    call(capsys, *arguments)
    call(capsys, "study", "show", study)
    kept = Study(study).commands()
    assert [command.split()[1] for command in kept] == ["study", "prepare", "fit-manifold"]
    assert kept[2].startswith("suggestive-annotation fit-manifold")
