"""Which kind of strategy an arm runs: what figures and tables tell apart by the style of a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import entry, requirements

Family = Literal["gradient-guided", "chance and spacing", "uncertainty", "coverage", "sees the reference"]

_OF = {
    "consensus": "gradient-guided",
    "random": "chance and spacing",
    "strided": "chance and spacing",
    "widest-gap": "chance and spacing",
    "predicted-foreground-random": "chance and spacing",
    "random-direction": "chance and spacing",
    "core-set": "coverage",
    "core-set-network": "coverage",
    "typical-clustering": "coverage",
    "cluster-max-cover": "coverage",
    "badge": "coverage",
}


def family(strategy: str, options: Mapping[str, Any] | None = None) -> Family:
    """Of a strategy with these options. Whatever asks the model and is not known to be something else is uncertainty.

    Raises:
        InputError: there is no such strategy.
    """
    name = entry(strategy).name
    if Requirement.REFERENCE in requirements(name, options):
        return "sees the reference"
    if (options or {}).get("direction") == "random":
        return "chance and spacing"
    if name.startswith("gradient-"):
        return "gradient-guided"
    return _OF.get(name, "uncertainty")  # type: ignore[return-value]
