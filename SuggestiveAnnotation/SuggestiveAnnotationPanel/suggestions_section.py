"""Section 3: the suggested slices, case by case, and what became of them."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import slice_number

from . import effort_text, state_style
from .case_strip import CaseStrip
from .connect import connect
from .section import Section
from .shortcuts import withKeys
from .thumbnails import Thumbnails

THUMBNAIL = 40
WIDTHS = (156, 96)
"""Pixels of the first columns; the last takes the rest."""
LONGEST = 36
"""Letters of a case's name that fit beside its count in a narrow panel."""
REASONS = (
    lambda: _("nothing to learn here"),
    lambda: _("too like another slice"),
    lambda: _("motion"),
    lambda: _("artefact"),
    lambda: _("outside the body"),
)
"""Offered; others can be typed."""


class SuggestionsSection(Section):
    """A tree of cases and slices; choosing one opens it."""

    name = "SuggestionsSection"

    def __init__(self, workspace, resourcePath):
        self.title = _("3. Suggestions")
        super().__init__(workspace, resourcePath)
        self._items, self._cases, self._written = {}, {}, {}
        self._statuses, self._states, self._reasons = {}, {}, {}
        self._rows, self._left, self._leftItem = (), (), None
        self._listed, self._drawn, self._reasonOn = None, {}, None
        self._filling = False
        self._thumbnails = Thumbnails(workspace, self._onThumbnail)
        self._strip = CaseStrip(self.ui.stripLabel, workspace.openSlice)
        self._setUpTree()
        ui = self.ui
        ui.reasonBox.addItems(["", *(text() for text in REASONS)])
        ui.reasonBox.lineEdit().setPlaceholderText(_("why, if you skip, cannot read or exclude"))
        connect(ui.previousButton, "clicked()", workspace.previousSlice)
        connect(ui.nextButton, "clicked()", workspace.nextSlice)
        self.connectAnswer(ui.skipButton, self.skip)
        self.connectAnswer(ui.emptyButton, self.markEmpty)
        self.connectAnswer(ui.unreadableButton, self.markUnreadable)
        connect(ui.excludeCaseButton, "clicked()", self.excludeCase)
        connect(ui.waitingOnlyBox, "toggled(bool)", lambda _on: self.refresh())
        # Running through the list by key opens the slice where one stops.
        self._choosing = qt.QTimer()
        self._choosing.setSingleShot(True)
        self._choosing.setInterval(80)
        connect(self._choosing, "timeout()", self._openChosen)
        self.follow(workspace.studyChanged, self._onStudy)
        self.follow(workspace.statesChanged, self._onStates)
        self.follow(workspace.sliceChanged, self._onSlice)
        if workspace.views is not None:
            self.follow(workspace.views.moved, self._onMoved)
        self.refresh()

    def _setUpTree(self):
        tree = self.ui.suggestionTree
        tree.setColumnCount(3)
        tree.setHeaderLabels([_("Slice"), _("State"), _("Why")])
        tree.setIconSize(qt.QSize(THUMBNAIL, THUMBNAIL))
        tree.setWordWrap(True)
        tree.setIndentation(12)
        for column, width in enumerate(WIDTHS):
            tree.setColumnWidth(column, width)
        connect(tree, "itemSelectionChanged()", self._onChosen)
        connect(tree, "itemClicked(QTreeWidgetItem*,int)", self._onClicked)

    def _onStudy(self):
        self._thumbnails.forget()
        self._drawn = {}
        self.refresh()

    def _onStates(self):
        current = self.workspace.current
        for ref, state in self._states.items():
            if state == "draft" and current is not None and ref.case == current.case:
                # Drawn on again, maybe: its picture is made anew.
                self._drawn[ref] = self._drawn.get(ref, 0) + 1
        self.refresh()

    # The tree

    def refresh(self):
        """Read the suggestions and their states again."""
        session = self.workspace.session
        self._rows = self.workspace.suggestions()
        self._left = session.left_over() if session is not None else ()
        self._statuses = statuses = session.slice_status() if session is not None else {}
        suggested = {row.suggestion.ref: row.suggestion for row in self._rows}
        self._states = {ref: statuses[ref].state for ref in (*suggested, *self._left) if ref in statuses}
        withheld = session.withheld() if session is not None else ()
        self._reasons = {ref: _why(suggested.get(ref), statuses.get(ref), ref in withheld) for ref in (*suggested, *self._left)}
        listed = [row for row in self._rows if not self.ui.waitingOnlyBox.checked or self._waits(row.suggestion.ref)]
        self._filling = True
        try:
            names = (*((row.suggestion.ref, row.suggestion.kind == "context") for row in listed), *self._left)
            if names != self._listed:
                self._build(listed)
                self._listed = names
            self._fill()
        finally:
            self._filling = False
        self._select()
        self._say()

    def _waits(self, ref):
        from SuggestiveAnnotationLib.session import WAITING

        return self._states.get(ref) in WAITING

    def _build(self, rows):
        tree = self.ui.suggestionTree
        self._items, self._cases, self._written = {}, {}, {}
        tree.clear()
        for row in rows:
            one = row.suggestion
            if one.ref.case not in self._cases:
                self._cases[one.ref.case] = self._addGroup()
            item = qt.QTreeWidgetItem()
            context = one.kind == "context"
            item.setText(0, (_("context {n}") if context else _("slice {n}")).format(n=slice_number(one.ref)))
            if context:
                item.setForeground(0, qt.QBrush(qt.QColor(state_style.readable(state_style.GREY, self.content.palette))))
            # A context slice stands below the suggestion that it accompanies.
            self._items.get(one.context_of, self._cases[one.ref.case]).addChild(item)
            self._items[one.ref] = item
        self._leftItem = self._addGroup() if self._left else None
        for ref in self._left:
            self._items[ref] = item = qt.QTreeWidgetItem()
            # What is cut off of a long name is in the tool tip.
            item.setText(0, _("slice {n} of {case}").format(case=ref.case, n=slice_number(ref)))
            self._leftItem.addChild(item)
        tree.expandAll()

    def _addGroup(self):
        item = qt.QTreeWidgetItem()
        self.ui.suggestionTree.addTopLevelItem(item)
        item.setFlags(qt.Qt.ItemIsEnabled)
        item.setFirstColumnSpanned(True)
        return item

    def _fill(self):
        members = {}
        for row in self._rows:
            members.setdefault(row.suggestion.ref.case, []).append(row.suggestion.ref)
        for case, parent in self._cases.items():
            done = sum(not self._waits(ref) and self._states.get(ref) != "expired" for ref in members[case])
            text = _("case {case}: {done}/{total}")
            parent.setText(0, text.format(case=_short(case), done=done, total=len(members[case])))
            parent.setToolTip(0, text.format(case=case, done=done, total=len(members[case])))
        if self._leftItem is not None:
            self._leftItem.setText(0, _("your drafts and returned slices: {n}").format(n=len(self._left)))
        reader = (self.workspace.annotator, getattr(self.workspace.session, "blind", False))
        for ref, item in self._items.items():
            state = self._states.get(ref, "suggested")
            icon = self._thumbnails.want(ref, (reader, state, self._drawn.get(ref, 0)))
            if icon is not None and ref not in self._written:
                item.setIcon(0, icon)
            if self._written.get(ref) != (state, self._reasons[ref]):
                self._written[ref] = (state, self._reasons[ref])
                self._write(item, *self._written[ref])

    def _write(self, item, state, reason):
        item.setText(1, state_style.shapeAndWord(state))
        item.setForeground(1, qt.QBrush(qt.QColor(state_style.readable(state_style.STYLES[state][1], self.content.palette))))
        item.setText(2, reason)
        for column, tip in enumerate((f"{item.text(0)}\n{reason}".strip(), reason, reason)):
            item.setToolTip(column, tip)

    def _onThumbnail(self, ref, icon):
        if ref in self._items:
            self._items[ref].setIcon(0, icon)

    def _say(self):
        states = [self._states.get(row.suggestion.ref) for row in self._rows]
        total, waiting = len(states), sum(self._waits(row.suggestion.ref) for row in self._rows)
        coming, following = self.workspace.comingText(), _("Start the next round in 2, or review in 5.")
        if self.workspace.session is None:
            text = _("Open a study in 1.")
        elif not total:
            text = coming or _("There are no suggestions yet. Start a round in 2.")
        elif waiting:
            text = _("{n} of {total} wait. Choose one, or go to the next (N).").format(n=waiting, total=total)
        elif "expired" in states:
            text = f"{self.workspace.answeredText()} {coming or following}"
        else:
            text = f"{_('All {total} are answered.').format(total=total)} {coming or following}"
        if self._left:
            left = _("Your drafts and returned slices of other rounds, at the end of the list: {n}.").format(n=len(self._left))
            text = f"{text} {left}"
        self.guide(text)

    # The open slice

    def _onSlice(self):
        if self.workspace.current != self._reasonOn:
            self._reasonOn = self.workspace.current
            self.ui.reasonBox.setCurrentIndex(0)
            self.ui.reasonBox.setEditText("")
        self._select()

    def _select(self):
        """Mark the open slice, without opening it again."""
        ref = self.workspace.current
        self._filling = True
        try:
            tree = self.ui.suggestionTree
            if ref in self._items:
                tree.setCurrentItem(self._items[ref])
                tree.scrollToItem(self._items[ref])
            else:
                tree.clearSelection()
        finally:
            self._filling = False
        self._choosing.stop()
        self.ui.reasonLabel.text = self._reasons.get(ref, "")
        self._enableAnswers(ref)
        self._showStrip(ref)

    def _onMoved(self):
        self._strip.moved(self._shownSlice())
        # It may have been seen only now.
        self._enableAnswers(self.workspace.current)

    def _enableAnswers(self, ref):
        ui, suggested = self.ui, ref in self._states
        waits = suggested and self._waits(ref)
        passable = waits and self._statuses[ref].kind is not None
        why = "" if waits else _("Open a slice that waits first.")
        never = _("It was never suggested. Drop drafts in 4 throws the draft away.") if waits and not passable else why
        shown = self._shownSlice()
        # Whoever scrolled on may mean the slice that they see.
        elsewhere = effort_text.elsewhereText(shown, ref) if passable and shown not in (None, ref) else ""
        for button, tip, other in (
            (ui.skipButton, _("Pass this suggestion over; it is not suggested again"), ""),
            (ui.unreadableButton, _("Say that the image cannot be read here; it is not suggested again"), elsewhere),
        ):
            button.enabled = passable and not other
            button.toolTip = never or other or tip
        known = ref is not None
        hidden = self._hidden(ref) if known else ""
        excluded = self.workspace.whyExcluded(ref)
        ui.emptyButton.enabled = known and not hidden and not excluded and self._states.get(ref) not in ("accepted", "reviewed")
        ui.emptyButton.toolTip = (
            _("Accept the slice as holding none of the structures") if ui.emptyButton.enabled else excluded or hidden or why
        )
        ui.excludeCaseButton.enabled, ui.reasonBox.enabled = known and not excluded, known
        whole = _("Take the whole case out of training and suggestions")
        ui.excludeCaseButton.toolTip = (excluded or whole) if known else _("Open a slice first.")
        for button, tip in (
            (ui.nextButton, _("Open the next slice that waits; your drafts and returned slices come last")),
            (ui.previousButton, _("Open the slice before that waits")),
        ):
            button.enabled = any(map(self._waits, self._states))
            button.toolTip = tip if button.enabled else _("No suggestion waits.")

    def _onChosen(self):
        if not self._filling:
            self._choosing.start()

    def _onClicked(self, item):
        views, opened = self.workspace.views, self._items.get(self.workspace.current)
        if views is not None and opened is not None and opened.isSelected() and item.isSelected():
            # It is open already: whoever scrolled away comes back.
            views.returnToSuggested()

    def _openChosen(self):
        chosen = next((ref for ref, item in self._items.items() if item.isSelected()), None)
        if chosen is not None and chosen != self.workspace.current:
            self.workspace.openSlice(chosen)
            if self.workspace.current != chosen:
                self._select()

    def _shownSlice(self):
        return self.workspace.views.shownSlice() if self.workspace.views is not None else None

    def _showStrip(self, ref):
        if ref is None or self.workspace.study is None:
            self._strip.hide()
            return
        statuses = {one: status for one, status in self._statuses.items() if one.case == ref.case}
        contexts = {one for one, status in statuses.items() if status.kind == "context"}
        shown = self._shownSlice()
        shown = shown if shown is not None and shown.case == ref.case else None
        states = {one: status.state for one, status in statuses.items()}
        self._strip.show(self.workspace.study.frame(ref.case).count, states, contexts, ref, shown)

    # Answers

    def skip(self):
        """Pass over the open suggestion, with the reason that is chosen or typed."""
        if not self.workspace.mayLeave():
            return
        self.workspace.saveNow()
        self.workspace.session.skip(self.workspace.current, reason=self._reason())
        self.workspace.nextSlice()

    def markUnreadable(self):
        """Say that the open slice cannot be read."""
        if not self.workspace.mayLeave():
            return
        self.workspace.saveNow()
        self.workspace.session.unreadable(self.workspace.current, reason=self._reason())
        self.workspace.nextSlice()

    def _reason(self):
        return self.ui.reasonBox.currentText.strip() or _("no reason given")

    def _hidden(self, ref):
        """Why nobody can say that the open slice is empty: it is not what they see. Empty when it is."""
        if not self.workspace.views.visible:
            return withKeys(_("The views along the slices are hidden. Bring them back (J)."))
        if hidden := self.workspace.views.hidden():
            return effort_text.hiddenText(hidden)
        if ref not in self.workspace.views.displayed or ref.case != self.workspace.scene.case:
            return _("The slice has not been shown yet.")
        shown = self._shownSlice()
        if shown is None:
            return withKeys(_("The large view shows no slice of this case. Bring the suggested slice back (J)."))
        return "" if shown == ref else effort_text.elsewhereText(shown, ref)

    def markEmpty(self):
        """Accept the open slice as holding none of the structures, after asking where somebody drew some."""
        ref = self.workspace.current
        if not self.workspace.mayLeave():
            return
        self.workspace.saveNow()
        if self._refuses(ref):
            return
        shown = self.workspace.session.shown_labels(ref)
        question = _("Structures are drawn on slice {n}. They will be gone. Accept it as empty?").format(n=slice_number(ref))
        drawn = shown.origin != "pre-annotation" and shown.labels.any()
        # What is shown may have changed while the question was open.
        if drawn and (not self.agrees(question, _("Empty")) or self._refuses(ref)):
            return
        self.workspace.sync.accepting([ref])
        self.workspace.session.mark_empty([ref])
        self.workspace.sync.accepted([ref])
        self.workspace.nextSlice()

    def _refuses(self, ref):
        why = self._hidden(ref)
        if why:
            self.workspace.message("warning", why)
        return bool(why)

    def excludeCase(self):
        """Take the open case out of the study, after asking."""
        if not self.workspace.mayLeave():
            return
        case = self.workspace.current.case
        question = _("Exclude case {case} from training and suggestions? What was accepted in it stays in the study.").format(case=case)
        if not self.agrees(question, _("Exclude case")):
            return
        self.workspace.saveNow()
        self.workspace.session.exclude_case(case, reason=self._reason())
        self.workspace.nextSlice()
        self.workspace.studyChanged()
        self.workspace.message("info", _("Case {case} is excluded. Include again in 1 takes it back.").format(case=case))

    def cleanup(self):
        """Stop drawing."""
        self._choosing.stop()
        self._strip.cleanup()
        self._thumbnails.cleanup()
        super().cleanup()


def _short(name):
    """A name without its middle where it is long: its ends tell cases apart."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def _why(suggestion, status, withheld):
    """Why a slice is listed, None as suggestion where the round does not suggest it; and why it was passed over or returned."""
    if suggestion is None:
        sentence = _("You have begun it; it is not accepted yet.")
    else:
        # Audit slices are unmarked: their own sentence would tell.
        unmarked = withheld or suggestion.kind == "audit"
        sentence = _("Chosen for this round.") if unmarked else suggestion.rationale.sentence
    if status is not None and status.review is not None:
        return f"{effort_text.reviewText(status.review)} {sentence}"
    if status is not None and status.state in ("skipped", "unreadable") and status.reason:
        return f"{state_style.word(status.state)}: {status.reason}. {sentence}"
    return sentence
