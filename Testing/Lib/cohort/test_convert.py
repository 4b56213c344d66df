"""Sources of a plan made into volumes: once, whole, and again only when their files changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.checks import examine_case
from SuggestiveAnnotationLib.cohort.convert import convert
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_labels, read_volume
from SuggestiveAnnotationLib.cohort.labels.merge import apply_merge, schema_of_values
from SuggestiveAnnotationLib.cohort.origin import Instance, Origin, Source
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import Cancelled, InputError
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Case, LabelClass, LabelSchema

SCHEMA = LabelSchema("lobes", (LabelClass(1, "left", (255, 0, 0)), LabelClass(2, "right", (0, 0, 255))))
TURN = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def four(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A volume with two channels on a turned, anisotropic grid."""
    array = np.random.default_rng(0).normal(100, 20, (2, 4, 5, 6)).astype(np.float32)
    image = sitk.JoinSeries([sitk.GetImageFromArray(channel) for channel in array])
    image.SetSpacing((0.5, 0.75, 3.0, 1.0))
    image.SetOrigin((1.0, 2.0, 3.0, 0.0))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(TURN, (3, 3))
    image.SetDirection(matrix.ravel().tolist())
    path = tmp_path / "case.nii.gz"
    sitk.WriteImage(image, str(path))
    return path, array


def plan_of(path: Path) -> tuple[Case, dict[str, Source]]:
    sources = {f"{path}#{n}": Source("channel", (str(path),), n) for n in range(2)}
    return Case("a b/c", "a", "pool", {"T1": f"{path}#0", "FLAIR": f"{path}#1"}), sources


def test_channels_become_volumes_of_their_own_on_the_same_grid(four: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, array = four
    case, sources = plan_of(path)
    (made,) = convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    for channel, modality in enumerate(("T1", "FLAIR")):
        volume = read_volume(made.images[modality])
        np.testing.assert_array_equal(volume.array, array[channel])
        assert volume.geometry.spacing == pytest.approx((0.5, 0.75, 3.0))
        assert volume.geometry.direction_lps == pytest.approx(TURN)
        assert Path(made.images[modality]).is_relative_to(tmp_path / "out")
        origin = Origin.of(made.images[modality])
        assert origin is not None
        assert origin.source == sources[case.images[modality]]


def test_what_is_there_from_the_same_files_is_kept_and_made_again_when_they_changed(four: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = four
    case, sources = plan_of(path)
    (made,) = convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    target = Path(made.images["T1"])
    before = target.stat().st_mtime_ns
    convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    assert target.stat().st_mtime_ns == before
    os.utime(path, ns=(1, 1))
    convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    assert target.stat().st_mtime_ns > before
    target.unlink()
    convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    assert target.is_file()


def test_a_case_whose_source_cannot_be_read_is_excluded_and_the_others_are_made(four: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = four
    case, sources = plan_of(path)
    gone = tmp_path / "gone.nii.gz"
    broken = Case("broken", "broken", "pool", {"T1": f"{gone}#0"})
    left_alone = Case("out", "out", "excluded", {"T1": f"{gone}#0"}, excluded_reason="Left out.")
    sources[f"{gone}#0"] = Source("channel", (str(gone),), 0)
    cases = convert([broken, case, left_alone], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    assert [c.role for c in cases] == ["excluded", "pool", "excluded"]
    assert cases[0].excluded_reason.startswith(f"{gone} cannot be read: No such file or directory.")
    assert cases[2] is left_alone


def test_cancelled_between_two_volumes_it_resumes(four: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = four
    case, sources = plan_of(path)

    class AfterOne(CancelToken):
        def raise_if_cancelled(self) -> None:
            if list((tmp_path / "out").rglob("*.nrrd")):
                self.cancel()
            super().raise_if_cancelled()

    with pytest.raises(Cancelled):
        convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA, cancel=AfterOne())
    assert len(list((tmp_path / "out").rglob("*.nrrd"))) == 1
    (made,) = convert([case], sources, tmp_path / "out", reference="T1", schema=SCHEMA)
    assert all(Path(p).is_file() for p in made.images.values())


def segmentation(path: Path, array: np.ndarray, like: sitk.Image, *, first: tuple[int, int, int], names: tuple[str, ...]) -> None:
    """A cropped `.seg.nrrd`: `array` `(k, j, i)` begins at voxel `first` (i, j, k) of `like`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(like.GetSpacing())
    image.SetDirection(like.GetDirection())
    image.SetOrigin(like.TransformIndexToPhysicalPoint(first))
    for n, name in enumerate(names):
        for key, value in (("Name", name), ("LabelValue", n + 1), ("Layer", 0), ("Color", "1 0 0"), ("ID", f"s{n}")):
            image.SetMetaData(f"Segment{n}_{key}", str(value))
    sitk.WriteImage(image, str(path), useCompression=True)


def test_a_cropped_segmentation_lands_on_the_image_with_values_by_name(write_image: Callable[..., Path], tmp_path: Path) -> None:
    path = write_image("a_t1.nii.gz")
    like = sitk.ReadImage(str(path))
    drawn = np.zeros((2, 3, 2), np.uint8)
    drawn[0, 1, 1], drawn[1, 2, 0] = 1, 2
    seg = tmp_path / "a.seg.nrrd"
    segmentation(seg, drawn, like, first=(2, 1, 3), names=("Right", "left"))
    case = Case("a", "a", "pool", {"T1": str(path)}, label=str(seg))
    (made,) = convert([case], {str(seg): Source("segmentation", (str(seg),))}, tmp_path / "out", reference="T1", schema=SCHEMA)
    labels, geometry = read_labels(made.label or "")
    expected = np.zeros((5, 6, 7), int)
    expected[3, 2, 3], expected[4, 3, 2] = 2, 1
    np.testing.assert_array_equal(labels, expected)
    assert geometry.same_grid(read_geometry(path))
    assert made.images == case.images


def test_an_origin_survives_its_file_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    image = tmp_path / "T1.nrrd"
    origin = Origin(Source("dicom series", ("/a/1", "/a/2")), [[1, 2], [3, 4]], (Instance("/a/1", "1.2.3"), Instance("/a/2", "1.2.4", 7)))
    origin.save(image)
    assert Origin.of(image) == origin
    beside = tmp_path / "T1.nrrd.origin.json"
    kept = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps({name: value for name, value in kept.items() if name != "by_name"}), encoding="utf-8")
    assert Origin.of(image) == origin
    for text in ("", "[]", "{}", json.dumps({"source": {"kind": "pickle", "files": []}, "stamps": [], "instances": []})):
        beside.write_text(text, encoding="utf-8")
        assert Origin.of(image) is None


def test_voxels_beside_their_header_are_stamped_too(write_image: Callable[..., Path]) -> None:
    header, alone = write_image("a.mhd"), write_image("b.nii")
    source = Source("channel", (str(header), str(alone)))
    assert len(source.stamps()) == 3
    before = source.stamps()
    os.utime(header.with_suffix(".raw"), ns=(1, 1))
    assert source.stamps() != before
    header.with_suffix(".raw").unlink()
    with pytest.raises(InputError, match=r"a\.raw cannot be read"):
        source.stamps()


def test_a_plan_from_a_stranger_with_an_unknown_kind_of_source_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of source 'url'"):
        Source.from_json({"kind": "url", "files": ["http://example.org"]})
    with pytest.raises(InputError, match="cannot be read"):
        Source("channel", ("/nowhere/x.nii.gz",)).stamps()


def test_segments_with_names_are_not_merged_a_second_time(write_image: Callable[..., Path], tmp_path: Path) -> None:
    """By their names they have the schema's values already; `merge` is about values that stand in files."""
    merging = LabelSchema("m", (LabelClass(1, "left", (1, 2, 3)), LabelClass(2, "right", (4, 5, 6))), merge={1: 1, 2: 1, 3: 2})
    path = write_image("a_t1.nii.gz")
    seg, plain = tmp_path / "a.seg.nrrd", write_image("a_label.nii.gz", np.full((5, 6, 7), 2, np.uint8))
    segmentation(seg, np.array([[[1, 2]]], np.uint8), sitk.ReadImage(str(path)), first=(2, 1, 3), names=("Right", "left"))
    case = Case("a", "a", "pool", {"T1": str(path)}, label=str(seg))
    (made,) = convert([case], {str(seg): Source("segmentation", (str(seg),))}, tmp_path / "out", reference="T1", schema=merging)
    assert made.label is not None
    assert schema_of_values(str(plain), merging) == merging
    merged = apply_merge(read_labels(made.label)[0], schema_of_values(made.label, merging))
    assert (merged[3, 1, 2], merged[3, 1, 3]) == (2, 1)
    assert examine_case(made, merging, ("T1",)).problems == ()
    study = Study.create(tmp_path / "study", name="s", cases=[made], schema=merging, modalities=("T1",), reference="T1")
    prepare(study, plane="axial", pixels=32)
    assert {int(v) for v in np.unique(study.reference_labels("a"))} == {0, 1, 2}
    study.close()
