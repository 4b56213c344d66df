"""Arms of a plan that differ in one option alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from SuggestiveAnnotationLib.experiment.plan import Arm
from SuggestiveAnnotationLib.strategies.registry import entry

TITLES = {
    "manifold.latent_size": "latent size",
    "manifold.manifold_members": "VAEs in an ensemble",
    "options.tau": "angle threshold (least cosine)",
    "options.step": "step length (median neighbour distances)",
}
_NOT_ONE = ("name", "strategy", "training.device", "manifold.device")


def ablations(arms: Sequence[Arm]) -> list[tuple[str, str, list[tuple[str, Arm]]]]:
    """Every option that alone tells at least two arms apart: its name, a title, and value and arm in the order of the values."""
    settings = [_settings(arm) for arm in arms]
    found = []
    for option in sorted({name for one in settings for name in one} - set(_NOT_ONE)):
        groups: dict[str, list[tuple[Any, Arm]]] = {}
        for arm, one in zip(arms, settings, strict=True):
            if option in one:
                rest = json.dumps({name: value for name, value in one.items() if name not in (option, "name")}, sort_keys=True)
                groups.setdefault(rest, []).append((one[option], arm))
        for group in groups.values():
            if len({json.dumps(value) for value, _ in group}) > 1:
                title = TITLES.get(option, option.rpartition(".")[2].replace("_", " "))
                found.append((option, title, [(_words(value), arm) for value, arm in sorted(group, key=_order)]))
    return found


def _settings(arm: Arm) -> dict[str, Any]:
    """Everything that an arm is run with, one level deep; options that are not given have the strategy's default."""
    known = entry(arm.strategy)
    options = {option.name: option.default for option in known.options} | dict(arm.options)
    data = {**asdict(arm), "strategy": known.name, "options": options}
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value
    return flat


def _order(one: tuple[Any, Arm]) -> tuple[int, float, str]:
    """None, then numbers, then words."""
    value = one[0]
    if value is None:
        return (0, 0.0, "")
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
