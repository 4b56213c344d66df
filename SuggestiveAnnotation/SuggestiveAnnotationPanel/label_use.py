"""Labels that exist before the study: what they can be used for, and which of their slices count, in words."""

from __future__ import annotations

from typing import get_args

from slicer.i18n import tr as _

from SuggestiveAnnotationLib.types import AnnotatedRule, LabelUse

USES, RULES = get_args(LabelUse), get_args(AnnotatedRule)


def useText(use):
    """What labels are used for."""
    return {
        "reference": _("to judge models by"),
        "validation": _("to choose the best weights (validation)"),
        "first-batch": _("as accepted first batch"),
        "pre-annotation": _("as pre-annotation to correct"),
    }.get(use, use)


def ruleText(rule):
    """Which slices of labels count as annotated."""
    return {
        "all": _("all"),
        "labelled": _("those that hold a label"),
        "span": _("from the first to the last that does"),
        "marked": _("all but those marked ignore"),
    }.get(rule, rule)
