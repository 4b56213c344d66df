"""A round that was interrupted keeps the options it began with, and says which of the given ones it does not take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace

import pytest

from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.errors import Cancelled
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OPTIONS = RoundOptions(network="tiny", steps=4, batch=4, budget=3, device="cpu")


def test_a_round_that_goes_on_says_which_options_it_does_not_take(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    ref = SliceRef("case0", 0, 4)
    Session(study, annotator="a").accept({ref: study.reference_labels(ref.case)[ref.native_index]})
    began = replace(OPTIONS, strategy="entropy")
    stop = CancelToken()
    stop.cancel()

    def told(*given: str, options: RoundOptions, cancel: CancelToken | None = None) -> list[str]:
        said: list[str] = []
        with suppress(Cancelled):
            run_round(study, options=options, given=given, progress=lambda e: said.append(e.message), cancel=cancel)
        return [message for message in said if "goes on" in message]

    every = tuple(asdict(began))
    assert told(*every, options=began, cancel=stop) == []
    assert told(*every, options=replace(began, device="auto"), cancel=stop) == []
    other = replace(began, strategy="random", steps=9, augment=False, strategy_options={"scorer": "entropy"})
    assert told("budget", options=other, cancel=stop) == []
    assert told("steps", "augment", options=other, cancel=stop) == [
        "Round 0 goes on with --steps 4 and --augment, as it began; what was given instead is not used. `finish-round --abandon` drops it."
    ]
    (said,) = told(*every, options=other)
    assert said.startswith("Round 0 goes on with --strategy entropy, no --option, --steps 4 and --augment, as it began;")
    assert study.rounds()[0].strategy == "entropy"


def test_a_first_batch_that_goes_on_takes_any_strategy_for_the_rounds_after_it(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    stop, said = CancelToken(), []
    stop.cancel()
    options = replace(OPTIONS, strategy="entropy")
    for _ in range(2):
        with pytest.raises(Cancelled):
            run_round(study, options=options, given=("strategy", "budget"), progress=lambda e: said.append(e.message), cancel=stop)
    assert [message for message in said if message] == ["Nothing is annotated yet: the first batch is strided."]
