"""Learning curves: Dice over what annotation cost, and over rounds for each class with every held-out case as a dot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from SuggestiveAnnotationLib.report.data import ReportData, RoundRow
from SuggestiveAnnotationLib.report.numbers import case_dice, count, decimal, dice_rounds, mean_dice
from SuggestiveAnnotationLib.report.style import INK, MOST_CLASSES, MUTED, Mark, Panel, mark, name_axes, new_figure

MEAN = "mean of classes"
CLASSES_TOGETHER = 6
"""With more classes than this the cost panels show their mean alone: nobody can follow more lines in one panel."""

_MANY_DOTS = 150  # above this many dots of single cases a panel draws them as pixels


def cost_panels(data: ReportData) -> tuple[Panel, ...]:
    """Dice per class and their mean over slices, contour length and minutes; an axis that is not known has no panel."""
    rounds = _measured(data)
    simulated = any(r.simulated for r in rounds if r.minutes is not None)
    axes: tuple[tuple[str, str, list[float | None]], ...] = (
        ("slices", "annotated slices", [float(r.slices) for r in rounds]),
        ("contour", "contour drawn (m, pixel edges)", [None if r.contour_mm is None else r.contour_mm / 1000 for r in rounds]),
        ("minutes", f"{'simulated' if simulated else 'measured'} annotation time (min)", [r.minutes for r in rounds]),
    )
    return tuple(_cost_panel(data, rounds, name, label, x) for name, label, x in axes if any(v is not None for v in x))


def class_panels(data: ReportData) -> tuple[Panel, ...]:
    """One panel for the mean, each class and each region: a faint line and dots a held-out case, a strong line their mean."""
    rounds = _measured(data)
    looks: list[tuple[str | None, str, Mark]] = [(None, MEAN, Mark(INK, "o"))]
    looks += [(name, name, mark(i)) for i, name in enumerate(list(data.classes)[:MOST_CLASSES])]
    looks += [(name, f"{name} (region)", Mark(MUTED, "s")) for name in data.regions]
    measured = {d.label for d in data.dice}
    return tuple(_class_panel(data, rounds, *look) for look in looks if look[0] is None or look[0] in measured)


def _measured(data: ReportData) -> tuple[RoundRow, ...]:
    """Rounds with Dice, fewest slices first."""
    with_dice = set(dice_rounds(data))
    return tuple(sorted((r for r in data.rounds if r.number in with_dice), key=lambda r: (r.slices, r.number)))


def _cost_panel(data: ReportData, rounds: Sequence[RoundRow], name: str, label: str, x: Sequence[float | None]) -> Panel:
    figure, axes = new_figure()
    known = [(at, r) for at, r in zip(x, rounds, strict=True) if at is not None]
    for i, class_name in enumerate(data.classes if len(data.classes) <= CLASSES_TOGETHER else ()):
        look = mark(i)
        points = [(at, mean_dice(data, class_name, r.number)) for at, r in known]
        _line(axes, points, look.colour, look.marker, width=1.4, size=5)
    dots = [(at, value) for at, r in known for value in case_dice(data, None, r.number).values() if value is not None]
    if dots:
        axes.scatter([at for at, _ in dots], [value for _, value in dots], s=9, color=MUTED, alpha=0.5, linewidths=0, zorder=2)
    means = [(at, mean_dice(data, None, r.number)) for at, r in known]
    _line(axes, means, INK, "o", width=2.6, size=6)
    _frame(axes, [at for at, _ in known])
    name_axes(axes, label, "Dice, held-out cases")
    drawn = [(at, value) for at, value in means if value is not None]
    alt = f"Dice over {label}."
    if drawn:
        (first, low), (last, high) = drawn[0], drawn[-1]
        alt = f"Mean Dice over {label}: {decimal(low)} at {first:,.4g}, {decimal(high)} at {last:,.4g}."
    return Panel(f"dice-{name}", figure, alt)


def _class_panel(data: ReportData, rounds: Sequence[RoundRow], label: str | None, title: str, look: Mark) -> Panel:
    figure, axes = new_figure()
    values = [case_dice(data, label, r.number) for r in rounds]
    slices = [float(r.slices) for r in rounds]
    cases = sorted({case for row in values for case in row})
    pixels = len(cases) * len(rounds) > _MANY_DOTS
    for case in cases:
        points = [(at, row.get(case)) for at, row in zip(slices, values, strict=True)]
        _line(axes, points, look.colour, look.marker, width=0.7, size=3.5, alpha=0.4).set_rasterized(pixels)
    means = [(r, mean_dice(data, label, r.number)) for r in rounds]
    _line(axes, [(float(r.slices), value) for r, value in means], look.colour, look.marker, width=2.6, size=6.5)
    _frame(axes, slices)
    name_axes(axes, "annotated slices", "Dice", title)
    defined = [decimal(value) for _, value in means if value is not None]
    course = f"mean {' then '.join(defined)}" if defined else "undefined in every case"
    return Panel(f"dice-of-{title}", figure, f"3D Dice of {title} by annotated slices, {count(len(cases), 'held-out case')}: {course}.")


def _line(
    axes: Axes, points: Sequence[tuple[float, float | None]], colour: str, marker: str, *, width: float, size: float, alpha: float = 1.0
) -> Line2D:
    """A line with marks; a gap where the value is undefined."""
    x = [at for at, _ in points]
    y = [np.nan if value is None else value for _, value in points]
    edge = "white" if alpha == 1.0 else "none"
    (line,) = axes.plot(
        x, y, color=colour, linewidth=width, marker=marker, markersize=size, markeredgecolor=edge, markeredgewidth=0.7, alpha=alpha
    )
    return line


def _frame(axes: Axes, x: Sequence[float]) -> None:
    """Dice from 0 to 1 always, so that a small gain looks small; x from zero."""
    axes.set_ylim(0, 1.02)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.set_xlim(0, max(x, default=1.0) * 1.06 or 1.0)
    axes.locator_params(axis="x", nbins=6)
