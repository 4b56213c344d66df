"""Metrics, costs, grids and intervals as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.report.numbers import UNDEFINED
from SuggestiveAnnotationLib.types import GridSpacing

METRIC_WORDS = {
    "dice_3d": "3D Dice",
    "dice_2d": "2D Dice",
    "hd95_mm": "HD95 (mm)",
    "hausdorff_mm": "Hausdorff distance (mm)",
    "false_mm3_on_empty": "false volume on slices without the class (mm³)",
    "false_slices_on_empty": "slices with false volume",
    "predicted_mm3": "predicted volume (mm³)",
    "reference_mm3": "reference volume (mm³)",
    "penalised": "share of volumes with a penalty",
}
COST_WORDS = {"minutes": "simulated minutes", "slices": "annotated slices", "contour_mm": "contour length"}


def metric_words(metric: str) -> str:
    """A metric as a person reads it."""
    if metric.startswith("surface_dice_"):
        return f"surface Dice at {metric.removeprefix('surface_dice_').removesuffix('mm')} mm"
    return METRIC_WORDS.get(metric, metric.replace("_", " "))


def measure_words(metric: str, labels: Sequence[str]) -> str:
    """A metric and what it is averaged over, where that is not all classes."""
    return metric_words(metric) + (f" of {', '.join(labels)}" if labels else "")


def grid_words(pixels: int | None, spacing: GridSpacing | None) -> str:
    """What a plan says of the network grid."""
    words = [] if pixels is None else [f"{pixels} pixels"]
    if spacing is not None:
        words.append("the scans' own spacing" if spacing == "native" else f"{spacing:g} mm")
    return ", ".join(words)


def bounds_words(one: Interval, digits: int = 3, *, signed: bool = False, level: str = "") -> str:
    """`[0.690, 0.735]`, its level before the numbers where given; empty where one person or one run cannot say."""
    style = f"{'+' if signed else ''}z,.{digits}f"
    return "" if one.low is None or one.high is None else f"[{level}{one.low:{style}}, {one.high:{style}}]"


def interval_words(one: Interval, digits: int = 3, *, signed: bool = False) -> str:
    """`0.712 [0.690, 0.735]`, or a dash."""
    if one.mean is None:
        return UNDEFINED
    style = f"{'+' if signed else ''}z,.{digits}f"
    return f"{one.mean:{style}} {bounds_words(one, digits, signed=signed)}".rstrip()
