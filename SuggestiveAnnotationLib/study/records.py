"""Rows of the study as frozen objects."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from SuggestiveAnnotationLib.errors import StudyError
from SuggestiveAnnotationLib.study.trust import MAX_AXIS, slice_ref
from SuggestiveAnnotationLib.types import (
    AnnotationState,
    LabelArray,
    ModelKind,
    Provenance,
    RoundStage,
    SliceRef,
    Suggestion,
    SuggestionKind,
    SuggestionState,
    Unit,
    Verdict,
    describe,
)

MAX_PIXELS = 2**27
"""No label slice has more pixels."""


@dataclass(frozen=True)
class PackedLabels:
    """A label slice as it lies in a row."""

    labels: bytes
    rows: int
    columns: int


@dataclass(frozen=True)
class Round:
    """One round: train on what is accepted, suggest, pre-annotate, annotate. Round 0 is the first batch, without a model.

    Attributes:
        seconds: stage -> seconds it took.
        notes: sentences of the strategy (shortfall, warnings).
    """

    number: int
    stage: RoundStage
    strategy: str
    unit: Unit
    budget: int
    seed: int
    settings: Mapping[str, Any]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
    started: str
    finished: str | None


@dataclass(frozen=True)
class Model:
    """A published model: its files were synced before this row. `path` and `latents` are absolute."""

    id: int
    kind: ModelKind
    round: int | None
    record_key: str
    path: Path
    latents: Path | None
    card: Mapping[str, Any]
    created: str

    @property
    def imported_from(self) -> Mapping[str, Any] | None:
        """Where a network came from that was trained in another study, see `engine.import_model`; None where it was trained in this one."""
        found = self.card.get("imported_from")
        return found if isinstance(found, dict) else None


def model_before(models: Sequence[Model], model: Model) -> Model | None:
    """The model that shows what the round before `model` gained: the newest earlier one of another round that was trained on other
    annotations. A round that was abandoned leaves a model of the same annotations, which would show no gain whatever people did. An
    imported model learnt from nobody here: it is the one before only where no other is.

    Args:
        models: oldest first, of one kind.

    Returns:
        None where there is none. A model whose card does not name its annotations counts as trained on others.
    """
    learnt = model.card.get("annotations")
    earlier = [one for one in models if one.id < model.id and one.round != model.round]
    earlier.sort(key=lambda one: one.imported_from is None)
    return next((one for one in reversed(earlier) if learnt is None or one.card.get("annotations") != learnt), None)


@dataclass(frozen=True)
class SuggestionRow:
    """A suggestion and what became of it. `reason` is why it was skipped."""

    id: int
    round: int
    suggestion: Suggestion
    state: SuggestionState
    reason: str


@dataclass(frozen=True)
class SuggestionStateRow:
    """A suggestion without its rationale. `reason` is why it was skipped."""

    id: int
    round: int
    ref: SliceRef
    rank: int
    kind: SuggestionKind
    state: SuggestionState
    reason: str


@dataclass(frozen=True)
class Prediction:
    """What one model says of one slice. Immutable."""

    id: int
    ref: SliceRef
    model_id: int
    labels: LabelArray


@dataclass(frozen=True)
class Draft:
    """Unaccepted work of one annotator on one slice. Never trained on."""

    ref: SliceRef
    annotator: str
    labels: LabelArray
    prediction_id: int | None
    updated: str


@dataclass(frozen=True)
class Annotation:
    """An accepted slice.

    Attributes:
        batch: the accept transaction it came in.
        prediction_id: the prediction first shown, if one was.
        effort: JSON of `effort`, None where nothing was shown.
        minutes: simulated or measured, None where unknown.
    """

    id: int
    batch: str
    ref: SliceRef
    annotator: str
    provenance: Provenance
    state: AnnotationState
    round: int | None
    prediction_id: int | None
    effort: Mapping[str, Any] | None
    minutes: float | None
    accepted_at: str
    packed: PackedLabels

    @property
    def labels(self) -> LabelArray:
        """Schema values `(row, column)`, unpacked at every call: a study holds thousands of annotations, and most readers need none."""
        return unpack(self.packed, self.ref)


@dataclass(frozen=True)
class WorkNote:
    """That somebody has a draft of a slice, or accepted it, without the labels. `state` is that of the annotation, "draft" for a draft.

    Attributes:
        id: of the annotation; None for a draft.
        at: when it was accepted or last saved.
    """

    id: int | None
    ref: SliceRef
    annotator: str
    state: AnnotationState | Literal["draft"]
    prediction_id: int | None
    at: str


@dataclass(frozen=True)
class Review:
    """What a second reader said of an annotation. `note` is empty where nothing was said."""

    id: int
    annotation_id: int
    reviewer: str
    verdict: Verdict
    note: str
    at: str


@dataclass(frozen=True)
class Event:
    """Something that happened, raw. Times are derived from these later."""

    id: int
    at: str
    annotator: str
    ref: SliceRef | None
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """One measured number. `case` and `label` are empty for totals; `value` is None where undefined."""

    round: int
    name: str
    case: str
    label: str
    value: float | None


def now() -> str:
    """Time stamp of rows: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def pack(labels: LabelArray) -> dict[str, Any]:
    """Label slice -> columns of a row."""
    if labels.ndim != 2:
        raise ValueError(f"a label slice has two axes, not {labels.ndim}")
    data = np.ascontiguousarray(labels, np.dtype("<u2"))
    return {"labels": zlib.compress(data.tobytes(), 1), "rows": data.shape[0], "columns": data.shape[1]}


def unpack(row: Any, ref: SliceRef) -> LabelArray:
    """Columns of a row -> label slice. Raises: StudyError, naming the slice, when they are damaged."""
    rows, columns = row.rows, row.columns
    try:
        if type(rows) is not int or type(columns) is not int or not (0 < rows < MAX_AXIS and 0 < columns < MAX_AXIS):
            raise ValueError(f"{rows} x {columns} pixels")
        if rows * columns > MAX_PIXELS:
            raise ValueError(f"{rows} x {columns} pixels")
        # No more than the slice has: a small value can unpack to any size.
        stream = zlib.decompressobj()
        data = stream.decompress(row.labels, 2 * rows * columns + 1)
        if not stream.eof:
            raise ValueError("another number of pixels")
        return np.frombuffer(data, "<u2").reshape(rows, columns).astype(np.uint16)
    except (zlib.error, ValueError, TypeError) as error:
        sentence = f"The study database is damaged: the labels of {describe(ref)} cannot be read."
        raise StudyError(sentence, hint="Restore it from a backup.") from error


def ref_columns(ref: SliceRef) -> dict[str, Any]:
    """Slice -> columns of a row."""
    return {"case": ref.case, "axis": ref.axis, "native_index": ref.native_index}


def row_ref(row: Any) -> SliceRef:
    """Columns of a row -> slice. Raises: StudyError, when there can be no such slice."""
    return slice_ref(row.case, row.axis, row.native_index)
