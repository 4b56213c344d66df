"""The JSON beside an exported labelmap: who accepted what, why it was suggested, and which slices are model output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.export.assemble import AcceptedSlice, CaseGrid
from SuggestiveAnnotationLib.types import LabelSchema, SliceRef, Suggestion, slice_number

VERSION = 1


def header(grid: CaseGrid, kind: str, files: Mapping[str, tuple[Path, Path]]) -> dict[str, Any]:
    """What every sidecar begins with.

    Args:
        grid: of the case.
        kind: what the labelmap is, for a machine.
        files: role -> (final path, path with the content now), hashed so that a labelmap that is not the sidecar's own is noticed.
    """
    return {
        "format": "SuggestiveAnnotation export",
        "version": VERSION,
        "kind": kind,
        "case": grid.case,
        "files": {role: {"name": final.name, "sha256": _sha256(content)} for role, (final, content) in files.items()},
        "grid": grid.geometry.to_json(),
        "axis": grid.frame.axis,
        "slices": grid.frame.count,
        "schema": describe_schema(grid.schema),
    }


def describe_schema(schema: LabelSchema) -> dict[str, Any]:
    """The meaning of every value in the labelmap."""
    return {
        "name": schema.name,
        "key": schema.key,
        "ignore_value": schema.ignore_value,
        "background": 0,
        "labels": [{"value": c.value, "name": c.name, "colour": list(c.colour), "terminology": c.terminology} for c in schema.classes],
    }


def describe_annotations(
    annotations: Iterable[AcceptedSlice],
    shown: Mapping[SliceRef, AcceptedSlice],
    *,
    suggestions: Mapping[SliceRef, Suggestion],
    models: Mapping[int, int],
) -> list[dict[str, Any]]:
    """One entry for each annotation, in slice order, then in the order of acceptance.

    Args:
        annotations: all of the case.
        shown: slice -> the one that is in the labelmap.
        suggestions: slice -> why it was suggested, where it was.
        models: prediction -> the model it came from.
    """
    entries = []
    for a in sorted(annotations, key=lambda a: (a.ref, a.accepted_at)):
        suggestion = suggestions.get(a.ref)
        entries.append(
            {
                **name_slice(a.ref),
                "annotator": a.annotator,
                "provenance": a.provenance,
                "accepted_at": a.accepted_at,
                "in_labelmap": shown[a.ref] is a,
                "round": a.round,
                "suggestion": None if suggestion is None else describe_suggestion(suggestion),
                "prediction": a.prediction_id,
                "model": None if a.prediction_id is None else models.get(a.prediction_id),
                "minutes": a.minutes,
                "effort": None if a.effort is None else dict(a.effort),
            }
        )
    return entries


def name_slice(ref: SliceRef) -> dict[str, int]:
    """`slice` is the number a person sees (from 1), `native_index` the place in the array (from 0)."""
    return {"slice": slice_number(ref), "native_index": ref.native_index}


def numbers(grid: CaseGrid, indices: Iterable[int]) -> Sequence[int]:
    """Slice numbers a person sees, ascending."""
    return [slice_number(SliceRef(grid.case, grid.frame.axis, k)) for k in sorted(indices)]


def describe_suggestion(suggestion: Suggestion) -> dict[str, Any]:
    """Why a slice was suggested."""
    why = suggestion.rationale
    return {"strategy": why.strategy, "kind": suggestion.kind, "rank": suggestion.rank, "score": why.score, "sentence": why.sentence}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
