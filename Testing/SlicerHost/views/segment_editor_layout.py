"""Where the parts of the segment editor lie; object names as in qMRMLSegmentEditorWidget.ui."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .node_combo_box import qMRMLNodeComboBox
from .segments_table import qMRMLSegmentsTableView


def build(editor: Any) -> None:
    """Make the widgets of `editor` and keep those that it needs."""
    box = QtWidgets.QVBoxLayout(editor)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(3)
    form = QtWidgets.QFormLayout()
    box.addLayout(form)
    editor._segmentation_box = _selector(editor, "SegmentationNodeComboBox", "vtkMRMLSegmentationNode")
    editor._source_box = _selector(editor, "SourceVolumeNodeComboBox", "vtkMRMLScalarVolumeNode")
    form.addRow("Segmentation:", editor._segmentation_box)
    form.addRow("Source volume:", editor._source_box)
    geometry = _button(editor, "SpecifyGeometryButton", "Geometry...")
    form.addRow("", geometry)
    editor._segmentation_parts = [editor._segmentation_box, form.labelForField(editor._segmentation_box)]
    editor._source_parts = [editor._source_box, form.labelForField(editor._source_box)]
    editor._geometry_parts = [geometry]
    row = QtWidgets.QHBoxLayout()
    box.addLayout(row)
    editor._add, editor._remove = _button(editor, "AddSegmentButton", "Add"), _button(editor, "RemoveSegmentButton", "Remove")
    show, switch = _button(editor, "Show3DButton", "Show 3D"), _button(editor, "SwitchToSegmentationsButton", "Segmentations...")
    for widget in (editor._add, editor._remove, show, switch):
        row.addWidget(widget)
    editor._add_parts, editor._show3d_parts, editor._switch_parts = [editor._add, editor._remove], [show], [switch]
    editor._table = qMRMLSegmentsTableView(editor)
    editor._table.setObjectName("SegmentsTableView")
    editor._table.setMaximumHeight(150)
    box.addWidget(editor._table)
    editor._effects_group = QtWidgets.QFrame(editor)
    editor._effects_group.setObjectName("EffectsGroupBox")
    grid = QtWidgets.QGridLayout(editor._effects_group)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(2)
    editor._group = QtWidgets.QButtonGroup(editor)
    box.addWidget(editor._effects_group)
    undo_row = QtWidgets.QHBoxLayout()
    box.addLayout(undo_row)
    editor._undo, editor._redo = _button(editor, "UndoButton", "Undo"), _button(editor, "RedoButton", "Redo")
    for widget in (editor._undo, editor._redo):
        undo_row.addWidget(widget)
    editor._options = QtWidgets.QGroupBox(editor)
    editor._options.setObjectName("OptionsGroupBox")
    QtWidgets.QVBoxLayout(editor._options).setContentsMargins(6, 6, 6, 6)
    box.addWidget(editor._options)
    _masking(editor, box)
    editor._options.hide()
    editor._masking.hide()
    _connect(editor)


def _connect(editor: Any) -> None:
    def chosen(slot: Any) -> Any:
        def call(node: Any) -> None:
            if editor.mrmlScene() is not None and not editor.mrmlScene().IsBatchProcessing():
                slot(node)

        return call

    editor._segmentation_box.currentNodeChanged.connect(chosen(editor.setSegmentationNode))
    editor._source_box.currentNodeChanged.connect(chosen(editor.setSourceVolumeNode))
    editor._table.selectionChanged.connect(editor._segment_chosen)
    editor._table.segmentAboutToBeModified.connect(lambda _: editor.saveStateForUndo())
    editor._add.clicked.connect(lambda *_: editor._logic.AddEmptySegment("", 0))
    editor._remove.clicked.connect(lambda *_: editor._logic.RemoveSelectedSegment())
    editor._undo.clicked.connect(lambda *_: editor.undo())
    editor._redo.clicked.connect(lambda *_: editor.redo())


def _selector(editor: Any, name: str, kind: str) -> Any:
    box = qMRMLNodeComboBox(editor)
    box.setObjectName(name)
    box.setProperty("nodeTypes", [kind])
    box.setProperty("noneEnabled", True)
    return box


def _button(editor: Any, name: str, text: str) -> Any:
    button = QtWidgets.QPushButton(text, editor)
    button.setObjectName(name)
    return button


def _masking(editor: Any, box: Any) -> None:
    """Where may be edited, and what is overwritten."""
    node, segmentation = slicer.vtkMRMLSegmentEditorNode, slicer.vtkMRMLSegmentationNode
    editor._masking = QtWidgets.QGroupBox("Masking", editor)
    editor._masking.setObjectName("MaskingGroupBox")
    form = QtWidgets.QFormLayout(editor._masking)
    for name, label, items, slot in (
        ("MaskModeComboBox", "Editable area:", (
            ("Everywhere", segmentation.EditAllowedEverywhere), ("Inside all segments", segmentation.EditAllowedInsideAllSegments),
            ("Outside all segments", segmentation.EditAllowedOutsideAllSegments),
        ), lambda value: editor.mrmlSegmentEditorNode().SetMaskMode(value)),
        ("OverwriteModeComboBox", "Modify other segments:", (
            ("Overwrite all", node.OverwriteAllSegments), ("Overwrite visible", node.OverwriteVisibleSegments),
            ("Allow overlap", node.OverwriteNone),
        ), lambda value: editor.mrmlSegmentEditorNode().SetOverwriteMode(value)),
    ):  # fmt: skip
        chooser = QtWidgets.QComboBox(editor._masking)
        chooser.setObjectName(name)
        for text, value in items:
            chooser.addItem(text, value)
        chooser.activated.connect(lambda index, chooser=chooser, slot=slot: slot(chooser.itemData(index, QtCore.Qt.UserRole)))
        form.addRow(label, chooser)
    box.addWidget(editor._masking)
