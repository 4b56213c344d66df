"""Accepting one 256x256 slice, from labels to a synced commit, against rewriting the case's labelmap file (256x256x150, `.nii.gz`).

Whole accepts through `Session` are timed: checks, contour effort against the pre-annotation, one transaction. Run alone with
`python Testing/Benchmarks/bench_accept.py`; prints a JSON line last, exits with 1 when the median is above 30 ms.
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

from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, PreprocessingRecord, SliceRef

SHAPE = (150, 256, 256)
ACCEPTS = 60
TARGET_MS = 30.0
SCHEMA = LabelSchema("three tissues", tuple(LabelClass(v, f"tissue {v}", (40 * v, 90, 200)) for v in (1, 2, 3)))


def main() -> int:
    """Measure both sides in one run."""
    rng = np.random.default_rng(0)
    fields = ndimage.gaussian_filter(rng.normal(size=(8, 256, 256)), (0, 9, 9))
    labels = np.digitize(fields / fields.std(), (0.2, 0.9, 1.6)).astype(np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        ours = _accepts(Path(folder), labels)
        baseline = _rewrites(Path(folder), labels)
    ours_ms, baseline_ms = 1e3 * median(ours), 1e3 * median(baseline)
    print(f"accept one slice: median {ours_ms:.1f} ms, slowest {1e3 * max(ours):.1f} ms of {len(ours)}")
    print(f"rewrite the labelmap file: median {baseline_ms:.1f} ms")
    print(
        json.dumps(
            {
                "benchmark": "accept one 256x256 slice",
                "ours_ms": round(ours_ms, 2),
                "target_ms": TARGET_MS,
                "baseline": "rewriting the case's .nii.gz",
                "baseline_ms": round(baseline_ms, 1),
                "ratio": round(baseline_ms / ours_ms, 1),
                "target": 5.0,
            }
        )
    )
    return int(ours_ms > TARGET_MS)


def _accepts(folder: Path, labels: np.ndarray) -> list[float]:
    geometry = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    case = Case("case", "case", "pool", {"t1": "t1.nii.gz"}, geometry=geometry)
    study = Study.create(folder / "study", name="bench", cases=[case], schema=SCHEMA, modalities=("t1",), reference="t1")
    study.freeze_record(PreprocessingRecord("axial", ("t1",), "t1", (2.0, 2.0), (128, 128), SCHEMA.key))
    weights = study.path / "model.safetensors"
    weights.touch()
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=None)
    refs = [SliceRef("case", 0, k) for k in range(ACCEPTS)]
    study.add_predictions(model.id, [(ref, labels[i % len(labels)]) for i, ref in enumerate(refs)])
    session = Session(study, annotator="bench")
    seconds = []
    for index, ref in enumerate(refs):
        session.open(ref)
        final = np.roll(labels[index % len(labels)], 1, axis=0)
        started = time.perf_counter()
        session.accept({ref: final})
        seconds.append(time.perf_counter() - started)
    return seconds


def _rewrites(folder: Path, labels: np.ndarray) -> list[float]:
    volume = np.resize(labels, SHAPE).astype(np.uint8)
    seconds = []
    for index in range(5):
        volume[index] = np.roll(volume[index], 1, axis=0)
        started = time.perf_counter()
        sitk.WriteImage(sitk.GetImageFromArray(volume), str(folder / "labels.nii.gz"), useCompression=True)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
