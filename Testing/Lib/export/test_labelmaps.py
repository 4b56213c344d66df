"""Labelmaps of a whole study through the table of formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from exported_study import exported_study, square

from SuggestiveAnnotationLib.engine.export import content_of
from SuggestiveAnnotationLib.errors import ExistsError
from SuggestiveAnnotationLib.export.content import Exported
from SuggestiveAnnotationLib.export.formats import format_named
from SuggestiveAnnotationLib.progress import Stage
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Study:
    return exported_study(make_study, tmp_path)


def write(study: Study, folder: Path, name: str, **options: bool) -> Exported:
    content = content_of(study)
    stage = Stage("export", len(content.cases))
    done = format_named(name).write(folder, content, overwrite=options.get("overwrite", False), stage=stage)
    assert stage.done == stage.total
    return done


@pytest.mark.parametrize("name", ["nii.gz", "nrrd"])
def test_every_case_gets_labels_mask_and_json_on_its_own_grid(study: Study, tmp_path: Path, name: str) -> None:
    done = write(study, tmp_path / "out", name)
    assert [path.name for path in done.files] == [
        f"{case}_{what}" for case in ("case0", "case1") for what in (f"annotation.{name}", f"annotated-mask.{name}", "annotation.json")
    ]
    image, reference = sitk.ReadImage(str(done.files[0])), sitk.ReadImage(study.case("case0").images["t1"])
    assert image.GetSize() == reference.GetSize()
    np.testing.assert_allclose(image.GetDirection(), reference.GetDirection(), atol=1e-6)
    stack = study.frame("case0").stack(sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(stack[2], square(study, width=8))
    np.testing.assert_array_equal(stack[5], square(study, width=3, value=2))
    assert (np.delete(stack, [2, 5], axis=0) == 255).all()
    mask = study.frame("case0").stack(sitk.GetArrayFromImage(sitk.ReadImage(str(done.files[1]))))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [2, 5]
    entries = json.loads(done.files[2].read_text(encoding="utf-8"))["annotations"]
    assert [(e["slice"], e["provenance"], e["model"]) for e in entries] == [
        (3, "corrected", study.models("imported")[0].id), (6, "from scratch", None), (6, "from scratch", None),
    ]  # fmt: skip
    assert done.left_out == ("1 annotation is left out because somebody accepted the same slice later.",)


def test_a_file_of_the_last_case_keeps_every_case_from_being_written(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "case1_annotation.json").write_text("mine")
    with pytest.raises(ExistsError, match=r"already has case1_annotation\.json"):
        write(study, out, "nrrd")
    assert [path.name for path in out.iterdir()] == ["case1_annotation.json"]
    assert (out / "case1_annotation.json").read_text(encoding="utf-8") == "mine"
    assert len(write(study, out, "nrrd", overwrite=True).files) == 6
    assert (out / "case1_annotation.json").read_text(encoding="utf-8") != "mine"
