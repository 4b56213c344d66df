"""The stand-in application: modules, windows, dialogs, packages, processes, and the person's hands."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CODE = """
import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host test")
        self.parent.categories = ["Testing"]

class {name}Widget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    log = slicer.__dict__.setdefault("hostTestLog", [])
    version = 1

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = {name}Logic()
        self.button = qt.QPushButton("press")
        self.layout.addWidget(self.button)
        self.line = qt.QLineEdit()
        self.layout.addWidget(self.line)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda caller, event: self.log.append("start close"))
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, lambda caller, event: self.log.append("end close"))
        self.log.append("setup")

    def enter(self):
        self.log.append("enter")

    def exit(self):
        self.log.append("exit")

    def cleanup(self):
        self.removeObservers()
        self.log.append("cleanup")

class {name}Logic(ScriptedLoadableModuleLogic):
    pass

class {name}Test(ScriptedLoadableModuleTest):
    def test_nothing(self):
        slicer.hostTestLog.append("tested")
"""


class Loaded:
    """A module of a few lines, and what happened to it."""

    def __init__(self, host: Any, folder: Path, name: str) -> None:
        import slicer

        self.host, self.name = host, name
        self.file = folder / f"{name}.py"
        self.file.write_text(CODE.replace("{name}", name), encoding="utf-8")
        slicer.hostTestLog = []
        self.log = slicer.hostTestLog
        self.widget = host.loadModule(self.file)

    def happened(self) -> list[str]:
        found, self.log[:] = list(self.log), []
        return found


@pytest.fixture
def loaded(booted: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = Loaded(booted, tmp_path, "HostTestModule")
    yield made
    booted.unload(made.name)
    sys.modules.pop(made.name, None)
    sys.path.remove(str(tmp_path))


# Modules


def test_a_module_is_set_up_entered_left_and_cleaned_up(loaded, booted):
    assert loaded.happened() == ["setup", "enter"]
    assert loaded.widget.parent.isEntered is True
    booted.exit(loaded.name)
    assert loaded.happened() == ["exit"]
    assert loaded.widget.parent.isEntered is False
    booted.enter(loaded.name)
    booted.unload(loaded.name)
    assert loaded.happened() == ["enter", "exit", "cleanup"]


def test_slicers_own_functions_find_the_module(loaded):
    import slicer

    assert slicer.util.getModuleWidget(loaded.name) is loaded.widget
    assert slicer.util.getModuleLogic(loaded.name) is loaded.widget.logic
    assert slicer.util.modulePath(loaded.name) == str(loaded.file)
    assert slicer.util.selectedModule() == loaded.name
    assert slicer.util.getModule(loaded.name).title == "Host test"
    assert loaded.widget.resourcePath("UI/x.ui") == str(loaded.file.parent / "Resources" / "UI" / "x.ui")
    with pytest.raises(RuntimeError, match="Could not find module"):
        slicer.util.getModule("Absent")


def test_reload_cleans_up_and_builds_the_panel_from_the_new_file(loaded, booted):
    loaded.happened()
    loaded.file.write_text(loaded.file.read_text(encoding="utf-8").replace("version = 1", "version = 22"), encoding="utf-8")
    made = booted.reload(loaded.name)
    assert made is not loaded.widget
    assert made.version == 22
    assert loaded.happened() == ["cleanup", "setup"]
    assert not loaded.widget.button.isVisible()
    assert made.button.isVisible()


def test_closing_the_scene_tells_the_module(loaded, booted):
    loaded.happened()
    booted.closeScene()
    assert loaded.happened() == ["start close", "end close"]


def test_the_self_test_of_a_module_runs(loaded):
    import slicer

    loaded.happened()
    slicer.selfTests[loaded.name]()
    assert loaded.happened() == ["tested"]


def test_parameters_of_a_module_live_in_a_singleton_node_that_survives_closing_the_scene(loaded, booted):
    import slicer

    node = loaded.widget.logic.getParameterNode()
    assert (node.GetSingletonTag(), node.GetAttribute("ModuleName")) == (loaded.name, loaded.name)
    booted.closeScene()
    again = loaded.widget.logic.getParameterNode()
    assert again.GetAttribute("ModuleName") == loaded.name
    assert len([one for one in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode") if one.GetSingletonTag() == loaded.name]) == 1


def test_a_module_that_fails_in_setup_fails_to_load(booted, tmp_path):
    file = tmp_path / "HostBroken.py"
    file.write_text(CODE.replace("{name}", "HostBroken").replace('self.log.append("setup")', "self.absent()"), encoding="utf-8")
    with pytest.raises(AttributeError, match="absent"):
        booted.loadModule(file)


# The application


def test_the_main_window_is_there_and_can_be_absent(booted):
    import slicer

    assert slicer.util.mainWindow() is booted.window
    with booted.withoutMainWindow():
        assert slicer.util.mainWindow() is None
    assert (booted.window.width, booted.window.height) == (1280, 820)


def test_an_attribute_that_the_application_lacks_fails(booted):
    import slicer

    with pytest.raises(AttributeError):
        slicer.app.fancyThing()
    with pytest.raises(TypeError):
        slicer.app.slicerHome()


def test_python_slicer_is_found_and_runs(booted):
    program = shutil.which("PythonSlicer")
    assert program is not None
    import slicer

    assert Path(program) == Path(slicer.app.slicerHome) / "bin" / "PythonSlicer"
    answer = subprocess.run([program, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "42\n"


def test_the_startup_environment_is_a_dictionary_for_other_programs(booted):
    import slicer

    assert slicer.util.startupEnvironment()["PATH"]


def test_a_translation_that_loses_a_placeholder_is_not_used(booted, monkeypatch):
    import slicer
    from slicer.i18n import tr

    monkeypatch.setitem(slicer.app._language, "{n} slices", "{n} Schichten")
    monkeypatch.setitem(slicer.app._language, "{n} cases", "{zahl} Faelle")
    assert tr("{n} slices") == "{n} Schichten"
    assert tr("{n} cases") == "{n} cases"


# Dialogs and packages


def test_dialogs_return_at_once_with_the_answers_laid_out(booted):
    import qt
    import slicer

    booted.dialogs.forget()
    booted.dialogs.answers = [False, True, "/folder", "Dr B"]
    assert slicer.util.confirmYesNoDisplay("Sure?") is False
    assert slicer.util.confirmOkCancelDisplay("Sure?", "Title") is True
    assert qt.QFileDialog.getExistingDirectory(None, "Folder", "/") == "/folder"
    assert qt.QInputDialog.getText(None, "Name", "Your name") == "Dr B"
    slicer.util.errorDisplay("It broke.", detailedText="why")
    assert booted.dialogs.said == [
        ("confirmYesNoDisplay", "Sure?"),
        ("confirmOkCancelDisplay", "Sure?"),
        ("getExistingDirectory", "Folder"),
        ("getText", "Name"),
        ("errorDisplay", "It broke."),
    ]


def test_a_question_without_an_answer_is_an_error(booted):
    import slicer

    booted.dialogs.forget()
    with pytest.raises(RuntimeError, match="no answer: confirmYesNoDisplay: Sure"):
        slicer.util.confirmYesNoDisplay("Sure?")


def test_a_raw_message_box_is_a_mistake(booted):
    import qt
    from SlicerHost import connections

    qt.QMessageBox.question(None, "Title", "Sure?")
    assert "QMessageBox.question blocks" in connections.forget_mistakes()[0]


def test_packages_are_asked_for_and_not_installed(booted):
    import PyTorchUtils
    import slicer

    booted.packages.forget()
    assert slicer.packaging.pip_ensure(["monai>=1.6", "absent-package"], requester="me", skip_in_testing=False) is None
    assert PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=">=2.8") is not None
    assert booted.packages.requested == ["monai>=1.6", "absent-package", "torch>=2.8"]
    assert booted.packages.calls[0][1]["requester"] == "me"


def test_refused_and_failing_installations(booted):
    import PyTorchUtils
    import slicer

    booted.packages.forget()
    booted.packages.agree = False
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure("monai>=1.6", skip_in_testing=False)
    assert PyTorchUtils.PyTorchUtilsLogic().installTorch() is None
    booted.packages.agree, booted.packages.fail = True, True
    with pytest.raises(subprocess.CalledProcessError):
        slicer.packaging.pip_ensure("monai>=1.6", skip_in_testing=False)
    booted.packages.forget()


def test_in_testing_mode_nothing_is_installed_unless_asked_for(booted):
    import slicer

    booted.packages.forget()
    slicer.packaging.pip_ensure("monai>=1.6")
    assert booted.packages.requested == []


# Hands and time


def test_a_hidden_or_disabled_widget_cannot_be_pressed(loaded, booted):
    pressed: list[int] = []
    button = loaded.widget.button
    button.connect("clicked()", lambda: pressed.append(1))
    booted.click(button)
    assert pressed == [1]
    button.enabled = False
    with pytest.raises(AssertionError, match="disabled"):
        booted.click(button)
    button.enabled, button.visible = True, False
    with pytest.raises(AssertionError, match="not visible"):
        booted.click(button)


def test_typing_replaces_the_text(loaded, booted):
    booted.type(loaded.widget.line, "one")
    booted.type(loaded.widget.line, "two words")
    assert loaded.widget.line.text == "two words"
    booted.type(loaded.widget.line, "")
    assert loaded.widget.line.text == ""


def test_a_stroke_outside_the_view_is_an_error(booted):
    with pytest.raises(AssertionError, match="outside"):
        booted.drag("Red", [(0.0, 0.0, 0.0), (1e5, 0.0, 0.0)])


def test_waiting_names_what_was_waited_for(booted):
    with pytest.raises(TimeoutError, match="the tide"):
        booted.waitUntil(lambda: False, 0.05, "the tide")


def test_the_longest_block_is_measured(booted):
    import qt

    with booted.longestBlock() as block:
        booted.pump(0.2)
    assert block[0] < 0.15
    with booted.longestBlock() as block:
        qt.QTimer.singleShot(10, lambda: time.sleep(0.3))
        booted.pump(0.2)
    assert 0.3 <= block[0] < 0.6


def test_a_picture_of_the_window_is_written(booted, tmp_path):
    import qt

    booted.screenshot(tmp_path / "pictures" / "window.png")
    image = qt.QImage(str(tmp_path / "pictures" / "window.png"))
    assert (image.width(), image.height()) == (1280, 820)


# The machine


def test_a_missing_library_is_named():
    from SlicerHost import system_check

    assert system_check._fails("import absent_package") == "ModuleNotFoundError: No module named 'absent_package'"
    assert system_check._fails("import os; os._exit(3)") == "the process ended with 3"
    assert system_check._fails("pass") == ""
