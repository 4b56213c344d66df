"""Training losses and where the computer's time went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.report.data import LossCurve, ReportData, RoundRow
from SuggestiveAnnotationLib.report.numbers import count, duration
from SuggestiveAnnotationLib.report.style import (
    BLUE,
    HATCHES,
    INK,
    MARKERS,
    PALETTE,
    SKY,
    Panel,
    name_axes,
    new_figure,
    plain,
)

_DRAWN = 400  # points of a loss curve; more are not seen


def loss_panels(data: ReportData) -> tuple[Panel, ...]:
    """Segmentation: one panel, a line a round. Manifold: a panel for each of its losses."""
    segmentation = [c for c in data.losses if c.model == "segmentation"]
    manifold = [c for c in data.losses if c.model == "manifold"]
    names = sorted({name for c in manifold for name in c.losses}, reverse=True)
    panels = [_panel(segmentation, name, "Segmentation network") for name in sorted({n for c in segmentation for n in c.losses})]
    panels += [_panel(manifold, name, "Manifold (VAE)") for name in names]
    return tuple(panels)


def _panel(curves: Sequence[LossCurve], name: str, title: str) -> Panel:
    figure, axes = new_figure()
    shown = [c for c in curves if name in c.losses]
    words = []
    for place, curve in enumerate(shown):
        steps, values = _thin(curve.steps), _thin(curve.losses[name])
        shade = place / max(1, len(shown) - 1)
        colour = BLUE if len(shown) == 1 else _between(SKY, INK, shade)
        label = "before round 1" if curve.round is None else f"round {curve.round}"
        (line,) = axes.plot(steps, values, color=colour, linewidth=1.5, marker=MARKERS[place % len(MARKERS)], markersize=4, label=label)
        line.set_markevery(max(1, len(steps) // 6))
        words.append(f"{label} from {values[0]:.3g} to {values[-1]:.3g}")
    name_axes(axes, "optimiser step", _loss_name(name), title)
    if len(shown) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=2 if len(shown) > 5 else 1)
    return Panel(f"loss-{title}-{name}", figure, f"{title}, {_loss_name(name)}: {'; '.join(words)}.")


def _loss_name(name: str) -> str:
    known = {
        "loss": "training loss",
        "reconstruction": "squared error, summed",
        "kl": "KL divergence (nats)",
    }
    return known.get(name, f"{name} (training loss)")


def _thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[:: max(1, len(values) // _DRAWN)]


def _between(start: str, end: str, share: float) -> tuple[float, float, float]:
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c in (start, end))
    red, green, blue = (a + (b - a) * share).tolist()
    return (red, green, blue)


def seconds_panel(rounds: Sequence[RoundRow]) -> Panel | None:
    """Stacked bars, one a round, a part a stage. None where no stage was timed."""
    timed = [r for r in rounds if any(r.seconds.values())]
    if not timed:
        return None
    stages = list(dict.fromkeys(stage for r in timed for stage in r.seconds))
    figure, axes = new_figure((8.0, 1.3 + 0.36 * len(timed)))
    scale, unit = (60.0, "min") if max(sum(r.seconds.values()) for r in timed) > 180 else (1.0, "s")
    left = np.zeros(len(timed))
    for place, stage in enumerate(stages):
        part = np.array([r.seconds.get(stage, 0.0) for r in timed]) / scale
        colour, hatch = PALETTE[place % len(PALETTE)], HATCHES[place % len(HATCHES)]
        axes.barh(range(len(timed)), part, 0.62, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.6, label=plain(stage))
        left += part
    for place, (row, end) in enumerate(zip(timed, left, strict=True)):
        words = duration(sum(row.seconds.values()))
        axes.annotate(words, (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(timed)), labels=[f"round {r.number}" for r in timed])
    axes.set_xlim(0, left.max() * 1.12)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e3e8ed", linewidth=0.8)
    name_axes(axes, f"computing time ({unit})", "")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(5, len(stages)), fontsize=9, frameon=False)
    words = "; ".join(f"round {r.number} {duration(sum(r.seconds.values()))}" for r in timed)
    return Panel("seconds", figure, f"Computing time by stage in {count(len(timed), 'round')}: {words}.")
