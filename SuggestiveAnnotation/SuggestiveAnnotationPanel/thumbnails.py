"""Small pictures of slices with the outlines of what is drawn on them, made one at a time when nothing else is going on."""

from __future__ import annotations

import numpy as np
import qt

from . import pictures
from .connect import connect
from .pictures import shades

SIDE = 80
"""Pixels, twice what a list shows: sharp also on dense screens."""


class Thumbnails:
    """Makes icons of slices from the prepared arrays of a study; nothing is read that is not on this computer already.

    Args:
        workspace: its study and session.
        ready: called with a slice and its `qt.QIcon`.
    """

    def __init__(self, workspace, ready):
        self._workspace, self._ready = workspace, ready
        self._icons, self._waiting = {}, {}
        self._timer = qt.QTimer()
        self._timer.setInterval(15)
        connect(self._timer, "timeout()", self._makeOne)

    def want(self, ref, version):
        """Have an icon made, unless there is one of this version; an older one is given meanwhile, or None."""
        kept, icon = self._icons.get(ref, (None, None))
        self._waiting.pop(ref, None)
        if kept != version:
            self._waiting[ref] = version
            if not self._timer.isActive():
                self._timer.start()
        return icon

    def forget(self):
        """Another study, or another reader who sees other labels."""
        self._icons, self._waiting = {}, {}
        self._timer.stop()

    def _makeOne(self):
        if not self._waiting or self._workspace.study is None:
            self._timer.stop()
            return
        ref = next(iter(self._waiting))
        version = self._waiting.pop(ref)
        icon = qt.QIcon(pictures.pixmap(thumbnail(self._workspace, ref)))
        self._icons[ref] = (version, icon)
        self._ready(ref, icon)

    def cleanup(self):
        """Stop."""
        self.forget()


def thumbnail(workspace, ref):
    """RGB `(SIDE, SIDE, 3)` of the head in a slice, with outlines in the colours of the schema."""
    study = workspace.study
    case = study.slices(ref.case)
    channel = study.modalities.index(study.reference_modality)
    box = case.box
    rows, columns = sampling(box, case.spacing[1:], SIDE)
    image = np.asarray(case.images[ref.native_index, channel])[np.ix_(rows, columns)]
    labels = workspace.session.shown_labels(ref).labels[np.ix_(rows, columns)]
    colours = {one.value: one.colour for one in study.schema.classes}
    return squared(pictures.outlined(shades(image), labels, colours), SIDE)


def sampling(box, spacing, side):
    """Rows and columns to show of a box, with square pixels, at most `side` each.

    Args:
        box: first row, last row + 1, first column, last column + 1.
        spacing: millimetres between rows and between columns.
    """
    top, bottom, left, right = box
    height, width = (bottom - top) * spacing[0], (right - left) * spacing[1]
    step = max(height, width) / side
    return tuple(
        start + ((np.arange(max(1, round(length / step))) + 0.5) * step / pixel).astype(int).clip(0, stop - start - 1)
        for start, stop, length, pixel in ((top, bottom, height, spacing[0]), (left, right, width, spacing[1]))
    )


def squared(pixels, side):
    """Pixels in the middle of a black square."""
    out = np.zeros((side, side, 3), np.uint8)
    rows, columns = pixels.shape[:2]
    top, left = (side - rows) // 2, (side - columns) // 2
    out[top : top + rows, left : left + columns] = pixels
    return out
