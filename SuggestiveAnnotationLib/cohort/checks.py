"""Whether the files of a case can be used: by their headers while the cohort is found, by every voxel before it is prepared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_header, read_labels, read_volume
from SuggestiveAnnotationLib.cohort.files.resample import no_overlap, overlap
from SuggestiveAnnotationLib.cohort.labels.label_file import is_segmentation
from SuggestiveAnnotationLib.cohort.labels.merge import UNKNOWN_HINT, apply_merge, schema_of_values, unknown_sentence, unknown_values
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import DRAWN_ON, Geometry, SliceFrame
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.types import Case, LabelArray, LabelSchema, Plane

_GRID_HINT = (
    "Resample it onto the image with nearest-neighbour interpolation (Resample Image (BRAINS) in 3D Slicer), "
    "or give the image it was drawn on."
)
_HEADER_HINT = "If it was drawn on that image, copy the image's whole header to it; to resample it would move the labels."

THICK = 2.0
"""Slices so many times as far apart as pixels were acquired as slices: across them nobody annotates."""


@dataclass(frozen=True)
class CaseReport:
    """What is wrong with a case.

    Attributes:
        problems: sentences; with one of them the case cannot be used.
        warnings: sentences; the case can be used.
    """

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_case(case: Case, schema: LabelSchema, modalities: Sequence[str], *, reference: str | None = None) -> tuple[str, ...]:
    """What makes `case` unusable, one sentence each; empty when it is fine. See `examine_case`."""
    return examine_case(case, schema, modalities, reference=reference).problems


def examine_case(
    case: Case,
    schema: LabelSchema,
    modalities: Sequence[str],
    *,
    reference: str | None = None,
    plane: Plane | None = None,
    cancel: CancelToken | None = None,
) -> CaseReport:
    """Read every voxel of a case: images, labels and mask, their grids, and the labels' values against `schema`.

    Args:
        case: with absolute paths.
        schema: to compare the label values with.
        modalities: that the case must have.
        reference: modality whose grid labels and mask must be on; the first where None.
        plane: of the slices, for the rule on single slices; None: only a volume with a single slice in some direction is mentioned.
        cancel: asked before every image.
    """
    problems: list[str] = []
    warnings: list[str] = []
    wanted = reference or modalities[0]
    grids: dict[str, Geometry] = {}
    for modality in modalities:
        if cancel is not None:
            cancel.raise_if_cancelled()
        if modality not in case.images:
            problems.append(f"{case.name} has no {modality} image.")
            continue
        try:
            volume = read_volume(case.images[modality])
            grids[modality] = volume.geometry
            warnings += volume.notes
        except InputError as error:
            problems.append(str(error))
    grid = grids.get(wanted)
    if grid is not None:
        more, notes = frames(case, grids, wanted)
        problems += more + moved_grid(case, grid, wanted)
        thin_problems, thin_notes = thin(case.images[wanted], grid, plane)
        problems += thin_problems
        warnings += [*notes, *thin_notes]
    mask = None
    if case.mask is not None:
        try:
            mask, mask_grid = read_labels(case.mask)
            problems += _other_grid(case.mask, mask_grid, grid, case.images.get(wanted, ""))
            if not mask.any():
                problems.append(f"{case.mask} is empty: no voxel is foreground. Check that the right file was exported.")
        except InputError as error:
            problems.append(str(error))
    if case.label is not None:
        try:
            labels, label_grid = read_labels(case.label)
            problems += _other_grid(case.label, label_grid, grid, case.images.get(wanted, ""))
            read_with = schema_of_values(case.label, schema)
            if unknown := unknown_values(labels, read_with):
                problems.append(f"{unknown_sentence(unknown, schema, case.label)} {UNKNOWN_HINT}")
            else:
                warnings += without_structure(case.label, apply_merge(labels, read_with, mask, name=case.label), schema)
        except InputError as error:
            problems.append(str(error))
    return CaseReport(tuple(problems), tuple(warnings))


def quick_check(case: Case, reference: str, reasons: Sequence[str] = (), *, geometry_of: Callable[[str], Geometry] = read_geometry) -> Case:
    """`case` with its geometry and, from headers alone, its problems; excluded when there are reasons or it cannot be used.

    Args:
        case: as the folder tells it.
        reference: modality whose grid labels and mask must be on.
        reasons: sentences that exclude it already.
        geometry_of: path in the case -> its grid, where a path is no file that can be read as it stands.
    """
    problems = list(reasons)
    warnings: list[str] = []
    grids: dict[str, Geometry] = {}
    for modality, path in case.images.items():
        try:
            if geometry_of is read_geometry:
                grids[modality], said = read_header(path)
                warnings += said
            else:
                grids[modality] = geometry_of(path)
        except InputError as error:
            problems.append(str(error))
    grid = grids.get(reference)
    if grid is not None:
        more, notes = frames(case, grids, reference)
        problems += more
        warnings += [*notes, *thin(case.images[reference], grid, None)[1]]
    for file in filter(None, (case.label, case.mask)):
        # A channel of a 4D file has a number behind its name; folders and files of people's own may hold the sign anywhere.
        if is_segmentation(re.sub(r"#\d+$", "", file)):
            # Often cropped to what was drawn; it is put onto the image's grid when the study is made.
            continue
        try:
            problems += _other_grid(file, geometry_of(file), grid, case.images.get(reference, ""))
        except InputError as error:
            problems.append(str(error))
    if not problems:
        return replace(case, geometry=grid, problems=tuple(warnings))
    return replace(case, geometry=grid, role="excluded", excluded_reason=problems[0], problems=(*problems, *warnings))


def label_modalities(case: Case, *, geometry_of: Callable[[str], Geometry] = read_geometry) -> tuple[str, ...]:
    """Modalities whose grid the case's labels are on, by headers; empty where something cannot be read."""
    if case.label is None:
        return ()
    try:
        grid = geometry_of(case.label)
        return tuple(m for m, path in case.images.items() if geometry_of(path).same_grid(grid, tolerance=DRAWN_ON))
    except InputError:
        return ()


def without_structure(path: str, merged: LabelArray, schema: LabelSchema) -> list[str]:
    """The warning of labels, in values of the schema, that are background throughout."""
    if np.isin(merged, [c.value for c in schema.classes]).any():
        return []
    return [f"{path} holds no structure of schema {schema.name}, only background."]


def frames(case: Case, grids: Mapping[str, Geometry], reference: str) -> tuple[list[str], list[str]]:
    """Problems and warnings about where the other modalities lie; `grids` are by modality."""
    problems, warnings = [], []
    for modality, grid in grids.items():
        if modality == reference or grid.same_grid(grids[reference]):
            continue
        share = overlap(grid, grids[reference])
        if share == 0:
            problems.append(str(no_overlap(case.images[modality], case.images[reference])))
        elif share < 0.5:
            warnings.append(f"{case.images[modality]} covers only {share:.0%} of {case.images[reference]}.")
    return problems, warnings


def moved_grid(case: Case, grid: Geometry, reference: str) -> list[str]:
    """The problem of an image that was replaced by one on another grid since the study was created: its slices are not the same slices."""
    if case.geometry is None or grid.same_grid(case.geometry):
        return []
    path = case.images[reference]
    return [f"{path} is not on the voxel grid it had when the study was created. Put the earlier file back, or create a new study."]


def thin(path: str, grid: Geometry, plane: Plane | None) -> tuple[list[str], list[str]]:
    """Problems and warnings of the slices in a plane: a single one is allowed and said, as are those across thick ones; a row is none."""
    if plane is None:
        return [], [f"{path} has a single slice."] if min(grid.size) == 1 else []
    frame = SliceFrame.of(grid, plane)
    pixels = f"{frame.rows} x {frame.columns} pixels"
    if min(frame.rows, frame.columns) == 1:
        return [f"{path} has {plane} slices of {pixels}. Choose the plane it was acquired in."], []
    if frame.count == 1:
        return [], [f"{path} has a single slice."]
    across, thick = frame.spacing[0], max(grid.spacing)
    if across < thick and thick >= THICK * sorted(grid.spacing)[1]:
        size = " x ".join(f"{mm:.2g}" for mm in frame.spacing[1:])
        how = f"{path} was acquired in slices {thick:.2g} mm apart, and its {plane} slices are others, of {pixels} of {size} mm."
        return [], [f"{how} Leave the case out, or make a study of its own for such images."]
    return [], []


def _other_grid(path: str, grid: Geometry, reference: Geometry | None, reference_path: str) -> list[str]:
    if reference is None or grid.same_grid(reference, tolerance=DRAWN_ON):
        return []
    if grid.size != reference.size:
        how = f"{' x '.join(map(str, grid.size))} against {' x '.join(map(str, reference.size))} voxels"
    else:
        how = "same size, but another position, spacing or direction"
        if said := _said_of_place(path, reference_path):
            return [f"{path} is on another voxel grid than {reference_path}: {how}. {said} {_HEADER_HINT}"]
    return [f"{path} is on another voxel grid than {reference_path}: {how}. {_GRID_HINT}"]


def _said_of_place(*paths: str) -> str:
    """What is doubtful in what the headers say of the place; empty where nothing is."""
    said: list[str] = []
    for path in paths:
        with suppress(InputError):
            said += read_header(path)[1]
    return " ".join(said)
