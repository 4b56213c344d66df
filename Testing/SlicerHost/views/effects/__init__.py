"""The effects of the segment editor, by their names and in Slicer's order."""

from .base import qSlicerSegmentEditorAbstractEffect
from .outline import SegmentEditorDrawEffect, qSlicerSegmentEditorScissorsEffect
from .paint import qSlicerSegmentEditorEraseEffect, qSlicerSegmentEditorPaintEffect
from .whole import (
    SegmentEditorFillBetweenSlicesEffect,
    SegmentEditorIslandsEffect,
    SegmentEditorSmoothingEffect,
    SegmentEditorThresholdEffect,
)

EFFECTS = (
    SegmentEditorThresholdEffect,
    qSlicerSegmentEditorPaintEffect,
    SegmentEditorDrawEffect,
    qSlicerSegmentEditorEraseEffect,
    SegmentEditorFillBetweenSlicesEffect,
    SegmentEditorSmoothingEffect,
    qSlicerSegmentEditorScissorsEffect,
    SegmentEditorIslandsEffect,
)

__all__ = ["EFFECTS", "qSlicerSegmentEditorAbstractEffect"]
