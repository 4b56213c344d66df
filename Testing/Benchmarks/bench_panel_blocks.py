"""How long the panel keeps the person waiting: while a round trains, cases of 256x256x150 are switched, 200 suggestions listed.

Measured in the stand-in host with the real worker, drawing included, against reading the files of one case on
the GUI thread. Run alone with `python Testing/Benchmarks/bench_panel_blocks.py`; prints a JSON line last.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from SlicerHost import boot

SHAPE = (150, 256, 256)
TARGET_MS = 100.0
MODALITIES = ("t1", "flair")
ROWS = 200
SWITCHING, TRAINING, LISTING, THUMBNAIL = "switching 256x256x150 cases", "a round trains", f"listing {ROWS} suggestions", "one thumbnail"


def main() -> int:
    """Measure both sides in one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = make_study(folder)
        host = boot(folder / "settings")
        blocks = measure(host, study)
        baseline = read_on_the_gui_thread(folder)
    for what, seconds in blocks.items():
        print(f"{what}: longest block {1e3 * seconds:.0f} ms")
    print(f"reading two volumes on the GUI thread: {1e3 * baseline:.0f} ms")
    results = [
        {"name": f"longest block: {what}, of 100 ms", "ratio": round(1e3 * s / TARGET_MS, 2), "target": 1.0, "better": "lower"}
        for what, s in blocks.items()
    ]
    results.append({"name": "switching a case against reading its files", "ratio": round(baseline / blocks[SWITCHING], 1), "target": 1.0})
    print(json.dumps(results))
    sys.stdout.flush()
    os._exit(int(max(blocks.values()) * 1e3 > TARGET_MS))


def make_study(folder: Path) -> Path:
    """Three cases of two sequences with labels, prepared, a first batch answered with the labels."""
    from SuggestiveAnnotationLib.engine.cohort import GivenVolume, create_from_plan, plan_from_files, with_guessed_schema
    from SuggestiveAnnotationLib.engine.prepare import prepare
    from SuggestiveAnnotationLib.engine.run_round import run_round
    from SuggestiveAnnotationLib.engine.settings import RoundOptions
    from SuggestiveAnnotationLib.session import Session

    rng = np.random.default_rng(0)
    volumes = []
    for case in ("a", "b", "c"):
        field = ndimage.gaussian_filter(rng.normal(size=tuple(n // 4 for n in SHAPE)), 3)
        labels = ndimage.zoom((field > field.std()).astype(np.uint8), [n / (n // 4) for n in SHAPE], order=0)
        for modality in MODALITIES:
            path = folder / f"{case}_{modality}.nii.gz"
            write(path, (rng.normal(300, 20, SHAPE) + 200 * labels).astype(np.int16))
            volumes.append(GivenVolume(str(path), case, modality))
        write(folder / f"{case}_labels.nii.gz", labels)
        volumes.append(GivenVolume(str(folder / f"{case}_labels.nii.gz"), case, labels=True))
    study = create_from_plan(folder / "study", plan=with_guessed_schema(plan_from_files(volumes)), name="benchmark")
    prepare(study, plane="axial", pixels=128)
    run_round(study, options=RoundOptions(strategy="strided", budget=ROWS))
    session = Session(study, annotator="reader")
    for row in session.suggestions()[:4]:
        ref = row.suggestion.ref
        session.accept({ref: study.reference_labels(ref.case)[ref.native_index]})
    study.close()
    return folder / "study"


def write(path: Path, array: np.ndarray) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


def measure(host: Any, study: Path) -> dict[str, float]:
    """Longest blocks, seconds: switching cases back and forth, listing suggestions anew, one thumbnail, and ten seconds of training."""
    from SuggestiveAnnotationLib.types import SliceRef

    panel = host.loadModule(ROOT / "SuggestiveAnnotation" / "SuggestiveAnnotation.py")
    from SuggestiveAnnotationPanel.thumbnails import thumbnail

    workspace = panel.workspace
    panel.sections[0].openPath(str(study))
    shown = lambda ref: host.waitUntil(lambda: ref in workspace.views.displayed and workspace.scene.case == ref.case, 120)  # noqa: E731
    cases = [SliceRef(case, 0, 70) for case in ("a", "b", "c")]
    for ref in cases:
        # Read once before: what is measured is the switch.
        workspace.openSlice(ref)
        shown(ref)
    host.pump(1.0)
    with host.longestBlock() as switching:
        for i, ref in enumerate(cases * 2):
            ref = SliceRef(ref.case, 0, 60 + i)
            workspace.openSlice(ref)
            shown(ref)
            host.pump(0.5)
    listing = []
    for _ in range(5):
        panel.sections[2]._listed = None
        listing.append(timed(panel.sections[2].refresh))
    one_thumbnail = max(timed(lambda: thumbnail(workspace, cases[0])) for _ in range(5))
    ui = panel.sections[1].ui
    ui.strategyBox.setCurrentText("Random")
    ui.stepsBox.value = 5000
    host.dialogs.answers = [True]
    ui.startButton.click()
    host.waitUntil(lambda: workspace.task is not None and workspace.task.stage == "train" and workspace.task.done > 2, 120)
    with host.longestBlock() as training:
        end = time.monotonic() + 10
        number = 0
        while time.monotonic() < end:
            number += 1
            workspace.openSlice(SliceRef("c", 0, 40 + number % 60))
            host.pump(0.5)
    workspace.cancelTask()
    host.waitUntil(lambda: workspace.task is None, 30)
    host.unload("SuggestiveAnnotation")
    return {SWITCHING: switching[0], TRAINING: training[0], LISTING: max(listing), THUMBNAIL: one_thumbnail}


def timed(what: Callable[[], object]) -> float:
    """Seconds of one call."""
    since = time.perf_counter()
    what()
    return time.perf_counter() - since


def read_on_the_gui_thread(folder: Path) -> float:
    """Seconds for both volumes of a case with SimpleITK's reader, as `loadVolume` would block."""
    return timed(lambda: [sitk.ReadImage(str(folder / f"a_{modality}.nii.gz")) for modality in MODALITIES])


if __name__ == "__main__":
    sys.exit(main())
