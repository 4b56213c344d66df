"""Section 2 offers every setting of the library: all in one list, kept in the scene, sent with the round."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, NetworkSize, RoundOptions
from SuggestiveAnnotationLib.models.catalogue import NETWORKS, WIDTHS
from SuggestiveAnnotationLib.strategies import registry
from SuggestiveAnnotationLib.worker import protocol
from SuggestiveAnnotationLib.worker.lines import command_line, read_command


@pytest.fixture
def section(panel: Any) -> Any:
    """With the strategy chosen that has options of every kind."""
    panel.sections[1].ui.strategyBox.setCurrentText("Gradient-guided")
    return panel.sections[1]


@pytest.fixture
def asked(panel: Any, monkeypatch: pytest.MonkeyPatch) -> list[protocol.Command]:
    """Commands that the panel would send; none goes out."""
    commands: list[protocol.Command] = []
    monkeypatch.setattr(panel.workspace, "ask", lambda command, *_, **__: commands.append(command))
    return commands


def opened(host: Any, section: Any) -> Any:
    """The list, unfolded as a person does it."""
    host.click(section.ui.advancedBox)
    host.click(section.ui.allSettingsBox)
    return section.allSettings


def editors(section: Any) -> dict[str, Any]:
    all_ = section.allSettings
    forms = (all_.strategyForm, all_.wrappedForm, all_.roundForm, all_.manifoldForm)
    return {name: one for form in forms for name, one in form.editors.items()}


def rows(section: Any) -> list[str]:
    every = section.allSettings
    return [name for form in (every.strategyForm, every.wrappedForm, every.roundForm, every.manifoldForm) for name in form.editors]


def test_everything_of_the_library_is_offered_once(section: Any) -> None:
    own = {*section._ownRows(), *section._ownManifoldRows(), "strategy"}
    named = {one.name for kind in (RoundOptions, ManifoldOptions) for one in fields(kind)} - {"strategy_options"}
    for entry in registry.offered():
        section.ui.strategyBox.setCurrentText(entry.title)
        found = rows(section)
        assert len(found) == len(set(found))
        assert set(found) == (named - own) | {option.name for option in registry.options(entry.name)}
        every = {option.name: option.help for option in registry.options(entry.name)}
        for name, editor in editors(section).items():
            if name in every:
                assert editor.widget.toolTip == every[name]


def test_rows_are_named_and_helped_as_in_the_library(host: Any, section: Any) -> None:
    import qt

    opened(host, section)
    labels = {label.text: label.toolTip for label in section.ui.allSettingsRows.findChildren(qt.QLabel)}
    help_of = {one.name: one.metadata["help"] for kind in (RoundOptions, ManifoldOptions) for one in fields(kind)}
    assert labels["Dropout"] == help_of["dropout"] == editors(section)["dropout"].widget.toolTip
    assert labels["Latent size"] == help_of["latent_size"]
    assert labels["Tau"].startswith("least cosine")
    assert "Gradient-guided" in labels


def test_nothing_more_is_seen_than_before_until_it_is_unfolded(host: Any, section: Any) -> None:
    ui = section.ui
    assert not ui.allSettingsBox.isVisible()
    host.click(ui.advancedBox)
    assert ui.allSettingsBox.isVisible()
    assert not ui.defaultsButton.isVisible()
    assert not ui.strategyNeeds.isVisible()
    assert not ui.settingsProblem.isVisible()
    host.click(ui.allSettingsBox)
    assert ui.defaultsButton.isVisible()
    assert editors(section)["dropout"].widget.isVisible()


def test_each_value_goes_with_the_round_when_it_differs_from_its_default(
    host: Any, section: Any, panel: Any, sample: Path, asked: list[protocol.Command]
) -> None:
    panel.workspace.openStudy(sample)
    opened(host, section)
    host.click(section.ui.startButton)
    assert isinstance(asked[-1], protocol.RunRound)
    assert asked[-1].options == section._ownRows() | {"strategy": "gradient-guided"}
    assert asked[-1].manifold == {"manifold_steps": section.ui.manifoldStepsBox.value, "device": "auto"}

    found = editors(section)
    host.choose(found["architecture"].widget, "voxresnet")
    host.choose(found["loss"].widget, "dice")
    host.choose(found["sources"].widget, "all")
    host.type(found["dropout"].widget, "0.35")
    host.type(found["batch"].widget, "8")
    host.type(found["rate"].widget, "0.0001")
    host.type(found["committee"].widget, "3")
    host.click(found["augment"].widget)
    host.type(found["latent_size"].widget, "5")
    host.type(found["manifold_batch"].widget, "12")
    host.type(found["manifold_pixels"].widget, "96")
    host.choose(found["manifold_network"].widget, "paper")
    host.type(found["manifold_rate"].widget, "0.00025")
    host.choose(found["derivative"].widget, "finite difference")
    host.click(found["tau"].noneBox)
    host.type(found["targets"].widget, "3")
    host.click(found["balance"].widget)
    host.click(section.ui.startButton)
    sent = asked[-1]
    changed = {
        "architecture": "voxresnet", "loss": "dice", "sources": "all", "dropout": 0.35, "batch": 8, "rate": 0.0001, "committee": 3,
        "augment": False,
    }  # fmt: skip
    of_strategy = {"derivative": "finite difference", "tau": None, "targets": 3, "balance": True}
    own = section._ownRows() | {"strategy": "gradient-guided"}
    assert sent.options == own | changed | {"strategy_options": of_strategy}
    of_vae = {"latent_size": 5, "manifold_batch": 12, "manifold_pixels": 96, "manifold_network": "paper", "manifold_rate": 0.00025}
    assert sent.manifold == section._ownManifoldRows() | of_vae
    # As it goes over the pipe, and as the worker reads it.
    again = read_command(command_line(sent, 1))[1]
    assert RoundOptions(**again.options).strategy_options["tau"] is None
    assert ManifoldOptions(**again.manifold).latent_size == 5
    assert section.ui.allSettingsBox.title == "All settings, 17 changed"
    host.click(section.ui.defaultsButton)
    assert section.options() == own
    assert section.ui.allSettingsBox.title == "All settings"
    assert not section.ui.defaultsButton.enabled
    assert [found["tau"].value(), found["dropout"].value(), found["augment"].value()] == [0.5, 0.0, True]


def test_none_is_a_box_beside_the_number(host: Any, section: Any) -> None:
    opened(host, section)
    tau = editors(section)["tau"]
    host.type(tau.inner.widget, "-0.25")
    assert section.options()["strategy_options"] == {"tau": -0.25}
    host.click(tau.noneBox)
    assert not tau.inner.widget.enabled
    assert section.options()["strategy_options"] == {"tau": None}
    host.click(tau.noneBox)
    assert tau.inner.widget.enabled
    assert section.options()["strategy_options"] == {"tau": -0.25}


def test_values_out_of_range_cannot_be_entered(host: Any, section: Any) -> None:
    opened(host, section)
    found = editors(section)
    for name, typed in (("dropout", "5"), ("batch", "-3"), ("density", "7"), ("rate", "-1")):
        host.type(found[name].widget, typed)
    RoundOptions(**section.options())
    registry.strategy("gradient-guided", **section.options().get("strategy_options", {}))
    found["rate"].widget.value = 0.0
    assert section.options()["rate"] == pytest.approx(1e-6)


def test_another_strategy_brings_its_own_rows_and_the_old_ones_come_back_as_they_were(host: Any, section: Any) -> None:
    box = section.ui.strategyBox
    opened(host, section)
    host.click(editors(section)["tau"].noneBox)
    box.setCurrentText("Dropout disagreement (MC dropout)")
    host.pump()
    assert "tau" not in rows(section)
    host.type(editors(section)["passes"].widget, "4")
    assert section.options()["strategy_options"] == {"passes": 4}
    box.setCurrentText("Random")
    assert section.allSettings.strategyForm.editors == {}
    assert "strategy_options" not in section.options()
    box.setCurrentText("Gradient-guided")
    assert section.options()["strategy_options"] == {"tau": None}
    assert editors(section)["tau"].noneBox.checked


def test_a_wrapped_strategy_brings_its_rows_too(host: Any, section: Any) -> None:
    section.ui.strategyBox.setCurrentText("Stochastic batches")
    opened(host, section)
    scorer = editors(section)["scorer"]
    assert "passes" not in rows(section)
    host.choose(scorer.widget, "Disagreement under test-time augmentation")
    host.pump()
    assert editors(section)["scorer"] is scorer
    host.type(editors(section)["passes"].widget, "4")
    assert section.options()["strategy_options"] == {"scorer": "test-time-augmentation", "passes": 4}
    host.choose(scorer.widget, "Entropy")
    host.pump()
    # Passes are no option of entropy, which would refuse them.
    assert "strategy_options" not in section.options()


def test_strategies_that_another_wraps_are_called_as_in_the_catalogue(host: Any, section: Any, panel: Any) -> None:
    opened(host, section)
    width = panel.layout.minimumSize().width()
    section.ui.strategyBox.setCurrentText("Stochastic batches")
    host.pump()
    assert panel.layout.minimumSize().width() == width
    scorer = editors(section)["scorer"]
    entries = [registry.entry(name) for name in registry.options("stochastic-batches")[0].choices]
    assert [scorer.widget.itemText(row) for row in range(scorer.widget.count)] == [one.title for one in entries]
    for one in entries:
        host.choose(scorer.widget, one.title)
        assert (editors(section)["scorer"].value(), scorer.line.text) == (one.name, one.help)


def test_each_network_and_each_width_has_its_line(host: Any, section: Any) -> None:
    import qt

    opened(host, section)
    found = editors(section)
    for name, lines in (("architecture", {one.name: one.help for one in NETWORKS}), ("manifold_network", WIDTHS)):
        box = found[name].widget
        assert [box.itemText(row) for row in range(box.count)] == list(lines)
        assert [box.itemData(row, qt.Qt.ToolTipRole) for row in range(box.count)] == list(lines.values())
        for choice, line in lines.items():
            host.choose(box, choice)
            assert found[name].line.text == line
            assert found[name].line.isVisible()
    host.click(section.ui.defaultsButton)
    assert found["architecture"].line.text == NETWORKS[0].help
    assert found["loss"].line is None
    assert section.ui.networkBox.toolTip.splitlines() == [f"{name}: {line}" for name, line in WIDTHS.items()]


def test_each_width_of_the_network_can_be_chosen(section: Any) -> None:
    box = section.ui.networkBox
    assert [box.itemText(row) for row in range(box.count)] == list(get_args(NetworkSize))
    for width in get_args(NetworkSize):
        box.setCurrentText(width)
        assert section.options()["network"] == width


def test_a_strategy_that_needs_dropout_or_a_loss_head_is_trained_with_it(host: Any, section: Any) -> None:
    box, needs = section.ui.strategyBox, section.ui.strategyNeeds
    assert not needs.isVisible()
    box.setCurrentText("Dropout disagreement (MC dropout)")
    assert needs.isVisible()
    assert needs.text == "It needs a network with dropout: this one is trained with a dropout of 0.2."
    assert section.options()["dropout"] == 0.2
    opened(host, section)
    host.type(editors(section)["dropout"].widget, "0.5")
    assert section.options()["dropout"] == 0.5
    assert not needs.isVisible()
    box.setCurrentText("Random")
    assert section.options()["dropout"] == 0.5
    learning_loss = next(entry.title for entry in registry.offered() if entry.name == "learning-loss")
    box.setCurrentText(learning_loss)
    assert needs.text == "It needs a network that predicts its own loss: this one is trained with a loss head."
    assert section.options()["loss_head"] is True
    host.click(editors(section)["loss_head"].widget)
    assert needs.text == ""
    assert section.options()["loss_head"] is True
    for entry in registry.offered():
        box.setCurrentText(entry.title)
        RoundOptions(**section.options())


def test_what_does_not_go_together_is_said_and_nothing_is_lost(
    host: Any, section: Any, panel: Any, in_round_0: Path, asked: list[protocol.Command]
) -> None:
    workspace, said = panel.workspace, "Loss head: the loss head sits on the U-Net, not on voxresnet. Use Architecture unet."
    workspace.openStudy(in_round_0)
    opened(host, section)
    host.choose(editors(section)["architecture"].widget, "voxresnet")
    assert not section.ui.settingsProblem.isVisible()
    host.click(editors(section)["loss_head"].widget)
    assert section.ui.settingsProblem.text == said
    assert section.ui.settingsProblem.isVisible()
    host.click(section.ui.startButton)
    assert panel.messageLabel.text == f"Error: {said}"
    # The round that waits is not finished for one that cannot begin.
    assert workspace.study.current_round().stage == "annotating"
    assert asked == []
    assert section.options()["architecture"] == "voxresnet"
    host.choose(editors(section)["architecture"].widget, "unet")
    assert not section.ui.settingsProblem.isVisible()
    host.type(editors(section)["manifold_pixels"].widget, "60")
    assert section.ui.settingsProblem.text == "Manifold pixels is 60. Give a multiple of 16."


def test_all_settings_are_kept_in_the_scene_and_restored_with_it(host: Any, panel: Any, section: Any) -> None:
    import slicer

    opened(host, section)
    found = editors(section)
    host.type(found["dropout"].widget, "0.3")
    host.choose(found["loss"].widget, "dice+background")
    host.click(found["tau"].noneBox)
    host.type(found["latent_size"].widget, "5")
    parameters = panel.logic.getParameterNode()
    assert json.loads(parameters.allSettings) == {
        "round": {"dropout": 0.3, "loss": "dice+background"}, "manifold": {"latent_size": 5}, "strategy gradient-guided": {"tau": None},
    }  # fmt: skip
    before = section.options(), section.manifoldOptions()
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    saved = slicer.mrmlScene.GetSceneXMLString()
    slicer.mrmlScene.SetSaveToXMLString(0)
    host.closeScene()
    assert panel.logic.getParameterNode().allSettings == ""
    assert section.manifoldOptions() == section._ownManifoldRows()
    assert editors(section)["dropout"].value() == 0.0
    slicer.mrmlScene.SetLoadFromXMLString(1)
    slicer.mrmlScene.SetSceneXMLString(saved)
    slicer.mrmlScene.Import()
    slicer.mrmlScene.SetLoadFromXMLString(0)
    host.pump(0.1)
    assert (section.options(), section.manifoldOptions()) == before
    found = editors(section)
    assert (found["dropout"].value(), found["loss"].value(), found["tau"].value()) == (0.3, "dice+background", None)


def test_a_script_may_set_them_in_the_parameter_node(panel: Any, section: Any) -> None:
    parameters = panel.logic.getParameterNode()
    parameters.allSettings = json.dumps({"round": {"batch": 4, "dropout": 99}})
    assert section.options()["batch"] == 4
    assert "dropout" not in section.options()
    assert editors(section)["batch"].value() == 4
    assert section.ui.allSettingsBox.title == "All settings, 1 changed"


def test_a_round_is_run_with_what_was_set(host: Any, section: Any, panel: Any, in_round_0: Path) -> None:
    workspace, ui = panel.workspace, section.ui
    workspace.openStudy(in_round_0)
    for row in workspace.suggestions():
        ref = row.suggestion.ref
        workspace.session.accept({ref: workspace.study.reference_labels(ref.case)[ref.native_index]})
    workspace.statesChanged()
    ui.strategyBox.setCurrentText("Dropout disagreement (MC dropout)")
    ui.budgetBox.value, ui.auditBox.value, ui.stepsBox.value = 2, 0, 3
    ui.networkBox.setCurrentText("tiny")
    opened(host, section)
    host.type(editors(section)["passes"].widget, "2")
    host.choose(editors(section)["loss"].widget, "dice")
    host.click(ui.startButton)
    host.waitUntil(lambda: workspace.task is None, 120, "the round")
    assert host.dialogs.said == []
    current = workspace.study.current_round()
    assert (current.number, current.stage) == (1, "annotating")
    kept = {name: current.settings[name] for name in ("dropout", "loss", "strategy_options")}
    assert kept == {"dropout": 0.2, "loss": "dice", "strategy_options": {"passes": 2}}
