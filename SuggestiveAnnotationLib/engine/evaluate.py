"""Patient-wise agreement of whole-case predictions with reference labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.engine.predict import NewestModel, predict_case
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.records import Metric
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelSchema


def evaluate(
    study: Study, *, number: int, device: str = "auto", progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> None:
    """3D Dice of the newest model on every test case with labels, kept as metrics `dice_3d` of round `number`.

    A model is judged once; a newer model of the same round takes the place of the one before. Does nothing where there is no test case.

    Raises:
        StudyError: there is no model.
    """
    cases = [case for case in study.cases("test") if case.label is not None]
    if not cases:
        return
    model = study.latest_model("segmentation")
    if model is None:
        raise StudyError("No segmentation model has been trained yet.", hint="Annotate a first batch, then run `train`.")
    kept = study.metrics(number)
    judged = next((m.value for m in kept if m.name == "judged_model"), None)
    known = {m.case for m in kept if m.name == "dice_3d"} if judged == model.id else set()
    study.put_metrics([Metric(number, "judged_model", "", "", model.id)])
    newest = NewestModel(study, device=device)
    stage = Stage("evaluate", len(cases), progress=progress, cancel=cancel)
    for case in cases:
        if case.name not in known:
            volume = np.load(predict_case(study, case.name, device=device, newest=newest, cancel=cancel), allow_pickle=False)
            dice = dice_3d(study.frame(case.name).stack(volume), study.reference_labels(case.name), study.schema)
            study.put_metrics(Metric(number, "dice_3d", case.name, label, value) for label, value in dice.items())
        stage.advance()


def dice_3d(prediction: NDArray[np.uint16], reference: NDArray[np.uint16], schema: LabelSchema) -> Mapping[str, float | None]:
    """3D Dice of every class and region; voxels that the reference ignores are left out.

    Args:
        prediction, reference: schema values, the same shape.

    Returns:
        Class or region name -> Dice, None where neither volume holds it.
    """
    counted = reference != schema.ignore_value
    predicted, true = prediction[counted], reference[counted]
    groups = {c.name: (c.value,) for c in schema.classes} | dict(schema.regions)
    size = int(max(predicted.max(initial=0), true.max(initial=0), *schema.values)) + 1
    in_prediction = np.bincount(predicted, minlength=size)
    in_reference = np.bincount(true, minlength=size)
    out: dict[str, float | None] = {}
    for name, values in groups.items():
        total = int(in_prediction[list(values)].sum() + in_reference[list(values)].sum())
        both = np.isin(predicted, values) & np.isin(true, values)
        out[name] = 2 * int(both.sum()) / total if total else None
    return out
