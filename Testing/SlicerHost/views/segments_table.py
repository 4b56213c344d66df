"""`qMRMLSegmentsTableView`: the segments of a segmentation, one to a row."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .base import observe, qMRMLWidget

_VISIBLE, _COLOUR, _NAME = range(3)


class _Table(QtWidgets.QTableWidget):
    """Takes numbers for flags, as PythonQt does."""

    def setEditTriggers(self, triggers: Any) -> None:
        super().setEditTriggers(QtWidgets.QAbstractItemView.EditTrigger(triggers))


class qMRMLSegmentsTableView(qMRMLWidget):
    """Modules/Loadable/Segmentations/Widgets/qMRMLSegmentsTableView.h; its table is called "SegmentsTable"."""

    selectionChanged = QtCore.Signal(object, object)
    segmentAboutToBeModified = QtCore.Signal(str)
    CPP_SIGNALS = {
        **qMRMLWidget.CPP_SIGNALS,
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged",
        "segmentAboutToBeModified(QString)": "segmentAboutToBeModified",
    }

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._read_only, self._filling = False, False
        box = QtWidgets.QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        self._table = _Table(0, 3, self)
        self._table.setObjectName("SegmentsTable")
        self._table.setHorizontalHeaderLabels(["", "", "Name"])
        self._table.verticalHeader().setVisible(False)
        self._table.verticalHeader().setDefaultSectionSize(22)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setColumnWidth(_VISIBLE, 26)
        self._table.setColumnWidth(_COLOUR, 26)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        box.addWidget(self._table)
        self._table.itemSelectionChanged.connect(self._selected)
        self._table.itemChanged.connect(self._item_changed)

    def setSegmentationNode(self, node: Any) -> None:
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags, self._node = [], node
        if node is not None:
            segmentation = node.GetSegmentation()
            for event in (
                segmentation.SegmentAdded,
                segmentation.SegmentRemoved,
                segmentation.SegmentModified,
                segmentation.SegmentsOrderModified,
            ):
                self._tags.append((segmentation, observe(self, segmentation, event, self._fill)))
            self._tags.append((node, observe(self, node, "ModifiedEvent", self._fill)))
        self._fill()

    def segmentationNode(self) -> Any:
        return self._node

    def tableWidget(self) -> Any:
        return self._table

    def displayedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(self._table.item(row, _NAME).data(QtCore.Qt.UserRole) for row in range(self._table.model().rowCount()))

    segmentCount = QtCore.Property(int, lambda self: self._table.model().rowCount())

    def rowForSegmentID(self, identifier: str) -> int:
        shown = self.displayedSegmentIDs()
        return shown.index(identifier) if identifier in shown else -1

    def segmentIDForRow(self, row: int) -> str:
        shown = self.displayedSegmentIDs()
        return shown[row] if 0 <= row < len(shown) else ""

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(self.segmentIDForRow(index.row()) for index in self._table.selectionModel().selectedRows())

    def setSelectedSegmentIDs(self, identifiers: Any) -> None:
        if tuple(identifiers) == self.selectedSegmentIDs():
            return
        row = self.rowForSegmentID(identifiers[0]) if identifiers else -1
        # At once: an empty selection in between would switch the active effect off.
        self._table.selectRow(row) if row >= 0 else self._table.clearSelection()

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def clearSelectedSegments(self) -> None:
        """The context menu's entry, once its question is answered."""
        for identifier in self.selectedSegmentIDs():
            slicer.vtkSlicerSegmentationsModuleLogic.ClearSegment(self._node, identifier)

    def _get_read_only(self) -> bool:
        return self._read_only

    def setReadOnly(self, on: bool) -> None:
        """Sets the edit triggers anew every time, whatever they were."""
        kinds = QtWidgets.QAbstractItemView
        self._table.setEditTriggers(kinds.NoEditTriggers if on else kinds.EditKeyPressed)
        if on != self._read_only:
            self._read_only = on
            self._fill()

    readOnly = QtCore.Property(bool, _get_read_only, setReadOnly)

    def setHeaderVisible(self, on: bool) -> None:
        self._table.horizontalHeader().setVisible(on)

    def setVisibilityColumnVisible(self, on: bool) -> None:
        self._table.setColumnHidden(_VISIBLE, not on)

    def setColorColumnVisible(self, on: bool) -> None:
        self._table.setColumnHidden(_COLOUR, not on)

    def setOpacityColumnVisible(self, on: bool) -> None:
        """This table has no such column."""

    def _selected(self) -> None:
        if not self._filling:
            self.selectionChanged.emit(self._table.selectionModel().property("selection"), QtCore.QItemSelection())

    def _fill(self) -> None:
        """Show the segments; the selection stays where it was."""
        if self._filling:
            return
        chosen = self.selectedSegmentIDs()
        self._filling = True
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        display = self._node.GetDisplayNode() if self._node is not None else None
        count = segmentation.GetNumberOfSegments() if segmentation is not None else 0
        self._table.setRowCount(count)
        for row in range(count):
            identifier, segment = segmentation.GetNthSegmentID(row), segmentation.GetNthSegment(row)
            visible, colour, name = (
                QtWidgets.QTableWidgetItem(),
                QtWidgets.QTableWidgetItem(),
                QtWidgets.QTableWidgetItem(segment.GetName()),
            )
            shown = display is None or display.GetSegmentVisibility(identifier)
            visible.setCheckState(QtCore.Qt.Checked if shown else QtCore.Qt.Unchecked)
            colour.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            colour.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsSelectable)
            for item in (visible, name):
                if self._read_only or item is visible:
                    item.setFlags(item.flags() & ~QtCore.Qt.ItemIsEditable)
            for column, item in enumerate((visible, colour, name)):
                item.setData(QtCore.Qt.UserRole, identifier)
                self._table.setItem(row, column, item)
        kept = [one for one in chosen if self.rowForSegmentID(one) >= 0]
        if kept:
            self._table.selectRow(self.rowForSegmentID(kept[0]))
        self._filling = False

    def _item_changed(self, item: Any) -> None:
        if self._filling or self._node is None:
            return
        identifier = item.data(QtCore.Qt.UserRole)
        if item.column() == _VISIBLE:
            self._node.GetDisplayNode().SetSegmentVisibility(identifier, item.checkState() == QtCore.Qt.Checked)
        elif item.column() == _NAME:
            self.segmentAboutToBeModified.emit(identifier)
            self._node.GetSegmentation().GetSegment(identifier).SetName(item.text())
