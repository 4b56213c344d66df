"""How long the panel takes to see one stroke on a case of 512x512x300: labelmaps compared as they are, and only what differs translated,
against translating the whole case to the values of the schema and comparing that.

Measured in the stand-in host, in turns, processor time, the best of each. Run alone with `python Testing/Benchmarks/bench_label_look.py`;
prints a JSON line last.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing"), str(ROOT / "SuggestiveAnnotation")]

import numpy as np
from SlicerHost import boot

SHAPE = (300, 512, 512)
TURNS = 5


def main() -> int:
    """Measure both sides in one run."""
    with tempfile.TemporaryDirectory() as name:
        boot(Path(name))
        whole, differing = measure()
    print(f"translating the whole case: {1e3 * whole:.0f} ms, what differs: {1e3 * differing:.0f} ms")
    print(
        json.dumps({"name": "seeing a stroke on 512x512x300 against reading the case", "ratio": round(whole / differing, 1), "target": 3.0})
    )
    sys.stdout.flush()
    os._exit(0)


def measure() -> tuple[float, float]:
    """Seconds for one stroke: reading everything, and reading what differs."""
    import slicer
    from SuggestiveAnnotationPanel import segments
    from SuggestiveAnnotationPanel.labelmap_memory import LabelmapMemory

    from SuggestiveAnnotationLib.geometry import Geometry
    from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

    schema = LabelSchema("three", tuple(LabelClass(value, f"label {value}", (230, 159, 10 * value)) for value in (1, 2, 4)))
    geometry = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    labels = np.zeros(SHAPE, np.uint8)
    blocks = np.random.default_rng(0).choice(np.array([0, 1, 2, 4], np.uint8), (22, 28, 28))
    labels[40:260, 120:400, 120:400] = np.kron(blocks, np.ones((10, 10, 10), np.uint8))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segments.addSegments(node, schema)
    segments.importVolume(node, labels, geometry, schema)
    memory, of = LabelmapMemory(), (node, geometry, schema)
    memory.keep(*of, slice(0, SHAPE[0]))
    before, known = [labels.copy()], labels.copy()
    times: tuple[list[float], list[float]] = ([], [])

    def everything() -> list[int]:
        now = segments.readVolume(*of)
        changed = np.flatnonzero((now != before[0]).any(axis=(1, 2)))
        before[0] = now
        return [int(index) for index in changed]

    def what_differs() -> list[int]:
        rows = memory.changed(*of)
        now = segments.readBox(*of, (rows, slice(0, SHAPE[1]), slice(0, SHAPE[2])))
        memory.keep(*of, rows)
        changed = rows.start + np.flatnonzero((now != known[rows]).any(axis=(1, 2)))
        known[rows] = now
        return [int(index) for index in changed]

    for turn in range(TURNS):
        segments.writeSlice(*of, 0, 150 + turn, np.full(SHAPE[1:], 1 + turn % 2, np.uint16))
        for side, read in zip(times, (everything, what_differs), strict=True):
            seconds, changed = timed(read)
            assert changed == [150 + turn], changed
            side.append(seconds)
    return min(times[0]), min(times[1])


def timed(what: Callable[[], list[int]]) -> tuple[float, list[int]]:
    """Processor seconds of a call, and what it returned."""
    since = time.process_time()
    found = what()
    return time.process_time() - since, found


if __name__ == "__main__":
    sys.exit(main())
