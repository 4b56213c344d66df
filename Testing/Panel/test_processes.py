"""What happens to the worker process happens to real processes here: killed, cancelled, locked out, not installed, files gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
FAST = {"steps": 400, "manifold_steps": 40}


@pytest.fixture
def annotated(in_round_0: Path) -> Path:
    """Round 0 is answered with the reference labels and finished."""
    study = Study(in_round_0)
    session = Session(study, annotator="reader 1")
    for row in session.suggestions():
        ref = row.suggestion.ref
        session.accept({ref: study.reference_labels(ref.case)[ref.native_index]})
    session.finish_round()
    study.close()
    return in_round_0


def start_training(host: Any, panel: Any, *, steps: int = 400) -> None:
    ui = panel.sections[1].ui
    ui.budgetBox.value, ui.stepsBox.value, ui.manifoldStepsBox.value = 4, steps, 40
    ui.strategyBox.setCurrentText("Random")
    host.click(ui.startButton)
    workspace = panel.workspace
    host.waitUntil(lambda: workspace.task is not None and workspace.task.stage == "train" and workspace.task.done > 2, 90, "training")


@pytest.mark.kill
def test_a_killed_worker_is_started_again_and_the_round_goes_on(host: Any, opened: Any, annotated: Path, panel: Any) -> None:
    workspace = opened(annotated)
    before = workspace.study.annotated_refs()
    start_training(host, panel, steps=60)
    process = workspace.process.processId
    said: list[str] = []
    workspace.message.connect(lambda _level, text: said.append(text))
    os.kill(process, signal.SIGKILL)
    host.waitUntil(lambda: any("started again" in text for text in said), 30, "the sentence")
    host.waitUntil(lambda: workspace.task is None, 180, "the round")
    assert workspace.process.processId != process
    assert workspace.study.current_round().stage == "annotating"
    assert workspace.study.annotated_refs() == before


def test_cancel_answers_within_a_second_and_start_resumes(host: Any, opened: Any, annotated: Path, panel: Any) -> None:
    workspace = opened(annotated)
    start_training(host, panel)
    since = time.monotonic()
    host.click(panel.sections[1].ui.cancelButton)
    host.waitUntil(lambda: workspace.task is None, 20, "cancelling")
    assert time.monotonic() - since < 2.0  # a second for the worker, the rest for the event loop of a busy test machine
    assert workspace.study.current_round().stage == "training"
    assert "Resume" in panel.sections[1].ui.startButton.text
    assert workspace.study.latest_model("segmentation") is None


def test_the_clinician_annotates_while_the_model_trains(host: Any, opened: Any, annotated: Path, panel: Any) -> None:
    workspace = opened(annotated)
    start_training(host, panel)
    row = workspace.suggestions()[0]
    workspace.openSlice(row.suggestion.ref)
    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 10, "the slice while training")
    assert workspace.task is not None
    host.click(panel.sections[1].ui.cancelButton)
    host.waitUntil(lambda: workspace.task is None, 20)


def test_a_second_worker_is_told_so(host: Any, panel: Any, in_round_0: Path) -> None:
    code = "import sys, time; from pathlib import Path; from SuggestiveAnnotationLib.study.study import Study; "
    code += "lock = Study(Path(sys.argv[1])).lock(); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(in_round_0)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        said: list[str] = []
        panel.workspace.message.connect(lambda _level, text: said.append(text))
        panel.sections[0].openPath(str(in_round_0))
        host.waitUntil(lambda: any(f"process {other.pid}" in text for text in said), 30, "the sentence")
        assert panel.workspace.study is not None
        # A round that cannot begin leaves the one before open.
        said.clear()
        host.dialogs.answers = [True]
        host.click(panel.sections[1].ui.startButton)
        host.waitUntil(lambda: panel.workspace.task is None and any(f"process {other.pid}" in text for text in said), 30, "the sentence")
        assert panel.workspace.study.current_round().stage == "annotating"
    finally:
        other.kill()
        other.wait()


def test_a_refused_installation_says_what_is_missing_and_leaves_the_panel_usable(
    host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python takes a None for a package that is not there.
    monkeypatch.setitem(sys.modules, "monai", None)
    host.dialogs.answers = [False]
    host.click(panel.sections[0].ui.sampleButton)
    assert "monai" in panel.messageLabel.text
    assert host.packages.requested == []
    assert panel.workspace.study is None
    assert panel.sections[0].ui.sampleButton.enabled
    host.dialogs.answers = [True]
    host.packages.agree = False
    host.click(panel.sections[0].ui.sampleButton)
    assert [Requirement(one) for one in host.packages.requested] == [Requirement("monai>=1.6,<2")]
    assert "monai" in panel.messageLabel.text


def test_an_image_that_is_gone_is_named(host: Any, panel: Any, in_round_0: Path, tmp_path: Path) -> None:
    study = Study(in_round_0)
    ref = Session(study, annotator="reader 1").suggestions()[0].suggestion.ref
    gone = tmp_path / "elsewhere" / "image.nii.gz"
    with study.database.write() as connection:
        connection.exec_driver_sql("UPDATE images SET path = ? WHERE [case] = ? AND modality = 't1'", (str(gone), ref.case))
    study.close()
    panel.sections[0].openPath(str(in_round_0))
    panel.workspace.openSlice(ref)
    host.waitUntil(lambda: "Error" in panel.messageLabel.text, 30, "the sentence")
    assert str(gone) in panel.messageLabel.text
    assert not panel.sections[3].ui.acceptButton.enabled


def test_the_worker_ends_with_the_module(host: Any, opened: Any, in_round_0: Path, panel: Any) -> None:
    workspace = opened(in_round_0)
    process = workspace.process.processId
    assert process
    host.unload("SuggestiveAnnotation")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
