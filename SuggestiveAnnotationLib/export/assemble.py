"""Native volumes from slices: annotated slices in their place, the ignore value everywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry, SliceFrame
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema, Provenance, SliceRef, describe


class AcceptedSlice(Protocol):
    """What an accepted annotation says of itself; the annotations of a study are of this kind."""

    @property
    def ref(self) -> SliceRef:
        """The slice."""

    @property
    def labels(self) -> LabelArray:
        """Schema values `(row, column)`, canonical in-plane orientation."""

    @property
    def annotator(self) -> str:
        """Who accepted it."""

    @property
    def provenance(self) -> Provenance:
        """How it came about."""

    @property
    def accepted_at(self) -> str:
        """When it was accepted, ISO 8601."""

    @property
    def round(self) -> int | None:
        """Round it was made in."""

    @property
    def prediction_id(self) -> int | None:
        """The prediction that was shown first."""

    @property
    def effort(self) -> Mapping[str, Any] | None:
        """What it cost, as recorded."""

    @property
    def minutes(self) -> float | None:
        """How long it took."""


@dataclass(frozen=True)
class CaseGrid:
    """The case an export is about.

    Attributes:
        case: name of the case.
        geometry: voxel grid of its reference modality.
        frame: how the slices lie in it.
        schema: what the labels mean.
    """

    case: str
    geometry: Geometry
    frame: SliceFrame
    schema: LabelSchema

    def check(self, ref: SliceRef, labels: NDArray[Any]) -> None:
        """Raises: InputError, when the slice is of another case, lies outside the grid or holds values outside the schema."""
        frame = self.frame
        if (ref.case, ref.axis) != (self.case, frame.axis) or not 0 <= ref.native_index < frame.count:
            raise InputError(f"C{describe(ref)[1:]} on axis {ref.axis}, is no slice of case {self.case} along axis {frame.axis}.")
        if labels.shape != (frame.rows, frame.columns):
            size = f"{labels.shape} instead of {(frame.rows, frame.columns)} pixels"
            raise InputError(f"The labels of {describe(ref)} have another size than the image: {size}.")
        known = np.isin(labels, [*self.schema.values, self.schema.ignore_value])
        if not known.all():
            value = labels[~known][0]
            raise InputError(f"The labels of {describe(ref)} hold the value {value}, which schema {self.schema.name} does not know.")


def newest(grid: CaseGrid, annotations: Iterable[AcceptedSlice]) -> dict[SliceRef, AcceptedSlice]:
    """For each slice the annotation accepted last, which is the one that networks are trained on.

    Args:
        grid: of the case.
        annotations: oldest first, as a study gives them. Their order decides, not their time: clocks are set back.

    Raises:
        InputError: an annotation does not fit the grid or the schema.
    """
    chosen: dict[SliceRef, AcceptedSlice] = {}
    for annotation in annotations:
        grid.check(annotation.ref, annotation.labels)
        chosen[annotation.ref] = annotation
    return chosen


def place(grid: CaseGrid, slices: Mapping[int, LabelArray]) -> tuple[LabelArray, NDArray[np.uint8]]:
    """Slices in their places in the native volume.

    Args:
        grid: of the case.
        slices: native index -> schema values `(row, column)`, canonical.

    Returns:
        Labels and mask, both `(k, j, i)`. Labels are the ignore value and the mask is 0 wherever no slice was given, else 1.

    Raises:
        InputError: a slice does not fit the grid or the schema.
    """
    labels = np.full(grid.geometry.shape, grid.schema.ignore_value, np.uint16)
    mask = np.zeros(grid.geometry.shape, np.uint8)
    label_stack, mask_stack = grid.frame.stack(labels), grid.frame.stack(mask)
    for index, values in slices.items():
        grid.check(SliceRef(grid.case, grid.frame.axis, index), values)
        label_stack[index] = values
        mask_stack[index] = 1
    return labels, mask


def storage_type(schema: LabelSchema) -> type[np.uint8] | type[np.uint16]:
    """The same for every case of a schema: uint8 when all its values and the ignore value fit, else uint16."""
    return np.uint8 if max(*schema.values, schema.ignore_value) <= 255 else np.uint16
