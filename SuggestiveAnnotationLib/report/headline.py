"""The report in plain words: what was done, what it gave, what to do next, and what is not claimed."""

from __future__ import annotations

from dataclasses import dataclass

from SuggestiveAnnotationLib.report.data import EffortRow, Quantity, ReportData
from SuggestiveAnnotationLib.report.numbers import (
    ALL_CLASSES,
    case_dice,
    count,
    decimal,
    dice_rounds,
    duration,
    effort_of,
    mean_dice,
    metres,
    percent,
    quantities,
)

COMPARED_WITH: dict[Quantity, str] = {
    "Retained contour": "the reader's own final contour",
    "Saved effort": "an independent reference contour",
}


@dataclass(frozen=True)
class Stat:
    """One number of the header: what it is, its value, and what to know before quoting it."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Headline:
    """The words above the figures, a sentence an item."""

    done: tuple[str, ...]
    gave: tuple[str, ...]
    next: tuple[str, ...]
    stats: tuple[Stat, ...]


def headline(data: ReportData) -> Headline:
    """Words and numbers for the top of the page."""
    return Headline(done=_done(data), gave=_gave(data), next=_next(data), stats=_stats(data))


def _done(data: ReportData) -> tuple[str, ...]:
    if not data.rounds:
        return ("No round has been run yet.",)
    done = data.annotated_slices
    slices = f"{done:,} of {count(data.pool_slices, 'slice')}" if data.pool_slices else count(done, "slice")
    where = f" in a pool of {count(data.pool_cases, 'case')}" if data.pool_cases else ""
    chosen = [r for r in data.rounds if r.strategy]
    strategies = list(dict.fromkeys(r.strategy for r in chosen))
    words = [f"{count(len(chosen), 'round')}, {slices} annotated{where}.", f"Slices were chosen by: {', then '.join(strategies)}."]
    seconds = sum(sum(r.seconds.values()) for r in data.rounds)
    if seconds:
        words.append(f"The computer worked {duration(seconds)} on the rounds.")
    return tuple(words)


def _gave(data: ReportData) -> tuple[str, ...]:
    words = []
    rounds = dice_rounds(data)
    if rounds:
        words.append(_dice_sentence(data, rounds))
    for quantity, audit in quantities(data):
        sentence = _effort_sentence(data, quantity, audit=audit)
        if sentence:
            words.append(sentence)
    ceiling = grid_ceiling(data)
    if data.effort and ceiling is not None:
        words.append(
            f"Ceiling: a network that knows every class's share of each pixel has {percent(ceiling)} of an independent contour exactly."
        )
    return tuple(words) or ("Nothing has been measured yet.",)


def _dice_sentence(data: ReportData, rounds: tuple[int, ...]) -> str:
    first, last = mean_dice(data, None, rounds[0]), mean_dice(data, None, rounds[-1])
    values = [v for v in case_dice(data, None, rounds[-1]).values() if v is not None]
    if last is None:
        return "Dice is undefined in every held-out case: no class occurs there."
    spread = f" (cases {decimal(min(values))} to {decimal(max(values))})" if len(values) > 1 else ""
    if len(rounds) == 1 or first is None:
        course = f"is {decimal(last)}"
    else:
        verb = "rose" if last - first >= 0.005 else "fell" if first - last >= 0.005 else "stayed"
        course = f"{verb} from {decimal(first)} to {decimal(last)}" if verb != "stayed" else f"stayed at {decimal(last)}"
    return f"Mean Dice over {count(len(values), 'held-out case')} {course}{spread}."


def _last_effort(data: ReportData, quantity: Quantity, *, audit: bool) -> tuple[int, list[EffortRow]]:
    rows = [row for row in data.effort if row.quantity == quantity and row.audit == audit]
    return max((row.round for row in rows), default=-1), rows


def _effort_sentence(data: ReportData, quantity: Quantity, *, audit: bool) -> str:
    number, rows = _last_effort(data, quantity, audit=audit)
    effort = effort_of(rows, ALL_CLASSES, number)
    if effort is None or effort.exact is None:
        return ""
    tolerance = f", {percent(effort.within_1px)} within one pixel" if effort.within_1px is not None else ""
    where = f"in round {number}" + (", on audit slices drawn without seeing it" if audit else "")
    share = f"{percent(effort.exact)} of {COMPARED_WITH[quantity]} was already in the pre-annotation exactly{tolerance}"
    return f"{quantity} {where}: {share}."


def grid_ceiling(data: ReportData) -> float | None:
    """The exact ceiling for all classes together, C / L; None where it was not measured."""
    return next((c.exact for c in data.ceilings if c.label == ALL_CLASSES), None)


def _next(data: ReportData) -> tuple[str, ...]:
    words = []
    if not data.rounds:
        return ("Run the first round.",)
    if data.waiting:
        first = data.waiting[0]
        where = f"case {first.case}, slice {first.slice_number}"
        if len(data.waiting) == 1:
            words.append(f"Annotate the suggested slice that waits: {where}.")
        else:
            words.append(f"Annotate the {count(len(data.waiting), 'suggested slice')} that wait; the first is {where}.")
    elif data.under_way is not None:
        words.append(f"Round {data.under_way} is not ready yet; where nothing works on it any more, `run-round` goes on with it.")
    elif unanswered := sum(r.unanswered for r in data.rounds):
        words.append(f"Nothing waits, but {count(unanswered, 'suggestion')} expired unanswered: run the next round.")
    else:
        words.append("Every suggestion has been answered: run the next round.")
    if not data.dice:
        words.append("Give some cases with labels the role “test”, so that Dice can be measured on cases the model never saw.")
    if _only_retained(data):
        words.append(
            "Draw a few audit slices without the pre-annotation: retained contour alone cannot tell a good pre-annotation "
            "from one accepted too easily."
        )
    return tuple(words)


def _only_retained(data: ReportData) -> bool:
    return bool(data.effort) and all(row.quantity == "Retained contour" and not row.audit for row in data.effort)


def _stats(data: ReportData) -> tuple[Stat, ...]:
    stats = []
    if data.rounds:
        share = f"of {data.pool_slices:,} in {count(data.pool_cases, 'case')}" if data.pool_slices else ""
        stats.append(Stat("Annotated slices", f"{data.annotated_slices:,}", share))
    rounds = dice_rounds(data)
    if rounds:
        cases = len(case_dice(data, None, rounds[-1]))
        stats.append(Stat("Mean Dice", decimal(mean_dice(data, None, rounds[-1])), f"{count(cases, 'held-out case')}, round {rounds[-1]}"))
    for quantity, audit in quantities(data):
        number, rows = _last_effort(data, quantity, audit=audit)
        effort = effort_of(rows, ALL_CLASSES, number)
        if effort is not None:
            note = f"exact; {percent(effort.within_1px)} within 1 pixel; grid ceiling {percent(grid_ceiling(data))}; round {number}"
            stats.append(Stat(f"{quantity}{', audit' if audit else ''}", percent(effort.exact), note))
    contours = [r.contour_mm for r in data.rounds if r.contour_mm]
    if contours:
        stats.append(Stat("Contour drawn", f"{metres(max(contours))}\N{NO-BREAK SPACE}m", "pixel edges, of the slices trained on"))
    minutes = [r for r in data.rounds if r.minutes]
    if minutes:
        last = max(minutes, key=lambda r: r.minutes or 0.0)
        stats.append(
            Stat(
                "Annotation time",
                f"{last.minutes:,.0f}\N{NO-BREAK SPACE}min",
                f"{'simulated, not measured' if last.simulated else 'measured'}; of all work before the last round",
            )
        )
    return tuple(stats)


def caveats(data: ReportData) -> tuple[str, ...]:
    """What the page does not claim."""
    words = [
        "No time or cost saved is claimed: contour shares and simulated minutes are not a clock on a reader.",
        "Retained contour compares with the reader's own final contour; accepting everything without looking would give 100 %.",
        "Contour shares do not see false positives: read them beside C / L_pred, false components and the volume removed.",
        "Lengths are counted on pixel edges, on average 4/π of the true length; shares are safe, absolute lengths are not.",
        "Dice values come from these held-out cases only. People, not seeds or slices, are the sample.",
        "A curve that flattens does not mean that annotation is complete.",
        "The page shows slices of the images: treat it with the same care as the images themselves.",
    ]
    strategies = {r.strategy for r in data.rounds} - {"random", ""}
    if strategies:
        words.insert(
            1, "One run cannot show that its strategy beats another. Random choice is strong: where it wins a comparison, it wins."
        )
    return tuple(words)
