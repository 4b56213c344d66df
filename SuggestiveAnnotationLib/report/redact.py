"""A report without the names of people, cases, sites and folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from SuggestiveAnnotationLib.report.data import Arrow, ReportData
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import FILLED

_LEFT_OUT = ("study, warnings", "study, labels by")
_CASE_FIELDS = ("case", "cases", "held_out_cases")
_SHORT = re.compile(r"\d{1,3}|.{1,2}")
_PATH = r"(?:(?<!\w)[A-Za-z]:[\\/]|\\\\|(?<![\w.:/])/(?=\w))"
_REST_OF_PATH = r"[^\s'\"<>|,;]*"


def redacted(content: ReportData, study: Study) -> ReportData:
    """The same report with numbers in place of names: `case 1`, `patient 1`, `site 1`, `reader 1`; paths become `a file`.

    A name of one or two letters or up to three digits is replaced wherever it stands for a case, and left alone inside other words and
    numbers; that of a person also after "by". The warnings of the cohort, which quote file names, who drew its labels, and the commands
    are left out.
    """
    cases = {case.name: f"case {i}" for i, case in enumerate(study.cases(), 1)}
    people = _people(study)
    change = _replacer(cases, people, people | _other_names(study), _known_paths(study))
    settings = {name: value for name, value in content.settings.items() if name not in _LEFT_OUT}
    bare = replace(content, title="Report", study="Study", command="", settings=settings)
    done: ReportData = _walk(bare, "", cases, change)
    return done


def _people(study: Study) -> dict[str, str]:
    """Everybody who drew or judged labels -> what stands for them."""
    drawers = [a.annotator for a in study.all_annotations() if a.provenance != FILLED] + [d.annotator for d in study.drafts()]
    people = dict.fromkeys([*drawers, *(review.reviewer for review in study.reviews().values()), study.labels_by])
    return {person: f"reader {i}" for i, person in enumerate(people, 1) if person}


def _other_names(study: Study) -> dict[str, str]:
    """Every name but those of cases and people -> what stands for it."""
    names = {case.patient: f"patient {i}" for i, case in enumerate(study.cases(), 1)}
    sites = dict.fromkeys(case.site for case in study.cases() if case.site)
    names |= {site: f"site {i}" for i, site in enumerate(sites, 1)}
    return names | {study.name: "Study", study.path.name: "study"}


def _known_paths(study: Study) -> set[str]:
    """Files of the cohort and the folders they lie in, which may have spaces in their names."""
    files = {study.path} | {Path(p) for case in study.cases() for p in (*case.images.values(), case.label, case.mask) if p}
    return {str(path) for file in files for path in (file, *file.parents) if len(path.parts) > 2}


def _replacer(
    cases: Mapping[str, str], people: Mapping[str, str], others: Mapping[str, str], known_paths: set[str]
) -> Callable[[str], str]:
    names = {**others, **cases}
    anywhere = [name for name in names if name and not _SHORT.fullmatch(name)]
    said_of = ((r"(?<=[Cc]ase )", cases), (r"(?<=\b[Bb]y )", people), (r"(?<!\w)", anywhere))
    pattern = re.compile("|".join(rf"{before}(?:{_any_of(listed)})(?!\w)" for before, listed in said_of))

    def number(match: re.Match[str]) -> str:
        said = match.string[: match.start()].lower().endswith("case ")
        return names[match[0]].removeprefix("case ") if said and match[0] in cases else names[match[0]]

    path = re.compile(rf"(?:{_any_of(known_paths)}|{_PATH}){_REST_OF_PATH}")
    return lambda text: pattern.sub(number, path.sub("a file", text))


def _any_of(names: Any) -> str:
    """Longest first, so that no name hides a longer one that begins with it; nothing matches where there is none."""
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"


def _walk(value: Any, place: str, cases: Mapping[str, str], change: Callable[[str], str]) -> Any:
    """A copy with every text changed; `place` is the field that a text stands in."""
    if isinstance(value, str):
        return cases.get(value, value) if place in _CASE_FIELDS else change(value)
    if isinstance(value, Arrow):
        case, comma, number = value.label.rpartition(", ")
        return replace(value, label=f"{cases.get(case, case)}{comma}{number}")
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _walk(getattr(value, f.name), f.name, cases, change) for f in fields(value) if f.init})
    if isinstance(value, Mapping):
        return {_walk(key, place, cases, change): _walk(item, place, cases, change) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return type(value)(_walk(item, place, cases, change) for item in value)
    return value
