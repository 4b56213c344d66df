"""The points of a latent view, and the groups that they are coloured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import SliceRef

from . import state_style
from .plot_nodes import Look

MOST_GROUPS = 9
"""More than these and the rest is drawn as others."""
NOTHING = Look("circle", "#BBBBBB", 5.0)
STATES = {
    "unlabelled": NOTHING,
    "labelled": Look("square", state_style.GREEN, 8.0),
    "audit": Look("plus", state_style.BLUE, 10.0),
    "suggested": Look("diamond", state_style.ORANGE, 11.0),
    "draft": Look("circle", state_style.SKY, 9.0),
    "skipped": Look("cross", state_style.PURPLE, 8.0),
}
"""State -> look, in the order of drawing; no two share marker and size."""
STATE_OF = {
    "accepted": "labelled",
    "reviewed": "labelled",
    "suggested": "suggested",
    "draft": "draft",
    "returned": "draft",
    "skipped": "skipped",
    "unreadable": "skipped",
}
"""State of a slice -> state on the plot; one that expired is unlabelled again."""
COLOURS = (
    state_style.ORANGE, state_style.SKY, state_style.GREEN, state_style.BLUE, state_style.RED, state_style.PURPLE, state_style.YELLOW,
    "#000000", "#7F4FA0",
)  # fmt: skip
MARKERS = ("square", "circle", "diamond")


def stateWord(state):
    """The state of a point in the reader's language."""
    return {
        "unlabelled": _("unlabelled"),
        "labelled": _("labelled"),
        "audit": _("labelled, audit"),
        "suggested": _("suggested"),
        "draft": _("draft"),
        "skipped": _("skipped"),
    }[state]


@dataclass(frozen=True)
class Group:
    """Points that are drawn as one series: indices into `LatentPoints.refs`."""

    name: str
    look: Look
    rows: np.ndarray


class LatentPoints:
    """What `engine.latents.latent_view` kept.

    Attributes:
        refs: the slices; points: where they lie `(n, 2)`.
        axes, method: names of both axes, and a sentence on how the plane was made.
        latentSize: how many units the latent space has.
        arrows: chosen slice -> source, projected point and chosen place `(3, 2)`, for suggestions of the newest round that have them.
    """

    def __init__(self, path=None):
        self.refs, self.points, self.arrows = [], np.zeros((0, 2), np.float32), {}
        self.axes, self.method, self.latentSize = ("", ""), "", 0
        self._content = {}
        if path is not None:
            self._read(path)

    def _read(self, path):
        with np.load(path, allow_pickle=False) as kept:
            self.refs = [SliceRef(*columns) for columns in _columns(kept, "case", "axis", "native_index")]
            self.points = kept["points"]
            self.axes, self.method = tuple(str(a) for a in kept["axes"]), str(kept["method"])
            self.latentSize = int(kept["latent_size"])
            chosen = [SliceRef(*columns) for columns in _columns(kept, "arrow_case", "arrow_axis", "arrow_native_index")]
            self.arrows = dict(zip(chosen, kept["arrows"], strict=True))

    def groups(self, colourBy, session):
        """The points by state, case, round or class: groups in the order of drawing.

        Args:
            colourBy: "state", "case", "round" or "class".
            session: `SuggestiveAnnotationLib.session.Session`; a blind reader sees no work of others.
        """
        if colourBy == "state":
            states = self.states(session)
            found = np.array([states.get(ref, "unlabelled") for ref in self.refs])
            kept = [(stateWord(state), look, np.flatnonzero(found == state)) for state, look in STATES.items()]
        elif colourBy == "case":
            kept = self._most([ref.case for ref in self.refs])
        else:
            known = self._rounds(session) if colourBy == "round" else self._classes(session)
            kept = self._most([known.get(ref) for ref in self.refs])
        return [Group(*one) for one in kept if len(one[2])]

    def states(self, session):
        """Slice -> state on the plot. An audit slice looks like every other until it is accepted."""
        found = {}
        for ref, status in session.slice_status().items():
            state = STATE_OF.get(status.state)
            if state is not None:
                found[ref] = "audit" if state == "labelled" and status.kind == "audit" else state
        return found

    def _rounds(self, session):
        return {ref: _("round {n}").format(n=a.round) for ref, a in _accepted(session).items() if a.round is not None}

    def _classes(self, session):
        """Slice -> name of the structure that fills most of what was accepted on it."""
        names = {c.value: c.name for c in session.study.schema.classes}
        found = {}
        for ref, annotation in _accepted(session).items():
            if annotation.id not in self._content:
                values, counts = np.unique(annotation.labels, return_counts=True)
                filled = {names[v]: n for v, n in zip(values.tolist(), counts.tolist(), strict=True) if v in names}
                self._content[annotation.id] = max(filled, key=filled.get) if filled else _("empty")
            found[ref] = self._content[annotation.id]
        return found

    @staticmethod
    def _most(names):
        """Names of the points (None: unlabelled), the most frequent ones as groups of their own, in the order of their names."""
        names = np.array([name or "" for name in names])
        distinct, counts = np.unique(names[names != ""], return_counts=True)
        shown = sorted(
            distinct[np.argsort(-counts, kind="stable")][: MOST_GROUPS if len(distinct) <= MOST_GROUPS else MOST_GROUPS - 1], key=_natural
        )
        groups = [(_("unlabelled"), NOTHING, np.flatnonzero(names == ""))]
        for place, name in enumerate(shown):
            look = Look(MARKERS[place % len(MARKERS)], COLOURS[place % len(COLOURS)], 8.0)
            groups.append((str(name), look, np.flatnonzero(names == name)))
        rest = np.flatnonzero((names != "") & ~np.isin(names, shown))
        groups.append((_("others"), Look("plus", state_style.GREY, 8.0), rest))
        return groups


def _accepted(session):
    """Slice -> the newest annotation that the reader sees: a later one that is hidden takes the place of none."""
    return {a.ref: a for a in session.seen(session.study.all_annotations())}


def _columns(kept, *names):
    return zip(*(kept[name].tolist() for name in names), strict=True)


def _natural(name):
    """`round 10` after `round 9`."""
    head = name.rstrip("0123456789")
    tail = name[len(head) :]
    return (head, int(tail) if tail else -1)
