"""Pictures of every section and of the whole window, for the README; `make screenshots` keeps them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6 import QtGui

from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.sample import create_sample
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study

SCREENSHOTS = Path(__file__).resolve().parents[2] / "Resources" / "Screenshots"
KEPT = bool(os.environ.get("KEEP_SCREENSHOTS"))
NAMES = ("study", "round", "suggestions", "annotate", "review", "export")


@pytest.fixture(scope="module")
def in_round_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds answered with the reference, a third waiting with pre-annotations."""
    path = create_sample(tmp_path_factory.mktemp("screens"), subjects=4)
    study = Study(path)
    session = Session(study, annotator="reader 1")
    # What is kept is to look like a study; to see that it can be looked at, networks need not be good.
    steps = 80 if KEPT else 8
    manifold = ManifoldOptions(manifold_steps=steps)
    options = RoundOptions(strategy="gradient-guided", budget=8, audit=2, min_gap=2, steps=steps)
    for _ in range(2):
        run_round(study, options=options, manifold=manifold)
        for row in session.suggestions():
            ref = row.suggestion.ref
            session.open(ref)
            session.accept({ref: study.reference_labels(ref.case)[ref.native_index]})
        session.finish_round()
    run_round(study, options=options, manifold=manifold)
    for row in session.suggestions()[:4]:
        ref = row.suggestion.ref
        session.open(ref)
        session.accept({ref: study.reference_labels(ref.case)[ref.native_index]})
    study.close()
    return path


@pytest.mark.slow
def test_every_section_and_the_window_can_be_looked_at(
    host: Any, panel: Any, opened: Callable[[Path], Any], in_round_2: Path, tmp_path: Path
) -> None:
    folder = SCREENSHOTS if KEPT else tmp_path / "screens"
    # A short path, for the one who looks at the picture.
    place = Path(tempfile.gettempdir(), "studies", "Sample study") if KEPT else tmp_path / "Sample study"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(in_round_2, place)
    workspace = opened(place)
    review = panel.sections[4]
    host.waitUntil(lambda: not review.latentPlot.empty, 60, "the latent view")
    waiting = [row.suggestion for row in workspace.suggestions() if row.state == "suggested" and row.suggestion.kind == "suggested"]
    drawn = {one.ref: int((workspace.session.pre_annotation(one.ref).labels > 1).sum()) for one in waiting}
    workspace.openSlice(max(drawn, key=lambda ref: drawn[ref]))
    host.waitUntil(lambda: workspace.current in workspace.views.displayed, 60, "a slice with a pre-annotation")
    host.waitUntil(lambda: workspace.worker.device is not None, 120, "what section 2 says of the worker at rest")
    host.pump(1.0)
    for index, (section, name) in enumerate(zip(panel.sections, NAMES, strict=True)):
        for other in panel.sections:
            other.widget.collapsed = other is not section
        host.pump(0.3)
        section.enter()
        if name == "review":
            host.click(section.ui.decodeButton)
            host.waitUntil(section.ui.decodePlace.isVisible, 60, "the decoded images")
        host.pump(0.6)
        host.panel.verticalScrollBar().value = 0
        host.screenshot(folder / f"{index + 1}-{name}.png", host.panel)
    for section, collapsed in zip(panel.sections, (True, True, False, False, True, True), strict=True):
        section.widget.collapsed = collapsed
    host.pump(0.5)
    window = folder / "window.png"

    def images_are_shown() -> bool:
        host.screenshot(window)
        picture = QtGui.QImage(str(window))
        assert (picture.width(), picture.height()) == (1280, 820)
        # Labels and texts alone have fewer; the large view, and the one with another sequence.
        return all(shades(picture.copy(*place)) > 150 for place in ((450, 60, 820, 440), (445, 560, 175, 240)))

    host.waitUntil(images_are_shown, 60, "the images under the labels")
    for name in (*(f"{i + 1}-{name}" for i, name in enumerate(NAMES)), "window"):
        assert shades(QtGui.QImage(str(folder / f"{name}.png"))) > 50, f"{name} is nearly blank"
    assert workspace.current is not None


def shades(picture: QtGui.QImage) -> int:
    """How many levels of grey a picture has."""
    return len(np.unique(np.frombuffer(picture.convertToFormat(QtGui.QImage.Format_Grayscale8).constBits(), np.uint8)))
