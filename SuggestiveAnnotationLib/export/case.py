"""Labelmaps of cases: the annotated slices with their mask, and, apart from them, the volume that a model completed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.assemble import AcceptedSlice, CaseGrid, newest, place, storage_type
from SuggestiveAnnotationLib.export.case_images import earlier_readers
from SuggestiveAnnotationLib.export.content import Exported, StudyContent
from SuggestiveAnnotationLib.export.sidecar import describe_annotations, header, numbers, sidecar_path
from SuggestiveAnnotationLib.export.volume_file import SUFFIXES, write_volume
from SuggestiveAnnotationLib.files import file_stem, refuse_present, whole_file
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelArray, SliceRef, Suggestion


@dataclass(frozen=True)
class ExportedFiles:
    """Where an export lies, see `sidecar.sidecar_path`. `mask` is 1 on annotated slices and 0 on all others."""

    labelmap: Path
    mask: Path
    sidecar: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """The three files."""
        return (self.labelmap, self.mask, self.sidecar)


def write_labelmaps(folder: Path, content: StudyContent, *, suffix: str, overwrite: bool, stage: Stage) -> Exported:
    """The labelmap, mask and JSON of every case, see `export_annotations`; what the labelmap formats of `export.formats` share.

    Raises:
        InputError: the format cannot hold the grid of a case.
        ExistsError: a file of any case exists and `overwrite` is off; nothing is written then.
        StorageError: the folder is read-only or the disk is full.
    """
    wanted = [_paths(folder, case.grid.case, *_ANNOTATION, suffix) for case in content.cases]
    refuse_present([path for files in wanted for path in files.all], overwrite=overwrite)
    files: list[Path] = []
    for case in content.cases:
        one = export_annotations(
            folder, case.grid, case.annotations, suggestions=case.suggestions, models=case.models, suffix=suffix, overwrite=overwrite
        )
        files += one.all
        stage.advance()
    return Exported(tuple(files), earlier_readers(content))


def export_annotations(
    folder: Path,
    grid: CaseGrid,
    annotations: Iterable[AcceptedSlice],
    *,
    suggestions: Mapping[SliceRef, Suggestion] | None = None,
    models: Mapping[int, int] | None = None,
    suffix: str = ".nii.gz",
    overwrite: bool = False,
) -> ExportedFiles:
    """Write `<case>_annotation`, `<case>_annotated-mask` and `<case>_annotation.json`.

    Slices that nobody accepted carry the schema's ignore value. Where several annotators accepted a slice the labelmap holds the last
    and the JSON lists all. An error or a crash leaves files of an earlier export as they were.

    Args:
        folder: where to; made if it is absent.
        grid: case, voxel grid, slices and schema.
        annotations: accepted slices of the case.
        suggestions: slice -> the suggestion it followed.
        models: prediction id -> model id.
        suffix: one of `SUFFIXES`, the format.
        overwrite: files of the same name are replaced.

    Raises:
        InputError: the suffix is unknown, or an annotation does not fit the grid or the schema.
        ExistsError: a file exists and `overwrite` is off.
        StorageError: the folder is read-only or the disk is full.
    """
    listed = tuple(annotations)
    shown = newest(grid, listed)
    labels, mask = place(grid, {ref.native_index: a.labels for ref, a in shown.items()})
    entries = describe_annotations(listed, shown, suggestions=suggestions or {}, models=models or {})
    files = _paths(folder, grid.case, *_ANNOTATION, suffix)
    return _write(files, grid, labels, mask, kind="annotation", content={"annotations": entries}, overwrite=overwrite)


def export_completed(
    folder: Path,
    grid: CaseGrid,
    annotations: Iterable[AcceptedSlice],
    predicted: Mapping[int, LabelArray] | Sequence[LabelArray] | NDArray[np.uint16],
    *,
    model: Mapping[str, Any],
    suffix: str = ".nii.gz",
    overwrite: bool = False,
) -> ExportedFiles:
    """Write `<case>_model-completed`, its mask and its JSON: annotation where somebody accepted one, model output elsewhere.

    The mask is that of the annotated slices; the JSON lists which slices are model output.

    Args:
        folder: where to; made if it is absent.
        grid: case, voxel grid, slices and schema.
        annotations: accepted slices of the case.
        predicted: native index -> schema values `(row, column)`, or all slices in native order. Slices neither predicted nor annotated
            carry the ignore value.
        model: what the JSON says of the model (id, kind, round, card), JSON values only.
        suffix: one of `SUFFIXES`, the format.
        overwrite: files of the same name are replaced.

    Raises:
        InputError: as `export_annotations`, also for predictions.
        StorageError: the folder is read-only or the disk is full.
    """
    by_index = dict(predicted.items()) if isinstance(predicted, Mapping) else dict(enumerate(predicted))
    annotated = {ref.native_index: a.labels for ref, a in newest(grid, annotations).items()}
    labels, _ = place(grid, {**by_index, **annotated})
    _, mask = place(grid, annotated)
    content = {
        "warning": "Slices listed under model_slices are the output of a model; nobody has accepted them.",
        "model": dict(model),
        "annotated_slices": numbers(grid, annotated),
        "model_slices": numbers(grid, by_index.keys() - annotated.keys()),
        "empty_slices": numbers(grid, set(range(grid.frame.count)) - by_index.keys() - annotated.keys()),
    }
    files = _paths(folder, grid.case, "model-completed", "model-completed_annotated-mask", suffix)
    return _write(files, grid, labels, mask, kind="model-completed", content=content, overwrite=overwrite)


def prediction_file(folder: Path, case: str) -> Path:
    """Where `export_prediction` writes the labelmap of a case."""
    return Path(folder) / f"{file_stem(case)}_model-prediction.nii.gz"


def export_prediction(folder: Path, grid: CaseGrid, predicted: LabelArray, *, overwrite: bool = False) -> Path:
    """Write `<case>_model-prediction.nii.gz`: the output of a model alone, on the case's own voxel grid.

    Args:
        folder: where to; made if it is absent.
        grid: case, voxel grid and schema.
        predicted: schema values `(k, j, i)`.
        overwrite: a file of the same name is replaced.

    Raises:
        InputError: NIfTI cannot hold the grid of the case.
        ExistsError: the file exists and `overwrite` is off.
        StorageError: the folder is read-only or the disk is full.
    """
    path = prediction_file(folder, grid.case)
    refuse_present([path], overwrite=overwrite)
    with whole_file(path) as scratch:
        write_volume(scratch, path, predicted.astype(storage_type(grid.schema)), grid.geometry)
    return path


_ANNOTATION = ("annotation", "annotated-mask")


def _paths(folder: Path, case: str, labelmap: str, mask: str, suffix: str) -> ExportedFiles:
    if suffix not in SUFFIXES:
        raise InputError(f"Labelmaps cannot be written as {suffix}.", hint=f"Choose one of {', '.join(SUFFIXES)}.")
    stem = file_stem(case)
    labels = Path(folder) / f"{stem}_{labelmap}{suffix}"
    return ExportedFiles(
        labels, labels.with_name(f"{stem}_{mask}{suffix}"), sidecar_path(labels.with_name(f"{stem}_{labelmap}.json"), labels)
    )


def _write(
    files: ExportedFiles,
    grid: CaseGrid,
    labels: LabelArray,
    mask: NDArray[np.uint8],
    *,
    kind: str,
    content: Mapping[str, Any],
    overwrite: bool,
) -> ExportedFiles:
    refuse_present(files.all, overwrite=overwrite)
    with ExitStack() as stack:
        # Renamed in the opposite order, and only when all three are written: the JSON, which knows the hashes of the others, comes last.
        sidecar, mask_file, labelmap = (stack.enter_context(whole_file(p)) for p in (files.sidecar, files.mask, files.labelmap))
        write_volume(labelmap, files.labelmap, labels.astype(storage_type(grid.schema)), grid.geometry)
        write_volume(mask_file, files.mask, mask, grid.geometry)
        written = {"labelmap": (files.labelmap, labelmap), "mask": (files.mask, mask_file)}
        document = {**header(grid, kind, written), **content}
        sidecar.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return files
