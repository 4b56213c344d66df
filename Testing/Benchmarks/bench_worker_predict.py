"""One slice predicted through the worker's pipe, from the command to the row in the database, idle and while the worker trains.

Thin U-Net, network grid of 256x256, slices of 256x256 of two sequences, processor, one thread. Every slice is a new one. Beside it: how
soon cancelling the training is answered. Run alone with `python Testing/Benchmarks/bench_worker_predict.py`; prints a JSON line last, exits
with 1 when a median is above its target.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Support"))

from worker_process import Worker

from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, SliceRef
from SuggestiveAnnotationLib.worker.protocol import OpenStudy, PredictSlice, Prepare, Train

SHAPE = (96, 256, 256)
PREDICTIONS = 20
IDLE_MS, BUSY_MS, CANCEL_MS = 150.0, 1000.0, 1000.0
SCHEMA = LabelSchema("three tissues", tuple(LabelClass(v, f"tissue {v}", (40 * v, 90, 200)) for v in (1, 2, 3)))
OPTIONS = {"network": "thin", "device": "cpu", "batch": 16}


def main() -> int:
    """Make a study, then ask for slices in both states of the worker."""
    with tempfile.TemporaryDirectory() as folder, Worker() as worker:
        study = _study(Path(folder))
        worker.ask(OpenStudy(str(study.path)))
        worker.ask(Prepare(pixels=256), seconds=300)
        _annotate(study)
        worker.ask(Train({**OPTIONS, "steps": 2}), seconds=300)
        slices = iter(range(SHAPE[0]))
        first = _predict(worker, next(slices))
        idle = [_predict(worker, next(slices)) for _ in range(PREDICTIONS)]
        training = worker.send(Train({**OPTIONS, "steps": 100_000}))
        worker.until(lambda: any(e.done for e in training.events))
        busy = [_predict(worker, next(slices)) for _ in range(PREDICTIONS)]
        assert not training.done, training.failed
        began = time.perf_counter()
        worker.client.cancel(training.id)
        worker.until(lambda: training.done)
        cancelling = 1e3 * (time.perf_counter() - began)
    print(f"predict a slice, idle: median {median(idle):.0f} ms, slowest {max(idle):.0f} ms (the first one {first:.0f} ms)")
    print(f"predict a slice, training: median {median(busy):.0f} ms, slowest {max(busy):.0f} ms; cancelled after {cancelling:.0f} ms")
    rows = [
        _row("predict a slice through the pipe, idle", median(idle), IDLE_MS, slowest_ms=round(max(idle), 1)),
        _row("predict a slice through the pipe, training, slowest", max(busy), BUSY_MS, median_ms=round(median(busy), 1)),
        _row("cancel training", cancelling, CANCEL_MS),
    ]
    print(json.dumps({"benchmark": "worker predict", "results": rows}))
    return int(any(row["ratio"] > row["target"] for row in rows))


def _row(name: str, ours: float, allowed: float, **more: float) -> dict[str, object]:
    """A share of the time allowed; at most 1 passes."""
    return {
        "name": name,
        "ours_ms": round(ours, 1),
        "allowed_ms": allowed,
        **more,
        "ratio": round(ours / allowed, 3),
        "target": 1.0,
        "better": "lower",
    }


def _predict(worker: Worker, index: int) -> float:
    began = time.perf_counter()
    worker.ask(PredictSlice("case", 0, index))
    return 1e3 * (time.perf_counter() - began)


def _study(folder: Path) -> Study:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), (2, 12, 12))
    inside = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE[1:]], indexing="ij")) < 0.9
    labels = (np.digitize(smooth / smooth.std(), (0.2, 0.9, 1.6)) * inside).astype(np.uint8)
    paths = {name: folder / f"{name}.nii.gz" for name in ("t1", "t2", "labels")}
    for name, path in paths.items():
        noise = rng.normal(0, 5, SHAPE)
        array = labels if name == "labels" else ((100 + 40 * labels + noise) * inside).astype(np.float32)
        image = sitk.GetImageFromArray(array)
        sitk.WriteImage(image, str(path))
    geometry = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    images = {name: str(paths[name]) for name in ("t1", "t2")}
    case = Case("case", "case", "pool", images, label=str(paths["labels"]), geometry=geometry)
    return Study.create(folder / "study", name="bench", cases=[case], schema=SCHEMA, modalities=("t1", "t2"), reference="t1")


def _annotate(study: Study) -> None:
    session = Session(study, annotator="bench")
    reference = study.reference_labels("case")
    session.accept({SliceRef("case", 0, k): np.array(reference[k]) for k in range(70, 90)})


if __name__ == "__main__":
    sys.exit(main())
