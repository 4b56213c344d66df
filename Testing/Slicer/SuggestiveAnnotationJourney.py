"""The way through the module in a real Slicer: `Slicer --testing --python-script SuggestiveAnnotationJourney.py`.

Makes the sample study, runs a first round, accepts a slice as empty, exports, closes the scene in between. Ends with 0, with 1 and the
reason, or with 77 when packages are missing: nothing is installed by a test.
"""

import logging
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import qt
import slicer

SKIPPED = 77


def waitUntil(condition, what, seconds=300):
    """Let Slicer work until something is so. Raises: TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        slicer.app.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")


def journey(folder):
    """Returns why it was skipped, or an empty text."""
    slicer.util.selectModule("SuggestiveAnnotation")
    panel = slicer.util.getModuleWidget("SuggestiveAnnotation")
    from SuggestiveAnnotationPanel import requirements

    missing = requirements.missing(requirements.PANEL, requirements.LEARNING, requirements.SAMPLE)
    if missing:
        return f"not installed: {', '.join(missing)}"
    qt.QSettings().setValue("SuggestiveAnnotation/StudiesFolder", str(folder))
    workspace = panel.workspace
    study, round_, suggestions, annotate, _review, export = panel.sections
    assert not annotate.ui.acceptButton.enabled
    study.ui.sampleButton.click()
    waitUntil(lambda: workspace.study is not None and workspace.task is None, "the sample study")
    round_.ui.budgetBox.value = 4
    round_.ui.startButton.click()
    waitUntil(lambda: workspace.task is None and workspace.current is not None, "the first round")
    waitUntil(lambda: workspace.current in workspace.views.displayed, "the first slice")
    first = workspace.current
    drawn = workspace.sync.labels(first)
    drawn[4:12, 4:12] = 1
    workspace.sync.write(first, drawn)
    annotate.ui.acceptButton.click()
    assert workspace.session.status(first).state == "accepted", workspace.session.status(first)
    waitUntil(lambda: workspace.current in workspace.views.displayed, "the second slice")
    second = workspace.current
    slicer.mrmlScene.Clear(0)
    waitUntil(lambda: workspace.scene.case == second.case, "the case after the scene was closed")
    suggestions.ui.emptyButton.click()
    assert workspace.session.status(second).state == "accepted"
    export.ui.folderEdit.currentPath = str(folder / "export")
    export.ui.exportButton.click()
    waitUntil(lambda: list((folder / "export").glob("*_annotation.json")), "the export")
    waitUntil(lambda: workspace.task is None, "the worker")
    return ""


def main():
    """Run, say how it went, and quit with it."""
    folder = Path(tempfile.mkdtemp())
    try:
        skipped = journey(folder)
        if skipped:
            logging.warning("Skipped: %s", skipped)
        code = SKIPPED if skipped else 0
    except Exception:
        traceback.print_exc()
        code = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    slicer.util.exit(code)


main()
