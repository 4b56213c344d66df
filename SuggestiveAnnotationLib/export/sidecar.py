"""The JSON beside an exported labelmap: who accepted what, why it was suggested, and which slices are model output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.cohort.files.text_file import read_json_file
from SuggestiveAnnotationLib.cohort.labels.export_sidecar import EXPORT_FORMAT
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.assemble import AcceptedSlice, CaseGrid
from SuggestiveAnnotationLib.files import sha256_of
from SuggestiveAnnotationLib.types import LabelSchema, SliceRef, Suggestion, slice_number

VERSION = 1


def earlier_files(folder: Path, written: Iterable[Path]) -> tuple[str, ...]:
    """A sentence on files of earlier exports that lie in `folder` still, empty where there are none. Files of others are not looked at.

    Args:
        folder: of the export.
        written: what this one wrote; without a sidecar among it nothing is said.
    """
    new = {path.name for path in written if path.parent == folder}
    own = {path.name: _names_in(path) for path in sorted(folder.glob("*.json"))}
    told = {name: None for sidecar, names in own.items() if names and sidecar not in new for name in (*names.values(), sidecar)}
    left = [name for name in told if name not in new and (folder / name).is_file()]
    if not left or not any(names for sidecar, names in own.items() if sidecar in new):
        return ()
    files = "1 file of an earlier export is" if len(left) == 1 else f"{len(left)} files of earlier exports are"
    return (f"{files} still in {folder}, such as {left[0]}: remove what is not wanted any more.",)


def sidecar_path(path: Path, labels: Path) -> Path:
    """Where the JSON of a file of labels goes: `path`; the name of the labels with `.json` where `path` is that of labels in another
    format that lie beside it, so that each keeps its own.
    """
    others = {name for role, name in _names_in(path).items() if role != "mask"} - {labels.name}
    return path.with_name(f"{labels.name}.json") if any((path.parent / name).is_file() for name in others) else path


def _names_in(sidecar: Path) -> dict[str, str]:
    """Role -> name of the files that a sidecar of this project tells of; empty for everything else."""
    try:
        data = read_json_file(sidecar, "sidecar")
    except InputError:
        return {}
    files = data.get("files") if isinstance(data, dict) and data.get("format") == EXPORT_FORMAT else None
    names = {role: one.get("name") for role, one in files.items() if isinstance(one, dict)} if isinstance(files, dict) else {}
    return {role: name for role, name in names.items() if isinstance(name, str) and Path(name).name == name}


def header(grid: CaseGrid, kind: str, files: Mapping[str, tuple[Path, Path]]) -> dict[str, Any]:
    """What every sidecar begins with.

    Args:
        grid: of the case.
        kind: what the labelmap is, for a machine.
        files: role -> (final path, path with the content now), hashed so that a labelmap that is not the sidecar's own is noticed.
    """
    return {
        "format": EXPORT_FORMAT,
        "version": VERSION,
        "kind": kind,
        "case": grid.case,
        "files": {role: {"name": final.name, "sha256": sha256_of(content)} for role, (final, content) in files.items()},
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
    for a in sorted(annotations, key=lambda a: a.ref):
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
