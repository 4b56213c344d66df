"""The formats that a study can be exported to, by name, with a line of help each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.export.content import Exported, StudyContent
from SuggestiveAnnotationLib.progress import Stage


class Writer(Protocol):
    """Writes a study's content into a folder."""

    def __call__(self, folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
        """Advance `stage` by one a case.

        Raises:
            InputError: a file is there already and `overwrite` is off, or the format cannot hold the content.
            StorageError: the folder cannot be written.
        """


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: on the command line and in the protocol.
        title: in the panel.
        help: one line.
        module: of `SuggestiveAnnotationLib.export`, whose `write` is a `Writer`; imported when the format is used.
        packages: what must be installed beyond what reading a study takes.
    """

    name: str
    title: str
    help: str
    module: str
    packages: tuple[str, ...] = ()

    @property
    def write(self) -> Writer:
        """The writer."""
        writer: Writer = import_module(f"SuggestiveAnnotationLib.export.{self.module}").write
        return writer


FORMATS = (
    Format("nii.gz", "Labelmaps, NIfTI", "labelmap, mask of annotated slices and JSON for each case", "labelmap_nifti"),
    Format("nrrd", "Labelmaps, NRRD", "the same in NRRD, which keeps the voxel grid exactly", "labelmap_nrrd"),
    Format("seg.nrrd", "Segmentations (.seg.nrrd)", "3D Slicer's segmentations with names, colours and terminology", "seg_nrrd"),
    Format("dicom-seg", "DICOM SEG", "DICOM Segmentation objects, for cases that came from DICOM", "dicom_seg", ("pydicom", "highdicom")),
    Format("nnunet", "nnU-Net dataset", "nnU-Net v2 dataset with an ignore label on what nobody annotated, splits by patient", "nnunet"),
    Format("bids", "BIDS derivative", "discrete segmentations (dseg) with their look-up table", "bids"),
    Format("png", "PNG slices", "image and labels of every annotated slice, with a JSON index", "png"),
    Format("coco", "COCO", "image of every annotated slice, structures as run lengths in COCO's JSON", "coco"),
    Format("csv", "Effort and events (CSV)", "one line for every accepted slice, and one for every event", "tables"),
    Format("data-card", "Data card", "who annotated what, with which suggestion and model, seeds and hashes", "data_card"),
)


def format_named(name: str) -> Format:
    """Raises: InputError, when there is no such format."""
    found = next((one for one in FORMATS if one.name == name), None)
    if found is None:
        raise InputError(f"There is no export format {name}.", hint=f"Choose one of {', '.join(one.name for one in FORMATS)}.")
    return found
