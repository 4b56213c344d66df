"""How states look: a word, a shape and a colour of the Okabe-Ito palette each, so that none depends on colour alone."""

from __future__ import annotations

from slicer.i18n import tr as _

ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE, GREY = "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#888888"
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
