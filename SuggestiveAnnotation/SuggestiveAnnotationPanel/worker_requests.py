"""What the panel asks of the worker: starts it, gives it the open study, follows long commands, asks again when it died."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.worker import protocol
from SuggestiveAnnotationLib.worker.client import GONE, WorkerClient

from .connect import guarded
from .signal import Signal
from .worker_process import WorkerProcess

NO_STUDY_NEEDED = (
    protocol.FindCohort,
    protocol.FindSeries,
    protocol.PlanSeries,
    protocol.PlanVolumes,
    protocol.CreateStudy,
    protocol.CreateSample,
    protocol.OpenStudy,
    protocol.Status,
)
OTHER_STUDY = (protocol.CreateStudy, protocol.CreateSample, protocol.OpenStudy, protocol.CloseStudy)
"""After these the worker has another study open than before."""
ASKED_AGAIN = (
    protocol.CreateSample,
    protocol.DecodeLatent,
    protocol.LatentView,
    protocol.LoadCase,
    protocol.PredictCase,
    protocol.PredictSlice,
    protocol.Prepare,
    protocol.RunRound,
)
"""Commands that resume, or change nothing: a worker that died is asked once more."""


@dataclass(frozen=True)
class Task:
    """A long command of the worker, as a progress bar shows it; `total` is 0 while nothing is known."""

    title: str
    stage: str = ""
    done: int = 0
    total: int = 0
    secondsLeft: float | None = None
    loss: float | None = None
    stopping: bool = False


@dataclass
class _Opening:
    """The study as the worker was told to open it; `failed` once it could not."""

    path: Any
    failed: protocol.Error | None = None


@dataclass
class _Asked:
    command: protocol.Command
    onResult: Callable | None
    onError: Callable | None
    onProgress: Callable | None
    title: str
    opening: _Opening | None = None
    again: bool = False


class WorkerRequests:
    """One worker process and everything that waits for it.

    Args:
        studyPath: called for the folder of the open study, None without one.
        workerChanged, taskChanged: signals without arguments. message: signal of a level and a sentence.

    Attributes:
        estimate: one sentence on how long a round of the open study took, empty where none trained yet.
    """

    def __init__(self, studyPath: Callable[[], Any], workerChanged: Signal, taskChanged: Signal, message: Signal) -> None:
        self._studyPath, self._message = studyPath, message
        self._workerChanged, self._taskChanged = workerChanged, taskChanged
        self._asked: dict[int, _Asked] = {}
        self._tasks: dict[int, Task] = {}
        self._opening: _Opening | None = None
        self._expectsEnd = False
        self.estimate = ""
        self.process = WorkerProcess()
        self.client = self.process.client = WorkerClient(self.process)
        self.client.on_ready = self.client.on_device = lambda _event: workerChanged()
        self.client.on_ended = self._onEnded
        self.client.on_unasked = lambda error: message("error", str(error))

    @property
    def task(self) -> Task | None:
        """The long command that is at work, None when there is none; others wait behind it."""
        return next(iter(self._tasks.values()), None)

    @property
    def waiting(self) -> list[str]:
        """Titles of the long commands that wait behind the one at work."""
        return [task.title for task in self._tasks.values()][1:]

    @property
    def computesRound(self) -> bool:
        """Whether a round was asked for that is not there yet."""
        return any(isinstance(asked.command, protocol.RunRound) for asked in self._asked.values())

    def isWaitingFor(self, command: protocol.Command) -> bool:
        """Whether the same was asked before and is not answered yet."""
        return any(asked.command == command for asked in self._asked.values())

    def ask(self, command, onResult=None, onError=None, onProgress=None, title=""):
        """Send a command to the worker, which is started, and given the open study, when that is needed.

        Args:
            command: of `worker.protocol`.
            onResult: called with the result's data.
            onError: called with the `protocol.Error`; without, it is shown as a message.
            onProgress: called with each `protocol.Progress`.
            title: makes it a task, which the progress bar shows and Cancel stops.

        Returns:
            The id of the request.
        """
        return self._send(_Asked(command, onResult, onError, onProgress, title))

    def cancelTask(self):
        """Stop the task at work."""
        if self._tasks:
            request, task = next(iter(self._tasks.items()))
            self._tasks[request] = replace(task, stopping=True)
            self.client.cancel(request)
            self._taskChanged()

    def leaveStudy(self):
        """Stop what is under way on the open study, and have the worker give it free."""
        if self.client.running and self._opening is not None:
            if self._tasks:
                self.client.cancel()
            self.client.send(protocol.CloseStudy())
        self._opening, self.estimate = None, ""

    def restart(self):
        """End an idle worker, so that the next one sees what was installed meanwhile; one at work goes on."""
        if not self._tasks:
            self.close()
            self._expectsEnd = False
            self._workerChanged()

    def close(self):
        """End the worker."""
        self._expectsEnd = True
        self.process.close()

    def text(self):
        """One line on the worker and where it computes."""
        client = self.client
        if not client.running:
            return _("The worker starts when it is needed.")
        if client.ready is None:
            return _("The worker is starting.")
        if client.ready.missing:
            return _("Not installed: {names}.").format(names=", ".join(client.ready.missing))
        if client.device is None:
            return _("The worker is loading its libraries.")
        return f"{client.device.sentence} {self.estimate}".strip()

    # Sending

    def _send(self, asked):
        if isinstance(asked.command, OTHER_STUDY):
            self._opening = None
        if not isinstance(asked.command, NO_STUDY_NEEDED):
            asked.opening = self._openStudy()
        request = self.client.send(
            asked.command,
            on_result=guarded(self._onResult),
            on_error=guarded(self._onError),
            on_progress=guarded(self._onProgress),
        )
        self._asked[request] = asked
        if asked.title:
            if self.task is not None:
                text = _("{title} waits until this is done: {first}.")
                self._message("info", text.format(title=asked.title, first=self.task.title))
            self._tasks[request] = Task(asked.title)
            self._taskChanged()
        self._workerChanged()
        return request

    def openStudy(self):
        """Have the worker open the study of the panel, so that it is ready when something is asked."""
        self._openStudy()
        self._workerChanged()

    def _openStudy(self):
        path = self._studyPath()
        if path is None:
            return None
        opening = self._opening
        if opening is None or opening.path != path or opening.failed is not None or not self.client.running:
            opening = self._opening = _Opening(path)
            self.client.send(
                protocol.OpenStudy(str(path)),
                on_result=guarded(lambda event: self._onOpened(opening, event)),
                on_error=guarded(lambda error: self._onNotOpened(opening, error)),
            )
        return opening

    def _onOpened(self, opening, event):
        if opening is self._opening:
            self.estimate = event.data.get("estimate", "")
            self._workerChanged()

    def _onNotOpened(self, opening, error):
        opening.failed = error
        if error.kind != GONE:
            self._message("error", str(error))

    # Answers

    def _onResult(self, event):
        asked = self._forget(event.id)
        if asked.onResult is not None:
            asked.onResult(event.data)

    def _onProgress(self, event):
        task = self._tasks.get(event.id)
        if task is not None:
            self._tasks[event.id] = replace(
                task, stage=event.stage, done=event.done, total=event.total, secondsLeft=event.seconds_left, loss=event.loss
            )
            self._taskChanged()
        if event.message:
            self._message("info", event.message)
        asked = self._asked.get(event.id)
        if asked is not None and asked.onProgress is not None:
            asked.onProgress(event)

    def _onError(self, error):
        asked = self._forget(error.id)
        if error.kind == GONE and not self._expectsEnd and self._goesOn(asked):
            asked.again = True
            self._send(asked)
            return
        # That the study could not be opened was said already, and is what is wrong with whatever needed it.
        said = asked.opening is not None and asked.opening.failed is not None and error.kind == "study"
        if asked.onError is not None:
            asked.onError(asked.opening.failed if said else error)
        elif error.kind == "cancelled":
            self._message("info", _("Cancelled: {title}. Started again, it goes on where it stopped.").format(title=asked.title))
        elif error.kind == GONE and not self._expectsEnd:
            if asked.title:
                self._message("error", _("{title}: interrupted, as the worker ended. Please try again.").format(title=asked.title))
        elif not said:
            self._message("error", str(error))

    def _forget(self, request):
        asked = self._asked.pop(request)
        if self._tasks.pop(request, None) is not None:
            self._taskChanged()
        return asked

    @staticmethod
    def _goesOn(asked):
        return isinstance(asked.command, ASKED_AGAIN) and not asked.again

    def _onEnded(self, reason):
        self._opening = None
        self._workerChanged()
        if self._expectsEnd:
            return
        logging.error("SuggestiveAnnotation: the worker ended unexpectedly: %s", reason)
        text = _("The worker process ended unexpectedly ({reason}).").format(reason=reason)
        if any(self._goesOn(asked) for asked in self._asked.values()):
            self._message("warning", text + " " + _("It is started again and goes on where it stopped."))
        else:
            self._message("warning", text + " " + _("Nothing that was saved is lost; it starts again with the next step."))
