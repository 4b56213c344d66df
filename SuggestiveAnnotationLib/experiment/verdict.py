"""Who wins, in a sentence that follows from the numbers by rule.

Arms are held against the baseline at a level at which all of these comparisons hold together (Bonferroni over the arms), since a sentence
that names the best of many arms would else be wrong more often than it says. Arms that see the reference take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from SuggestiveAnnotationLib.experiment.results import EndpointResult, Gain, Noise
from SuggestiveAnnotationLib.experiment.statistics import Interval
from SuggestiveAnnotationLib.experiment.words import bounds_words, interval_words
from SuggestiveAnnotationLib.report.numbers import count

FEW_PEOPLE = 6
FEW_SEEDS = 6
WIDE = 10
"""Times the margin: intervals that reach further to each side can show no difference of a size that strategies make."""
INTERIM = "interim, nothing is concluded"
FAILED = "runs failed, nothing is concluded"


def conclude(gain: Interval, narrow: Interval, margin: float, held: float | None = None, p: float | None = None) -> str:
    """What an interval and a narrower one say against a margin.

    Args:
        held: the gain with steps instead of lines; where it has another sign, or lies outside the margin, nothing is concluded.
        p: adjusted p-value, where there is one; from 0.05 on nothing is called better or worse.
    """
    same = equivalent(narrow, margin, held)
    word = {1: "better", -1: "worse", 0: ""}[sign(gain, held)]
    if word and (p is None or p < 0.05):
        return f"{word}, but by less than {margin:g}" if same else word
    if same:
        return f"equivalent within {margin:g}"
    if held is not None and ((gain.above_zero or gain.below_zero) != bool(word) or narrow.inside(margin)):
        return f"undecided: as steps {held:+z.3f}"
    return "undecided"


def equivalent(narrow: Interval, margin: float, held: float | None = None) -> bool:
    """The interval lies inside the margin, and so does the gain with steps where there is one."""
    return narrow.inside(margin) and (held is None or abs(held) < margin)


def sign(gain: Interval, held: float | None = None) -> int:
    """1 for better, -1 for worse, 0 for not concluded: of the whole interval, and of the gain with steps where there is one."""
    side = int(gain.above_zero) - int(gain.below_zero)
    return side if held is None or side * held > 0 else 0


def verdict(
    gains: Sequence[Gain],
    *,
    baseline: str,
    measured: str,
    margin: float,
    between: Callable[[str, str], tuple[Interval, float | None]],
    endpoints: Sequence[EndpointResult] = (),
    people: int,
    seeds: int,
    conditions: int = 1,
    failed: int = 0,
    missing: int = 0,
    left_out: Sequence[str] = (),
    noise: Noise | None = None,
) -> tuple[str, ...]:
    """The sentences; the first says who wins, or that nobody does.

    Args:
        gains: of the arms that take part, against the baseline.
        measured: what was compared, in words.
        between: gain of one arm over another, at the level of `Gain.at_once`, and the same as steps.
        people, seeds: that intervals are over. failed, missing: runs.
        conditions: in how many ways runs were made, by versions, processor and number of threads.
        left_out: arms that see the reference.
        noise: of training, where the plan asks for nothing else.
    """
    if noise is not None:
        sets = count(noise.groups, "set of slices", "sets of slices")
        said = [
            f"Trainings on the same slices differ by {noise.typical:.3f} in mean Dice (standard deviation, median of {sets}).",
            f"{noise.lost} of {noise.trainings} trainings lost a class that the others of their set found; "
            f"pooled over all trainings the standard deviation is {noise.sd:.3f}.",
        ]
        return (*said, *_unfinished(failed, missing))
    runs = max((g.at_once.runs for g in gains), default=0)
    interim, winner = "Interim. " if missing else "", _winner(gains, baseline, margin, between)
    sample = f"{count(people, 'person', 'people')} and {count(runs, 'run')} of {count(seeds, 'seed')} an arm"
    compared = f"Compared by {measured}, paired by person, fold and seed, over {sample}." if runs else ""
    primary = [_primary(one) for one in endpoints if one.primary]
    if any(one.primary and one.endpoint.judge == "last" for one in endpoints):
        # The plan asked for the model at the end: areas are beside the point, and told after it.
        said = [interim + primary[0], f"Along the curve: {winner}", compared]
    else:
        said = [interim + winner, compared, *primary]
    said = [one for one in said if one]
    if left_out:
        said.append(f"Not in this, since they see reference labels: {', '.join(left_out)}.")
    if people < FEW_PEOPLE:
        said.append(f"With {count(people, 'person', 'people')} hardly any difference can be shown, and none can be ruled out.")
    if seeds == 1:
        said.append("With one seed, no interval includes variation between seeds.")
    elif seeds < FEW_SEEDS:
        said.append(f"{count(seeds, 'seed')} are too few to tell most differences from the luck of a seed.")
    if conditions > 1:
        how = "versions of code and packages, processors, numbers of threads"
        said.append(f"Runs were made in {conditions} ways ({how}); paired runs need not share one.")
    return (*said, *_unfinished(failed, missing))


def _unfinished(failed: int, missing: int) -> tuple[str, ...]:
    parts = [f"{count(runs, 'run')} {what}" for runs, what in ((failed, "failed"), (missing, "not done yet")) if runs]
    return (f"{' and '.join(parts)}; this is what the others say.",) if parts else ()


def _winner(gains: Sequence[Gain], baseline: str, margin: float, between: Callable[[str, str], tuple[Interval, float | None]]) -> str:
    known = [g for g in gains if g.at_once.mean is not None]
    if not known:
        return f"Nothing can be said yet: no arm can be compared with {baseline}."
    order = sorted(known, key=lambda g: -(g.at_once.mean or 0.0))
    better = [g for g in order if sign(g.at_once, g.held) > 0]
    worse = [g for g in reversed(order) if sign(g.at_once, g.held) < 0]
    name = baseline[:1].upper() + baseline[1:]
    if better:
        top, rest = better[0], [g for g in order if g is not better[0]]
        if all(sign(*between(top.arm, other.arm)) > 0 for other in rest):
            beyond = f" It is better than each of the {len(rest)} other arms, too." if rest else ""
            return f"{top.arm} wins: {_amount(top)} against {baseline}.{beyond}"
        listed = "; ".join(f"{g.arm} {_amount(g)}" for g in better)
        lost = f" Worse than {baseline}: {', '.join(g.arm for g in worse)}." if worse else ""
        beat = "beats" if len(better) == 1 else "beat"
        return f"No single arm wins, but {len(better)} of {len(known)} arms {beat} {baseline}: {listed}.{lost}"
    if len(worse) == len(known):
        listed = "; ".join(f"{g.arm} {_amount(g)}" for g in worse)
        return f"{name} wins: every other arm is worse: {listed}."
    level = [g.arm for g in order if equivalent(g.at_once, margin, g.held)]
    same = f" Equivalent to it within {margin:g}: {', '.join(level)}." if level else ""
    if worse:
        listed = "; ".join(f"{g.arm} {_amount(g)}" for g in worse)
        return f"Nobody beats {baseline}, and it beats {len(worse)} of {len(known)} arms: {listed}.{same}"
    reaches = sorted(g.at_once.high - g.at_once.low for g in known if g.at_once.high is not None and g.at_once.low is not None)
    if not reaches or reaches[len(reaches) // 2] / 2 > WIDE * margin:
        return "Nothing can be told from so few runs."
    most = max(known, key=lambda g: abs(g.at_once.mean or 0.0))
    largest = f"the largest difference, {'down' if (most.at_once.mean or 0.0) < 0 else 'up'}, is {most.arm}'s, {_amount(most)}"
    turned = [g for g in order if sign(g.at_once) and g.arm not in level]
    if turned:
        listed = "; ".join(f"{g.arm} {_amount(g)}, as steps {g.held:+z.3f}" for g in turned)
        return f"Nobody wins: what differs from {baseline} beyond chance has another sign as steps: {listed}.{same}"
    return f"Nobody wins: no arm differs from {baseline} beyond chance; {largest}.{same}"


def _amount(gain: Gain) -> str:
    return interval_words(gain.at_once, signed=True)


def _primary(one: EndpointResult) -> str:
    gain, p = one.gain, "" if one.p is None else f", p = {one.p:.2g}"
    if gain.mean is None:
        return f"Primary endpoint ({one.endpoint.name}): it cannot be said yet."
    found = f"{gain.mean:+z.3f} {bounds_words(gain, signed=True, level='95 %: ')}".rstrip()
    steps = "" if one.held is None else f", as steps {one.held:+z.3f}"
    return f"Primary endpoint ({one.endpoint.name}): {found}{steps}{p}. {one.endpoint.arm}: {one.conclusion}."
