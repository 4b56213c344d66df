"""The named quantities: what they add, what they refuse to add, and what they say of themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SuggestiveAnnotationLib.effort.contour import contour_agreement
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling, RetainedContour, SavedEffort

QUANTITIES = (RetainedContour, SavedEffort, ResolutionCeiling)


def box(rows, columns):
    out = np.zeros((12, 12), np.uint16)
    out[1 : 1 + rows, 1 : 1 + columns] = 1
    return out


def agreement(reference, prediction):
    return contour_agreement(reference, prediction, values=(1, 2), spacing=(1.0, 1.0))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_quantity_is_sum_c_over_sum_l(quantity):
    kept = quantity.of_slices([agreement(box(9, 9), box(9, 9))])
    lost = quantity.of_slices([agreement(box(3, 3), box(0, 0))])
    both = quantity.total([kept, lost])
    assert isinstance(both, quantity)
    assert both.totals.slices == 2
    assert both.totals.of(1).of_reference == 36 / 48
    assert both.totals.of(2).of_reference is None


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_quantity_survives_json(quantity):
    value = quantity.of_slices([agreement(box(4, 5), box(5, 4))])
    assert quantity.from_json(json.loads(json.dumps(value.to_json()))) == value


def test_a_quantity_is_not_read_back_as_another():
    stored = RetainedContour.of_slices([agreement(box(4, 5), box(5, 4))]).to_json()
    with pytest.raises(ValueError, match="Expected a saved effort, found 'retained contour'"):
        SavedEffort.from_json(stored)
    with pytest.raises(ValueError, match="found None"):
        SavedEffort.from_json({})


def test_a_quantity_is_not_added_to_another():
    slices = [agreement(box(4, 5), box(5, 4))]
    with pytest.raises(ValueError, match="retained contour cannot be added to a saved effort"):
        SavedEffort.total([SavedEffort.of_slices(slices), RetainedContour.of_slices(slices)])


def test_accepting_blindly_retains_everything_and_says_nothing_of_the_truth():
    truth, prediction = box(8, 8), box(3, 3)
    retained = RetainedContour.of_slices([agreement(prediction, prediction)])
    saved = SavedEffort.of_slices([agreement(truth, prediction)])
    assert retained.totals.of(1).of_reference == 1.0
    assert saved.totals.of(1).of_reference == 6 / 32


def test_no_quantity_is_called_time_saved():
    for quantity in QUANTITIES:
        words = f"{quantity.name} {quantity.caption}".lower()
        assert "time saved" not in words
        assert "saved time" not in words
    assert "saved" not in f"{RetainedContour.name} {RetainedContour.caption}".lower()
    assert "nothing about time" in RetainedContour.caption
