"""Ctrl-C as a terminal sends it, at moments in which no command has control yet: while modules load, and while helpers start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.study.study import Study

ROOT = Path(__file__).parents[3]
LONGEST = 120
"""Seconds that anything here may take on a busy computer."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to groups of processes")


@contextmanager
def running(folder: Path, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command line in a group of processes of its own, as in a terminal; modules in `folder` come before all others."""
    process = subprocess.Popen(
        [sys.executable, "-m", "SuggestiveAnnotationLib", *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + LONGEST
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("module", ["rich", "numpy", "sqlalchemy"])
def test_ctrl_c_while_modules_load_ends_with_one_word(tmp_path: Path, module: str) -> None:
    reached = tmp_path / "reached"
    (tmp_path / f"{module}.py").write_text(f"import time\nopen({str(reached)!r}, 'w').close()\ntime.sleep({LONGEST})\n", encoding="utf-8")
    with running(tmp_path, "strategies") as process:
        wait_until(reached.exists, process)
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=LONGEST)
    assert (process.returncode, out, error) == (130, "", "Cancelled.\n")


def test_ctrl_c_while_the_processes_of_prepare_start_is_answered_by_one_of_them(tmp_path: Path, study: Path) -> None:
    for built in Study(study).path.glob("slices/*/*"):
        built.unlink()
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    # Run by Python before anything else: a helper tells that it is there, and starts only when it may.
    (hooks / "sitecustomize.py").write_text(
        f"""
import os, sys, time
if "spawn_main" in " ".join(sys.orig_argv):
    folder = {str(hooks)!r}
    open(os.path.join(folder, f"{{os.getpid()}}.child"), "w").close()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
""",
        encoding="utf-8",
    )
    with running(hooks, "prepare", study, "--processes", "2") as process:
        wait_until(lambda: len(list(hooks.glob("*.child"))) == 2, process)
        os.killpg(process.pid, signal.SIGINT)
        (hooks / "go").touch()
        _, error = process.communicate(timeout=LONGEST)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "KeyboardInterrupt" not in error
    assert "Cancelled. Run the same command again to resume." in error
