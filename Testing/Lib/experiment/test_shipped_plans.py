"""The plans that the repository brings: what has results stays as it was, what has none keeps to the strategies' own rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.experiment.plan_file import read_plan
from SuggestiveAnnotationLib.strategies.registry import ENTRIES, entry, options

RESOURCES = Path(__file__).parents[3] / "Resources"
PLANS = sorted((RESOURCES / "Plans").glob("*.toml"))
PUBLISHED = sorted((RESOURCES / "Results").glob("*/results.json"))

SCREENS = ("embedded-screen", "malc-tissue-screen")
NOT_SCREENED = {
    "committee-variance": "the uncertain half of dal, which is screened",
    "gradient-core-set": "made after the screens, from what they showed; in the finals, ms-lesions and brats2013-leave-one-out",
    "oracle": "oracle-foreground is screened: over all slices the oracle picks those without any structure",
    "widest-gap": "younger than the screens' frozen plans",
}
"""Strategy -> why it is in no arm of a screen."""
SCORERS_NOT_SCREENED = {
    "least-confidence": "near kin of best versus second best, whose stochastic batches are screened",
    "mc-dropout": "in promise12, the paper's protocol, which has not been run",
    "test-time-augmentation": "in promise12, the paper's protocol, which has not been run",
    "learning-loss": "in promise12, the paper's protocol, which has not been run",
    "committee-variance": "takes four more networks a round",
}
"""Score -> why no arm of a screen has stochastic batches of it."""


def with_results() -> set[str]:
    return {path.parent.name for path in PUBLISHED}


@pytest.mark.parametrize("results", PUBLISHED, ids=lambda path: path.parent.name)
def test_a_plan_with_results_is_the_one_they_are_of(results: Path) -> None:
    plan = read_plan(RESOURCES / "Plans" / f"{results.parent.name}.toml")
    assert json.loads(results.read_text(encoding="utf-8"))["plan_key"] == plan.key


def test_the_noise_of_clasp_pe_falls_off_over_all_trainings_of_a_plan_without_results() -> None:
    found = {}
    for path in PLANS:
        plan = read_plan(path)
        for arm in plan.arms:
            if arm.strategy == "clasp-pe":
                (steps,) = (one.default for one in options("clasp-pe") if one.name == "steps")
                found[plan.name] = (arm.options.get("steps", steps), plan.rounds + 1)
    free = {name: steps for name, steps in found.items() if name not in with_results()}
    assert free == {"brats2019": (10, 10), "malc": (10, 10)}
    # Frozen with five trainings in mind, which only the finals have.
    others = {name: (5, 3) for name in ("brats2013-leave-one-out", "embedded-screen", "malc-tissue-screen", "ms-lesions")}
    assert {name: steps for name, steps in found.items() if name not in free} == {**others, "malc-tissue-final": (5, 5)}


@pytest.mark.parametrize("name", SCREENS)
def test_what_is_in_no_arm_of_a_screen_is_known(name: str) -> None:
    arms = read_plan(RESOURCES / "Plans" / f"{name}.toml").arms
    assert {one.name for one in ENTRIES} - {entry(arm.strategy).name for arm in arms} == NOT_SCREENED.keys()
    (scorer,) = (one for one in entry("stochastic-batches").options if one.name == "scorer")
    wrapped = {arm.options.get("scorer", scorer.default) for arm in arms if arm.strategy == "stochastic-batches"}
    assert set(scorer.choices) - wrapped == SCORERS_NOT_SCREENED.keys()
    # The screens suggest slices only; whole cases are the unit of the papers' protocols.
    assert {arm.unit for arm in arms} == {"slice"}


def test_the_finalists_are_in_the_protocol_with_25_structures() -> None:
    finals, paper = (
        {arm.name: (arm.strategy, arm.unit, arm.options.get("direction")) for arm in read_plan(RESOURCES / "Plans" / f"{name}.toml").arms}
        for name in ("malc-tissue-final", "malc")
    )
    assert finals.items() <= paper.items()
