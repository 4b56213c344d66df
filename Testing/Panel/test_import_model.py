"""A network of another study, taken into the open one by the real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_study import make_study

from SuggestiveAnnotationLib.engine.settings import SuggestOptions
from SuggestiveAnnotationLib.models.checkpoint import save_checkpoint
from SuggestiveAnnotationLib.models.registry import build_network
from SuggestiveAnnotationLib.study.study import Study, network_json
from SuggestiveAnnotationLib.worker.protocol import CheckStudy


@pytest.fixture
def section(panel: Any) -> Any:
    return panel.sections[1]


@pytest.fixture
def elsewhere(sample: Path, tmp_path: Path) -> Path:
    """The two files of a network for images and classes like those of the sample."""
    study = Study(sample)
    spec = {"network": "unet", "size": "tiny", "channels": len(study.modalities), "classes": study.schema.channels}
    card = {"kind": "segmentation", "record_key": "elsewhere", **network_json(study.record, study.schema)}
    study.close()
    save_checkpoint(tmp_path / "elsewhere.safetensors", build_network(spec), card)
    return tmp_path / "elsewhere.safetensors"


def take(host: Any, section: Any, path: Path) -> None:
    host.dialogs.answers = [str(path)]
    host.click(section.ui.importModelButton)
    host.waitUntil(lambda: section.workspace.task is None, 60, "the import")
    host.pump(0.1)


def test_it_is_offered_where_it_can_be_used_and_says_why_not_elsewhere(host: Any, panel: Any, section: Any, sample: Path) -> None:
    button, workspace = section.ui.importModelButton, panel.workspace
    assert (button.enabled, button.toolTip) == (False, "Open a study first.")
    workspace.openStudy(sample)
    assert button.enabled
    assert "network of another study" in button.toolTip
    workspace.ask(CheckStudy(), title="Check every file")
    assert (button.enabled, button.toolTip) == (False, "The worker is busy.")
    host.waitUntil(lambda: workspace.task is None, 60, "the check")
    assert button.enabled
    workspace.study.start_round(strategy="random", budget=2, seed=0, unit="slice", settings={})
    workspace.statesChanged()
    assert (button.enabled, button.toolTip) == (False, "Resume or drop the round that was interrupted first.")


def test_cancelling_the_dialog_does_nothing(host: Any, panel: Any, section: Any, sample: Path) -> None:
    panel.workspace.openStudy(sample)
    host.dialogs.answers = [""]
    host.click(section.ui.importModelButton)
    assert host.dialogs.said == [("getOpenFileName", "Model of another study")]
    assert panel.workspace.task is None


def test_the_first_batch_is_chosen_and_outlined_by_it(host: Any, panel: Any, section: Any, sample: Path, elsewhere: Path) -> None:
    workspace, ui = panel.workspace, section.ui
    workspace.openStudy(sample)
    assert ui.guidance.text == "Start round 0: evenly spaced slices to annotate first; nothing is trained yet."
    take(host, section, elsewhere)
    assert panel.messageLabel.text == (
        "The model elsewhere.safetensors is in the study. Training goes on from it with Warm start under Advanced and these settings: "
        "Architecture unet, Network tiny."
    )
    title = ui.strategyBox.currentText
    assert ui.guidance.text == f"Start round 0: {title} chooses the first slices, and the imported model outlines them."
    ui.strategyBox.setCurrentText("Committee disagreement (QBC)")
    assert ui.guidance.text == (
        "Start round 0: evenly spaced slices, as the imported model lacks what Committee disagreement (QBC) needs; it outlines them."
    )
    ui.strategyBox.setCurrentText("Entropy")
    ui.budgetBox.value, ui.auditBox.value = 3, 0
    host.click(ui.startButton)
    host.waitUntil(lambda: workspace.task is None, 120, "round 0")
    study = workspace.study
    assert study.current_round().strategy == "entropy"
    assert all(study.prediction(row.suggestion.ref) is not None for row in study.suggestions(0))


def test_without_it_what_is_annotated_or_the_strategy_alone_decides(panel: Any, section: Any, sample: Path) -> None:
    workspace, ui = panel.workspace, section.ui
    workspace.openStudy(sample)
    ui.strategyBox.setCurrentText("Random")
    assert ui.guidance.text == "Start round 0: Random chooses the first slices; nothing is trained yet."
    ref = workspace.study.pool_refs()[5]
    workspace.session.accept({ref: workspace.study.reference_labels(ref.case)[ref.native_index]})
    workspace.statesChanged()
    assert ui.guidance.text == "Start round 0: a model learns from what is annotated already, then Random chooses slices."


def test_what_draws_the_first_batch_takes_one_look_at_the_annotations_and_one_at_the_models(sample: Path) -> None:
    from sqlalchemy import event
    from SuggestiveAnnotationPanel.import_model import firstBatch

    study, asked = Study(sample), []
    with study.database.read() as connection:
        event.listen(connection.engine, "before_cursor_execute", lambda _c, _u, statement, *_more: asked.append(statement))
    assert "nothing is trained yet" in firstBatch(study, "Entropy", SuggestOptions(strategy="entropy"))
    study.close()
    looks = [statement for statement in asked if "SELECT" in statement]
    assert len(looks) == 2
    assert all("LIMIT" in statement for statement in looks)


def test_a_model_for_other_images_is_refused_with_the_reason(host: Any, panel: Any, section: Any, elsewhere: Path, tmp_path: Path) -> None:
    other = make_study(tmp_path / "other")
    other.close()
    panel.workspace.openStudy(other.path)
    take(host, section, elsewhere)
    assert "elsewhere.safetensors tells brain, " in panel.messageLabel.text
    assert panel.workspace.study.models() == ()
