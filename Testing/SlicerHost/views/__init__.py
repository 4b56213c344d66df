"""Slice views, plots, the layout and the segment editor of the host: real MRML nodes and logics, rendered off screen.

Every class shows scripts what the header of the real one lists as property, slot, invokable method or signal, and no more;
what it needs besides starts with an underscore. Signals with VTK arguments are listed by their C++ signature in `CPP_SIGNALS`.
"""

from __future__ import annotations

from typing import Any

import slicer

from ..pythonqt import expose
from .base import qMRMLWidget
from .effects import qSlicerSegmentEditorAbstractEffect
from .layout_manager import qSlicerLayoutManager
from .node_combo_box import qMRMLNodeComboBox
from .plot_view import qMRMLPlotView
from .plot_widget import qMRMLPlotWidget
from .segment_editor import qMRMLSegmentEditorWidget
from .segment_editor_keys import takenKeys
from .segments_table import qMRMLSegmentsTableView
from .slice_view import qMRMLSliceView
from .slice_widget import qMRMLSliceControllerWidget, qMRMLSliceWidget
from .threed_widget import qMRMLThreeDView, qMRMLThreeDWidget

WIDGETS = (
    qMRMLWidget,
    qMRMLNodeComboBox,
    qMRMLSliceView,
    qMRMLSliceControllerWidget,
    qMRMLSliceWidget,
    qMRMLPlotView,
    qMRMLPlotWidget,
    qMRMLThreeDView,
    qMRMLThreeDWidget,
    qMRMLSegmentsTableView,
    qMRMLSegmentEditorWidget,
    qSlicerSegmentEditorAbstractEffect,
    qSlicerLayoutManager,
)
for _widget in WIDGETS:
    expose(slicer)(_widget)


def makeLayoutManager(application: Any) -> qSlicerLayoutManager:
    """The layout manager of `slicer.app`; its `viewport()` goes into the window."""
    return qSlicerLayoutManager(application)


__all__ = ["WIDGETS", "makeLayoutManager", "takenKeys", *(widget.__name__ for widget in WIDGETS)]
