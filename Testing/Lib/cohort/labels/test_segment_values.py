"""Structures by name: one schema for files that number them differently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.labels.segment_values import schema_of_classes, values_by_name
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelClass

RED, BLUE = (255, 0, 0), (0, 0, 255)
FIRST = (LabelClass(1, "Tumour", RED), LabelClass(2, "Oedema", BLUE))
SECOND = (LabelClass(1, "oedema", BLUE), LabelClass(2, "Cyst", RED))


def test_each_name_is_one_structure_and_values_that_two_claim_are_given_anew() -> None:
    schema = schema_of_classes([FIRST, SECOND])
    assert schema is not None
    # Cyst had the value 2, which Oedema has already.
    assert [(c.value, c.name) for c in schema.classes] == [(1, "Tumour"), (2, "Oedema"), (3, "Cyst")]
    labels = np.array([[0, 1, 2]])
    np.testing.assert_array_equal(values_by_name(labels, FIRST, schema, name="a"), [[0, 1, 2]])
    np.testing.assert_array_equal(values_by_name(labels, SECOND, schema, name="b"), [[0, 2, 3]])


def test_without_names_there_is_no_schema_and_values_stay() -> None:
    assert schema_of_classes([(), ()]) is None
    labels = np.array([[0, 7]])
    schema = schema_of_classes([FIRST])
    assert schema is not None
    assert values_by_name(labels, (), schema, name="a") is labels


def test_the_ignore_value_is_never_given_to_a_structure() -> None:
    schema = schema_of_classes([(LabelClass(255, "Bone", RED), LabelClass(0, "Fat", BLUE))])
    assert schema is not None
    assert schema.ignore_value not in schema.values
    assert sorted(schema.values) == [0, 1, 2]


def test_a_structure_with_voxels_and_no_counterpart_is_refused_and_one_without_voxels_is_not() -> None:
    schema = schema_of_classes([FIRST])
    assert schema is not None
    with pytest.raises(InputError, match=r"scan\.seg\.nrrd has structures that are not in schema .*: Cyst\."):
        values_by_name(np.array([2]), SECOND, schema, name="scan.seg.nrrd")
    np.testing.assert_array_equal(values_by_name(np.array([1, 0]), SECOND, schema, name="a"), [2, 0])


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True, max_size=5), min_size=1, max_size=4), st.randoms())
def test_every_file_keeps_its_structures_apart(files: list[list[str]], random: object) -> None:
    named = []
    for names in files:
        values = random.sample(range(1, 300), len(names))  # type: ignore[attr-defined]
        named.append(tuple(LabelClass(v, n, RED) for v, n in zip(values, names, strict=True)))
    schema = schema_of_classes(named)
    if schema is None:
        assert not any(files)
        return
    by_name = {c.name: c.value for c in schema.classes}
    for classes in named:
        labels = np.array([0, *(c.value for c in classes)])
        assert values_by_name(labels, classes, schema, name="f").tolist() == [0, *(by_name[c.name] for c in classes)]
