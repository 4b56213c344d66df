"""Work in other processes: one job a process at a time, so that one that is killed takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any

from SuggestiveAnnotationLib.errors import Cancelled, StudyError
from SuggestiveAnnotationLib.progress import CancelToken, interrupts_held

_cancelled: Event | None = None


@dataclass(frozen=True)
class Job:
    """Something to do.

    Attributes:
        key: of the job. after: key of the job that has to be done before; None: nothing.
        work, arguments: a function of a module, called with the arguments and `cancel=`.
    """

    key: Hashable
    after: Hashable | None
    work: Callable[..., Any]
    arguments: tuple[Any, ...]


class SharedToken(CancelToken):
    """A token that is set from another process."""

    def __init__(self, shared: Event) -> None:
        super().__init__()
        self._shared = shared

    @property
    def cancelled(self) -> bool:
        """Whether it was set here or there."""
        return self._shared.is_set() or super().cancelled


def carry_out(jobs: Mapping[Hashable, Job], *, processes: int, threads: int, cancel: CancelToken) -> Generator[tuple[Job, Any], None, None]:
    """Do jobs as soon as what they wait for is done, in the order given. With one process they run in this one.

    Yields:
        Jobs with their results, or with the exception that ended them. Jobs that waited for one that failed are given its exception.

    Raises:
        Cancelled: once the token is set; what was under way is stopped first.
    """
    waiting = dict(jobs)
    if processes <= 1:
        yield from _here(waiting, threads, cancel)
        return
    context = multiprocessing.get_context("spawn")
    shared = context.Event()
    free = [_slot(context, shared, threads) for _ in range(processes)]
    busy: dict[Future[Any], tuple[Job, ProcessPoolExecutor]] = {}
    done: set[Hashable] = set()
    try:
        while waiting or busy:
            for key, job in list(waiting.items()):
                if free and (job.after is None or job.after in done):
                    del waiting[key]
                    slot = free.pop()
                    with interrupts_held():
                        try:
                            future = slot.submit(_do, job)
                        except BrokenProcessPool:
                            # Its process was ended while it waited for something to do.
                            slot = _slot(context, shared, threads)
                            future = slot.submit(_do, job)
                    busy[future] = (job, slot)
            finished, _ = wait(busy, timeout=0.5, return_when=FIRST_COMPLETED)
            # What was finished before a cancel has its results; `_result` raises what a cancel ended.
            for future in sorted(finished, key=lambda one: isinstance(one.exception(), Cancelled)):
                job, slot = busy.pop(future)
                result = _result(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    slot.shutdown(wait=False)
                    slot = _slot(context, shared, threads)
                free.append(slot)
                yield job, result
                if not isinstance(result, Exception):
                    done.add(job.key)
                else:
                    yield from _given_up(waiting, job.key, result)
            if cancel.cancelled:
                raise Cancelled()
    finally:
        shared.set()
        for slot in (*free, *(slot for _, slot in busy.values())):
            slot.shutdown(wait=True, cancel_futures=True)


def _here(waiting: dict[Hashable, Job], threads: int, cancel: CancelToken) -> Iterator[tuple[Job, Any]]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    done: set[Hashable] = set()
    try:
        while waiting:
            key = next(key for key, job in waiting.items() if job.after is None or job.after in done)
            job = waiting.pop(key)
            cancel.raise_if_cancelled()
            try:
                result = job.work(*job.arguments, cancel=cancel)
            except Cancelled:
                raise
            except Exception as error:
                yield job, error
                yield from _given_up(waiting, key, error)
                continue
            done.add(key)
            yield job, result
    finally:
        torch.set_num_threads(before)


def _given_up(waiting: dict[Hashable, Job], key: Hashable, error: Exception) -> Iterator[tuple[Job, Any]]:
    """Everything that waited for a job that failed, however indirectly."""
    for other, job in list(waiting.items()):
        if job.after == key and other in waiting:
            del waiting[other]
            yield job, error
            yield from _given_up(waiting, other, error)


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        return StudyError("The process was ended from outside, perhaps for want of memory.", hint="Use fewer processes.")
    if isinstance(error, Cancelled):
        raise error
    return future.result() if error is None else error


def _slot(context: Any, shared: Event, threads: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=context, initializer=_set_up, initargs=(shared, threads))


def _set_up(shared: Event, threads: int) -> None:
    """Ctrl-C is answered by the process that started this one; should that one be killed, this one ends too."""
    global _cancelled
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _cancelled = shared
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _do(job: Job) -> Any:
    if _cancelled is None:
        raise RuntimeError("this process was not set up")
    return job.work(*job.arguments, cancel=SharedToken(_cancelled))
