"""The sentence that a comparison gives each strategy, and that the shipped ones are those of the shipped results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from SuggestiveAnnotationLib.experiment.evidence import main, sentences
from SuggestiveAnnotationLib.strategies.catalogue import MEASURED
from SuggestiveAnnotationLib.strategies.registry import entry

RESULTS = Path(__file__).parents[3] / "Resources" / "Results"


def interval(mean: float | None, half: float = 0.01, people: int = 24) -> dict[str, Any]:
    low, high = (None, None) if mean is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "people": people, "runs": 9}


def gain(arm: str, mean: float | None, half: float = 0.01) -> dict[str, Any]:
    narrow = interval(mean, half * 0.8)
    return {
        "arm": arm,
        "against": "random",
        "over": {"minutes": interval(mean, half)},
        "at_once": interval(mean, 2 * half),
        "narrow": narrow,
    }


def results(*, folder: str | None, gains: dict[str, dict[str, Any]], arms: dict[str, str], seeds: int = 3) -> dict[str, Any]:
    cohort = {"cases": 18} if folder is None else {"folder": folder}
    return {
        "plan": {"cohort": cohort, "arms": [{"name": name, "strategy": strategy} for name, strategy in arms.items()]},
        "arms": {name: {"usable": strategy != "oracle"} for name, strategy in arms.items()},
        "baseline": "random", "metric": "dice_3d", "over": "minutes", "margin": 0.01, "people": 24, "gains": gains,
        "blocks": [[fold, seed] for fold in range(3) for seed in range(seeds)],
    }  # fmt: skip


def test_sentences_by_hand() -> None:
    arms = {"random": "random", "first": "strided", "strided": "strided", "entropy": "entropy", "oracle": "oracle", "badge": "badge"}
    gains = {"strided": gain("strided", 0.03), "entropy": gain("entropy", -0.002, 0.005), "oracle": gain("oracle", 0.5)}
    gains |= {"first": gain("first", 0.4), "badge": gain("badge", None)}
    told = sentences([results(folder="${DATA}/malc2012", gains=gains, arms=arms)])
    where = "Measured here on 24 people (malc2012, 3D Dice)"
    for_same = "against random for the same simulated minutes, with 4 arms held against it"
    assert told == {
        "badge": f"{where}: cannot be compared with random for the same simulated minutes.",
        "entropy": f"{where}: -0.002 [-0.012, +0.008] {for_same}: equivalent within 0.01.",
        "oracle": f"{where}: +0.500 [+0.480, +0.520] {for_same}: better.",
        # Of the four arms without the reference two are better beyond chance at once.
        "random": f"{where}: 2 of 4 other arms did better beyond chance, 0 worse.",
        "strided": f"{where}: +0.030 [+0.010, +0.050] {for_same}: better.",
    }


def test_real_people_count_more_than_made_up_ones_and_later_more_than_earlier() -> None:
    arms = {"random": "random", "badge": "badge"}
    made_up = results(folder=None, gains={"badge": gain("badge", 0.3)}, arms={**arms, "entropy": "entropy"}, seeds=1)
    first = results(folder="a", gains={"badge": gain("badge", 0.1)}, arms=arms)
    last = results(folder="b", gains={"badge": gain("badge", 0.2)}, arms=arms)
    assert "(b, 3D Dice): +0.200" in sentences([first, last, made_up])["badge"]
    assert "(a, 3D Dice): +0.100" in sentences([made_up, last, first])["badge"]
    assert "(made up, 3D Dice, one run a fold)" in sentences([made_up])["badge"]


def test_the_shipped_sentences_are_those_of_the_shipped_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "measured.json"
    monkeypatch.setattr("SuggestiveAnnotationLib.experiment.evidence.MEASURED", written)
    assert main([str(path) for path in sorted(RESULTS.glob("*/results.json"))]) == 0
    assert json.loads(written.read_text(encoding="utf-8")) == json.loads(MEASURED.read_text(encoding="utf-8"))


def test_a_line_of_evidence_holds_what_others_published_and_what_was_measured_here() -> None:
    for name, sentence in json.loads(MEASURED.read_text(encoding="utf-8")).items():
        found = entry(name)
        assert found.evidence == f"{found.published} {sentence}"
