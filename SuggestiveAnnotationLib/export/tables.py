"""`effort.csv`, one line for every accepted annotation, and `events.csv`, one line for every raw event. For spreadsheets and statistics.

UTF-8, comma-separated, with a header, as RFC 4180 says. Empty cells are unknown or do not apply. Text that a spreadsheet would take for a
formula - it begins with `=`, `+`, `-`, `@`, a tab or a line break - gets an apostrophe in front, and so does text that begins with an
apostrophe: to have a text back, take one leading apostrophe away. Numbers are written as they are, in full precision.

`effort.csv`, by case in the order of the cohort, then by slice, then in the order of acceptance:

| columns | meaning |
|---|---|
| `annotation` | number in the study |
| `case`, `patient`, `site`, `role` | as the study knows them: pseudonyms |
| `slice` | number that a person sees, from 1 |
| `native_index`, `axis` | place in the array `(k, j, i)`, from 0, and the axis it is counted on |
| `annotator`, `provenance` | who; unchanged, corrected, from scratch, empty or imported |
| `state`, `reviewer` | accepted, or reviewed: approved by the reviewer |
| `in_labelmap` | 1 for the annotation of the slice that was accepted last, which is the one in labelmaps, else 0 |
| `round`, `strategy`, `kind`, `rank`, `score` | round it was accepted in, and its suggestion: rank 0 first, higher scores sooner |
| `prediction`, `model`, `model_kind` | the pre-annotation first shown; imported: labels that were there before |
| `quantity` | what the measured contours are: retained contour, saved effort |
| `slice_spacing_mm`, `tolerance_pixels`, `tolerance_mm` | of the measurement |
| `total: ...`, `VALUE NAME: ...` | of all structures and of each, see `effort.agreement.ClassAgreement`; `of_reference...` is C / L |
| `minutes`, `accepted_at` | working time where it is known; UTC, ISO 8601 |

Volumes are areas times slice spacing. `events.csv`, oldest first, has `event`, `at`, `annotator`, `case`, `slice`, `native_index`, `axis`,
`kind` and `payload` (JSON), only of events on cases that are exported and of those on no case.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, ContourTotals
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.files import refuse_present, whole_file
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.records import Annotation, Event
from SuggestiveAnnotationLib.types import LabelSchema, slice_number

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""Beginnings of text that get an apostrophe in front."""

_MEASURES = (
    "reference_mm", "prediction_mm", "shared_mm", "shared_within_pixels_mm", "shared_within_millimetres_mm", "of_reference",
    "of_reference_within_pixels", "of_reference_within_millimetres", "of_prediction", "false_components",
)  # fmt: skip
_VOLUMES = ("added_mm3", "removed_mm3")


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write both tables, together or not at all. See `formats.Writer`.

    Raises:
        ExistsError: one of them is there and `overwrite` is off.
        StorageError: the folder is read-only or the disk is full.
    """
    effort, events = Path(folder) / "effort.csv", Path(folder) / "events.csv"
    refuse_present((effort, events), overwrite=overwrite)
    kept, left_out = _chosen(content)
    with ExitStack() as stack:
        events_file, effort_file = (stack.enter_context(whole_file(path)) for path in (events, effort))
        _write(effort_file, effort_rows(content, stage=stage))
        _write(events_file, (_event(event) for event in kept))
    return Exported((effort, events), left_out)


def effort_rows(content: StudyContent, *, stage: Stage | None = None) -> Iterator[dict[str, Any]]:
    """The lines of `effort.csv`, column -> value; None is an empty cell."""
    kinds = {model.id: model.kind for model in content.models}
    for case in content.cases:
        shown = case.shown()
        for annotation in sorted(case.annotations, key=lambda a: (a.ref, a.id)):
            yield {
                "annotation": annotation.id,
                "case": case.case.name,
                "patient": case.case.patient,
                "site": case.case.site,
                "role": case.case.role,
                "slice": slice_number(annotation.ref),
                "native_index": annotation.ref.native_index,
                "axis": annotation.ref.axis,
                "annotator": annotation.annotator,
                "provenance": annotation.provenance,
                **state_of(annotation, content),
                "in_labelmap": int(shown[annotation.ref].id == annotation.id),
                "round": annotation.round,
                **_suggestion(annotation, case),
                **_model(annotation, case, kinds),
                **_effort(annotation, content.schema, slice_spacing=case.grid.frame.spacing[0]),
                "minutes": annotation.minutes,
                "accepted_at": annotation.accepted_at,
            }
        if stage is not None:
            stage.advance()


def state_of(annotation: Annotation, content: StudyContent) -> dict[str, str | None]:
    """`state` of an accepted annotation, and the `reviewer` who approved it; None where nobody did."""
    review = content.reviews.get(annotation.id)
    approved = review is not None and review.verdict == "approved"
    return {"state": "reviewed" if approved else "accepted", "reviewer": review.reviewer if review is not None and approved else None}


def _suggestion(annotation: Annotation, case: CaseContent) -> dict[str, Any]:
    found = case.suggestions.get(annotation.ref)
    if found is None:
        return dict.fromkeys(("strategy", "kind", "rank", "score"))
    return {"strategy": found.rationale.strategy, "kind": found.kind, "rank": found.rank, "score": found.rationale.score}


def _model(annotation: Annotation, case: CaseContent, kinds: Mapping[int, str]) -> dict[str, Any]:
    model = None if annotation.prediction_id is None else case.models.get(annotation.prediction_id)
    return {"prediction": annotation.prediction_id, "model": model, "model_kind": None if model is None else kinds.get(model)}


def _effort(annotation: Annotation, schema: LabelSchema, *, slice_spacing: float) -> dict[str, Any]:
    effort = annotation.effort
    totals = None if effort is None else ContourTotals.from_json(effort)
    tolerances = None if totals is None else totals.tolerances
    row: dict[str, Any] = {
        "quantity": None if effort is None else effort.get("quantity"),
        "slice_spacing_mm": slice_spacing,
        "tolerance_pixels": None if tolerances is None else tolerances.pixels,
        "tolerance_mm": None if tolerances is None else tolerances.millimetres,
    }
    measured = {} if totals is None else {part.value: part for part in totals.classes}
    parts = {"total": None if totals is None else totals.overall}
    parts |= {f"{one.value} {one.name}": measured.get(one.value) for one in schema.classes}
    for name, part in parts.items():
        row |= {f"{name}: {measure}": value for measure, value in _measures(part, slice_spacing).items()}
    return row


def _measures(part: ClassAgreement | None, slice_spacing: float) -> dict[str, float | int | None]:
    if part is None:
        return dict.fromkeys((*_MEASURES, *_VOLUMES))
    volumes = {"added_mm3": part.added_mm3(slice_spacing), "removed_mm3": part.removed_mm3(slice_spacing)}
    return {**{name: getattr(part, name) for name in _MEASURES}, **volumes}


def _chosen(content: StudyContent) -> tuple[Sequence[Event], tuple[str, ...]]:
    """Events of the exported cases and of none; a sentence on the others."""
    names = {case.case.name for case in content.cases}
    kept = [event for event in content.events if _case_of(event) in {*names, None}]
    others = len(content.events) - len(kept)
    if not others:
        return kept, ()
    return kept, (f"{others} event{'' if others == 1 else 's'} on cases that are not exported.",)


def _case_of(event: Event) -> str | None:
    case = event.payload.get("case") if event.ref is None else event.ref.case
    return None if case is None else str(case)


def _event(event: Event) -> dict[str, Any]:
    return {
        "event": event.id,
        "at": event.at,
        "annotator": event.annotator,
        "case": _case_of(event),
        "slice": None if event.ref is None else slice_number(event.ref),
        "native_index": None if event.ref is None else event.ref.native_index,
        "axis": None if event.ref is None else event.ref.axis,
        "kind": event.kind,
        "payload": json.dumps(dict(event.payload), ensure_ascii=False, sort_keys=True),
    }


_EVENT = ("event", "at", "annotator", "case", "slice", "native_index", "axis", "kind", "payload")


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        header: Sequence[str] | None = None
        for row in rows:
            if header is None:
                header = list(row)
                writer.writerow(_safe(name) for name in header)
            writer.writerow(_safe(row[name]) for name in header)
        if header is None:
            writer.writerow(_EVENT)


def _safe(value: Any) -> Any:
    """A cell: text that a spreadsheet would calculate is marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
