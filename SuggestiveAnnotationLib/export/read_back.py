"""Annotations from labelmaps that a person drew elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.read import read_labels
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.assemble import CaseGrid
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema, SliceRef, describe, slice_number


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
    path: Path, grid: CaseGrid, *, slices: Iterable[int] | None = None, mask: Path | None = None
) -> dict[int, LabelArray]:
    """Annotated slices of a labelmap on the case's own grid: native index -> schema values `(row, column)`, canonical.

    Which slices count as annotated: those in `slices`, else those where `mask` is not 0 (pixels outside it become ignore), else, when some
    slice is nothing but the ignore value, every other slice, else every slice with a label. A listed slice without a label is an empty
    annotation.

    Args:
        path: file with schema values.
        grid: case, voxel grid, slices and schema.
        slices: native indices.
        mask: file on the same grid.

    Raises:
        InputError: a file is unreadable, lies on another grid or holds other values, or no slice is annotated.
    """
    if slices is not None and mask is not None:
        raise InputError(f"Both a list of slices and the mask {mask} were given for {path}.", hint="Give one of the two.")
    stack = grid.frame.stack(_on_grid(Path(path), grid))
    ignore = grid.schema.ignore_value
    _check_values(Path(path), grid, stack)
    if mask is not None:
        inside = grid.frame.stack(_on_grid(Path(mask), grid)) != 0
        stack = np.where(inside, stack, ignore)
        chosen = np.flatnonzero(inside.any(axis=(1, 2))).tolist()
    elif slices is not None:
        chosen = sorted(set(slices))
    else:
        chosen = _covered(stack, ignore)
    if not chosen:
        raise InputError(f"{path} has no annotated slice.", hint="Give the slices it covers, for example 10,12,20-25.")
    for index in chosen:
        ref = SliceRef(grid.case, grid.frame.axis, index)
        if not 0 <= index < grid.frame.count:
            raise InputError(f"Case {grid.case} has no slice {slice_number(ref)}; it has slices 1 to {grid.frame.count}.")
        if (stack[index] == ignore).all():
            raise InputError(f"{path} says nothing of {describe(ref)}: every pixel has the ignore value {ignore}.", hint="Leave it out.")
    return {index: np.ascontiguousarray(stack[index], dtype=np.uint16) for index in chosen}


def _covered(stack: NDArray[Any], ignore: int) -> list[int]:
    # A slice of background alone is an empty annotation only in a file that marks the others as ignored.
    ignored = (stack == ignore).all(axis=(1, 2))
    if ignored.any():
        return np.flatnonzero(~ignored).tolist()
    return np.flatnonzero(((stack != 0) & (stack != ignore)).any(axis=(1, 2))).tolist()


def _on_grid(path: Path, grid: CaseGrid) -> NDArray[Any]:
    array, geometry = read_labels(path)
    if not grid.geometry.same_grid(geometry):
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
