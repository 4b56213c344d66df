"""Structures that files name for themselves: one schema for all of them, and the values of each file in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.labels.label_file import LabelFile, labels_on
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema


def schema_of_classes(files: Iterable[Sequence[LabelClass]], *, name: str = "named by the segmentations") -> LabelSchema | None:
    """A schema with every structure that a file names, each name once; values that two names claim are given anew. None without names."""
    by_name: dict[str, LabelClass] = {}
    for classes in files:
        for one in classes:
            by_name.setdefault(_folded(one.name), one)
    if not by_name:
        return None
    taken: set[int] = set()
    kept: list[LabelClass] = []
    for one in by_name.values():
        # 255 stays free for what counts for nothing.
        free = one.value if one.value not in taken | {0, 255} else next(v for v in range(1, 65536) if v not in taken | {255})
        taken.add(free)
        kept.append(replace(one, value=free, partner=None))
    return LabelSchema(name=name, classes=tuple(sorted(kept, key=lambda c: c.value)))


def values_by_name(labels: NDArray[Any], classes: Sequence[LabelClass], schema: LabelSchema, *, name: str) -> NDArray[Any]:
    """Values of a file -> values of the schema's structures of the same name; labels as they are where the file names none.

    Raises:
        InputError: a structure that has voxels has no counterpart in the schema.
    """
    if not classes:
        return labels
    known = {_folded(c.name): c.value for c in schema.classes}
    out = np.zeros_like(labels)
    strange = []
    for one in classes:
        here = labels == one.value
        if not here.any():
            continue
        if _folded(one.name) not in known:
            strange.append(one.name)
            continue
        out[here] = known[_folded(one.name)]
    if strange:
        raise InputError(
            f"{name} has structures that are not in schema {schema.name}: {', '.join(strange[:5])}.",
            hint=f"The schema has {', '.join(c.name for c in schema.classes)}; give structures the same names, or another schema.",
        )
    return out


def labels_in_schema(file: LabelFile, geometry: Geometry, schema: LabelSchema, *, name: str, reference_name: str) -> NDArray[Any]:
    """The labels of a file on a grid, in the schema's values by the names of structures; the ignore value where nobody looked.

    Raises:
        InputError: as `values_by_name`, or the file does not overlap with the grid.
    """
    labels = values_by_name(labels_on(file, geometry, name=name, reference_name=reference_name), file.classes, schema, name=name)
    if file.looked_at is None:
        return labels
    looked_at = replace(file, labels=file.looked_at.astype(np.int32))
    return np.where(labels_on(looked_at, geometry, name=name, reference_name=reference_name), labels, schema.ignore_value)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
