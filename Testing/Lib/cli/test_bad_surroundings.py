"""Damaged studies, disks that are full or read-only, network shares, second workers: one clear sentence, and nothing is lost."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from cli_calls import (
    BAD,
    PREPARE,
    TINY,
    TINY_VAE,
    Capture,
    annotate,
    done,
    first_batch,
    no_file_above,
    plain,
    refused,
    truncate,
)

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.study import location
from SuggestiveAnnotationLib.study.study import Study

# What the study itself keeps ----------------------------------------------------------------------------------------------------


def overwrite(path: Path, where: float = 0.7) -> None:
    raw = bytearray(path.read_bytes())
    place = int(len(raw) * where)
    raw[place : place + 2] = bytes(b ^ 0x55 for b in raw[place : place + 2])
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("suffix", "damage", "says"),
    [
        (".npy", truncate, "damaged"),
        (".npy", lambda p: p.write_bytes(b""), "damaged"),
        (".npy", lambda p: p.write_bytes(b"PK\x03\x04" + bytes(500)), "damaged"),
        (".npy", lambda p: p.unlink(), "damaged"),
        (".labels.npy", truncate, "damaged"),
        (".labels.npy", lambda p: p.unlink(), "damaged"),
        (".json", truncate, "has not been prepared"),
        (".npy", overwrite, ""),
        (".labels.npy", overwrite, ""),
    ],
)
def test_a_damaged_slice_store_is_told_and_built_again(
    suffix: str, damage: Callable[[Path], Any], says: str, study: Path, capsys: Capture
) -> None:
    file = next(study.glob(f"slices/*/{BAD}{suffix}"))
    before = file.read_bytes()
    damage(file)
    simulate = ["simulate", study, "--rounds", "0", "--budget", "8", *TINY, *TINY_VAE]
    if says:
        told = refused(capsys, *simulate, code=3 if says == "damaged" else 2)
        assert says in told
        assert BAD in told
        assert "prepare" in told
    assert done(capsys, "prepare", study)["built"] == 1
    assert suffix == ".json" or file.read_bytes() == before
    assert done(capsys, *simulate)["rounds"][-1]["annotated_slices"] == 8


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [(".safetensors", truncate), (".safetensors", overwrite), (".safetensors", Path.unlink), (".json", truncate), (".json", Path.unlink)],
)
def test_a_damaged_model_is_told_and_trained_again(suffix: str, damage: Callable[[Path], Any], study: Path, capsys: Capture) -> None:
    annotate(capsys, study)
    model = Path(done(capsys, "train", study, *TINY)["path"])
    damage(model.with_suffix(suffix))
    told = refused(capsys, "predict", study, "--case", "case0", "--device", "cpu", code=3)
    assert model.with_suffix(suffix).stem in told
    done(capsys, "train", study, *TINY)
    assert done(capsys, "predict", study, "--case", "case0", "--device", "cpu")["predictions"].keys() == {"case0"}


@pytest.mark.parametrize("damage", [truncate, overwrite, Path.unlink])
def test_damaged_latents_stop_the_round_which_goes_on_after_fitting_again(
    damage: Callable[[Path], Any], study: Path, capsys: Capture
) -> None:
    annotate(capsys, study)
    places = Path(done(capsys, "fit-manifold", study, *TINY_VAE, "--device", "cpu")["path"]).with_suffix(".npz")
    damage(places)
    run = ["run-round", study, "--budget", "2", *TINY, *TINY_VAE]
    told = refused(capsys, *run, code=3)
    assert places.name in told
    assert "fit-manifold" in told
    done(capsys, "fit-manifold", study, *TINY_VAE, "--device", "cpu")
    assert done(capsys, *run)["number"] == 1


@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_a_damaged_prediction_of_a_case_is_made_again(damage: Callable[[Path], Any], study: Path, tmp_path: Path, capsys: Capture) -> None:
    case = annotate(capsys, study)[0]["case"]
    done(capsys, "train", study, *TINY)
    predict = ["predict", study, "--case", case, "--device", "cpu"]
    file = Path(done(capsys, *predict)["predictions"][case])
    before = file.read_bytes()
    damage(file)
    export = ["export", study, "--out", tmp_path / "out", "--case", case, "--completed", "--overwrite"]
    assert f"Case {case} has no prediction" in refused(capsys, *export, code=3)
    done(capsys, *predict)
    assert file.read_bytes() == before
    assert done(capsys, *export)["files"]


@pytest.mark.parametrize("left", [0, 50, 4096, 0.5, 0.99])
def test_a_truncated_database_is_told_and_left_as_it_is(left: float, study: Path, tmp_path: Path, capsys: Capture) -> None:
    annotate(capsys, study)
    gc.collect()
    database = study / "study.sqlite"
    assert not (study / "study.sqlite-wal").exists()
    whole = database.read_bytes()
    database.write_bytes(whole[: int(left * len(whole)) if 0 < left < 1 else int(left)])
    for command in (["study", "show", study], ["prepare", study], ["run-round", study], ["export", study, "--out", tmp_path / "out"]):
        told = refused(capsys, *command, code=3)
        assert str(database) in told
        assert "backup" in told
    gc.collect()
    assert len(database.read_bytes()) < len(whole)
    database.write_bytes(whole)
    for remains in study.glob("study.sqlite-*"):
        remains.unlink()
    assert len(Study(study).annotations()) == 2


def test_a_damaged_annotation_is_named_and_never_exported(study: Path, tmp_path: Path, capsys: Capture) -> None:
    row = annotate(capsys, study)[0]
    gc.collect()
    database = study / "study.sqlite"
    with sqlite3.connect(database) as connection:
        blob = connection.execute("SELECT labels FROM annotations ORDER BY id").fetchone()[0]
    connection.close()
    whole = database.read_bytes()
    assert whole.count(blob) == 1
    place = whole.index(blob) + len(blob) // 2
    database.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
    told = refused(capsys, "export", study, "--out", tmp_path / "out", code=3)
    assert f"case {row['case']}, slice {row['slice']}" in told
    assert not (tmp_path / "out").exists()
    done(capsys, "study", "show", study)


def test_a_study_of_a_newer_version_is_told_and_left_as_it_is(study: Path, capsys: Capture) -> None:
    gc.collect()
    with sqlite3.connect(study / "study.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (study / "study.sqlite").read_bytes()
    for command in (["study", "show", study], ["prepare", study], ["simulate", study]):
        told = refused(capsys, *command, code=3)
        assert "newer version" in told
        assert "Update" in told
    assert (study / "study.sqlite").read_bytes() == before


# Where the study lives ----------------------------------------------------------------------------------------------------------


def test_a_second_worker_is_told_who_works_and_may_start_when_the_first_is_gone(study: Path, capsys: Capture) -> None:
    hold = f"from pathlib import Path; from SuggestiveAnnotationLib.study.study import Study; lock = Study(Path({str(study)!r})).lock()"
    first = subprocess.Popen([sys.executable, "-c", f"{hold}; print('held', flush=True); input()"], stdin=-1, stdout=-1, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    for command in (["prepare", study], ["train", study], ["simulate", study]):
        told = refused(capsys, *command, code=4)
        assert f"process {first.pid}" in told
        assert str(study) in told
    done(capsys, "study", "show", study)
    first.kill()
    first.wait()
    first_batch(capsys, study)


def test_a_network_share_is_refused_for_the_study_and_allowed_for_images(
    cohort: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # Mounting needs rights that tests do not have: the system's mount table is replaced, and nothing else.
    monkeypatch.setattr(location, "_mounts", lambda: f"server:/x {tmp_path / 'share'} nfs4 rw 0 0\n/dev/sda / ext4 rw 0 0")
    shutil.copytree(cohort, tmp_path / "share" / "cohort")
    shutil.copytree(study, tmp_path / "share" / "study")
    for command in (
        ["study", "create", tmp_path / "share" / "new", "--cohort", cohort],
        ["study", "show", tmp_path / "share" / "study"],
        ["prepare", tmp_path / "share" / "study"],
    ):
        told = refused(capsys, *command, code=5)
        assert "network share (nfs4)" in told
        assert "local disk" in told
    assert not (tmp_path / "share" / "new").exists()
    done(capsys, "study", "create", tmp_path / "local", "--cohort", tmp_path / "share" / "cohort")


ORDINARY = """
import ctypes, json, os, sys
if os.geteuid() == 0:  # give up the right of root to overrule permissions
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        sys.exit(77)
    data[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.capset(header, data):
        sys.exit(77)
from SuggestiveAnnotationLib.cli.main import main
for arguments in json.loads(sys.argv[1]):
    code = main(arguments)
    print(json.dumps(code), flush=True)
    print("----", file=sys.stderr, flush=True)
"""


def ordinary_user(*calls: list[str]) -> list[tuple[int, str]]:
    """Exit code and sentence of each call, in a process that permissions bind, whoever runs the tests."""
    command = [sys.executable, "-c", ORDINARY, json.dumps([[*call, "--quiet"] for call in calls])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 77:
        pytest.skip("this system does not let a process give up rights")
    assert ran.returncode == 0, ran.stderr
    codes = [int(line) for line in ran.stdout.splitlines() if line.isdecimal()]
    return list(zip(codes, ran.stderr.split("----\n"), strict=False))


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_read_only_folders_are_told(study: Path, cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    annotate(capsys, study)
    gc.collect()
    closed = tmp_path / "closed"
    closed.mkdir()
    with mode(study, 0o555), mode(closed, 0o555):
        answers = ordinary_user(
            ["prepare", str(study)],
            ["finish-round", str(study)],
            ["export", str(study), "--out", str(tmp_path / "out")],
            ["study", "create", str(closed / "new"), "--cohort", str(cohort)],
        )
    assert len(answers) == 4
    for code, told in answers:
        assert code == 5, (told, answers)
        assert "read-only" in plain(told)
    assert str(study) in answers[0][1]
    assert str(closed) in answers[3][1]
    with mode(closed, 0o555):
        ((code, told),) = ordinary_user(["export", str(study), "--out", str(closed)])
    assert code == 5
    assert f"{closed} is read-only" in plain(told)
    with mode(study / "slices", 0o555):
        shutil.rmtree(next(study.glob("slices/*")))
        ((code, told),) = ordinary_user(["prepare", str(study), "--processes", "1"])
    assert code == 5
    assert "is read-only" in plain(told)
    assert len(done(capsys, "prepare", study)["excluded"]) == 0
    assert len(Study(study).annotations()) == 2


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_files_and_folders_that_may_not_be_read_are_told(cohort: Path, tmp_path: Path) -> None:
    path = tmp_path / "study"
    image = cohort / "case1_t1.nii.gz"
    with mode(image, 0o000):
        (answer,) = ordinary_user(["study", "create", str(path), "--cohort", str(cohort)])
    assert answer[0] == 0
    (excluded,) = [c for c in Study(path).cases() if c.role == "excluded"]
    assert excluded.name == BAD
    assert f"{image} may not be read" in plain(excluded.excluded_reason)
    with mode(cohort, 0o000):
        ((code, told),) = ordinary_user(["prepare", str(path), *PREPARE])
    assert code == 3
    assert "case0_t1.nii.gz cannot be read: Permission denied" in plain(told)


# A full disk --------------------------------------------------------------------------------------------------------------------


def test_creating_a_study_on_a_full_disk_is_told_and_can_be_repeated(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "study"
    create = ["study", "create", path, "--cohort", cohort]
    for size in range(0, 1 << 20, 16384):
        with no_file_above(size):
            code = main([*map(str, create), "--quiet"])
        shown = capsys.readouterr()
        if code == 0:
            break
        assert code == 5
        assert "disk is full" in plain(shown.err)
    assert size > 16384
    done(capsys, "prepare", path, *PREPARE)


def test_accepting_on_a_full_disk_is_told_and_loses_nothing(study: Path, capsys: Capture) -> None:
    rows = first_batch(capsys, study)
    failed = 0
    for number, row in enumerate(rows):
        command = ["annotations", "import", study, str(Study(study).case(row["case"]).label), "--case", row["case"], "--annotator", "A"]
        for size in range(0, 1 << 20, 8192):
            gc.collect()
            with no_file_above(size):
                code = main([*map(str, command), "--slices", str(row["slice"]), "--quiet"])
                gc.collect()
            shown = capsys.readouterr()
            accepted = Study(study).annotations()
            # The accept may stand although the command's own line found no room after it; accepting the same again changes nothing.
            assert len(accepted) in ((number + 1,) if code == 0 else (number, number + 1))
            if code == 0:
                break
            failed += 1
            assert code == 5
            told = plain(shown.err)
            assert "disk is full" in told
            assert "nothing" in told
    assert failed > 4
    gc.collect()
    with sqlite3.connect(study / "study.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    for annotation in Study(study).annotations():
        case = Study(study).case(annotation.ref.case)
        drawn = sitk.GetArrayFromImage(sitk.ReadImage(str(case.label)))
        np.testing.assert_array_equal(Study(study).frame(case.name).stack(drawn)[annotation.ref.native_index], annotation.labels)


def test_every_command_that_meets_a_full_disk_goes_on_when_there_is_room(study: Path, tmp_path: Path, capsys: Capture) -> None:
    case = annotate(capsys, study)[0]["case"]
    gc.collect()
    open_study = Study(study)  # holds the log of the database open, so that small limits meet the other files
    open_study.rounds()
    shutil.rmtree(next(study.glob("slices/*")))
    commands: list[tuple[list[str | Path], int]] = [
        (["prepare", study], 10_000),
        (["run-round", study, "--strategy", "entropy", "--budget", "1", *TINY], 40_000),
        (["fit-manifold", study, *TINY_VAE, "--device", "cpu"], 40_000),
        (["predict", study, "--case", case, "--device", "cpu"], 1_000),
        (["export", study, "--out", tmp_path / "out"], 100),
        (["report", study, "--out", tmp_path / "report.html"], 10_000),
    ]
    for command, size in commands:
        with no_file_above(size):
            told = refused(capsys, *command, code=5)
        # SimpleITK, which writes labelmaps, does not say why it failed.
        assert ("disk is full" if command[0] != "export" else "could not be written") in told
        assert not list(study.glob("**/.*-*")), "scratch files were left"
        assert len(open_study.annotations()) == 2
        done(capsys, *command)
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_result_that_cannot_be_printed_is_told(study: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "SuggestiveAnnotationLib", "study", "show", str(study), "--quiet"]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 5
    assert "could not be printed: No space left on device" in plain(ran.stderr)
