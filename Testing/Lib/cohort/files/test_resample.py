from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.files.read import Volume
from SuggestiveAnnotationLib.cohort.files.resample import overlap, resample_onto
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

EYE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((7, 6, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), EYE)


def ramp(geometry: Geometry) -> np.ndarray:
    """x + 10 y + 100 z at every voxel centre."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij")
    index = np.stack([i, j, k], -1) * geometry.spacing
    points = index @ np.reshape(geometry.direction_lps, (3, 3)).T + geometry.origin_lps
    return (points @ [1, 10, 100]).astype(np.float32)


def test_a_volume_on_the_grid_is_returned_as_it_is() -> None:
    volume = Volume(ramp(GRID), GRID)
    assert resample_onto(volume, GRID) is volume


def test_a_linear_ramp_is_reproduced_on_a_finer_and_turned_grid() -> None:
    moving = Geometry((20, 20, 20), (1.0, 1.0, 1.0), (-5.0, -5.0, -5.0), EYE)
    c, s = np.cos(0.3), np.sin(0.3)
    turned = Geometry((7, 6, 5), (0.5, 0.7, 0.9), (1.0, 1.0, 1.0), (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))
    out = resample_onto(Volume(ramp(moving), moving), turned)
    assert out.geometry == turned
    np.testing.assert_allclose(out.array, ramp(turned), atol=1e-3)


def test_labels_keep_their_values_and_are_zero_outside() -> None:
    labels = np.zeros((5, 6, 7), np.int32)
    labels[:, :, 3:] = 207
    wide = replace(GRID, size=(20, 6, 5), spacing=(0.5, 1.0, 1.0))
    out = resample_onto(Volume(labels, GRID), wide, labels=True).array
    assert out.dtype == np.int32
    np.testing.assert_array_equal(np.unique(out), [0, 207])
    np.testing.assert_array_equal(out[0, 0], [0] * 5 + [207] * 8 + [0] * 7)


def test_outside_its_field_of_view_an_image_takes_its_smallest_value() -> None:
    out = resample_onto(Volume(ramp(GRID) - 50, GRID), replace(GRID, origin_lps=(-3.0, 0.0, 0.0))).array
    assert (out[:, :, :3] == -50).all()
    assert out[0, 0, 3] == -50
    assert out[0, 0, 4] == -49


def test_images_of_different_places_are_refused_with_both_names() -> None:
    far = replace(GRID, origin_lps=(500.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"t2\.nii does not overlap with t1\.nii") as error:
        resample_onto(Volume(ramp(far), far, "t2.nii"), GRID, reference_name="t1.nii")
    assert "Register" in error.value.hint


@given(shift=st.integers(-12, 12))
def test_overlap_is_the_share_of_reference_voxels_inside(shift: int) -> None:
    moved = replace(GRID, origin_lps=(float(shift), 0.0, 0.0))
    inside = sum(shift <= x <= shift + 6 for x in range(7))
    assert overlap(moved, GRID) == pytest.approx(inside / 7)


@given(
    edges=st.tuples(*[st.integers(1, 40)] * 3),
    place=st.tuples(*[st.floats(0, 1)] * 3),
)
def test_a_small_field_of_view_inside_a_large_one_is_never_apart_from_it(
    edges: tuple[int, int, int], place: tuple[float, float, float]
) -> None:
    """Slicer crops segmentations to what was drawn: a lesion may lie between any samples of the image."""
    large = Geometry((512, 400, 200), (0.5, 0.5, 1.0), (-100.0, -80.0, 30.0), EYE)
    first = [round(p * (n - e)) for p, n, e in zip(place, large.size, edges, strict=True)]
    origin = tuple(o + f * s for o, f, s in zip(large.origin_lps, first, large.spacing, strict=True))
    small = replace(large, size=edges, origin_lps=origin)
    assert overlap(large, small) == 1
    assert 0 < overlap(small, large) < 0.2
    drawn = resample_onto(
        Volume(np.ones(small.shape, np.int32), small), replace(large, size=(8, 8, 8), origin_lps=origin), labels=True
    ).array
    assert drawn.sum() == np.prod(np.minimum(edges, 8))
