"""A strategy that wraps another needs what the other needs, and the engine asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.engine.suggest import check_options
from SuggestiveAnnotationLib.errors import InputError


def options(scorer: str, **training: Any) -> RoundOptions:
    return RoundOptions(strategy="stochastic-batches", strategy_options={"scorer": scorer}, **training)


@pytest.mark.parametrize(("scorer", "lacking"), [("mc-dropout", "dropout"), ("learning-loss", "its own loss")])
def test_the_training_must_give_what_the_wrapped_score_needs(scorer: str, lacking: str) -> None:
    with pytest.raises(InputError, match=f"stochastic-batches.*{lacking}"):
        check_options(options(scorer))


def test_with_it_or_with_another_score_all_is_well() -> None:
    check_options(options("mc-dropout", dropout=0.2))
    check_options(options("learning-loss", loss_head=True))
    check_options(options("margin"))
