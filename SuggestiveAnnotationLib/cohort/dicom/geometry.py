"""From the places of slices to one voxel grid, and everything that can be wrong with them in a sentence.

The grid is that of PS3.3 section C.7.6.2.1.1: rows and columns as the orientation has them, slices sorted along the normal, which is row
direction x column direction. What lies between two slices is told by their positions, never by the thickness of a slice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.dicom.headers import Frame
from SuggestiveAnnotationLib.geometry import Geometry

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of direction cosines within a stack: 0.06 degrees."""

SPACING_TOLERANCE = 0.01
"""Largest difference between two gaps, as a share of the usual one; and of pixel spacings within a stack, a tenth of it."""

_ROUNDING = 0.011  # mm: positions are often written with two decimals
_SIDEWAYS = 0.25  # of a pixel, over the whole stack
_NAMED = 3

_HINTS = {
    "missing": "Send or export the series again.",
    "duplicate": "Keep one acquisition of each slice, or export each as a series of its own.",
    "tilt": "Import it in 3D Slicer with acquisition geometry regularisation, and give the volume that it makes.",
    "mixed": "Export each as a series of its own.",
    "tags": "Export the series again without taking these tags out.",
    "single": "Give a series with more slices.",
}


@dataclass(frozen=True)
class StackGeometry:
    """Where a stack of slices lies.

    Attributes:
        geometry: the grid; None where there is a problem.
        order: index into the frames of every native slice k, along the normal; as far as it could be told.
        problems: sentences without a file name: why no grid fits.
    """

    geometry: Geometry | None
    order: tuple[int, ...]
    problems: tuple[str, ...] = ()


def stack_geometry(frames: Sequence[Frame], *, name: str = "The series") -> StackGeometry:
    """The grid of slices in any order.

    Args:
        frames: of one stack.
        name: of the series, as sentences begin.
    """
    unsorted = tuple(range(len(frames)))
    if found := [*_missing_tags(frames, name), *_nonsense(frames, name)] or _mixed(frames, name):
        return StackGeometry(None, unsorted, tuple(found))
    if len(frames) == 1:
        return StackGeometry(None, unsorted, (f"{name} has a single slice, as a localizer has. {_HINTS['single']}",))
    row, column, normal = _axes(frames)
    positions = np.array([f.position for f in frames], float)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    along, positions = along[order], positions[order]
    places = tuple(int(n) for n in order)
    if found := _gaps(along, name) or _sideways(positions, row, column, normal, frames[0], name):
        return StackGeometry(None, places, tuple(found))
    first, spacing = frames[places[0]], frames[places[0]].pixel_spacing or ()
    geometry = Geometry(
        size=(first.columns, first.rows, len(frames)),
        spacing=(spacing[1], spacing[0], float(along[-1] - along[0]) / (len(frames) - 1)),
        origin_lps=(float(positions[0, 0]), float(positions[0, 1]), float(positions[0, 2])),
        direction_lps=tuple(float(c) + 0.0 for c in np.stack([row, column, normal], axis=1).ravel()),  # + 0.0 turns -0.0 into 0.0
    )
    return StackGeometry(geometry, places)


def repeats(frames: Sequence[Frame]) -> int:
    """How many slices lie where another one lies already; slices without a place do not count. All of one orientation."""
    placed = [f for f in frames if f.position is not None and f.orientation is not None]
    if len(placed) < 2:
        return 0
    along = np.sort(np.array([f.position for f in placed], float) @ _axes(placed)[2])
    return int((np.diff(along) < _same_place(np.diff(along))).sum())


def plane_of(orientation: Sequence[float]) -> str:
    """The plane that lies nearest to direction cosines, as a person calls it."""
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]


def _axes(frames: Sequence[Frame]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row, along a column and across, at right angles although cosines are written with few decimals."""
    cosines = np.mean([f.orientation for f in frames if f.orientation is not None], axis=0)
    row = cosines[:3] / np.linalg.norm(cosines[:3])
    normal = np.cross(row, cosines[3:])
    normal /= np.linalg.norm(normal)
    return row, np.cross(normal, row), normal


def _missing_tags(frames: Sequence[Frame], name: str) -> list[str]:
    lacking = {
        "position (ImagePositionPatient)": sum(f.position is None for f in frames),
        "orientation (ImageOrientationPatient)": sum(f.orientation is None for f in frames),
        "pixel spacing (PixelSpacing)": sum(f.pixel_spacing is None for f in frames),
    }
    return [
        f"{name} does not say the {tag} of {_share(count, len(frames))}. {_HINTS['tags']}" for tag, count in lacking.items() if count > 0
    ]


def _nonsense(frames: Sequence[Frame], name: str) -> list[str]:
    found = []
    wrong = [f.pixel_spacing for f in frames if f.pixel_spacing is not None and min(f.pixel_spacing) <= 0]
    if wrong:
        found.append(f"{name} has an impossible pixel spacing of {min(wrong[0]):g} mm. Export it again.")
    cosines = np.array([f.orientation for f in frames if f.orientation is not None], float).reshape(-1, 2, 3)
    products = np.einsum("nax,nbx->nab", cosines, cosines)
    if cosines.size and np.abs(products - np.eye(2)).max() > 0.01:
        found.append(f"{name} has an impossible orientation: its rows and columns are not at right angles. Export it again.")
    return found


def _mixed(frames: Sequence[Frame], name: str) -> list[str]:
    sizes = Counter((f.columns, f.rows) for f in frames)
    if len(sizes) > 1:
        shown = _listed([f"{n} of {i} x {j} pixels" for (i, j), n in sizes.most_common(_NAMED)])
        return [f"{name} mixes slices of different sizes: {shown}. {_HINTS['mixed']}"]
    cosines = np.array([f.orientation for f in frames], float)
    if np.ptp(cosines, axis=0).max() > 2 * ORIENTATION_TOLERANCE:
        planes = Counter(plane_of(c) for c in cosines)
        turned = f"all nearly {next(iter(planes))}, up to {_widest(cosines):.1f} degrees apart"
        shown = _listed([f"{n} {plane}" for plane, n in planes.most_common()]) if len(planes) > 1 else turned
        return [f"{name} mixes slices of different orientations: {shown}. {_HINTS['mixed']}"]
    spacings = np.array([f.pixel_spacing for f in frames], float)
    if (np.ptp(spacings, axis=0) > 2 * 0.1 * SPACING_TOLERANCE * spacings.min(axis=0)).any():
        shown = _listed([f"{n} of {a:g} x {b:g} mm" for (a, b), n in Counter(map(tuple, spacings.tolist())).most_common(_NAMED)])
        return [f"{name} mixes slices of different pixel spacing: {shown}. {_HINTS['mixed']}"]
    return []


def _gaps(along: NDArray[np.float64], name: str) -> list[str]:
    """Slices at one place, slices that are missing, uneven distances; `along` is sorted, millimetres along the normal."""
    gaps = np.diff(along)
    same = gaps < _same_place(gaps)
    if same.any():
        there = sorted({round(float(a), 2) for a in along[:-1][same]})
        where = f"{_listed([_mm(a) for a in there[:_NAMED]])}{_more(len(there))}"
        places = f"{len(there)} position{'' if len(there) == 1 else 's'}"
        return [f"{name} has more than one image at {places}: at {where}. {_HINTS['duplicate']}"]
    usual = float(np.median(gaps))
    tolerance = max(SPACING_TOLERANCE * usual, _ROUNDING)
    uneven = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if not uneven.size:
        return []
    whole = np.rint(gaps / usual)
    lost = [k for k in uneven if whole[k] >= 2 and abs(gaps[k] - whole[k] * usual) <= whole[k] * tolerance]
    if len(lost) == len(uneven):
        count = int(sum(whole[k] - 1 for k in lost))
        where = _listed([f"between {_mm(along[k])} and {_mm(along[k + 1])}" for k in lost[:_NAMED]])
        sentence = f"lacks {count} slice{'' if count == 1 else 's'}: {where}{_more(len(lost))}, at a distance of {_mm(usual)} elsewhere"
        return [f"{name} {sentence}. {_HINTS['missing']}"]
    where = _listed([f"{_mm(gaps[k])} between {_mm(along[k])} and {_mm(along[k + 1])}" for k in uneven[:_NAMED]])
    return [f"{name} has uneven distances between its slices: {_mm(usual)} as a rule, {where}{_more(len(uneven))}. {_HINTS['missing']}"]


def _sideways(
    positions: NDArray[np.float64],
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    normal: NDArray[np.float64],
    frame: Frame,
    name: str,
) -> list[str]:
    """A tilted gantry, or slices moved against each other; `positions` are sorted along the normal."""
    moved = positions - positions[0]
    across = np.stack([moved @ row, moved @ column], axis=1)
    along = moved @ normal
    allowed = _SIDEWAYS * min(frame.pixel_spacing or (1.0,))
    if np.abs(across).max() <= allowed:
        return []
    line = np.outer(along / along[-1], across[-1])
    if np.abs(across - line).max() <= allowed:
        angle = math.degrees(math.atan2(float(np.linalg.norm(across[-1])), float(along[-1])))
        sentence = f"was acquired with a tilted gantry: its slices are shifted against each other by {angle:.1f} degrees"
        return [f"{name} {sentence}, so its voxels are not at right angles. {_HINTS['tilt']}"]
    worst = int(np.linalg.norm(across - line, axis=1).argmax())
    where = _mm(along[worst] + positions[0] @ normal)
    return [f"{name} has slices that are shifted sideways against each other, most at {where}. {_HINTS['missing']}"]


def _same_place(gaps: NDArray[np.float64]) -> float:
    """Below this two slices lie at one place: a tenth of the usual distance, as interleaved stacks lie half of it apart."""
    wide = gaps[gaps > _ROUNDING]
    return max(_ROUNDING, 0.1 * float(np.median(wide))) if wide.size else _ROUNDING


def _widest(cosines: NDArray[np.float64]) -> float:
    normals = np.cross(cosines[:, :3], cosines[:, 3:])
    return math.degrees(math.acos(float(np.clip((normals @ normals.T).min(), -1, 1))))


def _share(count: int, total: int) -> str:
    return ("its only image" if total == 1 else "any of its images") if count == total else f"{count} of its {total} images"


def _mm(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:g} mm"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""
