"""Contour agreement against an independent reference that walks over pixels one by one, and properties that hold for every slice."""

from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from SuggestiveAnnotationLib.effort.contour import SliceAgreement, Tolerances, contour_agreement

VALUES = (3, 1, 40000)
IGNORE = 255

spacings = st.tuples(st.sampled_from((0.45, 1.0, 1.7)), st.sampled_from((0.5, 1.0, 3.0)))


@st.composite
def slices(draw):
    """Reference, prediction near to it, mask and spacing; the reference has ignored pixels, both have a value nobody asks for."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    labels = arrays(np.uint16, shape, elements=st.sampled_from((0, 0, *VALUES, 1, 1, 9, IGNORE)))
    reference, other = draw(labels), draw(labels)
    agree = draw(arrays(bool, shape))
    mask = draw(st.none() | arrays(bool, shape))
    return reference, np.where(agree, reference, other), mask, draw(spacings)


def edges_of(labels, cls, reference, mask, spacing):
    """(row, column) of the midpoint in pixels, side the class is on -> length, by looking at the four neighbours of every pixel."""
    rows, columns = labels.shape

    def at(array, r, c, outside):
        return array[r, c] if 0 <= r < rows and 0 <= c < columns else outside

    found = {}
    for r in range(rows):
        for c in range(columns):
            if labels[r, c] != cls:
                continue
            for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if at(labels, r + dr, c + dc, -1) == cls:
                    continue
                if reference[r, c] == IGNORE or at(reference, r + dr, c + dc, 0) == IGNORE:
                    continue
                if mask is not None and mask[r, c] != at(mask, r + dr, c + dc, False):
                    continue
                found[(r + dr / 2, c + dc / 2, dr, dc)] = spacing[1] if dr else spacing[0]
    return found


def flood(labels, cls, reference):
    """Sets of 8-connected pixels of the class, ignored pixels left out."""
    rest = {(int(r), int(c)) for r, c in np.argwhere((labels == cls) & (reference != IGNORE))}
    parts = []
    while rest:
        part, todo = set(), [rest.pop()]
        while todo:
            r, c = todo.pop()
            part.add((r, c))
            near = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & rest
            rest -= near
            todo += near
        parts.append(part)
    return parts


def brute_force(reference, prediction, mask, spacing, cls, tolerances_mm):
    a = edges_of(reference, cls, reference, mask, spacing)
    b = edges_of(prediction, cls, reference, mask, spacing)
    near = []
    for t in tolerances_mm:
        near.append(
            sum(
                length
                for (r, c, _, _), length in a.items()
                if any(hypot((r - r2) * spacing[0], (c - c2) * spacing[1]) <= t + 1e-7 for r2, c2, _, _ in b)
            )
        )
    known = reference != IGNORE
    return {
        "reference_mm": sum(a.values()),
        "prediction_mm": sum(b.values()),
        "shared_mm": sum(length for key, length in a.items() if key in b),
        "shared_within_pixels_mm": near[0],
        "shared_within_millimetres_mm": near[1],
        "false_components": sum(all(reference[p] != cls for p in part) for part in flood(prediction, cls, reference)),
        "added_pixels": int(((reference == cls) & (prediction != cls) & known).sum()),
        "removed_pixels": int(((reference != cls) & (prediction == cls) & known).sum()),
    }


def compare(reference, prediction, mask=None, spacing=(1.0, 1.0), **options) -> SliceAgreement:
    return contour_agreement(reference, prediction, values=VALUES, spacing=spacing, exclude_edge_of=mask, **options)


@settings(max_examples=200, deadline=None)
@given(slices(), st.sampled_from((VALUES, (*VALUES, 0))), st.sampled_from((0.0, 1.0, 1.5, 2.3)), st.sampled_from((0.3, 1.0, 2.0)))
def test_every_number_equals_the_brute_force(case, values, pixels, millimetres):
    reference, prediction, mask, spacing = case
    tolerances = Tolerances(pixels, millimetres)
    agreement = contour_agreement(reference, prediction, values=values, spacing=spacing, exclude_edge_of=mask, tolerances=tolerances)
    for cls in values:
        expected = brute_force(reference, prediction, mask, spacing, cls, (pixels * min(spacing), millimetres))
        measured = agreement.of(cls)
        assert {name: getattr(measured, name) for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(slices())
def test_interfaces_are_the_edges_where_anything_changes_each_once(case):
    reference, prediction, mask, spacing = case
    agreement = compare(reference, prediction, mask, spacing, tolerances=None)

    def interfaces(labels):
        out = {}
        for cls in VALUES:
            for (r, c, dr, dc), length in edges_of(np.where(np.isin(labels, VALUES), labels, 0), cls, reference, mask, spacing).items():
                sides = out.setdefault((r, c), (length, set()))[1]
                sides.add((cls, dr, dc))
        return out

    a, b = interfaces(reference), interfaces(prediction)
    assert agreement.interfaces.reference_mm == pytest.approx(sum(length for length, _ in a.values()))
    assert agreement.interfaces.prediction_mm == pytest.approx(sum(length for length, _ in b.values()))
    assert agreement.interfaces.shared_mm == pytest.approx(
        sum(length for key, (length, sides) in a.items() if b.get(key, (0, 0))[1] == sides)
    )


@settings(max_examples=100, deadline=None)
@given(slices())
def test_flips_change_nothing_and_a_transpose_swaps_the_spacing(case):
    reference, prediction, mask, spacing = case
    here = compare(reference, prediction, mask, spacing)
    for turn, turned in ((np.flipud, spacing), (np.fliplr, spacing), (np.transpose, spacing[::-1])):
        there = compare(turn(reference), turn(prediction), None if mask is None else turn(mask), turned)
        for c, d in zip(here.classes, there.classes, strict=True):
            assert c.shared_mm == pytest.approx(d.shared_mm)
            assert c.reference_mm == pytest.approx(d.reference_mm)
            assert c.shared_within_pixels_mm == pytest.approx(d.shared_within_pixels_mm)
            assert c.shared_within_millimetres_mm == pytest.approx(d.shared_within_millimetres_mm)
            assert (c.false_components, c.added_pixels) == (d.false_components, d.added_pixels)


@settings(max_examples=100, deadline=None)
@given(slices(), st.lists(st.floats(0, 4), min_size=3, max_size=3))
def test_a_larger_tolerance_never_finds_less_and_the_exact_part_is_the_least(case, sizes):
    reference, prediction, mask, spacing = case
    runs = [compare(reference, prediction, mask, spacing, tolerances=Tolerances(t, t)) for t in sorted(sizes)]
    for cls in VALUES:
        parts = [r.of(cls) for r in runs]
        pixels = [parts[0].shared_mm, *(c.shared_within_pixels_mm for c in parts), parts[0].reference_mm]
        millimetres = [parts[0].shared_mm, *(c.shared_within_millimetres_mm for c in parts), parts[0].reference_mm]
        assert pixels == sorted(pixels)
        assert millimetres == sorted(millimetres)


@settings(max_examples=50, deadline=None)
@given(slices())
def test_a_reference_shares_all_of_itself(case):
    reference, _, mask, spacing = case
    for c in compare(reference, reference, mask, spacing).classes:
        assert c.shared_mm == c.reference_mm == c.prediction_mm == c.shared_within_pixels_mm == c.shared_within_millimetres_mm
        assert (c.false_components, c.added_pixels, c.removed_pixels) == (0, 0, 0)


@settings(max_examples=50, deadline=None)
@given(slices())
def test_swapping_the_two_swaps_what_is_added_and_removed_where_nothing_is_ignored(case):
    first, second, mask, spacing = case
    first, second = np.where(first == IGNORE, 0, first), np.where(second == IGNORE, 0, second)
    here, there = compare(first, second, mask, spacing), compare(second, first, mask, spacing)
    for c, d in zip(here.classes, there.classes, strict=True):
        assert (c.reference_mm, c.prediction_mm, c.shared_mm) == (d.prediction_mm, d.reference_mm, d.shared_mm)
        assert (c.added_pixels, c.removed_pixels) == (d.removed_pixels, d.added_pixels)


@pytest.mark.parametrize("smoothing", [0.6, 1.5, 4.0])
def test_false_components_on_whole_slices_are_those_that_labelling_finds(smoothing):
    rng = np.random.default_rng(3)
    reference, prediction = (
        ndimage.gaussian_filter(rng.standard_normal((4, 96, 80)), (0, smoothing, smoothing)).argmax(axis=0).astype(np.uint16)
        for _ in range(2)
    )
    for v, c in zip((1, 2, 3), contour_agreement(reference, prediction, values=(1, 2, 3), spacing=(1.0, 1.0)).classes, strict=True):
        parts, count = ndimage.label(prediction == v, np.ones((3, 3)))
        assert c.false_components == count - np.count_nonzero(np.unique(parts[reference == v]))


def test_many_classes_are_measured_like_each_by_itself():
    rng = np.random.default_rng(5)
    reference = rng.integers(0, 301, (40, 30)).astype(np.uint16)
    reference[reference == IGNORE] = 0
    prediction = np.where(rng.random(reference.shape) < 0.7, reference, np.roll(reference, 1, axis=0))
    values = tuple(v for v in range(1, 301) if v != IGNORE)
    together = contour_agreement(reference, prediction, values=values, spacing=(1.0, 2.0))
    for v in (1, 17, 254, 256, 300):
        assert contour_agreement(reference, prediction, values=(v,), spacing=(1.0, 2.0)).of(v) == together.of(v)


def test_a_view_that_is_not_contiguous_and_other_integer_types_are_read_alike():
    rng = np.random.default_rng(6)
    volume = rng.choice(np.array([0, *VALUES], np.uint16), (9, 8, 7))
    view, other = volume[:, ::-1, 3], volume[:, ::-1, 4]
    plain = compare(view.copy(), other.copy())
    assert compare(view, other) == plain
    assert compare(view.astype(np.int64), other.astype(np.int32)) == plain
