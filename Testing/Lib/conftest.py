"""A small real study: NIfTI files on disk, a database, a slice store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema, Role

SCHEMA = LabelSchema(
    name="two lobes",
    classes=(LabelClass(1, "left lobe", (230, 159, 0), partner=2), LabelClass(2, "right lobe", (86, 180, 233), partner=1)),
    regions={"both": (1, 2)},
)


def phantom(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid with two labelled lobes on a background of 0; `(k, j, i)`."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    centre = rng.uniform(-0.1, 0.1, 3)
    z, y, x = (g - c for g, c in zip(grid, centre, strict=True))
    inside = (z / 0.9) ** 2 + (y / 0.85) ** 2 + (x / 0.8) ** 2 < 1
    left = inside & ((x - 0.4) ** 2 + y**2 + z**2 < 0.1)
    right = inside & ((x + 0.4) ** 2 + y**2 + z**2 < 0.1)
    labels = (left * 1 + right * 2).astype(np.uint8)
    image = inside * (100 + 40 * left + 25 * right + rng.normal(0, 4, shape))
    return image.astype(np.float32), labels


def write_volume(
    path: Path, array: np.ndarray, *, spacing: tuple[float, float, float] = (1, 1, 2), direction: tuple[float, ...] | None = None
) -> Geometry:
    """Write `(k, j, i)` with spacing along i, j, k, and give back its geometry."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin((-10.0, 5.0, 3.0))
    if direction is not None:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """`make_study(cases=3, ...)` gives a new study on phantoms; `prepared=True` also builds the slice store at 32 pixels."""

    def make(
        *,
        cases: int = 3,
        shape: tuple[int, int, int] = (8, 24, 20),
        roles: tuple[Role, ...] = (),
        prepared: bool = False,
        name: str = "study",
        modalities: tuple[str, ...] = ("t1",),
        direction: tuple[float, ...] | None = None,
        labelled: bool = True,
        settings: dict[str, str] | None = None,
        change_labels: Callable[[int, np.ndarray], np.ndarray] = lambda index, labels: labels,
    ) -> Study:
        folder = tmp_path / f"{name}-cohort"
        folder.mkdir()
        rows = []
        for index in range(cases):
            image, labels = phantom(shape, seed=index)
            geometry = None
            paths = {}
            for number, modality in enumerate(modalities):
                paths[modality] = str(folder / f"case{index}_{modality}.nii.gz")
                geometry = write_volume(Path(paths[modality]), image * (number + 1), direction=direction)
            label = folder / f"case{index}_label.nii.gz"
            write_volume(label, change_labels(index, labels), direction=direction)
            role = roles[index] if index < len(roles) else "pool"
            rows.append(
                Case(
                    name=f"case{index}",
                    patient=f"p{index}",
                    role=role,
                    images=paths,
                    label=str(label) if labelled else None,
                    geometry=geometry,
                )
            )
        study = Study.create(
            tmp_path / name, name=name, cases=rows, schema=SCHEMA, modalities=modalities, reference=modalities[0], settings=settings
        )
        if prepared:
            from SuggestiveAnnotationLib.engine.prepare import prepare

            prepare(study, pixels=32)
        return study

    return make


@pytest.fixture
def write_phantoms() -> Callable[..., Path]:
    """`write_phantoms(folder, cases=4)` writes `case0_t1.nii.gz`, `case0_label.nii.gz`, ... and gives back the folder."""

    def write(folder: Path, *, cases: int, shape: tuple[int, int, int] = (8, 24, 20)) -> Path:
        folder.mkdir(parents=True)
        for index in range(cases):
            image, labels = phantom(shape, seed=index)
            write_volume(folder / f"case{index}_t1.nii.gz", image)
            write_volume(folder / f"case{index}_label.nii.gz", labels)
        return folder

    return write
