"""Makes volumes that a study can use from what a plan names as sources: DICOM series, channels of 4D files, segmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.read import Volume, read_geometry
from SuggestiveAnnotationLib.cohort.files.write import write_array_as
from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on, read_label_file
from SuggestiveAnnotationLib.cohort.labels.segment_values import labels_in_schema
from SuggestiveAnnotationLib.cohort.origin import Instance, Origin, Source
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import file_stem, whole_file
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, no_progress
from SuggestiveAnnotationLib.types import Case, LabelSchema


def convert(
    cases: Sequence[Case],
    sources: Mapping[str, Source],
    folder: Path,
    *,
    reference: str,
    schema: LabelSchema,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> tuple[Case, ...]:
    """The cases, every path that is in `sources` made into a volume in `folder`; where that fails the case is excluded with the reason.

    What is there already, from the same files, is kept: interrupted, it resumes.

    Args:
        cases: of a plan. Excluded ones are left alone.
        sources: path in a case -> what it is made from.
        folder: gets one folder a case, with one `.nrrd` a modality.
        reference: modality whose grid labels go on.
        schema: structures of segmentations find their values in it by name.

    Raises:
        StorageError: the folder cannot be written.
        Cancelled: between two volumes.
    """
    waiting = [case for case in cases if case.role != "excluded" and not sources.keys().isdisjoint(paths_of(case))]
    stage = Stage("convert", len(waiting), progress=progress, cancel=cancel)
    made: dict[str, Case] = {}
    for case in waiting:
        try:
            made[case.name] = _convert_case(case, sources, folder / file_stem(case.name), reference, schema, cancel)
        except InputError as error:
            made[case.name] = replace(case, role="excluded", excluded_reason=str(error), problems=(*case.problems, str(error)))
        stage.advance()
    return tuple(made.get(case.name, case) for case in cases)


def paths_of(case: Case) -> set[str]:
    """Of images, labels and mask."""
    return {*case.images.values(), *filter(None, (case.label, case.mask))}


def _convert_case(
    case: Case, sources: Mapping[str, Source], folder: Path, reference: str, schema: LabelSchema, cancel: CancelToken | None
) -> Case:
    images = {}
    for modality, path in case.images.items():
        if cancel is not None:
            cancel.raise_if_cancelled()
        images[modality] = path if path not in sources else _image(sources[path], folder / f"{file_stem(modality)}.nrrd")
    label, mask, notes = case.label, case.mask, case.problems
    # Without the reference image the case is unusable; what reads it says so.
    grid = read_geometry(images[reference]) if reference in images else None
    if grid is not None and label is not None and label in sources:
        label, said = _labels(sources[label], folder / "labels.nrrd", grid, schema, images[reference])
        notes += said
    if grid is not None and mask is not None and mask in sources:
        mask, said = _labels(sources[mask], folder / "mask.nrrd", grid, None, images[reference])
        notes += said
    return replace(case, images=images, label=label, mask=mask, problems=notes)


def _image(source: Source, target: Path) -> str:
    stamps = source.stamps()
    if not _is_current(target, source, stamps):
        volume, instances = _read(source)
        _write(target, volume.array, volume.geometry)
        Origin(source, stamps, instances).save(target)
    return str(target)


def _read(source: Source) -> tuple[Volume, tuple[Instance, ...]]:
    if source.kind == "dicom series":
        from SuggestiveAnnotationLib.cohort.dicom.volume import read_series

        return read_series(source.files, part=source.channel)
    if source.kind == "channel":
        from SuggestiveAnnotationLib.cohort.files.channels import read_channel

        return read_channel(source.files[0], source.channel), ()
    raise InputError(f"{source.files[0]} is a segmentation, not an image.", hint="Give the image that it was drawn on.")


def _labels(source: Source, target: Path, grid: Geometry, schema: LabelSchema | None, reference: str) -> tuple[str, tuple[str, ...]]:
    """Path of the labelmap, and what could not be kept of the file (said when it is made)."""
    stamps = source.stamps()
    notes: tuple[str, ...] = ()
    if not _is_current(target, source, stamps):
        name = source.files[0]
        file = read_label_file(name)
        if schema is None:
            labels = labels_on(file, grid, name=name, reference_name=reference)
        else:
            labels = labels_in_schema(file, grid, schema, name=name, reference_name=reference)
        if labels.min() < 0 or labels.max() > 65535:
            raise InputError(f"{name} is no labelmap: its values reach {labels.max()}.", hint="Give whole numbers from 0 to 65535.")
        _write(target, labels.astype(np.uint16), grid)
        Origin(source, stamps, by_name=schema is not None and bool(file.classes)).save(target)
        notes = file.notes
    return str(target), notes


def _is_current(target: Path, source: Source, stamps: Sequence[Sequence[int]]) -> bool:
    kept = Origin.of(target)
    return kept is not None and target.is_file() and kept.source == source and [list(s) for s in kept.stamps] == stamps


def _write(target: Path, array: NDArray[Any], geometry: Geometry) -> None:
    with whole_file(target) as scratch:
        write_array_as(scratch, target, array, geometry, level=1)
