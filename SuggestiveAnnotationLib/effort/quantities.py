"""The quantities that are made from contour agreement, each under its own name, so that none is read as another.

| quantity           | reference                                    | prediction                | what it cannot say                      |
|--------------------|----------------------------------------------|---------------------------|-----------------------------------------|
| retained contour   | the reader's own final annotation            | the one first shown       | whether the contour was right, or time  |
| saved effort       | a reference drawn without the prediction     | the one to be corrected   | time                                    |
| resolution ceiling | a reference                                  | itself, through the grid  | what a real network reaches             |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from SuggestiveAnnotationLib.effort.agreement import ContourTotals, SliceAgreement


@dataclass(frozen=True)
class ContourQuantity:
    """Totals under a name. Only totals under the same name are added or read back.

    Attributes:
        totals: sums over one slice or many; their ratios are the quantity.
    """

    totals: ContourTotals

    name: ClassVar[str] = "contour agreement"
    caption: ClassVar[str] = "Part of the reference contour that the prediction has."

    @classmethod
    def of_slices(cls, slices: Iterable[SliceAgreement]) -> Self:
        """The quantity over slices that were compared as the class's description says. ValueError when there is none."""
        return cls(ContourTotals.of_slices(slices))

    @classmethod
    def total(cls, parts: Iterable[ContourQuantity]) -> Self:
        """Sum C over sum L of all parts. ValueError when there is none or when a part is another quantity."""
        items = list(parts)
        for p in items:
            if type(p) is not cls:
                raise ValueError(f"A {p.name} cannot be added to a {cls.name}.")
        return cls(ContourTotals.total(p.totals for p in items))

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values that carries the name."""
        return {"quantity": self.name, **self.totals.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. ValueError when the data is another quantity."""
        if data.get("quantity") != cls.name:
            raise ValueError(f"Expected a {cls.name}, found {data.get('quantity')!r}.")
        return cls(ContourTotals.from_json(data))


@dataclass(frozen=True)
class RetainedContour(ContourQuantity):
    """Part of the reader's own final contour that the prediction first shown already had.

    All that can be known while people annotate: accepting blindly gives 100 %, so it is reported beside audit slices that were drawn
    without a pre-annotation. Compare with the prediction *first* shown, also after the slice was reopened.
    """

    name: ClassVar[str] = "retained contour"
    caption: ClassVar[str] = (
        "Part of the final contour that the prediction first shown already had. "
        "It says how much was kept, not that it was right, and nothing about time."
    )


@dataclass(frozen=True)
class SavedEffort(ContourQuantity):
    """C / L against an independent reference (annotation-effort eq. 3): contour that need not be drawn. For experiments.

    A share of contour length. It is no time: looking, finding errors and erasing false contours are not in it.
    """

    name: ClassVar[str] = "saved effort"
    caption: ClassVar[str] = "Part of an independent reference contour that the prediction has. A share of contour length, not of time."


@dataclass(frozen=True)
class ResolutionCeiling(ContourQuantity):
    """What a network that knows every class's share of each pixel reaches: the reference against itself through a coarser grid and back."""

    name: ClassVar[str] = "resolution ceiling"
    caption: ClassVar[str] = "What a network that knows every class's share of each of its pixels reaches at native resolution."
