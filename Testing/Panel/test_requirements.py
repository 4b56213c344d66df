"""What is missing is found, asked for once, installed in the right order, and named when it is not to be had."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = {"numpy>=1.0": "numpy"}
TOO_OLD = {"numpy>=999": "numpy"}
ABSENT = {"no-such-package>=1.0": "no_such_package"}


@pytest.fixture
def requirements(host: Any, panel: Any) -> Any:
    from SuggestiveAnnotationPanel import requirements

    return requirements


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes packages look absent, until they are installed."""
    return lambda *names: [monkeypatch.setitem(sys.modules, name, None) for name in names]


def test_the_groups_are_those_of_the_library(requirements: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group, extra in ((requirements.LEARNING, "learn"), (requirements.SAMPLE, "sample"), (requirements.DICOM, "dicom")):
        assert sorted(group) == sorted(project["optional-dependencies"][extra]), extra
    assert set(requirements.REPORT) < set(project["optional-dependencies"]["report"])
    assert {wanted for wanted in requirements.PANEL if ">" in wanted} < set(project["dependencies"])


def test_what_slicer_does_not_bring_is_not_installed_in_a_version_that_may_break_it(requirements: Any) -> None:
    groups = (requirements.PANEL, requirements.LEARNING, requirements.DICOM, requirements.REPORT, requirements.SAMPLE)
    unbounded = {requirements._name(wanted) for group in groups for wanted in group if "<" not in wanted}
    assert unbounded == {"numpy", "scipy", "SimpleITK", "pydicom", "highdicom", "torch"}


def test_what_is_there_in_a_version_that_will_do_is_not_missing(requirements: Any) -> None:
    assert requirements.missing(HERE) == []


def test_what_is_too_old_or_absent_is_missing(requirements: Any) -> None:
    assert requirements.missing(HERE, TOO_OLD, ABSENT) == ["no-such-package>=1.0", "numpy>=999"]


def test_packages_that_slicer_brings_are_taken_in_any_version(requirements: Any) -> None:
    assert requirements.missing({"numpy": "numpy"}) == []
    # A module without metadata of the package index: built into the program.
    assert requirements.missing({"xml>=999": "xml"}) == []


def test_torch_comes_first(requirements: Any, absent: Any) -> None:
    absent("torch", "monai")
    assert requirements.missing(requirements.LEARNING, ABSENT) == ["torch>=2.8", "monai>=1.6,<2", "no-such-package>=1.0"]


def test_nothing_is_asked_when_nothing_is_missing(requirements: Any, host: Any) -> None:
    assert requirements.ensure(HERE) is False
    assert host.dialogs.said == []


def test_a_refusal_installs_nothing_and_says_what_is_missing(requirements: Any, host: Any) -> None:
    host.dialogs.answers = [False]
    with pytest.raises(requirements.NotInstalled, match="no-such-package"):
        requirements.ensure(ABSENT)
    assert host.packages.requested == []
    assert "no-such-package" in host.dialogs.said[0][1]


def test_after_consent_torch_is_installed_by_the_pytorch_extension_and_the_rest_by_slicer(
    requirements: Any, host: Any, absent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import PyTorchUtils
    import slicer.packaging

    absent("torch", "monai")
    asked = []

    class Logic:
        def installTorch(
            self, askConfirmation: bool = False, forceComputationBackend: Any = None, torchVersionRequirement: Any = None
        ) -> Any:
            asked.append(("torch", askConfirmation, torchVersionRequirement))
            monkeypatch.delitem(sys.modules, "torch")
            return object()

    def pip_ensure(wanted: list[str], **options: Any) -> None:
        asked.append((wanted, options["prompt_install"], options["skip_in_testing"]))
        monkeypatch.delitem(sys.modules, "monai")

    monkeypatch.setattr(PyTorchUtils, "PyTorchUtilsLogic", Logic)
    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    host.dialogs.answers = [True]
    assert requirements.ensure(requirements.LEARNING) is True
    # The person was asked once, for both.
    assert asked == [("torch", False, ">=2.8"), (["monai>=1.6,<2"], False, False)]
    assert len(host.dialogs.said) == 1


def test_a_slicer_without_its_packaging_module_installs_by_pip(requirements: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    asked: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", asked.append)
    host.dialogs.answers = [True]
    with pytest.raises(requirements.NotInstalled, match="Still missing"):
        requirements.ensure(ABSENT)
    assert asked == [[*ABSENT]]


def test_without_the_pytorch_extension_a_sentence_says_where_to_get_it(requirements: Any, host: Any, absent: Any) -> None:
    absent("torch", "PyTorchUtils")
    host.dialogs.answers = [True]
    with pytest.raises(requirements.NotInstalled, match="PyTorch extension"):
        requirements.ensure(requirements.LEARNING)


def test_an_old_torch_is_not_replaced_under_other_extensions(requirements: Any, host: Any) -> None:
    host.dialogs.answers = [True]
    with pytest.raises(requirements.NotInstalled, match="too old"):
        requirements.ensure({"torch>=999": "torch"})
    assert host.packages.requested == []


def test_an_installation_that_fails_is_told_in_a_sentence(requirements: Any, host: Any) -> None:
    host.dialogs.answers = [True]
    host.packages.fail = True
    try:
        with pytest.raises(requirements.NotInstalled, match="Not installed: no-such-package"):
            requirements.ensure(ABSENT)
    finally:
        host.packages.fail = False


def test_torch_that_was_installed_and_cannot_be_imported_is_told_in_a_sentence(
    requirements: Any, host: Any, absent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import PyTorchUtils

    def fails(*_arguments: Any, **_options: Any) -> None:
        raise ImportError("cannot import name 'main'")

    absent("torch")
    monkeypatch.setattr(PyTorchUtils.PyTorchUtilsLogic, "installTorch", fails)
    host.dialogs.answers = [True]
    with pytest.raises(requirements.NotInstalled, match=r"Not installed: torch.*cannot import name"):
        requirements.ensure({"torch>=2.8": "torch"})


def test_a_second_click_while_torch_is_being_installed_starts_no_second_installation(panel: Any, host: Any, absent: Any) -> None:
    said: list[str] = []
    button = panel.sections[0].ui.sampleButton

    def again() -> None:
        said.append(panel.messageLabel.text)
        host.click(button)
        said.append(panel.messageLabel.text)

    absent("torch")
    host.packages.meanwhile = again
    host.dialogs.answers = [True]
    host.click(button)
    assert "Packages are being installed: torch" in said[0]
    assert "Wait until that is done" in said[1]
    assert host.packages.requested == ["torch>=2.8"]
    assert len(host.dialogs.said) == 1


def test_what_was_begun_in_a_study_that_was_closed_during_the_installation_does_not_go_on(
    reader: Any, panel: Any, host: Any, absent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from SuggestiveAnnotationPanel import requirements

    def meanwhile() -> None:
        panel.workspace.closeStudy()
        monkeypatch.delitem(sys.modules, "torch")

    absent("torch")
    host.packages.meanwhile = meanwhile
    host.dialogs.answers = [True]
    assert not panel.workspace.ensure({"torch>=2.8": "torch"})
    assert panel.messageLabel.text == "The packages are installed."
    assert requirements.missing({"torch>=2.8": "torch"}) == []


def test_what_is_still_missing_after_the_installation_is_named(requirements: Any, host: Any) -> None:
    host.dialogs.answers = [True]
    with pytest.raises(requirements.NotInstalled, match="Still missing after the installation: no-such-package"):
        requirements.ensure(ABSENT)


def test_a_worker_that_is_idle_starts_again_after_an_installation(panel: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from SuggestiveAnnotationPanel import requirements

    from SuggestiveAnnotationLib.worker import protocol

    workspace, answers = panel.workspace, []
    workspace.ask(protocol.Status(), answers.append)
    host.waitUntil(lambda: answers, 60, "the worker")
    first = workspace.process.processId
    monkeypatch.setattr(requirements, "ensure", lambda *groups, **_options: True)
    assert workspace.ensure(requirements.PANEL)
    assert not workspace.worker.running
    assert panel.messageLabel.text == ""
    workspace.ask(protocol.Status(), answers.append)
    host.waitUntil(lambda: len(answers) == 2, 60, "the worker again")
    assert workspace.process.processId != first
