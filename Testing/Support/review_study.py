"""A small study that has gone through real rounds, for tests of review and export: tiny networks, but every step is real."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from panel_study import make_study, square

from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.settings import ManifoldOptions, RoundOptions
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

OPTIONS = RoundOptions(network="tiny", steps=4, batch=4, budget=6, device="cpu")
MANIFOLD = ManifoldOptions(
    manifold_network="tiny", manifold_steps=6, manifold_batch=4, manifold_pixels=32, latent_size=3, manifold_rate=0.01, device="cpu"
)
READER = "reader 1"
AUDITS = 5
_made: list[Path] = []


def reviewed_study(factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A copy of the study in a folder; it is made once a run. Its cohort stays where it was made."""
    if not _made:
        study = make_reviewed_study(factory.mktemp("reviewed"))
        study.close()
        _made.append(study.path)
    shutil.copytree(_made[0], folder / "study")
    return folder / "study"


def make_reviewed_study(folder: Path) -> Study:
    """Four cases, a first batch and two gradient-guided rounds.

    Rounds 0 and 1 are finished, their slices accepted: corrected, from scratch, empty. In round 2, which is open, the first suggestion is
    accepted, the second is a draft, the third is skipped, and an audit slice is accepted; the others wait.
    """
    study = make_study(folder, cases=4)
    session = Session(study, annotator=READER)
    with study.lock():
        for number in range(3):
            strategy = {"strategy": "gradient-guided", "audit": AUDITS} if number else {"strategy": "random"}
            run_round(study, options=replace(OPTIONS, seed=number, **strategy), manifold=MANIFOLD)
            if number < 2:
                accept(session, *(row.suggestion.ref for row in session.suggestions()))
                session.finish_round()
    waiting = [row.suggestion for row in study.suggestions(2)]
    usual = [one.ref for one in waiting if one.kind == "suggested"]
    accept(session, usual[0], next(one.ref for one in waiting if one.kind == "audit"))
    session.open(usual[1])
    session.draft(usual[1], square(4))
    session.skip(usual[2], reason="motion")
    return study


def accept(session: Session, *refs: SliceRef) -> None:
    """Draw a square on each slice, on every fourth nothing, and accept it."""
    for ref in refs:
        session.open(ref)
        if ref.native_index % 4 == 3:
            session.mark_empty([ref])
        else:
            session.accept({ref: square(1 if ref.native_index % 2 else 4, left=8 + ref.native_index)})


def find_something(study: Study, ref: SliceRef) -> None:
    """Have a newer network outline a slice: one of four steps finds nothing anywhere."""
    last = study.models("segmentation")[-1]
    model = study.publish_model("segmentation", path=last.path, card=last.card, record_key=last.record_key, round_number=last.round)
    study.add_predictions(model.id, [(ref, square(1))])


def of_state(study: Study, state: str) -> list[SliceRef]:
    """Slices of the open round in a state, as the test reader sees them."""
    found = Session(study, annotator=READER).slice_status()
    return [row.suggestion.ref for row in study.suggestions(2) if found[row.suggestion.ref].state == state]
