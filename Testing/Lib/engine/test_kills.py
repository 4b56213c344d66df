"""Whole rounds killed at random moments: every stage is absent or complete, and the same command goes on to the same end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]
SCRIPT = Path(__file__).with_name("simulate_once.py")
KILLS = 8
BUDGET = 3


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_simulation_killed_again_and_again_ends_like_one_that_was_left_alone(make_study: MakeStudy) -> None:
    roles = ("pool", "pool", "test")
    alone, killed = make_study(prepared=True, name="alone", roles=roles), make_study(prepared=True, name="killed", roles=roles)
    began = time.monotonic()
    length = _run(alone.path)
    assert length is not None, f"the undisturbed run failed after {time.monotonic() - began:.0f} s"
    moments = random.Random(1)
    kills = 0
    while kills < KILLS:
        # Short stretches at first, so that early stages are hit as well as late ones.
        if _run(killed.path, kill_after=moments.uniform(0, length * 0.2)) is None:
            kills += 1
            _no_half_stage(Study(killed.path))
        else:
            break
    assert kills >= 4
    assert _run(killed.path) is not None
    one, two = Study(alone.path), Study(killed.path)
    assert [r.stage for r in two.rounds()] == ["finished"] * 3
    assert [s.suggestion.ref for s in two.suggestions()] == [s.suggestion.ref for s in one.suggestions()]
    assert {(a.ref, a.labels.tobytes()) for a in two.annotations()} == {(a.ref, a.labels.tobytes()) for a in one.annotations()}
    assert two.metrics() == one.metrics()


def _run(path: Path, *, kill_after: float | None = None) -> float | None:
    """Seconds from ready to done; None when it was killed before."""
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    return time.monotonic() - began if rest == "done\n" else None


def _no_half_stage(study: Study) -> None:
    for round_ in study.rounds():
        suggested = study.suggestions(round_.number)
        if round_.stage in ("training", "suggesting"):
            assert suggested == ()
        else:
            assert len(suggested) == BUDGET
        if round_.stage == "finished":
            assert {row.state for row in suggested} == {"accepted"}
        if round_.number > 0 and round_.stage in ("annotating", "finished"):
            assert all(study.prediction(row.suggestion.ref) is not None for row in suggested)
    for model in study.models():
        assert model.path.exists()
        assert model.path.with_suffix(".json").exists()
        assert model.latents is None or model.latents.exists()
