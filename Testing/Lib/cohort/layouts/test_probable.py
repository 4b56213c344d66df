from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.layouts.discover import discover

Write = Callable[..., Path]


@pytest.mark.parametrize(("name", "glob"), [("UTA{}/{}", "*/laendo.nrrd"), ("UTA{0}/UTA{0}_{1}", "*/*_laendo.nrrd")])
def test_labels_under_a_strange_name_are_asked_about(write_image: Write, labels: np.ndarray, tmp_path: Path, name: str, glob: str) -> None:
    for n in range(3):
        write_image(f"{name.format(n, 'lgemri')}.nrrd", seed=n)
        write_image(f"{name.format(n, 'laendo')}.nrrd", labels.astype(np.float32))
    plan = discover(tmp_path)
    assert {c.patient for c in plan.usable} == {"UTA0", "UTA1", "UTA2"}
    assert plan.warnings[-1] == f'Files such as {glob} hold only a few whole numbers; if these are labels, say so (--label "{glob}").'
    plan = discover(tmp_path, label=glob)
    assert [(c.patient, Path(c.label or "").name.endswith("laendo.nrrd")) for c in plan.usable] == [(f"UTA{n}", True) for n in range(3)]
    assert not any("whole numbers" in w for w in plan.warnings)


def test_images_with_few_values_only_are_images(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n in range(3):
        write_image(f"P{n}/arterial.nrrd", labels)
        write_image(f"P{n}/venous.nrrd", labels)
    assert not any("whole numbers" in w for w in discover(tmp_path).warnings)
