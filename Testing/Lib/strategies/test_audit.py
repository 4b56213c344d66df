"""Audit slices among a batch: drawn at random, and nowhere that would tell them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from SuggestiveAnnotationLib.strategies.audit import with_audit
from SuggestiveAnnotationLib.strategies.contract import Answer, Pool
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

REFS = tuple(SliceRef("case0", 0, index) for index in range(40))
NO = np.zeros(len(REFS), bool)
POOL = Pool(refs=REFS, spacing_mm=np.ones(len(REFS)), blank=NO, labelled=NO, closed=NO)
BATCH = Answer(tuple(Suggestion(ref, rank, Rationale("random", "Drawn.")) for rank, ref in enumerate(REFS[:8])))


def audits(seed: int, count: int = 2) -> list[Suggestion]:
    answer = with_audit(BATCH, POOL, count=count, seed=seed)
    assert answer.suggestions[:8] == BATCH.suggestions
    return list(answer.suggestions[8:])


def test_they_are_other_slices_than_the_batch_and_the_same_for_the_same_seed() -> None:
    assert len({one.ref for one in audits(3, 32)}) == 32
    assert not {one.ref for one in audits(3, 40)} & set(REFS[:8])
    assert audits(3) == audits(3)
    assert audits(3) != audits(4)


def test_they_stand_anywhere_in_the_list() -> None:
    ranks = [one.rank for seed in range(50) for one in audits(seed)]
    assert set(ranks) == set(range(8))
    assert [one.rank for one in with_audit(Answer(()), POOL, count=2, seed=0).suggestions] == [0, 0]


def test_a_slice_that_somebody_has_begun_to_draw_is_none() -> None:
    drawn = np.array([ref.native_index % 2 == 0 for ref in REFS])
    found = with_audit(BATCH, replace(POOL, drawn=drawn), count=40, seed=0).suggestions[8:]
    assert {one.ref.native_index for one in found} == set(range(9, 40, 2))
