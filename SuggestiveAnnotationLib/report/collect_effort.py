"""Contour effort of a study's annotations, summed by round and class under the name each was measured as."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, ContourTotals
from SuggestiveAnnotationLib.effort.contour import DEFAULT_TOLERANCES
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling, RetainedContour, SavedEffort
from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.report.data import Ceiling, Effort, EffortRow, Quantity, total
from SuggestiveAnnotationLib.report.numbers import ALL_CLASSES
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR
from SuggestiveAnnotationLib.study.contours import slice_agreement
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, LabelArray, SliceRef

_NAMES: dict[str, Quantity] = {RetainedContour.name: "Retained contour", SavedEffort.name: "Saved effort"}


def effort_rows(study: Study) -> tuple[EffortRow, ...]:
    """Sums over slices of what each annotation kept, and of audit slices against the prediction that was not shown.

    A row is of the round whose model is judged, however late the slice was accepted.

    Raises:
        StudyError: an annotation's effort is no quantity this version knows.
    """
    names = {c.value: c.name for c in study.schema.classes}
    audits, judged = _audits(study), study.prediction_rounds()
    sums: dict[tuple[int, bool, Quantity, str], list[Effort]] = {}
    for annotation in not_excluded(study):
        measured = _measured(study, annotation, audits)
        if measured is None:
            continue
        quantity, totals, audit = measured
        number = audits[annotation.ref] if audit else effort_round(annotation, judged)
        spacing = study.frame(annotation.ref.case).spacing[0]
        for part in totals.classes:
            if part.value in names:
                key = (number, audit, quantity, names[part.value])
                sums.setdefault(key, []).append(_effort(part, slices=totals.slices, slice_spacing=spacing))
    order = {name: i for i, name in enumerate(names.values())}
    keys = sorted(sums, key=lambda k: (k[0], k[1], k[2], order[k[3]]))
    return tuple(EffortRow(key[0], key[3], key[2], total(sums[key]), audit=key[1]) for key in keys)


def not_excluded(study: Study) -> tuple[Annotation, ...]:
    """The accepted annotations, one a slice, without filled ones and those of excluded cases, which take part in nothing."""
    excluded = {case.name for case in study.cases("excluded")}
    return tuple(a for a in study.annotations() if a.ref.case not in excluded and a.provenance != FILLED)


def effort_round(annotation: Annotation, judged: Mapping[int, int]) -> int:
    """The round whose model made the pre-annotation that effort was measured against, or that showed it where the model came from another
    study; of none such, the round it was accepted in.

    Args:
        judged: prediction -> round, as of `Study.prediction_rounds`.
    """
    of_model = None if annotation.prediction_id is None else judged.get(annotation.prediction_id)
    return (annotation.round or 0) if of_model is None else of_model


def shown_effort(annotation: Annotation, *, slice_spacing: float) -> tuple[Quantity, Effort | None]:
    """What one annotation kept of the pre-annotation, all classes together; None where none was shown."""
    if annotation.effort is None:
        return "Retained contour", None
    quantity, totals = _read(annotation)
    parts = [_effort(part, slices=totals.slices, slice_spacing=slice_spacing) for part in totals.classes]
    return quantity, total(parts, slices=totals.slices)


def drawn_mm(study: Study, annotation: Annotation) -> float:
    """Length of the contours of an accepted annotation, all classes, millimetres of pixel edges."""
    empty = np.zeros_like(annotation.labels)
    return sum(part.reference_mm for part in _compare(study, annotation.ref, annotation.labels, empty, tolerant=False).classes)


def _measured(study: Study, annotation: Annotation, audits: Mapping[SliceRef, int]) -> tuple[Quantity, ContourTotals, bool] | None:
    if annotation.effort is not None:
        return (*_read(annotation), False)
    if annotation.ref not in audits or annotation.prediction_id is not None:
        return None
    models = {m.round: m.id for m in study.models("segmentation")}
    hidden = study.prediction(annotation.ref, model_id=models.get(audits[annotation.ref]))
    if hidden is None:
        return None
    return "Saved effort", _compare(study, annotation.ref, annotation.labels, hidden.labels, tolerant=True), True


def _audits(study: Study) -> dict[SliceRef, int]:
    """Audit slices and the round that asked for them; one that a strategy chose later is none any more."""
    newest = {row.ref: row for row in study.suggestion_states()}
    return {ref: row.round for ref, row in newest.items() if row.kind == "audit"}


def is_simulated(annotation: Annotation) -> bool:
    """A program answered with the reference; its minutes come from the price list."""
    return annotation.annotator == SIMULATED_ANNOTATOR


def _read(annotation: Annotation) -> tuple[Quantity, ContourTotals]:
    """The quantity and its sums."""
    effort = annotation.effort or {}
    name = str(effort.get("quantity"))
    if name not in _NAMES:
        raise StudyError(f"An annotation carries the unknown contour quantity {name!r}.", hint="Open the study with a newer version.")
    return _NAMES[name], ContourTotals.from_json(effort)


def ceilings(study: Study) -> tuple[Ceiling, ...]:
    """The resolution ceiling kept with the study, for each class and for all together; empty where it was not measured."""
    kept = study.properties().get("resolution ceiling")
    if kept is None:
        return ()
    totals = ResolutionCeiling.from_json(kept).totals
    names = {c.value: c.name for c in study.schema.classes}
    parts = [(names[part.value], part) for part in totals.classes if part.value in names]
    return tuple(
        Ceiling(name, part.of_reference, part.of_reference_within_pixels, part.of_reference_within_millimetres)
        for name, part in [*parts, (ALL_CLASSES, totals.overall)]
    )


def _compare(study: Study, ref: SliceRef, reference: LabelArray, prediction: LabelArray, *, tolerant: bool) -> ContourTotals:
    tolerances = DEFAULT_TOLERANCES if tolerant else None
    agreement = slice_agreement(study, ref, reference=reference, prediction=prediction, tolerances=tolerances)
    return ContourTotals.of_slices([agreement])


def _effort(part: ClassAgreement, *, slices: int, slice_spacing: float) -> Effort:
    return Effort(
        slices=slices,
        reference_mm=part.reference_mm,
        kept_mm=part.shared_mm,
        kept_1px_mm=part.shared_within_pixels_mm,
        kept_1mm_mm=part.shared_within_millimetres_mm,
        predicted_mm=part.prediction_mm,
        false_components=part.false_components,
        added_mm3=part.added_mm3(slice_spacing),
        removed_mm3=part.removed_mm3(slice_spacing),
    )
