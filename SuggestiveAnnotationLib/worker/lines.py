"""Messages of the protocol as lines: one JSON object a line, checked against the dataclasses when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.worker.protocol import COMMANDS, EVENTS, PROTOCOL_VERSION, Command, Event


class ProtocolError(InputError):
    """A line that is no message of this version."""

    kind = "protocol"


def command_line(command: Command, request: int) -> bytes:
    """A command as it goes over the pipe, newline included."""
    return _line({"v": PROTOCOL_VERSION, "id": request, "command": command.name, **asdict(command)})


def event_line(event: Event) -> bytes:
    """An event as it goes over the pipe, newline included."""
    return _line({"v": PROTOCOL_VERSION, "event": event.name, **asdict(event)})


def read_command(line: bytes) -> tuple[int, Command]:
    """The command of a line and its id. Raises: ProtocolError, saying what is wrong; `request_of` may still know the id."""
    data = _object(line)
    request = data.pop("id", None)
    if not isinstance(request, int) or isinstance(request, bool):
        raise ProtocolError("A command has no whole number as its id.")
    return request, _message(data, "command", COMMANDS)


def request_of(line: bytes) -> int | None:
    """The id of a line, as far as it can be told."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    request = data.get("id") if isinstance(data, dict) else None
    return request if isinstance(request, int) else None


def read_event(line: bytes) -> Event:
    """The event of a line. Raises: ProtocolError."""
    event: Event = _message(_object(line), "event", EVENTS)
    return event


def _line(data: dict[str, Any]) -> bytes:
    # A line break inside a text is escaped by JSON, so a line is a message.
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("A line is not JSON.") from error
    if not isinstance(data, dict):
        raise ProtocolError("A line is not a JSON object.")
    version = data.pop("v", None)
    if version != PROTOCOL_VERSION:
        hint = "Restart 3D Slicer after an update of the extension."
        raise ProtocolError(f"The line speaks version {version} of the protocol, this is version {PROTOCOL_VERSION}.", hint=hint)
    return data


def _message(data: dict[str, Any], key: str, known: Mapping[str, type[Any]]) -> Any:
    name = data.pop(key, None)
    if not isinstance(name, str) or name not in known:
        raise ProtocolError(f"There is no {key} {name!r}.")
    kind = known[name]
    names = {f.name for f in fields(kind)}
    if strange := sorted(set(data) - names):
        raise ProtocolError(f"{name} has no field {strange[0]!r}.")
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(needed - set(data)):
        raise ProtocolError(f"{name} needs {missing[0]!r}.")
    hints = get_type_hints(kind)
    for f in fields(kind):
        if f.name not in data:
            continue
        if not _fits(data[f.name], hints[f.name]):
            raise ProtocolError(f"{f.name!r} of {name} must be {f.type}.")
        if isinstance(data[f.name], list):
            data[f.name] = tuple(data[f.name])
    return kind(**data)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type; what mappings hold is left to whoever reads them."""
    origin = get_origin(kind)
    if origin in (UnionType, Union):
        return any(_fits(value, part) for part in get_args(kind))
    if origin is tuple:
        return isinstance(value, list) and all(_fits(part, get_args(kind)[0]) for part in value)
    if origin is not None:
        return isinstance(value, dict)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)
