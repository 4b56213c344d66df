"""What can be set, read from the library: fields of its settings and options of its strategies, as one kind of thing."""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.strategies import registry

KINDS = (bool, int, float, str)
LARGEST = 1_000_000
"""End of a spin box where the library has none: wider numbers would only make the panel wider."""
FINER = 3
"""Digits that a number may have beyond those of its default."""
FLAG = re.compile(r"--([a-z][a-z-]*)")
PRESSED = {
    "then run `train`": "then start a round in 2",
    "run rounds with `run-round --audit 4`": "give rounds audit slices (Audit slices on top in 2)",
    "Start one with `run-round`": "Start one in 2",
    "`run-round` goes on with it": "Resume in 2 goes on with it",
    "`finish-round --abandon` drops it": "Drop round in 2 drops it",
    "Run `run-round`, which": "Start a round in 2, which",
    "`run-round` trains them": "a round of section 2 trains them",
    "Run `fit-manifold` first": "Start a round in 2 with a strategy that needs it",
    "Run `prepare` first": "Press Prepare the images in 2 first",
}
"""What the library asks people to type, and what they press in the panel."""


@dataclass(frozen=True)
class Field:
    """One thing that can be set.

    Attributes:
        name: as the library and the command line call it.
        default: where nothing is set.
        help: one line.
        kind: bool, int, float or str.
        choices: allowed values; () where any of its kind is.
        titles: what the choices are called on the screen, in their order; () where they show as they are.
        lines: one line of help for each choice, in their order; () where they need none.
        least, most: range of a number; None where there is no limit.
        multiple: a whole number is a multiple of this.
        optional: None is a value too.
    """

    name: str
    default: Any
    help: str
    kind: type
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    multiple: int = 1
    optional: bool = False
    titles: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name as words: it stays the library's, so that papers, commands and panel speak of the same thing."""
        return asWords(self.name)

    @property
    def digits(self) -> int:
        """Digits after the point that a number is shown and kept with."""
        return len(f"{self.default or 0:.9f}".rstrip("0").partition(".")[2]) + FINER

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the right kind, within its range, one of its choices, and can be shown as it is."""
        if value is None:
            return self.optional
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str:
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if not isinstance(value, int if self.kind is int else int | float) or not math.isfinite(value):
            return False
        if abs(value) > LARGEST or (self.kind is float and round(value, self.digits) != value):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def asWords(name: str) -> str:
    """`latent_size` or `latent-size` as "Latent size"."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def ofSettings(kind: type, without: set[str]) -> tuple[Field, ...]:
    """Fields of a settings dataclass; those of another kind than a number, a truth value or a text are none of the panel's."""
    hints, found = get_type_hints(kind), []
    for one in fields(kind):
        of, choices, optional = _taken(hints[one.name])
        if one.name in without or of not in KINDS or one.default is MISSING:
            continue
        more = {key: one.metadata[key] for key in ("least", "most", "multiple") if key in one.metadata}
        if "lines" in one.metadata:
            more["lines"] = tuple(one.metadata["lines"][choice] for choice in choices)
        found.append(Field(one.name, one.default, one.metadata.get("help", ""), of, choices, optional=optional, **more))
    return tuple(found)


def _taken(hint: Any) -> tuple[Any, tuple[str, ...], bool]:
    """Type, choices, and whether None is allowed, of an annotation."""
    if get_origin(hint) in (UnionType, Union):
        parts = [part for part in get_args(hint) if part is not type(None)]
        of, choices, _none = _taken(parts[0]) if len(parts) == 1 else (None, (), False)
        return of, choices, len(parts) < len(get_args(hint))
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return type(choices[0]), choices, False
    return hint, (), False


def ofStrategy(name: str, given: dict[str, Any]) -> tuple[Field, ...]:
    """Options of a strategy, and with those given of the one that it wraps. Raises: InputError, for a wrapped one that is none."""
    wraps = registry.entry(name).wraps
    return tuple(_ofOption(option, strategies=option.name == wraps) for option in registry.options(name, given))


def _ofOption(option: registry.Option, *, strategies: bool) -> Field:
    """An option as a field; `strategies`: its choices are names of strategies, which are called as in the catalogue."""
    kind = type(option.default)
    entries = [registry.entry(choice) for choice in option.choices] if strategies else []
    return Field(
        option.name, option.default, option.help, kind, option.choices, option.least, option.most, optional=option.optional,
        titles=tuple(one.title for one in entries), lines=tuple(one.help for one in entries),
    )  # fmt: skip


def inWordsOfThePanel(sentence: str) -> str:
    """A sentence of the library, with the labels of the panel in place of the commands and flags of the command line."""
    for typed, pressed in PRESSED.items():
        sentence = sentence.replace(typed, pressed)
    known = {one.name for kind in (RoundOptions, ManifoldOptions) for one in fields(kind)}

    def label(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return asWords(name) if name in known else found[0]

    return FLAG.sub(label, sentence)
