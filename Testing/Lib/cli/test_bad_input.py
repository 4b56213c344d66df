"""Everything a person can hand in that is broken, end to end: one clear sentence, the right exit code, and the rest still usable."""

from __future__ import annotations

import gc
import gzip
import json
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.cohort.schema import save_schema
from SuggestiveAnnotationLib.study import location
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

Capture = pytest.CaptureFixture[str]

TINY = ["--network", "tiny", "--steps", "4", "--batch", "2", "--device", "cpu"]
TINY_VAE = ["--manifold-network", "tiny", "--manifold-steps", "4", "--manifold-pixels", "32", "--latent-size", "2"]
PREPARE = ["--pixels", "32", "--processes", "1"]
SCHEMA = LabelSchema("two lobes", (LabelClass(1, "left", (230, 159, 0)), LabelClass(2, "right", (86, 180, 233))))
SHAPE = (6, 24, 20)
BAD = "case1"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Four cases with two modalities and labels."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in range(4):
        image, labels = lobes(number)
        write(folder / f"case{number}_t1.nii.gz", image)
        write(folder / f"case{number}_t2.nii.gz", 200 - image * 0.5)
        write(folder / f"case{number}_label.nii.gz", labels)
    return folder


@pytest.fixture
def study(tmp_path: Path, cohort: Path, capsys: Capture) -> Path:
    """A prepared study of that cohort."""
    path = tmp_path / "study"
    done(capsys, "study", "create", path, "--cohort", cohort, "--schema", schema_file(tmp_path))
    done(capsys, "prepare", path, *PREPARE)
    return path


def lobes(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = (z / 1.2) ** 2 + y**2 + x**2 < 0.9
    labels = (inside & (x > 0.2)) * 1 + (inside & (x < -0.2)) * 2
    noise = np.random.default_rng(seed).normal(0, 4, shape)
    return (inside * (100 + 40 * (labels == 1) + 25 * (labels == 2) + noise)).astype(np.float32), labels.astype(np.uint8)


def write(path: Path, array: np.ndarray, *, origin: tuple[float, float, float] = (0, 0, 0)) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1, 1, 2))
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))


def schema_file(folder: Path) -> Path:
    path = folder / "schema.json"
    save_schema(SCHEMA, path)
    return path


def done(capsys: Capture, *arguments: str | Path) -> Any:
    """What a command that works prints."""
    code = main([*map(str, arguments), "--json", "--quiet"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)


def refused(capsys: Capture, *arguments: str | Path, code: int) -> str:
    """The one sentence (and what to do) of a command that is refused."""
    assert main([*map(str, arguments), "--quiet"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    return plain(shown.err)


def plain(text: str) -> str:
    """One line that says what is wrong, then what to do."""
    assert text.count("\n") <= 1, text
    assert "Traceback" not in text
    assert "Error" not in text
    assert re.search(r"[.:] [A-Z]", text.strip()), f"says nothing of what to do: {text}"
    assert text.strip().endswith(".")
    return text.strip()


def first_batch(capsys: Capture, study: Path, *, budget: int = 2) -> list[dict[str, Any]]:
    return list(done(capsys, "run-round", study, "--budget", str(budget), *TINY, *TINY_VAE)["suggestions"])


def annotate(capsys: Capture, study: Path) -> list[dict[str, Any]]:
    """A first batch, accepted from the reference labels, and its round finished."""
    rows = first_batch(capsys, study)
    for row in rows:
        label = Study(study).case(row["case"]).label
        done(capsys, "annotations", "import", study, str(label), "--case", row["case"], "--annotator", "A", "--slices", str(row["slice"]))
    done(capsys, "finish-round", study)
    return rows


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes fail, as on a full disk (EFBIG; Python ignores the signal)."""
    resource = pytest.importorskip("resource", reason="no limits on file sizes here")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# One bad case among good ones ---------------------------------------------------------------------------------------------------


def truncate(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def voxels(value: float, *, count: int = 3) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        image, _ = lobes(1)
        image.ravel()[100 : 100 + count] = value
        write(folder / "case1_t1.nii.gz", image)

    return spoil


def four_dimensions(folder: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(lobes(i)[0]) for i in range(3)])
    sitk.WriteImage(image, str(folder / "case1_t1.nii.gz"))


def zero_spacing(folder: Path) -> None:
    path = folder / "case1_t1.nii.gz"
    raw = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<f", raw, 76 + 4 * 2, 0.0)
    path.write_bytes(gzip.compress(bytes(raw)))


def wrong_labels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda folder: write(folder / "case1_label.nii.gz", change(lobes(1)[1]))


def twin_in_capitals(folder: Path) -> None:
    for path in list(folder.glob("case1_*")):
        shutil.copy(path, folder / path.name.replace("case1", "CASE1"))


def one_row_a_slice(folder: Path) -> None:
    for path in folder.glob("case1_*"):
        write(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[:, 12:13])


BAD_CASES: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "truncated image": (lambda f: truncate(f / "case1_t1.nii.gz"), "case1_t1.nii.gz", "truncated or damaged"),
    "truncated labels": (lambda f: truncate(f / "case1_label.nii.gz", 0.9), "case1_label.nii.gz", "truncated or damaged"),
    "empty file": (lambda f: (f / "case1_t2.nii.gz").write_bytes(b""), "case1_t2.nii.gz", "NIfTI"),
    "no image at all": (lambda f: (f / "case1_t2.nii.gz").write_bytes(b"hello " * 99), "case1_t2.nii.gz", "truncated or damaged"),
    "4D volume": (four_dimensions, "case1_t1.nii.gz", "4 dimensions (20 x 24 x 6 x 3)"),
    "NaN": (voxels(np.nan), "case1_t1.nii.gz", "3 voxels that are not a number"),
    "infinite": (voxels(-np.inf, count=1), "case1_t1.nii.gz", "1 voxel that is not a number or infinite"),
    "constant image": (lambda f: write(f / "case1_t2.nii.gz", np.full(SHAPE, 7, np.int16)), "case1_t2.nii.gz", "every voxel is 7"),
    "no overlap": (lambda f: write(f / "case1_t2.nii.gz", lobes(1)[0], origin=(500, 0, 0)), "case1_t2.nii.gz", "does not overlap"),
    "label on another grid": (wrong_labels(lambda a: a[:, 1:]), "case1_label.nii.gz", "another voxel grid"),
    "values outside the schema": (wrong_labels(lambda a: a * 3), "case1_label.nii.gz", "not in schema two lobes: 3, 6"),
    "negative values": (wrong_labels(lambda a: -a.astype(np.int16)), "case1_label.nii.gz", "not in schema two lobes: -2, -1"),
    "values that are not whole": (wrong_labels(lambda a: a * np.float32(0.4)), "case1_label.nii.gz", "not whole numbers (0.4, 0.8)"),
    "two files for one image": (
        lambda f: write(f / "case1_t1.nrrd", lobes(5)[0]), "case1_t1.nrrd", "2 files for T1"
    ),
    "names that differ in capitals": (twin_in_capitals, "CASE1_t1.nii.gz", "differ in capitals only"),
    "zero spacing": (zero_spacing, "case1_t1.nii.gz", "impossible voxel spacing of 0 mm"),
    "one row a slice": (one_row_a_slice, "case1_t1.nii.gz", "slices of 1 x 20 pixels"),
    "missing image": (lambda f: (f / "case1_t2.nii.gz").unlink(), "case1", "no T2 image"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_CASES)
def test_a_bad_case_is_excluded_with_the_reason_and_the_others_go_on(what: str, cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    spoil, file, reason = BAD_CASES[what]
    spoil(cohort)
    path = tmp_path / "study"
    found = done(capsys, "study", "create", path, "--cohort", cohort, "--schema", schema_file(tmp_path))
    prepared = done(capsys, "prepare", path, "--plane", "axial", *PREPARE)
    excluded = {**found["excluded"], **prepared["excluded"]}
    assert {name.lower() for name in excluded} == {BAD}
    sentence = plain(excluded[BAD])
    assert file in " ".join(excluded.values())
    assert reason in sentence
    assert {c["name"]: c["excluded"] for c in done(capsys, "study", "show", path)["cases"] if c["excluded"]} == excluded
    assert done(capsys, "study", "check", path)["problems"].keys() == excluded.keys()
    assert {row["case"] for row in first_batch(capsys, path, budget=6)} == {"case0", "case2", "case3"}


@pytest.mark.parametrize("what", ["truncated labels", "negative values", "values that are not whole"])
def test_bad_labels_of_one_case_have_no_say_in_the_schema_that_is_guessed(what: str, cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    BAD_CASES[what][0](cohort)
    path = tmp_path / "study"
    found = done(capsys, "study", "create", path, "--cohort", cohort)
    assert Study(path).schema.values == (0, 1, 2)
    assert {**found["excluded"], **done(capsys, "prepare", path, *PREPARE)["excluded"]}.keys() == {BAD}
    summary = done(capsys, "simulate", path, "--rounds", "0", "--budget", "2", *TINY, *TINY_VAE)
    assert summary["rounds"][-1]["annotated_slices"] == 2


def test_when_no_case_can_be_used_the_first_reason_is_told(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in cohort.glob("*_t1.nii.gz"):
        truncate(path)
    told = refused(capsys, "study", "create", tmp_path / "study", "--cohort", cohort, code=2)
    assert "case0_t1.nii.gz is truncated" in told
    assert not (tmp_path / "study").exists()


def test_a_case_of_one_slice_is_used_and_said(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in cohort.glob("case1_*"):
        write(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[3:4])
    path = tmp_path / "study"
    assert done(capsys, "study", "create", path, "--cohort", cohort)["excluded"] == {}
    prepared = done(capsys, "prepare", path, *PREPARE)
    assert prepared["excluded"] == {}
    assert prepared["warnings"] == {BAD: "case1 has a single slice in the axial plane."}
    assert done(capsys, "study", "check", path)["problems"] == {}
    assert "single axial slice" in next(c for c in done(capsys, "study", "show", path)["cases"] if c["name"] == BAD)["problems"][0]
    summary = done(capsys, "simulate", path, "--rounds", "1", "--budget", "3", *TINY, *TINY_VAE)
    assert summary["rounds"][-1]["annotated_slices"] == 6


def test_the_check_compares_labels_with_the_reference_image(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in cohort.glob("*_t1.nii.gz"):
        write(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[:, ::2])
    path = tmp_path / "study"
    assert done(capsys, "study", "create", path, "--cohort", cohort, "--reference", "T2")["excluded"] == {}
    assert done(capsys, "study", "check", path)["problems"] == {}


# Folders and tables -------------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_told(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    told = refused(capsys, "study", "create", tmp_path / "s", "--cohort", tmp_path / "empty", code=2)
    assert f"There are no images in {tmp_path / 'empty'}" in told
    assert not (tmp_path / "s").exists()


def test_a_table_that_lists_a_case_twice_is_told(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "table.csv"
    table.write_text("case,role\ncase0,pool\ncase0,test\n", encoding="utf-8")
    assert "lists case case0 twice" in refused(capsys, "study", "create", tmp_path / "s", "--cohort", cohort, "--table", table, code=2)


# Files that change after the study was made -------------------------------------------------------------------------------------


def test_an_image_that_is_gone_before_it_is_prepared_excludes_its_case(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "study"
    done(capsys, "study", "create", path, "--cohort", cohort)
    (cohort / "case1_t2.nii.gz").rename(tmp_path / "elsewhere.nii.gz")
    excluded = done(capsys, "prepare", path, *PREPARE)["excluded"]
    assert excluded.keys() == {BAD}
    assert f"{cohort / 'case1_t2.nii.gz'} does not exist" in plain(excluded[BAD])
    assert BAD not in {row["case"] for row in first_batch(capsys, path, budget=6)}


def test_a_case_that_was_mended_comes_back_in_its_role(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    path, image = tmp_path / "study", cohort / "case1_t1.nii.gz"
    table = tmp_path / "table.csv"
    table.write_text("case,role\ncase0,pool\ncase1,test\ncase2,pool\ncase3,pool\n", encoding="utf-8")
    done(capsys, "study", "create", path, "--cohort", cohort, "--table", table)
    whole = image.read_bytes()
    truncate(image)
    for _ in range(2):
        assert done(capsys, "prepare", path, *PREPARE)["excluded"].keys() == {BAD}
        assert Study(path).case(BAD).role == "excluded"
    image.write_bytes(whole)
    again = done(capsys, "prepare", path, *PREPARE)
    assert (again["built"], again["kept"], again["excluded"]) == (1, 3, {})
    assert (Study(path).case(BAD).role, Study(path).case(BAD).excluded_reason) == ("test", "")
    Study(path).exclude_case("case2", "motion")
    assert done(capsys, "prepare", path)["kept"] == 3
    assert Study(path).case("case2").excluded_reason == "motion"


def test_images_that_are_gone_after_preparing_are_named_and_their_cases_stay(
    study: Path, cohort: Path, tmp_path: Path, capsys: Capture
) -> None:
    rows = annotate(capsys, study)
    cohort.rename(tmp_path / "unplugged")
    told = done(capsys, "prepare", study)
    assert told["excluded"] == {}
    assert told["warnings"].keys() == {f"case{i}" for i in range(4)}
    assert str(cohort / "case1_t1.nii.gz") in told["warnings"][BAD]
    assert str(cohort / "case1_t1.nii.gz") in done(capsys, "study", "check", study)["problems"][BAD][0]
    done(capsys, "run-round", study, "--strategy", "entropy", "--budget", "1", *TINY, *TINY_VAE)
    done(capsys, "predict", study, "--case", rows[0]["case"], "--device", "cpu")
    assert done(capsys, "export", study, "--out", tmp_path / "out", "--case", rows[0]["case"], "--completed")["files"]
    (tmp_path / "unplugged").rename(cohort)
    assert done(capsys, "prepare", study)["warnings"] == {}


def test_an_image_on_another_grid_than_when_the_study_was_made_never_gets_the_old_grid(study: Path, cohort: Path, capsys: Capture) -> None:
    image, labels = lobes(1)
    for kind, array in {"t1": image, "t2": image, "label": labels}.items():
        write(cohort / f"case1_{kind}.nii.gz", array, origin=(3, 0, 0))
    told = done(capsys, "study", "check", study)["problems"]
    assert "is not on the voxel grid it had" in told[BAD][0]
    excluded = done(capsys, "prepare", study)["excluded"]
    assert "case1_t1.nii.gz is not on the voxel grid it had when the study was created" in plain(excluded[BAD])
    assert BAD not in {row["case"] for row in first_batch(capsys, study, budget=6)}


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
