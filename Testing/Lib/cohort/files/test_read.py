from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.files.itk import quiet
from SuggestiveAnnotationLib.cohort.files.rawheader import files_of
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_header, read_labels, read_volume
from SuggestiveAnnotationLib.errors import InputError

Write = Callable[..., Path]
FORMATS = ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd"]


def patch(path: Path, offset: int, code: str, *values: float) -> Path:
    """Overwrites bytes of an uncompressed file."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + code, data, offset, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compress", [False, True])
def test_every_format_gives_the_same_array_and_grid(write_image: Write, name: str, compress: bool) -> None:
    array = np.arange(210, dtype=np.int16).reshape(5, 6, 7)
    path = write_image(name, array, spacing=(1, 2, 3), origin=(-4, 5, 6), compress=compress)
    volume = read_volume(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.size == (7, 6, 5)
    assert volume.geometry.spacing == (1, 2, 3)
    assert volume.geometry.origin_lps == (-4, 5, 6)
    assert volume.geometry.direction_lps == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert read_geometry(path) == volume.geometry


def test_names_in_capitals_are_read(write_image: Write) -> None:
    path = write_image("a.nii.gz")
    assert read_volume(path.rename(path.with_name("A.NII.GZ"))).array.shape == (5, 6, 7)


@pytest.mark.parametrize("suffix", [".NII.gz", ".nii.GZ", ".Nii", ".MHA", ".Mhd"])
def test_a_suffix_whose_capitals_cannot_be_read_is_to_be_renamed_and_nothing_is_printed(
    write_image: Write, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_image(f"a{suffix.lower()}")
    renamed = path.rename(path.with_name(f"A.v2{suffix}"))
    with pytest.raises(InputError, match=f"ends in {suffix} with capitals") as error:
        read_geometry(renamed)
    assert error.value.hint == f"Rename it to A.v2{suffix.lower()}."
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("compress", [False, True])
def test_a_truncated_file_is_refused_and_nothing_is_printed(
    write_image: Write, name: str, share: float, compress: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_image(name, np.random.default_rng(0).normal(size=(20, 30, 40)), compress=compress)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=f"{name} is truncated or damaged") as error:
        read_volume(path)
    assert error.value.hint
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha"])
def test_missing_voxels_show_in_the_header_check_already(write_image: Write, name: str) -> None:
    path = write_image(name)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="truncated"):
        read_geometry(path)


def test_one_wrong_byte_inside_a_gzip_file_is_noticed(write_image: Write) -> None:
    path = write_image("a.nii.gz", np.random.default_rng(0).normal(size=(20, 30, 40)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_volume(path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"no image at all", np.random.default_rng(0).bytes(2000)], ids=["empty", "text", "noise"])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as error:
        read_volume(tmp_path / name)
    assert error.value.hint
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr"])
def test_a_header_without_its_voxel_file_is_refused(write_image: Write, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_image(name)
    for raw in path.parent.glob("a.raw*"):
        raw.unlink()
    with pytest.raises(InputError, match="keeps its voxels in"):
        read_geometry(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compress", [False, True])
def test_the_files_of_an_image_are_those_that_hold_it(write_image: Write, name: str, compress: bool) -> None:
    path = write_image(name, compress=compress)
    assert {*files_of(path)} == {*path.parent.iterdir()}
    assert files_of(path)[0] == path


@pytest.mark.parametrize("voxels", ["/dev/zero", "../b.raw", "C:\\b.raw", "LIST", "a.mhd", "pipe", "", "b%03d.raw"])
def test_what_is_no_file_of_voxels_is_none_of_an_image(tmp_path: Path, voxels: str) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    for name, field in (("a.mhd", "ElementDataFile = "), ("a.nhdr", "NRRD0004\ndata file: ")):
        (tmp_path / name).write_text(f"{field}{voxels}\n", encoding="utf-8")
        assert all(not file.exists() or file.is_file() for file in files_of(tmp_path / name))
        assert all(file.parent == tmp_path for file in files_of(tmp_path / name))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_a_pipe_is_the_only_file_of_its_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert files_of(tmp_path / "pipe") == (tmp_path / "pipe",)
    (tmp_path / "pipe").rename(tmp_path / "pipe.mhd")
    assert files_of(tmp_path / "pipe.mhd") == (tmp_path / "pipe.mhd",)


@pytest.mark.parametrize(
    ("name", "says"), [("none.nii", "does not exist"), ("a.png", "format that cannot be read"), (".", "is a folder, not a file")]
)
def test_paths_that_cannot_be_images_are_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=says):
        read_geometry(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_a_trailing_fourth_dimension_of_one_is_dropped(write_image: Write, name: str) -> None:
    assert read_volume(write_image(name, np.random.default_rng(0).normal(size=(1, 5, 6, 7)))).array.shape == (5, 6, 7)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_a_fourth_dimension_is_refused(write_image: Write, name: str) -> None:
    with pytest.raises(InputError, match=r"4 dimensions \(7 x 6 x 5 x 2\)"):
        read_geometry(write_image(name, np.zeros((2, 5, 6, 7), np.float32)))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_several_values_per_voxel_are_refused(write_image: Write, name: str) -> None:
    with pytest.raises(InputError, match="3 values per voxel"):
        read_geometry(write_image(name, np.zeros((5, 6, 7, 3), np.float32), vector=True))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_refused_and_counted(write_image: Write, name: str, kind: type, value: float) -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(kind)
    array[0, 0, 0] = array[1, 2, 3] = value
    with pytest.raises(InputError, match="2 voxels that are not a number or infinite"):
        read_volume(write_image(name, array))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_infinities_of_both_signs_do_not_cancel(write_image: Write, name: str) -> None:
    array = np.zeros((5, 6, 7), np.float32)
    array[0, 0, :2] = np.inf, -np.inf
    with pytest.raises(InputError, match="2 voxels"):
        read_volume(write_image(name, array))


def test_double_precision_beyond_single_precision_is_refused(write_image: Write) -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 7))
    array[0, 0, 0] = 1e300
    with pytest.raises(InputError, match="1 voxel that is not a number or infinite"):
        read_volume(write_image("a.nii.gz", array))


def test_a_constant_image_is_refused(write_image: Write) -> None:
    with pytest.raises(InputError, match="every voxel is 7"):
        read_volume(write_image("a.nii.gz", np.full((5, 6, 7), 7, np.int16)))


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_spacing_in_a_nifti_header_is_refused_although_itk_mends_it(
    write_image: Write, spacing: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = patch(write_image("a.nii"), 80, "f", spacing)
    with pytest.raises(InputError, match="impossible voxel spacing"):
        read_geometry(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.mha", b"ElementSpacing = 1 2 3", b"ElementSpacing = 0 2 3"),
        ("a.mha", b"ElementSpacing = 1 2 3", b"ElementSpacing = -1 2 3"),
        ("a.mha", b"ElementSpacing = 1 2 3", b"ElementSpacing = nan 2 3"),
        ("a.nrrd", b"(1,0,0)", b"(0,0,0)"),
    ],
)
def test_an_impossible_spacing_in_other_headers_is_refused(write_image: Write, name: str, before: bytes, after: bytes) -> None:
    path = write_image(name)
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(InputError, match="impossible voxel spacing"):
        read_geometry(path)


def shear(path: Path, cosine: float) -> Path:
    """Tilts the second voxel axis in the sform and leaves no qform to fall back on."""
    patch(path, 280 + 4, "f", 2 * cosine)
    return patch(path, 252, "h", 0)


@pytest.mark.parametrize(
    ("name", "header", "lacking"),
    [
        ("a.nrrd", "spacings: 1 1 1\n", "no anatomical space with directions"),
        ("a.nrrd", "space dimension: 3\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n", "no anatomical space with directions"),
        ("a.nrrd", "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n", ""),
        ("a.nrrd", "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n", ""),
        ("a.mha", "", "no TransformMatrix"),
        ("a.mha", "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", ""),
    ],
)
def test_a_header_that_does_not_say_how_the_volume_lies_is_noted(tmp_path: Path, name: str, header: str, lacking: str) -> None:
    nrrd = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nencoding: raw\nendian: little\n{header}\n"
    meta = f"NDims = 3\nDimSize = 7 6 5\n{header}ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path = tmp_path / name
    path.write_bytes((nrrd if name.endswith("nrrd") else meta).encode() + np.arange(210, dtype="<i2").tobytes())
    how = f"{path} does not say how it lies in the patient ({lacking}): left and right may be swapped."
    how += " Compare it with the scanner's images."
    assert read_volume(path).notes == read_header(path)[1] == ((how,) if lacking else ())


@pytest.mark.parametrize("cosine", [1e-6, 1e-4, 1e-3, 8e-3])
def test_nearly_orthonormal_axes_are_accepted(write_image: Write, cosine: float, capfd: pytest.CaptureFixture[str]) -> None:
    geometry = read_volume(shear(write_image("a.nii"), cosine)).geometry
    matrix = np.reshape(geometry.direction_lps, (3, 3))
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cosine", [0.03, 0.3])
def test_sheared_axes_are_refused(write_image: Write, cosine: float) -> None:
    with pytest.raises(InputError, match="not at right angles"):
        read_geometry(shear(write_image("a.nii"), cosine))


def test_sheared_axes_in_metaimage_are_refused(write_image: Write) -> None:
    path = write_image("a.mha")
    path.write_bytes(path.read_bytes().replace(b"TransformMatrix = 1 0 0 0 1 0", b"TransformMatrix = 1 0 0 0.05 1 0"))
    with pytest.raises(InputError, match="not at right angles"):
        read_geometry(path)


def test_absurd_dimensions_are_refused_before_memory_is_asked_for(write_image: Write) -> None:
    nifti = patch(write_image("a.nii"), 40, "4h", 3, 30000, 30000, 30000)
    meta = write_image("a.mha")
    meta.write_bytes(meta.read_bytes().replace(b"DimSize = 7 6 5", b"DimSize = 70000 60000 50000"))
    for path in (nifti, meta):
        with pytest.raises(InputError, match="claims"):
            read_volume(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_flat_image_is_one_axial_slice(write_image: Write, name: str) -> None:
    volume = read_volume(write_image(name, np.random.default_rng(0).normal(size=(6, 7)), spacing=(0.5, 2)))
    assert volume.array.shape == (1, 6, 7)
    assert volume.geometry.size == (7, 6, 1)
    assert volume.geometry.spacing == (0.5, 2, 1)


def test_a_volume_of_one_slice_is_read(write_image: Write) -> None:
    assert read_volume(write_image("a.nii.gz", np.random.default_rng(0).normal(size=(1, 6, 7)))).geometry.size == (7, 6, 1)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_labels_of_every_type_become_whole_numbers(write_image: Write, labels: np.ndarray, kind: type) -> None:
    array, geometry = read_labels(write_image("a.nii.gz", labels.astype(kind)))
    assert array.dtype == np.int32
    np.testing.assert_array_equal(array, labels)
    assert geometry.size == (7, 6, 5)


def test_an_empty_labelmap_is_no_error(write_image: Write) -> None:
    assert not read_labels(write_image("a.nii.gz", np.zeros((5, 6, 7), np.uint8)))[0].any()


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
@pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5"), (1.0001, "1.0001"), (0.9999, "0.9999"), (np.nan, "nan"), (np.inf, "inf")])
def test_labels_that_are_not_whole_numbers_are_refused(write_image: Write, labels: np.ndarray, name: str, value: float, shown: str) -> None:
    wrong = labels.astype(np.float32)
    wrong[0, 0, 0] = value
    with pytest.raises(InputError, match=f"1 voxel with values .*(?i:{shown})"):
        read_labels(write_image(name, wrong))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_labels_that_miss_whole_numbers_by_a_rounding_are_those(write_image: Write, labels: np.ndarray, kind: type) -> None:
    found = (labels * np.float32(1 / 3) * np.float32(3.0000002)).astype(kind)
    found[0, 0, :4] = 0.9999999, -1e-7, 2035.0002, 65534.996
    array, _ = read_labels(write_image("a.nii.gz", found))
    labels[0, 0, :2] = 1, 0
    np.testing.assert_array_equal(array[0, 0, 2:4], [2035, 65535])
    array[0, 0, 2:4] = labels[0, 0, 2:4]
    np.testing.assert_array_equal(array, labels)


def scaled(path: Path, labels: np.ndarray, kind: type) -> Path:
    """Floating-point labels under the header of an integer image: stretched over all values of the type, and scaled back."""
    low, high = (0, 255) if kind is np.uint8 else (np.iinfo(kind).min, np.iinfo(kind).max)
    slope = float(labels.max()) / (high - low)
    stored = np.rint(labels / slope + low).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(stored), str(path))
    return patch(path, 112, "2f", slope, -low * slope)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
@pytest.mark.parametrize("top", [1, 2, 3, 4, 5])
def test_labels_that_a_header_scales_are_rounded(tmp_path: Path, labels: np.ndarray, kind: type, top: int) -> None:
    labels[0, 0, 0] = top
    labels[labels > top] = 0
    array, _ = read_labels(scaled(tmp_path / "a.nii", labels, kind))
    np.testing.assert_array_equal(array, labels)


def test_labels_that_a_header_scales_too_coarsely_are_refused_with_the_cause(tmp_path: Path, labels: np.ndarray) -> None:
    labels[0, 0, 0] = 100
    with pytest.raises(InputError, match=r"not whole numbers \(1\.17.*scales them .scl_slope 0\.39.*header of their own"):
        read_labels(scaled(tmp_path / "a.nii", labels, np.uint8))
    path = tmp_path / "b.nii"
    chance = np.random.default_rng(0).integers(0, 255, labels.shape).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(chance), str(path))
    with pytest.raises(InputError, match="not whole numbers"):
        read_labels(patch(path, 112, "2f", 1 / 255, 0.0))


def test_labels_beyond_32_bits_are_refused(write_image: Write) -> None:
    with pytest.raises(InputError, match="no labelmap"):
        read_labels(write_image("a.nrrd", np.full((5, 6, 7), 2**40, np.int64)))


def test_quiet_puts_the_switch_back_also_when_nested() -> None:
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    with quiet():
        with quiet():
            pass
        assert not sitk.ProcessObject.GetGlobalWarningDisplay()
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == before
