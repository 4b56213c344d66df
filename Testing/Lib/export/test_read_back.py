from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.case import export_annotations
from SuggestiveAnnotationLib.export.read_back import annotations_from_labelmap, parse_slice_numbers


def save(path, array, geometry, **changes):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(changes.get("spacing", geometry.spacing))
    image.SetOrigin(changes.get("origin", geometry.origin_lps))
    image.SetDirection(geometry.direction_lps)
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.fixture
def blank(plain_grid):
    return np.zeros(plain_grid.geometry.shape, np.uint8)


# --- slice numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", (0,)),
        ("10,12,20-25", (9, 11, 19, 20, 21, 22, 23, 24)),
        (" 3 , 1 - 2 ", (0, 1, 2)),
        ("5,5,4-6", (3, 4, 5)),
        ("30", (29,)),
        ("7-7", (6,)),
    ],
)
def test_slice_numbers_count_from_one_and_ranges_include_both_ends(text, expected):
    assert parse_slice_numbers(text, count=30) == expected


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1-2-3", "-3", "1.5", "1,", "3-", "²"])
def test_what_is_no_list_of_slices_is_refused(text):
    with pytest.raises(InputError, match="is no slice number and no range"):
        parse_slice_numbers(text, count=30)


@pytest.mark.parametrize("text", ["0", "31", "20-31", "0-3"])
def test_a_slice_outside_the_case_is_refused(text):
    with pytest.raises(InputError, match="outside the case, which has slices 1 to 30"):
        parse_slice_numbers(text, count=30)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(InputError, match=r"runs backwards\. Write 20-25\."):
        parse_slice_numbers("25-20", count=30)


@given(st.sets(st.integers(1, 40), min_size=1))
def test_any_set_of_slice_numbers_is_read_as_it_was_written(numbers):
    assert parse_slice_numbers(",".join(map(str, numbers)), count=40) == tuple(n - 1 for n in sorted(numbers))


# --- labelmaps


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_an_export_comes_back_slice_by_slice(tmp_path, grid, accept, suffix):
    annotations = [accept(grid, 1), accept(grid, 4)]
    files = export_annotations(tmp_path, grid, annotations, suffix=suffix)
    for way in ({}, {"mask": files.mask}, {"slices": [4, 1]}):
        found = annotations_from_labelmap(files.labelmap, grid, **way)
        assert list(found) == [1, 4]
        for annotation in annotations:
            labels = found[annotation.ref.native_index]
            assert labels.dtype == np.uint16
            assert labels.flags.c_contiguous
            assert np.array_equal(labels, annotation.labels)


def test_without_a_list_every_slice_with_a_label_counts(tmp_path, plain_grid, blank):
    blank[1, 2, 3] = 7
    blank[4] = 2
    found = annotations_from_labelmap(save(tmp_path / "a.nii.gz", blank, plain_grid.geometry), plain_grid)
    assert list(found) == [1, 4]


def test_in_a_file_that_marks_slices_as_ignored_an_empty_slice_is_an_empty_annotation(tmp_path, plain_grid, blank):
    blank[[0, 3]] = 255
    blank[1, 2, 3] = 7
    found = annotations_from_labelmap(save(tmp_path / "a.nii.gz", blank, plain_grid.geometry), plain_grid)
    assert list(found) == [1, 2, 4]
    assert not found[2].any()


def test_single_ignored_pixels_do_not_make_empty_slices_count(tmp_path, plain_grid, blank):
    blank[1, 2, 3:5] = (7, 255)
    blank[2, 0, 0] = 255
    assert list(annotations_from_labelmap(save(tmp_path / "a.nii.gz", blank, plain_grid.geometry), plain_grid)) == [1]


def test_a_listed_slice_without_labels_is_an_empty_annotation(tmp_path, plain_grid, blank):
    blank[1] = 2
    found = annotations_from_labelmap(save(tmp_path / "a.nii.gz", blank, plain_grid.geometry), plain_grid, slices=[1, 3])
    assert list(found) == [1, 3]
    assert not found[3].any()


def test_pixels_outside_the_mask_are_ignored(tmp_path, plain_grid, blank):
    mask = blank.copy()
    mask[2, :, :3] = 1
    blank[2] = 7
    labelmap = save(tmp_path / "a.nii.gz", blank, plain_grid.geometry)
    found = annotations_from_labelmap(labelmap, plain_grid, mask=save(tmp_path / "m.nii.gz", mask, plain_grid.geometry))
    assert list(found) == [2]
    assert (found[2][:, :3] == 7).all()
    assert (found[2][:, 3:] == 255).all()


def test_whole_numbers_in_a_floating_point_file_are_labels(tmp_path, plain_grid, blank):
    blank[3] = 7
    path = save(tmp_path / "a.nii.gz", blank.astype(np.float32), plain_grid.geometry)
    assert (annotations_from_labelmap(path, plain_grid)[3] == 7).all()


@pytest.mark.parametrize(("rule", "expected"), [("all", [0, 1, 2, 4]), ("marked", [0, 1, 2, 4]), ("labelled", [1, 4]), ("span", [1, 2, 4])])
def test_a_rule_says_which_slices_count_and_none_is_taken_that_is_ignored_throughout(tmp_path, plain_grid, blank, rule, expected):
    blank[[1, 4], 2, 3] = 7
    blank[3] = 255
    path = save(tmp_path / "a.nii.gz", blank, plain_grid.geometry)
    assert list(annotations_from_labelmap(path, plain_grid, rule=rule)) == expected


# --- refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"spacing": (0.9, 1.1, 3.0)}, "its spacing is 0.9 x 1.1 x 3 instead of 0.9 x 1.1 x 3.3"),
        ({"origin": (-91.125, 12.3456, 40.0)}, "its origin is -91.125 x 12.3456 x 40 instead of"),
    ],
)
def test_another_grid_is_refused_and_the_difference_named(tmp_path, plain_grid, blank, changes, sentence):
    path = save(tmp_path / "a.nrrd", blank, plain_grid.geometry, **changes)
    with pytest.raises(InputError, match=sentence) as error:
        annotations_from_labelmap(path, plain_grid, slices=[1])
    assert str(path) in str(error.value)


def test_another_size_is_refused(tmp_path, plain_grid, blank):
    with pytest.raises(InputError, match="its size is 7 x 6 x 4 instead of 7 x 6 x 5"):
        annotations_from_labelmap(save(tmp_path / "a.nrrd", blank[:4], plain_grid.geometry), plain_grid, slices=[1])


def test_a_mask_on_another_grid_is_refused(tmp_path, plain_grid, blank):
    labelmap = save(tmp_path / "a.nrrd", blank, plain_grid.geometry)
    with pytest.raises(InputError, match=r"m\.nrrd lies on another voxel grid"):
        annotations_from_labelmap(labelmap, plain_grid, mask=save(tmp_path / "m.nrrd", blank[:3], plain_grid.geometry))


def test_a_value_outside_the_schema_is_refused_with_its_place(tmp_path, plain_grid, blank):
    blank[3, 2, 1] = 9
    with pytest.raises(InputError, match="value 9 in case sub-10, slice 4, which schema tissue") as error:
        annotations_from_labelmap(save(tmp_path / "a.nrrd", blank, plain_grid.geometry), plain_grid, slices=[1])
    assert "0 background, 2 grey matter, 7 lesion, 255 ignore" in error.value.hint


def test_a_file_without_labels_is_refused_unless_slices_are_listed(tmp_path, plain_grid, blank):
    path = save(tmp_path / "a.nrrd", blank, plain_grid.geometry)
    with pytest.raises(InputError, match="has no annotated slice"):
        annotations_from_labelmap(path, plain_grid)


def test_a_listed_slice_of_nothing_but_ignore_is_refused(tmp_path, plain_grid, blank):
    blank[2] = 255
    with pytest.raises(InputError, match="says nothing of case sub-10, slice 3"):
        annotations_from_labelmap(save(tmp_path / "a.nrrd", blank, plain_grid.geometry), plain_grid, slices=[2])


@pytest.mark.parametrize("index", [-1, 5])
def test_a_listed_slice_that_the_case_does_not_have_is_refused(tmp_path, plain_grid, blank, index):
    with pytest.raises(InputError, match=f"has no slice {index + 1}; it has slices 1 to 5"):
        annotations_from_labelmap(save(tmp_path / "a.nrrd", blank, plain_grid.geometry), plain_grid, slices=[index])


def test_a_list_and_a_mask_together_are_refused(tmp_path, plain_grid, blank):
    path = save(tmp_path / "a.nrrd", blank, plain_grid.geometry)
    with pytest.raises(InputError, match="Give one of them"):
        annotations_from_labelmap(path, plain_grid, slices=[1], mask=path)


def test_a_rule_beside_a_list_or_a_mask_is_refused_and_so_is_one_that_counts_no_slice(tmp_path, plain_grid, blank):
    path = save(tmp_path / "a.nrrd", blank, plain_grid.geometry)
    with pytest.raises(InputError, match=r"a list of slices and the mask .* and the rule all were given"):
        annotations_from_labelmap(path, plain_grid, slices=[1], mask=path, rule="all")
    with pytest.raises(InputError, match="has no annotated slice"):
        annotations_from_labelmap(path, plain_grid, rule="span")


def test_a_missing_file_is_named(tmp_path, plain_grid):
    with pytest.raises(InputError, match=r"absent\.nrrd does not exist"):
        annotations_from_labelmap(tmp_path / "absent.nrrd", plain_grid)
