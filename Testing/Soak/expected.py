"""What must be in the study after what the panel reported as done. A model of its own: it knows nothing of the code it judges."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from Soak.ledger import UNKNOWN, Action


@dataclass
class Row:
    """An annotation as it must stand in the study."""

    ref: str
    labels: str
    state: str
    batch: int
    supersedes: int | None = None


@dataclass
class Expected:
    """Annotations in the order of their accepts, the reader's drafts, and the suggestions that were passed over.

    Attributes:
        drafts: slice -> hash of the labels; `UNKNOWN` stands for any, or none.
        passed: slice -> state of its newest suggestion.
    """

    rows: list[Row] = field(default_factory=list)
    drafts: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    batches: int = 0

    def accepted(self) -> dict[str, str]:
        """Slice -> hash of what counts."""
        return {row.ref: row.labels for row in self.rows if row.state == "accepted"}

    def matches(self, found: Expected) -> bool:
        """Whether what was found in a study is this."""
        fixed = {ref for ref, labels in self.drafts.items() if labels != UNKNOWN}
        free = set(self.drafts) - fixed
        drafts = {ref: labels for ref, labels in found.drafts.items() if ref not in free}
        return (
            [(r.ref, r.labels, r.state) for r in self.rows] == [(r.ref, r.labels, r.state) for r in found.rows]
            and {ref: self.drafts[ref] for ref in fixed} == drafts
            and all(found.passed.get(ref) == state for ref, state in self.passed.items())
        )

    def settled(self, found: Expected) -> Expected:
        """This, with what was not known taken from what was found."""
        known = deepcopy(self)
        for ref in [ref for ref, labels in known.drafts.items() if labels == UNKNOWN]:
            del known.drafts[ref]
            if ref in found.drafts:
                known.drafts[ref] = found.drafts[ref]
        return known

    def after(self, action: Action) -> Expected:
        """This, after an action that was reported as done, or as refused."""
        *_, last = self.on_the_way(action)
        return last if action.done else self

    def on_the_way(self, action: Action) -> Iterator[Expected]:
        """Every state that the study may be in while an action is under way, the one before first and the one after last."""
        yield self
        step = getattr(self, f"_{action.name.replace(' ', '_')}", None)
        if step is not None:
            yield from step(action)

    # The actions that change what is kept; others (moving, exporting, starting a round) leave it as it is

    def _paint(self, action: Action) -> Iterator[Expected]:
        new = deepcopy(self)
        drawn = {**action.details["slices"], **(action.ended or {}).get("slices", {})}
        # A stroke of the colour that was there changes nothing.
        new.drafts |= {ref: labels for ref, labels in drawn.items() if labels is not None}
        yield new

    def _accept(self, action: Action) -> Iterator[Expected]:
        slices = action.details["slices"]
        # The work is saved as drafts first.
        saved = deepcopy(self)
        saved.drafts |= slices
        yield saved
        yield self._with_accepted(slices)

    def _accept_range(self, action: Action) -> Iterator[Expected]:
        yield from self._accept(action)

    def _mark_empty(self, action: Action) -> Iterator[Expected]:
        yield self._with_accepted(action.details["slices"])

    def _with_accepted(self, slices: dict[str, str]) -> Expected:
        new = deepcopy(self)
        new.batches += 1
        for ref, labels in slices.items():
            kept = next((n for n, row in enumerate(new.rows) if row.ref == ref and row.state == "accepted"), None)
            if kept is not None:
                new.rows[kept].state = "superseded"
            new.rows.append(Row(ref, labels, "accepted", new.batches, kept))
            new.drafts.pop(ref, None)
            new.passed.pop(ref, None)
        return new

    def _undo(self, _action: Action) -> Iterator[Expected]:
        new = deepcopy(self)
        last = next((row.batch for row in reversed(new.rows) if row.state == "accepted"), None)
        members = [row for row in new.rows if row.batch == last]
        if last is None or any(row.state != "accepted" for row in members):
            return
        for row in members:
            row.state = "undone"
            if row.supersedes is not None:
                new.rows[row.supersedes].state = "accepted"
            new.drafts.setdefault(row.ref, row.labels)
        yield new

    def _reopen(self, action: Action) -> Iterator[Expected]:
        new = deepcopy(self)
        ref = action.details["slice"]
        if ref in new.accepted():
            new.drafts.setdefault(ref, new.accepted()[ref])
        yield new

    def _return(self, action: Action) -> Iterator[Expected]:
        new = deepcopy(self)
        for row in new.rows:
            if row.ref == action.details["slice"] and row.state == "accepted":
                row.state = "returned"
                new.drafts.setdefault(row.ref, row.labels)
        yield new

    def _skip(self, action: Action) -> Iterator[Expected]:
        yield self._with_passed(action.details["slice"], "skipped")

    def _unreadable(self, action: Action) -> Iterator[Expected]:
        yield self._with_passed(action.details["slice"], "unreadable")

    def _with_passed(self, ref: str, state: str) -> Expected:
        new = deepcopy(self)
        new.passed[ref] = state
        return new
