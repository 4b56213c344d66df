"""Real processes killed at random moments: nothing accepted is lost, nothing is half there."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]
SCRIPT = Path(__file__).with_name("accept_forever.py")
KILLS = 30


@pytest.mark.kill
@pytest.mark.slow
def test_no_accept_that_was_reported_is_lost_and_none_is_half_there(make_study: MakeStudy) -> None:
    study = make_study()
    reported: dict[str, tuple[str, int, tuple[int, ...]]] = {}
    undone: set[str] = set()
    moments = random.Random(0)
    for kill in range(KILLS):
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(study.path), str(kill)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        process.wait()
        for line in (text for text in lines if text.endswith("\n")):
            words = line.split()
            if words[0] == "undone":
                undone.add(words[1])
            else:
                reported[words[0]] = (words[1], int(words[2]), tuple(int(k) for k in words[3:]))
        _check(Study(study.path), reported, undone)
    assert len(reported) > KILLS


def _check(study: Study, reported: dict[str, tuple[str, int, tuple[int, ...]]], undone: set[str]) -> None:
    with sqlite3.connect(study.path / "study.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    kept = study.all_annotations()
    sizes = Counter(a.batch for a in kept)
    assert set(sizes.values()) <= {3}, "half an accept is there"
    assert set(reported) <= set(sizes), "a reported accept is lost"
    by_batch = {(a.batch, a.ref.native_index): a for a in kept}
    for batch, (case, fill, indices) in reported.items():
        for index in indices:
            annotation = by_batch[batch, index]
            assert annotation.ref.case == case
            assert (annotation.labels == fill).all()
            assert batch not in undone or annotation.state == "undone"
    states = {batch: {a.state == "undone" for a in kept if a.batch == batch} for batch in undone}
    assert all(s == {True} for s in states.values()), "an undo is half there"
    per_slice = Counter(a.ref for a in kept if a.state == "accepted")
    assert set(per_slice.values()) <= {1}
