"""Cases, modalities and pseudonyms out of DICOM series."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import ramp, rotation, uid, write_multiframe, write_series
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from SuggestiveAnnotationLib.cohort.convert import convert
from SuggestiveAnnotationLib.cohort.dicom.groups import SeriesGroup
from SuggestiveAnnotationLib.cohort.dicom.index import find_series
from SuggestiveAnnotationLib.cohort.dicom.plan import LABELS, plan_dicom, series_groups
from SuggestiveAnnotationLib.cohort.files.read import read_geometry, read_volume
from SuggestiveAnnotationLib.cohort.origin import Origin, Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.errors import InputError
from SuggestiveAnnotationLib.files import file_stem
from SuggestiveAnnotationLib.types import LabelClass, LabelSchema

ARRAY = ramp((8, 6, 5))
NAME, ID, BIRTH = "Achternaam^Voornaam", "ZH-480913", "19480913"
SECRETS = ("achternaam", "voornaam", "zh-480913", "480913", "acc-20481", "verwijzer", "kantonsspital")


def person(folder: Path, number: int, descriptions: Sequence[str] = ("t1_mprage_sag", "t2_flair_tra"), **how: object) -> list[list[Path]]:
    """A folder of series of one person, one study."""
    options = {"patient_id": f"{ID}-{number}", "patient_name": f"{NAME}{number}", "array": ARRAY, **how}
    return [
        write_series(folder / f"p{number}", description=d, prefix=f"{i}-", series_number=i + 1, **options)  # type: ignore[arg-type]
        for i, d in enumerate(descriptions)
    ]


def write_seg(file: Path, images: Sequence[Path], *, date: str = "20210101") -> Path:
    source = [pydicom.dcmread(image) for image in images]
    mask = np.zeros((len(images), 6, 5), np.uint8)
    mask[2:4, 1:3, 1:3] = 1
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    seg = hd.seg.Segmentation(
        source_images=source,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=uid(file, "series"),
        series_number=99,
        sop_instance_uid=uid(file, "instance"),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    seg.ContentDate, seg.ContentTime = date, "101010"
    seg.save_as(file)
    return file


def test_studies_become_cases_with_modalities_by_description(tmp_path: Path) -> None:
    person(tmp_path, 2)
    person(tmp_path, 1)
    plan = plan_dicom(tmp_path)
    assert (plan.layout, plan.modalities, plan.reference) == ("DICOM", ("T1", "FLAIR"), "T1")
    assert plan.patterns == {"T1": "t1_mprage_sag", "FLAIR": "t2_flair_tra"}
    assert [(c.name, c.patient, c.role, c.problems, c.site) for c in plan.cases] == [
        (f"patient-0{n}", f"patient-0{n}", "pool", (), "") for n in (1, 2)
    ]
    assert (plan.guessed, plan.warnings, plan.label_pattern, plan.folder) == ({"T1", "FLAIR"}, (), None, str(tmp_path))
    first = plan.cases[0].images["T1"]
    assert plan.sources[first].kind == "dicom series"
    assert first in plan.sources[first].files
    assert len(plan.sources) == 4
    assert {len(s.files) for s in plan.sources.values()} == {8}
    geometry = plan.cases[0].geometry
    assert geometry.size == (5, 6, 8)
    assert CohortPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_studies_of_one_person_are_one_patient_in_the_order_of_their_dates(tmp_path: Path) -> None:
    person(tmp_path / "late", 1, study_uid=uid("late"), study_date="20210505")
    person(tmp_path / "early", 1, study_uid=uid("early"), study_date="20200101")
    person(tmp_path, 2)
    plan = plan_dicom(tmp_path)
    assert [(c.name, c.patient) for c in plan.cases] == [
        ("patient-01_study-1", "patient-01"),
        ("patient-01_study-2", "patient-01"),
        ("patient-02", "patient-02"),
    ]
    assert "early" in plan.cases[0].images["T1"]
    assert plan.identities["patient-01"] == {
        "PatientID": f"{ID}-1",
        "PatientName": f"{NAME}1",
        "PatientBirthDate": BIRTH,
        "StudyDate patient-01_study-1": "20200101",
        "StudyInstanceUID patient-01_study-1": uid("early"),
        "StudyDate patient-01_study-2": "20210505",
        "StudyInstanceUID patient-01_study-2": uid("late"),
    }


@pytest.mark.parametrize("how", [{}, {"drop": (3,)}, {"tilt": 20.0}, {"missing_tags": ("PixelSpacing",)}, {"duplicate": (1,)}])
def test_nothing_of_the_identity_is_in_a_plan_beside_its_identities_and_paths(tmp_path: Path, how: dict) -> None:
    person(tmp_path, 1, **how)
    person(tmp_path, 2, ("t1_mprage_sag", "t1_mprage_sag", "localizer"), patient_id=f"{ID}-2")
    plan = plan_dicom(tmp_path)
    data = plan.to_json()
    assert any(secret in str(data["identities"]).casefold() for secret in SECRETS)
    del data["identities"]
    text = f"{data}{plan.describe()}{series_groups(find_series(tmp_path))}".casefold()
    assert [secret for secret in SECRETS if secret in text] == []
    for images in ({"T1": "nothing*"}, None):
        with pytest.raises(InputError) as caught:
            plan_dicom(tmp_path, images=images, reference="PET" if images is None else None)
        assert [secret for secret in SECRETS if secret in str(caught.value).casefold()] == []


def test_cases_take_the_patient_id_where_that_was_asked_for(tmp_path: Path) -> None:
    person(tmp_path, 1, patient_id="A/1")
    person(tmp_path, 2, patient_id="zh77")
    person(tmp_path, 3, patient_id="ZH77")
    person(tmp_path, 4, patient_id="")
    plan = plan_dicom(tmp_path, patient_ids=True)
    names = [c.name for c in plan.cases]
    assert sorted(names) == sorted([file_stem("A/1"), "ZH77", "zh77-2", next(n for n in names if n.startswith("patient-"))])
    assert {plan.identities[c.patient].get("PatientID", "") for c in plan.cases} == {"A/1", "zh77", "ZH77", ""}
    assert all("/" not in name for name in names)


def test_descriptions_are_mapped_by_globs_and_by_the_very_description(tmp_path: Path) -> None:
    person(tmp_path, 1, ("Serie A [tra]", "Serie A [tra] KM", "Serie B"))
    plan = plan_dicom(tmp_path, images={"post": "*KM", "pre": "serie a [TRA]", "other": "*B"}, reference="pre")
    assert (plan.modalities, plan.reference, plan.guessed) == (("post", "pre", "other"), "pre", frozenset())
    (case,) = plan.cases
    assert [Path(case.images[m]).name[0] for m in plan.modalities] == ["1", "0", "2"]
    with pytest.raises(InputError, match=r'No series fits "\*T2\*" for T2.*There are: .*Serie B'):
        plan_dicom(tmp_path, images={"T2": "*T2*"})
    with pytest.raises(InputError, match="There is no modality CT"):
        plan_dicom(tmp_path, images={"B": "*B"}, reference="CT")


def test_of_two_series_that_fit_the_one_with_more_slices_is_taken_then_the_later(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1_mprage",), array=ramp((6, 6, 5)), series_uid=uid("small"))
    write_series(tmp_path / "x", array=ARRAY, description="t1 tfe", patient_id=f"{ID}-1", series_number=4)
    write_series(tmp_path / "y", array=ARRAY, description="t1 tfe repeat", patient_id=f"{ID}-1", series_number=9)
    (case,) = plan_dicom(tmp_path).cases
    assert Path(case.images["T1"]).parent.name == "y"
    assert case.role == "pool"
    assert '3 series fit T1: The series "t1 tfe repeat" (number 9) with 8 slices was taken' in case.problems[0]


def test_a_series_without_a_problem_goes_before_a_larger_one(tmp_path: Path) -> None:
    write_series(tmp_path / "x", array=ramp((12, 6, 5)), description="t1 a", drop=(3,), series_number=9)
    write_series(tmp_path / "y", array=ARRAY, description="t1 b")
    (case,) = plan_dicom(tmp_path).cases
    assert (Path(case.images["T1"]).parent.name, case.role) == ("y", "pool")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"drop": (3,)}, "lacks 1 slice"),
        ({"tilt": 15.0}, "tilted gantry"),
        ({"duplicate": (2,)}, "more than one image"),
        ({"missing_tags": ("ImageOrientationPatient",)}, "ImageOrientationPatient"),
    ],
)
def test_a_case_whose_series_has_a_problem_is_excluded_with_it(tmp_path: Path, how: dict, reason: str) -> None:
    person(tmp_path, 1)
    person(tmp_path, 2, ("t1_mprage_sag",))
    person(tmp_path, 3, **how)
    plan = plan_dicom(tmp_path)
    assert [c.role for c in plan.cases] == ["pool", "excluded", "excluded"]
    assert plan.cases[1].excluded_reason.startswith("patient-02 has no FLAIR series")
    assert reason in plan.cases[2].excluded_reason
    assert plan.cases[2].excluded_reason.startswith('The series "t1_mprage_sag" (number 1)')


def test_localizers_captures_colour_and_reformats_are_not_used(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1_mprage_sag",))
    common = {"patient_id": f"{ID}-1"}
    write_series(tmp_path / "a", array=ARRAY, description="t1_loc_3plane", **common)
    write_series(tmp_path / "b", array=ARRAY, description="t1 cor", extra={"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, **common)
    write_series(tmp_path / "c", array=ARRAY[:3], description="t2 short", **common)
    colour = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}
    write_series(tmp_path / "d", array=ARRAY.astype(np.uint8), description="flair fused", extra=colour, **common)
    write_series(tmp_path / "e", array=ARRAY, description="flair sc", extra={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, **common)
    write_series(tmp_path / "f", array=ARRAY, description="phoenix", **common)
    groups = {g.description: g for g in series_groups(find_series(tmp_path))}
    assert {d: (g.used, g.reason, g.name) for d, g in groups.items()} == {
        "t1_mprage_sag": (True, "", "T1"),
        "t1_loc_3plane": (False, "localizer", "T1"),
        "t1 cor": (False, "derived", "T1"),
        "t2 short": (False, "few slices", "T2"),
        "flair fused": (False, "colour", "FLAIR"),
        "flair sc": (False, "secondary capture", "FLAIR"),
        "phoenix": (False, "", ""),
    }
    plan = plan_dicom(tmp_path)
    assert (plan.modalities, plan.alternatives) == (("T1",), {"T1": ("t1 cor",)})
    assert plan_dicom(tmp_path, images={"T1": "t1 cor"}).cases[0].role == "pool"
    assert "colour" in plan_dicom(tmp_path, images={"F": "flair fused"}).cases[0].excluded_reason


def test_groups_tell_a_person_what_there_is(tmp_path: Path) -> None:
    person(tmp_path, 1, ("T1 MPRAGE",))
    person(tmp_path, 2, ("t1 mprage", "T2"))
    groups = series_groups(find_series(tmp_path))
    assert groups[0] == SeriesGroup(groups[0].description, "MR", 2, 8, 6, 5, "T1", True)
    assert groups[0].description.casefold() == "t1 mprage"
    assert [SeriesGroup.from_json(json.loads(json.dumps(g.to_json()))) for g in groups] == [*groups]


def test_ct_is_told_by_its_modality_and_unnamed_series_by_theirs(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", array=ARRAY, modality="CT", description="Abdomen 1.0 B31f", intercept=-1024)
    assert plan_dicom(tmp_path / "ct").modalities == ("CT",)
    write_series(tmp_path / "mr", array=ARRAY, description="", missing_tags=("SeriesDescription",))
    plan = plan_dicom(tmp_path / "mr")
    assert (plan.modalities, plan.patterns) == (("MR",), {"MR": "(no description)"})
    assert plan.cases[0].role == "pool"


def test_contrast_is_told_by_the_agent_or_the_description(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1_se", "t1_se KM"))
    write_series(tmp_path / "g", array=ARRAY, description="t1_tfe", patient_id="other", extra={"ContrastBolusAgent": "Gadovist"})
    write_series(tmp_path / "h", array=ARRAY, description="t1_tfe pre", patient_id="other", extra={"ContrastBolusAgent": "Gadovist"})
    groups = series_groups(find_series(tmp_path))
    assert {g.description: g.name for g in groups} == {"t1_se": "T1", "t1_se KM": "T1c", "t1_tfe": "T1c", "t1_tfe pre": "T1"}


def before_and_after(folder: Path, number: int, *, agents: tuple[str, ...] = ("", "Gadovist")) -> None:
    """Series of one description, with and without a contrast agent."""
    for place, agent in enumerate(agents):
        write_series(
            folder / f"p{number}-{place}", array=ARRAY + place, description="t1_mprage_sag", patient_id=f"{ID}-{number}",
            series_uid=uid(str(number), str(place), agent), series_number=place + 1, extra={"ContrastBolusAgent": agent},
        )  # fmt: skip


def test_series_before_and_after_contrast_are_two_sequences(tmp_path: Path) -> None:
    before_and_after(tmp_path, 1)
    before_and_after(tmp_path, 2, agents=("none", "Gadovist"))
    groups = series_groups(find_series(tmp_path))
    assert {g.description: (g.name, g.cases, g.contrast) for g in groups} == {
        "t1_mprage_sag (no agent)": ("T1", 2, False),
        "t1_mprage_sag (contrast agent)": ("T1c", 2, True),
    }
    assert [SeriesGroup.from_json(json.loads(json.dumps(g.to_json()))) for g in groups] == [*groups]
    plan = plan_dicom(tmp_path)
    assert plan.modalities == ("T1", "T1c")
    assert plan.patterns == {"T1": "t1_mprage_sag (no agent)", "T1c": "t1_mprage_sag (contrast agent)"}
    for number, case in enumerate(plan.cases, 1):
        assert (case.role, case.problems) == ("pool", ())
        assert [f"p{number}-{place}" in case.images[m] for place, m in enumerate(("T1", "T1c"))] == [True, True]


@pytest.mark.parametrize(
    ("images", "places"),
    [
        ({"A": "t1_mprage_sag (no agent)"}, [0]),
        ({"A": "*(CONTRAST agent)"}, [1]),
        ({"A": "t1_mprage_sag"}, [1]),
        ({"A": "*mprage*"}, [1]),
        ({"A": "t1_mprage_sag", "B": "t1_mprage_sag (contrast agent)"}, [0, 1]),
        ({"A": "*t1*", "B": "t1_mprage_sag (no agent)"}, [1, 0]),
    ],
)
def test_patterns_take_both_kinds_unless_they_name_one(tmp_path: Path, images: dict[str, str], places: list[int]) -> None:
    before_and_after(tmp_path, 1)
    (case,) = plan_dicom(tmp_path, images=images).cases
    assert [f"p1-{place}" in case.images[m] for m, place in zip("AB", places, strict=False)] == [True] * len(places)


def test_agents_that_are_named_here_and_there_make_no_second_sequence(tmp_path: Path) -> None:
    for number, agent in ((1, ""), (2, "Gadovist"), (3, "")):
        before_and_after(tmp_path, number, agents=(agent,))
    assert {g.description: g.name for g in series_groups(find_series(tmp_path))} == {
        "t1_mprage_sag (no agent)": "T1", "t1_mprage_sag (contrast agent)": "T1",
    }  # fmt: skip
    plan = plan_dicom(tmp_path)
    assert (plan.modalities, len(plan.usable)) == (("T1",), 3)
    assert [c.role for c in plan_dicom(tmp_path, images={"T1": "*(no agent)"}).cases] == ["pool", "excluded", "pool"]


def test_a_description_of_one_kind_has_no_mark(tmp_path: Path) -> None:
    for number in (1, 2):
        before_and_after(tmp_path, number, agents=("Gadovist",))
    assert [g.description for g in series_groups(find_series(tmp_path))] == ["t1_mprage_sag"]


def test_a_sequence_that_few_cases_have_is_left_out_and_said(tmp_path: Path) -> None:
    for number in range(1, 4):
        person(tmp_path, number, ("t1", "flair") if number > 1 else ("t1", "flair", "swi"))
    plan = plan_dicom(tmp_path)
    assert plan.modalities == ("T1", "FLAIR")
    assert 'SWI series such as "swi" were left out' in plan.warnings[0]


def test_only_localizers_are_no_cohort(tmp_path: Path) -> None:
    write_series(tmp_path, array=ARRAY[:1], description="localizer")
    with pytest.raises(InputError, match=r"localizer \(localizer\)"):
        plan_dicom(tmp_path)


def test_a_folder_without_images_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(bytes(128) + b"DICM" + b"rubbish")
    with pytest.raises(InputError, match=r"There are no DICOM images in .* 1 could not be read"):
        plan_dicom(tmp_path)


def test_damaged_files_and_copies_are_warned_of(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", array=ARRAY)
    (tmp_path / "broken").write_bytes(bytes(128) + b"DICM" + b"rubbish")
    (tmp_path / "copy").write_bytes(files[0].read_bytes())
    assert plan_dicom(tmp_path).warnings == (
        "1 file is damaged or missing and was left out.",
        "1 file is a copy of others and did not count.",
    )


def test_structure_sets_are_counted_and_what_to_do_with_them_is_said(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1",), study_uid=uid("s"))
    for study in ("s", "elsewhere"):
        contours = pydicom.Dataset()
        contours.file_meta = pydicom.dataset.FileMetaDataset()
        contours.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        contours.file_meta.MediaStorageSOPClassUID = contours.SOPClassUID = RTStructureSetStorage
        contours.file_meta.MediaStorageSOPInstanceUID = contours.SOPInstanceUID = uid(study, "contours")
        contours.SeriesInstanceUID, contours.StudyInstanceUID, contours.Modality = uid(study, "series"), uid(study), "RTSTRUCT"
        contours.save_as(tmp_path / f"{study}.dcm", enforce_file_format=True)
        (tmp_path / f"copy of {study}.dcm").write_bytes((tmp_path / f"{study}.dcm").read_bytes())
    how = "to DICOM SEG or .seg.nrrd, for example in 3D Slicer."
    assert plan_dicom(tmp_path).warnings == (f"2 RTSTRUCT objects cannot be read and were left out: convert them {how}",)
    for file in tmp_path.glob("*elsewhere.dcm"):
        file.unlink()
    assert plan_dicom(tmp_path).warnings == (f"1 RTSTRUCT object cannot be read and was left out: convert it {how}",)


def test_one_id_for_different_names_is_warned_of(tmp_path: Path) -> None:
    for number in range(3):
        person(tmp_path, number, patient_id="anonymous", study_uid=uid("s", number))
    warnings = plan_dicom(tmp_path).warnings
    assert any("different patient names (patient-01)" in w for w in warnings)
    assert any("All 3 studies have the same patient ID" in w for w in warnings)


def test_series_of_different_frames_of_reference_are_noted(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1",))
    write_series(tmp_path / "f", array=ARRAY, description="flair", patient_id=f"{ID}-1", frame_uid=uid("moved"))
    (case,) = plan_dicom(tmp_path).cases
    assert case.role == "pool"
    assert "different frames of reference" in case.problems[0]


def test_series_that_show_different_places_exclude_the_case(tmp_path: Path) -> None:
    person(tmp_path, 1, ("t1",))
    write_series(tmp_path / "f", array=ARRAY, description="flair", patient_id=f"{ID}-1", origin=(900, 900, 900))
    (case,) = plan_dicom(tmp_path).cases
    assert "do not overlap" in case.excluded_reason


def test_the_largest_stack_of_a_series_is_taken_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, array=ARRAY, description="t1", series_uid=uid("s"))
    write_series(tmp_path, array=ARRAY[:2], description="t1", series_uid=uid("s"), prefix="s", direction=rotation(0, 90, 0))
    (case,) = plan_dicom(tmp_path).cases
    assert (case.role, case.geometry.size) == ("pool", (5, 6, 8))
    assert "holds 2 stacks that differ in orientation; the one with 8 slices was taken" in case.problems[0]


@pytest.mark.parametrize(
    ("tag", "first", "second", "told"),
    [
        ("EchoTime", "9.5", "85", "echo time 9.5"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M", "ND"], ["ORIGINAL", "PRIMARY", "I", "ND"], r"image type ORIGINAL\PRIMARY\M\ND"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "X"], ["DERIVED", "PRIMARY", "X"], r"image type ORIGINAL\PRIMARY\X"),
        ("TemporalPositionIdentifier", "2", "10", "time point 2"),
    ],
)
def test_of_stacks_of_one_size_everybody_s_is_the_same_whatever_the_files_are_called(
    tmp_path: Path, tag: str, first: object, second: object, told: str
) -> None:
    for number, names in enumerate((("a", "b"), ("b", "a"))):
        for what, value, name in zip(("first", "second"), (first, second), names, strict=True):
            write_series(
                tmp_path / f"p{number}",
                array=ARRAY + (1000 if what == "second" else 0),
                description="t2",
                patient_id=f"{ID}-{number}",
                series_uid=uid(number),
                prefix=name,
                extra=lambda k, what=what, value=value, number=number: {tag: value, "SOPInstanceUID": uid(number, what, k)},
            )
    plan = plan_dicom(tmp_path)
    schema = LabelSchema("one", (LabelClass(1, "one", (1, 1, 1)),))
    cases = convert(plan.cases, plan.sources, tmp_path / "converted", reference="T2", schema=schema)
    assert [read_volume(case.images["T2"]).array.max() < 1100 for case in cases] == [True, True]
    assert all(f"the one with 8 slices and {told} was taken" in case.problems[0] for case in plan.cases)


def test_a_segmentation_becomes_the_label_of_the_series_it_was_drawn_on(tmp_path: Path) -> None:
    t1, flair = person(tmp_path, 1)
    seg = write_seg(tmp_path / "p1" / "seg", flair)
    plan = plan_dicom(tmp_path)
    assert (plan.reference, plan.label_pattern, plan.modalities) == ("FLAIR", LABELS, ("T1", "FLAIR"))
    assert plan.cases[0].label == str(seg)
    assert plan.sources[str(seg)] == Source("segmentation", (str(seg),))
    other = plan_dicom(tmp_path, reference="T1")
    assert other.cases[0].label is None
    assert "1 segmentation was not drawn on the T1 series" in other.cases[0].problems[0]
    newer = write_seg(tmp_path / "p1" / "aseg", flair, date="20220101")
    (case,) = plan_dicom(tmp_path).cases
    assert case.label == str(newer)
    assert "2 segmentations of the FLAIR series; the newest was taken" in case.problems[0]
    on_t1 = write_seg(tmp_path / "p1" / "t1 seg", t1, date="20190101")
    assert plan_dicom(tmp_path).cases[0].label == str(on_t1)
    assert plan_dicom(tmp_path, reference="FLAIR").cases[0].label == str(newer)


def test_a_list_of_files_is_a_cohort_as_well(tmp_path: Path) -> None:
    files = [str(file) for series in person(tmp_path, 1) for file in series]
    plan = plan_dicom(None, files=files[::-1])
    assert (plan.folder, len(plan.usable), plan.modalities) == ("", 1, ("T1", "FLAIR"))


def test_a_plan_is_made_into_volumes(tmp_path: Path) -> None:
    direction = rotation(20, 10, -30)
    t1 = write_series(tmp_path / "d", array=ARRAY, direction=direction, spacing=(3, 0.8, 0.6), description="t1", modality="MR")
    both = np.concatenate([ARRAY + 100, ARRAY + 500])
    file = write_multiframe(tmp_path / "d" / "enhanced", array=both, direction=direction, spacing=(3, 0.8, 0.6), description="flair")
    dataset = pydicom.dcmread(file)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    for index, group in enumerate(groups):
        group.FrameContentSequence[0].TemporalPositionIndex = 1 + index // 8
        group.PlanePositionSequence = groups[index % 8].PlanePositionSequence
    dataset.save_as(file)
    plan = plan_dicom(tmp_path / "d")
    schema = LabelSchema("one", (LabelClass(1, "lesion", (255, 0, 0)),))
    (case,) = convert(plan.cases, plan.sources, tmp_path / "images", reference="T1", schema=schema)
    assert case.role == "pool"
    np.testing.assert_array_equal(read_volume(case.images["T1"]).array, ARRAY)
    assert read_geometry(case.images["T1"]).same_grid(case.geometry, tolerance=1e-5)
    np.testing.assert_array_equal(read_volume(case.images["FLAIR"]).array, ARRAY + 100)
    origin = Origin.of(case.images["T1"])
    assert origin is not None
    assert [one.file for one in origin.instances] == [str(f) for f in t1]
    second = replace(case, images={"T1": plan.cases[0].images["T1"], "FLAIR": "second"})
    sources = {**plan.sources, "second": Source("dicom series", (str(file),), 1)}
    (case,) = convert([second], sources, tmp_path / "more", reference="T1", schema=schema)
    np.testing.assert_array_equal(read_volume(case.images["FLAIR"]).array, ARRAY + 500)


def test_a_file_that_changed_since_excludes_its_case_when_the_study_is_made(tmp_path: Path) -> None:
    files = write_series(tmp_path / "d", array=ARRAY)
    plan = plan_dicom(tmp_path / "d")
    files[3].write_bytes(files[3].read_bytes()[:-20])
    schema = LabelSchema("one", (LabelClass(1, "lesion", (255, 0, 0)),))
    (case,) = convert(plan.cases, plan.sources, tmp_path / "images", reference="T1", schema=schema)
    assert case.role == "excluded"
    assert "truncated" in case.excluded_reason
