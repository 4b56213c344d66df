"""`export`: accepted slices as labelmaps on each case's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.export.assemble import CaseGrid, newest, place
from SuggestiveAnnotationLib.export.case import ExportedFiles, export_annotations, export_completed
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray

EXPORTED = ("accepted", "reviewed")
"""States of annotations that are exported unless somebody says otherwise."""


def export(
    study: Study,
    folder: Path,
    *,
    cases: Sequence[str] | None = None,
    states: Sequence[str] = EXPORTED,
    suffix: str = ".nii.gz",
    completed: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[Path, ...]:
    """Write labelmaps of annotated cases, with a mask and a JSON that lists who accepted what.

    Args:
        study: with accepted slices.
        folder: created if missing.
        cases: names; every annotated case that is not excluded when not given.
        states: of "accepted" (by the reader alone) and "reviewed" (approved by another reader).
        suffix: ".nii.gz" or ".nrrd".
        completed: also write volumes in which the newest model fills what nobody accepted, as separate, marked files.
        overwrite: replace files that are there.

    Returns:
        The files written.

    Raises:
        StudyError: nothing to export, or `completed` without a whole-case prediction.
        InputError: files are there already.
        StorageError: the folder cannot be written.
    """
    wanted = annotations_in(study, states)
    annotated = {a.ref.case for a in wanted}
    names = [c.name for c in study.cases() if c.name in annotated and (c.name in cases if cases else c.role != "excluded")]
    if not names:
        kind = "reviewed" if list(states) == ["reviewed"] else "accepted"
        raise StudyError(f"There is no {kind} slice to export.", hint="Annotate and accept a few slices first.")
    suggestions = {row.suggestion.ref: row.suggestion for row in study.suggestions()}
    written: list[Path] = []
    stage = Stage("export", len(names), progress=progress, cancel=cancel)
    for name in names:
        grid = CaseGrid(name, study.case(name).geometry, study.frame(name), study.schema)
        accepted = [a for a in wanted if a.ref.case == name]
        shown = {a.prediction_id: study.prediction_by_id(a.prediction_id).model_id for a in accepted if a.prediction_id is not None}
        files = [export_annotations(folder, grid, accepted, suggestions=suggestions, models=shown, suffix=suffix, overwrite=overwrite)]
        if completed:
            files.append(_completed(study, folder, grid, suffix=suffix, overwrite=overwrite))
        for one in files:
            written += [one.labelmap, one.mask, one.sidecar]
        stage.advance()
    return tuple(written)


def annotations_in(study: Study, states: Sequence[str], *, case: str | None = None) -> tuple[Annotation, ...]:
    """Accepted annotations (of one case) by what became of them; where two readers accepted a slice, both.

    Raises:
        InputError: there is no such state.
    """
    for state in states:
        if state not in EXPORTED:
            raise InputError(f"Slices that are {state} cannot be exported.", hint=f"Choose from {' and '.join(EXPORTED)}.")
    approved = {identifier for identifier, review in study.reviews().items() if review.verdict == "approved"}
    accepted = [a for a in study.all_annotations(case=case) if a.state == "accepted"]
    return tuple(a for a in accepted if ("reviewed" if a.id in approved else "accepted") in states)


def case_labelmap(study: Study, case: str, *, states: Sequence[str] = EXPORTED) -> tuple[LabelArray, NDArray[np.uint8]]:
    """Labels and mask of a case on its own grid `(k, j, i)`; where nothing was accepted, the ignore value and 0."""
    grid = CaseGrid(case, study.case(case).geometry, study.frame(case), study.schema)
    shown = newest(grid, annotations_in(study, states, case=case))
    return place(grid, {ref.native_index: a.labels for ref, a in shown.items()})


def _completed(study: Study, folder: Path, grid: CaseGrid, *, suffix: str, overwrite: bool) -> ExportedFiles:
    model = study.latest_model("segmentation")
    path = None if model is None else study.case_prediction(grid.case, model.id)
    if model is None or path is None:
        raise StudyError(f"Case {grid.case} has no prediction of the newest model.", hint="Run `predict` first.")
    predicted = grid.frame.stack(np.load(path, allow_pickle=False).astype(np.uint16))
    accepted = [a for a in study.all_annotations(case=grid.case) if a.state == "accepted"]
    about = {"id": model.id, "round": model.round, "created": model.created, "weights": model.path.name}
    return export_completed(folder, grid, accepted, predicted, model=about, suffix=suffix, overwrite=overwrite)
