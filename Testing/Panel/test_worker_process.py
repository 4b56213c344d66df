"""The worker behind Qt: started with Slicer's Python in an environment made on purpose, heard, killed, ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from SuggestiveAnnotationLib.worker.client import GONE, WorkerClient
from SuggestiveAnnotationLib.worker.protocol import Status

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def process(host: Any) -> Iterator[Any]:
    from SuggestiveAnnotationPanel.worker_process import WorkerProcess

    made = WorkerProcess()
    made.client = WorkerClient(made)
    yield made
    made.close()


def ask(host: Any, process: Any) -> tuple[list[Any], list[Any]]:
    """Results and errors of one question."""
    results: list[Any] = []
    errors: list[Any] = []
    process.client.send(Status(), on_result=results.append, on_error=errors.append)
    host.waitUntil(lambda: results or errors, 60, "an answer")
    return results, errors


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def as_slicer(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program in the place of PythonSlicer."""
    program = folder / "PythonSlicer"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_the_environment_is_slicers_with_this_library_first(process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/slicer")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/slicer/lib")
    environment = process._environment()
    assert environment.value("PYTHONPATH", "") == f"{ROOT}{os.pathsep}/of/slicer"
    assert environment.value("LD_LIBRARY_PATH", "") == "/of/slicer/lib"
    assert environment.value("PYTHONNOUSERSITE", "") == "1"
    monkeypatch.delenv("PYTHONPATH")
    assert process._environment().value("PYTHONPATH", "") == str(ROOT)


def test_it_is_started_heard_and_ended(host: Any, process: Any) -> None:
    assert not process.running
    assert process.processId == 0
    results, _ = ask(host, process)
    assert results[0].data["study"] is None
    worker = process.processId
    assert worker == process.client.ready.process
    assert alive(worker)
    host.waitUntil(lambda: any("command 1 status" in line for line in process.log), 10, "the log")
    process.close()
    assert not process.running
    assert not alive(worker)


def test_a_killed_one_says_so_and_the_next_question_starts_another(host: Any, process: Any) -> None:
    ask(host, process)
    reasons: list[str] = []
    process.client.on_ended = reasons.append
    first = process.processId
    os.kill(first, signal.SIGKILL)
    host.waitUntil(lambda: reasons, 20, "the end")
    assert reasons == ["it crashed or was killed"]
    assert (process.running, process.processId) == (False, 0)
    results, errors = ask(host, process)
    assert results
    assert not errors
    assert process.processId not in (0, first)


def test_killing_reaches_the_worker_behind_a_launcher(host: Any, process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    real = shutil.which("PythonSlicer")
    # No exec: the shell stays between, as Slicer's launcher does.
    as_slicer(tmp_path, f'"{real}" "$@"\nexit $?', monkeypatch)
    ask(host, process)
    worker, launcher = process.processId, int(process._process.processId())
    assert worker != launcher
    process.kill()
    host.waitUntil(lambda: not process.running, 20, "the end")
    host.waitUntil(lambda: not alive(worker) and not alive(launcher), 20, "both")


def test_without_pythonslicer_the_question_is_answered_with_an_error(
    host: Any, process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    results, errors = ask(host, process)
    assert not results
    assert errors[0].kind == GONE
    assert "PythonSlicer could not be started" in errors[0].sentence


def test_one_that_ends_before_it_is_ready_says_why(host: Any, process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_slicer(tmp_path, "echo 'ModuleNotFoundError: No module named numpy' >&2\nexit 3", monkeypatch)
    _, errors = ask(host, process)
    assert "exit code 3: ModuleNotFoundError: No module named numpy" in errors[0].sentence


def test_one_that_does_not_listen_is_killed(host: Any, process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from SuggestiveAnnotationPanel import worker_process

    monkeypatch.setattr(worker_process, "SHUTDOWN_MS", 300)
    as_slicer(tmp_path, "exec sleep 60", monkeypatch)
    process.client.send(Status())
    host.waitUntil(lambda: process.processId, 20, "the start")
    sleeping = process.processId
    process.close()
    assert not alive(sleeping)


def test_the_log_holds_whole_lines_and_no_more_than_the_last_ones(
    host: Any, process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from SuggestiveAnnotationPanel.worker_process import LOG_LINES

    as_slicer(tmp_path, "for i in $(seq 1000); do printf 'line %s and' $i >&2; printf ' more\\n' >&2; done; exec cat", monkeypatch)
    process.client.send(Status())
    host.waitUntil(lambda: process.log and process.log[-1] == "line 1000 and more", 20, "the log")
    assert len(process.log) == LOG_LINES
    assert all(line.startswith("line ") and line.endswith(" and more") for line in process.log)
