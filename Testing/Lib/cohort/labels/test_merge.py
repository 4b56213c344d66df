from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

CLASSES = (LabelClass(1, "a", (1, 2, 3)), LabelClass(2, "b", (4, 5, 6)))


@given(values=st.lists(st.sampled_from([0, 1, 2, 7, 8, 40]), min_size=1, max_size=30), other=st.sampled_from([None, 0, 1, 255]))
def test_merging_does_what_a_dictionary_does(values: list[int], other: int | None) -> None:
    merge = {1: 1, 7: 1, 8: 2, 2: 0}
    schema = LabelSchema("s", CLASSES, merge=merge, merge_other=other)
    array = np.array(values, np.int32)
    if other is None and 40 in values:
        with pytest.raises(InputError, match="40"):
            apply_merge(array, schema)
        return
    out = apply_merge(array, schema)
    assert out.dtype == np.uint16
    assert out.tolist() == [0 if v == 0 else merge.get(v, other) for v in values]


def test_without_merging_values_are_kept_and_ignored_ones_stay_ignored() -> None:
    assert apply_merge(np.array([0, 1, 2, 255]), LabelSchema("s", CLASSES)).tolist() == [0, 1, 2, 255]


def test_unknown_values_are_named_up_to_five_and_counted() -> None:
    labels = np.array([0, 1, 5, 5, 6, 7, 8, 9, 10, -1], np.int32)
    with pytest.raises(InputError, match=r"x\.nii has 7 values that are not in schema s: -1, 5, 6, 7, 8 and 2 more \(8 voxels\)"):
        apply_merge(labels, LabelSchema("s", CLASSES), name="x.nii")
    with pytest.raises(InputError, match=r"has 1 value that is not in schema s: 3 \(1 voxel\)"):
        apply_merge(np.array([3]), LabelSchema("s", CLASSES))


def test_values_beyond_16_bits_are_unknown_even_with_a_rule_for_others() -> None:
    with pytest.raises(InputError, match="70000"):
        apply_merge(np.array([70000]), LabelSchema("s", CLASSES, merge={1: 1}, merge_other=0))


def test_unlabelled_voxels_inside_the_mask_become_ignored_but_merged_background_does_not() -> None:
    schema = LabelSchema("s", CLASSES, merge={1: 1, 9: 0}, ignore_unlabelled_in_mask=True)
    labels, mask = np.array([0, 0, 1, 9]), np.array([0, 1, 1, 1])
    assert apply_merge(labels, schema, mask).tolist() == [0, 255, 1, 0]


def test_a_schema_that_needs_a_mask_says_so() -> None:
    schema = load_schema("malc-tissue")
    with pytest.raises(InputError, match="needs a foreground mask"):
        apply_merge(np.array([1]), schema, name="x.nii")
    with pytest.raises(InputError, match="different sizes"):
        apply_merge(np.array([1]), schema, np.array([1, 1]))
