"""Command-line options made from the settings dataclasses, so that help and meaning never part."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from SuggestiveAnnotationLib.types import GridSpacing

Settings = TypeVar("Settings")


def add_settings(parser: argparse.ArgumentParser, settings: type[Any], *, title: str = "") -> None:
    """One `--option` a field of a settings dataclass, its help and default from the field; a field that is there already is left alone.

    What a person does not give is absent from the arguments, so that it can be told from a default that was given.
    """
    known = {action.dest for action in parser._actions}
    group = parser.add_argument_group(title or (settings.__doc__ or "").splitlines()[0].rstrip("."))
    hints = get_type_hints(settings)
    for field in fields(settings):
        if field.name in known:
            continue
        flag = "--" + field.name.replace("_", "-")
        help_text = field.metadata.get("help", "")
        if "listing" in field.metadata:
            help_text += f" (see `{field.metadata['listing']}`)"
        kind = hints[field.name]
        absent = argparse.SUPPRESS
        if field.name == "strategy_options":
            group.add_argument(
                "--option", dest=field.name, action="append", type=_name_value, metavar="NAME=VALUE", default=absent, help=help_text
            )
        elif kind is bool:
            stands = "yes" if field.default else "no"
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=absent, help=f"{help_text} (default {stands})")
        else:
            choices = get_args(kind) if get_origin(kind) is Literal else None
            group.add_argument(
                flag, type=str if choices else kind, choices=choices, default=absent,
                metavar=None if choices else kind.__name__.upper(), help=f"{help_text} (default {field.default})",
            )  # fmt: skip


def read_settings(settings: type[Settings], arguments: argparse.Namespace) -> Settings:
    """The settings as given on the command line, with the defaults of what was not given."""
    values = {name: getattr(arguments, name) for name in given_settings(settings, arguments)}
    if "strategy_options" in values:
        values["strategy_options"] = dict(values["strategy_options"])
    return settings(**values)


def given_settings(settings: type[Any], arguments: argparse.Namespace) -> tuple[str, ...]:
    """Names of the fields that were given on the command line."""
    return tuple(field.name for field in fields(settings) if hasattr(arguments, field.name))


def name_pattern(text: str) -> tuple[str, str]:
    """`NAME=PATTERN`, as `--image` takes it."""
    name, found, pattern = text.partition("=")
    if not (name and found and pattern):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=PATTERN")
    return name, pattern.strip("\"'")


def spacing(text: str) -> GridSpacing:
    """Millimetres or `native`, as `--spacing` takes it."""
    if text == "native":
        return "native"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number of millimetres nor native") from None


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
