"""The small study of the soak: real files, prepared, no round yet; one case is held out, with labels, so that models are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from panel_study import SCHEMA, square, write_case

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.study.study import Study

SHAPE = (14, 40, 36)
"""Voxels of a case `(k, j, i)`."""
CASES = 6
PIXELS = 32


def make_study(folder: Path, *, seed: int) -> Path:
    """The folder of a new prepared study under `folder`."""
    files = folder / "cohort"
    files.mkdir(parents=True)
    rows = [write_case(files, f"case{n}", seed=100 * seed + n, shape=SHAPE) for n in range(CASES)]
    label = files / f"case{CASES - 1}_label.nii.gz"
    image = sitk.GetImageFromArray(np.stack([square(1 if k % 2 else 4, shape=SHAPE[1:]) for k in range(SHAPE[0])]))
    image.CopyInformation(sitk.ReadImage(rows[-1].images["t1"]))
    sitk.WriteImage(image, str(label))
    rows[-1] = replace(rows[-1], role="test", label=str(label))
    study = Study.create(folder / "study", name="soak", cases=rows, schema=SCHEMA, modalities=("t1", "flair"), reference="t1")
    with study.lock():
        prepare(study, plane="axial", pixels=PIXELS)
    study.close()
    return study.path
