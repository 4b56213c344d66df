"""What is known after comparing the contours of a reference and a prediction: sums per class, and ratios made from them.

Every length is a *crack* length: pixel edges, each weighted by its physical length. It is on average 4/pi of the true length of a smooth
contour, so ratios may be read and compared, millimetres only between crack lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum, isfinite
from typing import Any


@dataclass(frozen=True)
class Tolerances:
    """How far a reference edge may lie from a prediction edge of the same class and still count as shared, midpoint to midpoint.

    Attributes:
        pixels: in pixels of the *finer* in-plane spacing; on anisotropic pixels a shift by one coarse pixel is therefore not forgiven.
        millimetres: in millimetres.
    """

    pixels: float = 1.0
    millimetres: float = 1.0

    def __post_init__(self) -> None:
        if not all(isfinite(t) and t >= 0 for t in (self.pixels, self.millimetres)):
            raise ValueError(f"Tolerances must be finite and not negative, got {self.pixels} px and {self.millimetres} mm.")


@dataclass(frozen=True)
class ClassAgreement:
    """The contour of one class: lengths in millimetres, areas per slice; one slice or a sum of slices.

    Attributes:
        value: schema value of the class; None: all classes together (a border between two classes counts for both).
        reference_mm: L, length of the reference contour.
        prediction_mm: L_pred, length of the predicted contour.
        shared_mm: C, length of the reference edges that the prediction has too, with the class on the same side.
        shared_within_pixels_mm: length of the reference edges within `Tolerances.pixels` of a predicted edge of the class;
            None: not measured.
        shared_within_millimetres_mm: the same within `Tolerances.millimetres`; None: not measured.
        false_components: 8-connected components of the prediction that share no pixel with the reference of the class.
        added_pixels, added_mm2: in the reference but not in the prediction: what a reader has to add.
        removed_pixels, removed_mm2: in the prediction but not in the reference: what a reader has to remove.
    """

    value: int | None
    reference_mm: float
    prediction_mm: float
    shared_mm: float
    shared_within_pixels_mm: float | None
    shared_within_millimetres_mm: float | None
    false_components: int
    added_pixels: int
    removed_pixels: int
    added_mm2: float
    removed_mm2: float

    @property
    def of_reference(self) -> float | None:
        """C / L (annotation-effort eq. 3); None where the reference has no contour: undefined, not 100 %."""
        return _ratio(self.shared_mm, self.reference_mm)

    @property
    def of_reference_within_pixels(self) -> float | None:
        """C / L with C at the tolerance in pixels; None where undefined or not measured."""
        return _ratio(self.shared_within_pixels_mm, self.reference_mm)

    @property
    def of_reference_within_millimetres(self) -> float | None:
        """C / L with C at the tolerance in millimetres; None where undefined or not measured."""
        return _ratio(self.shared_within_millimetres_mm, self.reference_mm)

    @property
    def of_prediction(self) -> float | None:
        """C / L_pred, which falls with false contours; None where nothing was predicted."""
        return _ratio(self.shared_mm, self.prediction_mm)

    @property
    def overlap(self) -> float | None:
        """2C / (L + L_pred); None where neither has a contour."""
        return _ratio(2 * self.shared_mm, self.reference_mm + self.prediction_mm)

    def added_mm3(self, slice_spacing: float) -> float:
        """Volume to add, with the distance of neighbouring slices in millimetres."""
        return self.added_mm2 * slice_spacing

    def removed_mm3(self, slice_spacing: float) -> float:
        """Volume to remove, with the distance of neighbouring slices in millimetres."""
        return self.removed_mm2 * slice_spacing


@dataclass(frozen=True)
class InterfaceAgreement:
    """The union of all contours, every edge counted once: a border between two classes is one interface.

    Attributes:
        reference_mm, prediction_mm: length of the interfaces of each.
        shared_mm: length of the edges with the same two sides in both.
    """

    reference_mm: float
    prediction_mm: float
    shared_mm: float

    @property
    def of_reference(self) -> float | None:
        """Shared part of the reference's interfaces; None where there are none."""
        return _ratio(self.shared_mm, self.reference_mm)


@dataclass(frozen=True)
class SliceAgreement:
    """One slice, all classes.

    Attributes:
        classes: in the order in which the values were asked for.
        interfaces: every edge once.
        spacing: millimetres (row, column).
        tolerances: used; None: not measured.
    """

    classes: tuple[ClassAgreement, ...]
    interfaces: InterfaceAgreement
    spacing: tuple[float, float]
    tolerances: Tolerances | None

    def of(self, value: int) -> ClassAgreement:
        """The class with this schema value. KeyError where it was not measured."""
        return _find(self.classes, value)

    @property
    def overall(self) -> ClassAgreement:
        """All classes together."""
        return add_classes(self.classes, value=None)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return {**asdict(self), "classes": [asdict(c) for c in self.classes], "spacing": list(self.spacing)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SliceAgreement:
        """The inverse of `to_json`."""
        return cls(
            classes=tuple(ClassAgreement(**c) for c in data["classes"]),
            interfaces=InterfaceAgreement(**data["interfaces"]),
            spacing=(float(data["spacing"][0]), float(data["spacing"][1])),
            tolerances=_tolerances(data["tolerances"]),
        )


@dataclass(frozen=True)
class ContourTotals:
    """A sum of slices. Its ratios are sum C / sum L, never means of the slices' ratios.

    Attributes:
        slices: how many were added.
        classes: sums per class.
        interfaces: sums of the interfaces.
        tolerances: the same in every slice.
    """

    slices: int
    classes: tuple[ClassAgreement, ...]
    interfaces: InterfaceAgreement
    tolerances: Tolerances | None

    @classmethod
    def of_slices(cls, slices: Iterable[SliceAgreement]) -> ContourTotals:
        """The sum over slices. ValueError when there is none, or when values or tolerances differ."""
        return cls.total(cls(1, s.classes, s.interfaces, s.tolerances) for s in slices)

    @classmethod
    def total(cls, parts: Iterable[ContourTotals]) -> ContourTotals:
        """The sum of sums. ValueError when there is none, or when values or tolerances differ."""
        items = list(parts)
        if not items:
            raise ValueError("There is no slice to add up.")
        values = [c.value for c in items[0].classes]
        if any(p.tolerances != items[0].tolerances or [c.value for c in p.classes] != values for p in items):
            raise ValueError("Contour agreements with different classes or different tolerances cannot be added.")
        return cls(
            slices=sum(p.slices for p in items),
            classes=tuple(add_classes([p.classes[i] for p in items], value=v) for i, v in enumerate(values)),
            interfaces=InterfaceAgreement(
                reference_mm=fsum(p.interfaces.reference_mm for p in items),
                prediction_mm=fsum(p.interfaces.prediction_mm for p in items),
                shared_mm=fsum(p.interfaces.shared_mm for p in items),
            ),
            tolerances=items[0].tolerances,
        )

    def of(self, value: int) -> ClassAgreement:
        """The class with this schema value. KeyError where it was not measured."""
        return _find(self.classes, value)

    @property
    def overall(self) -> ClassAgreement:
        """All classes together."""
        return add_classes(self.classes, value=None)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return {**asdict(self), "classes": [asdict(c) for c in self.classes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ContourTotals:
        """The inverse of `to_json`."""
        return cls(
            slices=int(data["slices"]),
            classes=tuple(ClassAgreement(**c) for c in data["classes"]),
            interfaces=InterfaceAgreement(**data["interfaces"]),
            tolerances=_tolerances(data["tolerances"]),
        )


def add_classes(parts: Sequence[ClassAgreement], *, value: int | None) -> ClassAgreement:
    """The sum of every length, area and count, under the name `value`. A tolerant length is None where any part's is."""
    return ClassAgreement(
        value=value,
        reference_mm=fsum(p.reference_mm for p in parts),
        prediction_mm=fsum(p.prediction_mm for p in parts),
        shared_mm=fsum(p.shared_mm for p in parts),
        shared_within_pixels_mm=_sum_if_all([p.shared_within_pixels_mm for p in parts]),
        shared_within_millimetres_mm=_sum_if_all([p.shared_within_millimetres_mm for p in parts]),
        false_components=sum(p.false_components for p in parts),
        added_pixels=sum(p.added_pixels for p in parts),
        removed_pixels=sum(p.removed_pixels for p in parts),
        added_mm2=fsum(p.added_mm2 for p in parts),
        removed_mm2=fsum(p.removed_mm2 for p in parts),
    )


def _ratio(part: float | None, whole: float) -> float | None:
    return None if part is None or whole == 0 else part / whole


def _sum_if_all(parts: Sequence[float | None]) -> float | None:
    known = [p for p in parts if p is not None]
    return fsum(known) if len(known) == len(parts) else None


def _find(classes: Sequence[ClassAgreement], value: int) -> ClassAgreement:
    for c in classes:
        if c.value == value:
            return c
    raise KeyError(value)


def _tolerances(data: Mapping[str, float] | None) -> Tolerances | None:
    return None if data is None else Tolerances(**data)
