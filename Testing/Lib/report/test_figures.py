from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from SuggestiveAnnotationLib.report.data import Arrow, Ceiling, Effort, EffortRow, LatentMap
from SuggestiveAnnotationLib.report.figures.effort import effort_panels
from SuggestiveAnnotationLib.report.figures.gallery import slice_panel
from SuggestiveAnnotationLib.report.figures.latent import latent_panels
from SuggestiveAnnotationLib.report.figures.learning import class_panels, cost_panels
from SuggestiveAnnotationLib.report.figures.training import loss_panels, seconds_panel
from SuggestiveAnnotationLib.report.style import MARKERS, mark, to_png, to_svg


def charts(data):
    panels = [*cost_panels(data), *class_panels(data), *effort_panels(data, "Retained contour"), *loss_panels(data)]
    return [*panels, *latent_panels(data.latents), seconds_panel(data.rounds)]


def test_every_chart_names_its_axes_and_says_what_it_shows(full_report):
    for panel in charts(full_report):
        (axes,) = panel.figure.axes
        assert axes.get_xlabel(), panel.name
        assert axes.get_ylabel() or panel.name == "seconds", panel.name
        assert len(panel.alt) > 20, panel.name


def test_names_of_panels_are_unique(full_report):
    names = [panel.name for panel in charts(full_report)]
    assert len(set(names)) == len(names)


def test_dice_is_shown_over_slices_contour_length_and_minutes(full_report):
    labels = [panel.figure.axes[0].get_xlabel() for panel in cost_panels(full_report)]
    assert labels == ["annotated slices", "contour drawn (m, pixel edges)", "simulated annotation time (min)"]


def test_a_cost_that_is_not_known_has_no_panel(full_report):
    rounds = tuple(dataclasses.replace(r, minutes=None, contour_mm=None) for r in full_report.rounds)
    panels = cost_panels(dataclasses.replace(full_report, rounds=rounds))
    assert [p.name for p in panels] == ["dice-slices"]


def test_dice_axes_always_run_from_0_to_1(full_report):
    for panel in (*cost_panels(full_report), *class_panels(full_report)):
        assert panel.figure.axes[0].get_ylim()[0] == 0
        assert panel.figure.axes[0].get_ylim()[1] >= 1


def test_each_held_out_case_is_a_dot_and_an_undefined_one_is_none(full_report):
    deep = next(p for p in class_panels(full_report) if p.name == "dice-of-deep grey matter")
    values = np.concatenate([line.get_ydata() for line in deep.figure.axes[0].lines])
    assert len(deep.figure.axes[0].lines) == len(full_report.held_out_cases) + 1
    assert np.isnan(values).sum() == 1


def test_bars_show_the_sum_of_lengths_and_the_ceiling(full_report):
    rows = (
        EffortRow(1, "grey matter", "Retained contour", Effort(1, 10, 10, 10, 10, 10)),
        EffortRow(1, "white matter", "Retained contour", Effort(1, 990, 0, 495, 99, 10)),
    )
    data = dataclasses.replace(full_report, effort=rows, ceilings=(Ceiling("all classes", 0.5),))
    panel = effort_panels(data, "Retained contour")[0]
    assert [bar.get_height() for bar in panel.figure.axes[0].patches] == pytest.approx([1.0, 50.5, 10.9])
    assert list(panel.figure.axes[0].lines[0].get_ydata()) == [50, 50]


def test_an_undefined_share_has_a_dash_and_no_bar(full_report):
    data = dataclasses.replace(full_report, effort=(EffortRow(1, "grey matter", "Saved effort", Effort(1, 0, 0, 0, 0, 5)),), ceilings=())
    (panel,) = effort_panels(data, "Saved effort")
    assert not panel.figure.axes[0].patches
    assert [t.get_text() for t in panel.figure.axes[0].texts] == ["\N{EN DASH}"] * 3
    assert "100" not in panel.alt


def test_both_ends_of_every_arrow_lie_inside_the_latent_map():
    latents = LatentMap(
        points=np.zeros((3, 2), np.float32),
        axes=("a", "b"),
        states=np.zeros(3, np.uint8),
        case_of=np.zeros(3, np.intp),
        cases=("$x$",),
        arrows=(Arrow((0, 0), (9, -4), (1, 1), "$\\notlatex{"),),
    )
    for panel in latent_panels(latents):
        axes = panel.figure.axes[0]
        assert axes.get_xlim()[1] > 9
        assert axes.get_ylim()[0] < -4
        assert to_png(panel.figure)


def test_39000_points_stay_small():
    rng = np.random.default_rng(0)
    latents = LatentMap(
        points=rng.normal(size=(39000, 2)).astype(np.float32),
        axes=("latent unit 1", "latent unit 2"),
        states=(np.arange(39000) % 600 == 0).astype(np.uint8),
        case_of=np.repeat(np.arange(250), 156),
        cases=tuple(f"case {i}" for i in range(250)),
    )
    assert sum(len(to_svg(panel.figure)) for panel in latent_panels(latents)) < 1_200_000


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)])
def test_a_slice_is_drawn_in_its_true_proportions(full_report, spacing):
    item = dataclasses.replace(full_report.gallery[0], spacing=spacing)
    axes = slice_panel(item, full_report.classes).figure.axes[0]
    assert axes.get_aspect() == pytest.approx(spacing[0] / spacing[1])


@pytest.mark.parametrize(("plane", "letters"), [("axial", ["R", "L"]), ("coronal", ["R", "L"]), ("sagittal", ["A", "P"])])
def test_the_left_of_the_picture_is_the_patients_right(full_report, plane, letters):
    item = dataclasses.replace(full_report.gallery[0], plane=plane)
    assert [t.get_text() for t in slice_panel(item, full_report.classes).figure.axes[0].texts] == letters


def test_a_slice_without_labels_and_without_contrast_is_still_drawn(full_report):
    empty = np.zeros((40, 30), np.uint16)
    item = dataclasses.replace(full_report.gallery[0], image=np.zeros((40, 30), np.float16), prediction=empty, final=empty)
    assert to_png(slice_panel(item, full_report.classes).figure)


def test_42_classes_differ_in_colour_or_shape():
    assert len({mark(i) for i in range(42)}) == 42
    assert len({mark(i).marker for i in range(len(MARKERS))}) == len(MARKERS)


def test_the_same_figure_gives_the_same_bytes(full_report):
    first, again = (to_svg(cost_panels(full_report)[0].figure) for _ in range(2))
    assert first == again
    assert b"matplotlib.org" not in first


def test_figures_leave_matplotlibs_state_alone(full_report):
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    to_svg(cost_panels(full_report)[0].figure)
    assert dict(matplotlib.rcParams) == before
    assert not pyplot.get_fignums()
