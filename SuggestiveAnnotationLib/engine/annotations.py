"""`annotations import`: labelmaps that a person drew in another program."""

from __future__ import annotations

from pathlib import Path

from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.read_back import annotations_from_labelmap, parse_slice_numbers
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef


def import_annotations(
    study: Study, path: Path, *, case: str, annotator: str, slices: str | None = None, mask: Path | None = None
) -> tuple[SliceRef, ...]:
    """Accept slices of one case from a labelmap on the case's grid.

    Args:
        study: prepared.
        path: the labelmap, values of the schema.
        case: that it belongs to.
        annotator: who drew it.
        slices: which slices it covers, 1-based, as "10,12,20-25"; None: those of the mask, else every slice that holds a label.
        mask: volume that is not 0 on the slices covered.

    Returns:
        The slices accepted.

    Raises:
        InputError: another grid, values outside the schema, slices that do not exist.
    """
    frame = study.frame(case)
    grid = CaseGrid(case, study.case(case).geometry, frame, study.schema)
    numbers = None if slices is None else parse_slice_numbers(slices, count=frame.count)
    labels = annotations_from_labelmap(path, grid, slices=numbers, mask=mask)
    accepted = Session(study, annotator=annotator).import_annotations(
        {SliceRef(case, frame.axis, index): array for index, array in labels.items()}
    )
    return tuple(a.ref for a in accepted)
