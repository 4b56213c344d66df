"""Simulated minutes of annotation: a price list for what contour agreement counts, and how much hangs on its prices.

For comparing arms of a simulation only. The prices are assumptions; nothing here is measured on people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Literal

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, SliceAgreement

Matching = Literal["exact", "pixels", "millimetres"]
"""Which shared contour needs no drawing: the same edge, or one within the tolerance."""

ALL_AS_GIVEN = "as given"


@dataclass(frozen=True)
class TimeCoefficients:
    """The price list. Every number is an ASSUMPTION of ours, not a measurement; conclusions must survive `sensitivity`.

    Lengths are crack lengths, on average 4/pi of what the hand travels.

    Attributes:
        open_case_seconds: a case: loading it, finding one's way.
        open_slice_seconds: a slice: going there, looking at its neighbours, accepting.
        inspect_seconds_per_mm: checking the pre-annotation along the reference contour, L.
        draw_seconds_per_mm: drawing what is missing, L - C.
        erase_seconds_per_component: finding and erasing one false component.
        class_switch_seconds: choosing a class that has work to do in the slice.
    """

    open_case_seconds: float = 30.0
    open_slice_seconds: float = 5.0
    inspect_seconds_per_mm: float = 0.01
    draw_seconds_per_mm: float = 0.15
    erase_seconds_per_component: float = 2.0
    class_switch_seconds: float = 3.0


@dataclass(frozen=True)
class Workload:
    """What there is to do, in the units of the price list; workloads add.

    Attributes:
        cases, slices: opened.
        inspected_mm: sum of L over classes and slices.
        drawn_mm: sum of L - C.
        false_components: to erase.
        class_switches: over slices, the classes with contour to draw or a false component to erase.
    """

    cases: int = 0
    slices: int = 0
    inspected_mm: float = 0.0
    drawn_mm: float = 0.0
    false_components: int = 0
    class_switches: int = 0

    @classmethod
    def of_slices(cls, slices: Iterable[SliceAgreement], *, cases: int, matching: Matching = "exact") -> Workload:
        """The work on slices (one agreement each, never sums) for which `cases` cases were opened.

        A slice annotated without pre-annotation is compared with an empty prediction. Holes in a prediction whose outer contour is right
        cost nothing: the model of the method does not see them.

        Raises:
            ValueError: `matching` asks for a tolerance that was not measured.
        """
        work = cls(cases=cases)
        for s in slices:
            missing = [missing_mm(c, matching) for c in s.classes]
            work += cls(
                slices=1,
                inspected_mm=sum(c.reference_mm for c in s.classes),
                drawn_mm=sum(missing),
                false_components=sum(c.false_components for c in s.classes),
                class_switches=sum(m > 0 or c.false_components > 0 for m, c in zip(missing, s.classes, strict=True)),
            )
        return work

    def __add__(self, other: Workload) -> Workload:
        return Workload(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def minutes(self, coefficients: TimeCoefficients | None = None) -> float:
        """Simulated minutes at these prices; None: the declared ones."""
        price = coefficients or TimeCoefficients()
        seconds = (
            self.cases * price.open_case_seconds
            + self.slices * price.open_slice_seconds
            + self.inspected_mm * price.inspect_seconds_per_mm
            + self.drawn_mm * price.draw_seconds_per_mm
            + self.false_components * price.erase_seconds_per_component
            + self.class_switches * price.class_switch_seconds
        )
        return seconds / 60


@dataclass(frozen=True)
class RankingCheck:
    """Whether an order of arms hangs on the price list.

    Attributes:
        scores: variation -> arm -> score; `ALL_AS_GIVEN` is the price list itself.
        ranking: arms, lowest score first, at the prices as given.
        reversed_pairs: variation -> pairs (first, second) of the ranking that change places; variations without one are left out.
    """

    scores: Mapping[str, Mapping[str, float]]
    ranking: tuple[str, ...]
    reversed_pairs: Mapping[str, tuple[tuple[str, str], ...]]

    @property
    def survives(self) -> bool:
        """No pair changes places under any variation."""
        return not self.reversed_pairs


def variations(coefficients: TimeCoefficients | None = None, *, fraction: float = 0.5) -> dict[str, TimeCoefficients]:
    """The price list as given, then with each price, one at a time, lowered and raised by `fraction` (between 0 and 1)."""
    if not 0 < fraction < 1:
        raise ValueError(f"The fraction must lie between 0 and 1, got {fraction}.")
    given = coefficients or TimeCoefficients()
    out = {ALL_AS_GIVEN: given}
    for f in fields(given):
        for sign in (-1, 1):
            changed = getattr(given, f.name) * (1 + sign * fraction)
            out[f"{f.name} {sign * fraction * 100:+.0f} %"] = replace(given, **{f.name: changed})
    return out


def check_ranking(scores: Mapping[str, Mapping[str, float]]) -> RankingCheck:
    """Whether the order of arms by a score that depends on the price list stays under each variation of it.

    Lowest first: simulated minutes, or an area under a curve over them, negated. A pair is reversed only when both orders are strict:
    ties, before or after, reverse nothing.

    Args:
        scores: variation -> arm -> score; `ALL_AS_GIVEN` is among them, such as those of `variations`.
    """
    given = scores[ALL_AS_GIVEN]
    ranking = tuple(sorted(given, key=lambda arm: given[arm]))
    reversed_pairs = {}
    for name, values in scores.items():
        pairs = tuple((a, b) for a, b in combinations(ranking, 2) if given[a] < given[b] and values[a] > values[b])
        if pairs:
            reversed_pairs[name] = pairs
    return RankingCheck(scores=scores, ranking=ranking, reversed_pairs=reversed_pairs)


def missing_mm(c: ClassAgreement, matching: Matching) -> float:
    """Reference contour that a prediction lacks, millimetres. Raises: ValueError, where the tolerance was not measured."""
    shared = {"exact": c.shared_mm, "pixels": c.shared_within_pixels_mm, "millimetres": c.shared_within_millimetres_mm}[matching]
    if shared is None:
        raise ValueError(f"The shared contour within a tolerance in {matching} was not measured.")
    return c.reference_mm - shared
