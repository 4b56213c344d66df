"""What the test cases say of a model, and what its pre-annotations save on random slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import SavedEffort
from SuggestiveAnnotationLib.engine.predict import NewestModel, load_newest, native_labels, predict_case
from SuggestiveAnnotationLib.metrics import volume_metrics
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.strategies.contract import Pool
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.device import pick_device
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema, SliceRef

CaseMetrics = dict[str, dict[str, float | None]]


def judge_case(
    prediction: LabelArray, reference: LabelArray, schema: LabelSchema, *, spacing: tuple[float, float, float], surfaces: bool
) -> CaseMetrics:
    """Every metric of one case, by class and region; pixels that the reference ignores are in neither volume.

    Args:
        prediction, reference: schema values `(slice, row, column)`.
        spacing: millimetres, of the same axes.
        surfaces: also distances between surfaces.
    """
    return volume_metrics(prediction, reference, spacing=spacing, schema=schema, surfaces=surfaces)


def judge_newest(study: Study, *, device: str, surfaces: bool, cancel: CancelToken | None = None) -> dict[str, CaseMetrics]:
    """Every metric of the newest model on every test case. Predicted volumes are given up afterwards: nothing else needs them."""
    out, newest = {}, NewestModel(study, device=device)
    for case in study.cases("test"):
        path = predict_case(study, case.name, device=device, newest=newest, cancel=cancel)
        frame = study.frame(case.name)
        volume = frame.stack(np.load(path, allow_pickle=False))
        out[case.name] = judge_case(volume, study.reference_labels(case.name), study.schema, spacing=frame.spacing, surfaces=surfaces)
        path.unlink()
    return out


def random_slices(pool: Pool, count: int, *, seed: int, number: int) -> list[SliceRef]:
    """Slices that nobody has annotated, drawn in the same order in every arm with that seed and round; blank ones are left out."""
    order = np.random.default_rng([seed, number]).permutation(len(pool.refs))
    free = ~(pool.blank | pool.labelled)
    return [pool.refs[i] for i in order if free[i]][:count]


def saved_effort(study: Study, refs: Sequence[SliceRef], *, device: str) -> SavedEffort | None:
    """What the newest model's pre-annotation would save on slices; None where there is none. Nothing is kept in the study."""
    if not refs:
        return None
    target = pick_device(device)
    network = load_newest(study, device=target)[1]
    agreements = []
    for ref, labels in native_labels(study, network, refs, device=target):
        reference = np.array(study.reference_labels(ref.case)[ref.native_index])
        agreements.append(slice_agreement(study, ref, reference=reference, prediction=labels))
    return SavedEffort.of_slices(agreements)
