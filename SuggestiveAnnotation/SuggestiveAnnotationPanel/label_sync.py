"""What the person changed: compares the segmentation with what was there before and keeps each changed slice as a draft."""

from __future__ import annotations

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import SliceRef, slice_number

from . import segments
from .connect import connect
from .labelmap_memory import LabelmapMemory
from .signal import Signal

DEBOUNCE_MS = 200
AUTOSAVE_MS = 10_000


class LabelSync:
    """Between the segmentation of the open case and the drafts of the study.

    A pre-annotation stays as long as a person looks at it, whatever a new round brings: `held` tells of such slices.

    Signals: `edited()`, after a change by the person was seen; `spread(count)`, before it, when the change reaches beyond the slice in
    view, with the number of slices that have become drafts by it; `rewritten()`, after labels came from the study: states that an undo
    would bring back are older than they are.
    """

    def __init__(self, workspace):
        self._workspace = workspace
        self.edited, self.spread, self.rewritten = Signal(), Signal(), Signal()
        self._node = None
        self._tags = []
        self._touched = False
        # Native indices of what the large view showed when something changed, until the next look.
        self._seen = set()
        # Label values of segments that were put back empty, until they have their labels again.
        self._again = set()
        self._memory = LabelmapMemory()
        # Native volumes: as it is, and as each slice was before the person began.
        self._now = self._start = None
        # Native indices: changed since the last save; with a draft begun here; with a draft of another day; with something from the study.
        self._changed, self._begun, self._drafted, self._placed = set(), set(), set(), set()
        # Native index -> the pre-annotation that the study shows there, a `ShownLabels`.
        self._preAnnotations = {}
        # The same, of slices in view that the newest round shows otherwise.
        self._held = {}
        # Native index -> what another reader accepted, where the study shows that, a `ShownLabels`.
        self._others = {}
        # The same, of slices changed since the last save, as it was before the change; None where there was none.
        self._against = {}
        self._looked = qt.QTimer()
        self._looked.setSingleShot(True)
        self._looked.setInterval(DEBOUNCE_MS)
        connect(self._looked, "timeout()", self.look)
        self._saves = qt.QTimer()
        self._saves.setSingleShot(True)
        self._saves.setInterval(AUTOSAVE_MS)
        connect(self._saves, "timeout()", self.save)
        self._followed = [
            (workspace.leavingSlice, self.save),
            (workspace.caseShown, self._attach),
            (workspace.sliceChanged, self._onSlice),
            (workspace.statesChanged, self.refresh),
        ]
        if workspace.views is not None:
            self._followed.append((workspace.views.moved, self._onMoved))
        for signal, call in self._followed:
            signal.connect(call)

    # Following the segmentation

    def _attach(self):
        node = self._workspace.scene.segmentation
        if node is None or node is self._node:
            return
        self.detach()
        self._node = node
        self._now = segments.readVolume(node, self._scene.geometry, self._scene.schema)
        self._start = self._now.copy()
        self._memory.keep(node, self._scene.geometry, self._scene.schema, slice(0, len(self._now)))
        self._learn(self._shown())
        self._touched = False
        # Undo and redo tell only that segments were modified, clearing a segment by the table's menu only of a representation.
        of = slicer.vtkSegmentation
        for event in (of.SourceRepresentationModified, of.RepresentationModified, of.SegmentModified, of.SegmentRemoved):
            self._tags.append(node.AddObserver(event, self._onModified))

    def detach(self):
        """Save, and stop following."""
        if self._node is None:
            return
        if self._workspace.session is not None:
            self.save()
        for tag in self._tags:
            self._node.RemoveObserver(tag)
        self._tags.clear()
        self._looked.stop()
        self._saves.stop()
        self._node = self._now = self._start = None
        self._memory.forget()
        slices = (self._changed, self._begun, self._drafted, self._placed, self._again, self._seen)
        for known in (*slices, self._preAnnotations, self._held, self._others, self._against):
            known.clear()

    @property
    def _scene(self):
        return self._workspace.scene

    def _onModified(self, *_arguments):
        self._touched = True
        self._seen |= self._shownNow()
        self._looked.start()

    def look(self):
        """See what changed since the last look. Reads the case only when something told that it was modified."""
        self._looked.stop()
        # A node that leaves the scene loses its segments one by one before it goes: that is no edit.
        if self._node is None or not self._touched or self._scene.segmentation is not self._node:
            return
        scene = self._scene
        again, restored = segments.restoreSegments(self._node, scene.schema)
        self._again.update(again)
        rows, labels = self._read()
        if self._again:
            # A structure that was removed as a segment was not erased from the slices.
            labels = np.where((labels == 0) & np.isin(self._now, list(self._again)), self._now, labels)
            segments.importVolume(self._node, labels, scene.geometry, scene.schema)
            self._memory.forget()
            self._again.clear()
        # Putting them back told of a change too.
        self._touched = False
        self._looked.stop()
        others = tuple(a for a in range(3) if a != scene.frame.axis)
        first = rows.start if scene.frame.axis == 0 else 0
        changed = [first + int(index) for index in np.flatnonzero((labels != self._now[rows]).any(axis=others))]
        self._now[rows] = labels
        if restored:
            text = _("Structures with their names, colours and terminology belong to the study; what was removed or changed was put back.")
            self._workspace.message("warning", text)
        unseen = set(changed) - self._seen - self._shownNow()
        self._unsee(unseen)
        self._seen.clear()
        if not changed:
            return
        known = {**self._preAnnotations, **self._held}
        # A round that comes before the next save shows something else.
        self._against.update({index: known.get(index) for index in set(changed) - self._changed})
        self._changed.update(changed)
        for index in changed:
            self._workspace.session.record("stroke", self._ref(index))
        if not self._saves.active:
            self._saves.start()
        start, stack = self._stack(self._start), self._stack(self._now)
        work = [index for index in changed if not np.array_equal(stack[index], start[index])]
        if unseen.intersection(work):
            self.spread(len(work))
        self.edited()

    def _read(self):
        """Native `k` between which something may have changed since the last look, as a slice, and the labels there."""
        of = (self._node, self._scene.geometry, self._scene.schema)
        unknown = segments.unknownSegments(self._node, self._scene.schema)
        if unknown or self._again:
            self._memory.forget()
        rows = self._memory.changed(*of)
        _slices, height, width = self._now.shape
        labels = segments.readBox(*of, (rows, slice(0, height), slice(0, width)))
        if unknown:
            # What a segment of their own took from a structure is not erased: nothing is accepted meanwhile, and it may be put back.
            labels = np.where((labels == 0) & segments.readUnknown(*of), self._now, labels)
        else:
            self._memory.keep(*of, rows)
        return rows, labels

    def save(self):
        """Keep every changed slice as a draft now; one that is again as it was before the person began needs none."""
        if self._node is None:
            return
        self.look()
        self._saves.stop()
        if not self._changed:
            return
        session, stack, start = self._workspace.session, self._stack(self._now), self._stack(self._start)
        kept, begun, dropped = {}, set(), set()
        for index in sorted(self._changed):
            if not np.array_equal(stack[index], start[index]):
                kept[index] = np.array(stack[index], np.uint16)
                begun.update({index} - self._drafted)
            elif index in self._begun:
                dropped.add(index)
            elif index in self._drafted:
                kept[index] = np.array(stack[index], np.uint16)
        self._noteShown(begun - self._begun)
        session.draft_slices({self._ref(index): labels for index, labels in kept.items()})
        session.discard_slices([self._ref(index) for index in dropped])
        self._begun = (self._begun | begun) - dropped
        self._changed.clear()
        self._against.clear()
        self._workspace.statesChanged()

    def _noteShown(self, indices):
        """Reached by scrolling, by a range or by a three-dimensional tool: what was in view is what the effort is measured against."""
        known = {**self._preAnnotations, **self._held, **self._against}
        shown = {self._ref(index): known[index] for index in indices if index in known}
        self._workspace.session.note_shown({ref: None if one is None else one.prediction_id for ref, one in shown.items()})

    # Slices

    def accepting(self, refs):
        """These slices are about to be accepted as they are: their work is kept, and what it is measured against."""
        # Whatever was told: what is accepted is what is there.
        self._touched = True
        self.save()
        self._noteShown(self._indices(refs))

    def labels(self, ref):
        """Labels of a slice as they are now, canonical `(row, column)`."""
        self.look()
        return np.array(self._stack(self._now)[ref.native_index], np.uint16)

    def untouched(self, ref):
        """Whether nothing is on a slice of the open case, and the study has nothing for it that could have been erased."""
        return self._node is not None and ref.native_index not in self._placed and not self._stack(self._now)[ref.native_index].any()

    def acceptedBy(self, ref):
        """The other reader whose accepted labels a slice of the open case shows unchanged; empty for any other slice."""
        other = self._others.get(ref.native_index)
        return other.by if other is not None and np.array_equal(self._stack(self._now)[ref.native_index], other.labels) else ""

    def changedSlices(self):
        """Slices with unaccepted work in the open case, ascending."""
        if self._node is None:
            return []
        self.look()
        return [self._ref(index) for index in sorted(self._changed | self._begun | self._drafted)]

    def accepted(self, refs):
        """These slices were accepted as they are: they are the starting point of later edits."""
        if self._node is None:
            return
        start, now = self._stack(self._start), self._stack(self._now)
        for index in self._indices(refs):
            start[index] = now[index]
            for indices in (self._changed, self._begun, self._drafted):
                indices.discard(index)
            self._held.pop(index, None)

    def write(self, ref, labels):
        """Put labels, canonical `(row, column)`, on a slice, as a change by the person."""
        shape = list(self._scene.geometry.shape)
        shape[ref.axis] = 1
        native = np.zeros(shape, self._now.dtype)
        self._stack(native)[0] = labels
        segments.writeSlice(self._node, self._scene.geometry, self._scene.schema, ref.axis, ref.native_index, native.squeeze(ref.axis))

    def drop(self, refs):
        """Throw unaccepted work on slices away: they show again what the study has without it."""
        # Work that is no draft yet becomes one: the study knows then what it was begun with.
        self.save()
        self._workspace.session.discard_slices(refs)
        self._workspace.statesChanged()

    def putBack(self):
        """Give what segments that are not the study's took back to the structures it was taken from, and remove those segments."""
        self.look()
        segments.removeUnknownSegments(self._node, self._scene.schema)
        self._import()

    # What is new in the study

    def refresh(self):
        """Show what is new in the study (fresh pre-annotations, undone accepts); slices the person is changing stay as they are, and
        so do pre-annotations in view.
        """
        if self._node is None or self._workspace.session is None:
            return
        self.look()
        shown = self._shown()
        self._hold(shown)
        now = self._stack(self._now)
        stale = {}
        for index in (self._placed | set(shown)) - self._changed - set(self._held):
            labels = shown[index].labels if index in shown else np.zeros(now[index].shape, np.uint16)
            if not np.array_equal(now[index], labels):
                stale[index] = labels
        self._bring(stale)
        others = {index for index in stale if index in shown and shown[index].origin == "other reader"}
        # Also in view where a pre-annotation went, or another reader's labels came: nobody has looked at the slice like that.
        gone = {index for index in stale if index in self._preAnnotations and index not in shown}
        self._unsee((set(stale) - self._shownNow()) | gone | others)
        if others & self._indices([self._workspace.current]):
            # What is accepted now is measured against no pre-annotation.
            self._workspace.session.open(self._workspace.current)
        self._learn(shown)

    # What stays in view

    def held(self, ref):
        """The pre-annotation, a `ShownLabels`, that a slice shows only because it is in view; None for any other slice."""
        return self._held.get(ref.native_index) if ref.case == self._scene.case else None

    def _shownNow(self):
        """Native index of what the large view shows, as a set."""
        return self._indices([self._workspace.views.shownSlice()] if self._workspace.views is not None else [])

    def _inView(self):
        """Native indices of the open slice and of what the large view shows."""
        return self._shownNow() | self._indices([self._workspace.current])

    def _indices(self, refs):
        return {ref.native_index for ref in refs if ref is not None and ref.case == self._scene.case}

    def _unsee(self, indices):
        """Slices that changed out of view have to be shown before they are accepted."""
        if self._workspace.views is not None:
            self._workspace.views.displayed.difference_update(self._ref(index) for index in indices)

    def _onMoved(self):
        # What changed before is told apart from what comes into view now.
        self.look()
        self._release()

    def _hold(self, shown):
        """Keep the pre-annotations in view that the study shows no more, or with other labels."""
        known, session = {**self._preAnnotations, **self._held}, self._workspace.session
        now, before = self._stack(self._now), set(self._held)
        self._held.clear()
        for index in self._inView() & set(known) - self._changed:
            fresh = shown.get(index)
            if fresh is not None and (fresh.origin != "pre-annotation" or fresh.prediction_id == known[index].prediction_id):
                continue
            status = session.status(self._ref(index))
            # An audit slice is drawn without.
            if np.array_equal(now[index], known[index].labels) and (status is None or status.kind != "audit"):
                self._held[index] = known[index]
                if index not in before:
                    self._sayHeld(self._ref(index), fresh)

    def _sayHeld(self, ref, fresh):
        if fresh is None:
            text = _("The suggestion of slice {number} expired: a new round has come. What it shows stays until you leave it.")
        else:
            text = _("There is a newer pre-annotation. Slice {number} gets it when you leave it.")
        self._workspace.message("info", text.format(number=slice_number(ref)))

    def _onSlice(self):
        """What is opened now shows what the newest round has for it."""
        ref = self._workspace.current
        if ref is not None and ref.case == self._scene.case and ref.native_index in self._held:
            del self._held[ref.native_index]
            self.refresh()
        self._release()

    def _release(self):
        """Slices that went out of view show what the newest round has for them."""
        if self._held and not set(self._held) <= self._inView():
            self.refresh()

    def _shown(self):
        """Native index -> what the study shows there."""
        return {ref.native_index: shown for ref, shown in self._workspace.session.case_labels(self._scene.case).items()}

    def _bring(self, slices):
        """Write slices from the study: none of them is a change by the person."""
        if not slices:
            return
        now, start = self._stack(self._now), self._stack(self._start)
        for index, labels in slices.items():
            now[index] = start[index] = labels
        self._import()

    def _import(self):
        # The whole case at once takes less time than one slice by itself, and tells the views once.
        segments.importVolume(self._node, self._now, self._scene.geometry, self._scene.schema)
        self._memory.forget()
        self._touched = False
        self._seen.clear()
        self._looked.stop()
        self.rewritten()

    def _learn(self, shown):
        """Remember which slices have something from the study, and what."""
        drafts = {index for index, one in shown.items() if one.origin == "draft"}
        # A draft that is gone was accepted, discarded or undone: the next change begins anew from what is shown.
        gone = (self._begun | self._drafted) - drafts - self._changed
        start, now = self._stack(self._start), self._stack(self._now)
        for index in gone:
            start[index] = now[index]
        self._begun -= gone
        self._drafted = (self._drafted - gone) | (drafts - self._begun)
        self._placed = set(shown) | set(self._held)
        self._preAnnotations = {index: one for index, one in shown.items() if one.origin == "pre-annotation"}
        self._others = {index: one for index, one in shown.items() if one.origin == "other reader"}

    def _ref(self, index):
        return SliceRef(self._scene.case, self._scene.frame.axis, index)

    def _stack(self, volume):
        return self._scene.frame.stack(volume)

    def cleanup(self):
        """Save and stop."""
        self.detach()
        for signal, call in self._followed:
            signal.disconnect(call)
