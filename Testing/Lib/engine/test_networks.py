"""Architectures, dropout, the loss head and committees, from the options to a round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, get_args

import numpy as np
import pytest

from SuggestiveAnnotationLib.cli.options import add_settings, read_settings
from SuggestiveAnnotationLib.engine import suggest as suggesting
from SuggestiveAnnotationLib.engine.predict import load_segmentation, predict_slice
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import Architecture, RoundOptions, TrainingOptions
from SuggestiveAnnotationLib.engine.suggest import check_options, suggest
from SuggestiveAnnotationLib.engine.train import newest_committee, train, train_committee
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyError
from SuggestiveAnnotationLib.models.registry import network_spec
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.strategies import registry
from SuggestiveAnnotationLib.strategies.base import BatchStrategy, Board, Choice
from SuggestiveAnnotationLib.strategies.contract import Query, Requirement
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.device import pick_device
from SuggestiveAnnotationLib.types import Rationale, SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=2, batch=4, budget=2, device="cpu", committee=2)
CPU = pick_device("cpu")


@dataclass(frozen=True, kw_only=True)
class Asking(BatchStrategy):
    """Asks for everything it may ask for, and takes the first open slices."""

    name: ClassVar[str] = "asking"
    asked: ClassVar[list[Query]] = []
    looks: ClassVar[bool] = False

    def choose(self, query: Query, board: Board) -> Choice:
        self.asked.append(query)
        for access in (query.model, *query.committee) if Asking.looks else ():
            list(access.probabilities(board.slices.tolist()))
        return Choice([(int(unit), Rationale(self.name, "It came first.")) for unit in board.units[: query.budget]])


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """Strategies that need dropout, a loss head and a committee, and the queries they were asked."""
    needs = (Requirement.DROPOUT, Requirement.LOSS_HEAD, Requirement.COMMITTEE)
    added = tuple(
        registry.Entry(f"needs {need.value}", "", "", "", f"{__name__}:Needs{number}", frozenset({Requirement.MODEL, need}))
        for number, need in enumerate(needs)
    )
    monkeypatch.setattr(registry, "ENTRIES", (*registry.ENTRIES, *added))
    for number, one in enumerate(added):
        kind = type(f"Needs{number}", (Asking,), {"name": one.name, "requires": one.requires})
        monkeypatch.setitem(globals(), f"Needs{number}", kind)
    Asking.asked.clear()
    monkeypatch.setattr(Asking, "looks", False)
    return Asking.asked


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    made = make_study(prepared=True, cases=2)
    annotate(made, *(SliceRef("case0", 0, k) for k in (3, 4, 5)))
    return made


def annotate(study: Study, *refs: SliceRef) -> None:
    for ref in refs:
        Session(study, annotator="a").accept({ref: np.array(study.reference_labels(ref.case)[ref.native_index])})


def spec_of(study: Study, model: Model) -> dict[str, Any]:
    return network_spec(load_segmentation(study, model, device=CPU))


def weights(study: Study, models: Sequence[Model]) -> list[list[np.ndarray]]:
    return [[v.numpy() for v in load_segmentation(study, m, device=CPU).state_dict().values()] for m in models]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_architecture_trains_and_predicts(study: Study, architecture: Architecture) -> None:
    model = train(study, options=replace(OPTIONS, architecture=architecture, dropout=0.2))
    assert spec_of(study, model) == {"network": architecture, "size": "tiny", "channels": 1, "classes": 3, "dropout": 0.2}
    ref = SliceRef("case1", 0, 4)
    assert predict_slice(study, ref, device="cpu").labels.shape == (24, 20)
    assert model.card["settings"]["steps"] == model.card["metrics"]["steps"] == 2


@pytest.mark.parametrize(
    ("spacing", "said"),
    [
        (1.2, "is coarser than the scans (1 mm): patches hold fewer details than the scans' own pixels"),
        (0.8, "is finer than the scans (1 mm): patches hold less of the image than as many of the scans' own pixels"),
        (1.19, ""),
        (0.9, ""),
        ("native", ""),
    ],
)
def test_patches_on_another_grid_than_the_scans_are_said_to_be_so(make_study: MakeStudy, spacing: Any, said: str) -> None:
    """The phantoms have pixels of 1 mm."""
    study = make_study(cases=1, shape=(8, 48, 40))
    prepare(study, spacing=spacing)
    annotate(study, SliceRef("case0", 0, 3))

    def notes(architecture: Architecture) -> list[str]:
        messages: list[str] = []
        train(study, options=replace(OPTIONS, architecture=architecture), progress=lambda event: messages.append(event.message))
        return [message for message in messages if message.startswith("The network grid")]

    advice = "A study prepared with `prepare --spacing native` has the scans' own pixels."
    assert notes("u-shape-patches") == ([f"The network grid ({spacing:.2g} mm) {said}. {advice}"] if said else [])
    assert notes("unet") == []


def test_a_warm_start_from_another_kind_of_network_starts_from_scratch_and_says_so(study: Study) -> None:
    train(study, options=OPTIONS)
    messages: list[str] = []
    other = replace(OPTIONS, architecture="voxresnet", warm_start=True)
    model = train(study, options=other, progress=lambda event: messages.append(event.message))
    assert any("from scratch" in m for m in messages)
    assert model.card["started_from"] is None
    again = train(study, options=other)
    assert again.card["started_from"] == model.id


class TestCommittee:
    def test_members_differ_and_are_reproducible(self, study: Study) -> None:
        models = train_committee(study, options=replace(OPTIONS, committee=3))
        one, two, three = weights(study, models)
        assert not equal(one, two)
        assert not equal(two, three)
        draws = [m.card["annotations"] for m in models]
        assert all(len(d) == 3 and set(d) <= set(models[0].card["accepted"]) for d in draws)
        assert len({tuple(d) for d in draws}) > 1
        other = train_committee(study, options=replace(OPTIONS, committee=3), seed=1)
        back = train_committee(study, options=replace(OPTIONS, committee=3))
        assert {m.id for m in (*models, *other, *back)} == {m.id for m in study.models("committee")}
        assert all(equal(a, b) for a, b in zip(weights(study, back), (one, two, three), strict=True))
        assert not equal(weights(study, other)[0], one)

    def test_nothing_is_trained_again_when_nothing_changed(self, study: Study) -> None:
        first = train_committee(study, options=OPTIONS, round_number=1)
        assert train_committee(study, options=OPTIONS, round_number=2) == first
        annotate(study, SliceRef("case1", 0, 3))
        second = train_committee(study, options=OPTIONS, round_number=2)
        assert not {m.id for m in first} & {m.id for m in second}
        assert newest_committee(study) == second

    def test_members_are_no_segmentation_models(self, study: Study) -> None:
        model = train(study, options=OPTIONS)
        train_committee(study, options=replace(OPTIONS, loss_head=True))
        assert study.latest_model("segmentation") == model
        assert all("loss_head" not in spec_of(study, m) for m in study.models("committee"))

    def test_an_interrupted_committee_goes_on_where_it_stopped_and_is_not_used_before(self, study: Study) -> None:
        token = CancelToken()

        def progress(event: ProgressEvent) -> None:
            if "Network 2" in event.message:
                token.cancel()

        with pytest.raises(Cancelled):
            train_committee(study, options=OPTIONS, progress=progress, cancel=token)
        (done,) = study.models("committee")
        assert newest_committee(study) == ()
        models = train_committee(study, options=OPTIONS)
        assert models[0] == done
        assert newest_committee(study) == models

    def test_a_committee_of_another_size_does_not_mix_with_the_last(self, study: Study) -> None:
        train_committee(study, options=replace(OPTIONS, committee=3))
        two = train_committee(study, options=OPTIONS)
        assert newest_committee(study) == two
        assert len(two) == 2


class TestRounds:
    def test_a_round_trains_a_committee_only_for_a_strategy_that_needs_one(self, study: Study, catalogue: list[Query]) -> None:
        run_round(study, options=replace(OPTIONS, strategy="random"))
        assert study.models("committee") == ()
        Session(study, annotator="a").finish_round()
        round_ = run_round(study, options=replace(OPTIONS, strategy="needs committee"))
        assert len(study.models("committee")) == 2
        assert round_.seconds["train committee"] > 0
        (query,) = catalogue
        assert query.round == round_.number
        assert len(query.committee) == 2
        _, said = next(query.committee[1].probabilities([0]))
        assert said.shape == (1, 3, 32, 32)

    def test_what_a_network_lacks_is_asked_for_by_the_name_of_the_option(self, study: Study, catalogue: list[Query]) -> None:
        wanted = {"needs dropout": ("--dropout", {"dropout": 0.3}), "needs loss head": ("--loss-head", {"loss_head": True})}
        for name, (option, changes) in wanted.items():
            options = replace(OPTIONS, strategy=name)
            with pytest.raises(InputError) as raised:
                run_round(study, options=options)
            assert option in str(raised.value.hint)
            assert study.rounds() == () or study.rounds()[-1].stage == "finished"
            check_options(replace(options, **changes))
            run_round(study, options=replace(options, **changes))
            Session(study, annotator="a").finish_round()
        with_dropout, with_head = catalogue
        assert with_dropout.model is not None
        assert with_head.model is not None
        assert next(with_dropout.model.sampled_probabilities([0], passes=2, seed=0))[1].shape == (2, 1, 3, 32, 32)
        assert next(with_head.model.predicted_losses([0, 1]))[1].shape == (2,)

    def test_suggest_asks_the_newest_model_not_the_options(self, study: Study, catalogue: list[Query]) -> None:
        options = replace(OPTIONS, strategy="needs dropout")
        train(study, options=OPTIONS)
        with pytest.raises(StudyError, match="dropout") as raised:
            suggest(study, options=options)
        assert "--dropout" in str(raised.value.hint)
        train(study, options=replace(OPTIONS, dropout=0.3))
        suggest(study, options=options)
        assert len(catalogue) == 1

    def test_suggest_without_a_committee_says_what_trains_one(self, study: Study, catalogue: list[Query]) -> None:
        train(study, options=OPTIONS)
        with pytest.raises(StudyError, match="committee") as raised:
            suggest(study, options=replace(OPTIONS, strategy="needs committee"))
        assert "run-round" in str(raised.value.hint)


class TestOptions:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dropout": 1.0}, "--dropout is 1.0"),
            ({"dropout": -0.1}, "--dropout"),
            ({"committee": 1}, "--committee is 1"),
            ({"architecture": "transformer"}, "--architecture is 'transformer'"),
            ({"loss": "focal"}, "--loss is 'focal'"),
            ({"loss_head": True, "architecture": "voxresnet"}, "sits on the U-Net"),
        ],
    )
    def test_options_that_cannot_be_are_refused(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(InputError, match=words):
            TrainingOptions(**changes)

    def test_the_command_line_has_them(self) -> None:
        import argparse

        parser = argparse.ArgumentParser()
        add_settings(parser, TrainingOptions)
        words = "--architecture multi-scale-patches --dropout 0.3 --committee 5 --loss dice+background"
        given = parser.parse_args(words.split())
        options = read_settings(TrainingOptions, given)
        assert (options.architecture, options.dropout, options.committee) == ("multi-scale-patches", 0.3, 5)
        assert not options.loss_head
        with pytest.raises(SystemExit):
            parser.parse_args(["--architecture", "transformer"])


def test_the_committee_is_counted_as_work_to_come(study: Study, catalogue: list[Query]) -> None:
    """Every network looks at the pool: progress does not reach its end before the last one has."""
    Asking.looks = True
    train(study, options=OPTIONS)
    train_committee(study, options=OPTIONS)
    seen: list[tuple[int, int]] = []
    open_slices = len(suggesting.pool_of(study).candidates)
    suggest(
        study,
        options=replace(OPTIONS, strategy="needs committee"),
        progress=lambda event: seen.append((event.done, event.total)) if event.stage == "suggest" and not event.message else None,
    )
    assert {total for _, total in seen} == {3 * open_slices}
    assert seen[-1][0] == 3 * open_slices
