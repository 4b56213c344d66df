"""DICOM series with something missing, through the door that a person uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from broken_files import fifo, labels, sound
from dicom_files import PATIENT_ID, PATIENT_NAME, ramp, write_series

from SuggestiveAnnotationLib.cohort.recognise import plan_folder
from SuggestiveAnnotationLib.engine.cohort import create
from SuggestiveAnnotationLib.errors import InputError

SHAPE = (12, 9, 8)


def cohort(folder: Path, **broken: object) -> Path:
    """Two good patients and one whose series is broken."""
    for number in (1, 2):
        write_series(folder / f"p{number}", array=ramp(SHAPE, seed=number), patient_id=f"{PATIENT_ID}-{number}")
    write_series(folder / "p3", array=ramp(SHAPE, seed=3), patient_id=f"{PATIENT_ID}-3", **broken)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    "broken",
    [
        {"missing_tags": ["PixelSpacing"]},
        {"missing_tags": ["ImagePositionPatient"]},
        {"missing_tags": ["ImageOrientationPatient"]},
        {"missing_tags": ["Rows"]},
        {"missing_tags": ["PixelData"]},
        {"drop": (4, 5)},
        {"extra": {"PixelSpacing": [0, 0]}},
        {"extra": {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}},
        {"extra": {"Rows": 65535}},
    ],
    ids=str,
)
def test_a_broken_series_costs_its_own_case_and_tells_nothing_of_the_patient(broken: dict[str, object], tmp_path: Path) -> None:
    folder = cohort(tmp_path / "in", **broken)
    plan = plan_folder(folder)
    sentences = [*plan.warnings, *(c.excluded_reason for c in plan.excluded), plan.describe()]
    assert len(plan.usable) >= 2
    schema = "malc-tissue"
    study = create(tmp_path / "study", plan=plan, schema=schema)
    assert len(study.cases("pool")) == 2
    sentences += [c.excluded_reason for c in study.cases()]
    assert any(s for s in sentences[:-1])
    assert not any(word in s for s in sentences for word in (PATIENT_ID, PATIENT_NAME.split("^")[0]))


def test_pipes_and_loops_among_dicom_files_are_passed_by(tmp_path: Path) -> None:
    folder = cohort(tmp_path / "in")
    fifo(folder / "p1" / "IMPIPE")
    os.symlink("/dev/zero", folder / "p2" / "IMZERO")
    os.symlink("..", folder / "p3" / "up")
    assert len(plan_folder(folder).usable) == 3


def test_a_folder_of_neither_images_nor_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(1000))
    fifo(tmp_path / "b")
    with pytest.raises(InputError, match="no images"):
        plan_folder(tmp_path)


def test_a_labelmap_in_place_of_a_segmentation_is_told(tmp_path: Path) -> None:
    from SuggestiveAnnotationLib.cohort.labels.label_file import read_label_file

    path = sound(tmp_path / "a.nii", labels()).rename(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm"):
        read_label_file(path)
