"""Labelmaps in NRRD: one volume of labels, one mask of annotated slices and one JSON a case. NRRD keeps the voxel grid exactly."""

from __future__ import annotations

from pathlib import Path

from SuggestiveAnnotationLib.export.case import write_labelmaps
from SuggestiveAnnotationLib.export.content import Exported, StudyContent
from SuggestiveAnnotationLib.progress import Stage


def write(folder: Path, content: StudyContent, *, overwrite: bool, stage: Stage) -> Exported:
    """See `formats.Writer` and `case.write_labelmaps`."""
    return write_labelmaps(folder, content, suffix=".nrrd", overwrite=overwrite, stage=stage)
