"""From the values in label files to the values of a schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.labels.schema import value_counts
from SuggestiveAnnotationLib.cohort.origin import Origin
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema

UNKNOWN_HINT = "Use the schema these labels were drawn with, or add the values to it."


def schema_of_values(path: str, schema: LabelSchema) -> LabelSchema:
    """The schema that the values in a label file are to be read with: without `merge` where the structures' names gave them already."""
    origin = Origin.of(path)
    return replace(schema, merge=None, merge_other=None) if origin is not None and origin.by_name else schema


def unknown_values(labels: NDArray[np.integer[Any]], schema: LabelSchema) -> dict[int, int]:
    """File values that `schema` has no place for, and how many voxels hold them."""
    counts = value_counts(labels)
    if schema.merge is None:
        known = {*schema.values, schema.ignore_value}
    elif schema.merge_other is None:
        known = {0, *schema.merge}
    else:
        known = {v for v in counts if 0 <= v <= 65535}
    return {value: n for value, n in counts.items() if value not in known}


def apply_merge(
    labels: NDArray[np.integer[Any]], schema: LabelSchema, mask: NDArray[Any] | None = None, *, name: str = "The labelmap"
) -> LabelArray:
    """Values found in a file -> values of the schema, uint16, same shape.

    Background (0) stays background unless `schema.merge` lists it. With `ignore_unlabelled_in_mask`, voxels that are 0 in the *file*
    and inside `mask` become the ignore value; structures that are merged into background stay background.

    Args:
        labels: integers as `read.read_labels` returns them, any shape.
        schema: see `types.LabelSchema`.
        mask: foreground mask of the same shape, non-zero inside; needed with `ignore_unlabelled_in_mask`.
        name: file or case, for the sentence.

    Raises:
        InputError: values that the schema has no place for (up to five are named), or the mask is missing or of another shape.
    """
    if unknown := unknown_values(labels, schema):
        raise InputError(unknown_sentence(unknown, schema, name), hint=UNKNOWN_HINT)
    table = np.arange(65536, dtype=np.uint16)
    if schema.merge is not None:
        table[:] = schema.merge_other or 0
        table[0] = 0
        for source, target in schema.merge.items():
            table[source] = target
    out: LabelArray = table[labels]
    if schema.ignore_unlabelled_in_mask:
        if mask is None:
            raise InputError(
                f"{name} needs a foreground mask: schema {schema.name} ignores unlabelled voxels inside it.",
                hint='Name the mask files (--mask), or set "ignore_unlabelled_in_mask" to false in the schema.',
            )
        if mask.shape != labels.shape:
            raise InputError(f"{name} and its foreground mask have different sizes.", hint="Resample the mask onto the label's grid.")
        out[(mask != 0) & (labels == 0)] = schema.ignore_value
    return out


def unknown_sentence(unknown: dict[int, int], schema: LabelSchema, name: str) -> str:
    """`case.nii.gz has 7 values that are not in schema brats: 5, 6, 7, 8, 9 and 2 more (1,204 voxels).`"""
    shown = ", ".join(str(v) for v in sorted(unknown)[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
    noun = "1 value that is" if len(unknown) == 1 else f"{len(unknown)} values that are"
    voxels = sum(unknown.values())
    return f"{name} has {noun} not in schema {schema.name}: {shown} ({voxels:,} voxel{'' if voxels == 1 else 's'})."
