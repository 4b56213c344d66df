"""A real worker process before anything is learnt: starting, studies, lines that are no commands, its log, its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worker_process import Worker

from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyError
from SuggestiveAnnotationLib.processor import memory_size
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent, no_progress
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.worker.lines import command_line
from SuggestiveAnnotationLib.worker.protocol import (
    CheckStudy,
    CloseStudy,
    CreateSample,
    CreateStudy,
    Export,
    FindCohort,
    LoadCase,
    OpenStudy,
    PlanVolumes,
    Prepare,
    RunRound,
    Shutdown,
    Status,
    Train,
    WriteReport,
)
from SuggestiveAnnotationLib.worker.verbs import Verbs

MakeStudy = Callable[..., Study]


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as one:
        yield one


def end_of_input(worker: Worker) -> None:
    process = worker.transport.process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()


def sitecustomize(folder: Path, text: str) -> dict[str, str]:
    """Environment of a worker that runs `text` before anything else."""
    root = Path(__file__).resolve().parents[3]
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": f"{folder}:{root}"}


def test_it_says_what_it_is_and_where_it_computes(worker: Worker) -> None:
    status = worker.ask(Status())
    ready = worker.client.ready
    assert ready is not None
    assert set(ready.versions) >= {"python", "library", "numpy", "torch", "monai", "SQLAlchemy"}
    assert ready.missing == ()
    assert ready.schema >= 2
    assert worker.transport.process is not None
    assert ready.process == worker.transport.process.pid
    assert status["study"] is None
    assert status["running"] is None
    worker.until(lambda: worker.client.device)
    device = worker.client.device
    assert device is not None
    assert device.memory_gib > 0
    if not device.accelerated:
        assert device.sentence.startswith("No GPU. A round takes about ")


def test_the_first_question_is_answered_before_torch_is_imported() -> None:
    with Worker(env={"PYTHONPROFILEIMPORTTIME": "1"}) as worker:
        worker.ask(Status())
        assert not any("torch" in line for line in worker.transport.log)
        worker.until(lambda: worker.client.device)
        assert any(line.rstrip().endswith("| torch") or "torch.nn" in line for line in worker.transport.log)


def test_from_a_folder_to_a_case_on_the_screen(worker: Worker, write_phantoms: Callable[..., Path], tmp_path: Path) -> None:
    cohort = write_phantoms(tmp_path / "cohort", cases=3)
    plan = worker.ask(FindCohort(str(cohort)))["plan"]
    made = worker.ask(CreateStudy(str(tmp_path / "study"), plan, "Phantoms", pixels=32))
    assert made["title"] == "Phantoms"
    assert made["prepared"] is True
    assert made["problems"] == {}
    assert worker.ask(CheckStudy())["problems"] == {}
    assert worker.ask(Prepare(pixels=32, spacing="native"))["kept"] == 3
    shown = worker.ask(LoadCase("case0"))
    (path,) = shown["modalities"].values()
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    assert array.shape == (8, 24, 20)
    assert shown["geometry"]["size"] == [20, 24, 8]
    assert worker.ask(Status())["study"] == str(tmp_path / "study")
    page = worker.ask(WriteReport(str(tmp_path / "report.html")))["path"]
    assert "case0" not in Path(page).read_text(encoding="utf-8")
    error = worker.refuse(Export(str(tmp_path / "out")))
    assert (error.kind, error.hint) == ("study", "Annotate and accept a few slices first.")
    worker.ask(CloseStudy())
    assert worker.refuse(CheckStudy()).sentence == "No study is open."


def test_a_study_is_made_on_the_scans_own_spacing(worker: Worker, write_phantoms: Callable[..., Path], tmp_path: Path) -> None:
    plan = worker.ask(FindCohort(str(write_phantoms(tmp_path / "cohort", cases=1))))["plan"]
    command = CreateStudy(str(tmp_path / "study"), plan, "Phantoms", pixels=None, spacing="native")
    refused = worker.refuse(replace(command, study=str(tmp_path / "other"), spacing="fine"))
    assert (refused.kind, refused.hint) == ("input", "Give a number above 0, or native.")
    worker.ask(command)
    study = Study(tmp_path / "study")
    record = study.frozen_record()
    assert record is not None
    assert record.spacing == (min(study.frame("case0").spacing[1:]),) * 2
    assert record.size == (32, 32)


@pytest.mark.parametrize("spacing", [0.01, "fine", 30.0])
def test_a_study_whose_grid_is_refused_leaves_its_folder_free(
    write_phantoms: Callable[..., Path], tmp_path: Path, spacing: float | str
) -> None:
    verbs, folder = Verbs(), tmp_path / "study"
    plan = verbs.run(FindCohort(str(write_phantoms(tmp_path / "cohort", cases=2))), progress=no_progress, cancel=CancelToken())["plan"]
    command = CreateStudy(str(folder), plan, "Phantoms", pixels=None, spacing=spacing)
    with pytest.raises(InputError, match="spacing"):
        verbs.run(command, progress=no_progress, cancel=CancelToken())
    assert not folder.exists()
    assert verbs.study_path is None
    made = verbs.run(replace(command, spacing="native"), progress=no_progress, cancel=CancelToken())
    assert (made["study"], made["prepared"]) == (str(folder), True)
    verbs.close()


def test_what_else_lies_in_the_folder_of_a_refused_study_stays(write_phantoms: Callable[..., Path], tmp_path: Path) -> None:
    verbs, folder = Verbs(), tmp_path / "study"
    plan = verbs.run(FindCohort(str(write_phantoms(tmp_path / "cohort", cases=1))), progress=no_progress, cancel=CancelToken())["plan"]

    def put_a_note(event: ProgressEvent) -> None:
        (folder / "note.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(InputError):
        verbs.run(CreateStudy(str(folder), plan, "Phantoms", spacing=30.0), progress=put_a_note, cancel=CancelToken())
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_a_study_whose_creation_was_cancelled_is_finished_by_the_same_command_only(
    write_phantoms: Callable[..., Path], tmp_path: Path
) -> None:
    verbs, cancel = Verbs(), CancelToken()
    plan = verbs.run(FindCohort(str(write_phantoms(tmp_path / "cohort", cases=3))), progress=no_progress, cancel=cancel)["plan"]
    command = CreateStudy(str(tmp_path / "study"), plan, "Phantoms", pixels=32)

    def stop(event: ProgressEvent) -> None:
        if event.stage == "prepare" and event.done == 2:
            cancel.cancel()

    with pytest.raises(Cancelled):
        verbs.run(command, progress=stop, cancel=cancel)
    with pytest.raises(StudyError):
        verbs.run(replace(command, title="Others"), progress=no_progress, cancel=CancelToken())
    made = verbs.run(command, progress=no_progress, cancel=CancelToken())
    assert (made["title"], made["prepared"]) == ("Phantoms", True)
    assert len(verbs.study.pool_refs()) == 24
    # Once it is whole it is there already, as for any other command.
    with pytest.raises(StudyError):
        verbs.run(command, progress=no_progress, cancel=CancelToken())
    verbs.close()


def test_volumes_that_a_person_named(worker: Worker, write_phantoms: Callable[..., Path], tmp_path: Path) -> None:
    cohort = write_phantoms(tmp_path / "cohort", cases=1)
    volume = {"path": str(cohort / "case0_t1.nii.gz"), "case": "a", "modality": "t1"}
    plan = worker.ask(PlanVolumes((volume,)))["plan"]
    assert [case["name"] for case in plan["cases"]] == ["a"]
    assert worker.refuse(PlanVolumes(({**volume, "colour": "red"},))).kind == "input"


def test_what_cannot_be_done_is_refused_in_a_sentence(worker: Worker, make_study: MakeStudy, tmp_path: Path) -> None:
    assert worker.refuse(OpenStudy(str(tmp_path / "nowhere"))).kind == "input"
    study = make_study(prepared=True)
    worker.ask(OpenStudy(str(study.path)))
    assert worker.refuse(LoadCase("nobody")).kind == "input"
    assert worker.refuse(RunRound({"colour": 3})).sentence == "There is no option colour."
    assert worker.refuse(RunRound({"budget": "many"})).sentence == "The option budget cannot be 'many'."
    assert worker.refuse(RunRound({"budget": 0})).kind == "input"
    assert worker.refuse(RunRound({}, {"budget": 3})).sentence == "There is no option budget."
    assert worker.refuse(Prepare(plane="oblique")).kind == "input"
    assert "annotated" in worker.refuse(Train()).sentence
    assert worker.ask(Status())["study"] == str(study.path)


def test_lines_that_are_no_commands_are_answered_and_the_next_one_is_done(worker: Worker) -> None:
    worker.ask(Status())
    for line in (b"hello\n", b'{"v":1,"id":70,"command":"status"}\n', b'{"v":2,"id":71,"command":"status","x":1}\n', b"\n", b"[]\n"):
        worker.transport.write(line)
    worker.until(lambda: len(worker.unasked) == 4)
    assert [error.kind for error in worker.unasked] == ["protocol"] * 4
    assert [error.id for error in worker.unasked] == [None, 70, 71, None]
    assert "version 2" in worker.unasked[1].sentence
    # A command in two pieces is one command.
    first, second = command_line(Status(), 900)[:20], command_line(Status(), 900)[20:]
    worker.transport.write(first)
    time.sleep(0.1)
    worker.transport.write(second)
    worker.ask(Status())
    assert worker.client.open_requests == ()


def test_what_libraries_print_comes_not_between_the_events(tmp_path: Path) -> None:
    text = """
import os, sys, threading, time

def shout():
    while "SuggestiveAnnotationLib.worker.server" not in sys.modules:
        time.sleep(0.01)
    for _ in range(50):
        print("garbage from Python", flush=True)
        os.write(1, b"garbage from C\\n")
        time.sleep(0.01)

threading.Thread(target=shout, daemon=True).start()
"""
    with Worker(env=sitecustomize(tmp_path / "site", text)) as worker:
        worker.ask(Status())
        worker.until(lambda: "garbage from C" in "".join(worker.transport.log))
        for _ in range(30):
            worker.ask(Status())
            time.sleep(0.01)
        assert worker.unasked == []
        assert "garbage from Python" in "".join(worker.transport.log)


def test_it_starts_without_what_learning_needs_and_says_what_is_missing(tmp_path: Path, write_phantoms: Callable[..., Path]) -> None:
    text = """
import importlib.machinery
found = importlib.machinery.PathFinder.find_spec.__func__

def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {"torch", "monai", "sqlalchemy"} else found(cls, name, path, target)

importlib.machinery.PathFinder.find_spec = classmethod(find_spec)
"""
    cohort = write_phantoms(tmp_path / "cohort", cases=1)
    with Worker(env=sitecustomize(tmp_path / "site", text)) as worker:
        error = worker.refuse(OpenStudy(str(cohort)))
        assert (error.kind, error.sentence) == ("missing", "The Python package sqlalchemy is not installed.")
        assert worker.client.ready is not None
        assert worker.client.ready.missing == ("torch", "monai", "SQLAlchemy")
        assert worker.client.device is None
        assert worker.ask(Status())["models"] == 0


def test_without_torch_a_study_is_looked_at_but_not_learnt_from(tmp_path: Path, make_study: MakeStudy) -> None:
    text = """
import importlib.machinery
found = importlib.machinery.PathFinder.find_spec.__func__

def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {"torch", "monai"} else found(cls, name, path, target)

importlib.machinery.PathFinder.find_spec = classmethod(find_spec)
"""
    study = make_study(prepared=True)
    with Worker(env=sitecustomize(tmp_path / "site", text)) as worker:
        worker.ask(OpenStudy(str(study.path)))
        assert worker.ask(LoadCase("case0"))["case"] == "case0"
        error = worker.refuse(RunRound())
        assert error.kind == "missing"
        assert "is not installed" in error.sentence


def test_memory_that_it_may_not_take_does_not_count(tmp_path: Path) -> None:
    most = int(0.9 * memory_size())
    text = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({most}, {most}))"
    with Worker(env=sitecustomize(tmp_path / "site", text)) as worker:
        worker.ask(Status())
        worker.until(lambda: worker.client.device)
        device = worker.client.device
    assert device is not None
    if not device.accelerated:
        assert device.memory_gib == round(most / 2**30, 1)


def test_its_state_is_told_while_more_is_asked(tmp_path: Path) -> None:
    # Threads take turns as often as they can.
    with Worker(env=sitecustomize(tmp_path / "site", "import sys; sys.setswitchinterval(1e-6)")) as worker:
        answers = [worker.send(Status()) for _ in range(1000)]
        worker.until(lambda: all(answer.done for answer in answers))
    assert {answer.failed for answer in answers} == {None}


def test_a_second_worker_is_refused_until_the_first_lets_go(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    with Worker() as first, Worker() as second:
        first.ask(OpenStudy(str(study.path)))
        error = second.refuse(OpenStudy(str(study.path)))
        assert error.kind == "locked"
        assert str(first.transport.process.pid) in error.sentence
        assert second.ask(Status())["study"] is None
        first.ask(CloseStudy())
        second.ask(OpenStudy(str(study.path)))
        assert first.refuse(OpenStudy(str(study.path))).kind == "locked"
        second.transport.kill()
        second.until(lambda: second.ended)
        first.ask(OpenStudy(str(study.path)))


def test_its_log_lies_in_the_study_turns_over_and_names_no_files(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    log = study.path / "logs" / "worker.log"
    log.parent.mkdir()
    log.write_text("x" * 999_990 + "\n", encoding="utf-8")
    with Worker() as worker:
        worker.ask(OpenStudy(str(study.path)))
        worker.ask(CheckStudy())
        Path(study.cases()[0].images["t1"]).unlink()
        assert worker.ask(CheckStudy())["problems"]
        worker.ask(Status())
        assert (log.parent / "worker.log.1").stat().st_size == 999_991
        text = log.read_text(encoding="utf-8")
        assert "check_study" in text
        assert "check_study" in "".join(worker.transport.log)
        assert "_t1.nii.gz" not in text
        assert study.path.name + "-cohort" not in text


def test_it_ends_with_its_input_or_when_told_to(worker: Worker) -> None:
    worker.ask(Status())
    end_of_input(worker)
    worker.until(lambda: worker.ended)
    assert worker.ended == ["exit code 0"]
    with Worker() as second:
        second.ask(Shutdown())
        second.until(lambda: second.ended)
        assert second.ended == ["exit code 0"]


def test_it_ends_with_its_input_while_it_makes_the_sample(worker: Worker, tmp_path: Path) -> None:
    answer = worker.send(CreateSample(str(tmp_path / "sample")))
    worker.until(lambda: answer.events)
    end_of_input(worker)
    worker.until(lambda: worker.ended)
    assert worker.ended == ["exit code 0"]
    assert not (tmp_path / "sample" / "study").exists()


def test_ctrl_c_in_slicers_terminal_does_not_stop_it(worker: Worker) -> None:
    worker.ask(Status())
    process = worker.transport.process
    assert process is not None
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert worker.ask(Status())["running"] is None
