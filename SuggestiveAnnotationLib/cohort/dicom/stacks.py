"""One series can hold several stacks: the planes of a localizer, the echoes of a sequence, time points of a dynamic one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from SuggestiveAnnotationLib.cohort.dicom.geometry import ORIENTATION_TOLERANCE, SPACING_TOLERANCE, repeats
from SuggestiveAnnotationLib.cohort.dicom.headers import TRAITS, Frame


def split_stacks(frames: Sequence[Frame]) -> tuple[tuple[tuple[Frame, ...], ...], tuple[str, ...]]:
    """The stacks of a series, the one with most slices first, and in what they differ (`size`, `orientation`, `echo time`, ...).

    Of as many slices the shortest echo, the first time point and so on come first: names of files tell nothing of them, and differ from
    person to person.

    Size, orientation and pixel spacing always tell stacks apart. Anything else does where slices lie at one place and are told apart by
    it: an echo time that varies from slice to slice is no second stack. Slices whose place the header does not say stay with the most.
    """
    ordered = sorted(frames, key=lambda f: (f.file, f.number or 0))
    stacks: list[list[Frame]] = [ordered]
    differing: list[str] = []
    for what, same in _PLACES:
        apart = [part for stack in stacks for part in _clusters(stack, same)]
        if len(apart) > len(stacks):
            differing.append(what)
        stacks = apart
    told = [part for stack in stacks for part in _by_traits(stack, 0, differing)]
    told.sort(key=lambda stack: -len(stack))
    return tuple(map(tuple, told)), tuple(dict.fromkeys(differing))


def _size(frame: Frame) -> tuple[float, ...] | None:
    return (float(frame.rows), float(frame.columns))


def _orientation(frame: Frame) -> tuple[float, ...] | None:
    return frame.orientation


def _spacing(frame: Frame) -> tuple[float, ...] | None:
    return frame.pixel_spacing


_PLACES: tuple[tuple[str, tuple[Callable[[Frame], tuple[float, ...] | None], float, float]], ...] = (
    ("size", (_size, 0.5, 0.0)),
    ("orientation", (_orientation, ORIENTATION_TOLERANCE, 0.0)),
    ("pixel spacing", (_spacing, 0.0, 0.1 * SPACING_TOLERANCE)),
)
"""What is compared, the largest difference that is none, and the same as a share of the value."""


def _clusters(frames: Sequence[Frame], same: tuple[Callable[[Frame], tuple[float, ...] | None], float, float]) -> list[list[Frame]]:
    value_of, absolute, relative = same
    heads: list[tuple[float, ...]] = []
    members: list[list[Frame]] = []
    homeless = []
    for frame in frames:
        value = value_of(frame)
        if value is None:
            homeless.append(frame)
            continue
        for head, mine in zip(heads, members, strict=True):
            if all(abs(a - b) <= absolute + relative * abs(b) for a, b in zip(value, head, strict=True)):
                mine.append(frame)
                break
        else:
            heads.append(value)
            members.append([frame])
    if not members:
        return [homeless]
    max(members, key=len).extend(homeless)
    return members


def _by_traits(frames: list[Frame], first: int, differing: list[str]) -> list[list[Frame]]:
    repeated = repeats(frames)
    if repeated == 0:
        return [frames]
    for trait in range(first, len(TRAITS)):
        values = [f.traits[trait] if trait < len(f.traits) else "" for f in frames]
        if len(set(values)) < 2:
            continue
        parts = [[f for f, v in zip(frames, values, strict=True) if v == value] for value in sorted(set(values), key=_rank)]
        if sum(map(repeats, parts)) < repeated:
            differing.append(TRAITS[trait])
            return [found for part in parts for found in _by_traits(part, trait + 1, differing)]
    return [frames]


def _rank(value: str) -> tuple[bool, bool, bool, float, str]:
    """Sorts values of a trait: numbers by size, image types from original to derived and magnitude first, what is not said last."""
    parts = value.split("\\")
    try:
        number = float(value)
    except ValueError:
        number = math.inf
    return (not value, parts[0] == "DERIVED", "M" not in parts, math.inf if math.isnan(number) else number, value)
