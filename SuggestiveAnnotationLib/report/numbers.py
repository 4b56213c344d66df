"""Numbers as a person reads them, and the few sums that figures and tables share."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from SuggestiveAnnotationLib.report.data import DiceValue, Effort, EffortRow, Quantity, ReportData, total

UNDEFINED = "\N{EN DASH}"
ALL_CLASSES = "all classes"


def percent(value: float | None) -> str:
    """`0.873` as `87 %`; an undefined ratio as a dash."""
    return UNDEFINED if value is None else f"{100 * value:.0f} %"


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with fixed digits, or a dash."""
    return UNDEFINED if value is None else f"{value:,.{digits}f}"


def metres(mm: float | None) -> str:
    """Millimetres as metres, two digits below a hundred metres."""
    return UNDEFINED if mm is None else f"{mm / 1000:,.{2 if mm < 1e5 else 0}f}"


def millilitres(mm3: float | None) -> str:
    """Cubic millimetres as millilitres, two digits."""
    return UNDEFINED if mm3 is None else f"{mm3 / 1000:,.2f}"


def duration(seconds: float) -> str:
    """Seconds as the largest unit that fits: `42 s`, `3.5 min`, `1.2 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 slice`, `2,340 slices`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the defined values; None where there is none."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def dice_rounds(data: ReportData) -> tuple[int, ...]:
    """Rounds that Dice was measured in."""
    return tuple(sorted({d.round for d in data.dice}))


def case_dice(data: ReportData, label: str | None, number: int) -> dict[str, float | None]:
    """Dice of each held-out case in a round. `label` None: the mean over the classes (never the regions) of that case."""
    rows = [d for d in data.dice if d.round == number]
    if label is not None:
        return {d.case: d.value for d in rows if d.label == label}
    return mean_over_classes(rows, data.classes)


def mean_over_classes(rows: Iterable[DiceValue], classes: Container[str]) -> dict[str, float | None]:
    """Case -> mean Dice over the classes it is defined for. Regions are left out: they hold classes that count already."""
    cases: dict[str, list[DiceValue]] = {}
    for row in rows:
        if row.label in classes:
            cases.setdefault(row.case, []).append(row)
    return {case: mean(d.value for d in values) for case, values in cases.items()}


def mean_dice(data: ReportData, label: str | None, number: int) -> float | None:
    """Mean over the held-out cases in which it is defined."""
    return mean(case_dice(data, label, number).values())


def quantities(data: ReportData) -> tuple[tuple[Quantity, bool], ...]:
    """The (quantity, drawn blind) pairs there are, the reader's own first."""
    return tuple(sorted({(row.quantity, row.audit) for row in data.effort}))


def effort_of(rows: Sequence[EffortRow], label: str, number: int) -> Effort | None:
    """The summed effort of a class in a round; None where there is none. `ALL_CLASSES`: over the classes of the same slices."""
    found = [row.effort for row in rows if row.round == number and label in (row.label, ALL_CLASSES)]
    if not found:
        return None
    return total(found, slices=max(e.slices for e in found) if label == ALL_CLASSES else None)
