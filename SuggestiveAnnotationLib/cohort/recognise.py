"""Which kind of folder a cohort is, and its plan by the reader for that kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.labels.label_file import is_segmentation
from SuggestiveAnnotationLib.cohort.layouts.bids import is_bids, plan_bids
from SuggestiveAnnotationLib.cohort.layouts.challenge_list import Challenge
from SuggestiveAnnotationLib.cohort.layouts.challenges import plan_challenge, recognise
from SuggestiveAnnotationLib.cohort.layouts.dataset_json import is_dataset, plan_dataset
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan, Layout
from SuggestiveAnnotationLib.cohort.table import apply_table, read_table
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress


def layout_of(folder: Path) -> Layout:
    """The kind of a folder, or of a DICOMDIR file.

    Raises:
        InputError: no such folder, or nothing in it that can be read.
    """
    return _look_at(folder)[0]


def _look_at(folder: Path) -> tuple[Layout, Challenge | None]:
    """The kind, and the challenge where it is one: both take one look at all file names."""
    if folder.name.upper() == "DICOMDIR":
        return "dicom", None
    if folder.is_dir():
        if is_dataset(folder):
            return "dataset-json", None
        if is_bids(folder):
            return "bids", None
    try:
        challenge = recognise(scan(folder))
    except InputError:
        if folder.is_dir() and _holds_dicom(folder):
            return "dicom", None
        raise
    return "names" if challenge is None else "challenge", challenge


def plan_folder(
    folder: Path,
    *,
    layout: str = "",
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: Path | None = None,
    reference: str | None = None,
    patient_ids: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> CohortPlan:
    """The plan of a cohort of any kind.

    Args:
        folder: of the cohort, or a DICOMDIR.
        layout: one of `Layout`; recognised when empty.
        images, label, mask, reference: as in `discover.discover`, and overrule what is recognised. For DICOM, `images` is matched with the
            descriptions of the series.
        table: see `table.read_table`.
        patient_ids: DICOM cases are named by the patient's ID instead of a pseudonym.

    Raises:
        InputError: an unknown layout, or as the reader of the layout.
    """
    root = Path(folder).expanduser()
    if layout and layout not in get_args(Layout):
        raise InputError(f"There is no layout {layout}.", hint=f"Choose one of {', '.join(get_args(Layout))}, or leave it out.")
    kind, challenge = (layout, None) if layout else _look_at(root)
    if layout == "challenge":
        challenge = recognise(scan(root))
    if kind == "dicom":
        from SuggestiveAnnotationLib.cohort.dicom.plan import plan_dicom

        plan = plan_dicom(root, images=images, reference=reference, patient_ids=patient_ids, progress=progress, cancel=cancel)
        plan = plan if table is None else _with_table(plan, table)
    elif kind == "bids":
        plan = plan_bids(root, images=images, label=label, mask=mask, table=table, reference=reference)
    elif kind == "dataset-json":
        plan = plan_dataset(root, images=images, label=label, mask=mask, table=table, reference=reference)
    elif challenge is not None:
        plan = plan_challenge(root, challenge, images=images, label=label, mask=mask, table=table, reference=reference)
    else:
        plan = discover(root, images=images, label=label, mask=mask, table=table, reference=reference)
    return _with_segmentations(plan)


def _holds_dicom(folder: Path) -> bool:
    from SuggestiveAnnotationLib.cohort.dicom.index import is_dicom_folder

    return is_dicom_folder(folder)


def _with_table(plan: CohortPlan, table: Path) -> CohortPlan:
    cases, notes = apply_table(plan.cases, read_table(table), source=str(table))
    return replace(plan, cases=cases, warnings=(*plan.warnings, *notes))


def _with_segmentations(plan: CohortPlan) -> CohortPlan:
    """Labels in Slicer's or DICOM's segmentation format are made into labelmaps when the study is created."""
    found = {c.label: Source("segmentation", (c.label,)) for c in plan.cases if c.label is not None and is_segmentation(c.label)}
    return plan if found.keys() <= plan.sources.keys() else replace(plan, sources={**found, **plan.sources})
