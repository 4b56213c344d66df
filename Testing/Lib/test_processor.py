"""The share of the cores that the two programs take, asked of every library that computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.processor import cores

ROOT = Path(__file__).parents[2]
CORES = cores()
pytestmark = pytest.mark.skipif(CORES == 1, reason="a single core has no half")
STARTS = {
    "command line": "from SuggestiveAnnotationLib.__main__ import run; sys.argv[1:] = ['strategies', '--quiet']; run()",
    "worker": "from SuggestiveAnnotationLib.worker.__main__ import main; sys.argv[1:] = ['--protocol']; main()",
}


def threads(start: str, **said: str) -> dict[str, int]:
    """Library that computes -> its threads, after a program was started as a person starts it."""
    code = f"""
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()):
    {start}
import torch, scipy.linalg, threadpoolctl
found = {{one["internal_api"] + " " + one["prefix"]: one["num_threads"] for one in threadpoolctl.threadpool_info()}}
print(json.dumps(found | {{"torch": torch.get_num_threads()}}))
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | said
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(out.stdout))


@pytest.mark.parametrize("program", STARTS)
def test_every_library_that_computes_takes_half_of_the_cores(program: str) -> None:
    found = threads(STARTS[program])
    assert len(found) > 1, found
    # Some have a limit of their own below half of many cores.
    assert max(found.values()) == found["torch"] == CORES // 2, found


@pytest.mark.parametrize("program", STARTS)
def test_a_number_of_threads_that_a_person_set_holds_for_all(program: str) -> None:
    another = 2 if CORES < 4 else 1
    found = threads(STARTS[program], OMP_NUM_THREADS=str(another))
    assert set(found.values()) == {another}, found
