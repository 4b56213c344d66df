"""Dice of held-out cases, as a study keeps it: what the report and the advice both read."""

from __future__ import annotations

from SuggestiveAnnotationLib.report.data import DiceValue
from SuggestiveAnnotationLib.study.study import Study


def held_out_dice(study: Study) -> tuple[DiceValue, ...]:
    """Dice of test cases; of validation cases where no test case was measured. Pool and excluded cases are never held out."""
    rows = [m for m in study.metrics() if m.name == "dice_3d" and m.case]
    for role in ("test", "validation"):
        names = {case.name for case in study.cases() if case.role == role}
        found = tuple(DiceValue(m.round, m.label, m.case, m.value) for m in rows if m.case in names)
        if found:
            return found
    return ()
