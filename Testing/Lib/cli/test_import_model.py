"""`import-model`: a model that goes from one study to another as two files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_calls import PREPARE, TINY, TINY_VAE, Capture, annotate, done, lobes, refused, schema_file, write

from SuggestiveAnnotationLib.cli.main import build_parser, main
from SuggestiveAnnotationLib.study.study import Study


@pytest.fixture
def sent(study: Path, tmp_path: Path, capsys: Capture) -> Path:
    """The two files of a model that learnt from two annotated slices."""
    annotate(capsys, study)
    weights = Path(done(capsys, "train", study, *TINY)["path"])
    for file in (weights, weights.with_suffix(".json")):
        shutil.copyfile(file, tmp_path / f"sent{file.suffix}")
    return tmp_path / "sent.safetensors"


@pytest.fixture
def other(tmp_path: Path, capsys: Capture) -> Path:
    """A prepared study of two other people."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number in (7, 8):
        image, labels = lobes(number)
        write(folder / f"p{number}_t1.nii.gz", image)
        write(folder / f"p{number}_t2.nii.gz", 190 - image * 0.5)
        write(folder / f"p{number}_label.nii.gz", labels)
    done(capsys, "study", "create", tmp_path / "other", "--cohort", folder, "--schema", schema_file(tmp_path))
    done(capsys, "prepare", tmp_path / "other", *PREPARE)
    return tmp_path / "other"


def test_a_study_begins_with_the_model_of_another(sent: Path, other: Path, study: Path, capsys: Capture) -> None:
    given = done(capsys, "import-model", other, sent)
    assert (given["new"], given["notes"]) == (True, [])
    assert given["options"] == {"warm_start": True, "architecture": "unet", "network": "tiny"}
    assert given["imported_from"]["file"] == "sent.safetensors"
    again = done(capsys, "import-model", other, study)
    assert (again["model"], again["new"]) == (given["model"], False)
    first = done(capsys, "run-round", other, "--strategy", "gradient-guided", "--budget", "2", *TINY, *TINY_VAE)
    assert (first["number"], first["strategy"]) == (0, "gradient-guided")
    assert all("its labels are the model's own" in one["rationale"]["sentence"] for one in first["suggestions"])
    shown = done(capsys, "study", "show", other)
    assert [(m["kind"], m["round"]) for m in shown["models"]] == [("segmentation", None), ("manifold", None)]


def test_what_is_printed_says_how_to_go_on(sent: Path, other: Path, capsys: Capture) -> None:
    assert main(["import-model", str(other), str(sent), "--quiet"]) == 0
    *_, before, last = capsys.readouterr().out.splitlines()
    assert "go on from it" in before
    assert last == f"Next: suggestive-annotation run-round {other} --warm-start --architecture unet --network tiny"
    words = last.split()[2:]
    assert build_parser().parse_args(words).warm_start
    assert any("import-model" in command for command in Study(other).commands())


def test_what_cannot_be_taken_is_refused_in_one_sentence(sent: Path, other: Path, study: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "does not exist" in refused(capsys, "import-model", other, tmp_path / "no.safetensors", code=2)
    sent.write_bytes(b"")
    assert "is damaged" in refused(capsys, "import-model", other, sent, code=2)
    assert Study(other).models() == ()
