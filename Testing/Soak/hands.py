"""The hands of a person at the panel, who does what comes next, or something else, at random: mouse, keys and buttons only."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from Soak.ledger import IDLE, READER, REVIEWER, UNKNOWN, LedgerWriter, hash_of, name_of
from SuggestiveAnnotationLib.session import WAITING
from SuggestiveAnnotationLib.types import SliceRef

VIEW = "SuggestiveSlice"
PATIENCE = 90.0
"""Seconds after which a person would say that the program hangs."""
AGAIN = 4.0
"""Seconds after which a person chooses a slice again that does not come."""
REACH = 7.0
"""Millimetres from the centre that a stroke goes to."""


class Hands:
    """Works the panel, and writes down what it does and what the panel answers.

    Args:
        host: the stand-in. widget: of the module. rng: decides everything.
    """

    def __init__(self, host: Any, widget: Any, ledger: LedgerWriter, rng: random.Random) -> None:
        self.host, self.widget, self.ledger, self.rng = host, widget, ledger, rng
        self.workspace = widget.workspace
        self.study, self.round, self.suggestions, self.annotate, _, self.export = widget.sections
        self._path: Path | None = None
        self._worker, self._stage = "", ""
        self._outcome = 0
        self.workspace.message.connect(self._on_message)
        self.workspace.workerChanged.connect(self._on_worker)
        self.workspace.taskChanged.connect(self._on_task)

    # What the panel says

    def _on_message(self, level: str, text: str) -> None:
        if level == "error":
            self.ledger.note("error", text=text)
        if found := re.match(r"Round (\d+) suggests (\d+) slices", text):
            self._outcome += 1
            self.ledger.note("round", number=int(found[1]), suggestions=int(found[2]))

    def _on_worker(self) -> None:
        worker = self.workspace.worker
        now = "ended" if not worker.running else "device" if worker.device else "ready" if worker.ready else "started"
        if now != self._worker:
            self._worker = now
            self.ledger.note(f"worker {now}", process=self.workspace.process.processId)

    def _on_task(self) -> None:
        task = self.workspace.task
        now = IDLE if task is None else task.stage or f"before {task.title.rstrip(' 0123456789').lower()}"
        if now != self._stage:
            self._stage = now
            self.ledger.note("stage", stage=re.sub(r"^predict .*", "predict a case", now))

    # What is there

    @property
    def current(self) -> SliceRef | None:
        """The open slice."""
        return self.workspace.current

    def accepts(self, ref: SliceRef) -> int:
        """How often a slice was accepted."""
        return len(self.workspace.study.all_annotations(ref=ref))

    def saved(self, ref: SliceRef) -> str | None:
        """Hash of the draft of a slice."""
        drafts = self.workspace.session.drafts(case=ref.case)
        return next((hash_of(draft.labels) for draft in drafts if draft.ref == ref), None)

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait as a person does. Raises: TimeoutError."""
        self.host.waitUntil(condition, PATIENCE, what)

    def shown(self) -> bool:
        """Wait until the open slice is there to be worked on; choose it again when it does not come. False: there is none."""
        for _ in range(int(PATIENCE / AGAIN)):
            if self.current is None:
                return False
            try:
                self.host.waitUntil(lambda: self.current is None or self._on_screen(), AGAIN)
            except TimeoutError:
                self.workspace.openSlice(self.current)
            else:
                return self.current is not None
        raise TimeoutError(f"the open slice never came: {self.annotate.obstacle()}")

    def _on_screen(self) -> bool:
        # Not that it can be accepted: that takes a stroke, or another reader's.
        scene, views = self.workspace.scene, self.workspace.views
        loaded = scene.segmentation is not None and scene.case == self.current.case
        given = self.annotate.editor.segmentationNode() is scene.segmentation
        return loaded and given and self.current in views.displayed and views.shownSlice() == self.current

    def click(self, button: Any) -> bool:
        """Press a button; False when it went off while the mouse was on its way."""
        try:
            self.host.click(button)
        except AssertionError:
            if button.isEnabled() and button.isVisible():
                raise
            return False
        return True

    def pressed(self, button: Any, action: str, **details: Any) -> None:
        """An action that is one press of a button."""
        self.ledger.begin(action, **details)
        if self.click(button):
            self.ledger.done()
        else:
            self.ledger.refused("the button went off")

    def choose(self, ref: SliceRef) -> bool:
        """Open a slice and wait for it."""
        self.ledger.begin("open")
        self.workspace.openSlice(ref)
        self.ledger.done()
        return self.shown()

    # What comes next

    def open_study(self, path: Path) -> None:
        """The button that goes on with the last study where that is the one, else its folder."""
        self._path = path
        button = self.study.ui.reopenButton
        if button.isVisible() and button.enabled and f"{path.parent.name}/{path.name}" in button.text:
            self.click(button)
        else:
            self.study.openPath(str(path))

    def do_something(self) -> None:
        """One thing."""
        self.host.dialogs.answers = [True] * 9
        current = self.workspace.study.current_round()
        task, waiting = self.workspace.task, sum(case.waiting for case in self.workspace.session.case_status())
        if task is None and (current is None or current.stage != "annotating" or not waiting) and self.rng.random() < 0.8:
            self.start_round()
        elif task is not None and not waiting and self.rng.random() < 0.7:
            self.host.pump(self.rng.uniform(0.05, 0.3))
        elif current is not None and self.workspace.suggestions():
            self._work(waiting)
        else:
            self.host.pump(0.1)

    def _work(self, waiting: int) -> None:
        if self.current is None or (waiting and not self._waits() and self.rng.random() < 0.6):
            self.step(self.suggestions.ui.nextButton, "next")
            if self.current is None:
                self.choose(self._any_slice())
            return
        if not self.shown():
            return
        busy, idle = self.workspace.task is not None, self.workspace.task is None
        something: list[tuple[float, Callable[[], None]]] = [
            (24, self.paint),
            (5, self.stroke),
            (26, self.accept),
            (4, lambda: self.answer(self.suggestions.ui.emptyButton, "mark empty")),
            (2, lambda: self.answer(self.suggestions.ui.skipButton, "skip")),
            (1, lambda: self.answer(self.suggestions.ui.unreadableButton, "unreadable")),
            (6, self.undo),
            (5, self.reopen),
            (5, self.accept_range),
            (2, self.review),
            (4, lambda: self.step(self.suggestions.ui.nextButton, "next")),
            (2, lambda: self.step(self.suggestions.ui.previousButton, "previous")),
            (3, lambda: self.choose(self._any_slice()) and None),
            (3, self.outline),
            (3 * idle, self.write_files),
            (1.5 * idle, self.start_round),
            (1 * busy, self.cancel),
            (1, self.close_scene),
            (1, self.leave_and_enter),
            (1 * idle, self.close_study),
        ]
        self.rng.choices([one for _, one in something], [weight for weight, _ in something])[0]()

    def _waits(self) -> bool:
        status = self.workspace.session.status(self.current)
        return status is not None and status.state in WAITING

    def _any_slice(self) -> SliceRef:
        # Mostly of the case that is open: another one has to be loaded.
        rows = [row.suggestion.ref for row in self.workspace.suggestions()]
        case = self.current.case if self.current is not None and self.rng.random() < 0.7 else self.rng.choice(rows).case
        return self.rng.choice(self.workspace.study.frame(case).refs(case))

    # Rounds

    def start_round(self) -> None:
        """Start, or resume."""
        from SuggestiveAnnotationPanel.round_section import STRATEGIES

        ui = self.round.ui
        if not ui.startButton.enabled:
            return
        ui.budgetBox.value, ui.stepsBox.value, ui.manifoldStepsBox.value = 6, self.rng.randint(15, 120), self.rng.randint(8, 40)
        ui.networkBox.setCurrentText("tiny")
        ui.strategyBox.setCurrentText(self.rng.choice(list(STRATEGIES)))
        self.pressed(ui.startButton, "start round", strategy=ui.strategyBox.currentText)

    def cancel(self) -> None:
        """Cancel what the worker is at."""
        if self.round.ui.cancelButton.enabled:
            self.pressed(self.round.ui.cancelButton, "cancel")

    # Drawing

    def paint(self) -> None:
        """Change the open slice, and have it autosaved, or saved by something that saves."""
        ref = self.current
        labels = {ref: self._scribbled(ref)}
        self.ledger.begin("paint", slices={name_of(ref): hash_of(labels[ref])})
        self._write(labels)

    def _write(self, slices: dict[SliceRef, np.ndarray]) -> None:
        for ref, labels in slices.items():
            self.workspace.sync.write(ref, labels)
        if self.rng.random() < 0.5:
            self.workspace.saveNow()
        self.until(lambda: all(self.saved(ref) == hash_of(labels) for ref, labels in slices.items()), "the draft")
        self.ledger.done()

    def _scribbled(self, ref: SliceRef) -> np.ndarray:
        """The labels of a slice with something on them that was never drawn before."""
        labels = self.workspace.sync.labels(ref).copy()
        rows, columns = labels.shape
        top, left = self.rng.randrange(rows - 12), self.rng.randrange(columns - 12)
        values = np.array([0, 1, 4, self.workspace.study.schema.ignore_value], labels.dtype)
        drawn = np.random.default_rng(self.rng.getrandbits(32)).choice(values, (12, 12), p=(0.2, 0.45, 0.3, 0.05))
        labels[top : top + 12, left : left + 12] = drawn
        return labels

    def stroke(self) -> None:
        """Paint with the mouse."""
        import slicer

        ref = self.current
        before = self.workspace.sync.labels(ref)
        matrix = slicer.util.arrayFromVTKMatrix(slicer.app.layoutManager().sliceWidget(VIEW).mrmlSliceNode().GetSliceToRAS())
        self.workspace.views.returnToSuggested()
        centre = np.asarray(self.workspace.scene.centre(ref)) + self.rng.uniform(-REACH, REACH) * matrix[:3, 1]
        self.ledger.begin("paint", slices={name_of(ref): UNKNOWN})
        self.host.drag(VIEW, [tuple(centre + along * matrix[:3, 0]) for along in np.linspace(-REACH, REACH, 4)])
        labels = self.workspace.sync.labels(ref)
        changed = bool((labels != before).any())
        if changed:
            self.until(lambda: self.saved(ref) == hash_of(labels), "the draft")
        self.ledger.done(slices={name_of(ref): hash_of(labels) if changed else None})

    # Answering

    def _accepted(self, action: str, slices: dict[SliceRef, str], act: Callable[[], None]) -> None:
        before = {ref: self.accepts(ref) for ref in slices}
        self.ledger.begin(action, slices={name_of(ref): labels for ref, labels in slices.items()})
        act()
        if all(self.accepts(ref) == before[ref] + 1 for ref in slices):
            self.ledger.done()
        else:
            self.ledger.refused(self.widget.messageLabel.text)

    def accept(self) -> None:
        """Accept the open slice, by key or button."""
        ref = self.current
        if self.workspace.sync.untouched(ref) and self.rng.random() < 0.9:
            self.paint()
        labels = hash_of(self.workspace.sync.labels(ref))
        if self.rng.random() < 0.5:
            self._accepted("accept", {ref: labels}, lambda: self.host.press("Ctrl+Return"))
        else:
            self._accepted("accept", {ref: labels}, lambda: self.click(self.annotate.ui.acceptButton))

    def accept_range(self) -> None:
        """Draw on two or three neighbours and accept them together."""
        import slicer

        scene, here = self.workspace.scene, self.current
        last = min(here.native_index + self.rng.randint(1, 2), scene.frame.count - 1)
        refs = [SliceRef(here.case, here.axis, index) for index in range(here.native_index, last + 1)]
        for ref in refs[1:]:
            slicer.app.layoutManager().sliceWidget(VIEW).mrmlSliceNode().JumpSliceByOffsetting(*scene.centre(ref))
            self.until(lambda ref=ref: ref in self.workspace.views.displayed, "a slice that was scrolled to")
        drawn = {ref: self._scribbled(ref) for ref in refs}
        self.ledger.begin("paint", slices={name_of(ref): hash_of(labels) for ref, labels in drawn.items()})
        self._write(drawn)
        ui = self.annotate.ui
        ui.rangePinBox.checked = True
        ui.fromBox.value, ui.toBox.value = refs[0].native_index + 1, refs[-1].native_index + 1
        if ui.acceptRangeButton.enabled:
            slices = {ref: hash_of(labels) for ref, labels in drawn.items()}
            self._accepted("accept range", slices, lambda: self.click(ui.acceptRangeButton))
        ui.rangePinBox.checked = False

    def answer(self, button: Any, action: str) -> None:
        """Press one of the buttons below the list."""
        ref = self.current
        if not button.enabled:
            return
        if action == "mark empty":
            empty = hash_of(np.zeros_like(self.workspace.sync.labels(ref)))
            self._accepted(action, {ref: empty}, lambda: self.click(button))
            return
        self.ledger.begin(action, slice=name_of(ref))
        self.click(button)
        state = {"skip": "skipped"}.get(action, action)
        if self.workspace.session.status(ref).state == state:
            self.ledger.done()
        else:
            self.ledger.refused(self.widget.messageLabel.text)

    def undo(self) -> None:
        """Take the last accept back."""
        if not self.annotate.ui.undoAcceptButton.enabled:
            return
        before = self.workspace.study.last_accept(READER)
        self.ledger.begin("undo")
        self.click(self.annotate.ui.undoAcceptButton)
        if self.workspace.study.last_accept(READER) != before:
            self.ledger.done()
        else:
            self.ledger.refused(self.widget.messageLabel.text)

    def reopen(self) -> None:
        """Open a slice that was accepted, to correct it."""
        ref = self._some_accepted()
        if ref is not None and self.choose(ref) and self.annotate.ui.reopenButton.enabled:
            self.pressed(self.annotate.ui.reopenButton, "reopen", slice=name_of(ref))

    def _some_accepted(self) -> SliceRef | None:
        accepted = sorted(ref for ref in self.workspace.study.annotated_refs() if ref.case == self.current.case)
        return self.rng.choice(accepted) if accepted else None

    def review(self) -> None:
        """A second reader comes by, and approves or returns a slice."""
        ref, ui = self._some_accepted(), self.annotate.ui
        if ref is None:
            return
        self._be(REVIEWER)
        if self.choose(ref):
            action, button = self.rng.choice([("approve", ui.approveButton), ("return", ui.returnButton)])
            self.pressed(button, action, slice=name_of(ref))
        self._be(READER)

    def _be(self, name: str) -> None:
        self.ledger.begin("change reader", name=name)
        edit = self.study.ui.annotatorEdit
        self.host.type(edit, name)
        edit.editingFinished.emit()
        self.ledger.done()

    # Moving, looking, writing

    def step(self, button: Any, action: str) -> None:
        """The next or the previous suggestion that waits."""
        if button.enabled:
            self.pressed(button, action)

    def outline(self) -> None:
        """Show or hide what the model says of the case."""
        if self.workspace.study.latest_model("segmentation") is not None and self.annotate.ui.modelButton.enabled:
            self.pressed(self.annotate.ui.modelButton, "outline")

    def write_files(self) -> None:
        """Export every case, over what is there."""
        ui = self.export.ui
        self.widget.sections[5].widget.collapsed = False
        if not ui.exportButton.enabled:
            return
        ui.resultLabel.text = ""
        self.ledger.begin("export")
        self.click(ui.exportButton)
        self.until(lambda: self.workspace.task is None, "the export")
        if ui.resultLabel.text:
            self.ledger.done()
        else:
            self.ledger.refused(self.widget.messageLabel.text)

    def close_scene(self) -> None:
        """File, Close Scene."""
        self.ledger.begin("close scene")
        self.host.closeScene()
        self.ledger.done()

    def leave_and_enter(self) -> None:
        """Choose another module, and come back."""
        self.ledger.begin("leave the module")
        self.host.exit("SuggestiveAnnotation")
        self.host.enter("SuggestiveAnnotation")
        self.ledger.done()

    def close_study(self) -> None:
        """Close the study and open it again."""
        if self.study.ui.closeButton.enabled:
            self.ledger.begin("close the study")
            self.click(self.study.ui.closeButton)
            self.open_study(self._path)
            self.ledger.done()
