"""What a reader is told of the slices of a round while they wait."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion, SuggestionKind

MakeStudy = Callable[..., Study]
FOUND, BARE, BESIDE, AUDIT = (SliceRef("case0", 0, index) for index in (2, 4, 5, 6))
ELSEWHERE = SliceRef("case1", 0, 4)
KINDS: dict[SliceRef, SuggestionKind] = {FOUND: "suggested", BARE: "suggested", BESIDE: "context", ELSEWHERE: "suggested", AUDIT: "audit"}


def square() -> np.ndarray:
    out = np.zeros((24, 20), np.uint16)
    out[6:12, 5:11] = 2
    return out


def round_of(study: Study, kinds: dict[SliceRef, SuggestionKind]) -> int:
    number = study.start_round(strategy="random", budget=4, seed=0, unit="slice", settings={}).number
    rows = [Suggestion(ref, rank, Rationale("random", "Drawn."), kind=kind) for rank, (ref, kind) in enumerate(kinds.items())]
    study.publish_suggestions(number, rows)
    study.enter_stage(number, "annotating")
    return number


def predict(study: Study, number: int, labels: dict[SliceRef, np.ndarray]) -> None:
    weights = study.path / "models" / f"m{number}.safetensors"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"")
    model = study.publish_model("segmentation", path=weights, card={}, record_key=study.record.key, round_number=number)
    study.add_predictions(model.id, list(labels.items()))


def test_while_an_audit_slice_waits_slices_that_look_like_it_do_not_say_why_they_were_chosen(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    nothing = np.zeros_like(square())
    predict(study, round_of(study, KINDS), {FOUND: square(), BARE: nothing, BESIDE: nothing, ELSEWHERE: nothing, AUDIT: square()})
    session = Session(study, annotator="a")
    assert session.withheld() == {BARE, ELSEWHERE, AUDIT}
    session.draft(BARE, square())
    assert session.withheld() == {BARE, ELSEWHERE, AUDIT}
    session.accept({BARE: square()})
    assert session.withheld() == {ELSEWHERE, AUDIT}
    session.exclude_case("case1", reason="motion")
    assert session.withheld() == {AUDIT}
    session.include_case("case1")
    session.mark_empty([AUDIT])
    assert session.withheld() == frozenset()
    session.undo()
    assert session.withheld() == {ELSEWHERE, AUDIT}


def test_without_audit_slices_or_predictions_every_slice_says_why(make_study: MakeStudy) -> None:
    study = make_study(prepared=True)
    session = Session(study, annotator="a")
    assert session.withheld() == frozenset()
    round_of(study, KINDS)
    # Nothing sets them apart but what they are for, and nothing is compared with them.
    assert session.withheld() == {AUDIT}
    study.finish_round(0)
    number = round_of(study, {FOUND: "suggested", BARE: "suggested"})
    predict(study, number, {FOUND: square(), BARE: np.zeros_like(square())})
    assert session.withheld() == frozenset()
