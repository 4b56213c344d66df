"""Annotated slices with the outline that was shown (dashed) and the outline that was accepted (solid)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from SuggestiveAnnotationLib.report.data import GalleryItem
from SuggestiveAnnotationLib.report.style import Panel, mark
from SuggestiveAnnotationLib.types import Plane

_INCHES = 2.6
_SIDES: dict[Plane, tuple[str, str]] = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
"""Letters of the left and right image edge: columns run towards the patient's left (axial, coronal) or back (sagittal)."""

_ASPECT = (0.6, 1.5)
_MARGIN_MM = 15.0
_TINT = 0.35  # share of the class colour that is left in a dashed line; the rest is white


def slice_panel(item: GalleryItem, classes: Mapping[str, int]) -> Panel:
    """The slice in its true proportions, cropped to what is annotated or predicted with a margin around it."""
    rows, columns = _window(item)
    image = np.nan_to_num(np.asarray(item.image[rows, columns], np.float32))
    height, width = image.shape[0] * item.spacing[0], image.shape[1] * item.spacing[1]
    figure = Figure(figsize=(_INCHES, _INCHES * min(max(height / width, _ASPECT[0]), _ASPECT[1])), facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    low, high = np.percentile(image, (1, 99.5))
    aspect = item.spacing[0] / item.spacing[1]
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect, interpolation="bilinear")
    for index, value in enumerate(classes.values()):
        colour = mark(index).colour
        _outline(axes, item.final[rows, columns] == value, colour, dashed=False)
        if item.prediction is not None:
            _outline(axes, item.prediction[rows, columns] == value, colour, dashed=True)
    for letter, x, side in zip(_SIDES[item.plane], (0.03, 0.97), ("left", "right"), strict=True):
        text = axes.text(x, 0.5, letter, transform=axes.transAxes, color="white", fontsize=10, ha=side, va="center", fontweight="bold")
        text.set_path_effects([withStroke(linewidth=2.5, foreground="black")])
    shown = "with the outline of the pre-annotation dashed" if item.prediction is not None else "no pre-annotation was shown"
    alt = f"{item.plane} slice {item.slice_number} of case {item.case}; accepted outline solid, {shown}."
    return Panel(f"slice-{item.case}-{item.slice_number}-{item.round}", figure, alt)


def _window(item: GalleryItem) -> tuple[slice, slice]:
    """Rows and columns around the labels; the whole slice where there are none."""
    marked = item.final > 0
    if item.prediction is not None:
        marked |= item.prediction > 0
    if not marked.any():
        return slice(None), slice(None)
    rows, columns = np.nonzero(marked)
    return _span(rows, item.spacing[0]), _span(columns, item.spacing[1])


def _span(used: NDArray[np.intp], spacing: float) -> slice:
    places = np.unique(used)
    margin = max((places[-1] - places[0]) // 4, round(_MARGIN_MM / spacing))
    return slice(max(0, int(places[0] - margin)), int(places[-1] + margin + 1))


def _outline(axes: Axes, mask: NDArray[Any], colour: str, *, dashed: bool) -> None:
    """The border of a mask, also where it meets the edge of the picture. Dashed lines take a light tint, to be seen on the solid ones."""
    if not mask.any():
        return
    padded = np.pad(mask.astype(np.float32), 1)
    x, y = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
    red, green, blue = (1 - _TINT * (1 - part) if dashed else part for part in to_rgb(colour))
    style, width = ((0, (3.5, 2.5)), 1.1) if dashed else ("-", 1.7)
    contour = axes.contour(x, y, padded, levels=[0.5], colors=[(red, green, blue)], linewidths=width, linestyles=[style])
    contour.set_path_effects([withStroke(linewidth=width + 1.0, foreground="black", alpha=0.5)] if not dashed else [])
