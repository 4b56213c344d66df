"""Strategies by name: look them up in the catalogue and build them. Looking up imports no torch; building a strategy may."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from SuggestiveAnnotationLib.errors import InputError, did_you_mean
from SuggestiveAnnotationLib.strategies.catalogue import CONTEXT, ENTRIES, Entry, Option
from SuggestiveAnnotationLib.strategies.contract import Requirement, Strategy

__all__ = ["CONTEXT", "ENTRIES", "Entry", "Option", "entry", "offered", "options", "requirements", "strategy"]

_OF_CHOICES: Mapping[tuple[str, str, str], Requirement] = {("consensus", "vary", "dropout"): Requirement.DROPOUT}
"""(strategy, option, value) -> what the strategy needs beyond its own requirements when it is given that."""


def entry(name: str) -> Entry:
    """The catalogue entry of a strategy, by its name or a synonym. Raises: InputError, for an unknown one, with the name most like it."""
    for candidate in ENTRIES:
        if name == candidate.name or name in candidate.synonyms:
            return candidate
    near = did_you_mean(name, [known for one in ENTRIES for known in (one.name, *one.synonyms)])
    raise InputError(f"There is no strategy {name!r}.", hint=near or f"Choose one of: {_listed(e.name for e in ENTRIES)}.")


def offered() -> tuple[Entry, ...]:
    """The strategies a clinician may be offered: those that need no reference labels."""
    return tuple(e for e in ENTRIES if not e.needs_reference)


def requirements(name: str, options: Mapping[str, Any] | None = None) -> frozenset[Requirement]:
    """What a strategy needs with these options: its own requirements, or those of the strategy that it wraps, and those of its choices.

    Raises: InputError, for an unknown name or a wrapped strategy that is not one of the choices.
    """
    found = entry(name)
    given = options or {}
    inner = _wrapped(found, given)
    of_choices = {need for (strategy, option, value), need in _OF_CHOICES.items() if strategy == found.name and given.get(option) == value}
    return (found.requires if inner is None else inner.requires) | of_choices


def options(name: str, given: Mapping[str, Any] | None = None) -> tuple[Option, ...]:
    """What can be set of a strategy besides `context`: its own options, then those of the strategy that it wraps with these ones given.

    Raises: InputError, for an unknown name or a wrapped strategy that is not one of the choices.
    """
    found = entry(name)
    inner = _wrapped(found, given or {})
    return found.options if inner is None else (*found.options, *inner.options)


def strategy(name: str, **options: Any) -> Strategy:
    """Build a strategy.

    Args:
        name: of the catalogue, or a synonym.
        options: of the strategy and of the one that it wraps, and `context`; the defaults stand for what is not given.

    Raises:
        InputError: an unknown name, an option that the strategy does not have, or a value it cannot take.
    """
    found = entry(name)
    inner = _wrapped(found, options)
    own = (CONTEXT, *found.options)
    known = (*own, *inner.options) if inner is not None else own
    unknown = sorted(set(options) - {o.name for o in known})
    if unknown:
        raise InputError(f"Strategy {name} has no option {unknown[0]!r}.", hint=f"Its options are: {_listed(o.name for o in known)}.")
    for option in known:
        if option.name in options:
            _check_type(name, option, options[option.name])
    given = {o.name: options[o.name] for o in own if o.name in options}
    if inner is not None:
        of_inner = {o.name: options[o.name] for o in inner.options if o.name in options}
        given |= {found.wraps: inner.name, f"{found.wraps}_options": of_inner}
    module, _, attribute = found.factory.partition(":")
    built: Strategy = getattr(import_module(module), attribute)(**given)
    return built


def _wrapped(found: Entry, options: Mapping[str, Any]) -> Entry | None:
    """The strategy that takes part in another one; None where none does."""
    if not found.wraps:
        return None
    option = next(o for o in found.options if o.name == found.wraps)
    wanted = options.get(option.name, option.default)
    inner = next((e for e in ENTRIES if e.name in option.choices and wanted in (e.name, *e.synonyms)), None)
    if inner is None:
        sentence = f"Option {option.name} of strategy {found.name} cannot be {wanted!r}."
        raise InputError(sentence, hint=f"It must be {_listed(option.choices)}.")
    return inner


def _check_type(name: str, option: Option, value: Any) -> None:
    """Raises: InputError, for text where a number belongs and the like; ranges are checked by the strategy itself."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        int: number and isinstance(value, int),
        float: number or (value is None and option.optional),
    }
    if not fits[type(option.default)]:
        wanted = _listed(option.choices) if option.choices else "true or false" if isinstance(option.default, bool) else "a number"
        raise InputError(f"Option {option.name} of strategy {name} cannot be {value!r}.", hint=f"It must be {wanted}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
