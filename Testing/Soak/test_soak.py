"""A few kills of a real panel and its worker, and that the soak would notice what it is there to notice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from Soak import check
from Soak.cohort import make_study
from Soak.expected import Expected
from Soak.ledger import READER, UNKNOWN, LedgerReader, LedgerWriter, hash_of, name_of
from Soak.supervisor import Supervisor
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import DATABASE_NAME, Study
from SuggestiveAnnotationLib.types import SliceRef

KILLS = 6
SEED = 4
FIRST, SECOND = SliceRef("case0", 0, 3), SliceRef("case0", 0, 4)


@pytest.fixture
def host_is_there() -> None:
    """Skips loudly where a library is missing; with CI set that is a failure."""
    from SlicerHost import system_check

    missing = system_check.missing()
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"THE PANEL IS NOT TESTED HERE: {missing}")
    if not Path("/proc/self/environ").exists():
        pytest.skip("processes are found through /proc")


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.xdist_group("panel")
@pytest.mark.usefixtures("host_is_there")
def test_nothing_accepted_is_lost_when_worker_and_panel_are_killed(tmp_path: Path) -> None:
    said: list[str] = []
    tally = Supervisor(tmp_path, kills=KILLS, seed=SEED, say=said.append).run()
    assert tally.well, tally.table()
    assert tally.killed == KILLS
    assert tally.by(0)["worker"] >= 1
    assert tally.by(0).get("panel", 0) + tally.by(0).get("both", 0) >= 1
    assert tally.resumed >= 1
    assert tally.actions["accept"] + tally.actions["paint"] >= 1
    assert said
    tally.write(tmp_path / "soak.json")
    kept = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert (kept["kills"], kept["lost"], kept["orphans"], kept["well"]) == (KILLS, [], [], True)


@pytest.fixture
def reported(tmp_path: Path) -> tuple[Study, Expected, LedgerReader]:
    """A study in which two slices were drawn and one accepted, and what a ledger says of it."""
    study = Study(make_study(tmp_path, seed=0))
    session, writer = Session(study, annotator=READER), LedgerWriter(tmp_path / "ledger.jsonl")
    first, second = (np.full((40, 36), value, np.uint16) for value in (1, 4))
    for action, ref, labels in (("paint", FIRST, first), ("accept", FIRST, first), ("paint", SECOND, second)):
        writer.begin(action, slices={name_of(ref): hash_of(labels)})
        (session.accept if action == "accept" else session.draft_slices)({ref: labels})
        writer.done()
    ledger, expected = LedgerReader(tmp_path / "ledger.jsonl"), Expected()
    ledger.read()
    for action in ledger.actions:
        expected = expected.after(action)
    return study, expected, ledger


def test_what_was_reported_is_found(reported: tuple[Study, Expected, LedgerReader]) -> None:
    study, expected, ledger = reported
    found = check.found_in(study)
    assert expected.matches(found)
    assert check.lost(expected, found) == set()
    assert check.damage(study.path, ledger) == []
    assert check.lock_is_free(study.path) == ""


def test_an_accept_that_is_gone_a_changed_one_and_a_lost_draft_are_noticed(reported: tuple[Study, Expected, LedgerReader]) -> None:
    study, expected, _ = reported
    Session(study, annotator=READER).undo()
    assert check.lost(expected, check.found_in(study)) == {name_of(FIRST)}
    Session(study, annotator=READER).accept({FIRST: np.full((40, 36), 4, np.uint16)})
    assert check.lost(expected, check.found_in(study)) == {name_of(FIRST)}
    assert not expected.matches(check.found_in(study))


def test_a_lost_draft_is_noticed(reported: tuple[Study, Expected, LedgerReader]) -> None:
    study, expected, _ = reported
    study.discard_draft(SECOND, annotator=READER)
    assert not expected.matches(check.found_in(study))
    assert check.lost(expected, check.found_in(study)) == set()


def test_a_study_that_is_locked_or_damaged_is_noticed(reported: tuple[Study, Expected, LedgerReader]) -> None:
    study, _, ledger = reported
    with study.lock():
        assert "at work" in check.lock_is_free(study.path)
    stored = next(study.path.glob("slices/*/case1.npy"))
    stored.write_bytes(stored.read_bytes()[:-1])
    assert any("case1" in sentence for sentence in check.damage(study.path, ledger))
    study.close()
    database = study.path / DATABASE_NAME
    database.write_bytes(database.read_bytes()[: 3 * 4096])
    assert check.damage(study.path, ledger)


def test_an_action_that_was_not_reported_may_be_there_or_not_and_no_further_one(tmp_path: Path) -> None:
    writer, reader = LedgerWriter(tmp_path / "ledger.jsonl"), LedgerReader(tmp_path / "ledger.jsonl")
    writer.begin("paint", slices={"case0/0/3": UNKNOWN})
    writer.done(slices={"case0/0/3": "a"})
    writer.begin("accept", slices={"case0/0/3": "a"})
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"n": 2, "do')
    reader.read()
    painted = Expected().after(reader.actions[0])
    assert reader.open_action is reader.actions[1]
    before, saved, after = painted.on_the_way(reader.actions[1])
    assert (before.drafts, saved.drafts, after.drafts) == ({"case0/0/3": "a"}, {"case0/0/3": "a"}, {})
    assert (before.accepted(), after.accepted()) == ({}, {"case0/0/3": "a"})
    # Two accepts further, nothing that may be.
    further = after._with_accepted({"case0/0/4": "b"})
    assert not any(state.matches(further) for state in (before, saved, after))


def test_undo_brings_back_what_was_superseded_and_makes_a_draft() -> None:
    twice = Expected()._with_accepted({"case0/0/3": "a"})._with_accepted({"case0/0/3": "b"})
    assert twice.accepted() == {"case0/0/3": "b"}
    (undone,) = twice._undo(None)
    assert undone.accepted() == {"case0/0/3": "a"}
    assert undone.drafts == {"case0/0/3": "b"}
    assert [row.state for row in undone.rows] == ["accepted", "undone"]
