"""Which slices count, by each rule."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.labels.annotated import annotated_slices, silent_slices
from SuggestiveAnnotationLib.types import AnnotatedRule

IGNORE = 9
KINDS = {"empty": [0, 0], "label": [0, 1], "partly": [1, IGNORE], "hole": [0, IGNORE], "silent": [IGNORE, IGNORE]}


def stack(*kinds: str) -> np.ndarray:
    return np.array([[KINDS[kind]] for kind in kinds], np.uint16).reshape(len(kinds), 1, 2)


@pytest.mark.parametrize(
    ("rule", "expected"), [("all", (0, 1, 2, 3, 4, 5, 6)), ("labelled", (2, 5)), ("span", (2, 3, 4, 5)), ("marked", (0, 2, 3, 5, 6))]
)
def test_each_rule_counts_what_it_says(rule: AnnotatedRule, expected: tuple[int, ...]) -> None:
    labels = stack("empty", "silent", "label", "hole", "silent", "partly", "empty")
    assert annotated_slices(labels, rule, IGNORE) == expected
    assert silent_slices(labels, IGNORE) == {1, 4}


@pytest.mark.parametrize(("rule", "expected"), [("all", (0, 1)), ("labelled", ()), ("span", ()), ("marked", (0, 1))])
def test_without_a_label_only_rules_that_ask_for_one_count_nothing(rule: AnnotatedRule, expected: tuple[int, ...]) -> None:
    assert annotated_slices(stack("empty", "hole"), rule, IGNORE) == expected


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12))
def test_a_label_counts_by_every_rule_and_the_rules_lie_in_one_another(kinds: list[str]) -> None:
    counted = {rule: set(annotated_slices(stack(*kinds), rule, IGNORE)) for rule in get_args(AnnotatedRule)}
    labelled = {k for k, kind in enumerate(kinds) if kind in ("label", "partly")}
    assert counted["labelled"] == labelled
    assert labelled <= counted["span"] <= counted["all"]
    assert counted["marked"] == counted["all"] - silent_slices(stack(*kinds), IGNORE)
