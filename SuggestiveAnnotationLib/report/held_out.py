"""Dice of held-out cases, as a study keeps it: what the report and the advice both read."""

from __future__ import annotations

from SuggestiveAnnotationLib.report.data import DiceValue
from SuggestiveAnnotationLib.study.study import Study


def held_out_dice(study: Study) -> tuple[DiceValue, ...]:
    """Dice of test cases, and of no others: validation cases choose the weights, and so look better than a new case would."""
    names = {case.name for case in study.cases("test")}
    return tuple(DiceValue(m.round, m.label, m.case, m.value) for m in study.metrics() if m.name == "dice_3d" and m.case in names)
