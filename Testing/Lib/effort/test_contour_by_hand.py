"""Contour agreement on slices small enough to count on paper."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SuggestiveAnnotationLib.effort.contour import ContourTotals, SliceAgreement, Tolerances, contour_agreement


def slice_of(text: str) -> np.ndarray:
    """Rows separated by spaces; '.' is background, 'x' the ignore value."""
    return np.array([[{".": 0, "x": 255}.get(c) if c in ".x" else int(c) for c in row] for row in text.split()], np.uint16)


def compare(reference: str, prediction: str, values=(1,), spacing=(1.0, 1.0), **options) -> SliceAgreement:
    return contour_agreement(slice_of(reference), slice_of(prediction), values=values, spacing=spacing, **options)


EMPTY = "..... ..... ..... ..... ....."


def test_a_single_pixel_has_two_edges_of_each_spacing():
    dot = "..... ..1.. ....."
    c = compare(dot, dot, spacing=(2.0, 3.0)).of(1)
    assert c.reference_mm == c.prediction_mm == c.shared_mm == 2 * 2.0 + 2 * 3.0


def test_a_two_by_three_rectangle():
    # Two edges of three columns, two of two rows.
    box = "..... .111. .111. ....."
    c = compare(box, box, spacing=(0.5, 2.0)).of(1)
    assert c.reference_mm == 2 * 3 * 2.0 + 2 * 2 * 0.5


def test_edges_on_the_border_of_the_slice_count():
    c = compare("11 11", "11 11", spacing=(1.0, 1.0)).of(1)
    assert c.reference_mm == c.shared_mm == 8.0


def test_a_hole_has_a_contour_too():
    c = compare("111 1.1 111", "111 111 111").of(1)
    assert (c.reference_mm, c.prediction_mm, c.shared_mm) == (16.0, 12.0, 12.0)


def test_a_prediction_equal_to_the_reference_shares_everything_and_leaves_nothing_to_do():
    both = ".112 .122 33.."
    for c in compare(both, both, values=(1, 2, 3)).classes:
        assert c.shared_mm == c.prediction_mm == c.reference_mm == c.shared_within_pixels_mm == c.shared_within_millimetres_mm
        assert c.of_reference == c.of_prediction == c.overlap == 1.0
        assert (c.false_components, c.added_pixels, c.removed_pixels) == (0, 0, 0)


def test_a_border_between_two_classes_counts_for_both_and_once_as_an_interface():
    agreement = compare("12", "12", values=(1, 2))
    assert [c.reference_mm for c in agreement.classes] == [4.0, 4.0]
    assert agreement.overall.reference_mm == 8.0
    assert agreement.interfaces.reference_mm == agreement.interfaces.shared_mm == 7.0


def test_the_same_line_with_the_class_on_the_other_side_is_not_shared():
    c = compare("1. 1.", ".1 .1").of(1)
    # Of the line in the middle nothing is shared; the tolerance does not ask for the side.
    assert c.shared_mm == 0.0
    assert c.shared_within_pixels_mm == 6.0


def test_a_shift_by_one_pixel_loses_the_crossed_edges_exactly_and_none_at_one_pixel():
    c = compare("...... .111.. .111.. ......", "...... ..111. ..111. ......").of(1)
    # Top and bottom share two of three edges each; left and right share none.
    assert (c.reference_mm, c.shared_mm) == (10.0, 4.0)
    assert c.of_reference_within_pixels == 1.0
    assert (c.added_pixels, c.removed_pixels) == (2, 2)


def test_one_pixel_means_the_finer_spacing():
    coarse, fine = (3.0, 1.0), (1.0, 1.0)
    shifted_down = ("... .1. ... ...", "... ... .1. ...")
    assert compare(*shifted_down, spacing=fine).of(1).of_reference_within_pixels == 1.0
    # By one coarse pixel (3 mm): only the shared line, the lower border of the one, the upper of the other, is near.
    assert compare(*shifted_down, spacing=coarse).of(1).shared_within_pixels_mm == 1.0
    assert compare(*shifted_down, spacing=coarse, tolerances=Tolerances(pixels=3.0)).of(1).of_reference_within_pixels == 1.0


def test_a_distance_that_equals_the_tolerance_counts():
    shifted = ("1......", ".1.....")
    near = Tolerances(pixels=0.5, millimetres=0.7)
    far = Tolerances(pixels=1.0, millimetres=0.7 * 0.999)
    assert compare(*shifted, spacing=(0.7, 0.7), tolerances=near).of(1).of_reference_within_millimetres == 1.0
    assert compare(*shifted, spacing=(0.7, 0.7), tolerances=far).of(1).of_reference_within_pixels == 1.0
    # Just short of 0.7 mm: the right edge lies on a predicted one, upper and lower are 0.495 mm from it, the left one is 0.7 mm off.
    assert compare(*shifted, spacing=(0.7, 0.7), tolerances=far).of(1).of_reference_within_millimetres == pytest.approx(0.75)


def test_without_a_reference_contour_the_ratio_is_undefined_never_a_hundred_per_cent():
    for prediction in (EMPTY, "..... .1... ..... ..... ....."):
        c = compare(EMPTY, prediction).of(1)
        assert c.reference_mm == 0.0
        assert c.of_reference is None
        assert c.of_reference_within_pixels is None
        assert c.of_reference_within_millimetres is None
    assert compare(EMPTY, EMPTY).of(1).overlap is None
    assert compare(EMPTY, EMPTY).interfaces.of_reference is None


def test_without_a_prediction_nothing_is_shared():
    c = compare("..... .11.. .11..", "..... ..... .....").of(1)
    assert (c.of_reference, c.of_reference_within_pixels, c.of_prediction, c.overlap) == (0.0, 0.0, None, 0.0)
    assert (c.reference_mm, c.shared_mm, c.added_pixels, c.removed_pixels) == (8.0, 0.0, 4, 0)


def test_false_contours_are_invisible_in_c_over_l_and_visible_beside_it():
    c = compare("11... 11... ..... ..... .....", "11... 11... ..... ...1. .....", spacing=(2.0, 2.0)).of(1)
    assert c.of_reference == 1.0
    assert c.of_prediction == 16.0 / 24.0
    assert c.overlap == 2 * 16.0 / (16.0 + 24.0)
    assert c.false_components == 1
    assert (c.removed_pixels, c.removed_mm2, c.removed_mm3(5.0)) == (1, 4.0, 20.0)
    assert (c.added_pixels, c.added_mm2, c.added_mm3(5.0)) == (0, 0.0, 0.0)


def test_false_components_are_joined_over_corners_and_counted_per_class():
    reference = "1.... ..... ..... ..... ....."
    prediction = "1...2 .1.2. ..1.. 2...1 2..1."
    ones, twos = compare(reference, prediction, values=(1, 2)).classes
    assert ones.false_components == 1  # the diagonal hangs on the true pixel; the pair in the corner is one
    assert twos.false_components == 2


def test_a_component_beside_the_reference_that_shares_no_pixel_is_false():
    assert compare("11..", "..11").of(1).false_components == 1


def test_a_component_on_a_pixel_of_another_class_is_false():
    assert [c.false_components for c in compare("22", "11", values=(1, 2)).classes] == [1, 0]


def test_edges_beside_an_ignored_pixel_are_in_no_contour():
    c = compare("11x. 11.. ....", "11.. 11.. ....").of(1)
    # The edge between the second pixel of the first row and the ignored one is left out on both sides.
    assert (c.reference_mm, c.prediction_mm, c.shared_mm) == (7.0, 7.0, 7.0)


def test_ignored_pixels_are_in_no_area_and_no_component():
    c = compare("11.xx 11.xx .....", "11.11 11.11 .....").of(1)
    assert (c.removed_pixels, c.false_components, c.prediction_mm) == (0, 0, 8.0)


def test_a_component_that_ignored_pixels_cut_in_two_is_two():
    assert compare("1x.", "111").of(1).false_components == 1


def test_the_ignore_value_in_the_prediction_is_no_class():
    c = compare("11", "1x").of(1)
    assert (c.added_pixels, c.removed_pixels) == (1, 0)
    assert c.shared_mm == 3.0


def test_another_ignore_value_can_be_named():
    assert compare("19", "11", ignore_value=9).of(1).reference_mm == 3.0


def test_values_that_are_not_asked_for_are_outside():
    assert compare("17 17", "1. 1.").of(1).of_reference == 1.0


def test_the_edge_of_the_mask_is_left_out_of_both_contours():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:5] = True
    reference, prediction = "...... .1122. .1122. ......", "...... .1112. .1122. ......"
    whole = compare(reference, prediction, values=(1, 2))
    inner = compare(reference, prediction, values=(1, 2), exclude_edge_of=mask)
    assert [c.reference_mm for c in whole.classes] == [8.0, 8.0]
    assert [c.reference_mm for c in inner.classes] == [2.0, 2.0]
    assert [c.prediction_mm for c in inner.classes] == [3.0, 3.0]
    assert [c.shared_mm for c in inner.classes] == [1.0, 1.0]
    assert inner.interfaces.reference_mm == 2.0
    assert [c.removed_pixels for c in inner.classes] == [1, 0]


def test_a_mask_that_fills_the_slice_has_its_edge_on_the_border():
    assert compare("11 1.", "11 1.", exclude_edge_of=np.ones((2, 2), bool)).of(1).reference_mm == 2.0


def test_background_may_be_asked_for_like_any_class():
    background, one = compare("0.1", "0.1", values=(0, 1)).classes
    assert (background.reference_mm, one.reference_mm) == (6.0, 4.0)


def test_the_tolerant_lengths_can_be_left_out():
    c = compare("11", "11", tolerances=None).of(1)
    assert c.shared_mm == 6.0
    assert c.shared_within_pixels_mm is c.shared_within_millimetres_mm is c.of_reference_within_pixels is None


def test_a_slice_agreement_survives_json():
    for tolerances in (None, Tolerances(pixels=2.0)):
        agreement = compare(".112 .122", ".111 .222", values=(1, 2), spacing=(0.4, 1.1), tolerances=tolerances)
        assert SliceAgreement.from_json(json.loads(json.dumps(agreement.to_json()))) == agreement


def test_totals_are_sums_and_never_means_of_ratios():
    large = compare("..... .111. .111. .111. .....", "..... .111. .111. .111. .....")
    small = compare("..... ..1.. ..... ..... .....", EMPTY)
    empty = compare(EMPTY, EMPTY)
    totals = ContourTotals.of_slices([large, small, empty])
    assert (totals.slices, totals.of(1).reference_mm, totals.of(1).shared_mm, totals.of(1).added_pixels) == (3, 16.0, 12.0, 1)
    assert totals.of(1).of_reference == 12.0 / 16.0  # the mean of ratios would be a half
    assert totals.overall.of_reference == 12.0 / 16.0
    assert totals.interfaces.of_reference == 12.0 / 16.0
    twice = ContourTotals.total([totals, totals])
    assert (twice.slices, twice.of(1).reference_mm, twice.interfaces.shared_mm) == (6, 32.0, 24.0)
    assert ContourTotals.from_json(json.loads(json.dumps(totals.to_json()))) == totals


def test_agreements_of_different_kinds_are_not_added():
    one = compare("11", "11")
    with pytest.raises(ValueError, match="cannot be added"):
        ContourTotals.of_slices([one, compare("11", "11", tolerances=None)])
    with pytest.raises(ValueError, match="cannot be added"):
        ContourTotals.of_slices([one, compare("11", "11", values=(2,))])
    with pytest.raises(ValueError, match="no slice"):
        ContourTotals.of_slices([])


def test_a_class_that_was_not_measured_is_a_key_error():
    agreement = compare("11", "11")
    for of in (agreement.of, ContourTotals.of_slices([agreement]).of):
        with pytest.raises(KeyError):
            of(2)


@pytest.mark.parametrize(
    ("reference", "prediction", "options", "sentence"),
    [
        (np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.uint16), {}, "one shape"),
        (np.zeros(2, np.uint16), np.zeros(2, np.uint16), {}, "one shape"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"exclude_edge_of": np.zeros((3, 2), bool)}, "one shape"),
        (np.zeros((2, 2)), np.zeros((2, 2), np.uint16), {}, "integers"),
        (np.full((2, 2), -1), np.zeros((2, 2), np.uint16), {}, "integers"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"values": (1, 1)}, "distinct"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"values": (1, 255)}, "distinct"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"ignore_value": -1}, "from 0 to 65535"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"spacing": (1.0, 0.0)}, "positive"),
        (np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint16), {"spacing": (1.0, float("nan"))}, "positive"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(reference, prediction, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        contour_agreement(reference, prediction, **{"values": (1,), "spacing": (1.0, 1.0), **options})


def test_tolerances_are_finite_and_not_negative():
    with pytest.raises(ValueError, match="Tolerances"):
        Tolerances(pixels=-1.0)
    with pytest.raises(ValueError, match="Tolerances"):
        Tolerances(millimetres=float("inf"))
