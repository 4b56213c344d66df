"""Voxels and grids of DICOM series, against the arrays that were written and against ITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pydicom.uid
import pytest
import SimpleITK as sitk
from dicom_files import ramp, rotation, write_multiframe, write_series

from SuggestiveAnnotationLib.cohort.dicom import volume as volume_module
from SuggestiveAnnotationLib.cohort.dicom.volume import read_series
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.geometry import Geometry

SHAPE = (7, 9, 12)
OBLIQUE = rotation(20, -35, 50)
SPACING = (3.3, 0.9, 0.7)
ORIGIN = (-41.25, 17.5, 102.75)


def names(files: list[Path]) -> list[str]:
    return [str(file) for file in files]


def expected(shape: tuple[int, int, int] = SHAPE, direction: np.ndarray = OBLIQUE) -> Geometry:
    return Geometry(shape[::-1], SPACING[::-1], ORIGIN, tuple(direction.ravel()))


def by_itk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return reader.Execute()


def test_an_oblique_anisotropic_series_is_read_as_it_was_written_and_as_itk_reads_it(tmp_path: Path) -> None:
    array = ramp(SHAPE, low=-200)
    files = write_series(tmp_path / "s", array=array, spacing=SPACING, origin=ORIGIN, direction=OBLIQUE)
    assert [f.name for f in files] != sorted(f.name for f in files)
    volume, instances = read_series(sorted(names(files)))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.same_grid(expected(), tolerance=1e-6)
    other = by_itk(tmp_path / "s")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(other), array)
    itk = Geometry(other.GetSize(), other.GetSpacing(), other.GetOrigin(), other.GetDirection())
    assert volume.geometry.same_grid(itk, tolerance=1e-5)
    np.testing.assert_allclose(volume.geometry.spacing, itk.spacing, atol=1e-6)
    np.testing.assert_allclose(volume.geometry.direction_lps, itk.direction_lps, atol=1e-6)
    assert [one.file for one in instances] == names(files)
    assert [one.sop_instance_uid for one in instances] == [pydicom.dcmread(f).SOPInstanceUID for f in files]
    assert {one.frame for one in instances} == {None}


@pytest.mark.parametrize("direction", [np.diag([1.0, 1, 1]), np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]]), rotation(0, 90, 10)])
def test_axial_sagittal_and_turned_stacks_agree_with_itk(tmp_path: Path, direction: np.ndarray) -> None:
    array = ramp(SHAPE)
    files = write_series(tmp_path / "s", array=array, spacing=SPACING, origin=ORIGIN, direction=direction)
    volume, _ = read_series(names(files))
    itk = by_itk(tmp_path / "s")
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(itk))
    assert volume.geometry.same_grid(Geometry(itk.GetSize(), itk.GetSpacing(), itk.GetOrigin(), itk.GetDirection()), tolerance=1e-5)


def test_slices_written_against_the_normal_are_sorted_along_it(tmp_path: Path) -> None:
    array = ramp(SHAPE)
    down = np.diag([1.0, 1.0, -1.0])
    files = write_series(tmp_path / "s", array=array, spacing=SPACING, origin=ORIGIN, direction=down)
    volume, instances = read_series(names(files))
    np.testing.assert_array_equal(volume.array, array[::-1])
    assert [one.file for one in instances] == names(files)[::-1]
    assert volume.geometry.origin_lps == pytest.approx((ORIGIN[0], ORIGIN[1], ORIGIN[2] - 6 * SPACING[0]))
    assert volume.geometry.direction_lps == pytest.approx(tuple(np.eye(3).ravel()))


@pytest.mark.parametrize(
    "syntax",
    [
        pydicom.uid.ImplicitVRLittleEndian,
        pydicom.uid.ExplicitVRBigEndian,
        pydicom.uid.DeflatedExplicitVRLittleEndian,
        pydicom.uid.RLELossless,
        pydicom.uid.JPEGLSLossless,
        pydicom.uid.JPEG2000Lossless,
    ],
)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_every_transfer_syntax_gives_the_same_voxels(tmp_path: Path, syntax: pydicom.uid.UID, dtype: type) -> None:
    array = ramp((3, 33, 34), low=-500 if dtype == np.int16 else 0, dtype=dtype)
    if syntax == pydicom.uid.ExplicitVRBigEndian:
        files = write_series(tmp_path, array=array)
        for file in files:
            big = pydicom.dcmread(file)
            big.PixelData = big.pixel_array.astype(big.pixel_array.dtype.newbyteorder(">")).tobytes()
            big.file_meta.TransferSyntaxUID = syntax
            pydicom.dcmwrite(file, big, implicit_vr=False, little_endian=False, enforce_file_format=True)
    else:
        files = write_series(tmp_path, array=array, transfer_syntax=syntax)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_series(names(files))[0].array, array)


@pytest.mark.parametrize(("compressor", "name"), [("JPEG", "JPEG Lossless"), ("JPEG2000", "JPEG 2000")])
def test_files_that_gdcm_compressed_are_read(tmp_path: Path, compressor: str, name: str) -> None:
    array = ramp((4, 40, 36), dtype=np.uint16)
    plain = write_series(tmp_path / "plain", array=array)
    (tmp_path / "packed").mkdir()
    for k, file in enumerate(plain):
        writer = sitk.ImageFileWriter()
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.SetKeepOriginalImageUID(True)
        writer.SetFileName(str(tmp_path / "packed" / f"{k}.dcm"))
        writer.Execute(sitk.ReadImage(str(file)))
    files = sorted(names([*(tmp_path / "packed").iterdir()]))
    assert name in pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID.name
    np.testing.assert_array_equal(read_series(files)[0].array, array)


def test_lossy_jpeg_ls_stays_within_what_it_promises(tmp_path: Path) -> None:
    array = ramp((2, 33, 34), dtype=np.uint16)
    files = write_series(tmp_path, array=array)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.compress(pydicom.uid.JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
        dataset.save_as(file)
    read = read_series(names(files))[0].array.astype(int)
    assert 0 < np.abs(read - array).max() <= 2


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import base

    files = write_series(tmp_path, array=ramp((2, 33, 34)), transfer_syntax=pydicom.uid.JPEG2000Lossless)
    decoder = base.get_decoder(pydicom.uid.JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg>=2.0", "pylibjpeg-openjpeg>=2.0")})
    with pytest.raises(InputError, match=r"JPEG 2000.*no decoder.*pylibjpeg-openjpeg"):
        read_series(names(files))


def test_a_video_is_refused_by_name(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ramp((2, 8, 8)))
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
        dataset.PixelData = pydicom.encaps.encapsulate([bytes(dataset.PixelData)])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(file)
    with pytest.raises(InputError, match=r"MPEG2.*cannot be read"):
        read_series(names(files))


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_multi_frame_image_is_sorted_and_names_its_frames(tmp_path: Path, modality: str) -> None:
    array = ramp(SHAPE)
    order = [3, 0, 6, 1, 5, 2, 4]
    file = write_multiframe(tmp_path / "e", array=array, spacing=SPACING, origin=ORIGIN, direction=OBLIQUE, order=order, modality=modality)
    volume, instances = read_series([str(file)])
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.same_grid(expected(), tolerance=1e-6)
    assert [one.frame for one in instances] == [order.index(k) + 1 for k in range(7)]
    assert len({one.sop_instance_uid for one in instances}) == 1
    itk = sitk.ReadImage(str(write_multiframe(tmp_path / "s", array=array, spacing=SPACING, origin=ORIGIN, direction=OBLIQUE)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), volume.array)


@pytest.mark.parametrize("syntax", [pydicom.uid.RLELossless, pydicom.uid.JPEGLSLossless, pydicom.uid.JPEG2000Lossless])
def test_compressed_multi_frame_images_are_read(tmp_path: Path, syntax: str) -> None:
    array = ramp((4, 33, 34))
    file = write_multiframe(tmp_path / "e", array=array, transfer_syntax=syntax, order=[2, 0, 3, 1])
    np.testing.assert_array_equal(read_series([str(file)])[0].array, array)


def test_every_frame_has_its_own_rescale(tmp_path: Path) -> None:
    array = ramp((3, 6, 5))
    file = write_multiframe(tmp_path / "e", array=array, slopes=[1, 2, 0.5], intercepts=[0, -10, 3])
    volume, _ = read_series([str(file)])
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, np.stack([array[0], array[1] * 2.0 - 10, array[2] * 0.5 + 3]).astype(np.float32))


def test_ct_numbers_stay_whole_numbers(tmp_path: Path) -> None:
    array = ramp(SHAPE, high=4000, dtype=np.uint16)
    files = write_series(tmp_path, array=array, modality="CT", intercept=-1024)
    volume, _ = read_series(names(files))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, array.astype(int) - 1024)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(by_itk(tmp_path)))


@pytest.mark.parametrize(
    ("high", "slope", "intercept", "dtype"),
    [(60000, 1, 0, np.uint16), (60000, 1, -10, np.float32), (60000, 2, 0, np.float32), (100, 300, 0, np.int16), (100, 0.1, 0, np.float32)],
)
def test_the_smallest_exact_type_is_taken(tmp_path: Path, high: int, slope: float, intercept: float, dtype: type) -> None:
    array = np.full((2, 4, 4), 1, np.uint16)
    array[0, 0, 0] = high
    volume, _ = read_series(names(write_series(tmp_path, array=array, modality="CT", slope=slope, intercept=intercept)))
    assert volume.array.dtype == dtype
    np.testing.assert_allclose(volume.array, array * np.float64(slope) + intercept, rtol=1e-7)


@pytest.mark.parametrize(("dtype", "bits", "total"), [(np.uint16, 12, 4095), (np.int16, 16, -1), (np.uint8, 8, 255)])
def test_an_image_shown_inverted_is_turned_round(tmp_path: Path, dtype: type, bits: int, total: int) -> None:
    array = ramp((3, 6, 5), high=200, dtype=dtype)
    files = write_series(tmp_path, array=array, photometric="MONOCHROME1", bits_stored=bits)
    np.testing.assert_array_equal(read_series(names(files))[0].array, total - array.astype(int))


def test_bits_beyond_those_stored_are_not_voxels(tmp_path: Path) -> None:
    """Old scanners kept overlays in the unused bits (PS3.5 section 8.1.1)."""
    array = ramp((3, 6, 5), dtype=np.uint16)
    files = write_series(tmp_path, array=array | np.uint16(0x8000), bits_stored=12)
    np.testing.assert_array_equal(read_series(names(files))[0].array, array)


def test_a_look_up_table_of_the_modality_is_applied(tmp_path: Path) -> None:
    array = np.arange(2 * 4 * 4, dtype=np.uint16).reshape(2, 4, 4)
    files = write_series(tmp_path, array=array)
    for file in files:
        dataset = pydicom.dcmread(file)
        table = pydicom.Dataset()
        table.LUTDescriptor, table.ModalityLUTType = [32, 0, 16], "US"
        table.LUTData = [1000 - 3 * n for n in range(32)]
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        dataset.ModalityLUTSequence = [table]
        dataset.save_as(file)
    np.testing.assert_array_equal(read_series(names(files))[0].array, 1000 - 3 * array.astype(int))


def test_colour_is_refused(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ramp((2, 6, 5), dtype=np.uint8), extra={"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3})
    with pytest.raises(InputError, match="colour image"):
        read_series(names(files))


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.RLELossless, pydicom.uid.JPEG2000Lossless])
def test_truncated_pixel_data_are_named_with_their_file(tmp_path: Path, syntax: str) -> None:
    files = write_series(tmp_path, array=ramp((3, 33, 34)), transfer_syntax=syntax)
    files[1].write_bytes(files[1].read_bytes()[:-700])
    with pytest.raises(InputError, match="truncated") as caught:
        read_series(names(files))
    assert str(files[1]) in str(caught.value)


def test_a_file_without_voxels_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ramp(SHAPE))
    dataset = pydicom.dcmread(files[2])
    del dataset.PixelData
    dataset.save_as(files[2])
    with pytest.raises(InputError, match="no voxels"):
        read_series(names(files))


def test_an_absurd_size_is_refused_before_memory_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_series(tmp_path, array=ramp(SHAPE), extra={"Rows": 65535, "Columns": 65535})
    monkeypatch.setattr(volume_module, "_decode", lambda *_: pytest.fail("voxels were read"))
    with pytest.raises(InputError, match=r"65535 x 65535 x 7 voxels"):
        read_series(names(files))


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image " * 50)
    with pytest.raises(InputError, match=r"notes\.txt"):
        read_series([str(text)])
    with pytest.raises(InputError, match="at least one file"):
        read_series([])


def test_an_impossible_slope_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ramp(SHAPE), modality="CT", slope=0)
    with pytest.raises(InputError, match="rescale slope"):
        read_series(names(files))


def test_a_data_set_without_preamble_is_read(tmp_path: Path) -> None:
    array = ramp(SHAPE)
    files = write_series(tmp_path, array=array, transfer_syntax=pydicom.uid.ImplicitVRLittleEndian)
    for file in files:
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(file, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert file.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_series(names(files))[0].array, array)
