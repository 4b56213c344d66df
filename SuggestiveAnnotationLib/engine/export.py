"""`export`: accepted slices as labelmaps on each case's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.case import ExportedFiles, export_annotations, export_completed
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.study import Study


def export(
    study: Study,
    folder: Path,
    *,
    cases: Sequence[str] | None = None,
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
        cases: names; every annotated case when not given.
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
    annotated = {a.ref.case for a in study.annotations()}
    names = list(cases) if cases else [c.name for c in study.cases() if c.name in annotated]
    if not names:
        raise StudyError("There is no accepted slice to export.", hint="Annotate and accept a few slices first.")
    suggestions = {row.suggestion.ref: row.suggestion for row in study.suggestions()}
    written: list[Path] = []
    stage = Stage("export", len(names), progress=progress, cancel=cancel)
    for name in names:
        grid = CaseGrid(name, study.case(name).geometry, study.frame(name), study.schema)
        accepted = [a for a in study.all_annotations(case=name) if a.state == "accepted"]
        shown = {a.prediction_id: study.prediction_by_id(a.prediction_id).model_id for a in accepted if a.prediction_id is not None}
        files = [export_annotations(folder, grid, accepted, suggestions=suggestions, models=shown, suffix=suffix, overwrite=overwrite)]
        if completed:
            files.append(_completed(study, folder, grid, suffix=suffix, overwrite=overwrite))
        for one in files:
            written += [one.labelmap, one.mask, one.sidecar]
        stage.advance()
    return tuple(written)


def _completed(study: Study, folder: Path, grid: CaseGrid, *, suffix: str, overwrite: bool) -> ExportedFiles:
    model = study.latest_model("segmentation")
    path = None if model is None else study.case_prediction(grid.case, model.id)
    if model is None or path is None:
        raise StudyError(f"Case {grid.case} has no prediction of the newest model.", hint="Run `predict` first.")
    predicted = grid.frame.stack(np.load(path, allow_pickle=False).astype(np.uint16))
    accepted = [a for a in study.all_annotations(case=grid.case) if a.state == "accepted"]
    about = {"id": model.id, "round": model.round, "created": model.created, "weights": model.path.name}
    return export_completed(folder, grid, accepted, predicted, model=about, suffix=suffix, overwrite=overwrite)
