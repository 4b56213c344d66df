"""What a simulation gave, as plain JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from SuggestiveAnnotationLib.effort.quantities import ContourQuantity, ResolutionCeiling, SavedEffort
from SuggestiveAnnotationLib.engine.ceiling import CEILING
from SuggestiveAnnotationLib.processor import peak_memory
from SuggestiveAnnotationLib.study.records import Metric
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, LabelSchema


def summary(study: Study) -> dict[str, Any]:
    """What the simulation gave, as `summary.json` holds it.

    `rounds`: one entry a model, with the annotated and the filled slices it was trained on, mean 3D Dice per class on the test cases, the
    saved effort on the slices annotated with its help, simulated minutes so far, and seconds per stage; `peak_memory_gb`; `seed`.
    """
    minutes = 0.0
    filled = {a.id for a in study.all_annotations() if a.provenance == FILLED}
    by_number = {r.number: r for r in study.rounds()}
    ceiling = study.properties().get(CEILING)
    entries = []
    for number in range(max(by_number, default=-1) + 2):
        metrics = study.metrics(number)
        round_ = by_number.get(number)
        if number > 0:
            learnt = _trained_on(study, number)
            entries.append(
                {
                    "model": number,
                    "annotated_slices": len(learnt - filled),
                    "filled_slices": len(learnt & filled),
                    "simulated_minutes": round(minutes, 2),
                    "dice": dict(_mean_dice(metrics, study.schema)),
                    "contour_effort": _effort_by_class(study, _saved_effort(study, number)),
                    "strategy": round_.strategy if round_ else None,
                    "seconds": dict(round_.seconds) if round_ else {},
                    "notes": list(round_.notes) if round_ else [],
                }
            )
        minutes += sum(a.minutes or 0 for a in study.annotations(round_number=number))
    return {
        "study": study.name,
        "rounds": entries,
        "simulated_minutes": round(minutes, 2),
        "resolution_ceiling": _effort_by_class(study, ResolutionCeiling.from_json(ceiling) if ceiling else None),
        "seed": next((r.seed for r in study.rounds()), None),
        "peak_memory_gb": round(peak_memory() / 1e9, 2),
        "versions": study.models()[-1].card.get("versions", {}) if study.models() else {},
    }


def _mean_dice(metrics: tuple[Metric, ...], schema: LabelSchema) -> Iterator[tuple[str, float | None]]:
    values: dict[str, list[float]] = {}
    for m in metrics:
        if m.name == "dice_3d":
            values.setdefault(m.label, []).extend([] if m.value is None else [m.value])
    for label in schema.judged:
        if label in values:
            yield label, round(float(np.mean(values[label])), 4) if values[label] else None


def _trained_on(study: Study, number: int) -> set[int]:
    """Annotations that the model of a round was trained on."""
    models = [m for m in study.models("segmentation") if m.round == number]
    return set(models[-1].card["annotations"]) if models else set()


def _saved_effort(study: Study, number: int) -> SavedEffort | None:
    """Summed over the slices of a round that had a pre-annotation, measured against the reference."""
    kept = [a.effort for a in study.annotations(round_number=number) if a.effort and a.effort["quantity"] == SavedEffort.name]
    return SavedEffort.total(SavedEffort.from_json(effort) for effort in kept) if kept else None


def _effort_by_class(study: Study, quantity: ContourQuantity | None) -> dict[str, Any]:
    if quantity is None:
        return {}
    totals = quantity.totals
    out = {}
    for label in study.schema.classes:
        c = totals.of(label.value)
        out[label.name] = {
            "reference_mm": round(c.reference_mm, 1),
            "shared_mm": round(c.shared_mm, 1),
            "saved_effort": _rounded(c.of_reference),
            "saved_effort_1px": _rounded(c.of_reference_within_pixels),
            "saved_effort_1mm": _rounded(c.of_reference_within_millimetres),
            "shared_of_prediction": _rounded(c.of_prediction),
            "false_components": c.false_components,
        }
    return out


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
