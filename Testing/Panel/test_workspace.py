"""What the sections share: the open study and slice, the place of the reader, and what is asked of the worker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_study import add_round, make_study

from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef
from SuggestiveAnnotationLib.worker import protocol

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = SliceRef("case0", 0, 4), SliceRef("case1", 0, 6)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_study(tmp_path_factory.mktemp("made"))
    add_round(study, {FIRST: "suggestion", SECOND: "suggestion"})
    study.close()
    return study.path


@pytest.fixture
def path(_made: Path, tmp_path: Path) -> Path:
    """A study of two cases with a suggestion each."""
    shutil.copytree(_made, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def workspace(host: Any) -> Iterator[Any]:
    """A workspace without a panel."""
    import qt
    from SuggestiveAnnotationPanel.workspace import Workspace

    qt.QSettings().clear()
    made = Workspace()
    made.said = []
    made.message.connect(lambda level, text: made.said.append((level, text)))
    yield made
    made.cleanup()


def wait_for(host: Any, workspace: Any, command: protocol.Command, **options: Any) -> tuple[list[Any], list[Any]]:
    results: list[Any] = []
    errors: list[Any] = []
    workspace.ask(command, results.append, errors.append, **options)
    host.waitUntil(lambda: results or errors, 60, "an answer")
    return results, errors


def die_at_the_next_command(workspace: Any) -> None:
    """A stopped process takes no command; killed, it leaves it open."""
    os.kill(workspace.process.processId, signal.SIGSTOP)


# --- the study


def test_without_a_study_there_is_nothing_to_go_to(workspace: Any) -> None:
    workspace.nextSlice()
    assert workspace.said == [("info", "Open a study first.")]
    assert (workspace.path, workspace.current, workspace.suggestions()) == (None, None, ())


def test_a_study_is_remembered_and_the_reader_comes_back_to_the_slice(workspace: Any, path: Path) -> None:
    from SuggestiveAnnotationPanel import settings

    workspace.openStudy(path)
    assert settings.recentStudies() == [str(path)]
    assert workspace.current is None
    workspace.openSlice(SECOND)
    workspace.closeStudy()
    assert (workspace.study, workspace.session, workspace.current) == (None, None, None)
    workspace.openStudy(path)
    assert workspace.current == SECOND


def test_what_cannot_be_opened_leaves_the_open_study_as_it_is(workspace: Any, path: Path, tmp_path: Path) -> None:
    workspace.openStudy(path)
    workspace.openSlice(FIRST)
    with pytest.raises(SuggestiveAnnotationError):
        workspace.openStudy(tmp_path)
    assert (workspace.path, workspace.current) == (path, FIRST)


def test_work_is_saved_before_another_slice_opens_and_before_the_study_closes(workspace: Any, path: Path) -> None:
    seen = []
    workspace.leavingSlice.connect(lambda: seen.append(("leaving", workspace.current)))
    workspace.sliceChanged.connect(lambda: seen.append(("changed", workspace.current)))
    workspace.openStudy(path)
    workspace.openSlice(FIRST)
    workspace.openSlice(SECOND)
    assert seen == [("changed", FIRST), ("leaving", FIRST), ("changed", SECOND)]
    seen.clear()
    workspace.nextSlice()
    assert seen[0] == ("leaving", SECOND)
    assert seen[-1] == ("changed", FIRST)
    seen.clear()
    workspace.closeStudy()
    assert seen[0] == ("leaving", FIRST)


def test_next_goes_round_what_waits_and_says_when_nothing_does(workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    workspace.nextSlice()
    assert workspace.current == FIRST
    workspace.nextSlice()
    assert workspace.current == SECOND
    workspace.previousSlice()
    assert workspace.current == FIRST
    for ref in (FIRST, SECOND):
        workspace.session.accept({ref: np.zeros((48, 40), np.uint16)})
    workspace.nextSlice()
    assert workspace.current is None
    assert workspace.said[-1][1].startswith("Every suggestion of this round is answered.")


def test_before_the_first_round_nothing_is_called_answered(workspace: Any, tmp_path: Path) -> None:
    new = make_study(tmp_path / "new", cases=1)
    new.close()
    workspace.openStudy(new.path)
    workspace.nextSlice()
    assert workspace.said[-1] == ("info", "There are no suggestions yet. Start a round in 2.")


def test_another_reader_has_a_session_of_their_own(workspace: Any, path: Path) -> None:
    from SuggestiveAnnotationPanel import settings

    workspace.openStudy(path)
    workspace.openSlice(FIRST)
    settings.setAnnotator("Dr B")
    settings.setBlind(True)
    settings.setTiming(True)
    settings.setIdleSeconds(12)
    workspace.changeReader()
    session = workspace.session
    assert (session.annotator, session.blind, session.timing, session.idle_seconds) == ("Dr B", True, True, 12)
    assert workspace.current == FIRST


# --- the worker


def test_an_error_that_nobody_handles_is_a_message(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    workspace.ask(protocol.LoadCase("nobody"))
    host.waitUntil(lambda: workspace.said, 60, "the message")
    assert workspace.said == [("error", "There is no case named 'nobody' in the study.")] or "nobody" in workspace.said[0][1]


def test_long_commands_are_tasks_one_after_the_other(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    titles: list[str | None] = []
    workspace.taskChanged.connect(lambda: titles.append(workspace.task and workspace.task.title))
    done: list[str] = []
    workspace.ask(protocol.CheckStudy(), lambda _data: done.append("first"), title="first")
    workspace.ask(protocol.CheckStudy(), lambda _data: done.append("second"), title="second")
    assert workspace.task.title == "first"
    assert workspace.requests.waiting == ["second"]
    assert workspace.said == [("info", "second waits until this is done: first.")]
    host.waitUntil(lambda: len(done) == 2, 60, "both")
    assert done == ["first", "second"]
    assert workspace.task is None
    assert [title for i, title in enumerate(titles) if i == 0 or title != titles[i - 1]] == ["first", "second", None]


def test_a_task_that_is_cancelled_says_so(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    workspace.ask(protocol.CheckStudy(), title="Check every file")
    workspace.cancelTask()
    assert workspace.task.stopping
    host.waitUntil(lambda: workspace.task is None, 60, "the end")
    assert workspace.said[-1][1].startswith("Cancelled: Check every file.")


def test_what_was_asked_of_a_worker_that_died_is_asked_again_once(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    wait_for(host, workspace, protocol.Status())
    first = workspace.process.processId
    die_at_the_next_command(workspace)
    results: list[Any] = []
    errors: list[Any] = []
    workspace.ask(protocol.LoadCase("case0"), results.append, errors.append)
    os.kill(first, signal.SIGKILL)
    host.waitUntil(lambda: results, 60, "the case from the second worker")
    assert results[0]["case"] == "case0"
    assert not errors
    assert workspace.process.processId not in (0, first)
    assert workspace.said == [
        ("warning", "The worker process ended unexpectedly (it crashed or was killed). It is started again and goes on where it stopped.")
    ]


def test_a_command_that_kills_the_worker_twice_is_given_up(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    errors: list[Any] = []
    wait_for(host, workspace, protocol.Status())
    die_at_the_next_command(workspace)
    workspace.ask(protocol.LoadCase("case0"), onError=errors.append)
    first = workspace.process.processId
    os.kill(first, signal.SIGKILL)
    host.waitUntil(lambda: workspace.process.processId not in (0, first), 60, "the second worker")
    second = workspace.process.processId
    os.kill(second, signal.SIGKILL)
    host.waitUntil(lambda: errors, 60, "the error")
    assert errors[0].kind == "worker gone"
    assert not workspace.worker.running


def test_what_cannot_be_repeated_is_said_to_be_interrupted(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    wait_for(host, workspace, protocol.Status())
    die_at_the_next_command(workspace)
    workspace.ask(protocol.CheckStudy(), title="Check every file")
    os.kill(workspace.process.processId, signal.SIGKILL)
    host.waitUntil(lambda: workspace.task is None, 60, "the end")
    assert workspace.said[-1] == ("error", "Check every file: interrupted, as the worker ended. Please try again.")
    results, _ = wait_for(host, workspace, protocol.CheckStudy())
    assert results


def test_an_idle_worker_that_dies_is_noticed_and_replaced(host: Any, workspace: Any, path: Path) -> None:
    workspace.openStudy(path)
    wait_for(host, workspace, protocol.Status())
    os.kill(workspace.process.processId, signal.SIGKILL)
    host.waitUntil(lambda: workspace.said, 60, "the message")
    assert workspace.said[0][1].endswith("Nothing that was saved is lost; it starts again with the next step.")
    assert workspace.workerText() == "The worker starts when it is needed."
    results, _ = wait_for(host, workspace, protocol.LoadCase("case1"))
    assert results[0]["case"] == "case1"


def test_a_study_that_another_worker_has_says_so_to_whoever_asks(host: Any, workspace: Any, path: Path) -> None:
    code = "import sys; from pathlib import Path; from SuggestiveAnnotationLib.study.study import Study; "
    code += "lock = Study(Path(sys.argv[1])).lock(); print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdin is not None
    try:
        assert other.stdout.readline() == "held\n"
        workspace.openStudy(path)
        _, errors = wait_for(host, workspace, protocol.LoadCase("case0"))
        assert errors[0].kind == "locked"
        assert str(other.pid) in errors[0].sentence
        assert [level for level, _ in workspace.said] == ["error"]
    finally:
        other.stdin.close()
        other.wait()
    # Once the other one is gone, the next step works.
    results, _ = wait_for(host, workspace, protocol.LoadCase("case0"))
    assert results[0]["case"] == "case0"


def test_the_worker_follows_to_another_study(host: Any, workspace: Any, path: Path, tmp_path: Path) -> None:
    shutil.copytree(path, tmp_path / "other")
    workspace.openStudy(path)
    wait_for(host, workspace, protocol.LoadCase("case0"))
    workspace.openStudy(tmp_path / "other")
    results, _ = wait_for(host, workspace, protocol.LoadCase("case0"))
    assert str(tmp_path / "other") in results[0]["modalities"]["t1"]
    results, _ = wait_for(host, workspace, protocol.Status())
    assert results[0]["study"] == str(tmp_path / "other")
    Study(path).lock().release()
    workspace.closeStudy()
    # Queued behind closing, as it is not quick.
    wait_for(host, workspace, protocol.FindCohort(str(tmp_path)))
    results, _ = wait_for(host, workspace, protocol.Status())
    assert results[0]["study"] is None
    Study(tmp_path / "other").lock().release()


def test_the_worker_line_tells_what_it_runs_on(host: Any, workspace: Any, path: Path) -> None:
    assert workspace.workerText() == "The worker starts when it is needed."
    workspace.openStudy(path)
    assert workspace.workerText() == "The worker is starting."
    host.waitUntil(lambda: workspace.worker.device is not None, 60, "the device")
    assert workspace.workerText() == workspace.worker.device.sentence
