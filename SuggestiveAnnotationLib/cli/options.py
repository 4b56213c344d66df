"""Command-line options made from the settings dataclasses, so that help and meaning never part."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")


def add_settings(parser: argparse.ArgumentParser, settings: type[Any], *, title: str = "") -> None:
    """One `--option` a field of a settings dataclass, its help and default from the field; a field that is there already is left alone."""
    known = {action.dest for action in parser._actions}
    group = parser.add_argument_group(title or (settings.__doc__ or "").splitlines()[0].rstrip("."))
    hints = get_type_hints(settings)
    for field in fields(settings):
        if field.name in known:
            continue
        flag = "--" + field.name.replace("_", "-")
        help_text = field.metadata.get("help", "")
        kind = hints[field.name]
        if field.name == "strategy_options":
            group.add_argument(
                "--option", dest=field.name, action="append", type=_name_value, metavar="NAME=VALUE", default=[], help=help_text
            )
        elif kind is bool:
            default = bool(field.default)
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=help_text)
        else:
            choices = get_args(kind) if get_origin(kind) is Literal else None
            group.add_argument(
                flag, type=str if choices else kind, choices=choices, default=field.default if field.default is not MISSING else None,
                metavar=None if choices else kind.__name__.upper(), help=f"{help_text} (default %(default)s)",
            )  # fmt: skip


def read_settings(settings: type[Settings], arguments: argparse.Namespace) -> Settings:
    """The settings as given on the command line."""
    values: dict[str, Any] = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(arguments, field.name)
        values[field.name] = dict(value) if field.name == "strategy_options" else value
    return settings(**values)


def name_pattern(text: str) -> tuple[str, str]:
    """`NAME=PATTERN`, as `--image` takes it."""
    name, found, pattern = text.partition("=")
    if not (name and found and pattern):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=PATTERN")
    return name, pattern.strip("\"'")


def _name_value(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not (name and found):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    try:
        return name.replace("-", "_"), json.loads("null" if value.lower() == "none" else value)
    except json.JSONDecodeError:
        return name.replace("-", "_"), value


def merged(pairs: list[tuple[str, str]] | None) -> Mapping[str, str] | None:
    """Pairs given on the command line, None when there is none."""
    return dict(pairs) if pairs else None
