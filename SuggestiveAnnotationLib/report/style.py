"""How figures look, and how they enter the page. Figures are `matplotlib.figure.Figure` objects; the pyplot state is never touched."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette for colour-blind readers, without yellow (invisible on white) and with black kept for means.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # seven, so that colour and shape together repeat only after 42 classes
INK, MUTED, GRID = "#1d2733", "#5b6875", "#e3e8ed"
HATCHES = ("", "///", "\\\\\\", "---", "xx", "|||", "++")  # lines only: dots make an SVG six times as large

MOST_CLASSES = 12
"""Classes that get a panel of their own; the tables hold every class."""

PANEL = (3.9, 3.1)
"""Inches of a small panel; a page shows it about 370 pixels wide, so that 9.5 points are read as 12 pixels."""


@dataclass(frozen=True)
class Mark:
    """Colour and shape of one class: either alone is not enough for every reader."""

    colour: str
    marker: str


def mark(index: int) -> Mark:
    """The look of the class at `index` of the schema."""
    return Mark(PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)])


@dataclass(frozen=True)
class Panel:
    """A figure with the words that go with it.

    Attributes:
        name: short, unique on the page; usable in an id.
        alt: what the figure shows, for who does not see it.
        caption: shown under the figure; may be empty.
    """

    name: str
    figure: Figure
    alt: str
    caption: str = ""


def new_figure(size: tuple[float, float] = PANEL) -> tuple[Figure, Axes]:
    """A white figure with one axes, in the style of the page."""
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    dress(axes)
    return figure, axes


def dress(axes: Axes) -> None:
    """Quiet axes: no box, light horizontal grid."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, colors=MUTED, labelcolor=INK)


def name_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axis names with units, and a title at the left."""
    axes.set_xlabel(plain(x), fontsize=9.5, color=INK)
    axes.set_ylabel(plain(y), fontsize=9.5, color=INK)
    if title:
        axes.set_title(plain(title), loc="left", fontsize=10.5, fontweight="bold", color=INK)


def plain(text: str) -> str:
    """Text that matplotlib must not read as mathematics: a case may be called `$x_1$`."""
    return text.replace("$", r"\$")


def to_svg(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as SVG; text becomes paths, rasterised artists PNG at `dpi`. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "report", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()


def to_png(figure: Figure, *, dpi: int = 120) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg_uri(figure: Figure) -> str:
    """The figure as a `data:` address of an SVG."""
    return "data:image/svg+xml;base64," + base64.b64encode(to_svg(figure)).decode()


def png_uri(figure: Figure, *, dpi: int = 120) -> str:
    """The figure as a `data:` address of a PNG."""
    return "data:image/png;base64," + base64.b64encode(to_png(figure, dpi=dpi)).decode()
