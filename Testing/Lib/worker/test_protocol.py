"""The messages: what is written is read back, what does not fit is refused in one sentence, the page says what the dataclasses say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.worker import document
from SuggestiveAnnotationLib.worker.lines import ProtocolError, command_line, event_line, read_command, read_event, request_of
from SuggestiveAnnotationLib.worker.protocol import (
    COMMANDS,
    EVENTS,
    PROTOCOL_VERSION,
    Progress,
    Result,
    Train,
)

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "SuggestiveAnnotationLib" / "worker" / "PROTOCOL.md"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return st.one_of([values(part) for part in parts])
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return OBJECTS
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    return {str: st.text(), int: st.integers(), bool: st.booleans(), type(None): st.none()}[kind]


def messages(kinds: Mapping[str, type[Any]]) -> st.SearchStrategy[Any]:
    """Any message of these classes."""

    def of(kind: type[Any]) -> st.SearchStrategy[Any]:
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values(hints[f.name]) for f in fields(kind)})

    return st.one_of([of(kind) for kind in kinds.values()])


def as_line(data: object) -> bytes:
    return json.dumps(data).encode() + b"\n"


def valid(**more: Any) -> dict[str, Any]:
    return {"v": PROTOCOL_VERSION, "id": 7, "command": "predict_slice", "case": "a", "axis": 0, "native_index": 3, **more}


@given(messages(COMMANDS), st.integers())
def test_a_command_is_read_back_as_it_was_written(command, request):
    line = command_line(command, request)
    assert line.index(b"\n") == len(line) - 1
    assert read_command(line) == (request, command)


@given(messages(EVENTS))
def test_an_event_is_read_back_as_it_was_written(event):
    line = event_line(event)
    assert line.index(b"\n") == len(line) - 1
    assert read_event(line) == event


@given(st.binary() | OBJECTS.map(as_line) | JSON.map(as_line) | OBJECTS.map(lambda more: as_line(valid(**more))))
def test_whatever_comes_is_read_or_refused(line):
    request_of(line)
    sentences = []
    for read in (read_command, read_event):
        try:
            read(line)
        except ProtocolError as error:
            sentences.append(error.sentence)
    assert sentences
    assert all(sentences)


def test_a_line_written_by_hand():
    line = b'{"v": 2, "id": 12, "command": "train", "options": {"steps": 3}}'
    assert read_command(line) == (12, Train(options={"steps": 3}, seed=0))
    event = b'{"v":2,"event":"progress","id":12,"stage":"train","done":1,"total":3,"seconds_left":2,"loss":0.5,"message":""}'
    assert read_event(event) == Progress(12, "train", 1, 3, 2, 0.5, "")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (valid(command="dance"), "There is no command 'dance'."),
        (valid(speed=3), "predict_slice has no field 'speed'."),
        ({k: v for k, v in valid().items() if k != "case"}, "predict_slice needs 'case'."),
        (valid(axis="0"), "'axis' of predict_slice must be int."),
        (valid(axis=True), "'axis' of predict_slice must be int."),
        (valid(axis=1.0), "'axis' of predict_slice must be int."),
        (valid(command="export", folder="f", cases=["a", 1]), "has no field 'axis'"),
        ({"v": 2, "id": 1, "command": "export", "folder": "f", "cases": ["a", 1]}, "'cases' of export must be"),
        ({"v": 2, "id": 1, "command": "plan_volumes", "volumes": ["a"]}, "'volumes' of plan_volumes must be"),
        ({"v": 2, "id": 1, "command": "train", "options": []}, "'options' of train must be"),
        ({"v": 2, "id": 1, "command": "write_report", "path": "p", "redacted": 1}, "'redacted' of write_report must be bool."),
        (valid(v=1), "version 1 of the protocol, this is version 2"),
        ({"id": 1, "command": "status"}, "version None of the protocol"),
        (valid(id="7"), "no whole number as its id"),
        ([1, 2], "not a JSON object"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(data, sentence):
    with pytest.raises(ProtocolError) as raised:
        read_command(as_line(data))
    assert sentence in raised.value.sentence
    assert raised.value.sentence.count(". ") == 0


def test_a_line_that_is_no_json_or_nested_beyond_measure_is_refused():
    for line in (b"Traceback (most recent call last):", b"[" * 100_000, b"\xff\xfe", b'{"v": 2'):
        with pytest.raises(ProtocolError, match="not JSON"):
            read_command(line)
        assert request_of(line) is None
    assert request_of(as_line(valid(v=9))) == 7


def test_what_json_cannot_say_is_not_written():
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            event_line(Result(1, {"dice": value}))


def test_the_page_is_what_the_dataclasses_say():
    command = "python -m SuggestiveAnnotationLib.worker --protocol > SuggestiveAnnotationLib/worker/PROTOCOL.md"
    assert PAGE.read_text(encoding="utf-8") == document.page(), f"run: {command}"
    printed = subprocess.run(
        [sys.executable, "-m", "SuggestiveAnnotationLib.worker", "--protocol"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout == document.page()
    for kind in (*COMMANDS.values(), *EVENTS.values()):
        assert f"### `{kind.name}`" in printed.stdout
        assert all(f.metadata["help"] for f in fields(kind))


def test_the_page_names_the_commands_that_the_panel_does_not_send():
    files = [*(ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotationPanel").glob("*.py"), PAGE.with_name("client.py")]
    sources = "".join(file.read_text(encoding="utf-8") for file in files)
    unsent = [name for name, kind in COMMANDS.items() if not re.search(rf"\b{kind.__name__}\(", sources)]
    assert list(document.NOT_OF_THE_PANEL) == unsent


def test_both_ends_of_the_pipe_need_nothing_that_slicer_does_not_bring():
    blocked = ("torch", "monai", "sqlalchemy", "sklearn", "scipy", "SimpleITK", "matplotlib", "safetensors")
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
import SuggestiveAnnotationLib.worker.client, SuggestiveAnnotationLib.worker.lines, SuggestiveAnnotationLib.worker.protocol
import SuggestiveAnnotationLib.worker.server, SuggestiveAnnotationLib.worker.document
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
