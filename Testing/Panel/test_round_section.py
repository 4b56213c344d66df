"""Section 2: what it offers, what it says can be done, and the way through a round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_study import add_round

from SuggestiveAnnotationLib.strategies.registry import ENTRIES, offered
from SuggestiveAnnotationLib.worker.protocol import CheckStudy, PredictCase


@pytest.fixture
def section(panel: Any) -> Any:
    return panel.sections[1]


def test_strategies_that_need_reference_labels_are_not_offered(section: Any) -> None:
    box = section.ui.strategyBox
    titles = [box.itemText(i) for i in range(box.count)]
    assert titles == [entry.title for entry in offered()]
    assert not {entry.title for entry in ENTRIES if entry.needs_reference} & set(titles)


def test_each_strategy_has_its_line_of_help_and_of_evidence(section: Any) -> None:
    for entry in offered():
        section.ui.strategyBox.setCurrentText(entry.title)
        assert (section.ui.strategyHelp.text, section.ui.strategyEvidence.text) == (entry.help, entry.evidence)


def test_the_screen_has_words_for_filling(host: Any) -> None:
    from SuggestiveAnnotationPanel.round_section import stageText

    assert stageText("fill") == "fill between slices"


def test_without_a_study_nothing_can_be_started_and_it_says_why(section: Any) -> None:
    ui = section.ui
    assert ui.guidance.text == "Open a study first."
    assert [ui.startButton.enabled, ui.cancelButton.enabled, ui.finishButton.enabled] == [False, False, False]
    assert ui.startButton.toolTip == ui.guidance.text
    assert ui.cancelButton.toolTip
    assert ui.finishButton.toolTip


def test_what_is_set_is_kept_in_the_scene(host: Any, panel: Any, section: Any) -> None:
    ui, parameters = section.ui, panel.logic.getParameterNode()
    assert section.options() == {
        "strategy": "gradient-core-set", "budget": 10, "audit": 2, "unit": "slice", "min_gap": 1, "context": 0, "seed": 0, "steps": 300,
        "network": "thin", "device": "auto", "warm_start": False,
    }  # fmt: skip
    ui.budgetBox.value, ui.auditBox.value = 15, 30
    ui.strategyBox.setCurrentText("Evenly spaced")
    ui.networkBox.setCurrentText("tiny")
    ui.warmStartBox.checked = True
    assert (parameters.budget, parameters.strategy, parameters.network, parameters.warmStart) == (15, "Evenly spaced", "tiny", True)
    # 30 % of 15 are 4.5; Python rounds to the even neighbour.
    assert section.options()["audit"] == 4
    parameters.budget = 7
    assert ui.budgetBox.value == 7
    # As any module's parameters: a closed scene begins with the defaults again.
    host.closeScene()
    assert ui.budgetBox.value == panel.logic.getParameterNode().budget == 10


def test_what_is_set_stays_while_a_study_stays_open_and_the_scene_is_closed(host: Any, panel: Any, section: Any, sample: Path) -> None:
    panel.workspace.openStudy(sample)
    ui = section.ui
    ui.strategyBox.setCurrentText("Random")
    ui.budgetBox.value, ui.stepsBox.value, ui.manifoldStepsBox.value, ui.auditBox.value = 4, 77, 88, 50
    panel.logic.getParameterNode().allSettings = '{"round": {"batch": 4}}'
    before = (section.options(), section.manifoldOptions())
    assert before[0]["batch"] == 4
    host.closeScene()
    assert (section.options(), section.manifoldOptions()) == before
    assert panel.logic.getParameterNode().budget == 4
    panel.workspace.closeStudy()
    host.closeScene()
    assert ui.budgetBox.value == 10


def test_a_strategy_that_another_version_has_gives_way_to_the_default(host: Any, panel: Any, section: Any) -> None:
    ui, parameters = section.ui, panel.logic.getParameterNode()
    ui.strategyBox.setCurrentText("Random")
    # As the import of a scene changes the node: all at once, past the wrapper.
    import slicer

    with slicer.util.NodeModify(parameters.parameterNode):
        parameters.parameterNode.SetParameter("strategy", "Gone")
        parameters.parameterNode.SetParameter("budget", "7")
    assert section.options()["strategy"] == "gradient-core-set"
    assert (parameters.strategy, ui.budgetBox.value) == (ui.strategyBox.currentText, 7)
    # As it is in a scene that was loaded before the module is opened.
    section.setParameterNode(None)
    parameters.parameterNode.SetParameter("strategy", "Gone")
    section.setParameterNode(parameters)
    assert section.options()["strategy"] == "gradient-core-set"


def test_widgets_let_go_of_parameters_that_are_taken_away(panel: Any, section: Any) -> None:
    parameters = panel.logic.getParameterNode()
    section.setParameterNode(None)
    section.ui.budgetBox.value = 17
    assert parameters.budget == 10
    section.setParameterNode(parameters)
    assert section.ui.budgetBox.value == 10


def test_a_study_without_a_round_begins_with_round_0(section: Any, panel: Any, sample: Path) -> None:
    panel.workspace.openStudy(sample)
    assert section.ui.startButton.text == "Start round 0"
    assert section.ui.startButton.enabled
    assert section.ui.guidance.text.startswith("Start round 0: evenly spaced slices")
    assert not section.ui.finishButton.enabled


def test_the_models_outline_is_computed_where_rounds_are(section: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    workspace = opened(in_round_0)
    study, weights = workspace.study, in_round_0 / "models" / "none.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=0)
    for device in ("auto", "cpu"):
        section.ui.deviceBox.setCurrentText(device)
        workspace.scene.toggleModelOutline()
        assert workspace.requests.isWaitingFor(PredictCase(workspace.scene.case, device))


def test_what_waits_behind_the_work_under_way_is_named(host: Any, section: Any, panel: Any, sample: Path) -> None:
    workspace = panel.workspace
    workspace.openStudy(sample)
    workspace.ask(CheckStudy(), title="Round 1")
    assert section.ui.stageLabel.text == "Round 1"
    workspace.ask(CheckStudy(), title="Export")
    assert section.ui.stageLabel.text == "Round 1 - then Export"
    assert panel.messageLabel.text == "Export waits until this is done: Round 1."
    host.waitUntil(lambda: workspace.task is None, 60, "both")


def test_a_round_that_waits_counts_what_waits_and_can_be_finished(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    workspace, ui = panel.workspace, section.ui
    workspace.openStudy(in_round_0)
    assert ui.guidance.text == "Still to answer in 3: 6. You can start round 1 at any time."
    host.dialogs.answers = [False]
    host.click(ui.finishButton)
    assert workspace.study.current_round().stage == "annotating"
    assert "Suggestions not answered yet: 6." in host.dialogs.said[-1][1]
    host.dialogs.answers = [True]
    host.click(ui.finishButton)
    assert workspace.study.current_round().stage == "finished"
    assert ui.startButton.text == "Start round 1"
    assert not ui.finishButton.enabled


def test_a_draft_that_outlives_its_round_still_waits(host: Any, section: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    workspace, ui = opened(in_round_0), section.ui
    ref = workspace.current
    workspace.session.draft(ref, np.ones_like(workspace.session.shown_labels(ref).labels))
    host.dialogs.answers = [True]
    host.click(ui.finishButton)
    assert panel.sections[2].ui.guidance.text == "1 of 6 wait. Choose one, or go to the next (N)."
    assert ui.guidance.text == "Still to answer in 3: 1. You can start round 1 at any time."


def test_a_round_that_came_while_the_question_was_open_is_not_finished(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    workspace = panel.workspace
    workspace.openStudy(in_round_0)
    waiting = {row.suggestion.ref: row.suggestion.kind for row in workspace.suggestions()}

    def meanwhile() -> bool:
        add_round(workspace.study, waiting)
        workspace.statesChanged()
        return True

    host.dialogs.answers = [meanwhile]
    host.click(section.ui.finishButton)
    current = workspace.study.current_round()
    assert (current.number, current.stage) == (1, "annotating")


def test_a_round_by_clicks_with_progress_cancel_resume_and_the_log(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    workspace, ui, suggestions = panel.workspace, section.ui, panel.sections[2].ui
    workspace.openStudy(in_round_0)
    for row in workspace.suggestions():
        ref = row.suggestion.ref
        workspace.session.accept({ref: workspace.study.reference_labels(ref.case)[ref.native_index]})
    workspace.statesChanged()
    assert ui.guidance.text == "Every suggestion of this round is answered. Start round 1."
    ui.strategyBox.setCurrentText("Random")
    ui.budgetBox.value, ui.auditBox.value, ui.stepsBox.value = 4, 50, 40
    ui.networkBox.setCurrentText("tiny")
    host.click(ui.startButton)
    assert host.dialogs.said == []
    assert not ui.startButton.enabled
    assert ui.cancelButton.enabled
    assert ui.guidance.text == "The worker is busy; you can go on annotating meanwhile."
    coming = "A round is being computed; its suggestions will be listed in 3."
    assert suggestions.guidance.text == f"All 6 are answered. {coming}"
    workspace.nextSlice()
    assert panel.messageLabel.text == f"Every suggestion of this round is answered. {coming}"
    host.waitUntil(lambda: "train the segmentation network" in ui.stageLabel.text and ui.progressBar.value > 0, 90, "training")
    assert "loss" in ui.stageLabel.text
    host.click(ui.cancelButton)
    assert not ui.cancelButton.enabled
    host.waitUntil(lambda: workspace.task is None, 20, "cancelling")
    assert ui.startButton.text == "Resume round 1"
    assert suggestions.guidance.text == "All 6 are answered. Start the next round in 2, or review in 5."
    assert ui.guidance.text == (
        "Round 1 was interrupted. Resume goes on with what it began with: Random, 4 suggestions, 40 steps. To change that, drop it."
    )
    assert "Network: tiny\n" in ui.startButton.toolTip
    assert not ui.progressBar.isVisible()
    # What is chosen meanwhile is for the next round.
    ui.stepsBox.value = 77
    said = []
    workspace.message.connect(lambda level, text: said.append(text))
    host.click(ui.startButton)
    host.waitUntil(lambda: workspace.task is None, 120, "the round")
    assert not any("--" in text for text in said)
    current = workspace.study.current_round()
    assert current.settings["steps"] == 40
    assert (current.number, current.stage, current.settings["network"]) == (1, "annotating", "tiny")
    # Half of the four on top are audit slices.
    assert len(workspace.suggestions()) == 6
    assert ui.stageLabel.text.startswith("Round 1 suggests 6 slices.")
    assert workspace.current in {row.suggestion.ref for row in workspace.suggestions()}
    host.showInPanel(ui.logButton)
    host.click(ui.logButton)
    assert "run_round" in ui.logText.plainText


def test_an_interrupted_round_can_be_dropped_and_begun_with_other_settings(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    workspace, ui = panel.workspace, section.ui
    workspace.openStudy(in_round_0)
    section._outcome = "Round 0 suggests 6 slices."
    for row in workspace.suggestions()[:2]:
        ref = row.suggestion.ref
        workspace.session.accept({ref: workspace.study.reference_labels(ref.case)[ref.native_index]})
    ui.strategyBox.setCurrentText("Random")
    ui.budgetBox.value, ui.stepsBox.value = 4, 5000
    ui.networkBox.setCurrentText("tiny")
    host.dialogs.answers = [True, False, True]
    host.click(ui.startButton)
    host.waitUntil(lambda: ui.progressBar.value > 0, 90, "training")
    assert (ui.finishButton.enabled, ui.finishButton.toolTip) == (False, "The worker is busy.")
    host.click(ui.cancelButton)
    host.waitUntil(lambda: workspace.task is None, 20, "cancelling")
    assert ui.stageLabel.text == ""
    assert (ui.finishButton.text, ui.finishButton.enabled) == ("Drop round 1", True)
    host.click(ui.finishButton)
    assert workspace.study.current_round().stage == "training"
    host.click(ui.finishButton)
    host.waitUntil(lambda: workspace.task is None, 20, "dropping")
    assert panel.messageLabel.text == "Round 1 was dropped."
    assert (workspace.study.current_round().number, workspace.study.current_round().stage) == (1, "finished")
    assert (ui.finishButton.text, ui.finishButton.toolTip) == ("Finish round", "No round is open.")
    ui.budgetBox.value, ui.stepsBox.value = 3, 10
    assert ui.startButton.text == "Start round 2"
    host.click(ui.startButton)
    host.waitUntil(lambda: workspace.task is None, 120, "the round")
    current = workspace.study.current_round()
    assert (current.number, current.stage, current.budget, current.settings["steps"]) == (2, "annotating", 3, 10)


def test_images_that_are_not_prepared_are_prepared_first(host: Any, section: Any, panel: Any, sample: Path, tmp_path: Path) -> None:
    from SuggestiveAnnotationPanel import settings

    from SuggestiveAnnotationLib.study.study import Study

    prepared = Study(sample)
    bare = Study.create(
        tmp_path / "bare",
        name="bare",
        cases=prepared.cases()[:2],
        schema=prepared.schema,
        modalities=prepared.modalities,
        reference=prepared.reference_modality,
    )
    bare.close()
    prepared.close()
    # As the window of a new study leaves it, whose making was stopped half-way.
    settings.setPlace(tmp_path / "bare", {"grid": {"plane": "coronal", "pixels": None, "spacing": "native"}})
    panel.workspace.openStudy(tmp_path / "bare")
    assert section.ui.startButton.text == "Prepare the images"
    assert section.ui.guidance.text.startswith("The images are not prepared yet.")
    host.click(section.ui.startButton)
    host.waitUntil(lambda: panel.workspace.task is None, 60, "preparing")
    assert section.ui.startButton.text == "Start round 0"
    study = panel.workspace.study
    assert study.frozen_record().plane == "coronal"
    assert study.frozen_record().spacing == (np.median([min(study.frame(case.name).spacing[1:]) for case in study.cases()]),) * 2
