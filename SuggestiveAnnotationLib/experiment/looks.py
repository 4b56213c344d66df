"""How arms are told apart in figures: a style of line a family, a colour and a mark each for at most six of them, grey for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from SuggestiveAnnotationLib.experiment.families import Family
from SuggestiveAnnotationLib.experiment.results import LOWER_IS_BETTER, ArmResult, Gain, Results
from SuggestiveAnnotationLib.report.style import MARKERS, PALETTE

MOST = 6
GREY = "#9aa5b0"
STYLES: Mapping[Family, Any] = {
    "gradient-guided": "-",
    "chance and spacing": "--",
    "uncertainty": ":",
    "coverage": "-.",
    "sees the reference": (0, (6, 1.5, 1, 1.5, 1, 1.5)),
}


@dataclass(frozen=True)
class Look:
    """Of one arm. `marker` is "" where it is not highlighted."""

    colour: str
    style: Any
    marker: str

    @property
    def highlighted(self) -> bool:
        """Among the six."""
        return bool(self.marker)


def by_area(results: Results) -> list[ArmResult]:
    """Arms, best area over the primary cost first; those without one last."""
    sign = -1.0 if results.metric in LOWER_IS_BETTER else 1.0

    def place(arm: ArmResult) -> float:
        found = arm.area[results.over].mean
        return inf if found is None else -sign * found

    return sorted(results.arms, key=place)


def by_gain(results: Results) -> list[Gain]:
    """Gains over the baseline, the largest over the primary cost first."""
    return sorted(results.gains, key=lambda one: -(one.over[results.over].mean or 0.0))


def highlighted(results: Results) -> tuple[str, ...]:
    """At most six arms: the baseline, those of endpoints, then those with the best area over the primary cost; in the plan's order."""
    there = {arm.name for arm in results.arms}
    named = [results.baseline, *(name for one in results.endpoints for name in (one.endpoint.arm, one.endpoint.against))]
    first = [name for name in dict.fromkeys([*named, *(arm.name for arm in by_area(results))]) if name in there][:MOST]
    return tuple(arm.name for arm in results.arms if arm.name in first)


def looks(results: Results) -> dict[str, Look]:
    """Arm -> its look, the same in every figure."""
    places = {name: place for place, name in enumerate(highlighted(results))}
    return {
        arm.name: Look(PALETTE[places[arm.name]], STYLES[arm.family], MARKERS[places[arm.name]])
        if arm.name in places
        else Look(GREY, STYLES[arm.family], "")
        for arm in results.arms
    }
