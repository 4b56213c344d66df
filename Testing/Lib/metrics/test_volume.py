"""Volume metrics against brute force, against MONAI's, and by hand."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SuggestiveAnnotationLib.metrics import volume_metrics
from SuggestiveAnnotationLib.metrics.surface import surface_distances
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

SCHEMA = LabelSchema("two", (LabelClass(1, "one", (255, 0, 0)), LabelClass(2, "two", (0, 255, 0))), regions={"both": (1, 2)})
SPACING = (3.0, 1.0, 2.0)
SHAPE = (4, 6, 5)

labels = arrays(np.uint16, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


def measure(prediction, reference, **options):
    return volume_metrics(prediction, reference, **{"spacing": SPACING, "schema": SCHEMA, **options})


def brute_surface(volume, known):
    """Centres in millimetres of voxels with a face towards what is known to be outside."""
    found = []
    for at in np.argwhere(volume):
        for axis in range(3):
            for step in (-1, 1):
                beside = at.copy()
                beside[axis] += step
                beyond = beside[axis] < 0 or beside[axis] >= volume.shape[axis]
                if beyond or (known[tuple(beside)] and not volume[tuple(beside)]):
                    found.append(tuple(at * np.array(SPACING)))
    return sorted(set(found))


def brute_distances(one, other):
    return [min(sqrt(sum((a - b) ** 2 for a, b in zip(p, q, strict=True))) for q in other) for p in one]


@settings(max_examples=60, deadline=None)
@given(labels, labels)
def test_everything_equals_brute_force(prediction, reference):
    found = measure(prediction, reference)
    known = reference != 255
    for name, values in (("one", [1]), ("two", [2]), ("both", [1, 2])):
        guess, truth = np.isin(prediction, values) & known, np.isin(reference, values)
        total = guess.sum() + truth.sum()
        assert found[name]["dice_3d"] == (None if not total else pytest.approx(2 * (guess & truth).sum() / total))
        by_slice = [2 * (g & t).sum() / (g.sum() + t.sum()) for g, t in zip(guess, truth, strict=True) if t.any()]
        assert found[name]["dice_2d"] == (pytest.approx(np.mean(by_slice)) if by_slice else None)
        false = [g.sum() for g, t, k in zip(guess, truth, known, strict=True) if k.any() and not t.any()]
        assert found[name]["false_mm3_on_empty"] == pytest.approx(6 * sum(false))
        assert found[name]["false_slices_on_empty"] == sum(n > 0 for n in false)
        assert (found[name]["reference_mm3"], found[name]["predicted_mm3"]) == (6 * truth.sum(), 6 * guess.sum())
        one, other = brute_surface(guess, known), brute_surface(truth, known)
        if not one or not other:
            continue
        there, back = brute_distances(one, other), brute_distances(other, one)
        assert found[name]["hausdorff_mm"] == pytest.approx(max(there + back))
        assert found[name]["hd95_mm"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
        for tolerance in (1, 2):
            near = sum(d <= tolerance + 1e-9 for d in there + back) / len(there + back)
            assert found[name][f"surface_dice_{tolerance}mm"] == pytest.approx(near)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.6), st.floats(0.05, 0.6))
def test_surfaces_are_monais_where_nothing_is_ignored(seed, first, second):
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    draw = np.random.default_rng(seed).random((2, 7, 6, 8))
    guess, truth = draw[0] < first, draw[1] < second
    if not guess.any() or not truth.any():
        return
    a, b = (torch.tensor(v)[None, None].float() for v in (guess, truth))
    found = surface_distances(guess, truth, SPACING)
    keywords = {"include_background": True, "spacing": SPACING}
    assert found.percentile(100) == pytest.approx(float(compute_hausdorff_distance(a, b, **keywords)), rel=1e-5)
    assert found.percentile(95) == pytest.approx(float(compute_hausdorff_distance(a, b, percentile=95, **keywords)), rel=1e-5)
    assert found.within(2.0) == pytest.approx(float(compute_surface_dice(a, b, class_thresholds=[2.0], **keywords)), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(labels, labels, st.sampled_from([0, 1, 2]))
def test_flips_of_both_change_nothing(prediction, reference, axis):
    assert measure(np.flip(prediction, axis), np.flip(reference, axis)) == {
        name: {metric: value if value is None else pytest.approx(value) for metric, value in row.items()}
        for name, row in measure(prediction, reference).items()
    }


@settings(max_examples=30, deadline=None)
@given(labels, labels)
def test_what_is_predicted_where_the_reference_ignores_changes_nothing(prediction, reference):
    other = np.where(reference == 255, 1, prediction).astype(np.uint16)
    assert measure(prediction, reference) == measure(other, reference)


def blank():
    return np.zeros((6, 7, 8), np.uint16)


def test_a_box_moved_by_one_slice():
    reference, prediction = blank(), blank()
    reference[1:3, 2:5, 2:6] = 1
    prediction[2:4, 2:5, 2:6] = 1
    found = measure(prediction, reference)["one"]
    assert found["dice_3d"] == 0.5
    assert found["dice_2d"] == 0.5  # slice 1 is missed, slice 2 is right, slice 3 is not in the reference
    assert found["false_mm3_on_empty"] == 12 * 6
    assert found["false_slices_on_empty"] == 1
    assert found["hausdorff_mm"] == found["hd95_mm"] == 3.0  # a slice is 3 mm
    assert found["surface_dice_1mm"] == 0.5  # every voxel of two slices is surface; those of slice 2 are on both
    assert found["penalised"] == 0


def test_the_tolerance_counts_itself():
    reference, prediction = blank(), blank()
    reference[2, 3, 2], prediction[2, 3, 3] = 1, 1  # 2 mm apart
    found = measure(prediction, reference, tolerances=(1.9, 2.0))["one"]
    assert (found["surface_dice_1.9mm"], found["surface_dice_2mm"]) == (0.0, 1.0)


def test_an_empty_prediction_is_as_far_as_the_grid_is_wide():
    reference = blank()
    reference[2:4, 2:4, 2:4] = 1
    found = measure(blank(), reference)["one"]
    diagonal = sqrt(18**2 + 7**2 + 16**2)
    assert found["hausdorff_mm"] == found["hd95_mm"] == pytest.approx(diagonal)
    assert (found["dice_3d"], found["dice_2d"], found["surface_dice_1mm"], found["penalised"]) == (0, 0, 0, 1)
    # The same the other way round, but no slice of the reference holds the class.
    found = measure(reference, blank())["one"]
    assert found["hd95_mm"] == pytest.approx(diagonal)
    assert (found["dice_3d"], found["dice_2d"], found["false_mm3_on_empty"]) == (0, None, 8 * 6)


def test_nothing_on_either_side_is_undefined():
    found = measure(blank(), blank())["two"]
    assert all(found[name] is None for name in ("dice_3d", "dice_2d", "hausdorff_mm", "hd95_mm", "surface_dice_1mm"))
    assert (found["penalised"], found["false_mm3_on_empty"]) == (0, 0)


def test_a_slice_ignored_throughout_is_not_empty():
    reference, prediction = blank(), blank()
    reference[0], prediction[:] = 255, 1
    assert measure(prediction, reference)["one"]["false_slices_on_empty"] == 5


def test_a_border_with_what_is_ignored_is_no_surface():
    reference, prediction = blank(), blank()
    reference[:, :, :4], prediction[:, :, :4] = 1, 1
    reference[:, :, 4] = 255
    prediction[:, :, 4:6] = 1  # goes on through the ignored column by one more
    # The face towards the ignored column counts for nobody; the false column lies 2 columns, 4 mm, from it, but farther from a known face.
    found = measure(prediction, reference)["one"]
    known = reference != 255
    one, other = brute_surface((prediction == 1) & known, known), brute_surface(reference == 1, known)
    assert found["hausdorff_mm"] == pytest.approx(max(brute_distances(one, other) + brute_distances(other, one)))


def test_surfaces_are_left_out_when_not_wanted():
    assert "hd95_mm" not in measure(blank(), blank(), surfaces=False)["one"]


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, float("nan"))])
def test_spacing_that_is_none(spacing):
    with pytest.raises(ValueError, match="positive"):
        measure(blank(), blank(), spacing=spacing)


def test_shapes_that_differ():
    with pytest.raises(ValueError, match="one shape"):
        measure(blank(), blank()[1:])
