"""Images of a case on the grid that its annotations live on, and which cases a dataset can hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.read import Volume, read_volume
from SuggestiveAnnotationLib.cohort.files.resample import resample_onto
from SuggestiveAnnotationLib.cohort.files.write import not_written, write_array_as
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.content import CaseContent, StudyContent
from SuggestiveAnnotationLib.geometry import Geometry


def image_on_grid(one: CaseContent, modality: str, *, reference: str) -> NDArray[np.float32]:
    """An image of a case `(k, j, i)` on the grid of its annotations, linearly resampled where it has another.

    Raises:
        InputError: the file is gone or unreadable, shows another place, or the reference image has changed since the study was made.
    """
    volume: Volume = read_volume(one.case.images[modality])
    if modality == reference and not volume.geometry.same_grid(one.grid.geometry):
        what = f"{one.case.images[modality]} has another voxel grid than case {one.case.name} had when the study was made."
        raise InputError(what, hint="Put the image back that was annotated.")
    array: NDArray[np.float32] = resample_onto(volume, one.grid.geometry, reference_name=one.case.images[reference]).array
    return array


def write_image(scratch: Path, final: Path, volume: NDArray[np.float32], geometry: Geometry) -> None:
    """Write an image `(k, j, i)` and read it again: every voxel must be the same. Whole numbers of 16 bits are written as such.

    Args:
        scratch: temporary path whose suffix names the format.
        final: where the dataset will be, for the sentence.
        volume: on `geometry`.
        geometry: its grid.

    Raises:
        StorageError: it could not be written; the disk is full, read-only or gone.
    """
    write_array_as(scratch, final, _narrowest(volume), geometry)
    try:
        same = np.array_equal(read_volume(scratch).array, volume)
    except InputError as error:
        # A resampled image that misses the other but for an edge can be constant, which is no fault of the disk.
        if volume.min() == volume.max():
            return
        raise not_written(final, volume.nbytes) from error
    if not same:
        raise not_written(final, volume.nbytes)


def _narrowest(volume: NDArray[np.float32]) -> NDArray[Any]:
    low, high = float(volume.min()), float(volume.max())
    if low >= -(2**15) and high < 2**15:
        whole = volume.astype(np.int16)
        if np.array_equal(whole, volume):
            return whole
    return volume


def cases_with(content: StudyContent, modalities: Sequence[str]) -> tuple[tuple[CaseContent, ...], tuple[str, ...]]:
    """The cases that have every one of these images, and a sentence for each of the others."""
    good, left_out = [], []
    for one in content.cases:
        missing = [m for m in modalities if m not in one.case.images]
        if missing:
            left_out.append(f"Case {one.case.name} is left out: it has no image {' and no image '.join(missing)}.")
        else:
            good.append(one)
    return tuple(good), tuple(left_out)


def earlier_readers(content: StudyContent) -> tuple[str, ...]:
    """A sentence on annotations of slices that somebody accepted again later: a labelmap holds the last. Empty when there are none."""
    count = sum(len(one.annotations) - len(one.shown()) for one in content.cases)
    if not count:
        return ()
    what = "1 annotation is" if count == 1 else f"{count} annotations are"
    return (f"{what} left out because somebody accepted the same slice later.",)


def no_case(left_out: Sequence[str]) -> InputError:
    """The error for a dataset that would be empty."""
    return InputError("No case can be exported. " + " ".join(left_out), hint="Annotate and accept a few slices first.")
