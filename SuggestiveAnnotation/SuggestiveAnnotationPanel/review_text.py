"""Sentences and numbers of section 5: why a slice was chosen, and what the contour work was so far."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import describe

SHOWN_NUMBERS = ("distance_to_projected", "cosine", "step_length", "source_loss", "foreground_fraction", "place", "of", "distance_mm")
"""Details of a rationale that say something to a person, in this order."""
PROVENANCES = ("unchanged", "corrected", "from scratch", "empty", "imported")
"""Ways in which people accept slices; filled ones are nobody's work."""


def provenanceWord(provenance):
    """How a slice came to be accepted, in the reader's language."""
    return {
        "unchanged": _("accepted unchanged"),
        "corrected": _("corrected"),
        "from scratch": _("from scratch"),
        "empty": _("marked empty"),
        "imported": _("imported"),
    }[provenance]


def legendText(entries):
    """The legend of the latent plot in HTML: `(name, Look)` in, shape and name in the colour of the points out."""
    shapes = {"square": "■", "circle": "●", "diamond": "◆", "cross": "✕", "plus": "✚"}
    return " &nbsp; ".join(f'<span style="color:{look.colour}">{shapes[look.marker]}</span>&nbsp;{escape(name)}' for name, look in entries)


def isUnmarked(row, status, withheld):
    """Whether nobody is to know yet why a slice was chosen: before an audit slice is drawn, that the others are judged by it.

    Args:
        row: its newest suggestion, a `SuggestionRow`; None when it never was suggested.
        status: its `SliceStatus`, None for an ordinary slice.
        withheld: slices of the round that do not say it, as of `Session.withheld`.
    """
    if row is None:
        return False
    accepted = status is not None and status.state in ("accepted", "reviewed")
    return row.suggestion.ref in withheld or (row.suggestion.kind == "audit" and not accepted)


def rationaleText(ref, row, unmarked):
    """Why a slice was chosen.

    Args:
        ref: the open slice, None when none is.
        row: its newest suggestion, a `SuggestionRow`; None when it never was suggested.
        unmarked: as of `isUnmarked`.
    """
    if ref is None:
        return _("Open a slice to read why it was chosen.")
    name = describe(ref)
    name = name[:1].upper() + name[1:]
    if row is None:
        return _("{slice} was not suggested.").format(slice=name)
    head = _("{slice}, round {n}").format(slice=name, n=row.round)
    if unmarked:
        return _("{head}: chosen as part of this round.").format(head=head)
    one = row.suggestion.rationale
    return _("{head}, {strategy}: {sentence}").format(head=head, strategy=strategyTitle(one.strategy), sentence=one.sentence)


def strategyTitle(name):
    """A strategy as section 2 names it."""
    from SuggestiveAnnotationLib.strategies.registry import ENTRIES

    titles = {entry.name: entry.title for entry in ENTRIES}
    return titles.get(name, _("audit") if name == "audit" else name)


def numbersText(row, unmarked):
    """The numbers behind a choice in one line; empty where there are none to show. Arguments as of `rationaleText`."""
    if row is None or unmarked:
        return ""
    one = row.suggestion.rationale
    names = {
        "distance_to_projected": _("distance to the projected point"),
        "cosine": _("cosine to the step"),
        "step_length": _("length of the step"),
        "source_loss": _("loss of the source"),
        "foreground_fraction": _("predicted foreground"),
        "place": _("place"),
        "of": _("of"),
        "distance_mm": _("millimetres from the suggestion"),
    }
    found = [(_("score"), one.score)] + [(names[key], one.details.get(key)) for key in SHOWN_NUMBERS]
    return "; ".join(f"{name} {value:.3g}" for name, value in found if isinstance(value, int | float) and not isinstance(value, bool))


def effortTable(annotations, timing):
    """Contour work so far, by how slices were accepted, as a table in HTML; empty where nothing is accepted.

    Args:
        annotations: accepted ones of the study; filled ones are not shown.
        timing: whether minutes are shown; the reader agreed to it.
    """
    of = {p: [a for a in annotations if a.provenance == p] for p in PROVENANCES}
    rows = [(provenanceWord(p), members) for p, members in of.items() if members]
    if not rows:
        return ""
    if len(rows) > 1:
        rows.append((_("together"), [a for _word, members in rows for a in members]))
    heads = [_("slices"), _("retained contour"), _("pixels added"), _("removed")] + ([_("minutes")] if timing else [])
    lines = ["<tr><td></td>" + "".join(f'<td align="right">&nbsp;&nbsp;{head}</td>' for head in heads) + "</tr>"]
    for word, members in rows:
        cells = [str(len(members)), *_retained(members), *([_minutes(members)] if timing else [])]
        lines.append(f"<tr><td>{word}</td>" + "".join(f'<td align="right">{cell}</td>' for cell in cells) + "</tr>")
    return "<table>" + "".join(lines) + "</table>"


def _retained(annotations):
    """Share of the contour, pixels added and removed; a dash where nothing was shown to compare with."""
    from SuggestiveAnnotationLib.effort.quantities import RetainedContour

    measured = [RetainedContour.from_json(a.effort) for a in annotations if a.effort and a.effort.get("quantity") == RetainedContour.name]
    if not measured:
        return "-", "-", "-"
    overall = RetainedContour.total(measured).totals.overall
    share = "-" if overall.of_reference is None else f"{overall.of_reference:.0%}"
    return share, str(overall.added_pixels), str(overall.removed_pixels)


def _minutes(annotations):
    known = [a.minutes for a in annotations if a.minutes is not None]
    return f"{sum(known):.1f}" if known else "-"
