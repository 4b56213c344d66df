"""The numbers by which arms are compared. Plain numpy; nothing here knows of records.

*Values* are arrays `(person, run)`: what one run says of one person, NaN where the run did not test the person. A person's value is the
mean over the runs that tested them, and an arm's value the mean over people. Both are samples: other people would do, and other seeds, each
of which stands for the weights that its networks begin with and for what strategies draw by lot, in all of its folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
RESAMPLES = 10_000
SHORT = 0.5
"""An arm that spends less than this share of what arms typically spend takes no part over that cost, see `joint_support`."""


def area(x: Sequence[float], y: Sequence[float], support: tuple[float, float] | None, *, held: bool = False) -> float:
    """Mean height of a curve of straight lines over an interval: the area under it divided by the width.

    Args:
        x: not falling. y: may hold NaN, whose points are left out.
        held: a curve of steps instead: the model one has at a cost is the last one that was paid in full.
        support: inside the range of `x`; NaN comes back where it is not, where it has no width, or where it is None.
    """
    at, height = np.asarray(x, float), np.asarray(y, float)
    at, height = at[~np.isnan(height)], height[~np.isnan(height)]
    if support is None or len(at) < 2 or not at[0] <= support[0] < support[1] <= at[-1]:
        return float("nan")
    start, end = support
    inner = (at > start) & (at < end)
    knots = np.array([start, *at[inner], end])
    if held:
        steps = height[np.searchsorted(at, knots[:-1], side="right") - 1]
        return float((steps * np.diff(knots)).sum() / (end - start))
    ends = np.interp([start, end], at, height)
    return float(np.trapezoid([ends[0], *height[inner], ends[1]], knots) / (end - start))


def joint_support(ranges: Mapping[str, tuple[float, float]]) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """The costs at which all arms can be compared: from the latest beginning to the earliest end.

    An arm that spends less than half of what arms spend in the median (one that picks empty slices draws no contour) would leave nothing
    to compare the others on: it takes no part, and is named.

    Args:
        ranges: arm -> first and last cost.

    Returns:
        Start and end, None where they do not overlap; and the arms that take no part.
    """
    typical = float(np.median([end - start for start, end in ranges.values()])) if ranges else 0.0
    short = tuple(name for name, (start, end) in ranges.items() if end - start < SHORT * typical)
    left = [one for name, one in ranges.items() if name not in short]
    start, end = max((s for s, _ in left), default=0.0), min((e for _, e in left), default=0.0)
    return ((start, end) if start < end else None), short


@dataclass(frozen=True)
class Interval:
    """A mean over people and how sure it is; None where it is undefined, or where one person or one run cannot say.

    Attributes:
        mean, low, high: low and high at the level asked for.
        people, runs: that it is a mean of.
    """

    mean: float | None
    low: float | None
    high: float | None
    people: int
    runs: int

    @property
    def above_zero(self) -> bool:
        """The whole interval."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """The whole interval."""
        return self.high is not None and self.high < 0

    def within(self, least: float, most: float) -> Interval:
        """The same with bounds cut to the range that the quantity can have."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(least, self.low), high=min(most, self.high))

    def inside(self, margin: float) -> bool:
        """The whole interval lies between -margin and margin. At the level 90 %: two one-sided tests (TOST) at 5 %."""
        return self.low is not None and self.high is not None and -margin < self.low and self.high < margin


@dataclass(frozen=True)
class Draws:
    """Resamples of a hierarchical bootstrap, the same for every arm and metric, so that differences stay paired.

    People are drawn with replacement, one fewer than there are, since the mean of so many drawn has the variance of the mean of all.
    Seeds are drawn as well: all runs of a seed together and for everybody, since they begin with the same network and share its luck.
    They get random weights (the Bayesian bootstrap, which leaves nobody without a run) from a Dirichlet distribution that has the
    variance of a mean too. Of one seed it is the runs that are drawn; what a seed does to all of them is then not known.

    Attributes:
        people: how often each person is in each resample `(resample, person)`.
        runs: weight of each run `(resample, run)`.
        units: of each run, what it was drawn with: its seed, or its own number where there is but one seed.
    """

    people: Values
    runs: Values
    units: tuple[int, ...]

    @classmethod
    def make(cls, people: int, seeds: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
        """Draw.

        Args:
            people: how many. seeds: of each run.
        """
        generator = np.random.default_rng(seed)
        chosen = generator.multinomial(max(1, people - 1), [1 / people] * people, size=resamples).astype(float)
        several = len(set(seeds)) > 1
        units = np.unique(seeds, return_inverse=True)[1] if several else np.arange(len(seeds))
        number = len(np.unique(units))
        # The mean of n under Dirichlet weights of concentration a varies by (n - 1) / (n a + 1) of what it should.
        weights = generator.gamma(max((number - 2) / number, 0.05), size=(resamples, number))
        return cls(chosen, weights[:, units], tuple(units.tolist()))

    def means(self, values: Values) -> Values:
        """The mean over people in each resample `(resample,)`; NaN where a resample has nobody."""
        there = ~np.isnan(values)
        weight = self.runs @ there.T.astype(float)
        total = self.runs @ np.where(there, values, 0.0).T
        # A run that failed in this arm can leave a person without a run in a resample.
        people = np.where(weight > 0, self.people, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(weight > 0, total / weight, 0.0)
            out: Values = (people * each).sum(axis=1) / people.sum(axis=1)
        return out


def person_means(values: Values) -> Values:
    """Mean over the runs of each person `(person,)`, NaN where there is none."""
    return mean(values, axis=1)


def people_mean(values: Values) -> float | None:
    """Mean over people of the means over their runs; None where there is nobody."""
    each = person_means(values)
    return None if np.isnan(each).all() else float(np.nanmean(each))


def run_means(values: Values) -> Values:
    """Mean over the people of each run `(run,)`, NaN where there is none."""
    return mean(values, axis=0)


def unit_means(values: Values, draws: Draws) -> Values:
    """Mean over people of what the runs of each seed say of them `(seed,)`, NaN where there is none."""
    units = np.asarray(draws.units)
    return np.array([mean(person_means(values[:, units == one]), axis=0) for one in np.unique(units)])


def mean(values: Values, *, axis: int | tuple[int, ...]) -> Values:
    """Mean over what is not NaN; NaN where all is."""
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    with np.errstate(invalid="ignore"):
        out: Values = np.where(there, values, 0.0).sum(axis=axis) / np.where(count > 0, count, np.nan)
    return out


def interval(values: Values, draws: Draws, *, level: float = 0.95) -> Interval:
    """Mean over people with an interval from a standard error and Student's t.

    The error is the bootstrap's, or that of the means of seeds where it is larger (of runs where there is one seed). Degrees of freedom
    are those of the smaller sample, people or seeds. Percentiles are too narrow for a few of either, and at the levels at which many arms
    hold together there are none left to take.
    """
    middle, people = people_mean(values), int(np.count_nonzero(~np.isnan(person_means(values))))
    runs = int(np.count_nonzero(~np.isnan(run_means(values))))
    if middle is None:
        return Interval(middle, None, None, people, runs)
    of_units = unit_means(values, draws)
    units = int(np.count_nonzero(~np.isnan(of_units)))
    if people < 2 or units < 2:
        return Interval(middle, None, None, people, runs)
    error = max(float(np.nanstd(draws.means(values))), float(np.nanstd(of_units, ddof=1)) / sqrt(units))
    reach = error * float(stats.t.ppf((1 + level) / 2, min(people, units) - 1))
    return Interval(middle, middle - reach, middle + reach, people, runs)


def wins_ties_losses(differences: Values, margin: float) -> tuple[int, int, int]:
    """People with a difference above the margin, within it, and below its negative."""
    known = differences[~np.isnan(differences)]
    wins, losses = int((known > margin).sum()), int((known < -margin).sum())
    return wins, len(known) - wins - losses, losses


def signed_rank(differences: Values) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test; 1 where nothing differs, None where there is nothing."""
    known = differences[~np.isnan(differences)]
    if not len(known):
        return None
    return float(stats.wilcoxon(known).pvalue) if known.any() else 1.0


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P values adjusted for their number (Holm 1979), in the order given."""
    count, order = len(p_values), np.argsort(p_values, kind="stable")
    adjusted = np.minimum(1.0, np.maximum.accumulate([(count - i) * p_values[k] for i, k in enumerate(order)]))
    out = np.empty(count)
    out[order] = adjusted
    return tuple(out.tolist())


def pooled_sd(groups: Sequence[Sequence[float] | Values]) -> float | None:
    """Standard deviation inside groups, pooled by degrees of freedom; None where no group has two values."""
    squares, freedom = 0.0, 0
    for group in groups:
        known = np.asarray(group, float)
        known = known[~np.isnan(known)]
        if len(known) > 1:
            squares += float(((known - known.mean()) ** 2).sum())
            freedom += len(known) - 1
    return sqrt(squares / freedom) if freedom else None
