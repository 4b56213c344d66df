"""Context slices: the neighbours shown beside a suggested slice (2020 paper, section 3.2)."""

from __future__ import annotations

from SuggestiveAnnotationLib.strategies.contract import Answer, Pool
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion, describe


def with_context(answer: Answer, pool: Pool, each_side: int = 1) -> Answer:
    """The batch with up to `each_side` neighbours on each side of every suggested slice, right behind it and with its rank.

    A neighbour that is blank, annotated, closed, outside the case, or already in the batch is left out. The minimum gap does not apply.
    Works on the answer of any strategy.
    """
    index = {ref: i for i, ref in enumerate(pool.refs)}
    candidates = set(pool.candidates.tolist())
    used = {s.ref for s in answer.suggestions}
    out: list[Suggestion] = []
    for suggestion in answer.suggestions:
        out.append(suggestion)
        if suggestion.kind != "suggested":
            continue
        ref = suggestion.ref
        for step in sorted(range(-each_side, each_side + 1), key=abs):
            neighbour = SliceRef(ref.case, ref.axis, ref.native_index + step)
            place = index.get(neighbour)
            if place is None or place not in candidates or neighbour in used:
                continue
            used.add(neighbour)
            out.append(Suggestion(neighbour, suggestion.rank, _reason(suggestion, step, float(pool.spacing_mm[place])), "context", ref))
    return Answer(tuple(out), answer.shortfall, answer.warnings)


def _reason(suggestion: Suggestion, step: int, spacing_mm: float) -> Rationale:
    distance = abs(step) * spacing_mm
    side = "after" if step > 0 else "before"
    sentence = f"Shown as context: it lies {distance:.3g} mm {side} {describe(suggestion.ref)}."
    return Rationale(suggestion.rationale.strategy, sentence, details={"context_step": step, "distance_mm": distance})
