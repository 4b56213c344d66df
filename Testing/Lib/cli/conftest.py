"""A cohort of two modalities and a prepared study of it, made through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_calls import (
    PREPARE,
    Capture,
    done,
    lobes,
    schema_file,
    write,
)


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
