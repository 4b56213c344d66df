"""`annotations import`: labels that a person drew in another program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from SuggestiveAnnotationLib.engine.labels import file_hash, publish_imported
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.export.read_back import annotations_from_labelmap, parse_slice_numbers
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.session import SIMULATED_ANNOTATOR, Session, reader_name
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import AnnotatedRule, SliceRef, slice_number


@dataclass(frozen=True)
class Imported:
    """What one import took.

    Attributes:
        refs: the slices.
        notes: sentences on what the person may not have meant: slices that were accepted before, a rule that nobody named, a case that is
            not trained on, a name that is new; and on what of a segmentation could not be kept.
    """

    refs: tuple[SliceRef, ...]
    notes: tuple[str, ...] = ()


def import_annotations(
    study: Study,
    path: Path,
    *,
    case: str,
    annotator: str,
    slices: str | None = None,
    mask: Path | None = None,
    rule: AnnotatedRule | None = None,
    as_: Literal["accepted", "pre-annotation"] = "accepted",
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Imported:
    """Take slices of one case from a labelmap on the case's grid, or from a segmentation (`.seg.nrrd`, DICOM SEG) that lies over it.

    Args:
        study: prepared.
        path: a labelmap with values of the schema, or a segmentation whose structures have the names of the schema's.
        case: that it belongs to.
        annotator: who drew it.
        slices: which slices it covers, 1-based, as "10,12,20-25"; mask: volume that is not 0 on the slices covered; rule: which of the
            file's slices count. At most one of the three; with none, see `export.read_back.annotations_from_labelmap`.
        as_: "accepted" annotations, or what readers see as "pre-annotation" and correct; pixels that the file ignores are background there.

    Returns:
        The slices taken, and what to know of them. A slice that the same annotator accepted before is superseded.

    Raises:
        InputError: no such case, another grid, values or structures outside the schema, slices that do not exist, no slice counts, or a
            name that is no text.
        StudyError: the annotator has no name.
    """
    annotator = reader_name(annotator)
    frame = study.frame(case)
    grid = CaseGrid(case, study.case(case).geometry, frame, study.schema)
    numbers = None if slices is None else parse_slice_numbers(slices, count=frame.count)
    stage = Stage("import", 1, progress=progress, cancel=cancel)
    notes: list[str] = []
    found = annotations_from_labelmap(path, grid, slices=numbers, mask=mask, rule=rule, say=notes.append)
    stage.advance()
    labels = {SliceRef(case, frame.axis, index): array for index, array in found.items()}
    if as_ == "accepted":
        session = Session(study, annotator=annotator)
        notes += _to_know(study, case, labels.keys(), annotator)
        return Imported(tuple(a.ref for a in session.import_annotations(labels)), tuple(notes))
    about = {"file_sha256": file_hash(path), "slices": [slice_number(ref) for ref in labels]}
    model = publish_imported(study, by=annotator, labels={case: about}, rule=rule or ("listed" if slices or mask else "as the file tells"))
    ignore = study.schema.ignore_value
    study.add_predictions(model.id, ((ref, np.where(a == ignore, 0, a).astype(a.dtype)) for ref, a in labels.items()))
    return Imported(tuple(labels), tuple(notes))


def _to_know(study: Study, case: str, refs: Set[SliceRef], annotator: str) -> Iterator[str]:
    """Sentences on what accepting these slices does that the person may not have meant."""
    works = study.work_notes()
    before = Counter(note.annotator for note in works if note.state == "accepted" and note.ref in refs)
    for who, number in before.items():
        slices = f"{count(number, 'slice')} that {who} had accepted {'is' if number == 1 else 'are'}"
        if who == annotator:
            yield f"{slices} replaced; what was there stays in the study as superseded."
        else:
            yield f"{slices} accepted by {annotator} as well; the later one is trained on."
    role = study.case(case).role
    if role != "pool":
        article = "an" if role == "excluded" else "a"
        yield f"Case {case} is {article} {role} case, so its slices are not trained on."
    others = sorted({note.annotator for note in works} - {SIMULATED_ANNOTATOR})
    if others and annotator not in others:
        yield f"{annotator} is a new annotator; the study has {', '.join(others)}."
