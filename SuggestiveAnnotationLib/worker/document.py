"""The protocol as a page for people, from the dataclasses."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from SuggestiveAnnotationLib.worker import protocol

NOT_OF_THE_PANEL = ("fit_manifold", "train", "suggest", "evaluate", "predict_slice", "status", "release", "shutdown")
_INTRODUCTION = f"""# Protocol of the worker, version {protocol.PROTOCOL_VERSION}

Made by `python -m SuggestiveAnnotationLib.worker --protocol`. Start the worker with `python -u -m SuggestiveAnnotationLib.worker`, write
one JSON object a line to its standard input, read one a line from its standard output. Its log goes to standard error and, while a study
is open, to `logs/worker.log` in the study. It ends at the end of its standard input.

A command is `{{"v": {protocol.PROTOCOL_VERSION}, "id": 7, "command": NAME, FIELD: VALUE, ...}}`; the id is any whole number that was not
used before. An event is `{{"v": {protocol.PROTOCOL_VERSION}, "event": NAME, FIELD: VALUE, ...}}`. Each command ends in one `result` or one
`error` with its id, with any number of `progress` before. Commands run one after the other; *quick* ones are answered while a long one
runs, with the last model that was published.

The panel in Slicer sends all but {", ".join(f"`{name}`" for name in NOT_OF_THE_PANEL)}.
These are for other programs, and for the tests and benchmarks: the steps of a round one by one, and a hold on the worker itself.
"""


def page() -> str:
    """The page, Markdown."""
    parts = [_INTRODUCTION, "## Commands\n"]
    for command in protocol.COMMANDS.values():
        quick = " Quick." if command.quick else ""
        parts.append(f"### `{command.name}`\n\n{_says(command)}{quick} Returns {command.returns}.\n{_table(command)}")
    parts.append("## Events\n")
    parts += [f"### `{event.name}`\n\n{_says(event)}\n{_table(event)}" for event in protocol.EVENTS.values()]
    return "\n".join(parts)


def _says(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _table(kind: type[Any]) -> str:
    if not fields(kind):
        return ""
    rows = ["", "| field | type | default | |", "|---|---|---|---|"]
    for one in fields(kind):
        has = one.default is not MISSING or one.default_factory is not MISSING
        default = f"`{one.default if one.default is not MISSING else '{}'}`" if has else ""
        rows.append(f"| `{one.name}` | {str(one.type).replace('|', 'or')} | {default} | {one.metadata['help']} |")
    return "\n".join([*rows, ""])
