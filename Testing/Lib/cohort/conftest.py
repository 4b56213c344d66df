"""Small real image files for the tests of the cohort folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

SHAPE = (5, 6, 7)


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., Path]:
    """Writes an array (noise where None) below tmp_path and gives its path."""

    def write(
        name: str,
        array: Any = None,
        *,
        spacing: tuple[float, ...] = (1.0, 2.0, 3.0),
        origin: tuple[float, ...] = (0.0, 0.0, 0.0),
        vector: bool = False,
        compress: bool = False,
        seed: int = 0,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            array = np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32)
        image = sitk.GetImageFromArray(np.asarray(array), isVector=vector)
        dimension = image.GetDimension()
        image.SetSpacing((*spacing, 1.0, 1.0)[:dimension])
        image.SetOrigin((*origin, 0.0, 0.0)[:dimension])
        sitk.WriteImage(image, str(path), compress)
        return path

    return write


@pytest.fixture
def labels() -> np.ndarray:
    """A labelmap of the size of `write_image`'s noise, with values 0 to 3."""
    out = np.zeros(SHAPE, np.uint8)
    out[1:4, 1:5, 1:3] = 1
    out[1:4, 1:5, 3:5] = 2
    out[2, 3, 5] = 3
    return out
