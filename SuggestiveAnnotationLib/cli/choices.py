"""Commands that say what there is to choose from: strategies, with what can be set of each, and segmentation networks."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any, get_args

from SuggestiveAnnotationLib.cli.command import Commands, Context, Result, add_command
from SuggestiveAnnotationLib.engine.first_batch import OF_NETWORKS
from SuggestiveAnnotationLib.models.catalogue import NETWORKS, WIDTHS
from SuggestiveAnnotationLib.strategies.contract import Requirement
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, Entry, Option, entry, offered, requirements
from SuggestiveAnnotationLib.types import Unit

_NEEDS = {
    Requirement.MODEL: "a trained segmentation network (`run-round` and `train` train it)",
    Requirement.MANIFOLD: "the VAE's manifold (`run-round` and `fit-manifold` train it)",
    Requirement.COMMITTEE: "a committee of networks (`run-round` trains it; --committee says how many)",
    Requirement.DROPOUT: f"{OF_NETWORKS[Requirement.DROPOUT]} (--dropout 0.2)",
    Requirement.LOSS_HEAD: f"{OF_NETWORKS[Requirement.LOSS_HEAD]} (--loss-head)",
    Requirement.REFERENCE: "reference labels of slices that nobody annotated, so that it is for `simulate` and `compare` only",
}
_GIVEN = {Requirement.DROPOUT: ("--dropout", "0.2"), Requirement.LOSS_HEAD: ("--loss-head",)}


def add_commands(sub: Commands) -> None:
    """Add them to the parser."""
    what = "List the strategies with a line of help and of evidence each, or print all there is of one: what it needs, its options."
    command = add_command(sub, "strategies", strategies, what, study=False)
    command.add_argument("name", nargs="?", metavar="NAME", help="of the one to print all of")
    command.add_argument("--all", action="store_true", help="also those that need reference labels")

    add_command(sub, "networks", networks, "List the segmentation networks and their widths with a line of help each.", study=False)


def strategies(arguments: argparse.Namespace, context: Context) -> Result:
    """`strategies`. Raises: InputError, for a name that no strategy has."""
    if arguments.name is not None:
        one = entry(arguments.name)
        return Result({"strategies": [_data(one)]}, _page(one))
    shown = ENTRIES if arguments.all else offered()
    lines = [f"{e.name}\n  {e.help}\n  Evidence: {e.evidence}" for e in shown]
    lines.append("Options of a strategy, what it needs and an example: suggestive-annotation strategies NAME")
    return Result({"strategies": [_data(e) for e in shown]}, lines)


def networks(arguments: argparse.Namespace, context: Context) -> Result:
    """`networks`."""
    lines = []
    for one in NETWORKS:
        sizes = ", ".join(f"{width} {count:,}" for width, count in one.parameters.items())
        lines.append(f"{one.name}\n  {one.help}\n  Parameters: {sizes}.")
    lines += ["Widths", *(f"  {name}: {line}" for name, line in WIDTHS.items())]
    lines.append("Choose with --architecture NAME --network WIDTH, the VAE's width with --manifold-network WIDTH.")
    widths = [{"name": name, "help": line} for name, line in WIDTHS.items()]
    return Result({"networks": [asdict(one) for one in NETWORKS], "widths": widths}, lines)


def _data(one: Entry) -> dict[str, Any]:
    """A strategy for programs."""
    options = [{**asdict(option), "allowed": option.allowed} for option in one.options]
    return {
        "name": one.name, "title": one.title, "help": one.help, "source": one.source, "synonyms": list(one.synonyms),
        "requires": sorted(r.value for r in one.requires), "needs": _needs(one), "units": list(get_args(Unit)),
        "options": options, "wraps": one.wraps, "example": _example(one), "evidence": one.evidence,
    }  # fmt: skip


def _page(one: Entry) -> list[str]:
    """A strategy for people."""
    lines = [f"{one.name}: {one.title}", f"  {one.help}"]
    lines += [f"  From: {one.source}"] if one.source else []
    lines += [f"  Also called: {', '.join(one.synonyms)}"] if one.synonyms else []
    lines += [f"  Needs: {need}" for need in _needs(one) or ["nothing that is trained"]]
    lines.append(f"  Suggests: {' or '.join(f'--unit {unit}' for unit in get_args(Unit))}")
    lines += ["  Options, each as --option NAME=VALUE:", *map(_option_text, one.options)] if one.options else ["  Options: none"]
    if one.wraps:
        inner = next(option for option in one.options if option.name == one.wraps)
        more = [(name, [option.name for option in entry(name).options]) for name in inner.choices]
        lines += [f"    with {one.wraps}={name} also: {', '.join(names)} (see `strategies {name}`)" for name, names in more if names]
    return [*lines, f"  Example: {_example(one)}", f"  Evidence: {one.evidence}"]


def _option_text(option: Option) -> str:
    default = str(option.default).lower() if isinstance(option.default, bool) else option.default
    return f"    {option.name}: {option.allowed} (default {default})\n      {option.help}"


def _needs(one: Entry) -> list[str]:
    """What it needs, one phrase each, and what more with some choices of its options."""
    own = requirements(one.name)
    found = [text for need, text in _NEEDS.items() if need in own]
    for option in one.options:
        for choice in option.choices:
            more = requirements(one.name, {option.name: choice}) - own
            found += [f"with {option.name}={choice}: {text}" for need, text in _NEEDS.items() if need in more]
    return found


def _example(one: Entry) -> str:
    """A command that runs it, with another value for its first option than the default where there are choices."""
    words = ["suggestive-annotation", "simulate" if one.needs_reference else "run-round", "STUDY", "--strategy", one.name]
    words += [word for need, given in _GIVEN.items() if need in one.requires for word in given]
    for option in one.options[:1]:
        words += ["--option", f"{option.name}={next((c for c in option.choices if c != option.default), option.default)}"]
    return shlex.join(words)
