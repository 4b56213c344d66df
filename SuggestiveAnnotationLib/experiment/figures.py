"""Figures of a comparison. Legends lie outside the axes; every figure tells in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from SuggestiveAnnotationLib.experiment.curves import COSTS
from SuggestiveAnnotationLib.experiment.looks import GREY, Look, by_area, by_gain, highlighted, looks
from SuggestiveAnnotationLib.experiment.plan import Over
from SuggestiveAnnotationLib.experiment.results import MEAN, Ablation, ArmResult, Results
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.words import COST_WORDS, interval_words
from SuggestiveAnnotationLib.report.numbers import count, decimal, percent
from SuggestiveAnnotationLib.report.style import INK, MUTED, Panel, dress, name_axes, new_figure, plain

AXIS: dict[Over, tuple[str, float]] = {
    "minutes": ("simulated annotation time (min)", 1.0),
    "slices": ("annotated slices", 1.0),
    "contour_mm": ("contour drawn (m, pixel edges)", 1000.0),
}
_LEGEND_COLUMNS = 3


def learning_panel(results: Results) -> Panel:
    """The primary metric over each cost, with bands for the two arms of most interest; points are means over runs of cost and metric."""
    figure = _figure((11.0, 4.6))
    axes = figure.subplots(1, 3, sharey=True)
    looked, banded = looks(results), _banded(results)
    for place, (over, one) in enumerate(zip(COSTS, axes, strict=True)):
        dress(one)
        for arm in _behind(results.arms, looked):
            _curve(one, arm, over, looked[arm.name], band=arm.name in banded)
        name_axes(one, AXIS[over][0], f"{results.measure}, mean over people" if place == 0 else "")
        one.locator_params(axis="x", nbins=6)
    # Shared by all three.
    axes[0].set_ylim(_possible(results.metric, axes[0].get_ylim()))
    _legend(figure, results, looked)
    words = "; ".join(f"{a.name} from {decimal(a.curve[0].metric.mean, 3)} to {decimal(a.curve[-1].metric.mean, 3)}" for a in results.arms)
    caption = (
        f"Bands ({' and '.join(banded)}) are 95 % intervals of an arm by itself, over people and seeds; differences of arms are known "
    )
    caption += "better, since they are paired: see the gains. The vertical axis does not begin at 0."
    return Panel("learning", figure, f"{results.measure} over {', '.join(COST_WORDS.values())}: {words}.", caption)


def _banded(results: Results) -> tuple[str, ...]:
    """The baseline, and the arm of the primary endpoint or else the best one: more bands than two cannot be told apart."""
    primary = [one.endpoint.arm for one in results.endpoints if one.primary]
    others = [*primary, *(arm.name for arm in by_area(results))]
    first = next((name for name in others if name != results.baseline), None)
    there = {arm.name for arm in results.arms}
    return tuple(name for name in (results.baseline, first) if name in there)


def _possible(metric: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Limits of an axis without what the metric cannot be: an interval of few people may reach below no overlap and above all."""
    low, high = limits
    return (max(low, 0.0), min(high, 1.0)) if "dice" in metric else limits


def _curve(axes: Axes, arm: ArmResult, over: Over, look: Look, *, band: bool) -> None:
    stands = [one for one in arm.curve if one.metric.mean is not None]
    x = [getattr(one, over) / AXIS[over][1] for one in stands]
    y = [one.metric.mean for one in stands]
    width, layer = (2.0, 3) if look.highlighted else (0.9, 2)
    axes.plot(x, y, color=look.colour, linestyle=look.style, linewidth=width, marker=look.marker, markersize=5, zorder=layer)  # type: ignore[arg-type]
    known = [(at, one.metric.low, one.metric.high) for at, one in zip(x, stands, strict=True) if one.metric.low is not None]
    if band and known:
        at, low, high = zip(*known, strict=True)
        axes.fill_between(at, low, high, color=look.colour, alpha=0.10, linewidth=0, zorder=1)


def area_panel(results: Results) -> Panel:
    """Area under the curve of every arm, and its gain over the baseline, best first."""
    order = by_area(results)
    figure = _figure((10.0, 1.7 + 0.27 * len(order)))
    left, right = figure.subplots(1, 2, sharey=True)
    looked = looks(results)
    gains = {gain.arm: gain for gain in results.gains}
    for row, arm in enumerate(order):
        look = looked[arm.name]
        colour = look.colour if look.highlighted else MUTED
        _bar(left, arm.area[results.over], row, colour, look.marker or "o")
        if arm.area[results.over].mean is None:
            left.text(
                0.02, row, "spends too little to be compared", transform=left.get_yaxis_transform(), fontsize=8, color=MUTED, va="center"
            )
        if arm.name in gains:
            _bar(right, gains[arm.name].over[results.over], row, colour, look.marker or "o")
    left.set_xlim(_possible(results.metric, left.get_xlim()))
    for axes in (left, right):
        _rows(axes, len(order))
    left.set_yticks(range(len(order)), labels=[plain(arm.name) for arm in order])
    name_axes(left, f"mean {results.measure} under the curve", "", f"Over {COST_WORDS[results.over]}")
    _zero(right, results.margin)
    name_axes(right, f"gain over {results.baseline} in {results.measure} (positive is better)", "", f"Against {results.baseline}")
    words = "; ".join(f"{arm.name} {interval_words(arm.area[results.over])}" for arm in order)
    caption = f"Bars are 95 % intervals; the shaded strip is the margin of ±{results.margin:g} that does not matter."
    return Panel("area", figure, f"Area under {results.measure} over {COST_WORDS[results.over]}: {words}.", caption)


def gains_panel(results: Results) -> Panel | None:
    """Gains over the baseline of the highlighted arms, a dot a seed and a dot a person. None where there is nothing to compare."""
    chosen = [gain for gain in by_gain(results) if gain.arm in highlighted(results) and gain.at_once.mean is not None]
    if not chosen:
        return None
    several = max(len(gain.by_seed) for gain in chosen) > 1
    figure = _figure((10.0 if several else 8.0, 1.6 + 0.5 * len(chosen)))
    grid = figure.subplots(1, 2 if several else 1, sharey=True, squeeze=False)[0]
    looked = looks(results)
    for axes, title in zip(grid, ("seed by seed", "person by person")[-len(grid) :], strict=True):
        for row, gain in enumerate(chosen):
            known = list(gain.by_seed.values()) if title == "seed by seed" else [one for one in gain.by_person if one is not None]
            spread = row + 0.3 * (np.arange(len(known)) % 5 - 2) / 2.5
            axes.scatter(known, spread, s=22, color=looked[gain.arm].colour, alpha=0.7, linewidths=0, zorder=2)
            axes.plot([np.mean(known)] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=2.2, zorder=3)
        _rows(axes, len(chosen))
        _zero(axes, results.margin)
        name_axes(axes, f"gain over {results.baseline} in {results.measure} (positive is better)", "", title)
    grid[0].set_yticks(range(len(chosen)), labels=[plain(gain.arm) for gain in chosen])
    words = "; ".join(f"{g.arm}: {g.wins} people better, {g.ties} tied, {g.losses} worse" for g in chosen)
    caption = f"Area over {COST_WORDS[results.over]}; a line is the mean of its dots, the strip the margin of ±{results.margin:g}."
    if several:
        caption += " A dot on the left is the mean over people of one seed, which p-values go by. All people share all seeds, so dots on "
        caption += "the right are not independent of each other, and their counts are no test."
    return Panel("gains", figure, f"Gain over {results.baseline}: {words}.", caption)


def effort_panel(results: Results) -> Panel | None:
    """Saved effort on the slices that an arm chose, beside random slices of the same models and the grid's ceiling."""
    arms = [results.arm(name) for name in highlighted(results) if len(results.arm(name).effort) > 1]
    if not arms:
        return None
    columns = 2 if len(arms) == 4 else min(3, len(arms))
    rows = -(-len(arms) // columns)
    figure = _figure((max(6.8, 3.4 * columns + 0.4), 2.6 * rows + 0.7))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    looked = looks(results)
    ceiling = results.ceiling[MEAN].exact if results.ceiling else None
    shown = [share.exact or 0.0 for arm in arms for one in arm.effort for share in (one.chosen, one.random) if share is not None]
    top = min(102.0, 115 * max(ceiling or 0.0, *shown) + 2)
    for place, axes in enumerate(grid.flat):
        if place >= len(arms):
            axes.set_visible(False)
            continue
        dress(axes)
        arm = arms[place]
        batches = [one for one in arm.effort if one.batch > 0]
        x = [one.batch for one in batches]
        chosen = [_percent(one.chosen.exact) for one in batches]
        axes.plot(x, chosen, color=looked[arm.name].colour, linewidth=2.2, marker="o", markersize=5)
        at_random = [_percent(one.random.exact if one.random is not None else None) for one in batches]
        axes.plot(x, at_random, color=INK, linewidth=1.4, linestyle="--", marker="x", markersize=5)
        if ceiling is not None:
            axes.axhline(100 * ceiling, color=MUTED, linewidth=1.2, linestyle=":")
        axes.set_ylim(0, top)
        axes.set_xticks(x)
        axes.tick_params(labelbottom=place + columns >= len(arms))
        below = place + columns >= len(arms)
        name_axes(axes, "batch" if below else "", "saved effort C / L (%)" if place % columns == 0 else "", arm.name)
    handles = [
        Line2D([], [], color=GREY, linewidth=2.2, marker="o", markersize=5, label="slices that the arm chose"),
        Line2D([], [], color=INK, linewidth=1.4, linestyle="--", marker="x", markersize=5, label="random slices, same models"),
    ]
    if ceiling is not None:
        handles.append(Line2D([], [], color=MUTED, linewidth=1.2, linestyle=":", label="ceiling of the network grid"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    words = "; ".join(f"{a.name} {percent(a.effort[-1].chosen.exact)} on its own slices, {_at_random(a)} on random ones" for a in arms)
    return Panel("effort", figure, f"Saved effort over all batches: {words}; ceiling {percent(ceiling)}.")


def ablation_panels(results: Results) -> tuple[Panel, ...]:
    """One panel for each option in which alone arms differ."""
    return tuple(_ablation(one, place, results) for place, one in enumerate(results.ablations, start=1))


def _ablation(one: Ablation, place: int, results: Results) -> Panel:
    figure, axes = new_figure((max(4.2, 1.6 + 0.7 * len(one.points)), 3.3))
    for at, (_, arm, found) in enumerate(one.points):
        if found.mean is not None:
            look = looks(results)[arm]
            reach = None if found.low is None or found.high is None else [[found.mean - found.low], [found.high - found.mean]]
            colour = look.colour if look.highlighted else MUTED
            axes.errorbar([at], [found.mean], yerr=reach, fmt="o", color=colour, markersize=6, capsize=3, linewidth=1.5)
    axes.set_xticks(range(len(one.points)), labels=[plain(value) for value, _, _ in one.points])
    axes.set_xlim(-0.6, len(one.points) - 0.4)
    name_axes(axes, one.title, f"mean {results.measure}\nover {COST_WORDS[results.over]}", one.strategy)
    words = "; ".join(f"{value}: {interval_words(found)}" for value, _, found in one.points)
    return Panel(f"ablation-{place}", figure, f"{one.strategy}, {one.title}: {words}.")


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _behind(arms: Sequence[ArmResult], looked: dict[str, Look]) -> list[ArmResult]:
    return sorted(arms, key=lambda arm: looked[arm.name].highlighted)


def _legend(figure: Figure, results: Results, looked: dict[str, Look]) -> None:
    handles = []
    for name, look in looked.items():
        if look.highlighted:
            keys = {"color": look.colour, "linestyle": look.style, "marker": look.marker, "label": plain(name)}
            handles.append(Line2D([], [], linewidth=2.0, markersize=5, **keys))
    others = len(results.arms) - len(handles)
    if others:
        handles.append(Line2D([], [], color=GREY, linewidth=0.9, label=f"{count(others, 'other arm')}"))
    columns = min(_LEGEND_COLUMNS, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=4)


def _bar(axes: Axes, one: Interval, row: int, colour: str, marker: str) -> None:
    if one.mean is None:
        return
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [row, row], color=colour, linewidth=1.8, zorder=2)
    axes.plot([one.mean], [row], color=colour, marker=marker, markersize=6, markeredgecolor="white", markeredgewidth=0.6, zorder=3)


def _rows(axes: Axes, rows: int) -> None:
    """Arms from top to bottom, light vertical grid."""
    dress(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e3e8ed", linewidth=0.8)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.locator_params(axis="x", nbins=6)


def _zero(axes: Axes, margin: float) -> None:
    axes.axvspan(-margin, margin, color="#e3e8ed", zorder=0, linewidth=0)
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)


def _percent(value: float | None) -> float:
    return np.nan if value is None else 100 * value


def _at_random(arm: ArmResult) -> str:
    found = arm.effort[-1].random
    return percent(None if found is None else found.exact)
