"""The files that the tests make are DICOM files by an independent judge: dciodvfy of dicom3tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from dicom_files import ramp, rotation, write_series


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_single_frame_images_are_valid(tmp_path: Path, modality: str) -> None:
    files = write_series(tmp_path, array=ramp((2, 8, 7)), modality=modality, direction=rotation(10, 20, 30))
    done = subprocess.run(["dciodvfy", str(files[0])], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []
    assert f"{modality}Image" in done.stderr
