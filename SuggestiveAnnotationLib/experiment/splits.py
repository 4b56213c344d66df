"""Who is held out in which fold: whole people, the same in every arm of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from SuggestiveAnnotationLib.cohort.split import assign_roles
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.experiment.plan import Plan, Split
from SuggestiveAnnotationLib.types import Case, Role


@dataclass(frozen=True)
class Fold:
    """One way to divide the cohort.

    Attributes:
        number: of the fold.
        roles: case -> role; cases that take no part are "excluded". elsewhere: cases of the other site, see `plan.Transfer`.
    """

    number: int
    roles: dict[str, Role]
    elsewhere: tuple[str, ...] = ()


def folds_of(plan: Plan, cases: Sequence[Case], *, seed: int) -> tuple[Fold, ...]:
    """The folds that the plan runs with a seed. The order of `cases` does not matter.

    Raises:
        InputError: fewer people than the split needs, a name that is not there, or people without reference labels.
    """
    usable = [c for c in cases if c.role != "excluded"]
    other = {c.name for c in usable if plan.transfer is not None and fnmatchcase(c.name, plan.transfer.cases)}
    if plan.transfer is not None and not other:
        raise InputError(f"No case that can be used is named {plan.transfer.cases}.", hint="Check `cases` in [transfer].")
    taking = sorted((c for c in usable if fnmatchcase(c.name, plan.split.among) and c.name not in other), key=lambda c: c.name)
    unlabelled = [c.name for c in usable if c.label is None and (c in taking or c.name in other)]
    if unlabelled:
        raise InputError(f"Case {unlabelled[0]} has no reference labels to compare by.", hint="Give them with `label` in [cohort].")
    if len(taking) < 2:
        raise InputError(f"{len(taking)} cases take part, which cannot be split.", hint="Check `folder`, `images` and `among`.")
    divided = _divide(plan.split, taking, seed)
    wanted = plan.split.run or tuple(range(len(divided)))
    beyond = [n for n in wanted if n >= len(divided)]
    if beyond:
        raise InputError(f"The plan runs fold {beyond[0]}, but there are {len(divided)} folds.", hint="Change `run` in [split].")
    excluded: dict[str, Role] = {c.name: "excluded" for c in cases}
    return tuple(Fold(n, {**excluded, **divided[n]}, tuple(sorted(other))) for n in wanted)


def _divide(split: Split, cases: Sequence[Case], seed: int) -> list[dict[str, Role]]:
    people = sorted({c.patient for c in cases})
    if split.kind == "random":
        drawn = [assign_roles(cases, test=split.test, validation=0, seed=split.seed * 1000 + n) for n in range(split.draws)]
        return [{c.name: c.role for c in one} for one in drawn]
    if split.kind == "fixed":
        return [_roles(cases, _named(split, cases))]
    count = len(people) if split.kind == "leave-one-out" else split.folds
    if count > len(people):
        raise InputError(f"The plan has {count} folds, but there are {len(people)} people.", hint="Ask for fewer folds.")
    if split.kind == "leave-one-out":
        return [_roles(cases, {one}) for one in people]
    drawn_by = [split.seed, seed] if split.redraw else split.seed
    order = [people[i] for i in np.random.default_rng(drawn_by).permutation(len(people))]
    return [_roles(cases, set(order[n::count])) for n in range(count)]


def _named(split: Split, cases: Sequence[Case]) -> set[str]:
    """People with a case that is named, or who are named themselves."""
    held: set[str] = set()
    for pattern in split.names:
        found = {c.patient for c in cases if fnmatchcase(c.name, pattern) or fnmatchcase(c.patient, pattern)}
        if not found:
            raise InputError(f"No case and nobody is named {pattern}.", hint="Check `names` in [split].")
        held |= found
    if held == {c.patient for c in cases}:
        raise InputError("Everybody is held out, which leaves nobody to annotate.", hint="Check `names` in [split].")
    return held


def _roles(cases: Sequence[Case], held: set[str]) -> dict[str, Role]:
    return {c.name: replace(c, role="test" if c.patient in held else "pool").role for c in cases}
