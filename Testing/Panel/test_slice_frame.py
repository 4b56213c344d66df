"""The frame round a slice: what it says, how it looks in pixels, and that nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Support.panel_hands import press
from Support.panel_study import add_round, make_study

from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

SLICE, OTHER = "SuggestiveSlice", "SuggestiveOther"
SUGGESTED, AUDIT, CONTEXT = SliceRef("case0", 0, 3), SliceRef("case0", 0, 6), SliceRef("case0", 0, 2)


def with_context(study: Study) -> Path:
    """A suggestion, an audit slice, and a slice that accompanies the suggestion."""
    number = study.start_round(strategy="random", budget=3, seed=0, unit="slice", settings={}).number
    why = Rationale("random", "Drawn at random.")
    rows = [
        Suggestion(SUGGESTED, 0, why),
        Suggestion(CONTEXT, 1, why, kind="context", context_of=SUGGESTED),
        Suggestion(AUDIT, 2, Rationale("audit", "Drawn to judge the others by."), kind="audit"),
    ]
    study.publish_suggestions(number, rows)
    study.enter_stage(number, "annotating")
    path = study.path
    study.close()
    return path


@pytest.fixture
def workspace(tmp_path: Path, opened: Callable[[Path], Any]) -> Any:
    """One case, slices 2 mm thick; slice 4 is open."""
    return opened(with_context(make_study(tmp_path / "one", cases=1)))


def overlay(workspace: Any, name: str = SLICE) -> Any:
    return workspace.views._overlays[name]


def text(workspace: Any, name: str = SLICE) -> str:
    return str(overlay(workspace, name).label.GetInput())


def look(workspace: Any) -> tuple[tuple[float, ...], float]:
    properties = overlay(workspace).frame.GetProperty()
    return tuple(round(c, 3) for c in properties.GetColor()), properties.GetLineWidth()


def scroll(ref: SliceRef, workspace: Any) -> None:
    import slicer

    slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode().JumpSliceByOffsetting(*workspace.scene.centre(ref))


ORANGE = (0.902, 0.624, 0.0)
LIGHT_ORANGE = (0.951, 0.812, 0.5)
GREEN = (0.0, 0.62, 0.451)
GREY = (0.533, 0.533, 0.533)


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3])
def test_text_stays_inside_the_view_on_a_dense_screen(workspace: Any, scale: float) -> None:
    import slicer

    window = slicer.app.layoutManager().sliceWidget(SLICE).sliceView().renderWindow()
    before = window.GetDPI()
    try:
        window.SetDPI(round(72 * scale))
        overlay(workspace).update()
        width, height = window.GetSize()
        for actor in (overlay(workspace).label, *overlay(workspace).letters):
            size = [0, 0]
            actor.GetSize(overlay(workspace)._renderer, size)
            x, y = actor.GetPosition()
            assert min(x, y) > 0
            assert x + size[0] < width
            assert y + size[1] < height
    finally:
        window.SetDPI(before)
        overlay(workspace).update()


@pytest.mark.parametrize(
    ("direction", "expected"),
    [((1, 0, 0), "R"), ((-1, 0, 0), "L"), ((0.1, 0.9, -0.3), "A"), ((0.1, -0.9, 0.3), "P"), ((0, 0.5, 0.8), "S"), ((0, 0, -1), "I")],
)
def test_letter_of_a_direction(panel: Any, direction: tuple[float, ...], expected: str) -> None:
    from SuggestiveAnnotationPanel.slice_frame import letter

    assert letter(np.array(direction, float)) == expected


def test_the_open_slice_has_the_colour_of_its_state(workspace: Any) -> None:
    assert workspace.current == SUGGESTED
    assert text(workspace) == "1 of 3 - case case0 - slice 4 - suggested"
    assert look(workspace) == (ORANGE, 5)
    assert text(workspace, OTHER) == "flair"
    workspace.session.mark_empty([SUGGESTED])
    workspace.statesChanged()
    assert text(workspace) == "1 of 3 - case case0 - slice 4 - accepted"
    assert look(workspace) == (GREEN, 5)


def test_an_audit_slice_looks_and_reads_like_a_suggested_one(workspace: Any) -> None:
    suggested = look(workspace)
    workspace.openSlice(AUDIT)
    assert text(workspace) == "3 of 3 - case case0 - slice 7 - suggested"
    assert look(workspace) == suggested


def test_a_context_slice_is_lighter_and_says_how_far_it_lies(workspace: Any) -> None:
    """One slice away, 2 mm thick."""
    workspace.openSlice(CONTEXT)
    assert text(workspace) == "2 of 3 - case case0 - context slice 3, 2.0 mm from slice 4 - suggested"
    assert look(workspace) == (LIGHT_ORANGE, 2)


def test_scrolled_away_it_is_thin_and_says_the_way_back(host: Any, workspace: Any) -> None:
    scroll(SliceRef("case0", 0, 8), workspace)
    assert text(workspace) == "suggested slice: 4, 5 slices away - go back (J)"
    assert look(workspace) == (GREY, 1)
    scroll(CONTEXT, workspace)
    assert text(workspace).startswith("context slice 3, 2.0 mm from slice 4 - suggested - suggested slice: 4, 1 slice away")
    assert look(workspace) == (LIGHT_ORANGE, 2)
    press(host, "J")
    assert look(workspace) == (ORANGE, 5)


def test_a_view_turned_away_says_so(workspace: Any) -> None:
    import slicer

    slicer.app.layoutManager().sliceWidget(SLICE).mrmlSliceNode().SetOrientation("Sagittal")
    assert text(workspace) == "not along the slices - go back (J)"
    assert [one.GetInput() for one in overlay(workspace).letters] == ["A", "P", "I", "S"]


def test_letters_stand_at_the_edges_of_every_view(workspace: Any) -> None:
    """Left, right, bottom, top of the screen."""
    letters = {name: [one.GetInput() for one in drawn.letters] for name, drawn in workspace.views._overlays.items()}
    assert letters[SLICE] == letters[OTHER] == ["R", "L", "P", "A"]
    assert letters["SuggestiveOrtho1"] == ["R", "L", "I", "S"]
    assert letters["SuggestiveOrtho2"] == ["A", "P", "I", "S"]


def test_a_long_text_fits_a_narrow_view(workspace: Any) -> None:
    drawn = overlay(workspace)
    drawn._draw("a text that is longer than the view", (1, 1, 1), 1, 210, 200)
    size = [0, 0]
    drawn.label.GetSize(drawn._renderer, size)
    assert 9 <= drawn.label.GetTextProperty().GetFontSize() < 14
    assert size[0] <= 210
    drawn._draw("short", (1, 1, 1), 1, 210, 200)
    assert drawn.label.GetTextProperty().GetFontSize() == 14


def border(name: str) -> np.ndarray:
    """The pixel column three pixels inside the left edge of a view, RGB."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    window = slicer.app.layoutManager().sliceWidget(name).sliceView().renderWindow()
    window.Render()
    grabbed = vtk.vtkWindowToImageFilter()
    grabbed.SetInput(window)
    grabbed.ReadFrontBufferOff()
    grabbed.Update()
    image = grabbed.GetOutput()
    columns, rows, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[20:-20, 3, :3]


def test_the_frame_is_seen_in_pixels_and_gone_after_the_module_was_left(host: Any, workspace: Any) -> None:
    import slicer

    assert (np.abs(border(SLICE).astype(int) - np.array([230, 159, 0])).max(axis=1) < 12).mean() > 0.9
    renderer = overlay(workspace)._renderer
    drawn = [overlay(workspace).frame, overlay(workspace).label, *overlay(workspace).letters]
    assert all(renderer.HasViewProp(one) for one in drawn)
    host.exit("SuggestiveAnnotation")
    assert not any(renderer.HasViewProp(one) for one in drawn)
    host.enter("SuggestiveAnnotation")
    assert slicer.app.layoutManager().sliceWidget(SLICE).sliceView().renderWindow() is not None
    assert look(workspace) == (ORANGE, 5)


def test_after_the_scene_was_closed_the_frame_comes_back_with_the_slice(host: Any, workspace: Any) -> None:
    here = workspace.current
    host.closeScene()
    host.waitUntil(lambda: workspace.views.shownSlice() == here, 30, "the slice")
    assert text(workspace) == "1 of 3 - case case0 - slice 4 - suggested"
    assert overlay(workspace).frame.GetVisibility()


def test_scrolling_reads_the_database_once(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = workspace.session.slice_status
    monkeypatch.setattr(workspace.session, "slice_status", lambda *a: reads.append(a) or read(*a))
    workspace.views.redraw()
    for index in (4, 5, 6, 7, 8):
        scroll(SliceRef("case0", 0, index), workspace)
    assert len(reads) == 1


def test_no_frame_without_an_open_slice(workspace: Any) -> None:
    workspace.openSlice(None)
    assert not overlay(workspace).frame.GetVisibility()
    assert not overlay(workspace).label.GetVisibility()


def test_a_slice_that_was_never_suggested_can_be_open(workspace: Any) -> None:
    workspace.openSlice(SliceRef("case0", 0, 8))
    assert text(workspace) == "case case0 - slice 9"
    assert look(workspace) == (GREY, 5)


def test_numbers_count_the_whole_round(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    study = make_study(tmp_path / "two", cases=2)
    add_round(study, {SliceRef(case, 0, index): "suggested" for case in ("case0", "case1") for index in (2, 5)})
    path = study.path
    study.close()
    workspace = opened(path)
    workspace.openSlice(SliceRef("case0", 0, 5))
    assert text(workspace).startswith("2 of 4 - case case0 - slice 6")
