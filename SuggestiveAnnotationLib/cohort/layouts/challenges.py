"""Cohorts of public challenges in the folders they are handed out in, told by the names of their files (see `challenge_list`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from SuggestiveAnnotationLib.cohort.files.scan import scan
from SuggestiveAnnotationLib.cohort.labels.schema import load_schema
from SuggestiveAnnotationLib.cohort.layouts.challenge_list import CHALLENGES, Challenge
from SuggestiveAnnotationLib.cohort.layouts.discover import discover
from SuggestiveAnnotationLib.cohort.layouts.listing import Given, Listing, Place
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, Kind, guess
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.types import LabelSchema


def recognise(files: Sequence[ImageFile]) -> Challenge | None:
    """The challenge that at least half of the files are named after, some of them images; None where there is none."""
    best: tuple[int, Challenge] | None = None
    for challenge in CHALLENGES:
        mine = [file for file in files if challenge.find(file) is not None]
        sorts = [sort for file in mine if (sort := challenge.sort(file)) is not None]
        kinds = {kind for kind, _, _ in sorts}
        # Three sequences tell MRBrainS18 without its labels; T1 and FLAIR are many people's.
        told = "label" in kinds or not challenge.known_by_labels or len({name for kind, name, _ in sorts if kind == "image"}) > 2
        enough = 2 * len(mine) >= len(files) and "image" in kinds and told
        if enough and (best is None or len(sorts) > best[0]):
            best = (len(sorts), challenge)
    return best[1] if best else None


def plan_challenge(
    root: Path,
    challenge: Challenge,
    *,
    images: Mapping[str, str] | None = None,
    label: str | None = None,
    mask: str | None = None,
    table: Path | None = None,
    reference: str | None = None,
) -> CohortPlan:
    """The plan of a challenge's folder: cases, patients, sites, roles and structures as its names tell them.

    Where less than half of its cases are complete, cases are told apart by `discover.discover` instead, if that finds more; it is said.

    Args:
        root: of the cohort.
        challenge: from `recognise`.
        images, label, mask, table, reference: as in `discover.discover`; they overrule the challenge.

    Raises:
        InputError: as `discover.discover`.
    """
    own = root / challenge.table
    given = Given(images, label, mask, table or (own if challenge.table and own.is_file() else None), reference)
    try:
        plan = _listing(root, challenge, given).plan(given)
    except InputError:
        # A pattern may name files that the challenge does not know.
        plan = None
    if plan is not None and 2 * len(plan.usable) >= len(plan.cases):
        return plan
    other = discover(root, images=images, label=label, mask=mask, table=table, reference=reference)
    if plan is not None and len(other.usable) <= len(plan.usable):
        return plan
    note = f"The names are those of {challenge.name} only in part, so cases were told apart without them."
    return replace(other, warnings=(*other.warnings, note))


def _listing(root: Path, challenge: Challenge, given: Given) -> Listing:
    listing = Listing(root, challenge.name)
    found: list[tuple[ImageFile, str, tuple[Kind, str, str] | None]] = []
    strange: list[ImageFile] = []
    for file in scan(root, notes=listing.warnings):
        where = challenge.find(file)
        if where is None:
            strange.append(file)
            continue
        listing.people[where[0]] = where[1]
        # A case whose images all have other names is listed too, with that as the reason.
        listing.reasons.setdefault(where[0], [])
        found.append((file, where[0], challenge.sort(file)))
    globs = _chosen_globs(challenge, [(case, sort) for _, case, sort in found if sort is not None])
    for file, case, sort in found:
        known = (sort[0], sort[1]) if sort is not None and globs[sort[0], sort[1]] == sort[2] else None
        part = given.part(file, known)
        if part is not None:
            listing.places.append(Place(file, case, *part, sort[2] if sort else file.relative.replace(case, "*")))
        elif sort is not None and given.part(file, (sort[0], sort[1])) is not None:
            listing.alternatives[sort[1]].append(sort[2])
    if strange:
        have = "1 image is" if len(strange) == 1 else f"{len(strange)} images are"
        listing.warnings.append(f"{have} not named as in {challenge.name} and left out, for example {strange[0].relative}.")
    unsorted = [*strange, *(file for file, _, sort in found if sort is None)]
    others = given.label is None and any(guess(file).kind == "label" for file in unsorted)
    listing.schema = _schema(challenge, listing.places, others=others)
    return listing


def _chosen_globs(challenge: Challenge, found: Sequence[tuple[str, tuple[Kind, str, str]]]) -> dict[tuple[Kind, str], str]:
    """The one sort of file for every place: the most telling that is not rare, since two sorts do not mean the same."""
    covered: dict[tuple[Kind, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for case, (kind, name, glob) in found:
        covered[kind, name][glob].add(case)
    order = [*challenge.masks, *challenge.labels, *(glob for globs in challenge.images.values() for glob in globs)]
    out = {}
    for place, globs in covered.items():
        most = max(map(len, globs.values()))
        out[place] = min((g for g in globs if 2 * len(globs[g]) >= most), key=order.index)
    return out


def _schema(challenge: Challenge, places: Sequence[Place], *, others: bool) -> LabelSchema | None:
    """That of the labels at hand; without labels the challenge's first, unless there are others that it does not know."""
    labels = Counter(p.glob for p in places if p.kind == "label")
    if others and not labels:
        return None
    names = {challenge.labels.get(glob) for glob in labels} if labels else {next(iter(challenge.labels.values()), None)}
    name = names.pop() if len(names) == 1 else None
    return load_schema(name) if name else None
