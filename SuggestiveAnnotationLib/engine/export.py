"""`export`: what was accepted, in the formats of `export.formats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib import __version__
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.export.assemble import CaseGrid, newest, place
from SuggestiveAnnotationLib.export.case import ExportedFiles, export_completed
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.formats import format_named
from SuggestiveAnnotationLib.export.sidecar import earlier_files
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED, LabelArray

EXPORTED = ("accepted", "reviewed")
"""States of annotations that are exported unless somebody says otherwise."""
LABELMAPS = ("nii.gz", "nrrd")
"""Formats that have room for a volume completed by the model."""


def export(
    study: Study,
    folder: Path,
    *,
    format: str = "nii.gz",
    cases: Sequence[str] | None = None,
    states: Sequence[str] = EXPORTED,
    completed: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Exported:
    """Write what was accepted. Filled slices, which nobody drew, stay in the study.

    Args:
        study: with accepted slices.
        folder: created if missing.
        format: name of one of `export.formats.FORMATS`.
        cases: names; every annotated case that is not excluded when not given.
        states: of "accepted" (by the reader alone) and "reviewed" (approved by another reader).
        completed: also write volumes in which the newest model fills what nobody accepted, as separate, marked labelmaps.
        overwrite: replace files that are there. Those of earlier exports that are not written again stay, and are said.

    Returns:
        The files written, and sentences on what was left out.

    Raises:
        StudyError: nothing to export, or `completed` without a whole-case prediction.
        InputError: an unknown format or case, or a format that cannot hold the content.
        ExistsError: files are there already.
        StorageError: the folder cannot be written.
    """
    chosen = format_named(format)
    if completed and format not in LABELMAPS:
        raise InputError(f"The format {format} has no place for model output.", hint=f"Choose {' or '.join(LABELMAPS)} for that.")
    content = content_of(study, cases=cases, states=states)
    stage = Stage("export", len(content.cases), progress=progress, cancel=cancel)
    done = chosen.write(Path(folder), content, overwrite=overwrite, stage=stage)
    files = list(done.files)
    for case in content.cases if completed else ():
        files += _completed(study, Path(folder), case, suffix=f".{format}", overwrite=overwrite).all
    still_there = earlier_files(Path(folder), files) if overwrite else ()
    return Exported(tuple(files), (*content.left_out, *done.left_out, *still_there))


def content_of(study: Study, *, cases: Sequence[str] | None = None, states: Sequence[str] = EXPORTED) -> StudyContent:
    """What an exporter is given. Arguments as of `export`.

    Raises:
        StudyError: nothing is there.
        InputError: an unknown state or case.
    """
    accepted = _accepted(study)
    wanted = annotations_in(study, states)
    known = {case.name: case for case in study.cases()}
    for name in cases or ():
        study.case(name)
    annotated = {a.ref.case for a in wanted}
    names = [n for n, c in known.items() if n in annotated and (n in cases if cases else c.role != "excluded")]
    if not names:
        kind = "reviewed" if list(states) == ["reviewed"] else "accepted"
        raise StudyError(f"There is no {kind} slice to export.", hint="Annotate and accept a few slices first.")
    suggestions = {row.suggestion.ref: row.suggestion for row in study.suggestions()}
    model = study.latest_model("segmentation")
    content = []
    for name in names:
        own = tuple(a for a in wanted if a.ref.case == name)
        predictions = study.predictions_by_id({a.prediction_id for a in own if a.prediction_id is not None})
        content.append(
            CaseContent(
                case=known[name],
                grid=CaseGrid(name, known[name].geometry, study.frame(name), study.schema),
                annotations=own,
                suggestions={a.ref: suggestions[a.ref] for a in own if a.ref in suggestions},
                models={identifier: prediction.model_id for identifier, prediction in predictions.items()},
                prediction=None if model is None else study.case_prediction(name, model.id),
                source_sha256=study.slice_store.hashes(name).get("sources"),
            )
        )
    return StudyContent(
        title=study.name,
        schema=study.schema,
        modalities=study.modalities,
        reference=study.reference_modality,
        record=study.record,
        cases=tuple(content),
        reviews=study.reviews(),
        models=study.models(),
        rounds=study.rounds(),
        events=study.events(),
        settings=study.settings,
        states=tuple(states),
        left_out=_left_out(study, cases, states, accepted, wanted),
        version=__version__,
        key=study.key,
        where=study.where,
    )


def _left_out(
    study: Study, cases: Sequence[str] | None, states: Sequence[str], accepted: Sequence[Annotation], wanted: Sequence[Annotation]
) -> tuple[str, ...]:
    """What of people's work does not go out, in sentences."""
    said = []
    if drafts := len(study.drafts()):
        said.append(f"{count(drafts, 'draft')} that nobody accepted.")
    if filled := len(study.filled_refs()):
        said.append(f"{count(filled, 'slice')} filled by interpolation, which nobody drew.")
    excluded = {case.name for case in study.cases("excluded")}
    # A case that is named goes out although it is excluded.
    gone = {a.ref.case for a in accepted if (a.ref.case not in cases if cases else a.ref.case in excluded)}
    kept = {a.id for a in wanted}
    if others := sum(a.id not in kept and a.ref.case not in gone for a in accepted):
        only = "no other reader approved, as only reviewed" if "reviewed" in states else "another reader approved, as only unreviewed"
        said.append(f"{count(others, 'accepted slice')} that {only} ones were chosen.")
    for case, number in Counter(a.ref.case for a in accepted if a.ref.case in gone).items():
        why = "is excluded" if case in excluded else "was not chosen"
        said.append(f"{count(number, 'accepted slice')} of case {case}, which {why}.")
    return tuple(said)


def annotations_in(study: Study, states: Sequence[str], *, case: str | None = None) -> tuple[Annotation, ...]:
    """Accepted annotations (of one case) by what became of them; where two readers accepted a slice, both.

    Raises:
        InputError: there is no such state.
    """
    for state in states:
        if state not in EXPORTED:
            raise InputError(f"Slices that are {state} cannot be exported.", hint=f"Choose from {' and '.join(EXPORTED)}.")
    approved = {identifier for identifier, review in study.reviews().items() if review.verdict == "approved"}
    accepted = _accepted(study, case=case)
    return tuple(a for a in accepted if ("reviewed" if a.id in approved else "accepted") in states)


def _accepted(study: Study, *, case: str | None = None) -> list[Annotation]:
    return [a for a in study.all_annotations(case=case) if a.state == "accepted" and a.provenance != FILLED]


def case_labelmap(study: Study, case: str, *, states: Sequence[str] = EXPORTED) -> tuple[LabelArray, NDArray[np.uint8]]:
    """Labels and mask of a case on its own grid `(k, j, i)`; where nothing was accepted, the ignore value and 0."""
    grid = CaseGrid(case, study.case(case).geometry, study.frame(case), study.schema)
    shown = newest(grid, annotations_in(study, states, case=case))
    return place(grid, {ref.native_index: a.labels for ref, a in shown.items()})


def _completed(study: Study, folder: Path, content: CaseContent, *, suffix: str, overwrite: bool) -> ExportedFiles:
    model, grid = study.latest_model("segmentation"), content.grid
    if model is None or content.prediction is None:
        raise StudyError(f"Case {grid.case} has no prediction of the newest model.", hint="Run `predict` first.")
    predicted = grid.frame.stack(np.load(content.prediction, allow_pickle=False).astype(np.uint16))
    about = {"id": model.id, "round": model.round, "created": model.created, "weights": model.path.name}
    return export_completed(folder, grid, content.annotations, predicted, model=about, suffix=suffix, overwrite=overwrite)
