"""What comparisons say of each strategy, as one sentence each: the line that panel and command line show beside what others have published.

    python -m SuggestiveAnnotationLib.experiment.evidence Resources/Results/*/results.json

writes `strategies/measured.json`. Of a strategy in several comparisons the one on real people is told, and of those the one with most
people and runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan_file import plan_from_json
from SuggestiveAnnotationLib.experiment.result_tables import own_settings
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.verdict import WIDE, equivalent, sign
from SuggestiveAnnotationLib.experiment.words import COST_WORDS, bounds_words, measure_words
from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.strategies.catalogue import MEASURED

Results = Mapping[str, Any]
"""Content of a `results.json`."""


def sentences(comparisons: Sequence[Results]) -> dict[str, str]:
    """Strategy -> sentence, by name.

    For a strategy stands the arm that runs it as the plan runs everything, else the arm with the strategy's name, else the first one; what
    the arm has of its own is said.

    Args:
        comparisons: in any order; of equal ones the last counts.
    """
    told: dict[str, str] = {}
    for results in sorted(comparisons, key=_weight):
        told |= _of(results)
    return dict(sorted(told.items()))


def _weight(results: Results) -> tuple[bool, int, int]:
    return _real(results), results["people"], len(results["blocks"])


def _real(results: Results) -> bool:
    return "folder" in results["plan"]["cohort"]


def _of(results: Results) -> dict[str, str]:
    plan, told = plan_from_json(results["plan"]), {}
    for strategy in dict.fromkeys(arm.strategy for arm in plan.arms):
        arms = [arm for arm in plan.arms if arm.strategy == strategy]
        arm = min(arms, key=lambda one: (bool(own_settings(one, plan)), one.name != strategy))
        if arm.name == results["baseline"]:
            told[strategy] = _held_against_it(results)
        elif arm.name in results["gains"]:
            told[strategy] = _gain(results, results["gains"][arm.name], own_settings(arm, plan))
    return {strategy: sentence for strategy, sentence in told.items() if sentence}


def _held_against_it(results: Results) -> str:
    gains = [(Interval(**one["at_once"]), one["held"]) for one in _usable(results)]
    signs = [sign(found, held) for found, held in gains]
    whom = _whom(results, results["people"], max((found.runs for found, _ in gains), default=0))
    told = f"{signs.count(1)} of {len(gains)} other arms did better beyond chance, {signs.count(-1)} worse"
    if gains and all(_wide(found, results["margin"]) for found, _ in gains):
        told = "nothing can be told from so few runs"
    return f"Measured here: {told} ({whom})." if gains else ""


def _usable(results: Results) -> list[Mapping[str, Any]]:
    return [one for one in results["gains"].values() if results["arms"][one["arm"]]["usable"]]


def _whom(results: Results, people: int, runs: int) -> str:
    source = f" of {Path(results['plan']['cohort']['folder']).name}" if _real(results) else ", synthetic"
    seeds = len({seed for _, seed in results["blocks"]})
    done = " so far" if results["missing"] else ""
    return f"{count(people, 'person', 'people')}{source}, {count(runs, 'run')} of {count(seeds, 'seed')}{done}"


def _gain(results: Results, gain: Mapping[str, Any], own: str) -> str:
    # At the level at which all arms hold together, as in the sentence on top of the page: of many intervals some are wrong by chance.
    found = Interval(**gain["at_once"])
    if found.mean is None or found.low is None or found.high is None:
        return ""
    margin, held, against = results["margin"], gain["held"], results["baseline"]
    side, same = sign(found, held), equivalent(found, margin, held)
    said = {1: f"better than {against}", -1: f"worse than {against}", 0: f"no difference from {against} beyond chance"}[side]
    if same:
        said = f"{said}, but by less than {margin:g}" if side else f"equivalent to {against} within {margin:g}"
    bounds, at_once = f" {bounds_words(found, signed=True)}", f"; {count(len(_usable(results)), 'arm')} held against {against} at once"
    if _wide(found, margin):
        said, bounds, at_once = "nothing can be told from so few runs", "", ""
    steps = "" if held is None else f", as steps {held:+z.3f}"
    whom = _whom(results, found.people, found.runs) + (f", with {own}" if own else "") + at_once
    measure = f"{measure_words(results['metric'], results.get('labels', ()))} for the same {COST_WORDS[results['over']]}"
    return f"Measured here: {said}. {measure} {found.mean:+z.3f}{bounds}{steps} ({whom})."


def _wide(found: Interval, margin: float) -> bool:
    """Of few runs an interval is wider than Dice is."""
    return found.low is None or found.high is None or (found.high - found.low) / 2 > WIDE * margin


def main(paths: Sequence[str]) -> int:
    """Write the sentences of comparisons; each path is a `results.json`."""
    try:
        comparisons = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    except (OSError, ValueError) as error:
        raise InputError(f"A results.json cannot be read: {error}.", hint="Name files that `compare --report` wrote.") from error
    write_text(MEASURED, json.dumps(sentences(comparisons), indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
