"""DICOM segmentations: pixel by pixel in their place for independent readers, valid, and honest about who looked at what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from Support.dataset_content import SCHEMA, WIDE, make_case, make_content, stage
from Support.dicom_content import dicom_case
from Support.dicom_files import PATIENT_NAME, rotation
from Support.dicom_validation import dicom_errors

from SuggestiveAnnotationLib.cohort.dicom.segmentation import read_dicom_segmentation
from SuggestiveAnnotationLib.cohort.files.itk import sitk
from SuggestiveAnnotationLib.cohort.labels.label_file import labels_on
from SuggestiveAnnotationLib.cohort.labels.segment_values import values_by_name
from SuggestiveAnnotationLib.errors import ExistsError, InputError, StorageError
from SuggestiveAnnotationLib.export import dicom_seg
from SuggestiveAnnotationLib.export.content import CaseContent, Exported
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

OBLIQUE = rotation(10, 20, -15)


def export(folder: Path, *cases: CaseContent, overwrite: bool = False, **fields) -> Exported:
    content = make_content(*cases, **fields)
    return dicom_seg.write(folder, content, overwrite=overwrite, stage=stage(content))


def expected(case: CaseContent) -> np.ndarray:
    """Segment numbers `(k, j, i)`, by the places of the values in the schema."""
    labels, _ = case.volume()
    out = np.zeros(labels.shape, np.uint16)
    for number, one in enumerate(case.grid.schema.classes, start=1):
        out[labels == one.value] = number
    return out


def in_plane_orientations() -> list[tuple[str, np.ndarray]]:
    """Every right-handed direction matrix whose axes are those of the patient: all turns and flips that a scanner can write."""
    found = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.zeros((3, 3))
        for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
            matrix[row, column] = sign
        if np.linalg.det(matrix) > 0:
            found.append((f"{order} {signs}", matrix))
    return found


def test_all_orientations_are_tested():
    assert len(in_plane_orientations()) == 24


DIRECTIONS = {**dict(in_plane_orientations()), "oblique": OBLIQUE}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_pixel_is_in_its_place_for_pydicom(tmp_path, direction):
    case = dicom_case(tmp_path, shape=(5, 6, 7), direction=DIRECTIONS[direction], slices={1: {}, 3: {}})
    done = export(tmp_path / "out", case)
    wanted = expected(case)
    dataset = pydicom.dcmread(done.files[0])
    frames = dataset.pixel_array
    seen = set()
    sources = {pydicom.dcmread(f).SOPInstanceUID: pydicom.dcmread(f) for f in (tmp_path / "c1").iterdir()}
    volume = sitk.ReadImage(case.case.images["T1"])
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        # The slice by two ways: where SimpleITK finds the frame's first voxel, and the image that the frame refers to.
        index = volume.TransformPhysicalPointToContinuousIndex([float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient])
        assert np.abs(np.array(index[:2])).max() < 1e-6
        k = round(index[2])
        source = sources[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert np.array_equal(source.pixel_array, sitk.GetArrayFromImage(volume)[k])
        assert np.array_equal(frame, wanted[k] == number), (k, number)
        seen.add((k, number))
    assert seen == {(k, n) for k in (1, 3) for n in (1, 2)}


@pytest.mark.parametrize("multi", [False, True], ids=["single-frame", "multi-frame"])
def test_highdicom_reads_the_same_volume_on_the_same_grid(tmp_path, multi):
    shuffled = {"order": [7, 0, 3, 1, 2, 6, 5, 4]} if multi else {}
    case = dicom_case(tmp_path, direction=OBLIQUE, multi=multi, slices={2: {}, 3: {}, 6: {}}, **shuffled)
    done = export(tmp_path / "out", case)
    read = highdicom.seg.segread(done.files[0])
    volume = read.get_volume(combine_segments=True, allow_missing_positions=True)
    geometry, wanted = case.grid.geometry, expected(case)
    # highdicom may count slices the other way; its affine tells where each voxel lies.
    affine = np.eye(4)
    affine[:3, :3] = (np.reshape(geometry.direction_lps, (3, 3)) * geometry.spacing)[:, ::-1]
    affine[:3, 3] = geometry.origin_lps
    to_native = np.linalg.inv(affine) @ volume.affine
    index = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    native = index @ to_native[:3, :3].T + to_native[:3, 3]
    assert np.abs(native - native.round()).max() < 1e-3
    k, j, i = native.round().astype(int).T
    assert np.array_equal(volume.array.ravel(), wanted[k, j, i])
    assert sorted(set(k.tolist())) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_was_written_comes_back_on_the_case(tmp_path, axis):
    case = dicom_case(tmp_path, direction=OBLIQUE, axis=axis, slices={0: {}, 4: {}})
    done = export(tmp_path / "out", case)
    file = read_dicom_segmentation(done.files[0])
    values = values_by_name(labels_on(file, case.grid.geometry, name="a", reference_name="b"), file.classes, SCHEMA, name="a")
    labels, _ = case.volume()
    assert np.array_equal(values, np.where(labels == 255, 0, labels))
    assert any("annotated across its DICOM images" in s for s in done.left_out) == (axis != 0)
    assert pydicom.dcmread(done.files[0]).ContentDescription == (
        "Slices without frames were not annotated" if axis == 0 else "Only parts of the frames were annotated, see the JSON"
    )


def test_ten_slices_apart_no_label_grows_onto_slices_between(tmp_path):
    case = dicom_case(tmp_path, shape=(11, 6, 7), slices={0: {}, 5: {}, 10: {}}, direction=OBLIQUE)
    file = read_dicom_segmentation(export(tmp_path / "out", case).files[0])
    assert file.geometry.size == (7, 6, 11)
    assert {k for k in range(11) if file.labels[k].any()} == {0, 5, 10}


@pytest.mark.parametrize("multi", [False, True], ids=["single-frame", "multi-frame"])
def test_an_independent_validator_finds_no_error(tmp_path, multi):
    tumour = LabelClass(9, "tumour 腫瘍 größer", (0, 0, 0), terminology="SCT^108369006^Neoplasm")
    schema = replace(SCHEMA, classes=(*SCHEMA.classes, tumour))
    slices = {1: {"prediction_id": 3}, 2: {"annotator": "bén"}, 6: {"labels": np.zeros((10, 12)), "provenance": "empty"}}
    case = dicom_case(tmp_path, direction=OBLIQUE, multi=multi, schema=schema, slices=slices, models={3: 1})
    done = export(tmp_path / "out", case)
    assert dicom_errors(done.files[0]) == []


def test_the_validator_would_find_one(tmp_path):
    done = export(tmp_path / "out", dicom_case(tmp_path))
    dataset = pydicom.dcmread(done.files[0])
    del dataset.SegmentSequence[0].SegmentAlgorithmType
    dataset.save_as(tmp_path / "bad.dcm")
    assert dicom_errors(tmp_path / "bad.dcm")


def test_accepted_empty_slices_have_frames_and_others_have_none(tmp_path):
    empty = {"labels": np.zeros((10, 12)), "provenance": "empty", "annotator": "ben"}
    done = export(tmp_path / "out", dicom_case(tmp_path, slices={4: empty}))
    dataset = pydicom.dcmread(done.files[0])
    assert dataset.NumberOfFrames == len(SCHEMA.classes)
    assert not dataset.pixel_array.any()
    said = {group.FrameContentSequence[0].FrameComments for group in dataset.PerFrameFunctionalGroupsSequence}
    assert said == {"Accepted by ben (empty) at 2026-01-01T10:00:00.000+00:00."}
    assert dataset.SeriesDescription == "SuggestiveAnnotation: accepted slices only"


def test_structures_have_codes_colours_and_names(tmp_path):
    lesion = LabelClass(7, "lesion 病变", (9, 9, 255), terminology="SCT^52988006^Lesion")
    grey = LabelClass(2, "grey", (200, 80, 80), terminology="SCT^389081007^Grey matter")
    schema = LabelSchema("s", (lesion, grey, LabelClass(3, "x", (0, 255, 0))))
    file = read_dicom_segmentation(export(tmp_path / "out", dicom_case(tmp_path, schema=schema)).files[0])
    assert [(c.value, c.name, c.colour, c.terminology) for c in file.classes] == [
        (n, c.name, c.colour, c.terminology) for n, c in enumerate(schema.classes, start=1)
    ]
    dataset = pydicom.dcmread(tmp_path / "out" / "c1_annotation.dcm")
    categories = [s.SegmentedPropertyCategoryCodeSequence[0].CodeValue for s in dataset.SegmentSequence]
    assert categories == ["49755003", "91723000", "85756007"]
    assert dataset.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0].CodeValue == "85756007"


def models(*kinds: str) -> tuple[Model, ...]:
    return tuple(Model(n, kind, 1, "k", Path(), None, {}, "") for n, kind in enumerate(kinds, start=1))


def test_what_a_model_proposed_is_semi_automatic_and_the_rest_manual(tmp_path):
    one, both = np.full((10, 12), 7), np.zeros((10, 12))
    both[:5] = 2
    slices = {1: {"labels": one, "prediction_id": 5, "provenance": "unchanged"}, 2: {"labels": both, "provenance": "from scratch"}}
    done = export(tmp_path / "out", dicom_case(tmp_path, slices=slices, models={5: 1}), models=models("segmentation"))
    lesion, grey = pydicom.dcmread(done.files[0]).SegmentSequence
    assert (lesion.SegmentAlgorithmType, lesion.SegmentAlgorithmName) == ("SEMIAUTOMATIC", "SuggestiveAnnotation")
    identification = lesion.SegmentationAlgorithmIdentificationSequence[0]
    assert (identification.AlgorithmVersion, identification.AlgorithmParameters) == ("0.1.0", "models=1")
    assert identification.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    assert grey.SegmentAlgorithmType == "MANUAL"
    assert "SegmentationAlgorithmIdentificationSequence" not in grey


def test_labels_that_came_with_the_cohort_are_no_work_of_our_algorithm(tmp_path):
    case = dicom_case(tmp_path, slices={1: {"prediction_id": 5}, 2: {"provenance": "imported"}}, models={5: 1})
    done = export(tmp_path / "out", case, models=models("imported"))
    assert {s.SegmentAlgorithmType for s in pydicom.dcmread(done.files[0]).SegmentSequence} == {"MANUAL"}


def test_of_two_readers_the_later_is_in_the_pixels_and_the_json_has_both(tmp_path):
    case = dicom_case(tmp_path, slices={1: {"annotator": "anna", "accepted_at": "2026-01-02"}})
    earlier = replace(case.annotations[0], id=9, annotator="ben", accepted_at="2026-01-01")
    case = replace(case, annotations=(earlier, *case.annotations))
    done = export(tmp_path / "out", case)
    assert pydicom.dcmread(done.files[0]).ContentCreatorName == "anna^"
    document = json.loads(done.files[1].read_text(encoding="utf-8"))
    assert [(a["annotator"], a["in_labelmap"]) for a in document["annotations"]] == [("ben", False), ("anna", True)]
    assert document["segments"] == [{"number": 1, "value": 7, "name": "lesion"}, {"number": 2, "value": 2, "name": "grey matter"}]
    assert "1 annotation is left out because somebody accepted the same slice later." in done.left_out


def test_many_readers_fit_into_one_name(tmp_path):
    names = [f"reader^number={n} of a long name" for n in range(6)]
    done = export(tmp_path / "out", dicom_case(tmp_path, slices={k: {"annotator": n} for k, n in enumerate(names)}))
    assert pydicom.dcmread(done.files[0]).ContentCreatorName == "reader number 0 of a long name and 5 more^"
    assert dicom_errors(done.files[0]) == []


def test_a_schema_of_16_bits_and_what_is_ignored(tmp_path):
    case = dicom_case(tmp_path, schema=WIDE)
    done = export(tmp_path / "out", case)
    labels, mask = case.volume()
    ignored = int(((labels == 65535) & (mask > 0)).sum())
    assert f"{ignored:,} pixels that are to be ignored in accepted slices of case c1: no segment has them." in done.left_out
    found = read_dicom_segmentation(done.files[0]).labels
    assert np.array_equal(found, expected(case)[1:6])
    assert np.array_equal(expected(case)[labels == 1002], np.ones((labels == 1002).sum()))


def test_patient_and_study_are_those_of_the_images_and_nothing_else_tells_them(tmp_path):
    case = dicom_case(tmp_path, extra={"SpecificCharacterSet": "ISO_IR 192"}, patient_name="Müller^Jörg")
    done = export(tmp_path / "out", case)
    dataset, source = pydicom.dcmread(done.files[0]), pydicom.dcmread(next((tmp_path / "c1").iterdir()))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[keyword].value == source[keyword].value, keyword
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    assert "Müller" not in done.files[1].read_text(encoding="utf-8")
    assert "ID-c1" not in done.files[1].read_text(encoding="utf-8")


def test_latin_names_of_patients_become_unicode(tmp_path):
    case = dicom_case(tmp_path, extra={"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"})
    dataset = pydicom.dcmread(export(tmp_path / "out", case).files[0])
    assert (dataset.SpecificCharacterSet, str(dataset.PatientName)) == ("ISO_IR 192", "Müller^Jörg")


def test_careless_anonymisation_is_no_obstacle(tmp_path):
    missing = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime")
    done = export(tmp_path / "out", dicom_case(tmp_path, missing_tags=missing))
    assert pydicom.dcmread(done.files[0]).PatientName == ""


def test_cases_that_did_not_come_from_dicom_are_left_out(tmp_path):
    done = export(tmp_path / "out", make_case(tmp_path, "plain"), dicom_case(tmp_path))
    assert [f.name for f in done.files] == ["c1_annotation.dcm", "c1_annotation.json"]
    assert "Case plain is left out: its image was not made from a DICOM series." in done.left_out


def test_nothing_from_dicom_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"No case can be exported\. Case plain is left out: its image was not made from"):
        export(tmp_path / "out", make_case(tmp_path, "plain"))
    assert not (tmp_path / "out").exists()


def test_files_that_are_gone_or_others_are_told(tmp_path):
    gone, changed, moved = (dicom_case(tmp_path, name) for name in ("gone", "changed", "moved"))
    for file in (tmp_path / "gone").iterdir():
        file.unlink()
    for file in (tmp_path / "changed").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = pydicom.uid.generate_uid()
        dataset.save_as(file)
    for file in (tmp_path / "moved").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.ImagePositionPatient = [0, 0, float(dataset.ImagePositionPatient[2])]
        dataset.save_as(file)
    done = export(tmp_path / "out", gone, changed, moved, dicom_case(tmp_path, "good"))
    told = " ".join(done.left_out)
    assert "Case gone is left out: its DICOM image " in told
    assert "is gone, or is another one now" in told
    assert "Case changed is left out: " in told
    assert "Case moved is left out: " in told
    assert "lies elsewhere than the slice" in told
    assert PATIENT_NAME not in told
    assert {f.stem.split("_")[0] for f in done.files} == {"good"}


def test_without_a_frame_of_reference_nothing_can_refer_to_the_images(tmp_path):
    with pytest.raises(InputError, match="name no frame of reference"):
        export(tmp_path / "out", dicom_case(tmp_path, missing_tags=("FrameOfReferenceUID",)))


def test_long_names_are_shortened_and_told(tmp_path):
    schema = LabelSchema("s", (LabelClass(1, "a\\b " * 30, (1, 2, 3)),))
    done = export(tmp_path / "out", dicom_case(tmp_path, schema=schema))
    label = pydicom.dcmread(done.files[0]).SegmentSequence[0].SegmentLabel
    assert label == ("a/b " * 30)[:64].strip()
    assert any(s.startswith("The full names of structures that DICOM shortens") for s in done.left_out)


def test_what_is_there_is_replaced_only_with_consent(tmp_path):
    case = dicom_case(tmp_path)
    first = export(tmp_path / "out", case)
    before = [f.read_bytes() for f in first.files]
    with pytest.raises(ExistsError, match=r"already has c1_annotation\.dcm and c1_annotation\.json"):
        export(tmp_path / "out", case)
    assert [f.read_bytes() for f in first.files] == before
    export(tmp_path / "out", case, overwrite=True)
    assert first.files[0].read_bytes() != before[0]


def test_a_write_that_reads_back_otherwise_is_no_success(tmp_path, monkeypatch):
    case = dicom_case(tmp_path)
    real = dicom_seg._save

    def spoil(dataset, file):
        real(dataset, file)
        data = bytearray(file.read_bytes())
        data[-9] ^= 1
        file.write_bytes(bytes(data))

    monkeypatch.setattr(dicom_seg, "_save", spoil)
    with pytest.raises(StorageError):
        export(tmp_path / "out", case)
    assert list((tmp_path / "out").iterdir()) == []


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[3]]
from Support.dataset_content import make_content, stage
from Support.dicom_content import dicom_case
from SuggestiveAnnotationLib.export import dicom_seg
case = dicom_case(Path(sys.argv[1]), slices={3: {}, 4: {}})
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(*((os, "replace", die) if sys.argv[2] == "rename" else (dicom_seg, "_check", die)))
content = make_content(case)
dicom_seg.write(Path(sys.argv[1]) / "out", content, overwrite=True, stage=stage(content))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["check", "rename"])
def test_killed_in_the_middle_the_earlier_file_stays(tmp_path, moment):
    first = export(tmp_path / "out", dicom_case(tmp_path))
    before = [f.read_bytes() for f in first.files]
    testing = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), moment, testing], timeout=60, check=False)
    assert done.returncode == -9
    assert [f.read_bytes() for f in first.files] == before
