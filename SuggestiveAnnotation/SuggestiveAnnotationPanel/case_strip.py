"""A strip that shows where in a case the suggested slices lie, what became of them, and where the reader is. A click opens one."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import slice_number

from . import state_style
from .connect import connect, guarded

HEIGHT, LEAST_WIDTH = 58, 120
MARGIN = 10
SHAPE = 13
"""Pixels of a state's shape; where two would overlap, the second goes into a row of its own."""
BAR_TOP, BAR_BOTTOM = 2 * SHAPE + 3, 2 * SHAPE + 15
REACH = 6
"""A click this near to a mark opens its slice, pixels."""
DIGIT = 7
LEGEND = 30
"""Slices that the tool tip names."""


class CaseStrip:
    """Draws into a label, which PythonQt lets nobody subclass for painting.

    Args:
        label: `QLabel` of the panel.
        choose: called with the slice that was clicked.
    """

    def __init__(self, label, choose):
        self._label, self._choose = label, choose
        self._count, self._marks, self._open, self._shown = 0, {}, None, None
        self._contexts = frozenset()
        label.setMinimumSize(LEAST_WIDTH, HEIGHT)
        label.setMaximumHeight(HEIGHT)
        # The picture must not keep the panel from getting narrower.
        label.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        self._events = _Events(label)
        self._events.onPress, self._events.onResize = guarded(self._onPress), guarded(self._redrawSoon)
        label.installEventFilter(self._events)
        self._later = qt.QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(15)
        connect(self._later, "timeout()", self.draw)

    def show(self, count, states, contexts, opened, shown):
        """Show a case of `count` slices.

        Args:
            states: slice -> state. contexts: those of them that only accompany a suggestion.
            opened: the open slice. shown: the slice in the large view, None when it shows none.
        """
        self._count, self._marks, self._contexts = count, states, contexts
        self._open, self._shown = opened, shown
        self._label.visible = True
        self._label.toolTip = self._legend()
        self._redrawSoon()

    def moved(self, shown):
        """The large view came to another slice."""
        self._shown = shown
        self._redrawSoon()

    def hide(self):
        """No case is open."""
        self._count, self._marks, self._open, self._shown = 0, {}, None, None
        self._label.visible = False

    def _redrawSoon(self):
        self._later.start()

    # Places

    def placeOf(self, ref):
        """Where a slice lies, pixels from the left of the label."""
        return MARGIN + (ref.native_index + 0.5) / self._count * (self._label.width - 2 * MARGIN)

    def sliceAt(self, x):
        """The slice with a state that lies nearest to a pixel, None when none is near."""
        near = min(self._marks, key=lambda ref: abs(self.placeOf(ref) - x), default=None)
        return near if near is not None and abs(self.placeOf(near) - x) <= REACH else None

    def rows(self):
        """Slice -> row of its shape, 0 below and 1 above; context slices have no shape."""
        places, ends = {}, [float("-inf")] * 2
        for ref in sorted(self._marks):
            if ref in self._contexts:
                continue
            x = self.placeOf(ref)
            row = 0 if x - ends[0] >= SHAPE or ends[0] <= ends[1] else 1
            ends[row] = x
            places[ref] = row
        return places

    # Drawing

    def draw(self):
        """Draw it anew."""
        width = self._label.width
        if not self._count or width < LEAST_WIDTH:
            return
        picture = qt.QPixmap(width, HEIGHT)
        palette = self._label.palette
        ink = palette.color(qt.QPalette.WindowText)
        picture.fill(palette.color(qt.QPalette.Window))
        painter = qt.QPainter()
        painter.begin(picture)
        font = qt.QFont()
        font.setPixelSize(SHAPE - 1)
        painter.setFont(font)
        self._drawBar(painter, width)
        self._drawMarks(painter)
        self._drawPlaces(painter, ink, width)
        painter.end()
        self._label.setPixmap(picture)

    def _drawBar(self, painter, width):
        painter.setPen(_pen("#808080", 1))
        painter.setBrush(qt.QBrush(qt.QColor("#2B2B2B")))
        painter.drawRect(qt.QRect(MARGIN, BAR_TOP, width - 2 * MARGIN, BAR_BOTTOM - BAR_TOP))

    def _drawMarks(self, painter):
        rows = self.rows()
        for ref in sorted(self._marks, key=lambda ref: ref not in self._contexts):
            shape, colour = state_style.STYLES[self._marks[ref]]
            x = round(self.placeOf(ref))
            context = ref in self._contexts
            painter.setPen(_pen(colour, 1 if context else 3))
            painter.drawLine(x, BAR_TOP + (5 if context else 1), x, BAR_BOTTOM - 1)
            if not context:
                painter.setPen(_pen(state_style.readable(colour, self._label.palette), 1))
                painter.drawText(qt.QPoint(x - SHAPE // 2, BAR_TOP - 3 - SHAPE * rows[ref]), shape)

    def _drawPlaces(self, painter, ink, width):
        painter.setPen(_pen(ink, 1))
        last = str(self._count)
        bottom = HEIGHT - 3
        painter.drawText(qt.QPoint(MARGIN - 4, bottom), "1")
        painter.drawText(qt.QPoint(width - MARGIN + 4 - DIGIT * len(last), bottom), last)
        if self._shown is not None and self._shown != self._open:
            x = round(self.placeOf(self._shown))
            painter.setPen(_pen("#FFFFFF", 1))
            painter.drawLine(x, BAR_TOP + 1, x, BAR_BOTTOM - 1)
        x = round(self.placeOf(self._open))
        painter.setPen(_pen(ink, 2))
        for step in range(5):
            painter.drawLine(x - step, BAR_BOTTOM + 2 + step, x + step, BAR_BOTTOM + 2 + step)
        number = str(slice_number(self._open))
        left = min(max(x + 7, MARGIN + 8), width - MARGIN - DIGIT * (len(number) + len(last)) - 8)
        painter.drawText(qt.QPoint(left, bottom), number)

    def _legend(self):
        case = self._open.case
        lines = [_("Slices 1 to {n} of case {case}. Click a mark to open its slice.").format(n=self._count, case=case)]
        for ref in sorted(self._marks)[:LEGEND]:
            what = _("context slice {n}") if ref in self._contexts else _("slice {n}")
            lines.append(f"{what.format(n=slice_number(ref))}: {state_style.shapeAndWord(self._marks[ref])}")
        return "\n".join(lines)

    def _onPress(self, x):
        ref = self.sliceAt(x) if self._count else None
        if ref is not None:
            self._choose(ref)

    def cleanup(self):
        """Stop drawing."""
        self._later.stop()
        self._label.removeEventFilter(self._events)


class _Events(qt.QObject):
    """Presses and resizes of the label."""

    def __init__(self, parent):
        qt.QObject.__init__(self, parent)
        self.onPress = self.onResize = None

    def eventFilter(self, _watched, event):
        if event.type() == qt.QEvent.MouseButtonPress:
            self.onPress(event.pos().x())
            return True
        if event.type() == qt.QEvent.Resize:
            self.onResize()
        return False


def _pen(colour, width):
    pen = qt.QPen()
    pen.setColor(qt.QColor(colour))
    pen.setWidth(width)
    return pen
