"""A table of a TOML file read field by field: one clear sentence for whatever does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from SuggestiveAnnotationLib.errors import InputError, did_you_mean

Made = TypeVar("Made")


class Table:
    """One table.

    Args:
        content: as `tomllib` gives it.
        path: of the file. where: name of the table in sentences, "" for the top.
    """

    def __init__(self, content: Any, *, path: Path, where: str) -> None:
        self.path, self.where = path, where
        if not isinstance(content, dict):
            raise self.mistake("is no table")
        self.content: dict[str, Any] = content

    def mistake(self, sentence: str, *, hint: str = "") -> InputError:
        """The error for something in this table."""
        place = f"{self.path}: [{self.where}]" if self.where else f"{self.path}"
        return InputError(f"{place} {sentence}.", hint=hint)

    def only(self, known: Sequence[str]) -> None:
        """Raises: InputError, for a key that means nothing here."""
        for key in self.content:
            if key not in known:
                hint = did_you_mean(key, known) or f"Known are: {', '.join(known)}."
                raise self.mistake(f"has the unknown key {key}", hint=hint)

    def get(self, key: str, kind: Any, default: Any = MISSING) -> Any:
        """The value of a key, checked. Raises: InputError, when it is missing without a default, or of another kind."""
        if key not in self.content:
            if default is MISSING:
                raise self.mistake(f"lacks {key}")
            return default
        return self._checked(key, self.content[key], kind)

    def table(self, key: str) -> Table:
        """A table in this one; an empty one where it is not there."""
        return Table(self.content.get(key, {}), path=self.path, where=f"{self.where}.{key}" if self.where else key)

    def tables(self, key: str) -> list[Table]:
        """An array of tables; empty where it is not there."""
        listed = self.content.get(key, [])
        if not isinstance(listed, list):
            raise self.mistake(f"has {key} that is no array of tables", hint=f"Write [[{key}]].")
        return [Table(one, path=self.path, where=f"{key} {number}") for number, one in enumerate(listed, 1)]

    def settings(self, kind: type[Made], base: Made | None = None, *, besides: Sequence[str] = ()) -> Made:
        """A dataclass with the fields that this table gives; the others from `base`, else the defaults.

        `besides` are keys that somebody else reads.
        """
        known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
        self.only([*known, *besides])
        hints = get_type_hints(kind)
        values = {} if base is None else {name: getattr(base, name) for name in known}
        values |= {name: self._checked(name, self.content[name], hints[name]) for name in known if name in self.content}
        required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
        for name in required:
            if name not in values:
                raise self.mistake(f"lacks {name}")
        try:
            return kind(**values)
        except InputError as error:
            raise self.mistake(f"is refused: {error.sentence.rstrip('.')}", hint=error.hint) from error

    def _checked(self, key: str, value: Any, kind: Any) -> Any:
        try:
            return _fit(value, kind)
        except TypeError as error:
            raise self.mistake(f"has {key} = {value!r}, which is not {error}") from None


def _fit(value: Any, kind: Any) -> Any:
    """The value as that type. TypeError saying what was wanted."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise TypeError("one of " + ", ".join(map(repr, inner)))
        return value
    if origin in (Union, UnionType):
        tried = []
        for one in inner:
            if one is type(None):
                continue
            try:
                return _fit(value, one)
            except TypeError as error:
                tried.append(str(error))
        raise TypeError(" or ".join(tried))
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError("a list")
        if inner[-1:] == (Ellipsis,):
            return tuple(_fit(one, inner[0]) for one in value)
        if len(value) != len(inner):
            raise TypeError(f"a list of {len(inner)}")
        return tuple(_fit(one, of) for one, of in zip(value, inner, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise TypeError("a table")
        return {name: _fit(one, inner[1]) for name, one in value.items()}
    return _plain(value, kind)


def _plain(value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    raise TypeError({bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(kind, str(kind)))
