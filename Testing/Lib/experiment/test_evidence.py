"""The sentence that a comparison gives each strategy, and that the shipped ones are those of the shipped results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from SuggestiveAnnotationLib.experiment.evidence import main, sentences
from SuggestiveAnnotationLib.experiment.plan import EmbeddedSource, FolderSource, Plan
from SuggestiveAnnotationLib.strategies.catalogue import MEASURED
from SuggestiveAnnotationLib.strategies.registry import entry

RESULTS = Path(__file__).parents[3] / "Resources" / "Results"


def gain(arm: str, mean: float | None, half: float = 0.01, runs: int = 9) -> dict[str, Any]:
    low, high = (None, None) if mean is None else (mean - half, mean + half)
    at_once = {"mean": mean, "low": low, "high": high, "people": 24, "runs": runs}
    return {"arm": arm, "against": "random", "at_once": at_once, "held": mean}


def results(
    plan: Plan, gains: list[dict[str, Any]], *, folder: str | None = "malc2012", people: int = 24, blocks: int = 9
) -> dict[str, Any]:
    """As in a `results.json`: three folds, every arm of the plan there, those that see the reference not usable."""
    cohort = EmbeddedSource() if folder is None else FolderSource(folder)
    return {
        "plan": replace(plan, cohort=cohort).to_json(), "arms": {arm.name: {"usable": "oracle" not in arm.strategy} for arm in plan.arms},
        "baseline": "random", "metric": "dice_3d", "over": "minutes", "margin": 0.01, "people": people, "folds": 3,
        "blocks": [[0, 0]] * blocks, "missing": [],
        "gains": {one["arm"]: one for one in gains},
    }  # fmt: skip


def with_arms(plan: Plan, **strategies: Any) -> Plan:
    """A plan with arms `name=strategy` or `name=(strategy, changes)`."""
    given = {name: one if isinstance(one, tuple) else (one, {}) for name, one in strategies.items()}
    arms = tuple(replace(plan.arms[0], name=name.replace("_", "-"), strategy=strategy, **own) for name, (strategy, own) in given.items())
    return replace(plan, arms=arms, primary=None)


def test_sentences_by_hand(plan: Plan) -> None:
    plan = with_arms(plan, random="random", strided="strided", entropy="entropy", oracle="oracle-foreground", badge="badge")
    gains = [gain("strided", 0.03), gain("entropy", -0.002, 0.005), gain("oracle", 0.5), gain("badge", None)]
    measured, where = "3D Dice for the same simulated minutes", "24 people of malc2012, 9 runs of 1 seed"
    at_once = f"({where}; 3 arms held against random at once)."
    assert sentences([results(plan, gains)]) == {
        "entropy": f"Measured here: equivalent to random within 0.01. {measured} -0.002 [-0.007, +0.003], as steps -0.002 {at_once}",
        "oracle-foreground": f"Measured here: better than random. {measured} +0.500 [+0.490, +0.510], as steps +0.500 {at_once}",
        "random": f"Measured here: 1 of 3 other arms did better beyond chance, 0 worse ({where}).",
        "strided": f"Measured here: better than random. {measured} +0.030 [+0.020, +0.040], as steps +0.030 {at_once}",
    }


def test_an_interval_that_says_nothing_is_not_told(plan: Plan) -> None:
    plan = with_arms(plan, random="random", strided="strided", entropy="entropy")
    told = sentences([results(plan, [gain("strided", 0.03, 0.2), gain("entropy", 0.03, 0.09)])])
    assert "nothing can be told from so few runs. 3D Dice for the same simulated minutes +0.030, as steps" in told["strided"]
    assert "no difference from random beyond chance. 3D Dice for the same simulated minutes +0.030 [-0.060, +0.120]" in told["entropy"]
    assert "0 of 2 other arms did better" in told["random"]
    (few,) = (sentences([results(plan, [gain("strided", 0.03, 0.2), gain("entropy", 0.03, 0.3)])])["random"],)
    assert few == "Measured here: nothing can be told from so few runs (24 people of malc2012, 9 runs of 1 seed)."


def test_a_comparison_under_way_says_so_far(plan: Plan) -> None:
    plan = with_arms(plan, random="random", strided="strided")
    told = sentences([{**results(plan, [gain("strided", 0.03)]), "missing": ["strided__fold-1__seed-0"]}])
    assert "(24 people of malc2012, 9 runs of 1 seed so far; 1 arm held" in told["strided"]


def test_the_arm_without_settings_of_its_own_stands_for_its_strategy(plan: Plan) -> None:
    own = {"options": {"per_class": True}}
    both = with_arms(plan, random="random", gradient_guided=("gradient-guided", own), plain="gradient-guided")
    gains = [gain("gradient-guided", 0.3), gain("plain", 0.1)]
    assert "minutes +0.100 " in sentences([results(both, gains)])["gradient-guided"]
    alone = with_arms(plan, random="random", combined=("gradient-guided", own), filled=("strided", {"fill": 4}))
    told = sentences([results(alone, [gain("combined", 0.3), gain("filled", 0.2)])])
    assert "minutes +0.300 " in told["gradient-guided"]
    assert "9 runs of 1 seed, with per_class True;" in told["gradient-guided"]
    assert "9 runs of 1 seed, with fill 4;" in told["strided"]


def test_most_people_and_runs_count_most_whatever_the_order(plan: Plan) -> None:
    plan = with_arms(plan, random="random", badge="badge")
    few = results(plan, [gain("badge", 0.3)], folder="z-few", people=3, blocks=90)
    screen = results(plan, [gain("badge", 0.2)], folder="b-screen", blocks=9)
    final = results(plan, [gain("badge", 0.1)], folder="a-final", blocks=30)
    for order in ([few, screen, final], [final, screen, few]):
        assert "minutes +0.100 [+0.090, +0.110], as steps +0.100 (24 people of a-final," in sentences(order)["badge"]


def test_a_gain_that_lines_alone_give_is_not_told_as_one(plan: Plan) -> None:
    plan = with_arms(plan, random="random", badge="badge")
    told = sentences([results(plan, [gain("badge", 0.3) | {"held": -0.1}])])
    assert "as steps -0.100" in told["badge"]
    assert told["badge"].startswith("Measured here: no difference from random beyond chance.")
    assert "0 of 1 other arms did better" in told["random"]


def test_options_that_are_the_defaults_are_nothing_of_its_own(plan: Plan) -> None:
    plan = with_arms(
        plan,
        random="random",
        far=("gradient-core-set", {"options": {"pull": 1.0}}),
        usual=("gradient-core-set", {"options": {"pull": 0.5}}),
    )
    told = sentences([results(plan, [gain("far", 0.3), gain("usual", 0.2)])])
    assert "minutes +0.200 " in told["gradient-core-set"]
    assert "9 runs of 1 seed; " in told["gradient-core-set"]


def test_real_people_count_more_than_made_up_ones_and_later_more_than_earlier(plan: Plan) -> None:
    plan = with_arms(plan, random="random", badge="badge", entropy="entropy")
    made_up = results(plan, [gain("badge", 0.3, runs=3), gain("entropy", 0.4, runs=9)], folder=None)
    first, last = results(plan, [gain("badge", 0.1)], folder="a"), results(plan, [gain("badge", 0.2)], folder="b")
    assert "+0.200 (24 people of b, 9 runs of 1 seed;" in sentences([first, last, made_up])["badge"]
    assert "+0.100 (24 people of a, 9 runs of 1 seed;" in sentences([made_up, last, first])["badge"]
    told = sentences([made_up])
    assert "+0.300 (24 people, synthetic, 3 runs of 1 seed;" in told["badge"]
    assert "+0.400 (24 people, synthetic, 9 runs of 1 seed;" in told["entropy"]


def test_what_cannot_be_compared_leaves_an_older_sentence(plan: Plan) -> None:
    plan = with_arms(plan, random="random", badge="badge")
    made_up = results(plan, [gain("badge", 0.3)], folder=None)
    assert "+0.300" in sentences([made_up, results(plan, [gain("badge", None)])])["badge"]
    assert "+0.300" in sentences([made_up, results(plan, [])])["badge"]


def test_the_shipped_sentences_are_those_of_the_shipped_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "measured.json"
    monkeypatch.setattr("SuggestiveAnnotationLib.experiment.evidence.MEASURED", written)
    assert main([str(path) for path in sorted(RESULTS.glob("*/results.json"))]) == 0
    assert json.loads(written.read_text(encoding="utf-8")) == json.loads(MEASURED.read_text(encoding="utf-8"))


def test_a_line_of_evidence_holds_what_others_published_and_what_was_measured_here() -> None:
    for name, sentence in json.loads(MEASURED.read_text(encoding="utf-8")).items():
        found = entry(name)
        assert found.evidence == f"{found.published} {sentence}"
