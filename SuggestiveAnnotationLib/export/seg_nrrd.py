"""Segmentations that 3D Slicer opens with names, colours and terminology (`.seg.nrrd`), on the case's whole grid.

A segmentation cannot say of a voxel that nobody looked at it: outside the accepted slices, and where a reader chose to ignore, it is in no
segment, just as background is. So the mask of annotated slices and the JSON go beside it as beside a labelmap; where the mask is 0, the
segmentation says nothing.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.write import not_written, write_array_as
from SuggestiveAnnotationLib.cohort.labels.seg_nrrd import header_of, read_seg_nrrd
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.case_images import earlier_readers
from SuggestiveAnnotationLib.export.content import CaseContent, Exported, StudyContent
from SuggestiveAnnotationLib.export.sidecar import describe_annotations, header, sidecar_path
from SuggestiveAnnotationLib.export.volume_file import write_volume
from SuggestiveAnnotationLib.files import file_stem, refuse_present, whole_file
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.types import LabelSchema


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """Write `<case>_annotation.seg.nrrd`, `<case>_annotated-mask.nrrd` and `<case>_annotation.json` of every case; see `formats.Writer`.

    Every structure of the schema is a segment with the schema's value, whether a case has it or not.

    Raises:
        InputError: the format cannot hold the grid of a case.
        ExistsError: a file of any case exists and `overwrite` is off; nothing is written then.
        StorageError: the folder is read-only or the disk is full.
    """
    wanted = [_paths(Path(folder), case) for case in content.cases]
    refuse_present([path for paths in wanted for path in paths], overwrite=overwrite)
    left_out = list(earlier_readers(content))
    for case, paths in zip(content.cases, wanted, strict=True):
        ignored = _write(case, *paths)
        if ignored:
            left_out.append(ignored_pixels(case, ignored))
        stage.advance()
    return Exported(tuple(path for paths in wanted for path in paths), tuple(left_out))


def ignored_pixels(case: CaseContent, count: int) -> str:
    """What is said of pixels of accepted slices that a reader chose to ignore."""
    which = "1 pixel that is" if count == 1 else f"{count:,} pixels that are"
    return f"{which} to be ignored in accepted slices of case {case.grid.case}: no segment has them."


def _paths(folder: Path, case: CaseContent) -> tuple[Path, Path, Path]:
    stem = file_stem(case.grid.case)
    labels = folder / f"{stem}_annotation.seg.nrrd"
    return (labels, folder / f"{stem}_annotated-mask.nrrd", sidecar_path(folder / f"{stem}_annotation.json", labels))


def _write(case: CaseContent, segmentation: Path, mask: Path, sidecar: Path) -> int:
    """Writes the three files of a case, and counts the pixels to be ignored in accepted slices."""
    grid = case.grid
    labels, annotated = case.volume()
    ignored = labels == grid.schema.ignore_value
    segments = np.where(ignored, 0, labels).astype(np.uint8 if max(grid.schema.values) <= 255 else np.uint16)
    shown = case.shown()
    entries = describe_annotations(case.annotations, shown, suggestions=case.suggestions, models=case.models)
    with ExitStack() as stack:
        # Renamed in the opposite order, and only when all three are written: the JSON, which knows the hashes of the others, comes last.
        sidecar_file, mask_file, file = (stack.enter_context(whole_file(path)) for path in (sidecar, mask, segmentation))
        write_volume(mask_file, mask, annotated, grid.geometry)
        write_segmentation(file, segmentation, segments, grid.geometry, grid.schema)
        written = {"segmentation": (segmentation, file), "mask": (mask, mask_file)}
        document = {**header(grid, "annotation", written), "annotations": entries}
        sidecar_file.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return int(np.count_nonzero(ignored & (annotated > 0)))


def write_segmentation(scratch: Path, final: Path, segments: NDArray[Any], geometry: Geometry, schema: LabelSchema) -> None:
    """Write a `.seg.nrrd` and read it again: grid, structures and every voxel must be the same.

    Args:
        scratch: temporary path. final: where the file will be, for the sentence.
        segments: values of the schema, 0 for none, `(k, j, i)`.
        geometry: their grid, with axes at right angles.

    Raises:
        StorageError: it could not be written; the disk is full, read-only or gone.
    """
    write_array_as(scratch, final, segments, geometry, header=header_of(schema, geometry))
    try:
        found = read_seg_nrrd(scratch)
    except InputError as error:
        raise not_written(final, segments.nbytes) from error
    wanted = [(one.value, " ".join(one.name.split()), one.colour) for one in schema.classes]
    same = [(one.value, one.name, one.colour) for one in found.classes] == wanted
    if not same or not found.geometry.same_grid(geometry) or not np.array_equal(found.labels, segments):
        raise not_written(final, segments.nbytes)
