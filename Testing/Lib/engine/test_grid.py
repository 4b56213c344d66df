"""What the network grid allows, and whom it leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cli.main import main
from SuggestiveAnnotationLib.engine.ceiling import CEILING, measure_ceiling
from SuggestiveAnnotationLib.engine.prepare import LARGEST, MARGIN, prepare, side_holding
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema

MakeStudy = Callable[..., Study]
MakeBlocks = Callable[..., Study]


@pytest.fixture
def make_blocks(tmp_path: Path) -> MakeBlocks:
    """`make_blocks((row mm, column mm), ...)` gives a study with a block of 40 x 30 pixels in a case of every spacing; none is prepared."""

    def make(*spacings: tuple[float, float]) -> Study:
        array = np.zeros((8, 48, 40), np.float32)
        array[:, 4:44, 5:35] = np.random.default_rng(0).uniform(50, 100, (8, 40, 30))
        rows = []
        for index, (row_mm, column_mm) in enumerate(spacings):
            image, path = sitk.GetImageFromArray(array), tmp_path / f"{index}.nii.gz"
            image.SetSpacing((column_mm, row_mm, 3.0))
            sitk.WriteImage(image, str(path))
            geometry = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
            rows.append(Case(name=f"case{index}", patient=f"p{index}", role="pool", images={"t1": str(path)}, geometry=geometry))
        schema = LabelSchema(name="one", classes=(LabelClass(1, "it", (230, 159, 0)),))
        return Study.create(tmp_path / "blocks", name="blocks", cases=rows, schema=schema, modalities=("t1",), reference="t1")

    return make


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


@pytest.mark.parametrize(
    ("spacing", "side"),
    # 40.8 mm with the margin: 2.55, 5.1, 3 exactly and 1.275 times 16 pixels.
    [(1.0, 48), (0.5, 96), (0.85, 48), (2.0, 32), (2.5, 32)],
)
def test_a_given_spacing_is_kept_and_the_grid_is_the_smallest_that_holds_the_widest(
    make_blocks: MakeBlocks, spacing: float, side: int
) -> None:
    done = prepare(make_blocks((1.0, 1.0), (0.5, 1.0)), spacing=spacing)
    assert (done.record.spacing, done.record.size, done.warnings) == ((spacing, spacing), (side, side), {})


def test_native_is_the_median_of_the_finer_in_plane_spacings(make_blocks: MakeBlocks) -> None:
    study = make_blocks((0.75, 1.0), (1.5, 0.5), (0.625, 0.625))
    record = prepare(study, spacing="native").record
    assert record.spacing == (0.625, 0.625)
    # The widest is 40 rows of 1.5 mm: 61.2 mm with the margin, 97.92 pixels.
    assert record.size == (112, 112)
    # Again, by the word or by the number, is the same; another is refused, and so is no word of them.
    assert prepare(study, spacing="native").record == prepare(study, spacing=0.625).record == prepare(study).record == record
    with pytest.raises(StudyError, match=r"frozen at a spacing of 0\.625 mm\. Leave --spacing out, or create another study for 1 mm"):
        prepare(study, spacing=1.0)
    with pytest.raises(StudyError, match="frozen at 112 pixels"):
        prepare(study, spacing=0.625, pixels=96)


def test_a_frozen_grid_that_is_not_the_scans_own_refuses_native(make_blocks: MakeBlocks) -> None:
    study = make_blocks((1.0, 1.0))
    assert prepare(study).record.spacing == (0.425, 0.425)
    with pytest.raises(StudyError, match=r"frozen at a spacing of 0\.425 mm.*another study for 1 mm"):
        prepare(study, spacing="native")


def test_pixels_that_are_given_as_well_may_leave_foreground_out_and_say_so(make_blocks: MakeBlocks) -> None:
    done = prepare(make_blocks((1.0, 1.0), (0.75, 1.0)), spacing="native", pixels=32)
    assert (done.record.spacing, done.record.size) == ((0.875, 0.875), (32, 32))
    assert list(done.warnings) == ["case0", "case1"]
    assert done.warnings["case1"].startswith("It is 30 mm wide and the frozen network grid 28 mm: the network neither learns nor finds")


@pytest.mark.parametrize(
    ("spacing", "sentence"),
    [
        (0.0, r"cannot have a spacing of 0\.0 mm\. Give a number above 0, or native"),
        (-1.0, r"spacing of -1\.0 mm"),
        (float("nan"), r"spacing of nan mm"),
        (float("inf"), r"spacing of inf mm"),
        (0.03, r"would have 1360 pixels a side.*Choose a spacing of 0\.044 mm or more, or a number of pixels"),
        (3.0, r"40 mm, would take fewer than 16 pixels.*Choose a spacing of 2\.3 mm or less"),
        ("fine", r"spacing of fine mm\. Give a number above 0, or native"),
    ],
)
def test_a_spacing_that_cannot_be_meant_is_refused_and_freezes_nothing(make_blocks: MakeBlocks, spacing: Any, sentence: str) -> None:
    study = make_blocks((1.0, 1.0))
    with pytest.raises(InputError, match=sentence):
        prepare(study, spacing=spacing)
    assert study.frozen_record() is None
    for advised in (0.044, 2.3):
        assert side_holding(40, advised) <= LARGEST


@given(widest=st.floats(1, 500), spacing=st.floats(0.5, 5))
def test_a_side_is_a_multiple_of_16_that_holds_the_widest_and_one_less_does_not(widest: float, spacing: float) -> None:
    side = side_holding(widest, spacing)
    assert side % 16 == 0
    assert side * spacing >= widest * MARGIN * (1 - 1e-12)
    assert side == 32 or (side - 16) * spacing < widest * MARGIN * (1 + 1e-12)


def test_the_spacing_is_given_on_the_command_line(make_blocks: MakeBlocks, capsys: pytest.CaptureFixture[str]) -> None:
    study = str(make_blocks((0.75, 1.0), (0.75, 0.75)).path)
    for mistake in ("fine", "native mm"):
        with pytest.raises(SystemExit):
            main(["prepare", study, "--spacing", mistake])
        assert f"'{mistake}' is neither a number of millimetres nor native" in capsys.readouterr().err
    assert main(["prepare", study, "--spacing", "0.01", "--quiet"]) == 2
    assert "Choose a spacing" in capsys.readouterr().err
    assert main(["prepare", study, "--spacing", "native", "--quiet", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["record"]
    assert (record["spacing"], record["size"]) == ([0.75, 0.75], [48, 48])
    assert main(["prepare", study, "--spacing", "0.5", "--quiet"]) == 3
