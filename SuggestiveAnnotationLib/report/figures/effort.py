"""Contour effort: one panel a class, one group of bars a round, with the ceiling that the network grid sets."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from SuggestiveAnnotationLib.report.data import Ceiling, Effort, EffortRow, Quantity, ReportData
from SuggestiveAnnotationLib.report.numbers import ALL_CLASSES, UNDEFINED, effort_of, percent
from SuggestiveAnnotationLib.report.style import BLUE, INK, MOST_CLASSES, ORANGE, SKY, Panel, name_axes, new_figure

MEASURES = (("exact", BLUE, ""), ("within 1 pixel", SKY, "///"), ("within 1 mm", ORANGE, "---"))
"""Name, colour and hatch of the three bars."""

_WIDTH = 0.26


def effort_panels(data: ReportData, quantity: Quantity, *, audit: bool = False) -> tuple[Panel, ...]:
    """Bars of one quantity for all classes together (sum C / sum L) and for each class."""
    rows = [row for row in data.effort if row.quantity == quantity and row.audit == audit]
    if not rows:
        return ()
    present = {row.label for row in rows}
    labels = [name for name in data.classes if name in present]
    labels += sorted(present - set(labels))
    several = len(labels) > 1
    ceilings = {c.label: c for c in data.ceilings}
    titles = [ALL_CLASSES] * several + labels[:MOST_CLASSES]
    return tuple(_panel(rows, label, quantity, ceilings.get(label), audit) for label in titles)


def _panel(rows: Sequence[EffortRow], label: str, quantity: Quantity, ceiling: Ceiling | None, audit: bool) -> Panel:
    figure, axes = new_figure()
    numbers = sorted({row.round for row in rows})
    words = []
    for place, number in enumerate(numbers):
        effort = effort_of(rows, label, number)
        values = _measures(effort)
        for offset, (value, (_, colour, hatch)) in enumerate(zip(values, MEASURES, strict=True)):
            # A tolerance that was not measured is no undefined share: it leaves no mark.
            if value is not None or effort is None or effort.exact is None:
                _bar(axes, place + (offset - 1) * _WIDTH, value, colour, hatch)
        words.append(f"round {number} {', '.join(f'{m[0]} {percent(v)}' for m, v in zip(MEASURES, values, strict=True))}")
    if ceiling is not None and ceiling.exact is not None:
        _ceiling(axes, ceiling.exact)
        words.append(f"ceiling of the grid {percent(ceiling.exact)} exact")
    every = -(-len(numbers) // 10)
    axes.set_xticks(range(0, len(numbers), every), labels=[str(n) for n in numbers[::every]])
    axes.set_xlim(-0.6, len(numbers) - 0.4)
    axes.set_ylim(0, 105)
    axes.tick_params(axis="x", length=0)
    name_axes(axes, "round", f"{quantity}, C / L (%)", label)
    kind = "audit" if audit else "all"
    return Panel(f"{quantity.lower().replace(' ', '-')}-{kind}-{label}", figure, f"{quantity} of {label}: {'; '.join(words)}.")


def _measures(effort: Effort | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if effort is None else (effort.exact, effort.within_1px, effort.within_1mm)


def _bar(axes: Axes, x: float, value: float | None, colour: str, hatch: str) -> None:
    if value is None:
        axes.annotate(UNDEFINED, (x, 0), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=9, color=INK)
        return
    axes.bar(x, 100 * value, _WIDTH * 0.92, color=colour, hatch=hatch, edgecolor="white", linewidth=0.6)


def _ceiling(axes: Axes, value: float) -> None:
    """A dashed line, named in the margin where no bar can hide it."""
    axes.axhline(100 * value, color=INK, linewidth=1.4, linestyle=(0, (5, 2)))
    axes.annotate(
        "ceiling\n(exact)",
        (1.0, 100 * value),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=INK,
        annotation_clip=False,
    )
