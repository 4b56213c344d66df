"""The host refuses what PythonQt refuses. Each rule was read in PythonQt's sources or seen in a running Slicer."""

from __future__ import annotations

import functools
import gc
import os
import sys
import time
from typing import Any

import pytest


@pytest.fixture
def qt(host: Any) -> Any:
    import qt

    return qt


def mistakes() -> list[str]:
    from SlicerHost import connections

    return connections.forget_mistakes()


def test_a_property_is_an_attribute_and_cannot_be_called(qt):
    button = qt.QPushButton("go")
    assert button.text == "go"
    button.text = "stop"
    assert button.text == "stop"
    with pytest.raises(TypeError):
        button.text()


def test_getters_with_another_name_than_the_property_are_methods(qt):
    box = qt.QCheckBox()
    box.checked = True
    assert box.isChecked() is True
    box.setEnabled(False)
    assert box.enabled is False


def test_an_attribute_that_the_class_lacks_is_refused(qt):
    import ctk
    import slicer

    for widget in (qt.QPushButton(), ctk.ctkCollapsibleButton(), slicer.qMRMLNodeComboBox(), qt.QTimer()):
        with pytest.raises(AttributeError, match="does not exist"):
            widget.colour = 3


def test_a_python_subclass_may_have_attributes_of_its_own(qt):
    class Own(qt.QWidget):
        pass

    own = Own()
    own.colour = 3
    own.enabled = False
    assert (own.colour, own.isEnabled()) == (3, False)


@pytest.mark.parametrize("name", ["click", "clicked", "setText"])
def test_slots_signals_and_methods_cannot_be_overwritten(qt, name):
    with pytest.raises(AttributeError, match="overwritten"):
        setattr(qt.QPushButton(), name, 1)


@pytest.mark.parametrize(("name", "value"), [("text", 3), ("text", None), ("maximumWidth", 1.5), ("iconSize", "large")])
def test_a_property_takes_its_own_type_only(qt, name, value):
    with pytest.raises(AttributeError, match="does not accept"):
        setattr(qt.QPushButton(), name, value)


def test_a_property_without_setter_cannot_be_written(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QWidget().width = 3


def test_a_dynamic_property_is_an_attribute_once_it_is_there(qt):
    widget = qt.QWidget()
    widget.setProperty("SlicerParameterName", "budget")
    assert widget.SlicerParameterName == "budget"
    widget.SlicerParameterName = "seed"
    assert widget.property("SlicerParameterName") == "seed"


def test_a_child_is_found_by_its_name_or_by_class_name(qt):
    parent = qt.QWidget()
    child = qt.QLabel(parent)
    child.setObjectName("caption")
    assert parent.caption is child
    assert parent.findChild("QLabel", "caption") is child
    assert parent.findChild(qt.QLabel, "caption") is child
    assert parent.findChildren("QPushButton") == []
    assert parent.findChildren(qt.QWidget) == parent.findChildren("QWidget") == [child]
    assert parent.findChildren(qt.QWidget, "") == []
    with pytest.raises(TypeError):
        parent.findChildren()


@pytest.mark.parametrize("name", ["Signal", "Slot", "Property", "QFancyButton"])
def test_what_pythonqt_has_not_is_not_there(qt, name):
    assert not hasattr(qt, name)


def test_a_widget_class_that_ctk_has_not_is_not_there(host):
    import ctk

    with pytest.raises(AttributeError):
        ctk.ctkFancyButton  # noqa: B018


# Connections


def test_a_wrong_signature_gives_false_and_is_remembered(qt):
    button = qt.QPushButton()
    for signature in ("click()", "clicked(int)", "clickd()", "valueChanged(int)"):
        assert button.connect(signature, lambda: None) is False
    assert len(mistakes()) == 4


def test_a_slot_gets_what_the_signature_names_and_no_more_than_it_takes(qt):
    got: list[Any] = []
    button = qt.QPushButton()
    button.checkable = True
    assert button.connect("clicked(bool)", lambda checked: got.append(checked))
    assert button.connect("clicked(bool)", lambda: got.append("none"))
    assert button.connect("clicked()", lambda *arguments: got.append(arguments))
    button.click()
    assert got == [True, "none", ()]
    assert mistakes() == []


def test_a_default_argument_is_filled_and_a_partial_gets_everything(qt):
    got: list[Any] = []
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda row=7: got.append(row))
    button.connect("clicked(bool)", functools.partial(lambda row, checked: got.append((row, checked)), 7))
    button.connect("clicked(bool)", functools.partial(lambda row: got.append(row), 7))
    button.click()
    assert got == [False, (7, False)]
    assert "positional argument" in mistakes()[0]


def test_a_slot_that_takes_more_than_is_sent_fails(qt):
    button = qt.QPushButton()
    button.connect("clicked()", lambda checked: None)
    button.click()
    assert "missing 1 required positional argument" in mistakes()[0]


def test_an_error_in_a_slot_is_printed_and_remembered_and_the_program_goes_on(qt, capsys):
    button, got = qt.QPushButton(), []

    def fails() -> None:
        raise ValueError("broken slot")

    button.connect("clicked()", fails)
    button.connect("clicked()", lambda: got.append(1))
    button.click()
    assert got == [1]
    assert "broken slot" in mistakes()[0]
    assert "broken slot" in capsys.readouterr().err


def test_an_error_in_an_observer_is_remembered(host):
    import slicer

    def fails(caller: Any, event: str) -> None:
        raise ValueError("broken observer")

    node = slicer.vtkMRMLScalarVolumeNode()
    node.AddObserver("ModifiedEvent", fails)
    node.Modified()
    assert "broken observer" in mistakes()[0]


def test_disconnect_takes_back_one_connection(qt):
    got: list[int] = []
    button = qt.QPushButton()

    def slot() -> None:
        got.append(1)

    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot) is True
    button.click()
    assert got == []
    assert button.disconnect("clicked()", slot) is False
    assert "was not connected" in mistakes()[0]


def test_a_bound_method_connected_and_disconnected_is_the_same(qt):
    class Owner:
        calls = 0

        def slot(self) -> None:
            self.calls += 1

    owner, button = Owner(), qt.QPushButton()
    button.connect("clicked()", owner.slot)
    button.click()
    assert button.disconnect("clicked()", owner.slot) is True
    button.click()
    assert owner.calls == 1


def test_a_signal_with_vtk_arguments_is_connected_by_its_header(host):
    import slicer

    box = slicer.qMRMLNodeComboBox()
    assert box.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: None)
    assert box.connect("currentNodeChanged(object)", lambda node: None) in (True, False)
    mistakes()


def test_single_shot_takes_milliseconds_and_a_callable(qt, host):
    got: list[int] = []
    qt.QTimer.singleShot(1, lambda: got.append(1))
    host.waitUntil(lambda: got, 5)
    with pytest.raises(TypeError):
        qt.QTimer.singleShot(1)


# Processes, settings, keys


def test_dropping_the_last_reference_of_a_process_kills_it(qt):
    process = qt.QProcess()
    process.start(sys.executable, ["-c", "import time; time.sleep(60)"])
    assert process.waitForStarted(10000)
    number = int(process.processId())
    del process
    gc.collect()
    end = time.monotonic() + 10
    while time.monotonic() < end and alive(number):
        time.sleep(0.05)
    assert not alive(number)


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_reads_byte_arrays_that_only_data_opens(qt, host):
    process, got = qt.QProcess(), []
    process.connect("readyReadStandardOutput()", lambda: got.append(process.readAllStandardOutput()))
    process.start(sys.executable, ["-c", "import sys; print(sys.stdin.readline().upper())"])
    process.write(b"hello\n")
    host.waitUntil(lambda: got, 20)
    process.waitForFinished(5000)
    assert got[0].data().startswith(b"HELLO")
    with pytest.raises(TypeError):
        bytes(got[0])
    with pytest.raises(TypeError):
        str(got[0], "utf-8")
    with pytest.raises(ValueError, match="overload"):
        process.write("text")


def test_settings_lose_types(qt):
    import slicer.util

    settings = qt.QSettings()
    for key, value, back in (("a", True, "true"), ("b", 3, "3"), ("c", 2.5, "2.5"), ("d", ["x", "y"], ("x", "y")), ("e", [], None)):
        settings.setValue(f"host/{key}", value)
        assert settings.value(f"host/{key}") == back
    assert settings.value("host/absent") is None
    assert settings.value("host/absent", 5) == 5
    assert slicer.util.settingsValue("host/a", False, converter=slicer.util.toBool) is True
    with pytest.raises(TypeError):
        settings.value("host/a", type=bool)


def test_a_key_that_is_there_twice_fires_neither(qt, host):
    fired: list[int] = []

    def shortcut(number: int) -> Any:
        made = qt.QShortcut(host.window)
        made.setKey(qt.QKeySequence("Ctrl+Alt+K"))
        made.connect("activated()", lambda: fired.append(number))
        return made

    first = shortcut(1)
    host.press("Ctrl+Alt+K")
    assert fired == [1]
    second = shortcut(2)
    host.press("Ctrl+Alt+K")
    assert fired == [1]
    second.setParent(None)
    second.deleteLater()
    host.pump(0.05)
    host.press("Ctrl+Alt+K")
    assert fired == [1, 1]
    first.setParent(None)
    first.deleteLater()
    host.pump(0.05)


# Files of Qt Designer

UI = """<ui version="4.0"><class>Form</class><widget class="QWidget" name="Form"><layout class="QVBoxLayout">
<item><widget class="{kind}" name="one"><property name="{name}"{mark}>
<string>budget</string></property></widget></item></layout></widget></ui>"""


def load(tmp_path: Any, kind: str, name: str, mark: str = "") -> Any:
    import slicer.util

    file = tmp_path / "form.ui"
    file.write_text(UI.format(kind=kind, name=name, mark=mark), encoding="utf-8")
    return slicer.util.loadUI(str(file))


def test_a_ui_file_makes_stand_ins_with_their_properties(host, tmp_path):
    import ctk
    import slicer.util

    ui = slicer.util.childWidgetVariables(load(tmp_path, "ctkCollapsibleButton", "text"))
    assert isinstance(ui.one, ctk.ctkCollapsibleButton)
    assert ui.one.text == "budget"


def test_a_dynamic_property_of_a_ui_file_has_to_say_so(host, tmp_path):
    import slicer.util

    ui = slicer.util.childWidgetVariables(load(tmp_path, "QSpinBox", "SlicerParameterName", ' stdset="0"'))
    assert ui.one.property("SlicerParameterName") == "budget"
    assert mistakes() == []
    load(tmp_path, "QSpinBox", "placeholderText")
    assert mistakes() == ["form.ui: QSpinBox one has no property placeholderText"]


def test_a_class_in_a_ui_file_that_is_not_there_is_a_mistake(host, tmp_path):
    load(tmp_path, "ctkFancyButton", "text")
    assert "the host has no ctkFancyButton" in mistakes()


# Widgets of CTK


def test_a_collapsed_part_hides_its_children_and_keeps_hidden_what_was_hidden(qt, host):
    import ctk

    part = ctk.ctkCollapsibleButton()
    column = qt.QVBoxLayout(part)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    for label in (shown, hidden):
        column.addWidget(label)
    part.show()
    hidden.visible = False
    told: list[bool] = []
    part.connect("contentsCollapsed(bool)", told.append)
    host.click(part)
    assert (part.collapsed, part.checked, shown.visible) == (True, False, False)
    shown.visible = True
    assert not shown.visible
    host.click(part)
    assert (part.collapsed, shown.visible, hidden.visible) == (False, True, False)
    assert told == [True, False]


def test_a_path_line_takes_the_newest_path_of_its_history_when_it_is_empty(qt, host):
    import ctk

    line = ctk.ctkPathLineEdit()
    line.settingKey = "hostTest"
    assert line.currentPath == ""
    line.currentPath = "/data"
    line.addCurrentPathToHistory()
    again = ctk.ctkPathLineEdit()
    again.settingKey = "hostTest"
    assert again.currentPath == "/data"


def test_a_path_line_asks_for_a_folder_or_for_a_file(qt, host):
    import ctk

    line, told = ctk.ctkPathLineEdit(), []
    line.connect("currentPathChanged(QString)", told.append)
    for filters, kind in (
        (ctk.ctkPathLineEdit.Dirs, "getExistingDirectory"),
        (ctk.ctkPathLineEdit.Files, "getOpenFileName"),
        (ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Writable, "getSaveFileName"),
    ):
        host.dialogs.forget()
        host.dialogs.answers = [f"/chosen/{kind}"]
        line.filters = filters
        line.browse()
        assert line.currentPath == f"/chosen/{kind}" == told[-1]
        assert [one for one, _ in host.dialogs.said] == [kind]
