"""The resolution ceiling: what is lost on the way to a coarser grid and back."""

from __future__ import annotations

import numpy as np
import pytest

from SuggestiveAnnotationLib.effort.ceiling import resolution_ceiling
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling


def every(step):
    """A round trip by taking every `step`-th pixel and repeating it."""
    return lambda labels: np.repeat(np.repeat(labels[::step, ::step], step, axis=0), step, axis=1)


def disc(radius):
    y, x = np.mgrid[:64, :64] - 31.4
    return (np.hypot(y, x) < radius).astype(np.uint16)


def ceiling(slices, round_trip, **options):
    return resolution_ceiling(slices, round_trip, values=(1,), spacing=(1.0, 1.0), **options)


def test_a_round_trip_that_changes_nothing_has_no_ceiling():
    result = ceiling([disc(20), disc(9)], lambda labels: labels)
    assert isinstance(result, ResolutionCeiling)
    assert result.totals.slices == 2
    assert result.totals.of(1).of_reference == 1.0


def test_a_square_that_lies_on_the_coarse_grid_survives_and_one_beside_it_does_not():
    square = np.zeros((64, 64), np.uint16)
    square[8:24, 8:24] = 1
    assert ceiling([square], every(4)).totals.of(1).of_reference == 1.0
    beside = np.roll(square, (1, 1), axis=(0, 1))
    # The square comes back three pixels further down and right; no side is where it was.
    assert ceiling([beside], every(4)).totals.of(1).of_reference == 0.0


def test_coarser_grids_have_lower_ceilings_and_tolerance_lifts_them():
    slices = [disc(r) for r in (8, 14, 21)]
    by_step = [ceiling(slices, every(step)).totals.of(1) for step in (1, 2, 4, 8)]
    exact = [c.of_reference for c in by_step]
    assert exact == sorted(exact, reverse=True)
    assert exact[-1] < 0.5
    assert all(c.of_reference_within_pixels > c.of_reference for c in by_step[1:])


def test_the_mask_of_each_slice_is_used():
    square = np.ones((64, 64), np.uint16)
    square[20:40, 20:40] = 0
    mask = np.ones((64, 64), bool)
    result = ceiling([square, square], every(4), exclude_edges_of=[mask, None])
    assert result.totals.of(1).reference_mm == 80.0 + 80.0 + 4 * 64.0


def test_cases_with_other_spacing_are_joined():
    fine = resolution_ceiling([disc(9)], every(2), values=(1,), spacing=(0.5, 0.5))
    coarse = resolution_ceiling([disc(9)], every(2), values=(1,), spacing=(1.0, 1.0))
    both = ResolutionCeiling.total([fine, coarse])
    assert both.totals.of(1).reference_mm == pytest.approx(1.5 * coarse.totals.of(1).reference_mm)


def test_no_slice_or_too_few_masks_or_another_shape_are_errors():
    with pytest.raises(ValueError, match="no slice"):
        ceiling([], every(2))
    with pytest.raises(ValueError, match="shorter"):
        ceiling([disc(9), disc(9)], every(2), exclude_edges_of=[None])
    with pytest.raises(ValueError, match="one shape"):
        ceiling([disc(9)], lambda labels: labels[::2, ::2])
