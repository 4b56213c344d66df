"""From numpy to Qt: small pictures of slices, strips and decoded images."""

from __future__ import annotations

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

DARK = 1
"""Percentile shown as black."""


def pixmap(pixels):
    """A `qt.QPixmap` of an RGB array `(row, column, 3)`, uint8, first row on top."""
    rows, columns, _channels = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    # VTK's first row is at the bottom.
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(pixels[::-1]).reshape(-1, 3), deep=True))
    picture = qt.QImage()
    slicer.qMRMLUtils().vtkImageDataToQImage(image, picture)
    return qt.QPixmap.fromImage(picture)


def shades(values, bright=99.5):
    """Images of any values, `(..., row, column)`, as RGB `(..., row, column, 3)` on one scale, from dark to the percentile `bright`."""
    values = np.asarray(values, np.float32)
    low, high = np.percentile(values, (DARK, bright))
    levels = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=-1)


def outlined(pixels, labels, colours):
    """RGB pixels with the borders of labels drawn in; both of one size. `colours`: value -> (red, green, blue)."""
    out = pixels.copy()
    border = np.zeros(labels.shape, bool)
    border[:-1] |= labels[:-1] != labels[1:]
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    for value, colour in colours.items():
        out[border & (labels == value)] = colour
    return out
