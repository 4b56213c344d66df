"""The client without a process: pieces of lines, garbage, answers to whoever asked, the end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.worker.client import GONE, WorkerClient
from SuggestiveAnnotationLib.worker.lines import event_line, read_command
from SuggestiveAnnotationLib.worker.protocol import (
    Cancel,
    Device,
    Error,
    Progress,
    Ready,
    Result,
    Status,
    Train,
)

READY = Ready(versions={"python": "3.12"}, missing=(), schema=2, process=1)
DEVICE = Device(device="CPU", accelerated=False, memory_gib=8.0, sentence="No GPU.")


class Lines:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.starts = 0
        self.running = False
        self.broken = False
        self.written: list[bytes] = []

    def start(self) -> None:
        self.starts += 1
        self.running = True

    def write(self, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        self.written.append(data)

    def kill(self) -> None:
        self.running = False


def client_of() -> tuple[Lines, WorkerClient, list[Any]]:
    transport = Lines()
    client = WorkerClient(transport)
    told: list[Any] = []
    client.on_ready = client.on_device = client.on_unasked = client.on_ended = told.append
    return transport, client, told


@given(st.data())
def test_events_come_in_order_however_the_bytes_are_cut(data):
    _, client, told = client_of()
    first = client.send(Train(), on_progress=told.append, on_result=told.append)
    second = client.send(Status(), on_error=told.append)
    events = [
        READY,
        DEVICE,
        Progress(first, "train", 1, 2, message="über\nzwei"),
        Error(second, "study", "No."),
        Result(first, {"model": 3}),
    ]
    stream = b"".join(event_line(e) for e in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        client.received(stream[start:stop])
    assert told == events
    assert client.open_requests == ()
    assert (client.ready, client.device) == (READY, DEVICE)


def test_a_line_that_is_no_message_is_reported_and_the_next_one_is_read():
    _, client, told = client_of()
    request = client.send(Status(), on_result=told.append)
    client.received(b"Downloading weights: 12%\n\n" + event_line(Result(request, {"study": None})) + b'{"v":9,"event":"ready"}\n')
    garbage, result, other = told
    assert garbage.id is None
    assert garbage.kind == "protocol"
    assert result == Result(request, {"study": None})
    assert "version 9" in str(other)
    assert "Restart" in str(other)


def test_answers_that_nobody_waits_for():
    _, client, told = client_of()
    request = client.send(Status())
    client.received(event_line(Error(request, "study", "No study is open.")) + event_line(Result(99)) + event_line(Progress(99, "a", 1, 2)))
    assert told == [Error(request, "study", "No study is open.")]


def test_the_process_is_started_by_the_first_command_and_again_after_its_end():
    transport, client, _ = client_of()
    assert not client.running
    client.cancel()
    assert transport.starts == 0
    client.send(Status())
    client.send(Status())
    assert transport.starts == 1
    client.received(event_line(READY) + b'{"half a li')
    transport.running = False
    client.ended("exit code 1")
    assert client.ready is None
    client.send(Status())
    assert transport.starts == 2
    client.received(event_line(READY))
    assert client.ready == READY


def test_the_end_answers_whatever_was_open_and_each_may_ask_for_a_new_worker():
    transport, client, told = client_of()
    again: list[int] = []
    client.send(Train(), on_error=lambda error: (told.append(error), again.append(client.send(Train()))))
    client.send(Status())
    transport.running = False
    client.ended("killed")
    assert told[0] == "killed"
    assert told[1].kind == GONE
    assert "killed" in told[1].sentence
    assert client.open_requests == tuple(again)
    assert transport.starts == 2


def test_a_command_that_the_dying_process_no_longer_takes_is_answered_by_its_end():
    transport, client, told = client_of()
    client.send(Status())
    transport.broken = True
    request = client.send(Train(), on_error=told.append)
    assert request in client.open_requests
    transport.running = False
    client.ended("exit code 0")
    assert told[1].kind == GONE


def test_cancel_names_the_request():
    transport, client, _ = client_of()
    request = client.send(Train())
    client.cancel(request)
    client.cancel()
    assert [read_command(line)[1] for line in transport.written[1:]] == [Cancel(request), Cancel(None)]
