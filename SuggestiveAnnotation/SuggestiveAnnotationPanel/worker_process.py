"""The worker's process behind Qt: starts it with Slicer's Python and passes bytes on."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections import deque

import qt
from slicer.i18n import tr as _

import SuggestiveAnnotationLib

from .connect import connect, guarded

LOG_LINES = 400
SHUTDOWN_MS = 5000
"""A little longer than a worker at work takes to leave it."""


class WorkerProcess:
    """A `Transport` of `worker.client`. Its client is set right after both are made.

    Attributes:
        client: gets what the worker writes.
        log: the last lines of the worker's log.
        onLog: called, without arguments, when there are more.
    """

    def __init__(self):
        self.client = None
        self.log = deque(maxlen=LOG_LINES)
        self.onLog = lambda: None
        self._partOfLine = b""
        # Its child would be killed with the Python object that nobody holds any more, were it not for a parent.
        self._parent = qt.QObject()
        self._process = None
        self._ended = True

    @property
    def running(self):
        """Whether the process is there."""
        return self._process is not None and not self._ended

    @property
    def processId(self):
        """Process id of the worker itself, 0 when it does not run."""
        if not self.running:
            return 0
        # What was started is a launcher on some systems; the worker's own id comes with its first event.
        return self.client.ready.process if self.client.ready is not None else int(self._process.processId())

    def start(self):
        """Start the process; an error is told to the client like an end."""
        if self._process is not None:
            # It may be the one whose signal is being answered right now.
            self._process.deleteLater()
        self._process = process = qt.QProcess(self._parent)
        process.setProcessEnvironment(self._environment())
        connect(process, "readyReadStandardOutput()", self._onOutput)
        connect(process, "readyReadStandardError()", self._onLog)
        connect(process, "finished(int,QProcess::ExitStatus)", self._onFinished)
        connect(process, "errorOccurred(QProcess::ProcessError)", self._onError)
        self._ended = False
        process.start(shutil.which("PythonSlicer") or "PythonSlicer", ["-u", "-m", "SuggestiveAnnotationLib.worker"])

    @staticmethod
    def _environment():
        """Slicer's own, in which PythonSlicer finds its libraries, with the place of this library first."""
        environment = qt.QProcessEnvironment.systemEnvironment()
        library = os.path.dirname(os.path.dirname(os.path.abspath(SuggestiveAnnotationLib.__file__)))
        others = environment.value("PYTHONPATH", "")
        environment.insert("PYTHONPATH", library + (os.pathsep + others if others else ""))
        environment.insert("PYTHONIOENCODING", "utf-8")
        # As Slicer itself: packages of the user's own Python are built for another one.
        environment.insert("PYTHONNOUSERSITE", "1")
        return environment

    def write(self, data):
        """Send bytes."""
        if self.running:
            self._process.write(data)

    def kill(self):
        """End the process at once, the worker behind a launcher included."""
        if not self.running:
            return
        worker = self.processId
        if worker and worker != int(self._process.processId()):
            try:
                os.kill(worker, getattr(signal, "SIGKILL", signal.SIGTERM))
            except OSError as error:
                logging.info("SuggestiveAnnotation: the worker is gone already: %s", error)
        self._process.kill()

    def close(self):
        """End the process: it ends by itself once its input is closed; killed when that takes too long."""
        if not self.running:
            return
        self._process.closeWriteChannel()
        if not self._process.waitForFinished(SHUTDOWN_MS):
            self.kill()
            self._process.waitForFinished(SHUTDOWN_MS)

    def _onOutput(self):
        self.client.received(self._process.readAllStandardOutput().data())

    def _onLog(self):
        *lines, self._partOfLine = (self._partOfLine + self._process.readAllStandardError().data()).split(b"\n")
        if lines:
            self.log.extend(line.decode(errors="replace").rstrip() for line in lines)
            self.onLog()

    def _onFinished(self, code, status):
        if self._ended:
            return
        self._onLog()
        # Events may still lie in the pipe.
        self._onOutput()
        self._ended = True
        crashed = status == qt.QProcess.CrashExit
        self.client.ended(_("it crashed or was killed") if crashed else self._reason(code))

    def _reason(self, code):
        reason = _("exit code {code}").format(code=code)
        if code and self.client.ready is None and self.log:
            # It never got as far as to answer: the last line says why.
            reason += f": {self.log[-1]}"
        return reason

    def _onError(self):
        # One that crashed also finishes, right after this; one that never started does not.
        qt.QTimer.singleShot(0, guarded(self._checkStarted))

    def _checkStarted(self):
        if not self._ended and self._process.state() == qt.QProcess.NotRunning:
            self._ended = True
            self.client.ended(_("PythonSlicer could not be started"))
