"""From records to results: every number that a page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from SuggestiveAnnotationLib.effort.agreement import ClassAgreement, ContourTotals
from SuggestiveAnnotationLib.effort.quantities import ResolutionCeiling, SavedEffort
from SuggestiveAnnotationLib.effort.time_model import ALL_AS_GIVEN, check_ranking, variations
from SuggestiveAnnotationLib.experiment.ablations import ablations
from SuggestiveAnnotationLib.experiment.curves import COSTS, Comparison, Pricing
from SuggestiveAnnotationLib.experiment.families import family
from SuggestiveAnnotationLib.experiment.plan import Endpoint, Over
from SuggestiveAnnotationLib.experiment.results import (
    LOWER_IS_BETTER,
    MEAN,
    WITHIN_A_PIXEL,
    Ablation,
    ArmResult,
    Effort,
    EndpointResult,
    Gain,
    Noise,
    Prices,
    Results,
    Share,
    Stand,
    Support,
)
from SuggestiveAnnotationLib.experiment.statistics import (
    Interval,
    Values,
    holm,
    interval,
    mean,
    people_mean,
    person_means,
    pooled_sd,
    signed_rank,
    unit_means,
    wins_ties_losses,
)
from SuggestiveAnnotationLib.experiment.verdict import FAILED, INTERIM, conclude, equivalent, verdict
from SuggestiveAnnotationLib.experiment.words import COST_WORDS, measure_words

FINALISTS, LEAST_PEOPLE, LEAST_SEEDS = 6, 12, 6
"""A plan with an endpoint, at most so many arms and at least so many people and seeds is a test; any other gives intervals and no p values.
Of five seeds the signed-rank test cannot say less than 0.06.
"""
LOST, FOUND = 0.1, 0.2
"""Dice of a class that a training lost, and of one that the middle training of the same slices found."""
MARGIN = 0.01
"""Of ties, and of equivalence, for plans that name none."""


def analyse(comparison: Comparison) -> Results:
    """Every number of a comparison, whole or not."""
    return _Analysis(comparison).results()


class _Analysis:
    def __init__(self, comparison: Comparison) -> None:
        self.of, self.plan = comparison, comparison.plan
        primary = self.plan.primary
        self.metric = primary.metric if primary is not None else "dice_3d"
        self.labels = primary.labels if primary is not None else ()
        self.over: Over = primary.over if primary is not None else "minutes"
        self.margin = primary.margin if primary is not None else MARGIN
        self.strategies = {arm.name: arm for arm in self.plan.arms}
        self.baseline = self._baseline()
        self.usable = [n for n in comparison.arms if self._family(n) != "sees the reference"]
        others = [name for name in self.usable if name != self.baseline]
        enough = len(comparison.people) >= LEAST_PEOPLE and len(self.plan.seeds) >= LEAST_SEEDS
        self.finalists = primary is not None and len(self.plan.arms) <= FINALISTS and enough
        self.level_at_once = 1 - 0.05 / max(1, len(others))

    def results(self) -> Results:
        of, plan = self.of, self.plan
        done = {r.run for r in of.records}
        missing = tuple(run.name for run in of.expected() if run.name not in done)
        failures = tuple((r.run, r.error.get("kind", ""), r.error.get("sentence", "")) for r in of.records if r.status == "failed")
        there = self.baseline in of.arms
        gains = tuple(self._gain(name) for name in of.arms if name != self.baseline) if there else ()
        endpoints, noise = self._endpoints(missing=bool(missing)), self._noise()
        folds = len({fold for fold, _ in of.blocks})
        return Results(
            plan=plan, plan_key=plan.key, metric=self.metric, labels=self.labels, over=self.over, margin=self.margin,
            baseline=self.baseline,
            arms=tuple(self._arm(name, missing) for name in of.arms),
            absent=tuple(arm.name for arm in plan.arms if arm.name not in of.arms),
            blocks=of.blocks, people=len(of.people), folds=folds, classes=of.classes,
            regions=of.labels[len(of.classes) :], metrics=of.metrics, ceiling=self._ceiling(),
            support={over: self._support(over) for over in COSTS}, gains=gains, endpoints=endpoints, noise=noise,
            prices=self._prices(endpoints), ablations=self._ablations(), failures=failures, missing=missing, machines=self._machines(),
            versions=self._versions(), hours=self._hours(),
            finished=max((r.finished for r in of.records), default=""), resamples=of.resamples, seed=of.seed,
            verdict=verdict(
                [g for g in gains if g.arm in self.usable],
                baseline=self.baseline,
                measured=f"the area under {measure_words(self.metric, self.labels)} over {COST_WORDS[self.over]}",
                margin=self.margin,
                between=lambda one, other: (
                    self._pair(one, other, self.over, self.level_at_once),
                    self._held(one, other, self.over, self.metric, self.labels),
                ),
                endpoints=endpoints,
                people=len(of.people),
                seeds=len({seed for _, seed in of.blocks}),
                conditions=len({(*r.versions.items(), *r.machine.items()) for r in of.done}),
                failed=len(failures),
                missing=len(missing),
                left_out=[name for name in of.arms if name not in self.usable],
                noise=noise if len(plan.arms) == 1 else None,
            ),
        )  # fmt: skip

    def _family(self, name: str) -> str:
        arm = self.strategies[name]
        return family(arm.strategy, arm.options)

    def _baseline(self) -> str:
        """Random where there is such an arm; else the arm that the primary endpoint is held against, else the first."""
        by_strategy = [arm.name for arm in self.plan.arms if arm.strategy == "random"]
        against = [self.plan.primary.against] if self.plan.primary is not None else []
        named = [name for name in self.strategies if name == "random"]
        return [*named, *by_strategy, *against, self.plan.arms[0].name][0]

    def _interval(self, values: Values, level: float = 0.95) -> Interval:
        return interval(values, self.of.draws, level=level)

    def _difference(
        self, arm: str, against: str, over: Over, metric: str, labels: Sequence[str], *, held: bool = False, pricing: Pricing | None = None
    ) -> Values:
        sign, among = -1.0 if metric in LOWER_IS_BETTER else 1.0, (arm, against)
        one, other = (self.of.areas(name, metric, over, labels=labels, among=among, held=held, pricing=pricing) for name in among)
        return sign * (one - other)

    def _held(self, arm: str, against: str, over: Over, metric: str, labels: Sequence[str]) -> float | None:
        return people_mean(self._difference(arm, against, over, metric, labels, held=True))

    def _pair(self, arm: str, against: str, over: Over, level: float = 0.95) -> Interval:
        return _possible(self._interval(self._difference(arm, against, over, self.metric, self.labels), level), self.metric, signed=True)

    def _gain(self, name: str) -> Gain:
        differences = self._difference(name, self.baseline, self.over, self.metric, self.labels)
        each, seeds = person_means(differences), np.array([seed for _, seed in self.of.blocks])
        by_seed = {int(seed): float(mean(person_means(differences[:, seeds == seed]), axis=0)) for seed in np.unique(seeds)}
        wins, ties, losses = wins_ties_losses(each, self.margin)
        return Gain(
            arm=name,
            against=self.baseline,
            over={over: self._pair(name, self.baseline, over) for over in COSTS},
            at_once=self._pair(name, self.baseline, self.over, self.level_at_once),
            narrow=self._pair(name, self.baseline, self.over, 0.90),
            held=self._held(name, self.baseline, self.over, self.metric, self.labels),
            shared=self._shared(name, self.baseline),
            wins=wins,
            ties=ties,
            losses=losses,
            by_person=tuple(None if np.isnan(one) else float(one) for one in each),
            by_seed={seed: one for seed, one in by_seed.items() if not np.isnan(one)},
        )

    def _shared(self, arm: str, against: str) -> tuple[float, float] | None:
        shares = []
        for block in self.of.blocks:
            if (arm, block) in self.of.curves and (against, block) in self.of.curves:
                found, short = self.of.support(block, self.over, (arm, against))
                costs = [self.of.curves[name, block].cost(self.over) for name in (arm, against)]
                if short:
                    return None
                if found is not None:
                    shares.append([(found[1] - found[0]) / (x[-1] - x[0]) for x in costs])
        if not shares:
            return None
        one, other = np.mean(shares, axis=0).tolist()
        return one, other

    def _endpoints(self, *, missing: bool) -> tuple[EndpointResult, ...]:
        """P values are made for endpoints of finalists alone, which a plan names before anything runs, and once everything has run."""
        named = [
            one for one in self.plan.endpoints if one.arm in self.of.arms and one.against in self.of.arms and one.metric in self.of.metrics
        ]
        values = [self._endpoint_values(one) for one in named]
        broken = {record.arm for record in self.of.records if record.status == "failed"}
        # Runs fail by what an arm does: those that are left are chosen by the outcome.
        short = [missing or one.arm in broken or one.against in broken for one in named]
        p_values = [
            self._p(difference) if self.finalists and not lacking else None for difference, lacking in zip(values, short, strict=True)
        ]
        narrow_level = 1 - 0.10 / max(1, len(self.plan.secondaries))
        second = [k for k, one in enumerate(named) if one is not self.plan.primary and p_values[k] is not None]
        adjusted = dict(zip(second, holm([p_values[k] or 0.0 for k in second]), strict=True))
        out = []
        for k, (one, difference) in enumerate(zip(named, values, strict=True)):
            primary, held = one is self.plan.primary, None
            levels = (0.95, 0.90 if primary else narrow_level)
            gain, narrow = (_possible(self._interval(difference, level), one.metric, signed=True) for level in levels)
            if one.judge == "area":
                held = self._held(one.arm, one.against, one.over, one.metric, one.labels)
            p = p_values[k] if primary else adjusted.get(k)
            lacking = INTERIM if missing else FAILED if short[k] else ""
            conclusion = lacking or conclude(gain, narrow, one.margin, held, p)
            out.append(
                EndpointResult(
                    endpoint=one, primary=primary, gain=gain, narrow=narrow, held=held,
                    equivalent=equivalent(narrow, one.margin, held), p=p_values[k], adjusted=p, conclusion=conclusion,
                )
            )  # fmt: skip
        return tuple(out)

    def _p(self, difference: Values) -> float | None:
        return signed_rank(unit_means(difference, self.of.draws))

    def _endpoint_values(self, one: Endpoint) -> Values:
        if one.judge == "area":
            return self._difference(one.arm, one.against, one.over, one.metric, one.labels)
        sign = -1.0 if one.metric in LOWER_IS_BETTER else 1.0
        return sign * (self.of.last(one.arm, one.metric, one.labels) - self.of.last(one.against, one.metric, one.labels))

    def _arm(self, name: str, missing: Sequence[str]) -> ArmResult:
        arm, records = self.strategies[name], [r for r in self.of.records if r.arm == name]
        labels: dict[str, tuple[str, ...]] = {MEAN: (), **{label: (label,) for label in self.of.labels}}
        return ArmResult(
            name=name,
            strategy=arm.strategy,
            family=family(arm.strategy, arm.options),
            usable=name in self.usable,
            runs=sum(r.status == "done" for r in records),
            failed=sum(r.status == "failed" for r in records),
            missing=sum(one.startswith(f"{name}__") for one in missing),
            hours=sum(r.seconds for r in records) / 3600,
            area={over: self._area(name, over) for over in COSTS},
            curve=self._curve(name),
            final={
                words: {metric: _possible(self._interval(self.of.last(name, metric, chosen)), metric) for metric in self.of.metrics}
                for words, chosen in labels.items()
            },
            effort=self._effort(name),
        )

    def _area(self, name: str, over: Over) -> Interval:
        return _possible(self._interval(self.of.areas(name, self.metric, over, labels=self.labels)), self.metric)

    def _curve(self, name: str) -> tuple[Stand, ...]:
        runs = {block: self.of.curves[name, block] for block in self.of.blocks if (name, block) in self.of.curves}
        out = []
        for number in range(max(len(one.record.points) for one in runs.values())):
            values = np.full((len(self.of.people), len(self.of.blocks)), np.nan)
            costs = []
            for block, one in runs.items():
                if number < len(one.record.points):
                    values[:, self.of.blocks.index(block)] = self.of.score(name, block, self.metric, self.labels)[number]
                    costs.append(one.record.points[number])
            slices, contour, minutes = (float(np.mean([getattr(p, over) for p in costs])) for over in ("slices", "contour_mm", "minutes"))
            out.append(Stand(number + 1, slices, contour, minutes, _possible(self._interval(values), self.metric)))
        return tuple(out)

    def _effort(self, name: str) -> tuple[Effort, ...]:
        batches = [b for r in self.of.done if r.arm == name for b in r.batches if b.number > 0 and b.saved_effort is not None]
        out = []
        for number in (*sorted({b.number for b in batches}), 0):
            these = [b for b in batches if number in (0, b.number)]
            if not these:
                continue
            chosen = SavedEffort.total(SavedEffort.from_json(b.saved_effort or {}) for b in these).totals
            randoms = [SavedEffort.from_json(b.saved_effort_random) for b in these if b.saved_effort_random is not None]
            by_class = dict(zip(self.of.classes, (_share(c, chosen.slices) for c in chosen.classes), strict=True))
            out.append(Effort(number, _all(chosen), _all(SavedEffort.total(randoms).totals) if randoms else None, by_class))
        return tuple(out)

    def _ceiling(self) -> dict[str, Share]:
        found = next((r.ceiling for r in self.of.done if r.ceiling is not None), None)
        if found is None:
            return {}
        totals = ResolutionCeiling.from_json(found).totals
        by_class = zip(self.of.classes, (_share(c, totals.slices) for c in totals.classes), strict=True)
        return {MEAN: _all(totals), **dict(by_class)}

    def _support(self, over: Over) -> Support:
        found = [self.of.support(block, over, self.of.arms) for block in self.of.blocks]
        known = [one for one, _ in found if one is not None]
        start, end = np.mean(known, axis=0).tolist() if known else (0.0, 0.0)
        short = [name for _, names in found for name in names]
        return Support(float(start), float(end), tuple(dict.fromkeys(short)))

    def _noise(self) -> Noise | None:
        """Model 1 is the same in all arms of a block that train alike, so that it counts once."""
        groups: dict[tuple[object, ...], tuple[int, Values]] = {}
        for (arm, block), curve in self.of.curves.items():
            for number, values in enumerate(curve.trainings, start=1):
                groups[(block, number, self.strategies[arm].training if number == 1 else arm)] = (number, values)
        # Where the people tested have no class at all, there is no mean to differ.
        several = [(number, values) for number, values in groups.values() if len(values) > 1 and not np.isnan(mean(values, axis=1)).any()]
        means = [(number, mean(values, axis=1)) for number, values in several]
        by_model = {n: pooled_sd([v for m, v in means if m == n]) for n in sorted({m for m, _ in means})}
        sd = pooled_sd([values for _, values in means])
        if sd is None:
            return None
        typical = float(np.median([np.std(values, ddof=1) for _, values in means]))
        # A class that nobody tested has is lost by nobody: 0 in its place.
        lost = sum(int(((values < LOST) & (np.median(np.nan_to_num(values), axis=0) > FOUND)).any(axis=1).sum()) for _, values in several)
        trainings = [len(values) for _, values in several]
        left = sd / float(np.sqrt(np.mean(trainings) * len(self.of.blocks)))
        known = {n: one for n, one in by_model.items() if one is not None}
        return Noise(known, sd, typical, lost, len(several), sum(trainings), left)

    def _prices(self, endpoints: Sequence[EndpointResult]) -> Prices | None:
        arms, counted = list(self.of.arms), {name: Pricing(prices) for name, prices in variations().items()}
        if self._measured_within_pixels():
            counted[WITHIN_A_PIXEL] = Pricing(matching="pixels")
        while True:
            scores = {name: self._scores(arms, pricing) for name, pricing in counted.items()}
            # Under some prices an arm may spend too little to be compared.
            kept = [arm for arm in arms if all(arm in one for one in scores.values())]
            if kept == arms:
                break
            arms = kept
        if len(arms) < 2:
            return None
        check = check_ranking(scores)
        given = check.scores[ALL_AS_GIVEN]
        gaps = [abs(given[one] - given[other]) for pairs in check.reversed_pairs.values() for one, other in pairs]
        first = {name: min(scores, key=scores.__getitem__) for name, scores in check.scores.items()}
        tested = any(one.primary and one.p is not None for one in endpoints)
        primary = {name: self._primary_gain(pricing, tested=tested) for name, pricing in counted.items()}
        return Prices(check.ranking, first, check.reversed_pairs, max(gaps, default=0.0), primary)

    def _measured_within_pixels(self) -> bool:
        batches = [b.saved_effort for r in self.of.done for b in r.batches if b.saved_effort is not None]
        totals = [SavedEffort.from_json(one).totals for one in batches]
        return bool(totals) and all(c.shared_within_pixels_mm is not None for one in totals for c in one.classes)

    def _primary_gain(self, pricing: Pricing, *, tested: bool) -> tuple[float, float | None] | None:
        one = self.plan.primary
        if one is None or one.judge != "area" or one.over != "minutes" or not {one.arm, one.against} <= set(self.of.arms):
            return None
        difference = self._difference(one.arm, one.against, "minutes", one.metric, one.labels, pricing=pricing)
        gain = people_mean(difference)
        return None if gain is None else (gain, self._p(difference) if tested else None)

    def _scores(self, arms: Sequence[str], pricing: Pricing) -> dict[str, float]:
        """Area over simulated minutes, lowest is best; arms where it is undefined are left out."""
        sign = 1.0 if self.metric in LOWER_IS_BETTER else -1.0
        areas = {
            name: people_mean(self.of.areas(name, self.metric, "minutes", labels=self.labels, among=arms, pricing=pricing)) for name in arms
        }
        return {name: sign * one for name, one in areas.items() if one is not None}

    def _ablations(self) -> tuple[Ablation, ...]:
        there = [arm for arm in self.plan.arms if arm.name in self.of.arms]
        out = []
        for option, title, values in ablations(there):
            among = tuple(arm.name for _, arm in values)
            areas = {name: self._interval(self.of.areas(name, self.metric, self.over, labels=self.labels, among=among)) for name in among}
            points = tuple((value, arm.name, areas[arm.name]) for value, arm in values)
            out.append(Ablation(option, title, values[0][1].strategy, points))
        return tuple(out)

    def _versions(self) -> dict[str, str]:
        """Of each package; where runs differ, how many have which."""
        counted: dict[str, Counter[str]] = {}
        for record in self.of.records:
            for name, version in record.versions.items():
                counted.setdefault(name, Counter())[version] += 1
        return {
            name: next(iter(one)) if len(one) == 1 else ", ".join(f"{version} ({runs} runs)" for version, runs in one.most_common())
            for name, one in counted.items()
        }

    def _machines(self) -> dict[str, int]:
        words = [
            f"{m.get('cpu', '?')}, {m.get('threads', '?')} threads, {m.get('device', '?')}, {m.get('system', '?')}"
            for m in (r.machine for r in self.of.records)
            if m
        ]
        return dict(Counter(words))

    def _hours(self) -> float:
        """Runs, and what they share counted once."""
        shared = {(r.fold, r.seed, stage, seconds) for r in self.of.records for stage, seconds in r.shared_seconds.items()}
        return (sum(r.seconds for r in self.of.records) + sum(seconds for *_, seconds in shared)) / 3600


def _possible(found: Interval, metric: str, *, signed: bool = False) -> Interval:
    """Cut to what the metric, or (signed) a difference of two, can be: Student's t knows nothing of its range."""
    most = 1 if "dice" in metric or metric == "penalised" else float("inf")
    return found.within(-most if signed else 0, most)


def _all(totals: ContourTotals) -> Share:
    return _share(totals.overall, totals.slices)


def _share(one: ClassAgreement, slices: int) -> Share:
    return Share(
        slices=slices, length_mm=one.reference_mm, exact=one.of_reference, within_pixel=one.of_reference_within_pixels,
        within_mm=one.of_reference_within_millimetres, overlap=one.overlap, false_components=one.false_components / max(1, slices),
    )  # fmt: skip
