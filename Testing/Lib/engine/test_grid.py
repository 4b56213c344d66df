"""What the network grid allows, and whom it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.ceiling import CEILING, measure_ceiling
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]


def test_the_ceiling_is_one_on_the_native_grid_and_falls_on_a_coarser_one(make_study: MakeStudy) -> None:
    values = []
    for name, pixels in (("fine", 96), ("coarse", 32)):
        study = make_study(name=name, shape=(8, 96, 80))
        prepare(study, pixels=pixels)
        measure_ceiling(study)
        kept = study.properties()[CEILING]
        lengths = [(c["shared_mm"], c["reference_mm"]) for c in kept["classes"]]
        values.append(sum(s for s, _ in lengths) / sum(r for _, r in lengths))
    assert values[0] > 0.99
    # Shares of pixels say where an edge lies inside them, but not on which side of a pixel what is thin was.
    assert 0.6 < values[1] < 0.95


def test_ignored_pixels_make_no_contour_in_the_ceiling(make_study: MakeStudy) -> None:
    def ignored(_index: int, labels: np.ndarray) -> np.ndarray:
        return np.where(np.arange(labels.shape[2]) < 30, 255, labels).astype(labels.dtype)

    kept = {}
    for name, change in (("all", lambda _index, labels: labels), ("part", ignored)):
        study = make_study(name=name, shape=(8, 96, 80), change_labels=change)
        prepare(study, pixels=32)
        measure_ceiling(study)
        classes = study.properties()[CEILING]["classes"]
        kept[name] = [sum(c[length] for c in classes) for length in ("reference_mm", "prediction_mm")]
    assert kept["part"][0] < kept["all"][0]
    for reference, predicted in kept.values():
        assert predicted == pytest.approx(reference, rel=0.1)


def test_a_case_that_is_wider_than_the_frozen_grid_is_named(make_study: MakeStudy) -> None:
    study = make_study(shape=(8, 48, 40))
    wide = Path(study.case("case2").images["t1"])
    image = sitk.ReadImage(str(wide))
    wide.write_bytes(b"damaged")
    assert "case2" in prepare(study, pixels=32).excluded
    everywhere = sitk.GetImageFromArray(np.random.default_rng(0).uniform(50, 100, (8, 48, 40)).astype(np.float32))
    everywhere.CopyInformation(image)
    sitk.WriteImage(everywhere, str(wide))
    done = prepare(study, pixels=32)
    assert list(done.warnings) == ["case2"]
    assert "the network neither learns nor finds anything beyond" in done.warnings["case2"]
