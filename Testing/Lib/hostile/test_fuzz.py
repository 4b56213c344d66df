"""A few of the files that `make fuzz` tries, and that the fuzz notices what it is there to notice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[2] / "Fuzz" / "fuzz_headers.py"
TRIES = 400


@pytest.mark.timeout(280)
def test_every_spoilt_file_is_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(FUZZ), "--tries", str(TRIES), "--seed", "suite", "--keep", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tries, read, refused, findings = map(int, re.findall(r"\d+", ran.stdout.splitlines()[-1])[:4])
    assert (tries, findings) == (read + refused, 0)
    assert abs(tries - TRIES) < 30
    assert read > TRIES / 10
    assert refused > TRIES / 4


HARM = {"os.abort()": "died", "time.sleep(60)": "no answer", "1 / 0": "ZeroDivisionError", "bytes(1 << 40)": "MemoryError"}
BAD = """
import os, time
from formats import Format


class Bad(Format):
    seconds = 1.5

    def prepare(self, folder):
        pass

    def write(self, folder, draw):
        (folder / "spoilt").write_text(str(draw.randrange(3)))
        return folder / "spoilt"

    def read(self, path):
        if path.read_text(encoding="utf-8") == "0":
            HARM
        return []


def all_formats():
    return [Bad("bad")]


def by_name(name):
    return Bad("bad")
"""


@pytest.mark.parametrize("harm", HARM)
def test_a_crash_a_hang_and_an_error_are_found_and_the_run_goes_on(harm: str, tmp_path: Path) -> None:
    for file in FUZZ.parent.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "catalogue.py").write_text(BAD.replace("HARM", harm))
    command = [sys.executable, str(tmp_path / "fuzz_headers.py"), "--tries", "8", "--keep", str(tmp_path / "kept")]
    environment = {"PYTHONPATH": str(FUZZ.parents[2]), "PATH": os.environ["PATH"]}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    tries, read, refused, findings = map(int, re.findall(r"\d+", ran.stdout.splitlines()[-1])[:4])
    kept = list((tmp_path / "kept").glob("*/finding.txt"))
    assert (tries, refused) == (8, 0)
    assert read + findings == 8
    assert 0 < findings == len(kept)
    assert all(HARM[harm] in file.read_text(encoding="utf-8") for file in kept)
    assert all((file.parent / "spoilt").read_text(encoding="utf-8") == "0" for file in kept)
