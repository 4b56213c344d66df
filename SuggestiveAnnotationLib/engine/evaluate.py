"""Patient-wise agreement of whole-case predictions with reference labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.engine.predict import NewestModel, predict_case
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.records import Metric, Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelSchema


def evaluate(
    study: Study, *, number: int | None, device: str = "auto", progress: ProgressCallback = no_progress, cancel: CancelToken | None = None
) -> dict[str, dict[str, float | None]]:
    """3D Dice of the newest model on every test case with labels, kept as metrics `dice_3d` of round `number`.

    A model is judged once; a newer model of the same round takes the place of the one before. Does nothing where there is no test case.

    Args:
        number: of the round; None: of a model that belongs to none, nothing is kept.

    Returns:
        Case -> class or region -> Dice, as of `dice_3d` and in its order.

    Raises:
        StudyError: there is no model.
    """
    cases = [case for case in study.cases("test") if case.label is not None]
    if not cases:
        return {}
    model = study.latest_model("segmentation")
    if model is None:
        raise StudyError("No segmentation model has been trained yet.", hint="Annotate a first batch, then run `train`.")
    found = {} if number is None else _judged_before(study, number, model)
    newest = NewestModel(study, device=device)
    stage = Stage("evaluate", len(cases), progress=progress, cancel=cancel)
    for case in cases:
        if case.name not in found:
            volume = np.load(predict_case(study, case.name, newest=newest, cancel=cancel), allow_pickle=False)
            found[case.name] = dice_3d(study.frame(case.name).stack(volume), study.reference_labels(case.name), study.schema)
            if number is not None:
                study.put_metrics(Metric(number, "dice_3d", case.name, label, value) for label, value in found[case.name].items())
        stage.advance()
    return {case.name: found[case.name] for case in cases}


def _judged_before(study: Study, number: int, model: Model) -> dict[str, dict[str, float | None]]:
    """Cases of the round on which this model was judged already; what an earlier model had there goes."""
    kept = study.metrics(number)
    found: dict[str, dict[str, float | None]] = {}
    if any(m.name == "judged_model" and m.value == model.id for m in kept):
        for m in kept:
            if m.name == "dice_3d":
                found.setdefault(m.case, {})[m.label] = m.value
        found = {case: {name: dice[name] for name in study.schema.judged if name in dice} for case, dice in found.items()}
    else:
        # In one transaction, so that no interruption leaves one model's numbers under another.
        study.replace_metrics(number, "dice_3d", [Metric(number, "judged_model", "", "", model.id)])
    return found


def dice_3d(prediction: NDArray[np.uint16], reference: NDArray[np.uint16], schema: LabelSchema) -> dict[str, float | None]:
    """3D Dice of every class and region; voxels that the reference ignores are left out.

    Args:
        prediction, reference: schema values, the same shape.

    Returns:
        Class or region name -> Dice, None where neither volume holds it.
    """
    counted = reference != schema.ignore_value
    predicted, true = prediction[counted], reference[counted]
    size = int(max(predicted.max(initial=0), true.max(initial=0), *schema.values)) + 1
    in_prediction = np.bincount(predicted, minlength=size)
    in_reference = np.bincount(true, minlength=size)
    out: dict[str, float | None] = {}
    for name, values in schema.judged.items():
        total = int(in_prediction[list(values)].sum() + in_reference[list(values)].sum())
        both = np.isin(predicted, values) & np.isin(true, values)
        out[name] = 2 * int(both.sum()) / total if total else None
    return out
