"""Filling between slices, on outlines whose interpolation is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.strategies.interpolation import fill_between

ROWS, COLUMNS = np.mgrid[:64, :64]


def disc(radius: float, column: float = 32, value: int = 1) -> Any:
    return (((ROWS - 32) ** 2 + (COLUMNS - column) ** 2 <= radius**2) * value).astype(np.uint16)


def radius(labels: Any, value: int = 1) -> float:
    return float(np.sqrt((labels == value).sum() / np.pi))


def test_only_what_lies_between_is_filled_in_order() -> None:
    filled = fill_between({9: disc(5), 3: disc(5), 4: disc(5)})
    assert list(filled) == [5, 6, 7, 8]
    assert all(np.array_equal(one, disc(5)) and one.dtype == np.uint16 for one in filled.values())


def test_a_disc_grows_evenly() -> None:
    filled = fill_between({0: disc(8), 4: disc(16)})
    assert [radius(filled[k]) for k in (1, 2, 3)] == pytest.approx([10, 12, 14], abs=0.5)


def test_a_disc_moves_evenly() -> None:
    filled = fill_between({0: disc(12, 28), 4: disc(12, 36)})
    assert [COLUMNS[filled[k] == 1].mean() for k in (1, 2, 3)] == pytest.approx([30, 32, 34], abs=0.6)


def test_what_one_neighbour_lacks_is_gone_half_way() -> None:
    filled = fill_between({0: disc(12), 6: disc(0) * 0})
    assert [radius(filled[k]) > 0 for k in range(1, 6)] == [True, True, False, False, False]
    assert radius(filled[1]) > radius(filled[2])
    backwards = fill_between({0: disc(0) * 0, 6: disc(12)})
    assert all(np.array_equal(backwards[6 - k], filled[k]) for k in range(1, 6))


def test_what_fills_one_neighbour_takes_over_half_way() -> None:
    filled = fill_between({0: disc(12), 4: np.ones((64, 64), np.uint16)})
    assert radius(filled[1]) > 12
    assert (filled[3] == 1).all()


def test_structures_inside_each_other_keep_their_place() -> None:
    first, last = np.maximum(disc(20), disc(8, value=7)), np.maximum(disc(24), disc(12, value=7))
    middle = fill_between({0: first, 2: last})[1]
    assert radius(middle, 7) == pytest.approx(10, abs=0.5)
    assert np.sqrt((middle > 0).sum() / np.pi) == pytest.approx(22, abs=0.5)


def test_one_structure_in_place_of_another_changes_half_way() -> None:
    filled = fill_between({0: disc(10, value=1), 4: disc(10, value=7)})
    assert set(np.unique(filled[1])) == {0, 1}
    assert set(np.unique(filled[3])) == {0, 7}
    assert np.array_equal(filled[1] > 0, disc(10) > 0)


def test_pixels_that_are_not_square_are_measured_in_millimetres() -> None:
    def ellipse(radius: float) -> Any:
        return (np.hypot(ROWS - 32, 3.0 * (COLUMNS - 32)) <= radius).astype(np.uint16)

    middle = fill_between({0: ellipse(12), 2: ellipse(24)}, spacing=(1.0, 3.0))[1]
    assert (middle[:, 32] > 0).sum() == pytest.approx(37, abs=2)
    assert (middle[32] > 0).sum() == pytest.approx(13, abs=2)


def test_one_of_several_structures_that_ends_is_gone_half_way() -> None:
    first = np.maximum(disc(8, 20), disc(8, 50, value=7))
    filled = fill_between({0: first, 6: disc(8, 20)})
    assert [(filled[k] == 7).any() for k in range(1, 6)] == [True, True, False, False, False]
    assert all(np.array_equal(filled[k] == 1, disc(8, 20) == 1) for k in range(1, 6))


def test_empty_slices_stay_empty_and_a_single_one_gives_nothing() -> None:
    empty = np.zeros((5, 5), np.uint16)
    assert not any(one.any() for one in fill_between({0: empty, 5: empty}).values())
    assert fill_between({3: disc(4)}) == {}
    assert fill_between({}) == {}


def test_slices_of_two_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="differ in size"):
        fill_between({0: np.zeros((4, 4), np.uint16), 2: np.zeros((4, 5), np.uint16)})


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, (7, 6), elements=st.sampled_from([0, 1, 7, 255])), arrays(np.uint16, (7, 6), elements=st.sampled_from([0, 1, 7])))
def test_nothing_new_appears_and_direction_does_not_matter(first: Any, last: Any) -> None:
    for one in fill_between({0: first, 3: last}).values():
        assert set(np.unique(one)) <= {*np.unique(first), *np.unique(last)}
        assert one[(first != 0) & (last != 0)].all()
        assert not one[(first == 0) & (last == 0)].any()
    mirrored = fill_between({0: last, 3: first})
    there = fill_between({0: first, 3: last})
    assert np.array_equal(there[1], mirrored[2])
    assert np.array_equal(there[2], mirrored[1])
    flipped = fill_between({0: first[::-1], 3: last[::-1]})
    assert np.array_equal(flipped[1], there[1][::-1])
