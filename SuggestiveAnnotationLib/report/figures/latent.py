"""The pool in latent space: what is annotated, what is suggested, and where the gradients pointed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from SuggestiveAnnotationLib.report.data import POINT_STATES, Arrow, LatentMap, Point
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.report.style import BLUE, GREEN, INK, ORANGE, PURPLE, Panel, mark, name_axes, new_figure, plain

_LOOK = {  # state -> (colour, marker, size in points squared)
    "unlabelled": ("#b3bcc6", ".", 5.0),
    "labelled": (BLUE, "o", 30.0),
    "suggested": (ORANGE, "D", 38.0),
    "skipped": (PURPLE, "X", 40.0),
    "audit": (GREEN, "^", 44.0),
}
_SIZE = (6.0, 4.9)
_CASES_SHOWN = 6
_MANY = 2000  # above this many points a scatter is drawn as pixels, else the SVG grows by 100 bytes a point


def latent_panels(latents: LatentMap) -> tuple[Panel, ...]:
    """The map by state with the arrows of the choices, and the same map by case."""
    return (_by_state(latents), _by_case(latents))


def _by_state(latents: LatentMap) -> Panel:
    figure, axes = new_figure(_SIZE)
    axes.grid(False)
    handles, words = [], []
    for index, state in enumerate(POINT_STATES):
        points = latents.points[latents.states == index]
        if not len(points):
            continue
        colour, marker, size = _LOOK[state]
        edge = "none" if state == "unlabelled" else "white"
        dots = axes.scatter(points[:, 0], points[:, 1], s=size, c=colour, marker=marker, edgecolors=edge, linewidths=0.6, zorder=2 + index)
        dots.set_rasterized(len(points) > _MANY)
        words.append(f"{len(points):,} {state}")
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=words[-1]))
    for number, arrow in enumerate(latents.arrows):
        _arrow(axes, arrow, named=number < 3)
    if latents.arrows:
        handles += [
            Line2D([], [], color=INK, linewidth=1.3, marker="x", markersize=6, label="gradient: source to projected point"),
            Line2D([], [], color=INK, linewidth=1.0, linestyle=":", label="nearest slice that was chosen"),
        ]
    _aim(axes, latents)
    name_axes(axes, *latents.axes, "By state")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, fontsize=9, frameon=False)
    drawn = f" {count(len(latents.arrows), 'arrow')} from an annotated source to the slice its gradient led to." if latents.arrows else ""
    return Panel("latent-state", figure, f"Latent map of the pool: {', '.join(words)}.{drawn}")


def _by_case(latents: LatentMap) -> Panel:
    figure, axes = new_figure(_SIZE)
    axes.grid(False)
    dots = axes.scatter(latents.points[:, 0], latents.points[:, 1], s=5, c="#d5dbe1", marker=".", linewidths=0, zorder=1)
    dots.set_rasterized(len(latents.points) > _MANY)
    busy = Counter(latents.case_of[latents.states != 0].tolist())
    chosen = [case for case, _ in busy.most_common(_CASES_SHOWN)] or list(range(min(_CASES_SHOWN, len(latents.cases))))
    handles = []
    for place, case in enumerate(sorted(chosen)):
        look = mark(place)
        path = latents.points[latents.case_of == case]
        every = max(1, len(path) // 12)
        (line,) = axes.plot(path[:, 0], path[:, 1], color=look.colour, marker=look.marker, markevery=every, markersize=5, linewidth=1.1)
        line.set(alpha=0.9, zorder=2)
        label = plain(_short(latents.cases[case]))
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linewidth=1.1, markersize=6, label=label))
    rest = len(latents.cases) - len(chosen)
    if rest:
        handles.append(Line2D([], [], color="#b3bcc6", marker=".", linestyle="", label=count(rest, "other case")))
    _aim(axes, latents)
    name_axes(axes, *latents.axes, "By case, slices joined in order")
    widest = max((len(str(handle.get_label())) for handle in handles), default=0)
    columns = 3 if widest <= 14 else 2 if widest <= 26 else 1
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=columns, fontsize=9, frameon=False)
    names = ", ".join(latents.cases[case] for case in sorted(chosen))
    return Panel("latent-case", figure, f"The same latent map with the slices of each case joined in order, for {names}.")


def _arrow(axes: Axes, arrow: Arrow, *, named: bool) -> None:
    """Source to projected point as an arrow, projected point to the chosen slice dotted."""
    axes.add_patch(_patch(arrow.source, arrow.projected, arrowstyle="-|>", linestyle="-", linewidth=1.3))
    axes.add_patch(_patch(arrow.projected, arrow.chosen, arrowstyle="-", linestyle=":", linewidth=1.0))
    axes.plot(*arrow.projected, marker="x", color=INK, markersize=6, markeredgewidth=1.3, zorder=9)
    if named and arrow.label:
        axes.annotate(
            plain(arrow.label),
            arrow.chosen,
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            zorder=10,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
        )


def _patch(start: Point, end: Point, *, arrowstyle: str, linestyle: str, linewidth: float) -> FancyArrowPatch:
    patch = FancyArrowPatch(start, end, arrowstyle=arrowstyle, linestyle=linestyle, linewidth=linewidth, shrinkA=0, shrinkB=0)
    patch.set(color=INK, mutation_scale=9, zorder=8)
    return patch


def _aim(axes: Axes, latents: LatentMap) -> None:
    """Limits that hold every point and every arrow."""
    corners: Sequence[Point] = [p for a in latents.arrows for p in (a.source, a.projected, a.chosen)]
    places = np.concatenate([latents.points, np.reshape(corners, (-1, 2))])
    low, high = places.min(0), places.max(0)
    margin = np.where(high > low, (high - low) * 0.06, 0.5)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _short(name: str, longest: int = 22) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
