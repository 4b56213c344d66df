"""What a reader is told about a slice and about the work it took, in plain sentences."""

from __future__ import annotations

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import slice_number

from .shortcuts import withKeys


def numbers(refs):
    """`85-87 and 89`: slice numbers with runs drawn together."""
    values = sorted({slice_number(ref) for ref in refs})
    runs = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return texts[0] if len(texts) == 1 else _("{first} and {last}").format(first=", ".join(texts[:-1]), last=texts[-1])


def originText(shown):
    """Where the labels on a slice come from; `shown` is a `session.ShownLabels`."""
    return {
        "draft": _("the labels are your draft"),
        "accepted": _("the labels are what you accepted"),
        "other reader": _("the labels are what {reader} accepted").format(reader=shown.by),
        "pre-annotation": _("the labels are the model's pre-annotation"),
        "nothing": _("drawn from scratch: nothing is shown"),
    }[shown.origin]


def stateText(ref, state, shown):
    """One line on the open slice. `state`: the word for its state, empty for an ordinary slice."""
    what = _("Slice {number} of case {case}").format(number=slice_number(ref), case=ref.case)
    return f"{what}, {state}; {originText(shown)}." if state else f"{what}; {originText(shown)}."


def reviewText(review):
    """What a second reader said of a slice; `review` is a `records.Review`, or None."""
    if review is None:
        return ""
    if review.verdict == "returned":
        text = _('{reader} returned it: "{note}".') if review.note else _("{reader} returned it without a note.")
    else:
        text = _('{reader} approved it: "{note}".') if review.note else _("{reader} approved it.")
    return text.format(reader=review.reviewer, note=review.note)


def elsewhereText(shown, ref):
    """Why the open slice, `ref`, is not answered while the large view shows another one."""
    text = _("The large view shows slice {shown}, but slice {open} is open. Go back to it (J), or click in the strip of 3 to open another.")
    return withKeys(text.format(shown=slice_number(shown), open=slice_number(ref)))


def hiddenText(names):
    """Why nothing is judged while structures are hidden."""
    return withKeys(_("Hidden: {names}. Press Show all structures (J) in 4 first.")).format(names=", ".join(names))


def acceptedText(annotations):
    """What became of accepted slices: how, and how much of the contour the pre-annotation already had."""
    what = _("Accepted slice {numbers}").format(numbers=numbers(a.ref for a in annotations))
    how = {
        "unchanged": _("unchanged"),
        "corrected": _("corrected"),
        "from scratch": _("drawn from scratch"),
        "empty": _("empty"),
        "imported": _("imported"),
    }
    ways = list(dict.fromkeys(how[a.provenance] for a in annotations))
    text = f"{what}: {', '.join(ways)}. {retainedText(annotations)}"
    minutes = [a.minutes for a in annotations if a.minutes is not None]
    return f"{text} {minutesText(sum(minutes))}" if minutes else text


def minutesText(minutes):
    """Time worked on slices."""
    return _("Active time {minutes:.1f} min.").format(minutes=minutes)


def retainedText(annotations):
    """Retained contour over annotations, as a sum of lengths, never a mean of percentages."""
    from SuggestiveAnnotationLib.effort.quantities import RetainedContour

    measured = [RetainedContour.from_json(a.effort) for a in annotations if a.effort and a.effort["quantity"] == RetainedContour.name]
    if not measured:
        return _("There was no pre-annotation to compare with.")
    overall = RetainedContour.total(measured).totals.overall
    if overall.of_reference is None:
        return _("The pre-annotation and the result have no contour to compare.")
    text = _("{share:.0%} of your contour was in the pre-annotation (retained contour; it says nothing about time); ")
    return text.format(share=overall.of_reference) + _("{added} pixels added, {removed} removed.").format(
        added=overall.added_pixels, removed=overall.removed_pixels
    )


def gaugeText(study, ref, labels, prediction):
    """Retained contour of work that is not accepted yet. Labels canonical; `prediction` as first shown, None where there was none."""
    from SuggestiveAnnotationLib.study.contours import slice_agreement

    if prediction is None:
        return _("No pre-annotation to compare with.")
    overall = slice_agreement(study, ref, reference=labels, prediction=prediction, tolerances=None).overall
    if overall.of_reference is None:
        return _("Nothing is drawn.")
    return _("{share:.0%} of the contour is the pre-annotation's.").format(share=overall.of_reference)
