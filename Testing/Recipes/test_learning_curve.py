"""The recipe script runs and prints a line for every number of slices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("learning_curve.py")


def test_a_line_for_every_number_of_slices() -> None:
    few = ["--people", "6", "--pixels", "32", "--network", "tiny", "--steps", "3", "--seeds", "0", "--slices", "4", "8", "--warm-start"]
    command = [sys.executable, str(SCRIPT), *few]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ slices to draw from, \d+ tested; .*necrotic core", lines[0])
    assert [line.split(" slices, seed 0: ")[0].strip() for line in lines[1:]] == ["4", "8"]
