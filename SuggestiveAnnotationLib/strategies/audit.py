"""Audit slices: drawn at random on top of a batch and annotated without pre-annotation, so that the rest can be judged by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SuggestiveAnnotationLib.strategies.contract import Answer, Pool
from SuggestiveAnnotationLib.types import Rationale, Suggestion


def with_audit(answer: Answer, pool: Pool, *, count: int, seed: int) -> Answer:
    """The batch with up to `count` further slices, uniformly from what may be suggested and was not, and what nobody has begun to draw,
    maybe from a pre-annotation.

    Each has the rank of another slice of the batch, behind which it is listed: at the end of the list it would be known.
    """
    taken = {one.ref for one in answer.suggestions}
    begun = np.zeros(len(pool.refs), bool) if pool.drawn is None else pool.drawn
    free = [int(i) for i in pool.candidates if pool.refs[i] not in taken and not begun[i]]
    chosen = np.random.default_rng([seed, 1]).permutation(len(free))[:count]
    why = Rationale("audit", "Drawn at random, to be annotated without pre-annotation: the others are judged by it.")
    last = max((one.rank for one in answer.suggestions), default=0)
    ranks = np.random.default_rng([seed, 2]).integers(0, last + 1, len(chosen)).tolist()
    audits = (Suggestion(pool.refs[free[k]], rank, why, kind="audit") for k, rank in zip(chosen, ranks, strict=True))
    return replace(answer, suggestions=(*answer.suggestions, *audits))
