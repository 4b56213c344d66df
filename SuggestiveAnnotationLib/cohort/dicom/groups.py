"""The kinds of series in a cohort, for a person to say which sequence each is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from SuggestiveAnnotationLib.cohort.dicom.index import Series
from SuggestiveAnnotationLib.cohort.dicom.sequences import guess_sequence, why_not_used
from SuggestiveAnnotationLib.errors import InputError

_SHOWN = 3
_NAMELESS = "(no description)"

_MARKS = {True: " (contrast agent)", False: " (no agent)"}
"""Behind the description where the series of one description differ in what their headers say of a contrast agent."""

GroupKey = tuple[str, str, bool]
"""Description, folded; DICOM modality; and whether a contrast agent was given."""


@dataclass(frozen=True)
class SeriesGroup:
    """All series of one description and DICOM modality, with a contrast agent or without.

    Attributes:
        description: as most of them write it; `(no description)` where they have none. Where there are series of that description both
            with and without an agent, with ` (contrast agent)` or ` (no agent)` behind it.
        modality: of DICOM: `MR`, `CT`, `PT`, ...
        cases: number of studies that have one.
        slices, rows, columns: as most of them have.
        name: modality of a study that it seems to be (`T1c`, `FLAIR`, `CT`); empty where nothing tells it.
        used: unless a person says otherwise.
        reason: why not, in a few words; empty where it is used or its sequence is unknown.
        contrast: their headers name a contrast agent.
    """

    description: str
    modality: str
    cases: int
    slices: int
    rows: int
    columns: int
    name: str
    used: bool
    reason: str = ""
    contrast: bool = False

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SeriesGroup:
        """The inverse of `to_json`."""
        return cls(**data)

    @property
    def key(self) -> GroupKey:
        """Of its series, see `key_of`."""
        return (_bare(self.description, self.contrast), self.modality, self.contrast)


def key_of(series: Series) -> GroupKey:
    """Which group a series belongs to."""
    return (_bare(series.description, series.contrast), series.modality, series.contrast)


def series_groups(series: Sequence[Series]) -> tuple[SeriesGroup, ...]:
    """The groups, those that most cases have first. Of several stacks in one series the largest counts.

    Series of one description with and without a contrast agent are two groups. They are one sequence where no study has both: headers do
    not always name the agent.

    Where nothing usable tells its sequence, the group with most cases and slices is used under the name of its DICOM modality; where all
    series are reformatted or otherwise derived, these are used.
    """
    largest: dict[tuple[str, str], Series] = {}
    for one in series:
        known = largest.setdefault((one.study_uid, one.uid), one)
        if len(one.frames) > len(known.frames):
            largest[one.study_uid, one.uid] = one
    members: dict[GroupKey, list[Series]] = defaultdict(list)
    for one in largest.values():
        members[key_of(one)].append(one)
    groups = [_group(mine, members.get((text, modality, not contrast), ())) for (text, modality, contrast), mine in members.items()]
    if not any(group.reason == "" for group in groups):
        groups = [_with(group, reason="") if group.reason == "derived" else group for group in groups]
    groups = [_with(group, used=bool(group.name) and not group.reason) for group in groups]
    open_ones = [group for group in groups if not group.reason]
    if open_ones and not any(group.used for group in groups):
        best = max(open_ones, key=lambda g: (g.cases, g.slices))
        groups = [_with(group, name=group.modality or "image", used=True) if group is best else group for group in groups]
    return tuple(sorted(groups, key=lambda g: (-g.cases, not g.used, g.description.casefold(), g.modality)))


def modality_of(
    groups: Sequence[SeriesGroup], series: Sequence[Series], images: Mapping[str, str] | None, warnings: list[str]
) -> tuple[dict[GroupKey, str], dict[str, str], dict[str, tuple[str, ...]]]:
    """Group -> modality, modality -> descriptions as one text, and modality -> descriptions of groups that would fit there as well.

    Args:
        groups: of `series`.
        images: modality -> glob, or one description as it stands, with ` (contrast agent)` or ` (no agent)` or without; several of them
            one a line. None: by the groups' own names; those that less than half as many cases have as the most frequent one are left
            out with a warning.
        warnings: get sentences.

    Raises:
        InputError: a glob fits no series, or nothing can be used.
    """
    if images:
        chosen: dict[GroupKey, str] = {}
        lines_of = [(modality, line) for modality, lines in images.items() for line in lines.split("\n")]
        for modality, glob in lines_of:
            fitting = [g for g in groups if _fits(glob, g)]
            wanted = _folded(glob)
            exact = [g for g in fitting if wanted in (g.key[0], _folded(g.description))]
            # What another line names as it stands is left to it.
            others = {_folded(line) for _, line in lines_of} - {wanted}
            free = [g for g in exact or fitting if g.key not in chosen and _folded(g.description) not in others]
            if not free:
                known = ", ".join(g.description for g in groups[:8])
                raise InputError(f'No series fits "{glob}" for {modality}.', hint=f"There are: {known}.")
            chosen.update(dict.fromkeys((g.key for g in free), modality))
        return chosen, {modality: " or ".join(lines.split("\n")) for modality, lines in images.items()}, _others(groups, chosen)
    used = [g for g in groups if g.used]
    if not used:
        seen = ", ".join(f"{g.description} ({g.reason or 'unknown sequence'})" for g in groups[:8])
        raise InputError(f"No series is one to annotate on: {seen}.", hint="Name the series to use, if it is one of these.")
    name_of = {g.key: g.name for g in used}
    studies: dict[str, set[str]] = defaultdict(set)
    for one in series:
        if key_of(one) in name_of:
            studies[name_of[key_of(one)]].add(one.study_uid)
    most = max(map(len, studies.values()))
    for name in [name for name, having in studies.items() if 2 * len(having) < most]:
        few = next(g.description for g in used if g.name == name)
        warnings.append(f'{name} series such as "{few}" were left out: less than half of the cases have one. Choose them to use them.')
        used = [g for g in used if g.name != name]
    chosen = {g.key: g.name for g in used}
    patterns = {
        name: " or ".join(g.description for g in [g for g in used if g.name == name][:_SHOWN]) for name in dict.fromkeys(chosen.values())
    }
    return chosen, patterns, _others(groups, chosen)


def _others(groups: Sequence[SeriesGroup], chosen: Mapping[GroupKey, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        if group.key not in chosen and group.name in chosen.values() and group.reason in ("", "derived", "few slices"):
            found[group.name].append(group.description)
    return {name: tuple(some) for name, some in found.items()}


def _group(members: Sequence[Series], others: Sequence[Series]) -> SeriesGroup:
    """The group of some series, beside those of the same description that differ in the contrast agent."""
    reasons = Counter(why_not_used(one) for one in members)
    # One usable series makes the group usable; a case whose own is not is excluded with the reason.
    reason = "" if "" in reasons else reasons.most_common(1)[0][0]
    usual = [one for one in members if why_not_used(one) == reason]
    apart = {one.study_uid for one in members} & {one.study_uid for one in others}
    alike = usual if apart else [*usual, *(one for one in others if why_not_used(one) == reason)]
    names = Counter(guess_sequence(one) for one in alike)
    description = Counter(one.description for one in members).most_common(1)[0][0] or _NAMELESS
    return SeriesGroup(
        description=description + (_MARKS[members[0].contrast] if others else ""),
        modality=members[0].modality,
        cases=len({one.study_uid for one in members}),
        slices=_typical([len(one.frames) for one in usual]),
        rows=_typical([one.frames[0].rows for one in usual]),
        columns=_typical([one.frames[0].columns for one in usual]),
        name=max(names, key=lambda name: (names[name], name)),
        used=False,
        reason=reason,
        contrast=members[0].contrast,
    )


def _with(group: SeriesGroup, **changes: Any) -> SeriesGroup:
    return SeriesGroup(**{**asdict(group), **changes})


def _typical(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def _fits(glob: str, group: SeriesGroup) -> bool:
    wanted, shown = _folded(glob), _folded(group.description)
    bare = group.key[0]
    return wanted in (bare, shown) or fnmatchcase(bare, wanted) or (bool(bare) and fnmatchcase(shown, wanted))


def _bare(description: str, contrast: bool) -> str:
    """The description without its mark; empty where there is none."""
    text = _folded(description).removesuffix(_MARKS[contrast])
    return "" if text == _NAMELESS else text


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
