"""A label file of any kind, with the names of its structures where it tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.labels.export_sidecar import looked_at_in_export
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.types import LabelClass

SEGMENTATION_SUFFIX = ".seg.nrrd"


@dataclass(frozen=True)
class LabelFile:
    """Labels on their own grid.

    Attributes:
        labels: int32 `(k, j, i)`.
        geometry: their grid, which may be smaller than the image's.
        classes: structures that the file names; empty where it only has values.
        notes: sentences about what could not be kept (segments that overlap).
        looked_at: bool `(k, j, i)`, the voxels that somebody looked at; None where the file does not tell.
    """

    labels: NDArray[np.int32]
    geometry: Geometry
    classes: tuple[LabelClass, ...] = ()
    notes: tuple[str, ...] = ()
    looked_at: NDArray[np.bool_] | None = None


def is_segmentation(path: str | Path) -> bool:
    """Whether a label file is a segmentation that names its structures: Slicer's `.seg.nrrd`, or a DICOM file."""
    name = str(path).lower()
    return name.endswith(SEGMENTATION_SUFFIX) or not name.endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"))


def read_label_file(path: str | Path) -> LabelFile:
    """Labels of a labelmap, a `.seg.nrrd` or a DICOM SEG file.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    file = Path(path)
    if file.name.lower().endswith(SEGMENTATION_SUFFIX):
        from SuggestiveAnnotationLib.cohort.labels.seg_nrrd import read_seg_nrrd

        return read_seg_nrrd(file)
    if is_segmentation(file):
        from SuggestiveAnnotationLib.cohort.dicom.segmentation import read_dicom_segmentation

        return read_dicom_segmentation(file)
    labels, geometry = read_labels(file)
    return LabelFile(labels, geometry, looked_at=looked_at_in_export(file, geometry)[0])


def labels_on(file: LabelFile, geometry: Geometry, *, name: str, reference_name: str) -> NDArray[Any]:
    """The labels on another grid by nearest neighbour, exact where the two grids share a lattice; 0 outside. int32 `(k, j, i)`.

    Raises:
        InputError: the two do not overlap.
    """
    from SuggestiveAnnotationLib.cohort.files.read import Volume
    from SuggestiveAnnotationLib.cohort.files.resample import resample_onto

    return resample_onto(Volume(file.labels, file.geometry, name), geometry, labels=True, reference_name=reference_name).array
