"""`study check`: read every image once and say what is wrong with it."""

from __future__ import annotations

from SuggestiveAnnotationLib.cohort.checks import examine_case
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.study.study import Study


def check(study: Study, *, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> dict[str, tuple[str, ...]]:
    """Check every case's files in full, and keep the sentences in the study.

    Returns:
        Case -> problems, for cases that have any; excluded cases with the reason they were excluded for.
    """
    cases = study.cases()
    record = study.frozen_record()
    plane = None if record is None else record.plane
    stage = Stage("check", len(cases), progress=progress, cancel=cancel)
    found: dict[str, tuple[str, ...]] = {}
    for case in cases:
        problems: tuple[str, ...] = (case.excluded_reason,)
        if case.role != "excluded":
            seen = examine_case(case, study.schema, study.modalities, reference=study.reference_modality, plane=plane, cancel=cancel)
            problems = seen.problems
            study.set_problems(case.name, (*problems, *seen.warnings))
        if problems:
            found[case.name] = problems
        stage.advance()
    return found
