"""An independent judge of DICOM files: dciodvfy of David Clunie's dicom3tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def dicom_errors(file: Path) -> list[str]:
    """What dciodvfy calls an error in a file; skips loudly where the program is missing, with CI set that is a failure."""
    program = shutil.which("dciodvfy")
    if program is None:
        missing = "DICOM FILES ARE NOT VALIDATED HERE: dciodvfy (Debian's dicom3tools) is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    done = subprocess.run([program, str(file)], capture_output=True, text=True, errors="replace", timeout=60, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    # It names the object that it recognised; a file that it did not understand has no error either.
    assert any(line.strip() in _KNOWN for line in lines), lines
    return [line for line in lines if line.startswith("Error")]


_KNOWN = ("Segmentation", "LabelMapSegmentation", "MRImage", "CTImage", "EnhancedMRImage", "EnhancedCTImage")
