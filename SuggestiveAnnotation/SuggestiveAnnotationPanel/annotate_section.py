"""Section 4: correct the pre-annotation in the Segment Editor, and accept."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import slice_number

from . import effort_text, segments, settings, state_style
from .connect import connect
from .section import Section
from .segment_editor import SegmentEditor
from .shortcuts import withKeys

WATCH_MS = 300


class AnnotateSection(Section):
    """The embedded Segment Editor, Accept, and what a second reader does.

    Attributes:
        editor: the `qMRMLSegmentEditorWidget`.
    """

    name = "AnnotateSection"

    def __init__(self, workspace, resourcePath):
        self.title = _("4. Annotate")
        super().__init__(workspace, resourcePath)
        ui = self.ui
        self._tools = SegmentEditor(ui.editorPlace)
        self.editor = self._tools.widget
        self._entered = self._hasModel = False
        self._refs = []
        self._excluded = ""
        self._toReview, self._noteOn = (), None
        # Applied later, an outline would be drawn into whatever slice is shown then.
        workspace.unfinished = self._tools.outline
        connect(ui.ignoreButton, "clicked()", self._tools.chooseIgnore)
        connect(ui.modelButton, "clicked()", workspace.scene.toggleModelOutline)
        connect(ui.putBackButton, "clicked()", self.putBack)
        connect(ui.showButton, "clicked()", self.showStructures)
        self.connectAnswer(ui.acceptButton, self.acceptAndNext)
        connect(ui.acceptRangeButton, "clicked()", self.acceptRange)
        connect(ui.dropButton, "clicked()", self.dropDrafts)
        connect(ui.undoAcceptButton, "clicked()", self.undoAccept)
        connect(ui.reopenButton, "clicked()", self.reopen)
        connect(ui.approveButton, "clicked()", self.approve)
        connect(ui.returnButton, "clicked()", self.returnToDrawer)
        connect(ui.nextReviewButton, "clicked()", workspace.nextToReview)
        for box in (ui.fromBox, ui.toBox):
            connect(box, "valueChanged(int)", self._onRange)
        ui.gaugeBox.checked = settings.gauge()
        connect(ui.gaugeBox, "toggled(bool)", self._onGauge)
        # Outlines, previews and foreign segments come and go without a word from the Segment Editor.
        self._watch = qt.QTimer()
        self._watch.setInterval(WATCH_MS)
        connect(self._watch, "timeout()", self._onWatch)
        self.follow(workspace.caseShown, self._onCaseShown)
        self.follow(workspace.sliceChanged, self._onSlice)
        self.follow(workspace.statesChanged, self._onStates)
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.readerChanged, self._forgetWork)
        self.follow(workspace.views.moved, self._showObstacle)
        self.follow(workspace.leavingSlice, self._rememberTools)
        self.follow(workspace.sync.edited, self.refresh)
        self.follow(workspace.sync.spread, self._onSpread)
        self.follow(workspace.sync.rewritten, self._tools.forgetUndo)
        self.refresh()

    # The editor

    def enter(self):
        """Make the editor's keys and views work."""
        self._entered = True
        self._tools.enter()
        self._onCaseShown()
        self._watch.start()

    def exit(self):
        """Let the keys and views go."""
        self._rememberTools()
        self._entered = False
        self._watch.stop()
        self._tools.exit()

    def onSceneStartClose(self):
        """The editor's node goes with the scene."""
        self._rememberTools()
        self._tools.onSceneStartClose()

    def onSceneEndClose(self):
        """Make a new editor node."""
        if self._entered:
            self._tools.onSceneEndClose()

    def _onStudy(self):
        self._forgetWork()
        self._readReviews()
        self._onSlice()

    def _forgetWork(self):
        """What was said, or is being said, of slices is not for the next reader's eyes."""
        self.ui.effortLabel.text = self.ui.noteEdit.text = ""

    def _onStates(self):
        self._readReviews()
        self.refresh()

    def _readReviews(self):
        session = self.workspace.session
        self._toReview = session.to_be_reviewed() if session is not None else ()

    def _onSlice(self):
        ref, scene = self.workspace.current, self.workspace.scene
        if ref != self._noteOn:
            self._noteOn, self.ui.noteEdit.text = ref, ""
        if scene.segmentation is None or ref is None or ref.case != scene.case:
            self._tools.edit(None, None)
        # Undo stays on the slice that is open: it would change an accepted one unseen.
        self._tools.forgetUndo()
        self.refresh()

    def _onCaseShown(self):
        scene = self.workspace.scene
        if self._entered and scene.segmentation is not None:
            fresh = self.editor.segmentationNode() is not scene.segmentation
            self._tools.edit(scene.segmentation, scene.volume())
            if fresh or not self._tools.effect:
                self._restoreTools()
        self.refresh()

    def _restoreTools(self):
        kept = settings.place(self.workspace.path).get("tools", {})
        self._tools.choose(segments.segmentId(self.workspace.study.schema.classes[0].value), "")
        self._tools.choose(kept.get("segment", ""), kept.get("effect", "Paint"))

    def _rememberTools(self):
        if not self._entered or self.workspace.path is None or self.editor.segmentationNode() is None:
            return
        tools = {"segment": self._tools.segment, "effect": self._tools.effect}
        settings.setPlace(self.workspace.path, {**settings.place(self.workspace.path), "tools": tools})

    def putBack(self):
        """Give what other segments took back to the study's structures, and remove them."""
        self.workspace.sync.putBack()
        self._showObstacle()

    def showStructures(self):
        """Show the open slice with every structure, also those that were hidden to see what is under them."""
        self.workspace.views.returnToSuggested()
        self._showObstacle()

    # State

    def obstacle(self, refs=None):
        """Why slices (the open one when none are named) cannot be accepted now, in one sentence; empty when they can."""
        workspace = self.workspace
        if workspace.study is None:
            return _("Open a study first.")
        if workspace.current is None:
            return _("Choose a slice in 3.")
        if self._excluded:
            return self._excluded
        node, schema = workspace.scene.segmentation, workspace.study.schema
        if workspace.scene.failed == workspace.current.case:
            text = _("Case {case} could not be loaded. Load it again (J) once its images are there, or choose another case in 3.")
            return withKeys(text.format(case=workspace.current.case))
        if node is None or workspace.scene.case != workspace.current.case:
            return _("The case is being loaded.")
        if self.editor.segmentationNode() is not node:
            return _("The Segment Editor is being given the case again.")
        hidden = workspace.views.hidden()
        if hidden and workspace.views.visible:
            return self._tools.unapplied() or effort_text.hiddenText(hidden)
        unseen = [ref for ref in refs or [workspace.current] if ref not in workspace.views.displayed]
        if unseen and not workspace.views.visible:
            text = _("Slice {numbers} has not been shown yet, and its views are hidden now. Bring them back (J).")
            return withKeys(text.format(numbers=effort_text.numbers(unseen)))
        if unseen:
            return _("Slice {numbers} has not been shown yet. Scroll through it first.").format(numbers=effort_text.numbers(unseen))
        if not workspace.views.visible:
            return withKeys(_("The views along the slices are hidden. Bring them back (J)."))
        shown = workspace.views.shownSlice()
        if shown is None:
            return withKeys(_("The large view shows no slice of this case. Bring the suggested slice back (J)."))
        if refs is None and shown != workspace.current:
            return effort_text.elsewhereText(shown, workspace.current)
        unknown = segments.unknownSegments(node, schema)
        if unknown:
            text = _("The segment {name} is not part of the study. Undo (Ctrl+Z) what made it, or press Put back below.")
            return withKeys(text).format(name=unknown[0])
        missing = segments.missingSegments(node, schema)
        if missing:
            return _("The segment {name} was removed; it is being put back.").format(name=missing[0])
        if why := self._tools.unapplied():
            return why
        others = {ref: name for ref in refs or [workspace.current] if (name := workspace.sync.acceptedBy(ref))}
        if others:
            text = _("Slice {numbers} is as {reader} accepted it. Approve or return it below, or correct it and accept.")
            return text.format(numbers=effort_text.numbers(others), reader=", ".join(sorted(set(others.values()))))
        if refs is None and workspace.sync.untouched(workspace.current):
            text = _("Nothing is drawn on slice {n} yet. Draw the structures, or press Empty in 3 where there are none.")
            return text.format(n=slice_number(workspace.current))
        return ""

    def refresh(self):
        """Say which slice is open, and what can be done with it."""
        ui, workspace = self.ui, self.workspace
        session, ref = workspace.session, workspace.current
        known = session is not None and ref is not None
        status = session.status(ref) if known else None
        self._excluded = workspace.whyExcluded(ref)
        ui.undoAcceptButton.enabled = session is not None and workspace.study.last_accept(session.annotator) is not None
        mine = status is not None and status.state in ("accepted", "reviewed") and status.annotator == session.annotator
        ui.reopenButton.enabled = mine
        self._hasModel = session is not None and workspace.study.latest_model("segmentation") is not None
        self._showReview(session.to_review(ref) if known else None)
        word = state_style.word(status.state) if status is not None else _("not suggested")
        said = effort_text.reviewText(status.review) if status is not None else ""
        text = effort_text.stateText(ref, word, workspace.sync.held(ref) or session.shown_labels(ref)) if known else ""
        ui.sliceLabel.text = f"{text} {said}".strip()
        self._offerRange()
        self._showObstacle()
        self._showGauge()

    def _showReview(self, annotation):
        """Offer to judge what another reader accepted on the open slice, None where that is nothing, and to go to the next such slice."""
        ui, others = self.ui, [ref for ref in self._toReview if ref != self.workspace.current]
        ui.reviewBox.visible = annotation is not None or bool(others)
        parts = [_("{name} accepted this slice.").format(name=annotation.annotator)] if annotation is not None else []
        parts += [_("Other slices that wait for review: {n}.").format(n=len(others))] if others else []
        ui.reviewLabel.text = " ".join(parts)
        why = "" if annotation is not None else _("Nobody else has accepted this slice.")
        for widget in (ui.noteEdit, ui.approveButton, ui.returnButton):
            widget.enabled, widget.toolTip = not why, why
        ui.nextReviewButton.enabled = bool(others)
        ui.nextReviewButton.toolTip = (
            _("Open the next slice that another reader accepted and nobody reviewed") if others else _("No other slice waits for review.")
        )

    def _onSpread(self, count):
        what = self._tools.effect or _("That")
        text = _("{what} changed {n} slices, which are drafts now. Undo (Ctrl+Z) takes it back on this slice, Drop drafts also later.")
        self.workspace.message("info", withKeys(text).format(what=what, n=count))

    def _onWatch(self):
        if self._tools.unmask():
            text = _("Masking by intensity (key I, Use for masking) was switched off again: the brush would leave pixels out unseen.")
            self.workspace.message("warning", text)
        scene, ref = self.workspace.scene, self.workspace.current
        if ref is not None and ref.case == scene.case and self.editor.segmentationNode() is not scene.segmentation:
            # A scene that was added leaves the editor without a segmentation, or with a foreign one.
            self._onCaseShown()
        self._showObstacle()

    def _showObstacle(self):
        ui = self.ui
        why = self.obstacle()
        ui.acceptButton.enabled = not why
        ui.acceptButton.setToolTip(why or _("Accept the open slice as it is drawn, and open the next one that waits"))
        self.guide(why or self._whatNext())
        ui.ignoreButton.enabled = self.editor.segmentationNode() is not None
        ui.modelButton.enabled = ui.ignoreButton.enabled and self._hasModel
        node, study = self.workspace.scene.segmentation, self.workspace.study
        ui.putBackButton.visible = node is not None and study is not None and bool(segments.unknownSegments(node, study.schema))
        ui.showButton.visible = bool(self.workspace.views.hidden())
        refs = self._range()
        whyRange = self.obstacle(refs) if refs else why or _("Choose a range from a lower to a higher slice.")
        ui.acceptRangeButton.enabled = not whyRange
        ui.acceptRangeButton.setToolTip(whyRange or _("Accept every slice from the first to the second number, in one step"))
        ui.dropButton.enabled = bool(self._draftsInRange())
        changed = _("{n} slices of this case have unaccepted work.").format(n=len(self._refs)) if self._refs else ""
        # What stands in the way of the open slice too is said above.
        ui.changedLabel.text = changed if whyRange == why else f"{changed} {whyRange}".strip()

    def _whatNext(self):
        if self.workspace.sync.labels(self.workspace.current).any():
            return _("Correct the outlines, then Accept and next (Ctrl+Return).")
        return _("Draw the structures, then Accept and next (Ctrl+Return); where there are none, accept the slice as it is.")

    # The range

    def _offerRange(self):
        workspace, ui = self.workspace, self.ui
        here = workspace.current is not None and workspace.scene.case == workspace.current.case
        self._refs = workspace.sync.changedSlices() if here else []
        if not here:
            return
        first, last = _run([slice_number(ref) for ref in self._refs], slice_number(workspace.current))
        for box, value in ((ui.fromBox, first), (ui.toBox, last)):
            blocked = box.blockSignals(True)
            box.setRange(1, workspace.scene.frame.count)
            if not ui.rangePinBox.checked:
                box.value = value
            box.blockSignals(blocked)

    def _range(self):
        scene, current = self.workspace.scene, self.workspace.current
        if current is None or scene.case != current.case:
            return []
        numbers = range(self.ui.fromBox.value, self.ui.toBox.value + 1)
        return [ref for ref in scene.frame.refs(scene.case) if slice_number(ref) in numbers]

    def _draftsInRange(self):
        return [ref for ref in self._range() if ref in self._refs]

    def dropDrafts(self):
        """Throw the unaccepted work in the range away, after asking."""
        refs = self._draftsInRange()
        if not refs:
            return
        numbers = effort_text.numbers(refs)
        question = _("Drop the unaccepted work on slice {numbers}? It cannot be brought back; what was accepted stays.")
        if not self.agrees(question.format(numbers=numbers), _("Drop drafts")):
            return
        changed = self.workspace.sync.changedSlices()
        if refs := [ref for ref in refs if ref in changed]:
            numbers = effort_text.numbers(refs)
            self.workspace.sync.drop(refs)
            self.workspace.message("info", _("The unaccepted work on slice {numbers} was dropped.").format(numbers=numbers))

    def _onRange(self, _value):
        self._showObstacle()

    # Accepting

    def acceptAndNext(self):
        """Accept the open slice and open the next."""
        if self._accept():
            self.workspace.nextSlice()

    def acceptRange(self):
        """Accept every slice from one number to another, in one transaction; each must have been shown."""
        refs = self._range()
        if refs and self._accept(refs):
            self.ui.rangePinBox.checked = False
            self.workspace.statesChanged()

    def _accept(self, refs=None):
        """Whether the slices (the open one when none are named) were accepted, which the caller tells the others; says why when they were
        not.
        """
        sync, agreed = self.workspace.sync, set()
        while True:
            # What a tool has only just changed out of view was not seen, and whatever goes wrong after this, the work is in the study.
            sync.save()
            why = self.obstacle(refs)
            if why:
                self.workspace.message("warning", why)
                return False
            untouched = {ref for ref in refs or [self.workspace.current] if sync.untouched(ref)}
            if untouched <= agreed:
                break
            if not self._meansEmpty(untouched):
                return False
            # A new round may have come while the question was open.
            agreed |= untouched
        refs = refs or [self.workspace.current]
        sync.accepting(refs)
        annotations = self.workspace.session.accept({ref: sync.labels(ref) for ref in refs})
        sync.accepted(refs)
        self._tools.forgetUndo()
        self.ui.effortLabel.text = effort_text.acceptedText(annotations)
        return True

    def _meansEmpty(self, untouched):
        """Whether slices of a range on which nothing is drawn are to be accepted as empty."""
        question = _("Nothing is drawn on slice {numbers}. Accept as empty?")
        return self.agrees(question.format(numbers=effort_text.numbers(untouched)), _("Accept slices"))

    def undoAccept(self):
        """Take the last accept back; its labels are drafts again."""
        if not self.workspace.mayLeave():
            return
        refs = self.workspace.session.undo()
        excluded = self.workspace.whyExcluded(refs[0])
        text = _("Slice {numbers} is a draft again.").format(numbers=effort_text.numbers(refs))
        self.ui.effortLabel.text = text = f"{text} {excluded}".strip()
        if self.workspace.current not in refs and not excluded:
            self.workspace.openSlice(refs[0])
        self.workspace.statesChanged()
        # What stood there may have been that everything is answered.
        self.workspace.message("info", text)

    def reopen(self):
        """Correct a slice that was accepted."""
        self.workspace.saveNow()
        self.workspace.session.reopen(self.workspace.current)
        self.workspace.statesChanged()
        self.workspace.message("info", _("Slice {n} is a draft again.").format(n=slice_number(self.workspace.current)))

    def approve(self):
        """As second reader: approve."""
        self._review("approved")

    def returnToDrawer(self):
        """As second reader: give back to the one who drew, with a note."""
        self._review("returned")

    def _review(self, verdict):
        if not self.workspace.mayLeave():
            return
        ref, views = self.workspace.current, self.workspace.views
        if ref not in views.displayed or views.shownSlice() != ref or not views.visible:
            self.workspace.message("warning", withKeys(_("The slice is not on the screen. Bring it back (J), then judge it.")))
            return
        if hidden := views.hidden():
            self.workspace.message("warning", effort_text.hiddenText(hidden))
            return
        if ref in self.workspace.sync.changedSlices():
            self.workspace.message("warning", _("You have changed this slice. Accept your own version, or drop your drafts of it first."))
            return
        self.workspace.session.review([ref], verdict=verdict, note=self.ui.noteEdit.text)
        self.ui.noteEdit.text = ""
        self.workspace.nextToReview()

    # The gauge

    def _onGauge(self, on):
        settings.setGauge(on)
        self._showGauge()

    def _showGauge(self):
        workspace, label = self.workspace, self.ui.gaugeLabel
        ref = workspace.current
        if not self.ui.gaugeBox.checked or ref is None or workspace.scene.case != ref.case:
            label.text = ""
            return
        shown = workspace.sync.held(ref) or workspace.session.first_shown(ref)
        text = effort_text.gaugeText(workspace.study, ref, workspace.sync.labels(ref), None if shown is None else shown.labels)
        minutes = workspace.session.active_minutes(ref)
        label.text = text if minutes is None else text + " " + effort_text.minutesText(minutes)

    def cleanup(self):
        """Let the editor go before its nodes."""
        self._watch.stop()
        super().cleanup()
        self._tools.exit()
        self.editor.setMRMLSegmentEditorNode(None)


def _run(numbers, number):
    """First and last of the run of consecutive numbers around one; the one itself where it is in none."""
    first = last = number
    while first - 1 in numbers:
        first -= 1
    while last + 1 in numbers:
        last += 1
    return first, last
