"""Cases out of DICOM series: one a study of a person, its modalities told by the descriptions of the series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from SuggestiveAnnotationLib.cohort.dicom.groups import SeriesGroup, key_of, modality_of, series_groups
from SuggestiveAnnotationLib.cohort.dicom.headers import TRAITS
from SuggestiveAnnotationLib.cohort.dicom.index import DicomIndex, Segmentation, Series, index_dicom
from SuggestiveAnnotationLib.cohort.dicom.people import People
from SuggestiveAnnotationLib.cohort.dicom.sequences import why_not_used
from SuggestiveAnnotationLib.cohort.files.resample import overlap
from SuggestiveAnnotationLib.cohort.layouts.naming import modality_order
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, no_progress
from SuggestiveAnnotationLib.types import Case

__all__ = ["SeriesGroup", "plan_dicom", "plan_from_index", "series_groups"]

LAYOUT = "DICOM"
LABELS = "DICOM segmentations"
"""What `CohortPlan.label_pattern` says where there are some."""


def plan_dicom(
    folder: Path | None,
    *,
    files: Sequence[str] | None = None,
    images: Mapping[str, str] | None = None,
    reference: str | None = None,
    patient_ids: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> CohortPlan:
    """The cases among DICOM files, from headers alone. No sentence of the plan, and no name in it, tells who a person is.

    Args:
        folder, files: where to look, see `index.index_dicom`.
        images: modality -> glob on the description of the series, whatever the case, in channel order. None: guessed.
        reference: modality whose grid annotations live on. None: the one that most segmentations were drawn on, else the first.
        patient_ids: cases are named after the patient ID and not `patient-01`.

    Raises:
        InputError: no series found, a glob that fits none, an unknown reference, or as `index.index_dicom`.
        Cancelled: between two files.
    """
    index = index_dicom(folder, files=files, progress=progress, cancel=cancel)
    if not index.series:
        where = f"in {folder}" if folder is not None else "among the files"
        damaged = f" {len(index.unreadable)} could not be read, such as {index.unreadable[0]}." if index.unreadable else ""
        raise InputError(f"There are no DICOM images {where}.{damaged}", hint="Give the folder that holds the series of all cases.")
    root = str(Path(folder).expanduser().resolve()) if folder is not None else ""
    return plan_from_index(index, folder=root, images=images, reference=reference, patient_ids=patient_ids)


def plan_from_index(
    index: DicomIndex,
    *,
    folder: str = "",
    images: Mapping[str, str] | None = None,
    reference: str | None = None,
    patient_ids: bool = False,
) -> CohortPlan:
    """As `plan_dicom`, of files that were read already: for another choice of `images` or `reference`."""
    groups = series_groups(index.series)
    warnings = _warnings(index)
    chosen, patterns, alternatives = modality_of(groups, index.series, images, warnings)
    modalities = tuple(images) if images else tuple(sorted(patterns, key=modality_order))
    people = People(index.series, patient_ids=patient_ids)
    warnings += people.warnings
    candidates: dict[str, dict[str, list[Series]]] = {case: {} for case in people.cases}
    for series in index.series:
        modality = chosen.get(key_of(series))
        if modality is not None:
            candidates[people.case_of(series)].setdefault(modality, []).append(series)
    drafts = [_Draft(case, people.person_of[case], found, modalities) for case, found in candidates.items()]
    segmentations: dict[str, list[Segmentation]] = defaultdict(list)
    for segmentation in index.segmentations:
        case = people.case_of_study(segmentation.person, segmentation.study_uid)
        if case is None:
            warnings.append("A segmentation belongs to a study without images; it was left out.")
        else:
            segmentations[case].append(segmentation)
    if reference is not None and reference not in modalities:
        raise InputError(f"There is no modality {reference}.", hint=f"Found: {', '.join(modalities)}.")
    grid = reference or _drawn_on(drafts, segmentations, modalities)
    sources: dict[str, Source] = {}
    cases = tuple(draft.case(grid, segmentations[draft.name], sources) for draft in drafts)
    return CohortPlan(
        folder=folder,
        cases=cases,
        modalities=modalities,
        reference=grid,
        patterns=patterns,
        label_pattern=LABELS if any(case.label for case in cases) else None,
        guessed=frozenset(() if images else modalities) | (frozenset({"label"}) if any(case.label for case in cases) else frozenset()),
        alternatives=alternatives,
        warnings=tuple(warnings),
        layout=LAYOUT,
        sources=sources,
        identities=people.identities,
    )


def _warnings(index: DicomIndex) -> list[str]:
    found = []
    if index.unreadable:
        count = len(index.unreadable)
        found.append(f"{count} file{' is' if count == 1 else 's are'} damaged or missing and {'was' if count == 1 else 'were'} left out.")
    if index.copies:
        found.append(f"{index.copies} file{' is a copy' if index.copies == 1 else 's are copies'} of others and did not count.")
    if index.structure_sets:
        one = index.structure_sets == 1
        which = "1 RTSTRUCT object cannot be read and was" if one else f"{index.structure_sets} RTSTRUCT objects cannot be read and were"
        found.append(f"{which} left out: convert {'it' if one else 'them'} to DICOM SEG or .seg.nrrd, for example in 3D Slicer.")
    return found


def _drawn_on(drafts: Sequence[_Draft], segmentations: Mapping[str, Sequence[Segmentation]], modalities: Sequence[str]) -> str:
    """The modality that most segmentations were drawn on; the first unless another does better."""
    votes = Counter(
        modality
        for draft in drafts
        for modality, series in draft.images.items()
        if any(segmentation.is_of(series) for segmentation in segmentations[draft.name])
    )
    return max(modalities, key=lambda m: (votes[m], -modalities.index(m)))


class _Draft:
    """One study of a person, the series of each modality chosen."""

    def __init__(self, name: str, person: str, found: Mapping[str, Sequence[Series]], modalities: Sequence[str]) -> None:
        self.name = name
        self.images: dict[str, Series] = {}
        self._person = person
        self._notes: list[str] = []
        self._problems: list[str] = []
        for modality in modalities:
            if modality in found:
                self._choose(modality, found[modality])
            else:
                self._problems.append(f"{name} has no {modality} series. Add it, or choose other series.")

    def _choose(self, modality: str, candidates: Sequence[Series]) -> None:
        """Usable before unusable, then most slices, then the latest."""
        ranked = sorted(
            candidates,
            key=lambda s: (not s.stack.problems, not why_not_used(s), len(s.frames), s.series_time, s.number),
            reverse=True,
        )
        best = ranked[0]
        self.images[modality] = best
        others = {s.uid for s in ranked[1:]} - {best.uid}
        if others:
            count = f"{len(others) + 1} series fit {modality}"
            self._notes.append(f"{count}: {best.title} with {len(best.frames)} slices was taken, the most slices and then the latest.")
        if best.stacks > 1:
            how = f" that differ in {' and '.join(best.differ_in)}" if best.differ_in else ""
            which = " and ".join([f"{len(best.frames)} slices", *_told(best)])
            self._notes.append(f"{best.title} holds {best.stacks} stacks{how}; the one with {which} was taken.")
        if best.samples != 1:
            self._problems.append(f"{best.title} is in colour. Choose a series of grey values.")
        self._problems += best.stack.problems

    def case(self, reference: str, segmentations: Sequence[Segmentation], sources: dict[str, Source]) -> Case:
        """The case; what it is made from is added to `sources`."""
        problems, notes = [*self._problems], [*self._notes]
        grid = self.images[reference].stack.geometry if reference in self.images else None
        for modality, series in self.images.items():
            if modality != reference and reference in self.images:
                self._compare(series, self.images[reference], problems, notes)
        images = {modality: _path(series) for modality, series in self.images.items()}
        sources.update({images[m]: Source("dicom series", s.files, s.part) for m, s in self.images.items()})
        case = Case(
            name=self.name,
            patient=self._person,
            role="pool",
            images=images,
            label=self._label(reference, segmentations, sources, notes),
            geometry=grid,
        )
        if problems:
            return replace(case, role="excluded", excluded_reason=problems[0], problems=(*problems, *notes))
        return replace(case, problems=tuple(notes))

    @staticmethod
    def _compare(series: Series, base: Series, problems: list[str], notes: list[str]) -> None:
        """Whether two series show the same place."""
        both = f"{series.title} and {_lower(base.title)}"
        if series.stack.geometry is not None and base.stack.geometry is not None:
            share = overlap(series.stack.geometry, base.stack.geometry)
            if share == 0:
                problems.append(f"{both} do not overlap: they show different places. Choose another series.")
            elif share < 0.5:
                notes.append(f"{series.title} covers only {share:.0%} of {_lower(base.title)}.")
        if series.frame_of_reference and base.frame_of_reference and series.frame_of_reference != base.frame_of_reference:
            notes.append(f"{both} have different frames of reference: the person may have moved in between.")

    def _label(self, reference: str, segmentations: Sequence[Segmentation], sources: dict[str, Source], notes: list[str]) -> str | None:
        mine = [s for s in segmentations if reference in self.images and s.is_of(self.images[reference])]
        if len(mine) < len(segmentations):
            count = len(segmentations) - len(mine)
            what = "segmentation was" if count == 1 else "segmentations were"
            notes.append(f"{count} {what} not drawn on the {reference} series and left out.")
        if not mine:
            return None
        newest = max(mine, key=lambda s: (s.content_time, s.file))
        if len(mine) > 1:
            notes.append(f"There are {len(mine)} segmentations of the {reference} series; the newest was taken.")
        sources[newest.file] = Source("segmentation", (newest.file,))
        return newest.file


def _path(series: Series) -> str:
    """What stands for the series in a case: its first file, and which part of it where it holds several stacks."""
    first = series.frames[series.stack.order[0]].file
    return first if series.part == 0 else f"{first}#{series.part + 1}"


def _told(series: Series) -> list[str]:
    """What tells one stack of a series from its others, with its value: `echo time 12`."""
    traits = dict(zip(TRAITS, series.frames[0].traits, strict=False))
    return [f"{what} {traits[what]}" for what in series.differ_in if traits.get(what)]


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
