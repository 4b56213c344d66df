"""The node selector of the host chooses by itself only when its scene is set."""

from __future__ import annotations

import pytest


@pytest.fixture
def box(booted):
    import slicer

    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    yield made
    made.deleteLater()


def add(name):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def test_an_existing_node_is_selected_with_the_scene_and_a_later_one_is_not(box):
    import slicer

    first = add("first")
    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is first
    assert box.currentNodeID == first.GetID()
    second = add("second")
    assert box.currentNode() is first
    seen = []
    assert box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    box.setCurrentNode(second)
    assert seen == [second]


def test_a_node_that_comes_into_an_empty_selector_is_not_selected(box):
    import slicer

    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is None
    add("late")
    assert box.currentNode() is None
    assert box.nodeCount() == 1


def test_none_stays_selected_where_it_is_allowed(box):
    import slicer

    box.noneEnabled = True
    add("first")
    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is None


def test_a_removed_node_is_no_longer_selected(box):
    import slicer

    node = add("first")
    box.setMRMLScene(slicer.mrmlScene)
    slicer.mrmlScene.RemoveNode(node)
    assert box.currentNode() is None
    assert box.currentNodeID == ""


def test_kinds_and_attributes_are_sorted_out(box):
    import slicer

    box.setMRMLScene(slicer.mrmlScene)
    node, labels = add("image"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert box.nodeCount() == 2, "label maps are scalar volumes"
    box.showChildNodeTypes = False
    assert box.nodeCount() == 1
    assert box.nodeFromIndex(0) is node
    box.addAttribute("vtkMRMLScalarVolumeNode", "kind", "mine")
    assert box.nodeCount() == 0
    node.SetAttribute("kind", "mine")
    assert box.nodeCount() == 1
    assert labels.GetName() == "labels"


def test_a_property_is_not_called(box):
    with pytest.raises(TypeError):
        box.currentNodeID()


def test_an_import_leaves_it_on_no_node_and_says_nothing(box, tmp_path):
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLTextNode", "text")
    for scene in (other, slicer.mrmlScene):
        scene.SetURL(str(tmp_path / "other.mrml"))
    assert other.Commit()
    first = add("first")
    box.setMRMLScene(slicer.mrmlScene)
    seen = []
    assert box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    assert slicer.mrmlScene.Import()
    assert box.currentNode() is None
    assert seen == []
    box.setCurrentNode(first)
    assert seen == [first]
