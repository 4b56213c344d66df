"""The tables of the page as strings, so that the template only lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from SuggestiveAnnotationLib.report.data import Effort, ReportData
from SuggestiveAnnotationLib.report.numbers import (
    ALL_CLASSES,
    UNDEFINED,
    decimal,
    dice_rounds,
    duration,
    effort_of,
    mean_dice,
    metres,
    millilitres,
    percent,
    quantities,
)


@dataclass(frozen=True)
class TableView:
    """One table. The first cell of a row is its heading.

    Attributes:
        numeric: index of the first column that holds numbers, set flush right.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 1


def rounds_table(data: ReportData) -> TableView:
    """One row a round, with Dice of the mean, each class and each region."""
    measured = set(dice_rounds(data))
    labels: tuple[str | None, ...] = (None, *data.classes, *data.regions) if measured else ()
    columns = (
        "Round",
        "Strategy",
        "Seed",
        "Slices trained on",
        "Contour (m)",
        _minutes_name(data),
        "Annotated in it",
        "Skipped or unreadable",
        "Open",
        *("Dice, mean" if label is None else f"Dice, {label}" for label in labels),
        "Computing",
    )
    rows = tuple(
        (
            str(r.number),
            r.strategy or "last model, no batch",
            str(r.seed),
            f"{r.slices:,}",
            metres(r.contour_mm),
            decimal(r.minutes, 1),
            f"{r.annotated:,}",
            f"{r.skipped:,}",
            f"{r.open:,}",
            *(decimal(mean_dice(data, label, r.number)) if r.number in measured else UNDEFINED for label in labels),
            duration(sum(r.seconds.values())) if r.seconds else UNDEFINED,
        )
        for r in data.rounds
    )
    return TableView("rounds", "Every round: what went in, what came out. Dice is the mean over held-out cases.", columns, rows, numeric=2)


def _minutes_name(data: ReportData) -> str:
    """A round without training slices has no minutes to be measured or simulated."""
    kinds = {r.simulated for r in data.rounds if r.minutes}
    return f"Minutes ({'simulated' if True in kinds else 'measured'})" if kinds else "Minutes"


def effort_tables(data: ReportData) -> tuple[TableView, ...]:
    """One table a quantity: a row a round and class, sums of lengths, shares from those sums."""
    return tuple(_effort_table(data, quantity, audit) for quantity, audit in quantities(data))


_EFFORT_COLUMNS = (
    "Round",
    "Class",
    "Slices",
    "L (m)",
    "C (m)",
    "C / L exact",
    "within 1 px",
    "within 1 mm",
    "Ceiling",
    "C / L_pred",
    "2C / (L + L_pred)",
    "False comp.",
    "Added (ml)",
    "Removed (ml)",
)


def _effort_table(data: ReportData, quantity: str, audit: bool) -> TableView:
    rows = [row for row in data.effort if (row.quantity, row.audit) == (quantity, audit)]
    ceilings = {c.label: c.exact for c in data.ceilings}
    lines = []
    for number in sorted({row.round for row in rows}):
        labels = list(dict.fromkeys(row.label for row in rows if row.round == number))
        for label in [*labels, ALL_CLASSES] if len(labels) > 1 else labels:
            effort = effort_of(rows, label, number) or Effort()
            lines.append((str(number), label, *_effort_cells(effort, ceilings.get(label))))
    where = " on audit slices" if audit else ""
    caption = f"{quantity}{where}: lengths are summed before they are divided; {UNDEFINED} is undefined or not measured."
    return TableView(f"effort-{quantity}-{audit}", caption, _EFFORT_COLUMNS, tuple(lines), numeric=2)


def _effort_cells(effort: Effort, ceiling: float | None) -> tuple[str, ...]:
    return (
        f"{effort.slices:,}",
        metres(effort.reference_mm),
        metres(effort.kept_mm),
        percent(effort.exact),
        percent(effort.within_1px),
        percent(effort.within_1mm),
        percent(ceiling),
        percent(effort.of_prediction),
        percent(effort.symmetric),
        f"{effort.false_components:,}",
        millilitres(effort.added_mm3),
        millilitres(effort.removed_mm3),
    )


def facts_table(name: str, caption: str, facts: Sequence[tuple[str, str]]) -> TableView:
    """Two columns: name and value."""
    return TableView(name, caption, ("Name", "Value"), tuple(facts), numeric=2)
