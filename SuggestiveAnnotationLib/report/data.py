"""What a report shows, as plain frozen data. Nothing here knows a study: `collect` fills it, `page` draws it.

Lengths are millimetres, volumes cubic millimetres, times minutes or seconds as each name says. None means "not known"; a page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.types import LabelArray, Plane

Quantity = Literal["Retained contour", "Saved effort"]
"""Retained contour: against the reader's own final contour. Saved effort: against an independent reference. Never mixed in one figure."""

PointState = Literal["unlabelled", "labelled", "suggested", "skipped", "audit"]
POINT_STATES: tuple[PointState, ...] = ("unlabelled", "labelled", "suggested", "skipped", "audit")

Point = tuple[float, float]

DISCLAIMER = "Research software, not a diagnostic device. Nothing on this page may guide the care of a patient."


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, None where there is no whole: an absent contour is undefined, not 100 %."""
    return part / whole if whole > 0 else None


@dataclass(frozen=True)
class Effort:
    """Contour lengths of one class, summed over slices. Ratios of sums of these, never means of ratios (annotation-effort eq. 3).

    Attributes:
        slices: slices that were summed.
        reference_mm: L, length of the reference contour.
        kept_mm: C, length of its part that the pre-annotation already had, exactly.
        kept_1px_mm, kept_1mm_mm: the same within a tolerance of one pixel, of one millimetre; None where it was not measured.
        predicted_mm: L_pred, length of the pre-annotation's contour.
        false_components: components of the pre-annotation without any overlap with the reference.
        added_mm3, removed_mm3: volume the correction added to, removed from the pre-annotation; None where it was not measured.
    """

    slices: int = 0
    reference_mm: float = 0.0
    kept_mm: float = 0.0
    kept_1px_mm: float | None = None
    kept_1mm_mm: float | None = None
    predicted_mm: float = 0.0
    false_components: int = 0
    added_mm3: float | None = None
    removed_mm3: float | None = None

    @property
    def exact(self) -> float | None:
        """C / L, 0 to 1."""
        return ratio(self.kept_mm, self.reference_mm)

    @property
    def within_1px(self) -> float | None:
        """C / L with one pixel of tolerance."""
        return None if self.kept_1px_mm is None else ratio(self.kept_1px_mm, self.reference_mm)

    @property
    def within_1mm(self) -> float | None:
        """C / L with one millimetre of tolerance."""
        return None if self.kept_1mm_mm is None else ratio(self.kept_1mm_mm, self.reference_mm)

    @property
    def of_prediction(self) -> float | None:
        """C / L_pred: how much of the pre-annotation's contour is right. False positives lower it."""
        return ratio(self.kept_mm, self.predicted_mm)

    @property
    def symmetric(self) -> float | None:
        """2C / (L + L_pred)."""
        return ratio(2 * self.kept_mm, self.reference_mm + self.predicted_mm)


def total(efforts: Iterable[Effort], *, slices: int | None = None) -> Effort:
    """The sum of several efforts. `slices` replaces their count where classes of the same slices are summed.

    A tolerance or volume that one of them lacks is unknown for the sum.
    """
    items = tuple(efforts)
    return Effort(
        slices=sum(e.slices for e in items) if slices is None else slices,
        reference_mm=sum(e.reference_mm for e in items),
        kept_mm=sum(e.kept_mm for e in items),
        kept_1px_mm=_sum_known(e.kept_1px_mm for e in items),
        kept_1mm_mm=_sum_known(e.kept_1mm_mm for e in items),
        predicted_mm=sum(e.predicted_mm for e in items),
        false_components=sum(e.false_components for e in items),
        added_mm3=_sum_known(e.added_mm3 for e in items),
        removed_mm3=_sum_known(e.removed_mm3 for e in items),
    )


def _sum_known(values: Iterable[float | None]) -> float | None:
    items = list(values)
    known = [v for v in items if v is not None]
    return sum(known) if len(known) == len(items) else None


@dataclass(frozen=True)
class EffortRow:
    """Contour effort of one class in one round.

    Attributes:
        audit: the slices were drawn without seeing the pre-annotation, so their contour is independent of it.
    """

    round: int
    label: str
    quantity: Quantity
    effort: Effort
    audit: bool = False


@dataclass(frozen=True)
class Ceiling:
    """C / L per class that the network grid allows (`engine.ceiling`), 0 to 1. None: not measured, or undefined."""

    label: str
    exact: float | None
    within_1px: float | None = None
    within_1mm: float | None = None


@dataclass(frozen=True)
class DiceValue:
    """Patient-wise 3D Dice of one held-out case. `value` None: undefined (class in neither prediction nor reference)."""

    round: int
    label: str
    case: str
    value: float | None


@dataclass(frozen=True)
class RoundRow:
    """One round and what had gone into its model.

    Attributes:
        strategy: that chose the round's slices; empty for a last model after which none were chosen.
        slices: annotated slices that the round's model was trained on.
        contour_mm: length of the contours drawn in those slices (pixel-edge length).
        minutes: annotation time of everything accepted before the round, also where it was superseded or does not count any more.
        simulated: the minutes come from the cost table, not from a clock.
        annotated: slices of the pool annotated in this round.
        open: suggestions of this round that nobody has answered.
        skipped: suggestions of this round that were skipped or called unreadable.
        unanswered: suggestions of this round that expired, and of which nothing became later.
        seconds: stage -> seconds the computer took.
        notes: sentences of the strategy (shortfall, warnings).
    """

    number: int
    strategy: str
    seed: int
    slices: int
    contour_mm: float | None = None
    minutes: float | None = None
    simulated: bool = True
    annotated: int = 0
    open: int = 0
    skipped: int = 0
    unanswered: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """One gradient-guided choice on the latent plot: the annotated source, where its gradient points, the slice that was chosen."""

    source: Point
    projected: Point
    chosen: Point
    label: str = ""


@dataclass(frozen=True, eq=False)
class LatentMap:
    """The pool in two dimensions.

    Attributes:
        points: `(n, 2)`.
        axes: name of each axis, for example `latent PCA 1 (62 % of variance)`.
        states: one of `POINT_STATES` a point, as its index there, `(n,)`.
        case_of: index into `cases`, `(n,)`; the slices of a case stand in native order.
        cases: case names.
        arrows: the choices of the last round that has some.
        method: one sentence, how the latents became two numbers.
    """

    points: NDArray[np.float32]
    axes: tuple[str, str]
    states: NDArray[np.uint8]
    case_of: NDArray[np.intp]
    cases: tuple[str, ...]
    arrows: tuple[Arrow, ...] = ()
    method: str = ""


@dataclass(frozen=True, eq=False)
class GalleryItem:
    """One annotated slice.

    Attributes:
        image: `(row, column)`, any intensity scale, canonical in-plane orientation.
        spacing: millimetres (row, column).
        prediction: the pre-annotation first shown, schema values; None where none was.
        final: the accepted annotation, schema values.
        sentence: why the slice was suggested.
    """

    case: str
    slice_number: int
    round: int
    image: NDArray[Any]
    spacing: tuple[float, float]
    plane: Plane
    prediction: LabelArray | None
    final: LabelArray
    sentence: str = ""
    provenance: str = ""
    quantity: Quantity = "Retained contour"
    effort: Effort | None = None
    minutes: float | None = None


@dataclass(frozen=True, eq=False)
class LossCurve:
    """Training losses of one model.

    Attributes:
        model: "segmentation" or "manifold".
        round: round of the model; None for a manifold trained before the first.
        steps: optimiser steps, `(n,)`.
        losses: name -> values `(n,)`.
    """

    model: Literal["segmentation", "manifold"]
    round: int | None
    steps: NDArray[np.float64]
    losses: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class NextSlice:
    """A slice that waits for annotation, and why."""

    case: str
    slice_number: int
    sentence: str


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything on the page.

    Attributes:
        classes: name of each class, in the order of the schema, and its value there.
        regions: names of nested regions that Dice is given for beside the classes.
        annotated_slices: of the pool, accepted by now. pool_slices, pool_cases: size of the pool that slices are chosen from.
        held_out_cases: cases that Dice is measured on.
        under_way: the round that is still being computed.
        settings: name -> value, as text.
        command: what reproduces the page.
        seeds, versions: name -> value.
        evidence: strategy -> one line of what has been shown for it and what has not.
        missing: section -> why it is empty, where the collector knows better than the page.
    """

    title: str
    study: str
    created: str
    classes: Mapping[str, int]
    rounds: tuple[RoundRow, ...] = ()
    annotated_slices: int = 0
    pool_slices: int = 0
    pool_cases: int = 0
    held_out_cases: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    dice: tuple[DiceValue, ...] = ()
    effort: tuple[EffortRow, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    latents: LatentMap | None = None
    gallery: tuple[GalleryItem, ...] = ()
    losses: tuple[LossCurve, ...] = ()
    waiting: tuple[NextSlice, ...] = ()
    under_way: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    disclaimer: str = DISCLAIMER
