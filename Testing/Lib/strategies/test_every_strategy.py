"""What every registered strategy must keep. A strategy added to the catalogue is tested here without further ado."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.strategies.contract import Answer, Requirement
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, Entry, entry, strategy
from SuggestiveAnnotationLib.types import Rationale


def _with_few_passes(found: Entry, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What is asked is the same for two predictions of a slice as for eight."""
    of_wrapped = entry(str((vars(strategy(found.name)) | options)[found.wraps])).options if found.wraps else ()
    return found.name, options | ({"passes": 2} if any(o.name == "passes" for o in (*found.options, *of_wrapped)) else {})


VARIANTS = [_with_few_passes(e, {}) for e in ENTRIES] + [
    _with_few_passes(e, {o.name: c})
    for e in ENTRIES
    for o in e.options
    for c in (o.choices or ((True, False) if isinstance(o.default, bool) else ()))
    if c != o.default
]

_MISSING: dict[Requirement, dict[str, Any]] = {
    Requirement.DROPOUT: {"model": None},
    Requirement.LOSS_HEAD: {"model": None},
    Requirement.COMMITTEE: {"committee": ()},
}


def _label(variant: tuple[str, dict[str, Any]]) -> str:
    return " ".join([variant[0], *map(str, variant[1].values())])


def _refs(answer: Answer) -> list[tuple[str, int]]:
    return [(s.ref.case, s.ref.native_index) for s in answer.suggestions]


@pytest.mark.parametrize("variant", VARIANTS, ids=_label)
class TestEveryStrategy:
    @pytest.fixture
    def suggest(self, variant: tuple[str, dict[str, Any]]) -> Any:
        return strategy(variant[0], **variant[1]).suggest

    def test_the_same_seed_gives_the_same_answer(self, world: Any, suggest: Any) -> None:
        assert suggest(world.query()) == suggest(world.query())

    def test_another_seed_keeps_the_contract(self, world: Any, suggest: Any) -> None:
        for seed in range(5):
            self._check(world.query(seed=seed), suggest(world.query(seed=seed)))

    def test_the_budget_is_met_with_distinct_open_slices_in_order_of_rank(self, world: Any, suggest: Any) -> None:
        query = world.query(budget=7)
        answer = suggest(query)
        self._check(query, answer)
        assert len(answer.suggestions) == 7
        assert [s.rank for s in answer.suggestions] == list(range(7))
        assert answer.shortfall == ""

    def test_a_pool_smaller_than_the_budget_gives_all_it_may_and_says_why(self, world: Any, suggest: Any) -> None:
        query = world.query(budget=100)
        answer = suggest(query)
        self._check(query, answer)
        assert answer.shortfall
        if "reference of the other slices is empty" not in answer.shortfall:
            assert len(answer.suggestions) == len(query.pool.candidates)

    def test_an_empty_pool_gives_nothing_and_says_why(self, world: Any, suggest: Any) -> None:
        pool = world.with_flags(closed=np.ones(60, bool))
        for unit in ("slice", "case"):
            answer = suggest(world.query(pool=pool, unit=unit))
            assert answer.suggestions == ()
            assert "6 annotated" in answer.shortfall

    def test_a_pool_without_slices_gives_nothing(self, world: Any, suggest: Any) -> None:
        none = np.empty(0, bool)
        query = replace(world.query(), pool=replace(world.pool, refs=(), spacing_mm=np.empty(0), blank=none, labelled=none, closed=none))
        assert suggest(query).suggestions == ()

    def test_a_budget_of_nothing_gives_nothing(self, world: Any, suggest: Any) -> None:
        answer = suggest(world.query(budget=0))
        assert answer.suggestions == ()
        assert answer.shortfall == ""

    def test_one_open_slice_is_found(self, world: Any, suggest: Any) -> None:
        closed = np.ones(60, bool)
        closed[33] = False
        answer = suggest(world.query(pool=world.with_flags(closed=closed), budget=2))
        assert _refs(answer) == [("case 3", 3)]

    def test_networks_are_bit_identical_afterwards_and_in_the_mode_they_were_in(self, world: Any, suggest: Any) -> None:
        networks = (world.network, world.autoencoder, *world.members)
        before = [{k: v.clone() for k, v in n.state_dict().items()} for n in networks]
        suggest(world.query())
        for network, kept in zip(networks, before, strict=True):
            assert all(torch.equal(v, kept[k]) for k, v in network.state_dict().items())
            assert all(p.grad is None for p in network.parameters())
            assert network.training

    def test_the_global_random_state_is_left_alone_and_not_used(self, world: Any, suggest: Any) -> None:
        torch.manual_seed(0)
        state = torch.get_rng_state()
        first = suggest(world.query())
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(99)
        assert suggest(world.query()) == first

    @pytest.mark.parametrize("gap", [1, 2])
    def test_the_minimum_gap_holds_among_suggested_and_annotated_slices(self, world: Any, suggest: Any, gap: int) -> None:
        for budget in (6, 100):
            query = world.query(budget=budget, min_gap=gap)
            answer = suggest(query)
            self._check(query, answer)
            annotated = [(r.case, r.native_index) for r, used in zip(query.pool.refs, query.pool.labelled, strict=True) if used]
            taken = _refs(answer)
            for place, (case, index) in enumerate(taken):
                assert all(abs(index - other) > gap for name, other in taken[:place] + annotated if name == case)

    def test_whole_cases_come_with_all_their_open_slices(self, world: Any, suggest: Any) -> None:
        query = world.query(budget=2, unit="case")
        answer = suggest(query)
        self._check(query, answer)
        assert {s.rank for s in answer.suggestions} == {0, 1}
        for rank in (0, 1):
            (case,) = {s.ref.case for s in answer.suggestions if s.rank == rank}
            open_slices = [query.pool.refs[i] for i in query.pool.candidates if query.pool.refs[i].case == case]
            assert [s.ref for s in answer.suggestions if s.rank == rank] == open_slices

    def test_more_cases_than_there_are_is_a_shortfall(self, world: Any, suggest: Any) -> None:
        answer = suggest(world.query(budget=9, unit="case"))
        assert {s.rank for s in answer.suggestions} == set(range(6))
        assert "6 of 9 cases" in answer.shortfall

    def test_labels_nobody_accepted_do_not_matter(self, world: Any, suggest: Any, variant: Any) -> None:
        if Requirement.REFERENCE in strategy(variant[0], **variant[1]).requires:
            pytest.skip("an oracle looks at the reference by definition")
        scrambled = np.random.default_rng(1).integers(0, 3, world.reference.shape).astype(np.int16)
        first = suggest(world.query())
        world.accepted[~world.pool.labelled] = scrambled[~world.pool.labelled]
        assert suggest(world.query(reference=scrambled)) == first
        assert suggest(replace(world.query(), reference=None)) == first

    def test_every_reason_is_a_sentence_that_survives_json(self, world: Any, suggest: Any, variant: Any) -> None:
        for unit in ("slice", "case"):
            for s in suggest(world.query(unit=unit, budget=3)).suggestions:
                reason = s.rationale
                assert reason.strategy == variant[0]
                assert reason.sentence[0].isupper()
                assert reason.sentence.endswith(".")
                assert Rationale.from_json(json.loads(json.dumps(reason.to_json(), allow_nan=False))) == reason

    def test_context_slices_come_with_their_suggestion(self, world: Any, variant: Any) -> None:
        query = world.query(budget=3, min_gap=2)
        plain = strategy(variant[0], **variant[1]).suggest(query)
        answer = strategy(variant[0], **variant[1], context=1).suggest(query)
        self._check(query, answer)
        assert tuple(s for s in answer.suggestions if s.kind == "suggested") == plain.suggestions
        for s in answer.suggestions:
            if s.kind == "context":
                assert s.context_of is not None
                assert s.context_of.case == s.ref.case
                assert abs(s.context_of.native_index - s.ref.native_index) == 1

    def test_what_is_missing_is_named(self, world: Any, suggest: Any, variant: Any) -> None:
        for requirement in strategy(variant[0], **variant[1]).requires:
            with pytest.raises(StudyError, match=variant[0]):
                suggest(replace(world.query(), **_MISSING.get(requirement, {requirement.value: None})))

    @pytest.mark.parametrize("wrong", [{"budget": -1}, {"min_gap": -1}, {"unit": "voxel"}])
    def test_a_query_that_makes_no_sense_is_refused(self, world: Any, suggest: Any, wrong: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=next(iter(wrong))):
            suggest(replace(world.query(), **wrong))

    @staticmethod
    def _check(query: Any, answer: Answer) -> None:
        allowed = {query.pool.refs[i] for i in query.pool.candidates}
        refs = [s.ref for s in answer.suggestions]
        assert len(set(refs)) == len(refs)
        assert set(refs) <= allowed
        ranks = [s.rank for s in answer.suggestions]
        assert ranks == sorted(ranks)
        units = {s.ref.case if query.unit == "case" else s.ref for s in answer.suggestions if s.kind == "suggested"}
        assert len(units) <= query.budget
        assert bool(answer.shortfall) == (len(units) < query.budget)
        for warning in answer.warnings:
            assert warning.endswith(".")
