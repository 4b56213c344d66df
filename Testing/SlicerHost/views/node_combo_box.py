"""`qMRMLNodeComboBox`: the nodes of a scene to choose from."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .base import observe


def _plain(kind: Any, name: str, default: Any) -> Any:
    """A Qt property kept in an attribute."""
    kept = f"_{name}"

    def read(self: Any) -> Any:
        return getattr(self, kept, default)

    def write(self: Any, value: Any) -> None:
        setattr(self, kept, value)
        self._fill()

    return QtCore.Property(kind, read, write)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Libs/MRML/Widgets/qMRMLNodeComboBox.h

    Selects an existing node at `setMRMLScene` (unless None is allowed); a node added later is not selected by itself.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    validNodeChosen = QtCore.Signal(bool)
    CPP_SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged", "currentNodeChanged(bool)": "validNodeChosen",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated", "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    }  # fmt: skip

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._scene: Any = None
        self._last: str | None = None
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._box = QtWidgets.QComboBox(self)
        row.addWidget(self._box)
        self._box.currentIndexChanged.connect(lambda _: self._emit())
        self._box.activated.connect(lambda _: self.nodeActivated.emit(self.currentNode()))

    noneEnabled = _plain(bool, "none", False)
    noneDisplay = _plain(str, "none_text", "None")
    showHidden = _plain(bool, "hidden", False)
    showChildNodeTypes = _plain(bool, "children", True)
    hideChildNodeTypes = _plain("QStringList", "hidden_children", [])
    addEnabled = _plain(bool, "add", True)
    removeEnabled = _plain(bool, "remove", True)
    editEnabled = _plain(bool, "edit", False)
    renameEnabled = _plain(bool, "rename", False)
    selectNodeUponCreation = _plain(bool, "select_new", True)
    baseName = _plain(str, "base_name", "")

    def _set_types(self, types: Any) -> None:
        self._types = list(types)
        self._fill()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._types, _set_types)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndBatchProcessEvent):
                observe(self, scene, event, self._fill)
            observe(self, scene, scene.EndImportEvent, self._stand_on_nothing)
        self._fill(select_first=True)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, None if value is None else str(value)))
        self._fill()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [one for one in self._attributes if one[:2] != (node_type, name)]
        self._fill()

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def currentNode(self) -> Any:
        identifier = self._data()
        return self._scene.GetNodeByID(identifier) if self._scene is not None and identifier else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None and not isinstance(node, str) else node)

    def setCurrentNodeID(self, identifier: str | None) -> None:
        place = self._box.findData(identifier or "")
        self._box.setCurrentIndex(place)

    def _index(self) -> int:
        return int(self._box.property("currentIndex"))

    def _data(self) -> str:
        return (self._box.itemData(self._index()) or "") if self._index() >= 0 else ""

    currentNodeID = QtCore.Property(str, lambda self: self._data(), setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def addNode(self, node_type: str = "") -> Any:
        node = self._scene.AddNewNodeByClass(node_type or self._types[0], self.property("baseName") or "")
        self.nodeAddedByUser.emit(node)
        if self.property("selectNodeUponCreation"):
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def _fits(self, node: Any) -> bool:
        children = self.property("showChildNodeTypes")
        hidden = self.property("hideChildNodeTypes") or []
        if any(node.IsA(one) for one in hidden) or (node.GetHideFromEditors() and not self.property("showHidden")):
            return False
        for kind in self._types:
            if node.GetClassName() == kind or (children and node.IsA(kind)):
                wanted = [one for one in self._attributes if one[0] == kind]
                return all(node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for _, name, value in wanted)
        return False

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        every = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in every if self._fits(node)]

    def _fill(self, select_first: bool = False) -> None:
        if not hasattr(self, "_box") or (self._scene is not None and self._scene.IsBatchProcessing()):
            return
        chosen = self._data()
        nodes, none = self._nodes(), bool(self.property("noneEnabled"))
        self._box.blockSignals(True)
        self._box.clear()
        if none:
            self._box.addItem(self.property("noneDisplay"), "")
        for node in nodes:
            self._box.addItem(node.GetName() or "", node.GetID())
        place = self._box.findData(chosen) if chosen else -1
        if place < 0:
            place = 0 if none or (select_first and nodes) else -1
        self._box.setCurrentIndex(place)
        self._box.blockSignals(False)
        self._emit()

    def _stand_on_nothing(self) -> None:
        """An import takes every row out and puts it in again: the box is left on none of them, and says nothing."""
        self._box.blockSignals(True)
        self._box.setCurrentIndex(-1)
        self._box.blockSignals(False)
        self._last = ""

    def _emit(self) -> None:
        now = self._data()
        if now != self._last:
            self._last = now
            node = self.currentNode()
            self.currentNodeChanged.emit(node)
            self.validNodeChosen.emit(node is not None)
            self.currentNodeIDChanged.emit(now)
