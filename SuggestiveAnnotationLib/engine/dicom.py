"""DICOM series for a person to confirm, and the plan of those that were confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from SuggestiveAnnotationLib.cohort.dicom.index import find_series
from SuggestiveAnnotationLib.cohort.dicom.plan import SeriesGroup, plan_dicom, series_groups
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress


def find_series_groups(
    folder: Path | None,
    *,
    files: Sequence[str] | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[SeriesGroup, ...]:
    """The series of a folder, a DICOMDIR or a list of files, one entry for every description, with a guess which sequence it is.

    Raises:
        InputError: there is no DICOM series.
    """
    return series_groups(find_series(folder, files=files, progress=progress, cancel=cancel))


def plan_series(
    folder: Path | None,
    *,
    chosen: Mapping[str, Sequence[str]],
    files: Sequence[str] | None = None,
    patient_ids: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> CohortPlan:
    """The plan of the series that a person chose.

    Args:
        folder, files: as of `find_series_groups`.
        chosen: sequence -> the descriptions that are it, as `find_series_groups` gives them.
        patient_ids: name cases by the patient's ID instead of a pseudonym.

    Raises:
        InputError: nothing was chosen, or no case has what was chosen.
    """
    if not chosen:
        raise InputError("No series was chosen.", hint="Choose at least one.")
    # A description as it stands goes before what fits it as a pattern.
    patterns = {sequence: "\n".join(descriptions) for sequence, descriptions in chosen.items()}
    return plan_dicom(folder, files=files, images=patterns, patient_ids=patient_ids, progress=progress, cancel=cancel)
