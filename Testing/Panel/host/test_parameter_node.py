"""Parameters in the scene and their widgets, as Slicer's parameterNodeWrapper keeps and binds them."""

# Without postponed annotations: the classes below are annotated with names that a fixture imports.
import enum
import pathlib
from typing import Annotated, Any

import pytest


class Plane(enum.Enum):
    AXIAL = 1
    CORONAL = 2


@pytest.fixture
def node(booted: Any) -> Any:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def wrapper(booted: Any) -> Any:
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        name: Annotated[str, Choice(["gradient", "random"]), Default("random")]
        count: Annotated[int, WithinRange(1, 50), Default(10)]
        share: Annotated[float, WithinRange(0, 1)]
        warm: bool
        folder: pathlib.Path
        plane: Plane
        volume: slicer.vtkMRMLScalarVolumeNode
        note: str = "nothing"

    return Parameters


def test_defaults_are_written_into_the_node_as_texts(wrapper, node):
    made = wrapper(node)
    assert (made.name, made.count, made.share, made.warm, made.plane, made.volume, made.note) == (
        "random",
        10,
        0,
        False,
        Plane.AXIAL,
        None,
        "nothing",
    )
    kept = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert kept == {
        "name": "random",
        "count": "10",
        "share": "0",
        "warm": "False",
        "folder": ".",
        "plane": "AXIAL",
        "volume": "",
        "note": "nothing",
    }


def test_values_survive_in_the_scene(wrapper, node, tmp_path):
    import slicer

    made = wrapper(node)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    made.count, made.warm, made.plane, made.volume, made.folder = 20, True, Plane.CORONAL, volume, tmp_path
    again = wrapper(node)
    assert (again.count, again.warm, again.plane, again.volume, again.folder) == (20, True, Plane.CORONAL, volume, tmp_path)
    assert node.GetNodeReferenceID("volume") == volume.GetID()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("count", 0, ValueError),
        ("count", 51, ValueError),
        ("count", "3", TypeError),
        ("count", 1.5, TypeError),
        ("count", None, ValueError),
        ("name", "best", ValueError),
        ("warm", 1, TypeError),
        ("volume", "vtkMRMLScalarVolumeNode1", TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused(wrapper, node, name, value, error):
    made = wrapper(node)
    before = getattr(made, name)
    with pytest.raises(error):
        setattr(made, name, value)
    assert getattr(made, name) == before


def test_a_change_modifies_the_node_once_and_observers_find_the_new_value(wrapper, node):
    made, seen = wrapper(node), []
    tag = made.AddObserver("ModifiedEvent", lambda caller, event: seen.append(made.count))
    made.count = 20
    assert seen == [20]
    made.RemoveObserver(tag)
    made.count = 30
    assert seen == [20]


def test_another_wrapper_of_the_node_sees_the_change(wrapper, node):
    one, other = wrapper(node), wrapper(node)
    assert other.count == 10
    one.count = 11
    assert other.count == 11


def test_a_type_that_the_host_does_not_keep_is_refused(booted):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Parameters:
        many: list[int]

    with pytest.raises(Exception, match="Unable to create serializer"):
        parameterNodeWrapper(Parameters)


def test_a_reserved_name_is_refused(booted):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Parameters:
        Modified: int = 3

    with pytest.raises(ValueError, match="reserved"):
        parameterNodeWrapper(Parameters)


def form(*widgets: tuple[Any, str]) -> Any:
    ui = type("", (), {})()
    for number, (widget, parameter) in enumerate(widgets):
        widget.setProperty("SlicerParameterName", parameter)
        setattr(ui, f"widget{number}", widget)
    return ui


def test_widgets_show_and_change_parameters(wrapper, node, host):
    import ctk
    import qt

    made = wrapper(node)
    box, name, check, line = qt.QSpinBox(), qt.QComboBox(), qt.QCheckBox(), qt.QLineEdit()
    path, share = ctk.ctkPathLineEdit(), qt.QDoubleSpinBox()
    gui = form((box, "count"), (name, "name"), (check, "warm"), (line, "note"), (path, "folder"), (share, "share"))
    assert made.connectGui(gui) is None
    assert (box.value, box.minimum, box.maximum) == (10, 1, 50)
    assert ([name.itemText(row) for row in (0, 1)], name.currentText) == (["gradient", "random"], "random")
    assert (share.minimum, share.maximum) == (0, 1)
    box.value, name.currentIndex, check.checked, line.text, path.currentPath, share.value = 33, 0, True, "n", "/data", 0.5
    assert (made.count, made.name, made.warm, made.note, made.folder, made.share) == (
        33,
        "gradient",
        True,
        "n",
        pathlib.Path("/data"),
        0.5,
    )
    made.count, made.name = 5, "random"
    assert (box.value, name.currentText) == (5, "random")


def test_only_widgets_bound_by_name_can_be_unbound(wrapper, node, host):
    import qt

    made, box, check = wrapper(node), qt.QSpinBox(), qt.QCheckBox()
    tag = made.connectParametersToGui({"count": box, "warm": check})
    box.value, check.checked = 5, True
    assert (made.count, made.warm) == (5, True)
    made.disconnectGui(tag)
    box.value = 7
    made.warm = False
    assert (made.count, check.checked) == (5, True)


def test_a_node_selector_is_bound_to_a_node(wrapper, node):
    import slicer

    made, box = wrapper(node), slicer.qMRMLNodeComboBox()
    made.connectGui(form((box, "volume")))
    box.setMRMLScene(slicer.mrmlScene)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    box.setCurrentNode(volume)
    assert made.volume is volume


def test_a_parameter_that_is_not_there_cannot_be_bound(wrapper, node):
    import qt

    with pytest.raises(ValueError, match="Cannot find"):
        wrapper(node).connectGui(form((qt.QSpinBox(), "absent")))


@pytest.mark.parametrize(
    ("kind", "parameter", "error"),
    [
        ("QComboBox", "note", "requires the Choice"),
        ("QLabel", "count", "Unable"),
        ("QSlider", "share", "Unable"),
        ("QLineEdit", "folder", "Unable"),
    ],
)
def test_a_widget_that_cannot_show_a_type_is_refused(wrapper, node, kind, parameter, error):
    import qt

    with pytest.raises(RuntimeError, match=error):
        wrapper(node).connectGui(form((getattr(qt, kind)(), parameter)))


def test_a_wrapper_that_is_gone_observes_no_more(wrapper, node):
    import gc

    before = node.HasObserver("ModifiedEvent")
    made = wrapper(node)
    del made
    gc.collect()
    assert node.HasObserver("ModifiedEvent") == before
