"""The strip that shows where in a case the suggested slices lie: places by hand, shapes, colours in pixels, clicks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.types import SliceRef

WIDTH = 220
COUNT = 10


def ref(index: int) -> SliceRef:
    return SliceRef("1012", 0, index)


@pytest.fixture
def chosen() -> list[SliceRef]:
    return []


@pytest.fixture
def strip(host: Any, panel: Any, chosen: list[SliceRef]) -> Iterator[Any]:
    """A strip 220 pixels wide, so 20 a slice of ten; two slices wait, one is accepted, one accompanies another."""
    import qt
    from SuggestiveAnnotationPanel.case_strip import CaseStrip

    label = qt.QLabel()
    one = CaseStrip(label, chosen.append)
    label.resize(WIDTH, 58)
    label.show()
    states = {ref(0): "suggested", ref(3): "draft", ref(4): "suggested", ref(8): "accepted"}
    one.show(COUNT, states, {ref(4)}, ref(3), ref(6))
    host.pump(0.1)
    yield one
    one.cleanup()
    label.hide()
    label.deleteLater()


def pixels(strip: Any) -> np.ndarray:
    """What the label shows, `(row, column, rgb)`."""
    image = strip._label.grab().toImage()
    found = [[image.pixelColor(x, y) for x in range(image.width())] for y in range(image.height())]
    return np.array([[(c.red(), c.green(), c.blue()) for c in row] for row in found])


def nearness(strip: Any, colour: str, x: int) -> int:
    """How many pixels of the bar near `x` have a colour."""
    from SuggestiveAnnotationPanel import state_style
    from SuggestiveAnnotationPanel.case_strip import BAR_BOTTOM, BAR_TOP

    wanted = np.array(state_style.rgb(colour)) * 255
    area = pixels(strip)[BAR_TOP:BAR_BOTTOM, x - 2 : x + 3]
    return int((np.abs(area - wanted).max(axis=2) < 40).sum())


@pytest.mark.parametrize(("index", "place"), [(0, 20), (3, 80), (9, 200)])
def test_places_by_hand(strip: Any, index: int, place: float) -> None:
    """Ten slices on 200 pixels between margins of 10: slice i lies at 10 + 20 i + 10."""
    assert strip.placeOf(ref(index)) == pytest.approx(place)


def test_each_state_has_its_colour_and_context_slices_less_of_it(strip: Any) -> None:
    from SuggestiveAnnotationPanel import state_style

    assert nearness(strip, state_style.ORANGE, 20) > 20
    assert nearness(strip, state_style.SKY, 80) > 20
    assert nearness(strip, state_style.GREEN, 180) > 20
    assert 0 < nearness(strip, state_style.ORANGE, 100) < nearness(strip, state_style.ORANGE, 20) / 2


def test_shapes_that_would_overlap_go_into_two_rows(strip: Any) -> None:
    strip.show(100, {ref(i): "suggested" for i in (10, 13, 16, 60)}, frozenset(), ref(10), None)
    assert strip.rows() == {ref(10): 0, ref(13): 1, ref(16): 0, ref(60): 0}


def test_context_slices_have_no_shape(strip: Any) -> None:
    assert set(strip.rows()) == {ref(0), ref(3), ref(8)}


def test_the_open_slice_and_the_shown_one_are_marked(strip: Any, host: Any) -> None:
    """A mark below the bar under the open slice; a white line in the bar where the view is now."""
    from SuggestiveAnnotationPanel.case_strip import BAR_BOTTOM, BAR_TOP

    picture = pixels(strip)
    below = picture[BAR_BOTTOM + 3 : BAR_BOTTOM + 6].min(axis=(0, 2))
    assert below[80] < 90
    assert below[140] > 150
    assert (picture[BAR_TOP + 2 : BAR_BOTTOM - 2, 140] > 230).all()
    strip.moved(ref(7))
    host.pump(0.1)
    picture = pixels(strip)
    assert not (picture[BAR_TOP + 2 : BAR_BOTTOM - 2, 140] > 230).any()
    assert (picture[BAR_TOP + 2 : BAR_BOTTOM - 2, 160] > 230).all()


def click(strip: Any, x: int) -> None:
    import qt

    qt.QTest.mouseClick(strip._label, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(x, 34))


@pytest.mark.parametrize(("x", "index"), [(20, 0), (84, 3), (97, 4), (181, 8)])
def test_a_click_near_a_mark_chooses_its_slice(strip: Any, chosen: list[SliceRef], x: int, index: int) -> None:
    click(strip, x)
    assert chosen == [ref(index)]


@pytest.mark.parametrize("x", [2, 50, 140, 215])
def test_a_click_elsewhere_chooses_nothing(strip: Any, chosen: list[SliceRef], x: int) -> None:
    click(strip, x)
    assert chosen == []


def test_it_is_drawn_again_in_a_new_width(host: Any, strip: Any) -> None:
    strip._label.resize(320, 58)
    host.pump(0.1)
    assert strip._label.pixmap.width() == 320
    assert strip.placeOf(ref(9)) == pytest.approx(10 + 9.5 * 30)


def test_the_tool_tip_says_it_in_words(strip: Any) -> None:
    lines = strip._label.toolTip.splitlines()
    assert lines[0].startswith("Slices 1 to 10 of case 1012.")
    assert lines[1:] == ["slice 1: ◇ suggested", "slice 4: ✎ draft", "context slice 5: ◇ suggested", "slice 9: ✔ accepted"]


def test_without_a_case_there_is_no_strip(strip: Any, chosen: list[SliceRef]) -> None:
    strip.hide()
    assert not strip._label.isVisible()
    strip.draw()


def test_every_state_has_a_shape_and_a_word_of_its_own(panel: Any) -> None:
    from SuggestiveAnnotationPanel import state_style

    states = list(state_style.STYLES)
    assert len({state_style.STYLES[state][0] for state in states}) == len(states)
    assert len({state_style.word(state) for state in states}) == len(states)
    assert state_style.lighter("#0000FF") == (0.5, 0.5, 1.0)
