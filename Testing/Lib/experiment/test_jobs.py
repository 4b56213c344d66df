"""Work in other processes when one of them dies, and when it is cancelled."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from SuggestiveAnnotationLib.errors import Cancelled
from SuggestiveAnnotationLib.experiment.jobs import Job, carry_out
from SuggestiveAnnotationLib.progress import CancelToken


def whoami(*, cancel: CancelToken) -> int:
    return os.getpid()


def until_cancelled(*, cancel: CancelToken) -> None:
    while True:
        cancel.raise_if_cancelled()
        time.sleep(0.01)


def job(key: str, after: str | None = None, work: Any = whoami) -> Job:
    return Job(key, after, work, ())


@pytest.mark.kill
def test_a_process_that_dies_while_it_waits_is_replaced() -> None:
    jobs = {one.key: one for one in (job("first"), job("second", "first"))}
    pids = []
    for _, pid in carry_out(jobs, processes=2, threads=1, cancel=CancelToken()):
        pids.append(pid)
        os.kill(pid, signal.SIGKILL)
        # Until the pool has seen it.
        time.sleep(1)
    assert len(set(pids)) == 2


def test_what_is_done_before_a_cancel_is_told() -> None:
    cancel, told = CancelToken(), []
    jobs = {one.key: one for one in (job("endless", work=until_cancelled), job("quick"), job("later", "endless"))}

    def cancelled_after_the_first() -> None:
        for one, result in carry_out(jobs, processes=2, threads=1, cancel=cancel):
            told.append((one.key, type(result)))
            cancel.cancel()

    with pytest.raises(Cancelled):
        cancelled_after_the_first()
    assert told == [("quick", int)]
