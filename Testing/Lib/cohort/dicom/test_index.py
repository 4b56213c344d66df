"""DICOM files are found by their content, whatever their names, and put together into series and stacks."""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import PATIENT_NAME, ramp, rotation, uid, write_dicomdir, write_multiframe, write_series
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from SuggestiveAnnotationLib.cohort.dicom import index as indexing
from SuggestiveAnnotationLib.cohort.dicom.folder import MAX_DEPTH
from SuggestiveAnnotationLib.cohort.dicom.headers import read_header
from SuggestiveAnnotationLib.cohort.dicom.index import find_series, index_dicom, is_dicom_folder
from SuggestiveAnnotationLib.cohort.dicom.volume import read_series
from SuggestiveAnnotationLib.errors import Cancelled, InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent

ARRAY = ramp((8, 6, 5))
SAGITTAL = np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]])


def test_series_of_several_people_and_studies_are_told_apart(tmp_path: Path) -> None:
    for person in ("A1", "B2"):
        for description in ("t1", "flair"):
            write_series(tmp_path / person, array=ARRAY, patient_id=person, description=description, prefix=description)
    found = find_series(tmp_path)
    assert [(s.person.patient_id, s.description, len(s.files), s.modality) for s in found] == [
        (person, description, 8, "MR") for person in ("A1", "B2") for description in sorted(("t1", "flair"), key=lambda d: order(d, person))
    ]
    assert all(Path(file).is_absolute() for s in found for file in s.files)
    assert {s.stack.problems for s in found} == {()}


def order(description: str, person: str) -> str:
    """Series without numbers of their own are in the order of their UIDs."""
    return uid(person, uid(person, "study"), description, "MR")


def test_files_of_other_formats_objects_without_pixels_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", array=ARRAY)
    (tmp_path / "s" / "read me.txt").write_text("text " * 100)
    (tmp_path / "s" / "zeros").write_bytes(bytes(1000))
    (tmp_path / "s" / "empty.dcm").touch()
    (tmp_path / "s" / "almost").write_bytes(b"\x08\x00\x05\x00CS" + b"\xff" * 300)
    shutil.copy(files[0], tmp_path / "s" / "._IM1")
    shutil.copytree(tmp_path / "s", tmp_path / ".trash")
    shutil.copytree(tmp_path / "s", tmp_path / "__MACOSX")
    report = pydicom.dcmread(files[0])
    for keyword in ("PixelData", "Rows", "Columns"):
        del report[keyword]
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    report.SOPInstanceUID, report.SeriesInstanceUID = uid("report"), uid("reports")
    report.save_as(tmp_path / "s" / "report.dcm")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "s" / "pipe")
    index = index_dicom(tmp_path)
    assert ([len(s.files) for s in index.series], index.unreadable, index.copies) == ([8], (), 0)


def test_damaged_files_are_counted_and_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ARRAY, drop=(7,))
    broken = tmp_path / "broken"
    broken.write_bytes(files[0].read_bytes()[:160])
    garbage = tmp_path / "garbage"
    garbage.write_bytes(bytes(128) + b"DICM" + b"\xfe\xff\x00\xe0" * 50)
    index = index_dicom(tmp_path)
    assert [len(s.files) for s in index.series] == [7]
    assert set(index.unreadable) == {str(broken), str(garbage)}


def test_named_files_that_are_gone_are_counted(tmp_path: Path) -> None:
    files = [str(file) for file in write_series(tmp_path, array=ARRAY)]
    index = index_dicom(None, files=[*files, str(tmp_path / "gone")])
    assert ([s.files for s in index.series], index.unreadable) == ([tuple(sorted(files))], (str(tmp_path / "gone"),))


def test_copies_of_an_image_count_once_but_equal_uids_at_other_places_are_no_copies(tmp_path: Path) -> None:
    write_series(tmp_path / "s", array=ARRAY)
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    index = index_dicom(tmp_path)
    assert ([len(s.frames) for s in index.series], index.copies) == ([8], 8)
    write_series(tmp_path / "same", array=ARRAY, extra={"SOPInstanceUID": uid("all the same")}, patient_id="other")
    assert [len(s.frames) for s in find_series(tmp_path / "same")] == [8]


def test_headers_are_read_again_only_where_a_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_series(tmp_path, array=ARRAY, description="t1")
    before = index_dicom(tmp_path)
    read: list[str] = []
    monkeypatch.setattr(indexing, "read_header", lambda path, *, bare: read.append(path) or read_header(path, bare=bare))
    assert (index_dicom(tmp_path), read) == (before, [])
    changed = pydicom.dcmread(files[0])
    changed.SeriesDescription, changed.SeriesInstanceUID = "another name", uid("other")
    changed.save_as(files[0])
    files[1].unlink()
    assert {(s.description, len(s.files)) for s in find_series(tmp_path)} == {("another name", 1), ("t1", 6)}
    assert read == [str(files[0])]


def test_a_dicomdir_lists_its_files(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", array=ARRAY)
    directory = write_dicomdir(tmp_path / "disc", files)
    for found in (find_series(tmp_path / "disc"), find_series(directory), find_series(None, files=[str(directory)])):
        assert [(len(s.files), s.stack.problems) for s in found] == [(8, ())]
        volume, _ = read_series(found[0].files)
        np.testing.assert_array_equal(volume.array, ARRAY)
    assert is_dicom_folder(tmp_path / "disc")


def test_a_dicomdir_with_names_in_small_letters_and_a_lost_file(tmp_path: Path) -> None:
    directory = write_dicomdir(tmp_path / "disc", write_series(tmp_path / "s", array=ARRAY))
    for path in sorted((tmp_path / "disc").rglob("*"), reverse=True):
        if path != directory:
            path.rename(path.with_name(path.name.lower()))
    lost = sorted(p for p in (tmp_path / "disc").rglob("im*") if p.is_file())[3]
    lost.unlink()
    index = index_dicom(directory)
    assert len(index.series[0].files) == 7
    assert [Path(path).name.lower() for path in index.unreadable] == [lost.name]


@pytest.mark.parametrize("name", [["..", "secret"], ["/etc", "secret"], [".", "secret"]])
def test_a_dicomdir_leads_nowhere_else(tmp_path: Path, name: list[str]) -> None:
    files = write_series(tmp_path / "s", array=ARRAY)
    directory = write_dicomdir(tmp_path / "disc", files)
    shutil.copy(files[0], tmp_path / "secret")
    dataset = pydicom.dcmread(directory)
    records = [record for record in dataset.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
    with pydicom.config.disable_value_validation():
        records[0].ReferencedFileID = name
        dataset.save_as(directory)
    index = index_dicom(directory)
    assert len(index.series[0].files) == 7
    assert all(file.startswith(str(tmp_path / "disc")) for file in (*index.series[0].files, *index.unreadable))


def test_a_damaged_dicomdir_is_named(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + b"rubbish" * 10)
    with pytest.raises(InputError, match="no readable DICOMDIR"):
        index_dicom(tmp_path / "DICOMDIR")


def test_a_link_in_a_circle_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path / "a", array=ARRAY)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert is_dicom_folder(tmp_path)
    assert len(find_series(tmp_path)) == 1


def test_a_link_that_leads_back_is_followed_once(tmp_path: Path) -> None:
    write_series(tmp_path / "a" / "b", array=ARRAY)
    (tmp_path / "a" / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert [len(s.frames) for s in find_series(tmp_path)] == [8]


def test_the_depth_of_folders_is_bounded(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (MAX_DEPTH + 1))
    write_series(deep, array=ARRAY)
    assert find_series(tmp_path) == ()
    assert len(find_series(tmp_path / "d")) == 1


def test_the_planes_of_a_localizer_are_stacks_of_their_own(tmp_path: Path) -> None:
    for number, direction in enumerate((np.eye(3), SAGITTAL, rotation(90, 0, 0))):
        write_series(tmp_path, array=ARRAY[: 3 - number], direction=direction, series_uid=uid("loc"), prefix=str(number))
    found = find_series(tmp_path)
    assert [(len(s.frames), s.stacks, s.differ_in) for s in found] == [(n, 3, ("orientation",)) for n in (3, 2, 1)]
    assert len({s.files for s in found}) == 3


def test_echoes_in_one_series_are_stacks_of_their_own(tmp_path: Path) -> None:
    for echo in ("12", "85"):
        write_series(
            tmp_path, array=ARRAY + int(echo), series_uid=uid("dual"), prefix=echo, extra={"EchoTime": echo, "SOPInstanceUID": None}
        )
    for number, file in enumerate(sorted(tmp_path.iterdir())):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(number)
        dataset.save_as(file)
    found = find_series(tmp_path)
    assert [(len(s.frames), s.differ_in) for s in found] == [(8, ("echo time",))] * 2
    assert sorted(int(read_series(s.files)[0].array[0, 0, 0] - ARRAY[0, 0, 0]) for s in found) == [12, 85]


def test_an_echo_time_that_varies_from_slice_to_slice_tells_nothing(tmp_path: Path) -> None:
    write_series(tmp_path, array=ARRAY, extra=lambda k: {"EchoTime": str(3 + k / 100)})
    assert [len(s.frames) for s in find_series(tmp_path)] == [8]


def test_slices_of_another_size_are_a_stack_of_their_own(tmp_path: Path) -> None:
    write_series(tmp_path, array=ARRAY, series_uid=uid("s"))
    write_series(tmp_path, array=ramp((2, 12, 10)), series_uid=uid("s"), prefix="large", origin=(0, 0, 500))
    for number, file in enumerate(sorted(tmp_path.glob("large*"))):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("large", number)
        dataset.save_as(file)
    assert [(len(s.frames), s.differ_in) for s in find_series(tmp_path)] == [(8, ("size",)), (2, ("size",))]


def test_a_slice_without_a_place_stays_in_its_series_to_be_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, array=ARRAY)
    dataset = pydicom.dcmread(files[1])
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    dataset.save_as(files[1])
    (series,) = find_series(tmp_path)
    assert "of 1 of its 8 images" in series.stack.problems[0]


def test_two_time_points_in_one_multi_frame_image_are_two_stacks(tmp_path: Path) -> None:
    file = write_multiframe(tmp_path / "e", array=np.concatenate([ARRAY, ARRAY + 500]))
    dataset = pydicom.dcmread(file)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    for index, group in enumerate(groups):
        group.FrameContentSequence[0].TemporalPositionIndex = 1 + index // 8
        group.PlanePositionSequence = groups[index % 8].PlanePositionSequence
    dataset.save_as(file)
    found = find_series(tmp_path)
    assert [(len(s.frames), s.part, s.stacks, s.differ_in) for s in found] == [(8, n, 2, ("time point",)) for n in (0, 1)]
    for series, array in zip(found, (ARRAY, ARRAY + 500), strict=True):
        volume, instances = read_series(series.files, part=series.part)
        np.testing.assert_array_equal(volume.array, array)
        assert [one.frame for one in instances] == [frame.number for frame in series.frames]
    with pytest.raises(InputError, match="2 stacks, not 3"):
        read_series(found[0].files, part=2)


def test_five_hundred_files_are_indexed_quickly(tmp_path: Path) -> None:
    write_series(tmp_path, array=ramp((500, 6, 5)))
    events: list[ProgressEvent] = []
    # Of the processor, so that other work on the computer does not count.
    started = time.process_time()
    (series,) = find_series(tmp_path, progress=events.append)
    assert time.process_time() - started < 5
    assert len(series.frames) == 500
    assert series.stack.problems == ()
    assert (events[0].total, events[-1].done) == (500, 500)


def test_indexing_can_be_cancelled(tmp_path: Path) -> None:
    write_series(tmp_path, array=ARRAY)
    token = CancelToken()

    def stop(event: ProgressEvent) -> None:
        if event.done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        find_series(tmp_path, progress=stop, cancel=token)


def test_voxels_are_not_read(tmp_path: Path) -> None:
    for file in write_series(tmp_path, array=ARRAY):
        dataset = pydicom.dcmread(file)
        file.write_bytes(file.read_bytes()[: -len(dataset.PixelData)])
    assert [s.stack.problems for s in find_series(tmp_path)] == [()]


def test_what_cannot_be_looked_through_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_series(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        find_series(tmp_path / "file")
    with pytest.raises(InputError, match="either a folder or a list"):
        find_series(None)
    assert find_series(tmp_path) == ()


def test_dicom_folders_are_told_from_others(tmp_path: Path) -> None:
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "nothing")
    (tmp_path / "a.nii.gz").write_bytes(b"\x1f\x8b" * 100)
    (tmp_path / "notes").write_text("text" * 100)
    assert not is_dicom_folder(tmp_path)
    write_series(tmp_path / "deep" / "er", array=ARRAY[:1])
    assert is_dicom_folder(tmp_path)


def test_the_name_of_a_person_is_not_printed_when_it_is_odd(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = f"{PATIENT_NAME}=" + "x" * 80
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path, array=ARRAY, patient_name=odd, transfer_syntax=ExplicitVRLittleEndian, extra={"StudyDate": "no date"})
    caplog.clear()
    with warnings.catch_warnings(record=True) as heard, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        (series,) = find_series(tmp_path)
        read_series(series.files)
    assert heard == []
    assert caplog.text == ""
    assert PATIENT_NAME.split("^")[0] not in repr(series)
    assert series.person.name == odd
