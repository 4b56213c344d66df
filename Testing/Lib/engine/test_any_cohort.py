"""A folder of every kind becomes a prepared study, and what a reader accepts in it goes out again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.files.read import read_labels
from SuggestiveAnnotationLib.cohort.plan import CohortPlan
from SuggestiveAnnotationLib.cohort.recognise import layout_of
from SuggestiveAnnotationLib.engine.cohort import create, create_from_plan, find, with_guessed_schema, with_labels_as
from SuggestiveAnnotationLib.engine.export import export
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyError
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import IDENTITIES, Study
from SuggestiveAnnotationLib.types import SliceRef

SHAPE = (6, 20, 18)
TURNED = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def image(seed: int, *, dtype: type = np.int16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.zeros(SHAPE, dtype)
    out[:, 3:17, 2:16] = rng.integers(50, 400, (6, 14, 14))
    return out


def drawn() -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[1:4, 6:12, 5:9], out[2:5, 6:9, 9:12] = 1, 2
    return out


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing((0.9, 1.1, 3.0))
    picture.SetOrigin((-7.0, 4.0, 11.0))
    picture.SetDirection(TURNED)
    sitk.WriteImage(picture, str(path))
    return path


def by_names(root: Path) -> None:
    for n in range(3):
        write(root / f"case{n}" / "t1.nii.gz", image(n))
        write(root / f"case{n}" / "seg.nii.gz", drawn())


def by_names_with_segmentations(root: Path) -> None:
    """Slicer's segmentations, cropped to what was drawn, numbered differently in every case."""
    for n in range(3):
        like = sitk.ReadImage(str(write(root / f"case{n}_t1.nii.gz", image(n))))
        labels = drawn()[1:5, 6:12, 5:12]
        order = (1, 2) if n % 2 == 0 else (2, 1)
        mask = sitk.GetImageFromArray(np.select([labels == 1, labels == 2], order).astype(np.uint8))
        mask.SetSpacing(like.GetSpacing())
        mask.SetDirection(like.GetDirection())
        mask.SetOrigin(like.TransformIndexToPhysicalPoint((5, 6, 1)))
        for place, name in enumerate(("core", "rim")):
            fields = {"ID": name, "Name": name, "LabelValue": order[place], "Layer": 0, "Color": "1 0 0", "Extent": "0 6 0 5 0 3"}
            for key, value in fields.items():
                mask.SetMetaData(f"Segment{place}_{key}", str(value))
        sitk.WriteImage(mask, str(root / f"case{n}_t1.seg.nrrd"), useCompression=True)


def bids(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "d", "BIDSVersion": "1.9.0"}')
    derivative = root / "derivatives" / "manual"
    derivative.mkdir(parents=True)
    (derivative / "dataset_description.json").write_text('{"Name": "m", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}')
    (derivative / "dseg.tsv").write_text("index\tname\n1\tcore\n2\trim\n")
    for n in range(3):
        write(root / f"sub-{n:02}" / "anat" / f"sub-{n:02}_T1w.nii.gz", image(n))
        write(derivative / f"sub-{n:02}" / "anat" / f"sub-{n:02}_dseg.nii.gz", drawn())


def nnunet(root: Path) -> None:
    for n in range(3):
        write(root / "imagesTr" / f"c_{n:03}_0000.nii.gz", image(n))
        write(root / "labelsTr" / f"c_{n:03}.nii.gz", drawn())
    labels = {"background": 0, "core": 1, "rim": 2, "ignore": 3}
    (root / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1"}, "labels": labels, "numTraining": 3, "file_ending": ".nii.gz"})
    )


def decathlon(root: Path) -> None:
    listed = []
    for n in range(3):
        two = sitk.JoinSeries([sitk.GetImageFromArray(image(10 * n + c)) for c in range(2)])
        two.SetSpacing((0.9, 1.1, 3.0, 1.0))
        (root / "imagesTr").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(two, str(root / "imagesTr" / f"lesion_{n:02}.nii.gz"))
        flat = sitk.GetImageFromArray(drawn())
        flat.SetSpacing((0.9, 1.1, 3.0))
        (root / "labelsTr").mkdir(exist_ok=True)
        sitk.WriteImage(flat, str(root / "labelsTr" / f"lesion_{n:02}.nii.gz"))
        listed.append({"image": f"./imagesTr/lesion_{n:02}.nii.gz", "label": f"./labelsTr/lesion_{n:02}.nii.gz"})
    about = {"name": "Lesion", "tensorImageSize": "4D", "modality": {"0": "FLAIR", "1": "T1"}, "numTraining": 3, "numTest": 0}
    labels = {"0": "background", "1": "core", "2": "rim"}
    (root / "dataset.json").write_text(json.dumps({**about, "labels": labels, "training": listed, "test": []}))


def promise(root: Path) -> None:
    for n in range(3):
        write(root / f"Case{n:02}.mhd", image(n))
        write(root / f"Case{n:02}_segmentation.mhd", (drawn() > 0).astype(np.uint8))


def dicom(root: Path) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import write_series

    for n in range(3):
        write_series(
            root / f"person {n}",
            array=image(n),
            spacing=(3.0, 1.1, 0.9),
            origin=(-7.0, 4.0, 11.0),
            direction=np.reshape(TURNED, (3, 3)),
            patient_id=f"ID-{n}",
            patient_name=f"Meier^Rosa{n}",
            description="t1_mprage_sag",
        )


KINDS: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "names": (by_names, "names", ("label 1", "label 2")),
    "segmentations": (by_names_with_segmentations, "names", ("core", "rim")),
    "BIDS": (bids, "bids", ("core", "rim")),
    "nnU-Net": (nnunet, "dataset-json", ("core", "rim")),
    "Decathlon": (decathlon, "dataset-json", ("core", "rim")),
    "PROMISE12": (promise, "challenge", ("prostate",)),
    "DICOM": (dicom, "dicom", ()),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    KINDS[kind][0](tmp_path / "cohort")
    return tmp_path / "cohort"


def schema_of(kind: str, tmp_path: Path) -> str | None:
    """DICOM without segmentations names no structure; a person does."""
    if kind != "DICOM":
        return None
    path = tmp_path / "schema.json"
    classes = [{"value": 1, "name": "core", "colour": [255, 0, 0]}, {"value": 2, "name": "rim", "colour": [0, 255, 0]}]
    path.write_text(json.dumps({"format": "suggestive-annotation label schema", "version": 1, "name": "two", "classes": classes}))
    return str(path)


def test_the_kind_is_recognised_and_the_structures_have_their_names(kind: str, folder: Path) -> None:
    assert layout_of(folder) == KINDS[kind][1]
    plan = with_guessed_schema(find(folder))
    assert len(plan.usable) == 3
    assert len({c.patient for c in plan.usable}) == 3
    names = () if plan.schema is None else tuple(c.name for c in plan.schema.classes)
    assert tuple(n.casefold() for n in names) == KINDS[kind][2]
    assert CohortPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_study_is_made_prepared_annotated_and_exported(kind: str, folder: Path, tmp_path: Path) -> None:
    plan = find(folder)
    study = create(tmp_path / "study", plan=plan, schema=schema_of(kind, tmp_path))
    prepared = prepare(study, plane="axial", pixels=32)
    assert prepared.excluded == {}
    if kind not in ("DICOM", "PROMISE12"):
        for case in study.cases():
            stack = study.frame(case.name).stack(drawn())
            np.testing.assert_array_equal(study.reference_labels(case.name), stack)
    case = study.cases()[0].name
    frame = study.frame(case)
    labels = np.zeros((frame.rows, frame.columns), np.uint16)
    labels[4:9, 3:7] = 1
    Session(study, annotator="one").accept({SliceRef(case, frame.axis, 2): labels})
    (labelmap, *_rest) = export(study, tmp_path / "out").files
    array, geometry = read_labels(labelmap)
    np.testing.assert_array_equal(frame.stack(array)[2], labels)
    assert geometry.same_grid(study.case(case).geometry)


def test_the_plan_survives_a_dialog(kind: str, folder: Path, tmp_path: Path) -> None:
    plan = with_guessed_schema(find(folder)).to_json()
    if kind == "DICOM":
        plan["schema"] = json.loads(Path(schema_of(kind, tmp_path) or "").read_text(encoding="utf-8"))
    study = create_from_plan(tmp_path / "study", plan=CohortPlan.from_json(json.loads(json.dumps(plan))), name="Dialog")
    assert [c.role for c in study.cases()] == ["pool"] * 3
    assert all(Path(path).is_file() for c in study.cases() for path in c.images.values())


def test_a_study_with_converted_images_can_be_moved(tmp_path: Path) -> None:
    decathlon(tmp_path / "cohort")
    study = create(tmp_path / "study", plan=find(tmp_path / "cohort"))
    study.close()
    (tmp_path / "study").rename(tmp_path / "elsewhere")
    moved = Study(tmp_path / "elsewhere")
    assert all(Path(path).is_relative_to(tmp_path / "elsewhere") for c in moved.cases() for path in c.images.values())
    assert prepare(moved, plane="axial", pixels=32).excluded == {}


def test_an_interrupted_conversion_leaves_no_study_and_the_same_call_goes_on(tmp_path: Path) -> None:
    decathlon(tmp_path / "cohort")
    plan = find(tmp_path / "cohort")

    class AfterTwo(CancelToken):
        def raise_if_cancelled(self) -> None:
            if len(list((tmp_path / "study").rglob("*.nrrd"))) >= 2:
                self.cancel()
            super().raise_if_cancelled()

    with pytest.raises(Cancelled):
        create(tmp_path / "study", plan=plan, cancel=AfterTwo())
    with pytest.raises(InputError, match="There is no study"):
        Study(tmp_path / "study")
    assert len(create(tmp_path / "study", plan=plan).cases()) == 3
    with pytest.raises(StudyError, match="exists and is not empty"):
        create(tmp_path / "study", plan=plan)


def test_nobody_s_name_is_anywhere_but_in_the_property_for_it(tmp_path: Path) -> None:
    dicom(tmp_path / "cohort")
    plan = find(tmp_path / "cohort")
    assert [c.name for c in plan.cases] == ["patient-01", "patient-02", "patient-03"]
    study = create(tmp_path / "study", plan=plan, schema=schema_of("DICOM", tmp_path))
    prepare(study, plane="axial", pixels=32)
    properties = study.properties()
    assert any("Meier" in str(v) for v in properties.pop(IDENTITIES).values())
    assert "Meier" not in json.dumps(properties)
    study.close()
    named = [p for p in (tmp_path / "study").rglob("*") if "Meier" in p.name or "ID-" in p.name]
    named += [p for p in (tmp_path / "study" / "converted").rglob("*") if p.is_file() and b"Meier" in p.read_bytes()]
    assert named == []
    by_id = find(tmp_path / "cohort", patient_ids=True)
    assert [c.name for c in by_id.cases] == ["ID-0", "ID-1", "ID-2"]


def test_labels_for_validation_hold_their_cases_out(tmp_path: Path) -> None:
    by_names(tmp_path / "cohort")
    (tmp_path / "cohort" / "case2" / "seg.nii.gz").unlink()
    plan = with_labels_as(find(tmp_path / "cohort"), "validation", rule="labelled", by=" Dr A ")
    with pytest.raises(InputError, match="letters that cannot be kept"):
        with_labels_as(plan, "validation", by="Dr \udce9")
    study = create(tmp_path / "study", plan=plan)
    assert [c.role for c in study.cases()] == ["validation", "validation", "pool"]
    assert {k: study.settings[k] for k in ("labels_as", "annotated_slices", "labels_by")} == {
        "labels_as": "validation", "annotated_slices": "labelled", "labels_by": "Dr A",
    }  # fmt: skip
    prepare(study, plane="axial", pixels=32)
    ignored = (study.reference_labels("case0") == study.schema.ignore_value).all(axis=(1, 2))
    assert ignored.tolist() == [True, False, False, False, False, True]


def test_a_damaged_segmentation_leaves_out_its_case_alone(tmp_path: Path) -> None:
    by_names_with_segmentations(tmp_path / "cohort")
    files = [tmp_path / "cohort" / f"case{n}_t1.seg.nrrd" for n in range(3)]
    files[1].write_bytes(files[1].read_bytes()[:-20])
    study = create(tmp_path / "study", plan=find(tmp_path / "cohort"))
    assert [one.name for one in study.schema.classes] == ["core", "rim"]
    assert [case.role for case in study.cases()] == ["pool", "excluded", "pool"]
    assert str(files[1]) in study.case("case1").excluded_reason
    for file in files:
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=files[0].name):
        create(tmp_path / "other", plan=find(tmp_path / "cohort"))


def test_what_cannot_be_recognised_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="There are no images in"):
        find(tmp_path)
    with pytest.raises(InputError, match=r"There is no layout zip\. Choose one of dicom, bids"):
        find(tmp_path, layout="zip")
    with pytest.raises(InputError, match="does not exist"):
        find(tmp_path / "nowhere")
