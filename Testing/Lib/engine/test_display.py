"""The images of a case as a viewer gets them: native grid, small types, and a cache that knows when a file changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.display import load_case
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyError
from SuggestiveAnnotationLib.geometry import Geometry
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]
OBLIQUE = (0, 0, 1, 1, 0, 0, 0, -1, 0)


def of_file(path: str) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(path))


def rewrite(path: str, change: Callable[[np.ndarray], np.ndarray], *, size: tuple[int, int, int] | None = None) -> None:
    """Change the voxels of an image file; `size` cuts it to i, j, k."""
    image = sitk.ReadImage(path)
    if size is not None:
        image = image[: size[0], : size[1], : size[2]]
    new = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    new.CopyInformation(image)
    sitk.WriteImage(new, path)


@pytest.mark.parametrize("direction", [None, OBLIQUE])
def test_every_modality_comes_on_the_native_grid_of_the_reference(make_study: MakeStudy, direction: tuple[float, ...] | None) -> None:
    study = make_study(modalities=("t1", "flair"), direction=direction)
    case = study.case("case0")
    shown = load_case(study, "case0")
    assert shown.geometry == case.geometry
    assert list(shown.modalities) == ["t1", "flair"]
    for modality, path in shown.modalities.items():
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, of_file(case.images[modality]))


def test_a_modality_of_another_grid_is_brought_onto_the_references(make_study: MakeStudy) -> None:
    study = make_study(modalities=("t1", "flair"))
    case = study.case("case0")
    rewrite(case.images["flair"], lambda array: array, size=(10, 24, 8))
    shown = load_case(study, "case0")
    array = np.load(shown.modalities["flair"], allow_pickle=False)
    half = of_file(case.images["flair"])
    assert array.shape == case.geometry.shape
    np.testing.assert_allclose(array[:, :, :10], half, atol=1e-3)
    # Outside its field of view it is as dark as its darkest voxel.
    np.testing.assert_allclose(array[:, :, 11:], half.min())


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.uint8([0, 255]), np.int16),
        (np.int16([-1024, 3071]), np.int16),
        (np.uint16([0, 40000]), np.float32),
        (np.float32([0, 7]), np.int16),
        (np.float32([0, 0.5]), np.float32),
        (np.float64([-1e6, 1]), np.float32),
    ],
)
def test_whole_numbers_that_fit_take_two_bytes_and_all_else_four(make_study: MakeStudy, values: np.ndarray, dtype: type) -> None:
    study = make_study(cases=1)
    path = study.case("case0").images["t1"]
    rewrite(path, lambda array: np.resize(values, array.shape))
    array = np.load(load_case(study, "case0").modalities["t1"], allow_pickle=False)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, of_file(path))


def test_a_case_is_read_once_and_again_when_its_file_changed(make_study: MakeStudy) -> None:
    study = make_study()
    events: list[ProgressEvent] = []
    first = load_case(study, "case0", progress=events.append).modalities["t1"]
    written = first.stat().st_mtime_ns
    assert [(e.done, e.total) for e in events] == [(0, 1), (1, 1)]
    assert load_case(study, "case0", progress=events.append).modalities["t1"].stat().st_mtime_ns == written
    assert len(events) == 2
    path = study.case("case0").images["t1"]
    rewrite(path, lambda array: array + 5)
    # A file system may keep coarse times: the change must show even if the size is the same.
    os.utime(path, ns=(0, 12345))
    np.testing.assert_array_equal(np.load(load_case(study, "case0").modalities["t1"], allow_pickle=False), of_file(path))


def test_a_case_is_read_again_when_the_voxels_beside_its_header_changed(make_study: MakeStudy) -> None:
    study = make_study()
    image = sitk.ReadImage(study.case("case0").images["t1"])
    path = study.path.parent / "t1.mhd"
    sitk.WriteImage(image, str(path))
    case = replace(study.case("case0"), images={"t1": str(path)})
    study = Study.create(study.path.with_name("other"), name="x", cases=[case], schema=study.schema, modalities=("t1",), reference="t1")
    load_case(study, "case0")
    sitk.WriteImage(image + 5, str(path))
    os.utime(path.with_suffix(".raw"), ns=(0, 12345))
    np.testing.assert_array_equal(np.load(load_case(study, "case0").modalities["t1"], allow_pickle=False), of_file(str(path)))


def test_the_cases_looked_at_longest_ago_make_room(make_study: MakeStudy) -> None:
    study = make_study(cases=4)
    files = {}
    for moment, name in enumerate(("case0", "case1", "case0", "case2")):
        files[name] = load_case(study, name, keep=2).modalities["t1"]
        os.utime(files[name].with_name("case.json"), (1000 + moment, 1000 + moment))
    assert {name: path.exists() for name, path in files.items()} == {"case0": True, "case1": False, "case2": True}


def test_a_missing_file_is_named_with_what_to_do(make_study: MakeStudy) -> None:
    study = make_study()
    load_case(study, "case0")
    path = Path(study.case("case0").images["t1"])
    path.unlink()
    with pytest.raises(InputError, match=rf"{path} of case case0 cannot be read.*Put the file back"):
        load_case(study, "case0")


def test_a_reference_image_of_another_grid_is_refused(make_study: MakeStudy) -> None:
    study = make_study()
    path = study.case("case0").images["t1"]
    rewrite(path, lambda array: array, size=(20, 24, 7))
    with pytest.raises(InputError, match=rf"{path} of case case0 lies on another grid"):
        load_case(study, "case0")


def test_a_damaged_file_is_named(make_study: MakeStudy) -> None:
    study = make_study()
    path = Path(study.case("case0").images["t1"])
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match=path.name):
        load_case(study, "case0")


def test_a_case_that_never_could_be_read_is_refused_with_the_reason(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study()
    with study.database.write() as connection:
        connection.exec_driver_sql("UPDATE cases SET geometry = NULL, excluded_reason = 'The file is empty.' WHERE name = 'case1'")
    with pytest.raises(StudyError, match=r"case1 cannot be shown: The file is empty\."):
        load_case(study, "case1")


def test_a_cancelled_load_is_made_whole_by_the_next(make_study: MakeStudy) -> None:
    study = make_study(modalities=("t1", "flair"))
    cancel = CancelToken()

    def stop(event: ProgressEvent) -> None:
        if event.done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        load_case(study, "case0", progress=stop, cancel=cancel)
    shown = load_case(study, "case0")
    assert Geometry.from_json(shown.geometry.to_json()) == shown.geometry
    assert all(path.exists() for path in shown.modalities.values())
