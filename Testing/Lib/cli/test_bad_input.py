"""Broken cases, folders and tables, end to end: one clear sentence, the right exit code, and the rest still usable."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from cli_calls import (
    BAD,
    PREPARE,
    SHAPE,
    TINY,
    TINY_VAE,
    Capture,
    annotate,
    done,
    first_batch,
    lobes,
    plain,
    refused,
    schema_file,
    truncate,
    write,
)

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.study.study import Study

# One bad case among good ones ---------------------------------------------------------------------------------------------------


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
    "no image at all": (lambda f: (f / "case1_t2.nii.gz").write_bytes(b"hello " * 99), "case1_t2.nii.gz", "not a NIfTI file"),
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


def test_a_check_says_each_problem_once_and_fails_when_no_case_is_left(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    for number in (0, 1, 2):
        write(cohort / f"case{number}_label.nii.gz", lobes(number)[1] * 3)
    path = tmp_path / "study"
    done(capsys, "study", "create", path, "--cohort", cohort, "--schema", schema_file(tmp_path))
    assert main(["study", "check", str(path)]) == 0
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("case0_label.nii.gz") == 1
    assert shown.out.splitlines()[-1] == "1 of 4 cases has no problem."
    write(cohort / "case3_label.nii.gz", lobes(3)[1] * 3)
    assert main(["study", "check", str(path), "--quiet"]) == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("No case is without a problem (of 4). Mend the files,")


def test_a_case_of_one_slice_is_used_and_said(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in cohort.glob("case1_*"):
        write(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[3:4])
    path = tmp_path / "study"
    assert done(capsys, "study", "create", path, "--cohort", cohort)["excluded"] == {}
    prepared = done(capsys, "prepare", path, *PREPARE)
    assert prepared["excluded"] == {}
    assert prepared["warnings"] == {BAD: f"{cohort / 'case1_t1.nii.gz'} has a single slice."}
    assert done(capsys, "study", "check", path)["problems"] == {}
    assert "single slice" in next(c for c in done(capsys, "study", "show", path)["cases"] if c["name"] == BAD)["problems"][0]
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
    assert main(["study", "check", str(study), "--quiet"]) == 3
    assert f"{BAD}: {cohort / 'case1_t1.nii.gz'}" in capsys.readouterr().out
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
