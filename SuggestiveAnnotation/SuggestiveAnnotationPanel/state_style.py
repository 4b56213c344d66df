"""How states look: a word, a shape and a colour of the Okabe-Ito palette each, so that none depends on colour alone."""

from __future__ import annotations

from functools import lru_cache

import qt
from slicer.i18n import tr as _

ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE, GREY = "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#888888"
PROBLEM = "#B00020"
CONTRAST = 4.5
"""Of texts to what is behind them, by which WCAG 2 counts them as readable."""
OKABE_ITO = (ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE)

STYLES = {
    "suggested": ("◇", ORANGE),
    "draft": ("✎", SKY),
    "accepted": ("✔", GREEN),
    "reviewed": ("★", BLUE),
    "returned": ("↩", RED),
    "skipped": ("»", GREY),
    "unreadable": ("✖", PURPLE),
    "expired": ("○", GREY),
}
"""State -> (shape, colour); every shape differs."""


_WORDS = {
    "suggested": lambda: _("suggested"),
    "draft": lambda: _("draft"),
    "accepted": lambda: _("accepted"),
    "reviewed": lambda: _("reviewed"),
    "returned": lambda: _("returned"),
    "skipped": lambda: _("skipped"),
    "unreadable": lambda: _("unreadable"),
    "expired": lambda: _("expired"),
}


def word(state):
    """The state in the reader's language."""
    return _WORDS[state]()


def shapeAndWord(state):
    """Both, as a list shows them."""
    return f"{STYLES[state][0]} {word(state)}"


def rgb(colour):
    """`#RRGGBB` -> three numbers from 0 to 1."""
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def lighter(colour):
    """A colour half way to white, as three numbers from 0 to 1: what belongs to a suggestion without being one."""
    return tuple((channel + 1) / 2 for channel in rgb(colour))


def readable(colour, palette):
    """A colour for texts on a window: as near to `colour` as can be read there, darker in a light window, lighter in a dark one."""
    return _readable(colour, palette.color(qt.QPalette.Window).name())


@lru_cache
def _readable(colour, behind):
    window = rgb(behind)
    end = max((0.0, 1.0), key=lambda grey: contrast((grey,) * 3, window))
    for share in range(101):
        mixed = [round(255 * (channel + share / 100 * (end - channel))) for channel in rgb(colour)]
        found = "#{:02X}{:02X}{:02X}".format(*mixed)
        if contrast(rgb(found), window) >= CONTRAST:
            break
    return found


def contrast(one, other):
    """Contrast of two colours, three numbers from 0 to 1 each, as WCAG 2 counts it: from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour):
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def showProblemsIn(label):
    """Give a label the colour of what is wrong."""
    label.setStyleSheet(f"color: {readable(PROBLEM, label.palette)}")
