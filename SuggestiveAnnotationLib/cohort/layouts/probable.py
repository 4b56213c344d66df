"""Labelmaps under names that do not say so: `UTA0/laendo.nrrd` beside `UTA0/lgemri.nrrd`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.labels.schema import value_counts
from SuggestiveAnnotationLib.cohort.layouts.keys import signature
from SuggestiveAnnotationLib.cohort.layouts.naming import ImageFile, matches
from SuggestiveAnnotationLib.cohort.layouts.visits import patient_of, people_of_visits
from SuggestiveAnnotationLib.errors import InputError

_FEW = 64
"""A file with more values, where there is no word for labels, is an image."""
_LOOKED_AT = 2
"""People."""


def say_probable_labels(files: Mapping[str, ImageFile], person: Mapping[str, str]) -> list[str]:
    """A sentence for the plan on files that hold a few whole numbers, beside other ones of the same person that do not.

    The voxels of two people's files are read, but not those of visits.

    Args:
        files: case -> its image, where there are no labels.
        person: case -> who it shows.
    """
    cases: dict[str, list[str]] = defaultdict(list)
    visits = people_of_visits(list(files))
    for case, file in files.items():
        if case not in visits and patient_of(file, case) == case:
            cases[person[case]].append(case)
    looked_at = [one for one in cases.items() if len(one[1]) > 1][:_LOOKED_AT]
    kinds = [_with_few_values([files[case] for case in found], owner) for owner, found in looked_at]
    both = [glob for glob in kinds[0] if all(glob in one for one in kinds)] if kinds else []
    if not both:
        return []
    return [f'Files such as {both[0]} hold only a few whole numbers; if these are labels, say so (--label "{both[0]}").']


def _with_few_values(files: Sequence[ImageFile], owner: str) -> list[str]:
    """Globs of a person's files that hold a few whole numbers, where the others do not fit them."""
    few = [file for file in files if _has_few_values(file)]
    others = [file for file in files if file not in few]
    globs = [signature(file, owner) for file in few] if others else []
    return [glob for glob in globs if not any(matches(glob, file) for file in others)]


def _has_few_values(file: ImageFile) -> bool:
    try:
        values = value_counts(read_labels(file.path)[0])
    except InputError:
        return False
    return len(values) <= _FEW and min(values) >= 0
