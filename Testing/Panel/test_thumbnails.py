"""Small pictures of slices: sampling by hand, outlines in the schema's colours, made lazily and again when labels change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Support.panel_study import SCHEMA, add_round, make_study, square

from SuggestiveAnnotationLib.types import SliceRef

FIRST, SECOND = SliceRef("case0", 0, 4), SliceRef("case0", 0, 6)


@pytest.fixture
def workspace(tmp_path: Path, opened: Callable[[Path], Any]) -> Any:
    """A pre-annotation of one square lies on the first of two suggestions."""
    study = make_study(tmp_path / "one", cases=1)
    add_round(study, {FIRST: "suggested", SECOND: "suggested"}, {FIRST: square(1, top=18, left=14, side=12)})
    path = study.path
    study.close()
    return opened(path)


def test_sampling_by_hand(panel: Any) -> None:
    """A box of 4 x 2 pixels, rows 1 mm and columns 2 mm apart, is 4 mm square: 4 samples each way, every column twice."""
    from SuggestiveAnnotationPanel.thumbnails import sampling

    rows, columns = sampling((10, 14, 5, 7), (1.0, 2.0), 4)
    assert rows.tolist() == [10, 11, 12, 13]
    assert columns.tolist() == [5, 5, 6, 6]


def test_sampling_of_a_narrow_box_keeps_its_shape(panel: Any) -> None:
    from SuggestiveAnnotationPanel.thumbnails import sampling

    rows, columns = sampling((0, 80, 0, 20), (1.0, 1.0), 40)
    assert (len(rows), len(columns)) == (40, 10)
    assert rows.tolist()[:2] == [1, 3]
    assert (rows.max(), columns.max()) == (79, 19)


def test_shades_and_square_by_hand(panel: Any) -> None:
    from SuggestiveAnnotationPanel.thumbnails import shades, squared

    grey = shades(np.linspace(-3, 3, 1000).reshape(10, 100))
    assert (grey.min(), grey.max(), grey.dtype) == (0, 255, np.uint8)
    assert (grey[..., 0] == grey[..., 2]).all()
    assert shades(np.ones((3, 3))).max() == 0
    out = squared(np.full((2, 4, 3), 9, np.uint8), 4)
    assert out[:, :, 0].tolist() == [[0, 0, 0, 0], [9, 9, 9, 9], [9, 9, 9, 9], [0, 0, 0, 0]]


def coloured(pixels: np.ndarray, value: int) -> int:
    colour = next(one.colour for one in SCHEMA.classes if one.value == value)
    return int((pixels == np.array(colour)).all(axis=2).sum())


def test_the_outline_of_what_is_drawn_is_seen(workspace: Any) -> None:
    from SuggestiveAnnotationPanel.thumbnails import SIDE, thumbnail

    with_square = thumbnail(workspace, FIRST)
    assert with_square.shape == (SIDE, SIDE, 3)
    assert coloured(with_square, 1) > 40
    without = thumbnail(workspace, SECOND)
    assert coloured(without, 1) == coloured(without, 4) == 0
    assert without.max() > 200


def test_they_come_one_at_a_time_and_again_when_the_version_changes(host: Any, workspace: Any) -> None:
    from SuggestiveAnnotationPanel.thumbnails import Thumbnails

    made: list[SliceRef] = []
    thumbnails = Thumbnails(workspace, lambda ref, _icon: made.append(ref))
    assert thumbnails.want(FIRST, 1) is None
    assert thumbnails.want(SECOND, 1) is None
    assert made == []
    host.waitUntil(lambda: len(made) == 2, 10, "two thumbnails")
    icon = thumbnails.want(FIRST, 1)
    assert not icon.isNull()
    host.pump(0.1)
    assert made == [FIRST, SECOND]
    assert thumbnails.want(FIRST, 2) is icon
    host.waitUntil(lambda: made == [FIRST, SECOND, FIRST], 10, "the thumbnail of the new version")
    thumbnails.forget()
    assert thumbnails.want(FIRST, 2) is None
    thumbnails.cleanup()
    host.pump(0.1)
    assert len(made) == 3


def test_the_list_shows_a_new_picture_when_something_was_drawn(host: Any, panel: Any, workspace: Any) -> None:
    section = panel.sections[2]
    host.waitUntil(lambda: not section._thumbnails._waiting, 20, "the thumbnails")
    before = section._items[SECOND].icon(0).cacheKey()
    workspace.session.draft(SECOND, square(4, top=18, left=14, side=12))
    workspace.statesChanged()
    host.waitUntil(lambda: section._items[SECOND].icon(0).cacheKey() != before, 20, "the new thumbnail")
