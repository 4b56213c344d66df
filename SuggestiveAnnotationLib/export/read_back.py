"""Annotations from labelmaps and segmentations that a person drew elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.labels.annotated import annotated_slices, silent_slices
from SuggestiveAnnotationLib.cohort.labels.label_file import is_segmentation, read_label_file
from SuggestiveAnnotationLib.cohort.labels.segment_values import labels_in_schema
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.geometry import DRAWN_ON, Geometry
from SuggestiveAnnotationLib.types import AnnotatedRule, LabelArray, LabelSchema, SliceRef, describe, slice_number


def parse_slice_numbers(text: str, *, count: int) -> tuple[int, ...]:
    """`"10,12,20-25"` -> native indices, ascending and each once.

    Args:
        text: slice numbers as a person sees them, from 1, and ranges of them, both ends included.
        count: slices of the case.

    Raises:
        InputError: the text is no such list, or names a slice the case does not have.
    """
    hint = f'Give slice numbers from 1 to {count}, for example "10,12,20-25".'
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if match is None:
            raise InputError(f'"{part.strip()}" in "{text}" is no slice number and no range.', hint=hint)
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise InputError(f'The range "{part.strip()}" runs backwards.', hint=f"Write {last}-{first}.")
        if first < 1 or last > count:
            raise InputError(f'"{part.strip()}" is outside the case, which has slices 1 to {count}.', hint=hint)
        found.update(range(first - _FIRST, last - _FIRST + 1))
    return tuple(sorted(found))


_FIRST = slice_number(SliceRef("", 0, 0))


def annotations_from_labelmap(
    path: Path,
    grid: CaseGrid,
    *,
    slices: Iterable[int] | None = None,
    mask: Path | None = None,
    rule: AnnotatedRule | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> dict[int, LabelArray]:
    """Annotated slices of a label file: native index -> schema values `(row, column)`, canonical.

    Which slices count as annotated: those in `slices`, else those where `mask` is not 0 (pixels outside it become ignore), else those of
    `rule` that are not the ignore value throughout, else, when the file tells which slices were annotated, or some slice is nothing but the
    ignore value, every slice that is not, else every slice with a label. A slice that counts and has no label is an empty annotation.

    Args:
        path: labelmap with schema values on the case's own grid; or a segmentation (`.seg.nrrd`, DICOM SEG), whose structures find their
            values by name and which may cover part of the grid.
        grid: case, voxel grid, slices and schema.
        slices: native indices.
        mask: labelmap on the same grid.
        rule: see `cohort.annotated.annotated_slices`.
        say: told what of a segmentation could not be kept, and which slices count where nobody named them, a sentence each.

    Raises:
        InputError: a file is unreadable, lies on another grid or holds other values or structures, or no slice is annotated.
    """
    ways = [
        name for name, given in (("a list of slices", slices), (f"the mask {mask}", mask), (f"the rule {rule}", rule)) if given is not None
    ]
    if len(ways) > 1:
        both = "Both " if len(ways) == 2 else ""
        raise InputError(f"{both}{' and '.join(ways)} were given for {path}.", hint="Give one of them.")
    labels, told = _labels(Path(path), grid, say)
    stack = grid.frame.stack(labels)
    ignore = grid.schema.ignore_value
    _check_values(Path(path), grid, stack)
    if mask is not None:
        inside = grid.frame.stack(_on_grid(Path(mask), *read_labels(mask), grid)) != 0
        stack = np.where(inside, stack, ignore)
        chosen = np.flatnonzero(inside.any(axis=(1, 2))).tolist()
    elif slices is not None:
        chosen = sorted(set(slices))
    else:
        silent = silent_slices(stack, ignore)
        # A slice of background alone is an empty annotation only in a file that marks the others as ignored.
        counted = annotated_slices(stack, rule or ("marked" if silent or told else "labelled"), ignore)
        chosen = [index for index in counted if index not in silent]
        if rule is None:
            marked = "that are not marked ignore throughout" if silent else "that hold a label"
            which = "that the file tells were annotated" if told else marked
            say(f"Nobody named the slices, so those {which} were taken.")
    if not chosen:
        raise InputError(f"{path} has no annotated slice.", hint="Give the slices it covers, for example 10,12,20-25.")
    for index in chosen:
        ref = SliceRef(grid.case, grid.frame.axis, index)
        if not 0 <= index < grid.frame.count:
            raise InputError(f"Case {grid.case} has no slice {slice_number(ref)}; it has slices 1 to {grid.frame.count}.")
        if (stack[index] == ignore).all():
            raise InputError(f"{path} says nothing of {describe(ref)}: every pixel has the ignore value {ignore}.", hint="Leave it out.")
    return {index: np.ascontiguousarray(stack[index], dtype=np.uint16) for index in chosen}


def _labels(path: Path, grid: CaseGrid, say: Callable[[str], None]) -> tuple[NDArray[Any], bool]:
    """Values of the schema on the case's grid `(k, j, i)`, and whether the file tells which slices were annotated."""
    file = read_label_file(path)
    for note in file.notes:
        say(note)
    if not is_segmentation(path):
        return _on_grid(path, file.labels, file.geometry, grid), file.looked_at is not None
    reference = f"the image of case {grid.case}"
    return labels_in_schema(file, grid.geometry, grid.schema, name=str(path), reference_name=reference), file.looked_at is not None


def _on_grid(path: Path, array: NDArray[Any], geometry: Geometry, grid: CaseGrid) -> NDArray[Any]:
    if not grid.geometry.same_grid(geometry, tolerance=DRAWN_ON):
        hint = "Draw or resample it on the image of the reference modality."
        raise InputError(f"{path} lies on another voxel grid than case {grid.case}: {_difference(geometry, grid.geometry)}.", hint=hint)
    return array


def _difference(found: Geometry, expected: Geometry) -> str:
    for name in ("size", "spacing", "direction_lps", "origin_lps"):
        ours, theirs = getattr(expected, name), getattr(found, name)
        if not np.allclose(ours, theirs, rtol=0, atol=1e-3):
            return f"its {name.removesuffix('_lps')} is {_plain(theirs)} instead of {_plain(ours)}"
    return "its voxels lie elsewhere"


def _plain(values: Iterable[float]) -> str:
    return " x ".join(f"{v:.6g}" for v in values)


def _check_values(path: Path, grid: CaseGrid, stack: NDArray[Any]) -> None:
    schema = grid.schema
    known = np.isin(stack, [*schema.values, schema.ignore_value])
    if known.all():
        return
    index, row, column = (int(v[0]) for v in np.nonzero(~known))
    where = describe(SliceRef(grid.case, grid.frame.axis, index))
    raise InputError(
        f"{path} holds the value {stack[index, row, column]} in {where}, which schema {schema.name} does not know.",
        hint=f"It knows {_known_values(schema)}.",
    )


def _known_values(schema: LabelSchema) -> str:
    names = ["0 background", *(f"{c.value} {c.name}" for c in schema.classes), f"{schema.ignore_value} ignore"]
    return ", ".join(names)
