"""How the rounds went, and whether another one pays. Needs no torch and draws nothing.

Audit slices are drawn at random and annotated without a pre-annotation. The model of their round and the one before had both not been
trained on them, so their agreement with what was drawn says what the round in between gained. People, not slices, are the sample: every
case counts the same, and intervals are Student's over cases, since a bootstrap of three to five cases is far too narrow; where a bootstrap
is wider all the same, it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from SuggestiveAnnotationLib.effort.quantities import RetainedContour
from SuggestiveAnnotationLib.report.collect_effort import effort_round, not_excluded
from SuggestiveAnnotationLib.report.held_out import held_out_dice
from SuggestiveAnnotationLib.report.numbers import mean, mean_over_classes
from SuggestiveAnnotationLib.study.records import Annotation, Model, model_before
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import LabelArray, LabelSchema, SliceRef

LEAST_AUDITS = 8
"""With fewer audit slices nothing is said."""
LEAST_CASES = 3
"""Nor when they are of fewer cases."""
WORTH = 0.01
"""A gain in agreement below this is taken for none."""
_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class RoundPoint:
    """One round in numbers; None where there is nothing to measure. low and high are 95 % intervals over cases.

    Attributes:
        audit_dice: mean over cases of the mean Dice of the round's model and what was accepted on audit slices, which were drawn without
            seeing it. audit_slices: how many.
        held_out_dice: mean over held-out cases of the mean 3D Dice of the round's model over classes, as in the report.
        retained: part of the accepted contour that the prediction first shown had, 0 to 1, where that was of the round's model.
        slices: accepted in the round.
        minutes: active or simulated minutes of the round's slices.
    """

    round: int
    audit_dice: float | None
    audit_low: float | None
    audit_high: float | None
    audit_slices: int
    held_out_dice: float | None
    retained: float | None
    retained_low: float | None
    retained_high: float | None
    slices: int
    minutes: float | None


@dataclass(frozen=True)
class Advice:
    """Whether another round pays.

    Attributes:
        pays: None where it cannot be said.
        change: of the agreement on audit slices from one round's model to the next's; low, high: its 95 % interval.
        slices: audit slices that it was measured on.
    """

    sentence: str
    pays: bool | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    slices: int = 0


@dataclass(frozen=True)
class AuditSlice:
    """An accepted audit slice: Dice with the hidden prediction of its round's model, and with that of `model_before`; None without one."""

    ref: SliceRef
    round: int
    dice: float
    before: float | None


def round_points(study: Study, *, seed: int = 0) -> tuple[RoundPoint, ...]:
    """Every round, oldest first."""
    accepted = not_excluded(study)
    audits, dice = audit_slices(study, accepted), held_out_dice(study)
    classes = {c.name for c in study.schema.classes}
    judged = study.prediction_rounds()
    retained_of = [a for a in accepted if a.effort and a.effort.get("quantity") == RetainedContour.name]
    points = []
    for round_ in study.rounds():
        number = round_.number
        own = [a for a in accepted if a.round == number]
        kept = [(a.ref, RetainedContour.from_json(a.effort or {})) for a in retained_of if effort_round(a, judged) == number]
        lengths = np.array([(q.totals.overall.shared_mm, q.totals.overall.reference_mm) for _, q in kept], float).reshape(-1, 2)
        retained = Ratio.of([ref for ref, _ in kept], lengths[:, 0], lengths[:, 1], seed=seed)
        audited = [one for one in audits if one.round == number]
        agreement = Ratio.of_means([one.ref for one in audited], [one.dice for one in audited], seed=seed)
        minutes = [a.minutes for a in own if a.minutes is not None]
        points.append(
            RoundPoint(
                round=number,
                audit_dice=agreement.value,
                audit_low=agreement.low,
                audit_high=agreement.high,
                audit_slices=len(audited),
                held_out_dice=mean(mean_over_classes((d for d in dice if d.round == number), classes).values()),
                retained=retained.value,
                retained_low=retained.low,
                retained_high=retained.high,
                slices=len(own),
                minutes=sum(minutes) if minutes else None,
            )
        )
    return tuple(points)


def audit_slices(study: Study, accepted: Sequence[Annotation] | None = None) -> tuple[AuditSlice, ...]:
    """Accepted audit slices that were drawn without a pre-annotation and that their round's model had predicted, by round.

    One that expired and that a later round suggested is of that round, and no audit slice where a strategy chose it.

    Args:
        study: to read.
        accepted: its annotations of cases that are not excluded, where they are at hand.
    """
    models = study.models("segmentation")
    of_round = {model.round: model for model in models}
    before = {number: model_before(models, model) for number, model in of_round.items()}
    by_ref = {a.ref: a for a in (not_excluded(study) if accepted is None else accepted) if a.prediction_id is None}
    newest = {r.ref: r for r in study.suggestion_states()}.values()
    rows = [r for r in newest if r.kind == "audit" and r.ref in by_ref and r.round in of_round]
    rows.sort(key=lambda r: (r.round, r.id))
    used = {model.id for row in rows for model in (of_round[row.round], before[row.round]) if model is not None}
    hidden = {identifier: study.prediction_ids(identifier) for identifier in used}

    def agreement(ref: SliceRef, model: Model | None) -> float | None:
        identifier = None if model is None else hidden[model.id].get(ref)
        if identifier is None:
            return None
        # Neither a prediction nor an annotation ever changes, and people wait for this.
        key = ("slice dice", identifier, by_ref[ref].id)
        if key not in study.measured:
            prediction = study.prediction_by_id(identifier)
            study.measured[key] = slice_dice(prediction.labels, by_ref[ref].labels, study.schema)
        return study.measured[key]

    found = []
    for row in rows:
        dice = agreement(row.ref, of_round[row.round])
        if dice is not None:
            found.append(AuditSlice(row.ref, row.round, dice, agreement(row.ref, before[row.round])))
    return tuple(found)


def slice_dice(prediction: LabelArray, reference: LabelArray, schema: LabelSchema) -> float | None:
    """Dice of all classes together on one slice, each pixel counting for its own class; None where the reference ignores every pixel.

    Nothing drawn on a slice without any structure is full agreement, 1: a model that stops drawing false contours there has gained. The
    prediction is there in either case, which sets this apart from the Dice of volumes, undefined where a class occurs in neither.

    Args:
        prediction, reference: schema values `(row, column)`; what the reference ignores is left out.
    """
    counted = reference != schema.ignore_value
    if not counted.any():
        return None
    p, r = prediction[counted], reference[counted]
    total = int((p != 0).sum() + (r != 0).sum())
    return 2 * int(((p == r) & (r != 0)).sum()) / total if total else 1.0


def advice(study: Study, *, seed: int = 0) -> Advice:
    """Whether the next round is likely to make the first prediction better, from audit slices alone.

    The newest rounds are taken together until there are enough slices of enough cases; each slice gives the difference of two models on
    itself.
    """
    cannot = "Whether another round pays cannot be said yet:"
    pairs = [(one.ref, one.round, one.dice - one.before) for one in audit_slices(study) if one.before is not None]
    if not pairs:
        missing = "no audit slice is accepted that two models in a row had predicted"
        return Advice(f"{cannot} {missing}; run rounds with `run-round --audit 4` and annotate their audit slices.")
    newest = max(number for _, number, _ in pairs)
    for first in sorted({number for _, number, _ in pairs}, reverse=True):
        used = [pair for pair in pairs if pair[1] >= first]
        cases = len({ref.case for ref, _, _ in used})
        if len(used) >= LEAST_AUDITS and cases >= LEAST_CASES:
            break
    else:
        have = f"{_count(len(used), 'audit slice')} of {_count(cases, 'case')}"
        return Advice(f"{cannot} {have}, at least {LEAST_AUDITS} of {LEAST_CASES} cases are needed.", slices=len(used))
    change = Ratio.of_means([ref for ref, _, _ in used], [gain for _, _, gain in used], seed=seed, least=-1.0)
    if change.value is None or change.low is None or change.high is None:
        return Advice(f"{cannot} the audit slices hold nothing.", slices=len(used))
    verb = "rose" if change.value >= 0 else "fell"
    rounds = f"round {newest}" if first == newest else f"rounds {first} to {newest}"
    sentence = (
        f"Agreement on audit slices {verb} by {abs(change.value):.3f} with the last model{'' if first == newest else 's'} "
        f"(95 % interval {change.low:+.3f} to {change.high:+.3f}, {len(used)} slices of {rounds})"
    )
    if change.high < WORTH:
        pays, end = False, "another round is unlikely to raise it much."
    elif change.low > 0:
        pays, end = True, "another round is likely to pay."
    else:
        pays, end = None, "too uncertain to say whether another round pays."
    return Advice(f"{sentence}: {end}", pays, change.value, change.low, change.high, len(used))


@dataclass(frozen=True)
class Ratio:
    """A sum over a sum with its 95 % interval over cases; None where it is undefined, the interval also with a single case."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of_means(cls, refs: Sequence[SliceRef], values: Sequence[float], *, seed: int, least: float = 0.0, most: float = 1.0) -> Ratio:
        """The mean over cases of their mean over slices, one value a slice; else as `of`."""
        by_case: dict[str, list[float]] = {}
        for ref, value in zip(refs, values, strict=True):
            by_case.setdefault(ref.case, []).append(value)
        one_each = list({ref.case: ref for ref in refs}.values())
        means = np.array([np.mean(by_case[ref.case]) for ref in one_each], float)
        return cls.of(one_each, means, np.ones(len(means)), seed=seed, least=least, most=most)

    @classmethod
    def of(
        cls,
        refs: Sequence[SliceRef],
        parts: NDArray[np.float64],
        wholes: NDArray[np.float64],
        *,
        seed: int,
        least: float = 0.0,
        most: float = 1.0,
    ) -> Ratio:
        """sum(parts) / sum(wholes), one of each a slice, with an interval cut to what is possible, `least` to `most`.

        The interval is Student's with one degree of freedom fewer than there are cases, of a case's deviation from the ratio relative to
        the mean whole (which for wholes of 1 is the interval of a mean), or the percentile bootstrap of whole cases where that is wider.
        """
        if not refs:
            return cls()
        names = sorted({ref.case for ref in refs})
        number = [names.index(ref.case) for ref in refs]
        part, whole = np.bincount(number, parts, len(names)), np.bincount(number, wholes, len(names))
        if not whole.sum() > 0:
            return cls()
        value = float(part.sum() / whole.sum())
        if len(names) < 2:
            return cls(value)
        drawn = np.random.default_rng(seed).integers(0, len(names), (_RESAMPLES, len(names)))
        sums = whole[drawn].sum(axis=1)
        ratios = part[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
        tail = (1 - _LEVEL) / 2
        low, high = np.quantile(ratios, (tail, 1 - tail))
        deviations = (part - value * whole) / whole.mean()
        margin = float(stdtrit(len(names) - 1, 1 - tail)) * float(deviations.std(ddof=1)) / len(names) ** 0.5
        return cls(value, max(least, min(float(low), value - margin)), min(most, max(float(high), value + margin)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
