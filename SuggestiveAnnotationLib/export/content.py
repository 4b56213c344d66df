"""What of a study goes out, as plain data: every exporter takes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.export.assemble import CaseGrid, newest, place
from SuggestiveAnnotationLib.study.records import Annotation, Event, Model, Review, Round
from SuggestiveAnnotationLib.types import Case, LabelArray, LabelSchema, PreprocessingRecord, SliceRef, Suggestion


@dataclass(frozen=True)
class CaseContent:
    """One case.

    Attributes:
        case: with the paths of its images.
        grid: its voxel grid, how slices lie in it, and the schema.
        annotations: accepted slices in the chosen states; where two readers accepted a slice, both.
        suggestions: slice -> the suggestion it followed.
        models: prediction -> the model it came from.
        prediction: `.npy` of the newest model's prediction of the whole case, `(k, j, i)`; None where there is none.
        source_sha256: of the files that the case was prepared from; None where that is not known.
    """

    case: Case
    grid: CaseGrid
    annotations: tuple[Annotation, ...]
    suggestions: Mapping[SliceRef, Suggestion] = field(default_factory=dict)
    models: Mapping[int, int] = field(default_factory=dict)
    prediction: Path | None = None
    source_sha256: str | None = None

    def shown(self) -> dict[SliceRef, Annotation]:
        """For each annotated slice the annotation accepted last, which is the one that goes into labelmaps."""
        return {ref: a for ref, a in newest(self.grid, self.annotations).items() if isinstance(a, Annotation)}

    def volume(self) -> tuple[LabelArray, NDArray[np.uint8]]:
        """Labels and mask `(k, j, i)` on the native grid; the ignore value and 0 where nobody accepted a slice."""
        return place(self.grid, {ref.native_index: a.labels for ref, a in self.shown().items()})


@dataclass(frozen=True)
class StudyContent:
    """Everything an exporter may write.

    Attributes:
        title: of the study. key: tells it from others of the same title.
        schema, modalities, reference, record: as the study has them; modalities in channel order.
        cases: those to export, each with at least one annotation.
        reviews: annotation -> the newest review of it.
        models, rounds, events: of the whole study.
        settings: what the study was created with, seed included.
        states: of annotations that were chosen: accepted, reviewed.
        left_out: sentences on what of the study does not go out.
        version: of this library.
        where: where a file lies now that images were made from, given its path then.
    """

    title: str
    schema: LabelSchema
    modalities: tuple[str, ...]
    reference: str
    record: PreprocessingRecord
    cases: tuple[CaseContent, ...]
    reviews: Mapping[int, Review] = field(default_factory=dict)
    models: tuple[Model, ...] = ()
    rounds: tuple[Round, ...] = ()
    events: tuple[Event, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[str, ...] = ("accepted", "reviewed")
    left_out: tuple[str, ...] = ()
    version: str = ""
    key: str = ""
    where: Callable[[str], str] = str


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and sentences on what its format left out and why: what the study kept back is in `StudyContent.left_out`."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()
