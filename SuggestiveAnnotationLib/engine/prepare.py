"""`prepare`: build the slice store, freeze the preprocessing, take the labels that the study starts from."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from math import ceil, isfinite

import numpy as np

from SuggestiveAnnotationLib.cohort.acquired import acquired_plane
from SuggestiveAnnotationLib.cohort.files.itk import sitk
from SuggestiveAnnotationLib.engine.labels import start_from_labels
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, Stage, interrupts_held, no_progress
from SuggestiveAnnotationLib.study.slice_store import CaseSlices, SliceStore, StoreSettings
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import PREPROCESSING_VERSION, Case, GridSpacing, Plane, PreprocessingRecord

PIXELS = 96
"""Side of the network grid, unless somebody says otherwise."""
MARGIN = 1.02
"""The network grid is this much wider than the widest foreground."""
LARGEST = 1024
"""No network grid has more pixels a side, unless somebody names their number."""
FEWEST = 16
"""The widest foreground of the cohort takes at least so many pixels of the network grid."""
_LEAST = 32


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        record: the frozen preprocessing.
        built, kept: number of cases whose arrays were made, or were there and current.
        excluded: case -> the sentence that says why it cannot be used.
        warnings: case -> a sentence; the case can be used.
        slices: number of slices of usable cases. blank: how many of them hold next to no foreground.
        taken: slices of existing labels that this call made annotations or pre-annotations, see `engine.labels`.
        left_out: sentences on labels that were not taken.
    """

    record: PreprocessingRecord
    built: int
    kept: int
    excluded: dict[str, str]
    slices: int
    blank: int
    warnings: dict[str, str] = field(default_factory=dict)
    taken: int = 0
    left_out: tuple[str, ...] = ()


def prepare(
    study: Study,
    *,
    plane: Plane | None = None,
    pixels: int | None = None,
    spacing: GridSpacing | None = None,
    processes: int = 1,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Prepared:
    """Build what is missing or out of date in the slice store, freeze the preprocessing the first time, and take the labels to start from.

    A case that cannot be used is excluded with its reason, and tried again by the next call; the others stay usable. A case whose files
    have gone since it was built stays in use. Interrupted, it resumes case by case.

    Args:
        study: with at least one usable case.
        plane: of the slices; when not given the frozen one, else the plane in which most cases were acquired.
        pixels: side of the square network grid, a multiple of 16; when not given the frozen one, else with a spacing the smallest that
            holds the widest foreground, else `PIXELS`.
        spacing: of the network grid, millimetres; "native": the median over the cases of their finer in-plane spacing. When not given the
            frozen one, else just wide enough for the widest foreground.
        processes: how many cases to build at once; 1 stays in this process (as inside Slicer).

    Raises:
        InputError: `pixels` is not a multiple of 16, or `spacing` is no length, or too fine or too coarse for the cohort.
        StudyError: no case can be used, or the preprocessing is frozen with another plane, number of pixels or spacing.
    """
    if pixels is not None and (pixels < _LEAST or pixels % 16):
        raise InputError(f"The network grid cannot have {pixels} pixels.", hint=f"Give a multiple of 16, at least {_LEAST}.")
    if spacing not in (None, "native") and not (isinstance(spacing, float | int) and isfinite(spacing) and spacing > 0):
        raise InputError(f"The network grid cannot have a spacing of {spacing} mm.", hint="Give a number above 0, or native.")
    frozen = study.frozen_record()
    if frozen is not None:
        _check_frozen(study, frozen, plane, pixels, spacing)
    retried = {case.name for case in study.cases_to_retry()}
    usable = [case for case in study.cases() if case.role != "excluded" or case.name in retried]
    if not usable:
        raise StudyError("The study has no usable case.", hint="`study show` says why each was excluded.")
    store = study.store_for(
        StoreSettings(
            plane=frozen.plane if frozen else plane or acquired_plane(usable),
            modalities=frozen.modalities if frozen else study.modalities,
            reference=frozen.reference if frozen else study.reference_modality,
            schema=study.schema,
            annotated=study.annotated_slices,
        )
    )
    stage = Stage("prepare", len(usable), progress=progress, cancel=cancel)
    waiting: list[Case] = []
    warnings: dict[str, str] = {}
    for case in usable:
        if case.role == "excluded":
            waiting.append(case)
        elif lost := store.lost_sources(case):
            gone = ", ".join(map(str, lost))
            warnings[case.name] = f"{gone} cannot be found or read any more; {case.name} is used as it was prepared before."
            stage.advance(message=warnings[case.name])
        elif store.is_current(case):
            stage.advance()
        else:
            waiting.append(case)
    excluded = {}
    # An open memory map would keep some systems from replacing its file.
    study.forget_slices()
    for case, problems, refused in _built(store, waiting, processes, cancel=cancel):
        if refused is not None:
            study.exclude_case(case.name, str(refused), retry=True)
            excluded[case.name] = str(refused)
        elif case.role == "excluded":
            study.include_case(case.name)
        if refused is None and problems:
            warnings[case.name] = " ".join(problems)
        study.set_problems(case.name, problems)
        stage.advance(message=str(refused) if refused else "")
    usable = [case for case in usable if case.name not in excluded]
    if not usable:
        raise StudyError("No case of the study can be used: " + next(iter(excluded.values())))
    record = frozen or _record(store, usable, pixels, spacing)
    study.freeze_record(record)
    opened = [store.open(case.name) for case in usable]
    for case, slices in zip(usable, opened, strict=True):
        if cut := _beyond(record, slices):
            warnings[case.name] = " ".join(filter(None, (warnings.get(case.name), cut)))
    labels = start_from_labels(study, progress=progress, cancel=cancel)
    return Prepared(
        record=record,
        built=len(waiting) - len(excluded),
        kept=len(usable) - len(waiting) + len(excluded),
        excluded=excluded,
        slices=sum(len(o.blank) for o in opened),
        blank=int(sum(o.blank.sum() for o in opened)),
        warnings=warnings,
        taken=labels.slices,
        left_out=labels.left_out,
    )


def _check_frozen(study: Study, frozen: PreprocessingRecord, plane: Plane | None, pixels: int | None, spacing: GridSpacing | None) -> None:
    """Raises: StudyError, when somebody wants another plane or grid than the study has, or it was made by other code; they never change."""
    if frozen.version != PREPROCESSING_VERSION:
        sentence = f"The study {study.path} was prepared by another version of this extension, whose images and models differ."
        raise StudyError(sentence, hint="Export its annotations, create a new study of the same images, and import them there.")
    if pixels is not None and (pixels, pixels) != frozen.size:
        sentence = f"The study {study.path} is frozen at {frozen.size[0]} pixels."
        raise StudyError(sentence, hint=f"Leave --pixels out, or create another study for {pixels}.")
    used = (case.geometry for case in study.cases() if case.role != "excluded" and case.geometry is not None)
    millimetres = _millimetres(spacing, (SliceFrame.of(geometry, frozen.plane).spacing for geometry in used))
    if millimetres is not None and (millimetres, millimetres) != frozen.spacing:
        sentence = f"The study {study.path} is frozen at a spacing of {frozen.spacing[0]:g} mm."
        raise StudyError(sentence, hint=f"Leave --spacing out, or create another study for {millimetres:g} mm.")
    if plane is not None and plane != frozen.plane:
        sentence = f"The study {study.path} is frozen with {frozen.plane} slices."
        raise StudyError(sentence, hint=f"Leave --plane out, or create another study for {plane} ones.")


def _millimetres(spacing: GridSpacing | None, scans: Iterable[tuple[float, float, float]]) -> float | None:
    """The spacing that is asked for, of scans with these spacings (slice, row, column); None where the foreground decides."""
    if spacing != "native":
        return None if spacing is None else float(spacing)
    found = [min(scan[1:]) for scan in scans]
    return float(np.median(found)) if found else None


def _record(store: SliceStore, cases: Sequence[Case], pixels: int | None, wanted: GridSpacing | None) -> PreprocessingRecord:
    """Square network pixels, of the given spacing or just small enough that the widest foreground of the cohort fits into the grid.

    Raises: InputError, when the given spacing is too fine or too coarse to be meant.
    """
    opened = [store.open(case.name) for case in cases]
    widest = max(max(_extent(slices)) for slices in opened)
    spacing = _millimetres(wanted, [slices.spacing for slices in opened])
    if spacing is None:
        pixels = pixels or PIXELS
        spacing = ceil(widest * MARGIN / pixels * 1000) / 1000
    else:
        if widest < FEWEST * spacing:
            sentence = f"At a spacing of {spacing:g} mm the widest foreground, {widest:.0f} mm, would take fewer than {FEWEST} pixels."
            raise InputError(sentence, hint=f"Choose a spacing of {widest / FEWEST / 1.1:.2g} mm or less.")
        pixels = pixels or side_holding(widest, spacing)
    settings = store.settings
    return PreprocessingRecord(
        plane=settings.plane,
        modalities=settings.modalities,
        reference=settings.reference,
        spacing=(spacing, spacing),
        size=(pixels, pixels),
        schema_key=settings.schema.key,
    )


def side_holding(widest: float, spacing: float) -> int:
    """Pixels a side of the smallest network grid of this spacing that holds the widest foreground, millimetres. Raises: InputError."""
    side = max(_LEAST, 16 * ceil(widest * MARGIN / spacing / 16))
    if side > LARGEST:
        sentence = (
            f"At a spacing of {spacing:g} mm a network grid for the widest foreground, {widest:.0f} mm, would have {side} pixels a side."
        )
        raise InputError(sentence, hint=f"Choose a spacing of {widest * MARGIN / LARGEST * 1.1:.2g} mm or more, or a number of pixels.")
    return side


def _beyond(record: PreprocessingRecord, slices: CaseSlices) -> str:
    """A sentence where the foreground of a case reaches beyond the network grid, which is frozen; else ""."""
    wide, grid = max(_extent(slices)), min(np.array(record.size) * record.spacing)
    if wide <= grid:
        return ""
    return (
        f"It is {wide:.0f} mm wide and the frozen network grid {grid:.0f} mm: the network neither learns nor finds anything beyond. "
        "A new study has a grid wide enough for all, unless --pixels makes it smaller."
    )


def _extent(slices: CaseSlices) -> tuple[float, float]:
    """Of the foreground, millimetres, (row, column)."""
    r0, r1, c0, c1 = slices.box
    _, row_mm, column_mm = slices.spacing
    return (r1 - r0) * row_mm, (c1 - c0) * column_mm


def _built(
    store: SliceStore, cases: Sequence[Case], processes: int, *, cancel: CancelToken | None
) -> Iterator[tuple[Case, tuple[str, ...], InputError | None]]:
    if processes <= 1 or len(cases) < 2:
        yield from ((case, *_build(store, case, cancel)) for case in cases)
        return
    # spawn, because a fork of a process that runs torch threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(cases)), mp_context=context, initializer=_set_up_process) as pool:
        with interrupts_held():
            futures = [pool.submit(_build, store, case) for case in cases]
        try:
            for case, future in zip(cases, futures, strict=True):
                yield (case, *future.result())
        except BrokenProcessPool as error:
            if cancel is not None:
                cancel.raise_if_cancelled()
            hint = "Run `prepare` again with --processes 1."
            raise StudyError("A process that prepared cases was ended from outside, perhaps for want of memory.", hint=hint) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _set_up_process() -> None:
    """Processes that run side by side must not fight for the cores, and Ctrl-C is answered by the one that started them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _build(store: SliceStore, case: Case, cancel: CancelToken | None = None) -> tuple[tuple[str, ...], InputError | None]:
    try:
        return store.build(case, cancel=cancel), None
    except InputError as error:
        return (str(error),), error
