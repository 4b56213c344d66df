"""What all strategies share: the board of units that may still be picked, the batch built from picks, and the template they fill in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.strategies.context import with_context
from SuggestiveAnnotationLib.strategies.contract import Answer, ManifoldAccess, Query, ReferenceAccess, Requirement, SegmentationAccess
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion, Unit, describe

Access = TypeVar("Access")


@dataclass(frozen=True)
class Choice:
    """What a strategy picked.

    Attributes:
        picks: units of the board with their reasons, best first.
        warnings: what the person should know, a sentence each.
        reason: why fewer than the budget, half a sentence; "" where the pool simply has no more.
    """

    picks: Sequence[tuple[int, Rationale]]
    warnings: tuple[str, ...] = ()
    reason: str = ""


class Board:
    """Which units may still be picked in one round. A unit is a slice (its pool index) or a whole case (its number in the pool).

    The one place where "without replacement" and `Query.min_gap` are kept. The gap counts native slices from suggested, annotated *and*
    drawn slices of the same case; with whole cases as units it has no meaning and is not applied.

    Attributes:
        open: may the unit still be picked, `(units,)`.
        noun: "slice" or "case", for sentences.
    """

    def __init__(self, query: Query) -> None:
        pool = query.pool
        self._query = query
        self._cases = query.unit == "case"
        self._case_of = pool.case_of
        self._native = np.array([r.native_index for r in pool.refs], np.intp)
        self._candidates = pool.candidates
        self.noun = "case" if self._cases else "slice"
        self.open: NDArray[np.bool_] = np.zeros(self._case_of.max(initial=-1) + 1 if self._cases else len(pool.refs), bool)
        self.open[self._case_of[self._candidates] if self._cases else self._candidates] = True
        self._before_gap = int(self.open.sum())
        if query.min_gap and not self._cases:
            for index in np.flatnonzero(pool.labelled):
                self.open[self.closed_by(int(index))] = False
            for index in np.flatnonzero(pool.drawn) if pool.drawn is not None else ():
                itself = self.open[index]
                self.open[self.closed_by(int(index))] = False
                self.open[index] = itself

    @property
    def units(self) -> NDArray[np.intp]:
        """The units that are open, ascending."""
        return np.flatnonzero(self.open)

    @property
    def slices(self) -> NDArray[np.intp]:
        """Every candidate slice of the open units, ascending: what a scorer has to look at."""
        return self._candidates[self.open[self.unit_of(self._candidates)]]

    def unit_of(self, slices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Unit of every slice."""
        return self._case_of[slices] if self._cases else slices

    def members(self, unit: int) -> NDArray[np.intp]:
        """Candidate slices of a unit."""
        return self._candidates[self._case_of[self._candidates] == unit] if self._cases else np.array([unit], np.intp)

    def native_index(self, slices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Native slice index of every slice."""
        return self._native[slices]

    def case_of(self, slices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Case number of every slice."""
        return self._case_of[slices]

    def mean(self, slices: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.float64]:
        """Mean of `values` `(slices, ...)` over the given slices of every unit, `(units, ...)`; nan where a unit has none."""
        unit = self.unit_of(slices)
        counts = np.bincount(unit, minlength=len(self.open)).astype(np.float64)
        out = np.zeros((len(self.open), *values.shape[1:]))
        np.add.at(out, unit, values)
        counts[counts == 0] = np.nan
        return out / counts.reshape(-1, *[1] * (values.ndim - 1))

    def closed_by(self, unit: int) -> NDArray[np.intp]:
        """The units that picking `unit` closes: itself, and slices of its case within the gap."""
        if self._cases or not self._query.min_gap:
            return np.array([unit], np.intp)
        first, last, gap = unit, unit, self._query.min_gap
        near = self._near
        while first > 0 and near(first - 1, unit, gap):
            first -= 1
        while last + 1 < len(self.open) and near(last + 1, unit, gap):
            last += 1
        return np.arange(first, last + 1)

    def _near(self, a: int, b: int, gap: int) -> bool:
        return bool(self._case_of[a] == self._case_of[b] and abs(self._native[a] - self._native[b]) <= gap)

    def take(self, unit: int) -> None:
        """Close a unit and what its pick rules out."""
        self.open[self.closed_by(unit)] = False

    def take_in_order(self, order: Iterable[int]) -> list[int]:
        """Greedy: walk through `order`, take what is still open, until the budget is met."""
        taken: list[int] = []
        for unit in order:
            if len(taken) == self._query.budget:
                break
            if self.open[unit]:
                self.take(int(unit))
                taken.append(int(unit))
        return taken

    def answer(self, choice: Choice) -> Answer:
        """The batch: ranks counted from 0, all candidate slices of a chosen case, and the shortfall in words."""
        refs = self._query.pool.refs
        suggestions = tuple(
            Suggestion(refs[i], rank, rationale) for rank, (unit, rationale) in enumerate(choice.picks) for i in self.members(unit)
        )
        return Answer(suggestions, self._shortfall(len(choice.picks), choice.reason), choice.warnings)

    def _shortfall(self, found: int, reason: str) -> str:
        budget, pool = self._query.budget, self._query.pool
        if found >= budget:
            return ""
        labelled, blank = pool.labelled, pool.blank & ~pool.labelled
        closed = pool.closed & ~labelled & ~blank
        counts = f"{labelled.sum()} annotated, {blank.sum()} blank, {closed.sum()} closed"
        text = reason or f"the pool has no more (of {len(pool.refs)} slices: {counts})"
        if not reason and self._query.min_gap and found < self._before_gap:
            text += f", and slices within {self._query.min_gap} of a suggested or annotated one are left out"
        noun = self.noun if budget == 1 else f"{self.noun}s"
        return f"Suggested {found} of {budget} {noun}: {text}."


@dataclass(frozen=True, kw_only=True)
class BatchStrategy(ABC):
    """Template of a strategy: `suggest` checks the query, lets the subclass choose, and adds context slices.

    Attributes:
        context: neighbouring slices to show on each side of a suggestion (2020 paper: 1); they cost annotation too.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[Requirement]] = frozenset()

    context: int = 0

    def __post_init__(self) -> None:
        require(self.context >= 0, "context", self.context, "0 or a positive number of slices")

    def suggest(self, query: Query) -> Answer:
        """A batch for the query.

        Raises: InputError for a query that makes no sense; StudyError where the model or the manifold is missing or broken.
        """
        _check(self.name, self.requires, query)
        board = Board(query)
        answer = board.answer(self.choose(query, board) if board.open.any() else Choice(()))
        return with_context(answer, query.pool, self.context) if self.context else answer

    @abstractmethod
    def choose(self, query: Query, board: Board) -> Choice:
        """Pick at most `query.budget` open units of the board; it has at least one."""


def require(condition: bool, option: str, value: object, allowed: str) -> None:
    """Raises: InputError naming the option, where the condition does not hold."""
    if not condition:
        raise InputError(f"Option {option} cannot be {value!r}.", hint=f"It must be {allowed}.")


def model_of(query: Query) -> SegmentationAccess:
    """Raises: StudyError, without a segmentation model."""
    return _given(query.model, "a trained segmentation model", "Train one on a first batch of annotated slices.")


def manifold_of(query: Query) -> ManifoldAccess:
    """Raises: StudyError, without a manifold."""
    return _given(query.manifold, "a fitted manifold", "Fit the manifold of the pool first.")


def reference_of(query: Query) -> ReferenceAccess:
    """Raises: StudyError, without reference labels."""
    return _given(query.reference, "reference labels of the whole pool", "Use it in experiments only.")


def committee_of(query: Query) -> tuple[SegmentationAccess, ...]:
    """Raises: StudyError, without networks trained on bootstraps."""
    return _given(query.committee or None, "networks trained on bootstraps of the annotated slices", "`run-round` trains them.")


def _given(access: Access | None, what: str, hint: str) -> Access:
    if access is None:
        raise StudyError(f"The strategy needs {what}, and there is none.", hint=hint)
    return access


def _check(name: str, requires: frozenset[Requirement], query: Query) -> None:
    require(query.budget >= 0, "budget", query.budget, "0 or more")
    require(query.min_gap >= 0, "min_gap", query.min_gap, "0 or more slices")
    require(query.unit in get_args(Unit), "unit", query.unit, " or ".join(get_args(Unit)))
    getters: dict[Requirement, Callable[[Query], object]] = {
        Requirement.MODEL: model_of,
        Requirement.MANIFOLD: manifold_of,
        Requirement.REFERENCE: reference_of,
        # Whether the model has dropout or a loss head shows when it is asked.
        Requirement.DROPOUT: model_of,
        Requirement.LOSS_HEAD: model_of,
        Requirement.COMMITTEE: committee_of,
    }
    for requirement in sorted(requires, key=lambda r: r.value):
        try:
            getters[requirement](query)
        except StudyError as error:
            raise StudyError(error.sentence.replace("The strategy", f"Strategy {name}"), hint=error.hint) from None


def finite(values: NDArray[np.float64], slices: NDArray[np.intp], refs: Sequence[SliceRef], what: str) -> NDArray[np.float64]:
    """The values, checked. Raises: StudyError naming the first slice whose value is not a finite number."""
    if not values.size:
        return values
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if bad.any():
        where = describe(refs[int(slices[int(bad.argmax())])])
        raise StudyError(f"The {what} of {where} is not a finite number ({bad.sum()} such slices).", hint="Train the model again.")
    return values


def pick_phrase(count: int, noun: str) -> str:
    """`1 slice`, `3 slices`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
