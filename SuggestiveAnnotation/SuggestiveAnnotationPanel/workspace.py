"""What is open and what is going on. Sections read it, ask it and follow its signals; it knows no widget."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.errors import SuggestiveAnnotationError

from . import requirements, settings
from .connect import showError
from .shortcuts import withKeys
from .signal import Signal
from .worker_requests import WorkerRequests


class Workspace:
    """The study, the reader, the open slice and the worker.

    Signals: `studyChanged()`, `statesChanged()` (lists read the database again), `leavingSlice()` (work is saved now),
    `sliceChanged()`, `caseShown()`, `workerChanged()`, `taskChanged()`, `logChanged()`,
    `settingsChanged()`, `readerChanged()`, `message(level, text)`.

    Attributes:
        study, session: None until a study is open.
        current: the open slice, None when none is.
        requests: what is asked of the worker.
        device: called for where networks run; set by section 2.
        scene, sync, views: set by the module widget: nodes of the case, edits of the person, slice views.
        unfinished: set by section 4: called for why the open slice cannot be left now, in one sentence, empty when it can.
    """

    def __init__(self):
        report = lambda error: showError(str(error))  # noqa: E731
        self.studyChanged = Signal(report)
        self.statesChanged = Signal(report)
        self.leavingSlice = Signal(report)
        self.sliceChanged = Signal(report)
        self.caseShown = Signal(report)
        self.workerChanged = Signal(report)
        self.taskChanged = Signal(report)
        self.logChanged = Signal(report)
        self.settingsChanged = Signal(report)
        self.readerChanged = Signal(report)
        self.message = Signal()
        self.study = self.session = self.current = None
        self.scene = self.sync = self.views = None
        self.device = lambda: "auto"
        self.unfinished = lambda: ""
        self.requests = WorkerRequests(lambda: self.path, self.workerChanged, self.taskChanged, self.message)
        self.requests.process.onLog = self.logChanged

    # The study

    @property
    def path(self):
        """Folder of the open study, None when none is."""
        return None if self.study is None else self.study.path

    @property
    def annotator(self):
        """Who annotates."""
        return settings.annotator() or _("reader 1")

    def openStudy(self, path):
        """Open a study here and in the worker, and go to where the reader was."""
        from SuggestiveAnnotationLib.study.study import Study

        study = Study(Path(path))
        self.closeStudy()
        self.study = study
        self._startSession()
        settings.rememberStudy(path)
        self.studyChanged()
        self.requests.openStudy()
        self._returnToPlace()

    def closeStudy(self):
        """Save what is open and close the study."""
        if self.study is None:
            return
        self.saveNow()
        self.openSlice(None)
        self.requests.leaveStudy()
        self.study.close()
        self.study = self.session = None
        self.studyChanged()

    def _startSession(self):
        from SuggestiveAnnotationLib.session import Session

        self.session = Session(
            self.study,
            annotator=self.annotator,
            blind=settings.blind(),
            timing=settings.timing(),
            idle_seconds=settings.idleSeconds(),
        )
        if self.views is not None:
            # Another reader has seen nothing yet.
            self.views.displayed.clear()

    def changeReader(self):
        """Go on as another reader, or with other ways of reading: what is open is saved first."""
        if self.study is None:
            return
        here = self.current
        self.openSlice(None)
        self._startSession()
        if self.scene is not None:
            self.scene.forget()
        self.readerChanged()
        self.statesChanged()
        if here is not None:
            self.openSlice(here)

    # Slices

    def suggestions(self):
        """Suggestions of the newest round, case by case."""
        return self.session.suggestions() if self.session is not None else ()

    def mayLeave(self):
        """Whether the open slice can be left; says why not."""
        why = self.unfinished()
        if why:
            self.message("warning", why)
        return not why

    def openSlice(self, ref):
        """Save the slice that is open, then open another, unless it cannot be left now; None closes."""
        if ref not in (None, self.current) and not self.mayLeave():
            return
        if self.current is not None:
            self.saveNow()
        self.current = ref
        if ref is not None:
            self.session.open(ref)
            self._keepPlace()
        self.sliceChanged()

    def nextSlice(self):
        """Open the next slice that waits; says so when none does."""
        self._step("next")

    def previousSlice(self):
        """Open the slice before that waits."""
        self._step("previous")

    def _step(self, direction):
        if self.session is None:
            self.message("info", _("Open a study first."))
            return
        if not self.mayLeave():
            return
        self.saveNow()
        ref = self.session.next() if direction == "next" else self.session.previous()
        self.current = ref
        if ref is None:
            self.message("info", self._nothingWaitsText())
        else:
            self._keepPlace()
        self.sliceChanged()
        self.statesChanged()

    def _nothingWaitsText(self):
        coming = self.comingText()
        if not self.suggestions():
            return coming or _("There are no suggestions yet. Start a round in 2.")
        return f"{self.answeredText()} {coming or _('Start the next round, or review and export.')}"

    def comingText(self):
        """One sentence on suggestions that are on their way; empty when none are."""
        return _("A round is being computed; its suggestions will be listed in 3.") if self.requests.computesRound else ""

    def answeredText(self):
        """One sentence on a round that nothing of waits any more: all of it was answered, or it was finished before."""
        expired = sum(case.expired for case in self.session.case_status())
        if not expired:
            return _("Every suggestion of this round is answered.")
        text = _("Round {n} is finished; {k} were not answered.")
        return text.format(n=self.study.newest_round_with_suggestions(), k=expired)

    def nextToReview(self):
        """Open the next slice that waits for a second reader; says so when none does, and stays."""
        if not self.mayLeave():
            return
        self.saveNow()
        ref = self.session.next_to_review()
        if ref is None:
            self.message("info", withKeys(_("No slice of another reader waits for review. Go to the next suggestion (N).")))
        else:
            self.current = ref
            self._keepPlace()
            self.sliceChanged()
        self.statesChanged()

    def saveNow(self):
        """Save unaccepted work of the open case as drafts."""
        if self.study is not None:
            self.leavingSlice()

    def _keepPlace(self):
        kept = settings.place(self.path)
        settings.setPlace(self.path, {**kept, "case": self.current.case, "axis": self.current.axis, "index": self.current.native_index})

    def _returnToPlace(self):
        from SuggestiveAnnotationLib.types import SliceRef

        kept = settings.place(self.path)
        if "case" in kept and kept["case"] in {case.name for case in self.study.cases() if case.role != "excluded"}:
            self.openSlice(SliceRef(kept["case"], int(kept["axis"]), int(kept["index"])))

    # Cases

    def whyExcluded(self, ref):
        """One sentence where the case of a slice is excluded, empty where it takes part; `ref` may be None."""
        if self.study is None or ref is None or ref.case not in self.study.excluded_reasons():
            return ""
        return _("Case {case} is excluded. Include it again in 1 to work on it.").format(case=ref.case)

    # The worker

    @property
    def process(self):
        """The worker's process."""
        return self.requests.process

    @property
    def worker(self):
        """The client of the worker."""
        return self.requests.client

    @property
    def task(self):
        """The long command that the worker is at, None when it is idle."""
        return self.requests.task

    def ask(self, command, onResult=None, onError=None, onProgress=None, title=""):
        """Ask the worker; see `WorkerRequests.ask`."""
        return self.requests.ask(command, onResult, onError, onProgress, title)

    def cancelTask(self):
        """Stop the long command that the worker is at."""
        self.requests.cancelTask()

    def workerText(self):
        """One line on the worker and where it computes."""
        return self.requests.text()

    def ensure(self, *groups):
        """Whether the packages of the groups of `requirements` are there, after asking to install what is missing; says why not."""
        session = self.session
        try:
            if requirements.ensure(*groups, say=lambda sentence: self.message("info", sentence)):
                self.requests.restart()
        except requirements.NotInstalled as error:
            self.message("warning", str(error))
            return False
        # Slicer goes on while it installs: what was begun was begun in this study.
        return self.session is session

    def cleanup(self):
        """The module goes: save, close, end the worker."""
        try:
            self.closeStudy()
        except SuggestiveAnnotationError as error:
            showError(str(error))
        self.requests.close()
