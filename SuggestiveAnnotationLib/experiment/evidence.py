"""What comparisons say of each strategy, as one sentence each: the line that panel and command line show beside what others have published.

    python -m SuggestiveAnnotationLib.experiment.evidence Resources/Results/*/results.json

writes `strategies/measured.json`. Of a strategy in several comparisons the one on real people is told, and of those the last.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.verdict import COST_WORDS, conclude, metric_words
from SuggestiveAnnotationLib.files import write_text
from SuggestiveAnnotationLib.report.numbers import count
from SuggestiveAnnotationLib.strategies.catalogue import MEASURED

Results = Mapping[str, Any]
"""Content of a `results.json`."""


def sentences(comparisons: Sequence[Results]) -> dict[str, str]:
    """Strategy -> sentence, by name.

    An arm stands for its strategy when it has the strategy's name, else the plan's first arm of that strategy does.

    Args:
        comparisons: in the order of their weight, the last one counting most among those on real people.
    """
    told: dict[str, str] = {}
    for results in sorted(comparisons, key=_real):
        told |= _of(results)
    return dict(sorted(told.items()))


def _real(results: Results) -> bool:
    return "folder" in results["plan"]["cohort"]


def _of(results: Results) -> dict[str, str]:
    arms: dict[str, str] = {}
    for arm in results["plan"]["arms"]:
        if arm["name"] == arm["strategy"] or arm["strategy"] not in arms:
            arms[arm["strategy"]] = arm["name"]
    told = {}
    for strategy, arm in arms.items():
        if arm == results["baseline"]:
            gains = [Interval(**one["at_once"]) for one in results["gains"].values() if results["arms"][one["arm"]]["usable"]]
            better, worse = sum(one.above_zero for one in gains), sum(one.below_zero for one in gains)
            whom = _whom(results, results["people"])
            told[strategy] = f"Measured here on {whom}: {better} of {len(gains)} other arms did better beyond chance, {worse} worse."
        elif arm in results["gains"]:
            told[strategy] = _gain(results, results["gains"][arm])
    return told


def _whom(results: Results, people: int) -> str:
    source = Path(results["plan"]["cohort"]["folder"]).name if _real(results) else "made up"
    lone = ", one run a fold" if min(Counter(fold for fold, _ in results["blocks"]).values()) == 1 else ""
    return f"{count(people, 'person', 'people')} ({source}, {metric_words(results['metric'])}{lone})"


def _gain(results: Results, gain: Mapping[str, Any]) -> str:
    # At the level at which all arms hold together, as in the sentence on top of the page: of many intervals some are wrong by chance.
    found, narrow = Interval(**gain["at_once"]), Interval(**gain["narrow"])
    whom, than = _whom(results, found.people), f"{results['baseline']} for the same {COST_WORDS[results['over']]}"
    if found.mean is None or found.low is None or found.high is None:
        return f"Measured here on {whom}: cannot be compared with {than}."
    said = conclude(found, narrow, results["margin"])
    return (
        f"Measured here on {whom}: {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}] against {than}, with {_many(results)}: {said}."
    )


def _many(results: Results) -> str:
    usable = sum(results["arms"][one["arm"]]["usable"] for one in results["gains"].values())
    return f"{count(usable, 'arm')} held against it"


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
