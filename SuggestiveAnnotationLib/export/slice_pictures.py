"""Annotated slices as PNG pictures that tools for two dimensions read: grey images and labels, as the annotator saw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.itk import quiet, sitk
from SuggestiveAnnotationLib.cohort.files.write import not_written
from SuggestiveAnnotationLib.export.assemble import storage_type
from SuggestiveAnnotationLib.export.case_images import cases_with, image_on_grid, no_case
from SuggestiveAnnotationLib.export.content import CaseContent, StudyContent
from SuggestiveAnnotationLib.export.names import file_names
from SuggestiveAnnotationLib.export.sidecar import name_slice
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.records import Annotation
from SuggestiveAnnotationLib.types import Plane, SliceRef, slice_number

PERCENTILES = (0.5, 99.5)

ABOUT_WINDOW = (
    f"Grey 0 and 255 are the {PERCENTILES[0]} and {PERCENTILES[1]} percentile of the whole volume's voxels above its smallest value; what "
    "lies outside is cut off. The values are those of the image on the grid of the reference modality."
)

DIRECTIONS: dict[Plane, tuple[str, str]] = {
    "axial": ("posterior", "left"),
    "coronal": ("inferior", "left"),
    "sagittal": ("inferior", "posterior"),
}
"""Where rows run downwards to and columns to the right to, of the patient; see `geometry`."""


@dataclass(frozen=True)
class SlicePicture:
    """The pictures of one annotated slice.

    Attributes:
        ref: the slice.
        annotation: the one that the labels are of.
        images: modality -> file inside the dataset, `/` between folders.
        windows: modality -> values that grey 0 and 255 stand for.
        labels: file inside the dataset; None where none was written.
    """

    ref: SliceRef
    annotation: Annotation
    images: Mapping[str, str]
    windows: Mapping[str, tuple[float, float]]
    labels: str | None


class PictureFiles:
    """Writes the pictures of a dataset: of every case that has the image of the reference modality.

    Args:
        content: of the study.
        labels: label pictures are written too.

    Attributes:
        left_out: a sentence for every other case, and for every other image that a case does not have.

    Raises:
        InputError: there is no such case.
    """

    def __init__(self, content: StudyContent, *, labels: bool) -> None:
        self._content, self._labels = content, labels
        self._cases, left_out = cases_with(content, [content.reference])
        if not self._cases:
            raise no_case(left_out)
        missing = ((one, modality) for one in self._cases for modality in content.modalities if modality not in one.case.images)
        self.left_out = (*left_out, *(f"Case {one.case.name} has no image {modality}." for one, modality in missing))
        self._stems = file_names(one.case.name for one in content.cases)
        self._folders = file_names(content.modalities)

    def write(self, scratch: Path, target: Path, *, stage: Stage) -> Iterator[tuple[CaseContent, SlicePicture]]:
        """Pictures of every annotated slice, in native order within a case; modalities that the case does not have are left out.

        Args:
            scratch: folder that the dataset is built in.
            target: where it will be, for sentences.
            stage: advanced by one a case of the study.

        Raises:
            InputError: an image is gone, unreadable or has changed.
            StorageError: the folder cannot be written.
        """
        for one in self._content.cases:
            if one in self._cases:
                for picture in self._of_case(scratch, target, one):
                    yield one, picture
            stage.advance()

    def _of_case(self, scratch: Path, target: Path, one: CaseContent) -> Iterator[SlicePicture]:
        shown = {ref: a for ref, a in sorted(one.shown().items())}
        stem = self._stems[one.case.name]
        images: dict[str, dict[SliceRef, str]] = {}
        windows: dict[str, tuple[float, float]] = {}
        for modality in (m for m in self._content.modalities if m in one.case.images):
            volume = image_on_grid(one, modality, reference=self._content.reference)
            windows[modality] = robust_window(volume)
            stack = one.grid.frame.stack(volume)
            images[modality] = {}
            for ref in shown:
                images[modality][ref] = f"images/{self._folders[modality]}/{stem}_{_number(ref)}.png"
                _save(scratch, target, images[modality][ref], grey_levels(stack[ref.native_index], windows[modality]))
        for ref, annotation in shown.items():
            labels = None
            if self._labels:
                labels = f"labels/{stem}_{_number(ref)}.png"
                _save(scratch, target, labels, annotation.labels.astype(storage_type(self._content.schema)))
            of_slice = {modality: files[ref] for modality, files in images.items()}
            yield SlicePicture(ref, annotation, of_slice, windows, labels)


def _save(scratch: Path, target: Path, name: str, picture: NDArray[Any]) -> None:
    path = scratch / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, target, picture)


def robust_window(volume: NDArray[np.float32]) -> tuple[float, float]:
    """The values that become grey 0 and 255: `PERCENTILES` of the voxels above the smallest value, which is often a constant background."""
    low, high = float(volume.min()), float(volume.max())
    above = volume[volume > low]
    if above.size:
        first, last = (float(v) for v in np.percentile(above, PERCENTILES))
        if last > first:
            return first, last
    return low, high


def grey_levels(values: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Values as grey, 0 to 255, of the same shape; all 0 when the window has no width."""
    low, high = window
    width = high - low
    if width <= 0:
        return np.zeros(values.shape, np.uint8)
    return np.rint(np.clip((values.astype(np.float64) - low) / width, 0, 1) * 255).astype(np.uint8)


def write_png(scratch: Path, final: Path, picture: NDArray[Any]) -> None:
    """Write a grey picture `(row, column)` of 8 or 16 bits, and read it again: every pixel must be the same.

    Args:
        scratch: temporary path with the suffix `.png`.
        final: where the dataset will be, for the sentence.
        picture: uint8 or uint16.

    Raises:
        StorageError: it could not be written; the disk is full, read-only or gone.
    """
    try:
        with quiet():
            sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(picture)), str(scratch))
            same = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(scratch))), picture)
    except RuntimeError as error:
        raise not_written(final, picture.nbytes) from error
    if not same:
        raise not_written(final, picture.nbytes)


def describe_picture(one: CaseContent, picture: SlicePicture, content: StudyContent) -> dict[str, Any]:
    """What an index says of a slice, whatever its format."""
    annotation = picture.annotation
    review = content.reviews.get(annotation.id)
    _, rows, columns = one.grid.frame.spacing
    return {
        "case": one.case.name,
        "patient": one.case.patient,
        "split": one.case.role,
        **name_slice(picture.ref),
        "spacing_mm": {"row": rows, "column": columns},
        "annotator": annotation.annotator,
        "provenance": annotation.provenance,
        "accepted_at": annotation.accepted_at,
        "approved_by": review.reviewer if review is not None and review.verdict == "approved" else None,
        "windows": {modality: list(window) for modality, window in picture.windows.items()},
    }


def orientation(content: StudyContent) -> dict[str, str]:
    """How the pictures lie in the patient."""
    down, right = DIRECTIONS[content.record.plane]
    return {"plane": content.record.plane, "rows_run_towards": down, "columns_run_towards": right}


def _number(ref: SliceRef) -> str:
    return f"slice-{slice_number(ref):04d}"
