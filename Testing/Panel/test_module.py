"""The module as Slicer sees it: imported with nothing installed, entered, left, reloaded, tested by Slicer itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from Support.panel_hands import press

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotation.py"
NOT_IN_SLICER = ("torch", "monai", "sqlalchemy", "sklearn", "safetensors", "matplotlib", "jinja2", "nilearn", "skimage", "pandas")


def test_the_panel_is_built_where_nothing_is_installed(host: Any, tmp_path: Path) -> None:
    code = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_IN_SLICER!r}:
            raise ImportError(f"{{name}} must not be imported here")

sys.meta_path.insert(0, Block())
from SlicerHost import boot
host = boot({str(tmp_path)!r})
panel = host.loadModule({str(MODULE)!r})
assert [section.ui.guidance.text for section in panel.sections if not section.ui.guidance.text] == []
host.exit("SuggestiveAnnotation")
host.enter("SuggestiveAnnotation")
host.unload("SuggestiveAnnotation")
"""
    places = os.pathsep.join(str(ROOT / name) for name in ("", "Testing"))
    env = {**os.environ, "PYTHONPATH": places, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr


def test_the_application_finds_out_what_the_module_is(host: Any, panel: Any) -> None:
    import slicer

    parent = slicer.app.moduleManager().module("SuggestiveAnnotation")
    described = sys.modules["SuggestiveAnnotation"].SuggestiveAnnotation
    assert described.__doc__
    assert parent is not None
    text = MODULE.read_text(encoding="utf-8")
    for word in ("title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText"):
        assert f"self.parent.{word} = " in text
    assert (MODULE.parent / "Resources" / "Icons" / "SuggestiveAnnotation.png").exists()


def test_the_help_says_that_labels_are_safe_when_slicer_asks_to_save_the_scene(panel: Any) -> None:
    import slicer

    text = slicer.app.moduleManager().module("SuggestiveAnnotation").helpText
    assert "safe in the study" in text


def test_first_only_section_1_can_be_used_and_every_section_says_what_to_do(panel: Any) -> None:
    study, round_, _suggestions, annotate, _review, export = panel.sections
    assert study.ui.sampleButton.enabled
    assert not round_.ui.startButton.enabled
    assert not annotate.ui.acceptButton.enabled
    assert not export.ui.exportButton.enabled
    assert all(section.ui.guidance.text for section in panel.sections)


def test_messages_tell_their_level_by_word_and_colour(panel: Any) -> None:
    seen = set()
    for level, text in (("info", "Done."), ("warning", "Note: Done."), ("error", "Error: Done.")):
        panel.workspace.message(level, "Done.")
        assert panel.messageLabel.text == text
        seen.add(panel.messageLabel.styleSheet)
    assert len(seen) == 3


@pytest.fixture(params=["#EFEFEF", "#323232"], ids=["light", "dark"])
def window_colour(host: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """The colour of windows in a theme of Slicer."""
    import qt
    from PySide6.QtWidgets import QApplication

    was = QApplication.palette()
    palette = QApplication.palette()
    for role in (qt.QPalette.Window, qt.QPalette.Base):
        palette.setColor(role, qt.QColor(request.param))
    QApplication.setPalette(palette)
    yield request.param
    QApplication.setPalette(was)


def test_coloured_texts_can_be_read_in_a_light_and_in_a_dark_window(window_colour: str, panel: Any, opened: Any, in_round_0: Path) -> None:
    from SuggestiveAnnotationPanel import state_style
    from SuggestiveAnnotationPanel.dialogs import Dialog

    dialog = Dialog(panel.resourcePath("UI/SeriesDialog.ui"), "Series")
    sheets = [dialog.ui.problemLabel.styleSheet, panel.sections[1].ui.settingsProblem.styleSheet]
    for level in ("info", "warning", "error"):
        panel.workspace.message(level, "Done.")
        sheets.append(panel.messageLabel.styleSheet)
    opened(in_round_0)
    items = panel.sections[2]._items.values()
    colours = [sheet.partition("color: ")[2][:7] for sheet in sheets] + [item.foreground(1).color().name() for item in items]
    colours += [state_style.readable(colour, panel.messageLabel.palette) for _shape, colour in state_style.STYLES.values()]
    assert len(colours) > 15
    assert state_style.contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    found = {colour: state_style.contrast(state_style.rgb(colour), state_style.rgb(window_colour)) for colour in colours}
    assert {colour: value for colour, value in found.items() if value < 4.5} == {}
    dialog.cleanup()


def test_no_text_makes_the_panel_wider(host: Any, panel: Any) -> None:
    import qt
    from SlicerHost.main_window import PANEL_WIDTH

    long = "Its predicted labels are uncertain and unlike what was annotated before, " * 4 + "/a/path/without/spaces" * 20
    panel.showMessage("info", long)
    for section in panel.sections:
        section.widget.collapsed = False
        for label in vars(section.ui).values():
            if isinstance(label, qt.QLabel) and label.wordWrap:
                label.text = long
                label.show()
    host.pump(0.1)
    assert panel.layout.minimumSize().width() <= PANEL_WIDTH


def test_an_error_goes_with_the_next_step(host: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    opened(in_round_0)
    panel.workspace.message("error", "There is no round waiting for annotations. Start one with `run-round`.")
    assert panel.messageLabel.text == "Error: There is no round waiting for annotations. Start one in 2."
    press(host, "N")
    assert not panel.messageLabel.visible
    panel.workspace.message("warning", "What is no error stays.")
    press(host, "N")
    assert panel.messageLabel.text == "Note: What is no error stays."


def test_before_there_is_a_model_its_outline_cannot_be_shown_and_it_says_why(host: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    opened(in_round_0)
    assert not panel.sections[3].ui.modelButton.enabled
    press(host, "M")
    assert panel.messageLabel.text == "There is no model yet. Annotate the first batch, then start a round in 2."


def test_no_colour_is_fixed_in_a_ui_file() -> None:
    for file in MODULE.parent.rglob("*.ui"):
        assert "color:" not in file.read_text(encoding="utf-8"), file.name


def test_an_error_in_a_slot_reaches_the_message_line(panel: Any) -> None:
    from SuggestiveAnnotationPanel.connect import guarded

    guarded(lambda: 1 / 0)()
    assert panel.messageLabel.text == "Error: ZeroDivisionError: division by zero"


def test_slicers_own_test_of_the_module_passes(host: Any, panel: Any) -> None:
    sys.modules["SuggestiveAnnotation"].SuggestiveAnnotationTest().runTest()


@pytest.fixture
def same_modules() -> Iterator[None]:
    """Reloading reads the library again; the tests after this one go on with the classes that they imported."""
    ours = ("SuggestiveAnnotation", "SuggestiveAnnotationPanel", "SuggestiveAnnotationLib")
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ours}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.mark.usefixtures("same_modules")
def test_reloading_brings_back_the_study_the_slice_and_the_keys(host: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    import slicer

    workspace = opened(in_round_0)
    here, process = workspace.current, workspace.process.processId
    library = sys.modules["SuggestiveAnnotationPanel.workspace"]
    new = host.reload("SuggestiveAnnotation")
    assert new is not panel
    assert new is slicer.util.getModuleWidget("SuggestiveAnnotation")
    assert sys.modules["SuggestiveAnnotationPanel.workspace"] is not library
    assert new.workspace.path == in_round_0
    # Its class was read again too.
    assert astuple(new.workspace.current) == astuple(here)
    assert panel.workspace.study is None
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    host.waitUntil(lambda: new.workspace.current in new.workspace.views.displayed, 60, "the slice")
    host.press("N")
    assert astuple(new.workspace.current) != astuple(here)


def test_a_scene_closed_in_another_module_is_filled_again_at_entering(host: Any, panel: Any, opened: Any, in_round_0: Path) -> None:
    workspace = opened(in_round_0)
    here = workspace.current
    host.exit("SuggestiveAnnotation")
    host.closeScene()
    assert workspace.scene.segmentation is None
    host.pump(0.3)
    assert workspace.scene.segmentation is None
    host.enter("SuggestiveAnnotation")
    host.waitUntil(lambda: workspace.scene.case == here.case and workspace.scene.segmentation is not None, 60, "the case")
    assert workspace.current == here


def test_views_that_cannot_be_shown_keep_no_section_and_no_key_away(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host.exit("SuggestiveAnnotation")
    monkeypatch.setattr(panel.workspace.views, "enter", lambda: 1 / 0)
    host.enter("SuggestiveAnnotation")
    assert panel.messageLabel.text == "Error: ZeroDivisionError: division by zero"
    assert panel.section(type(panel.sections[3])).editor.mrmlSegmentEditorNode() is not None
    host.press("N")
    assert panel.messageLabel.text == "Open a study first."


def test_scripts_open_a_study_through_the_logic(panel: Any, sample: Path) -> None:
    study = panel.logic.openStudy(str(sample))
    assert study.name == "Sample study"
    study.close()
