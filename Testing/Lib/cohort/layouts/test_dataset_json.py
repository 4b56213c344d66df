from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SuggestiveAnnotationLib.cohort.convert import convert
from SuggestiveAnnotationLib.cohort.files.channels import read_channel
from SuggestiveAnnotationLib.cohort.files.read import read_volume
from SuggestiveAnnotationLib.cohort.layouts.dataset_json import is_dataset, plan_dataset
from SuggestiveAnnotationLib.cohort.origin import Source
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.recognise import layout_of, plan_folder
from SuggestiveAnnotationLib.errors import InputError

Write = Callable[..., Path]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 300)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.sampled_from(["0", "1", ".nii.gz"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["0", "1", "images", "label", "image", "ignore"]), inner, max_size=3)
    ),
    max_leaves=8,
)
V2: dict[str, Any] = {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "PZ": 1, "TZ": 2, "ignore": 3},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
MSD: dict[str, Any] = {
    "name": "BRATS",
    "tensorImageSize": "4D",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
    "numTraining": 2,
    "training": [
        {"image": "./imagesTr/BRATS_1.nii.gz", "label": "./labelsTr/BRATS_1.nii.gz"},
        {"image": "./imagesTr/BRATS_2.nii.gz", "label": "./labelsTr/BRATS_2.nii.gz"},
    ],
    "test": ["./imagesTs/BRATS_9.nii.gz"],
}


def describe(root: Path, data: dict[str, Any], **changes: Any) -> None:
    (root / "dataset.json").write_text(json.dumps({**data, **changes}))


def nnunet(write_image: Write, array: np.ndarray, root: Path, **changes: Any) -> None:
    for n, case in enumerate(("prostate_00", "prostate_01")):
        for channel in (0, 1):
            write_image(f"imagesTr/{case}_{channel:04d}.nii.gz", seed=2 * n + channel)
        write_image(f"labelsTr/{case}.nii.gz", array)
    describe(root, V2, **changes)


def decathlon(write_image: Write, labels: np.ndarray, root: Path, **changes: Any) -> np.ndarray:
    four = np.random.default_rng(0).normal(100, 20, (4, *labels.shape)).astype(np.float32)
    for folder, case in (("Tr", "BRATS_1"), ("Tr", "BRATS_2"), ("Ts", "BRATS_9")):
        write_image(f"images{folder}/{case}.nii.gz", four)
    for case in ("BRATS_1", "BRATS_2"):
        write_image(f"labelsTr/{case}.nii.gz", labels)
    (root / "imagesTr/._BRATS_1.nii.gz").write_bytes(b"resource fork")
    describe(root, MSD, **changes)
    return four


def test_an_nnunet_dataset_is_read_with_its_names(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    nnunet(write_image, labels, tmp_path)
    for channel in (0, 1):
        write_image(f"imagesTs/prostate_07_{channel:04d}.nii.gz", seed=9)
    assert is_dataset(tmp_path)
    assert layout_of(tmp_path) == "dataset-json"
    plan = plan_dataset(tmp_path)
    assert (plan.layout, plan.modalities, plan.reference) == ("nnU-Net", ("T2", "ADC"), "T2")
    assert [(c.name, c.patient, c.role) for c in plan.usable] == [
        ("prostate_00", "prostate_00", "pool"),
        ("prostate_01", "prostate_01", "pool"),
        ("prostate_07", "prostate_07", "test"),
    ]
    assert plan.cases[1].images == {m: str(tmp_path / f"imagesTr/prostate_01_000{i}.nii.gz") for i, m in enumerate(("T2", "ADC"))}
    assert plan.cases[1].label == str(tmp_path / "labelsTr/prostate_01.nii.gz")
    assert plan.cases[2].label is None
    assert plan.patterns == {"T2": "images*/*_0000.nii.gz", "ADC": "images*/*_0001.nii.gz"}
    assert plan.schema is not None
    assert [(c.value, c.name) for c in plan.schema.classes] == [(1, "PZ"), (2, "TZ")]
    assert (plan.schema.ignore_value, plan.warnings, plan.guessed) == (3, (), frozenset())
    assert CohortPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_regions_become_structures_and_regions(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    given = {"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing tumour": 3, "ignore": 4}
    nnunet(write_image, labels, tmp_path, labels=given, regions_class_order=[1, 2, 3])
    schema = plan_dataset(tmp_path).schema
    assert schema is not None
    assert [(c.value, c.name) for c in schema.classes] == [
        (1, "whole tumour, value 1"),
        (2, "tumour core, value 2"),
        (3, "enhancing tumour"),
    ]
    assert schema.regions == {"whole tumour": (1, 2, 3), "tumour core": (2, 3), "enhancing tumour": (3,)}
    assert schema.ignore_value == 4


def test_explicit_paths_are_followed_inside_the_folder_only(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("set/raw/a_t2.nii.gz", "set/raw/a_adc.nii.gz", "outside/x.nii.gz"):
        write_image(name)
    write_image("set/raw/a_seg.nii.gz", labels)
    good = {"images": ["raw/a_t2.nii.gz", "./raw/../raw/a_adc.nii.gz"], "label": "raw/a_seg.nii.gz"}
    up = {"images": ["../outside/x.nii.gz", "raw/a_adc.nii.gz"], "label": "raw/a_seg.nii.gz"}
    absolute = {"images": [str(tmp_path / "outside/x.nii.gz"), "raw/a_adc.nii.gz"], "label": None}
    describe(root, V2, dataset={"a": good, "up": up, "absolute": absolute}, numTraining=3)
    plan = plan_dataset(root)
    assert [c.name for c in plan.usable] == ["a"]
    assert plan.usable[0].images == {"T2": str(root / "raw/a_t2.nii.gz"), "ADC": str(root / "raw/a_adc.nii.gz")}
    assert plan.usable[0].label == str(root / "raw/a_seg.nii.gz")
    assert {c.name: "is outside" in c.excluded_reason for c in plan.excluded} == {"up": True, "absolute": True}


def test_the_first_version_of_nnunet_is_read(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    nnunet(write_image, labels, tmp_path)
    first = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "training": [{"image": f"./imagesTr/prostate_0{n}.nii.gz", "label": f"./labelsTr/prostate_0{n}.nii.gz"} for n in (0, 1)],
        "test": [],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(first))
    plan = plan_dataset(tmp_path)
    assert (plan.layout, [c.name for c in plan.usable], plan.modalities) == ("nnU-Net", ["prostate_00", "prostate_01"], ("T2", "ADC"))
    assert plan.cases[0].images["ADC"].endswith("prostate_00_0001.nii.gz")
    assert plan.schema is not None
    assert ([c.name for c in plan.schema.classes], plan.schema.ignore_value) == (["PZ", "TZ"], 255)


def test_the_decathlon_with_four_channels_a_file(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    four = decathlon(write_image, labels, tmp_path)
    plan = plan_dataset(tmp_path)
    assert (plan.layout, plan.modalities) == ("Medical Segmentation Decathlon", ("FLAIR", "T1w", "t1gd", "T2w"))
    assert [(c.name, c.role) for c in plan.usable] == [("BRATS_1", "pool"), ("BRATS_2", "pool"), ("BRATS_9", "test")]
    path = str(tmp_path / "imagesTr/BRATS_1.nii.gz")
    assert plan.cases[0].images == {m: f"{path}#{i}" for i, m in enumerate(plan.modalities)}
    assert plan.sources[f"{path}#2"] == Source("channel", (path,), 2)
    assert plan.cases[0].geometry.size == (7, 6, 5)
    assert plan.schema is not None
    assert [c.name for c in plan.schema.classes] == ["edema", "non-enhancing tumor", "enhancing tumour"]
    made = convert(plan.cases[:1], plan.sources, tmp_path / "study", reference=plan.reference, schema=plan.schema)
    for channel, modality in enumerate(plan.modalities):
        volume = read_volume(made[0].images[modality])
        assert np.array_equal(volume.array, four[channel])
        assert volume.geometry == plan.cases[0].geometry
        assert np.array_equal(volume.array, read_channel(path, channel).array)


def test_the_decathlon_with_one_channel_needs_no_conversion(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    write_image("imagesTr/la_003.nii.gz")
    write_image("labelsTr/la_003.nii.gz", labels)
    entry = {"image": "./imagesTr/la_003.nii.gz", "label": "./labelsTr/la_003.nii.gz"}
    describe(tmp_path, MSD, modality={"0": "MRI"}, labels={"0": "background", "1": "left atrium"}, training=[entry], test=[], numTraining=1)
    plan = plan_dataset(tmp_path)
    assert (plan.cases[0].images, plan.sources) == ({"MRI": str(tmp_path / "imagesTr/la_003.nii.gz")}, {})
    assert plan.patterns == {"MRI": "images*/*.nii.gz"}
    assert plan.warnings == ()


def test_patterns_overrule_the_file(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    decathlon(write_image, labels, tmp_path)
    write_image("second/BRATS_1.nii.gz", labels)
    plan = plan_folder(tmp_path, images={"after": "*#2", "before": "*#1"}, label="second/*", reference="before")
    assert (plan.modalities, plan.reference) == (("after", "before"), "before")
    assert plan.cases[0].images["after"].endswith("BRATS_1.nii.gz#2")
    assert [c.label for c in plan.cases] == [str(tmp_path / "second/BRATS_1.nii.gz"), None, None]
    assert plan_dataset(tmp_path, label="").cases[0].label is None
    with pytest.raises(InputError, match=r'No file of a case fits the pattern "t9/\*" for T9'):
        plan_dataset(tmp_path, images={"T9": "t9/*"})
    with pytest.raises(InputError, match="no modality T2 in"):
        plan_dataset(tmp_path, reference="T2")


def test_a_table_gives_roles_and_patients(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    nnunet(write_image, labels, tmp_path)
    table = tmp_path / "people.csv"
    table.write_text("case,patient,role\nprostate_00,A,test\nprostate_01,B,train\n")
    assert [(c.patient, c.role) for c in plan_dataset(tmp_path, table=table).cases] == [("A", "test"), ("B", "pool")]


def test_visits_share_the_patient(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n, case in enumerate(("P01_baseline", "P01_followup", "P02_baseline", "P03_baseline")):
        for channel in (0, 1):
            write_image(f"images{'Ts' if n == 3 else 'Tr'}/{case}_{channel:04d}.nii.gz", seed=n)
    describe(tmp_path, V2, numTraining=3)
    plan = plan_dataset(tmp_path)
    assert [(c.patient, c.role) for c in plan.usable] == [
        ("P01", "pool"),
        ("P01", "pool"),
        ("P02_baseline", "pool"),
        ("P03_baseline", "test"),
    ]
    (said,) = plan.warnings
    assert "2 cases are visits of 1 person (P01_baseline: P01); visits of a person stay on one side of a split." in said
    table = tmp_path / "people.csv"
    table.write_text("case,patient\nP01_baseline,A\nP01_followup,B\nP02_baseline,A\nP03_baseline,C\n", encoding="utf-8")
    assert [c.patient for c in plan_dataset(tmp_path, table=table).usable] == ["A", "B", "A", "C"]


def test_frames_that_may_be_of_one_person_are_asked_about(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for n, frame in ((1, "01"), (1, "12"), (2, "01"), (2, "08")):
        for channel in (0, 1):
            write_image(f"imagesTr/patient00{n}_frame{frame}_{channel:04d}.nii.gz", seed=n)
        write_image(f"labelsTr/patient00{n}_frame{frame}.nii.gz", labels)
    describe(tmp_path, V2, numTraining=4)
    (said,) = plan_dataset(tmp_path).warnings
    assert said.startswith("patient001_frame01 and patient001_frame12 may be of one person")
    assert "--table" in said


def test_files_that_are_missing_or_do_not_fit_exclude_their_case(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    decathlon(write_image, labels, tmp_path)
    (tmp_path / "labelsTr/BRATS_2.nii.gz").unlink()
    write_image("imagesTs/BRATS_9.nii.gz", np.random.default_rng(0).normal(size=(3, *labels.shape)))
    plan = plan_dataset(tmp_path)
    reasons = {c.name: c.excluded_reason for c in plan.excluded}
    assert reasons.keys() == {"BRATS_2", "BRATS_9"}
    assert "labelsTr/BRATS_2.nii.gz is missing, although" in reasons["BRATS_2"]
    assert "has 3 channels, but" in reasons["BRATS_9"]


def test_a_case_of_nnunet_without_a_channel_is_excluded(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    nnunet(write_image, labels, tmp_path)
    (tmp_path / "imagesTr/prostate_00_0000.nii.gz").unlink()
    write_image("imagesTr/prostate_01_0002.nii.gz")
    plan = plan_dataset(tmp_path)
    assert "there is none called prostate_00_0000" in plan.cases[0].excluded_reason
    assert "prostate_01 has 3 channels, but" in plan.cases[1].excluded_reason


def test_what_is_not_described_and_what_does_not_add_up_is_said(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    decathlon(write_image, labels, tmp_path, numTraining=484)
    write_image("imagesTr/stray.nii.gz")
    text = " ".join(plan_dataset(tmp_path).warnings)
    assert "promises 484 training cases; there are 2" in text
    assert "1 image is not what" in text
    assert "imagesTr/stray.nii.gz" in text


def test_a_number_sign_in_a_name_makes_no_stray_image(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    for channel in (0, 1):
        write_image(f"imagesTr/case#3_{channel:04d}.nii.gz", seed=channel)
    write_image("labelsTr/case#3.nii.gz", labels)
    describe(tmp_path, V2, numTraining=1)
    plan = plan_dataset(tmp_path)
    assert ([c.name for c in plan.usable], plan.warnings) == (["case#3"], ())


@pytest.mark.parametrize("make", [nnunet, decathlon])
def test_a_name_that_cannot_be_shown_is_said(make: Callable[..., Any], write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    make(write_image, labels, tmp_path)
    write_image("imagesTr/bell\x07_0000.nii.gz")
    (said,) = plan_dataset(tmp_path).warnings
    assert "imagesTr/bell\\x07_0000.nii.gz' has characters in its name that cannot be shown" in said


def test_one_name_in_both_lists_becomes_two_cases(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    decathlon(write_image, labels, tmp_path, test=["./imagesTr/BRATS_1.nii.gz"])
    plan = plan_dataset(tmp_path)
    assert [(c.name, c.role) for c in plan.usable] == [("BRATS_1", "pool"), ("BRATS_1_Ts", "test"), ("BRATS_2", "pool")]
    assert "two cases BRATS_1" in plan.warnings[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channel_names": None}, "names a sequence"),
        ({"channel_names": {"0": "T2", "2": "ADC"}}, "not 0, 1, 2"),
        ({"channel_names": {"0": "T2", "1": 7}}, "a sequence has no name"),
        ({"labels": {}}, '"labels" is missing or empty'),
        ({"labels": {"background": 0}}, "names no structure but the background"),
        ({"labels": {"a": 1, "b": 1}}, 'value 1 is both "a" and "b"'),
        ({"labels": {"a": 1.5}}, "has the value 1.5"),
        ({"labels": {"a": True}}, "has the value True"),
        ({"labels": {"a": 70000}}, "has the value 70000"),
        ({"labels": {"a": -1}}, "has the value -1"),
        ({"labels": {"a": [0, 1]}}, 'region "a" is empty or contains the background'),
        ({"labels": {"a": [[1]]}}, r"has the value \[1\]"),
        ({"labels": {"a": 1, "ignore": 1}}, 'value 1 is both "ignore" and a structure'),
        ({"labels": {"a": 1, "ignore": [2]}}, '"ignore" is not one value above 0'),
        ({"file_ending": ".png"}, r"files end in \.png, which cannot be read"),
        ({"file_ending": ".nrrd"}, r"no images called <case>_0000\.nrrd"),
        ({"dataset": []}, '"dataset" lists no case'),
        ({"dataset": {"a": {"images": []}}}, '"a" in "dataset" has no list of images'),
    ],
)
def test_broken_descriptions_are_refused_with_the_rule(
    write_image: Write, labels: np.ndarray, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    nnunet(write_image, labels, tmp_path, **changes)
    with pytest.raises(InputError, match=sentence):
        plan_dataset(tmp_path)


@pytest.mark.parametrize("entry", [3, None, {"label": "x"}, {"image": 4}, [], ""])
def test_broken_lists_are_refused(write_image: Write, labels: np.ndarray, tmp_path: Path, entry: Any) -> None:
    decathlon(write_image, labels, tmp_path, training=[entry])
    with pytest.raises(InputError, match='an entry of "training" names no image'):
        plan_dataset(tmp_path)
    describe(tmp_path, MSD, training={"image": "x"})
    with pytest.raises(InputError, match='"training" is not a list'):
        plan_dataset(tmp_path)


@pytest.mark.parametrize("path", ["a\0b.nii.gz", "x" * 5000 + ".nii.gz", ".", "..", "/", "imagesTr", "dataset.json", ".nii.gz"])
def test_strange_paths_do_no_harm(write_image: Write, labels: np.ndarray, tmp_path: Path, path: str) -> None:
    decathlon(write_image, labels, tmp_path, training=[*MSD["training"], {"image": path, "label": path}])
    plan = plan_dataset(tmp_path)
    assert len(plan.excluded) == 1
    assert len(plan.usable) == 3


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"x"', "[" * 100_000, "\xff\xfe", '{"labels": ' + "9" * 5000 + "}"])
def test_a_damaged_file_is_named(write_image: Write, labels: np.ndarray, tmp_path: Path, text: str) -> None:
    nnunet(write_image, labels, tmp_path)
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    assert is_dataset(tmp_path)
    with pytest.raises(InputError, match=r"dataset\.json"):
        plan_dataset(tmp_path)


def test_other_folders_with_such_a_file_are_not_taken_for_datasets(write_image: Write, tmp_path: Path) -> None:
    write_image("a_T1.nii.gz")
    assert not is_dataset(tmp_path)
    for text in ("{", '{"title": "web data"}', "[]"):
        (tmp_path / "dataset.json").write_text(text)
        assert not is_dataset(tmp_path)


def test_names_that_stand_twice_are_told_apart(write_image: Write, labels: np.ndarray, tmp_path: Path) -> None:
    nnunet(write_image, labels, tmp_path, channel_names={"0": "MRI", "1": "MRI"}, labels={"Left-Putamen": 1, "Right-Putamen": 2, "stem": 3})
    plan = plan_dataset(tmp_path)
    assert plan.modalities == ("MRI 0", "MRI 1")
    assert plan.schema is not None
    assert [c.partner for c in plan.schema.classes] == [2, 1, None]
    assert len({c.colour for c in plan.schema.classes}) == 3


@pytest.mark.parametrize("kind", ["nnU-Net", "Decathlon"])
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted({*V2, *MSD, "dataset"})), value=ANYTHING)
def test_whatever_the_file_says_there_is_a_plan_or_a_sentence(
    write_image: Write, labels: np.ndarray, tmp_path: Path, kind: str, key: str, value: Any
) -> None:
    if not (tmp_path / "imagesTr").is_dir():
        (nnunet if kind == "nnU-Net" else decathlon)(write_image, labels, tmp_path)
    describe(tmp_path, V2 if kind == "nnU-Net" else MSD, **{key: value})
    said, plan = "", None
    try:
        plan = plan_dataset(tmp_path)
    except InputError as error:
        said = str(error)
    assert str(tmp_path) in said or (plan is not None and plan.schema is not None and all(c.excluded_reason for c in plan.excluded))
