"""What the frame round a slice says, and how it looks."""

from __future__ import annotations

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import slice_number

from . import state_style
from .shortcuts import withKeys

OPEN_WIDTH, OTHER_WIDTH, AWAY_WIDTH = 5, 2, 1
"""Pixels: the open slice, a slice with a state of its own, any other."""


class SliceCaption:
    """Asked whenever a view moves, so the database is read once until something changes.

    Audit slices look and read like every other suggestion.
    """

    def __init__(self, workspace):
        self._workspace = workspace
        self.forget()

    def forget(self):
        """States may have changed."""
        self._case = self._states = self._rows = None

    def _read(self, case):
        if self._case != case:
            self._case = case
            self._states = self._workspace.session.slice_status(case)
            rows = self._workspace.suggestions()
            self._rows = {row.suggestion.ref: (place, row.suggestion) for place, row in enumerate(rows)}

    def of(self, shown):
        """`(text, colour, width)` of the frame of a slice, None when no slice is shown."""
        current = self._workspace.current
        if current is None:
            return None
        if shown is None:
            return withKeys(_("not along the slices - go back (J)")), state_style.rgb(state_style.GREY), AWAY_WIDTH
        self._read(shown.case)
        status = self._states.get(shown)
        state = "" if status is None else status.state
        colour = state_style.STYLES[state][1] if state else state_style.GREY
        if shown != current:
            return self._scrolledTo(shown, current, state, colour)
        parts = [_("case {case}").format(case=shown.case), self._named(shown)]
        if shown in self._rows:
            parts.insert(0, _("{n} of {total}").format(n=self._rows[shown][0] + 1, total=len(self._rows)))
        if state:
            parts.append(state_style.word(state))
        text = " - ".join(parts)
        if self._isContext(shown):
            return text, state_style.lighter(colour), OTHER_WIDTH
        return text, state_style.rgb(colour), OPEN_WIDTH

    def _scrolledTo(self, shown, current, state, colour):
        away = abs(shown.native_index - current.native_index)
        distance = _("1 slice away") if away == 1 else _("{n} slices away").format(n=away)
        suggested = current in self._rows and not self._isContext(current)
        back = _("suggested slice: {n}, {distance} - go back (J)") if suggested else _("open slice: {n}, {distance} - go back (J)")
        back = withKeys(back.format(n=slice_number(current), distance=distance))
        if not state:
            return back, state_style.rgb(state_style.GREY), AWAY_WIDTH
        text = f"{self._named(shown)} - {state_style.word(state)} - {back}"
        return text, state_style.lighter(colour), OTHER_WIDTH

    def _isContext(self, ref):
        return ref in self._rows and self._rows[ref][1].kind == "context"

    def _named(self, ref):
        """The slice, and for a context slice how far it lies from the one it belongs to."""
        if not self._isContext(ref) or self._rows[ref][1].context_of is None:
            return _("slice {n}").format(n=slice_number(ref))
        beside = self._rows[ref][1].context_of
        millimetres = abs(ref.native_index - beside.native_index) * self._workspace.study.frame(ref.case).spacing[0]
        return _("context slice {n}, {mm:.1f} mm from slice {beside}").format(
            n=slice_number(ref), mm=millimetres, beside=slice_number(beside)
        )
