"""Labelmaps by what became of the annotations, as files and as arrays for a scene."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SuggestiveAnnotationLib.engine.export import annotations_in, case_labelmap, export
from SuggestiveAnnotationLib.errors import ExistsError, InputError, StudyError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study import annotation_rows
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import SliceRef

MakeStudy = Callable[..., Study]
OBLIQUE = (0, 0, 1, 1, 0, 0, 0, -1, 0)
IGNORE = 255


@pytest.fixture
def study(make_study: MakeStudy) -> Study:
    """Two slices of one case accepted, one of them approved by a second reader; a slice of another case accepted, and a draft."""
    study = make_study(prepared=True, direction=OBLIQUE)
    one, two = Session(study, annotator="one"), Session(study, annotator="two")
    first, second = (SliceRef("case0", study.frame("case0").axis, k) for k in (2, 5))
    one.accept({first: drawing(study, 1), second: drawing(study, 2)})
    one.accept({SliceRef("case1", first.axis, 3): drawing(study, 1)})
    one.draft(SliceRef("case1", first.axis, 4), drawing(study, 2))
    two.review([second], verdict="approved")
    return study


def drawing(study: Study, value: int) -> np.ndarray:
    """A corner and a bar, so that neither a flip nor a transposition goes unnoticed."""
    frame = study.frame("case0")
    out = np.zeros((frame.rows, frame.columns), np.uint16)
    out[0, 0], out[3, 2:7] = value, value
    return out


def expected(study: Study, case: str, slices: dict[int, int]) -> np.ndarray:
    """Native labels: slice -> value drawn, the ignore value elsewhere."""
    volume = np.full(study.case(case).geometry.shape, IGNORE, np.uint16)
    stack = study.frame(case).stack(volume)
    for index, value in slices.items():
        stack[index] = drawing(study, value)
    return volume


@pytest.mark.parametrize(
    ("states", "slices"),
    [(("accepted", "reviewed"), {2: 1, 5: 2}), (("reviewed",), {5: 2}), (("accepted",), {2: 1}), ((), {})],
)
def test_a_labelmap_holds_the_slices_in_the_states_asked_for(study: Study, states: tuple[str, ...], slices: dict[int, int]) -> None:
    labels, mask = case_labelmap(study, "case0", states=states)
    np.testing.assert_array_equal(labels, expected(study, "case0", slices))
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(mask != 0, expected(study, "case0", slices) != IGNORE)


def test_what_is_exported_is_what_is_trained_on_also_after_the_clock_was_set_back(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SliceRef("case0", study.frame("case0").axis, 2)
    monkeypatch.setattr(annotation_rows, "now", lambda: "2020-01-01T00:00:00.000+00:00")
    Session(study, annotator="two").accept({ref: drawing(study, 2)})
    (trained_on,) = (a for a in study.annotations() if a.ref == ref)
    assert trained_on.annotator == "two"
    np.testing.assert_array_equal(case_labelmap(study, "case0")[0], expected(study, "case0", {2: 2, 5: 2}))


def test_an_nnunet_dataset_is_replaced_by_its_own_study_only(study: Study, make_study: MakeStudy, tmp_path: Path) -> None:
    def labels() -> dict[str, list[str]]:
        return {path.name: sorted(p.name for p in (path / "labelsTr").iterdir()) for path in (tmp_path / "out").iterdir()}

    other = make_study(prepared=True, name="other")
    Session(other, annotator="one").accept({SliceRef("case2", 0, 4): drawing(other, 1)})
    # As when two people call their studies alike.
    other.set_property("name", study.name)
    other = Study(other.path)
    for one in (study, other):
        export(one, tmp_path / "out", format="nnunet", overwrite=True)
    first = {"Dataset501_study": ["case0.nii.gz", "case1.nii.gz"]}
    assert labels() == {**first, "Dataset502_study": ["case2.nii.gz"]}
    Session(other, annotator="one").accept({SliceRef("case1", 0, 4): drawing(other, 1)})
    said = export(other, tmp_path / "out", format="nnunet", overwrite=True).left_out
    assert labels() == {**first, "Dataset502_study": ["case1.nii.gz", "case2.nii.gz"]}
    assert [one for one in said if "it stays" in one] == [
        f"Dataset501_study in {tmp_path / 'out'} has the title of this study, but is not known to be its export: it stays."
    ]


def test_files_hold_the_same_and_lie_where_the_image_lies(study: Study, tmp_path: Path) -> None:
    files = export(study, tmp_path / "out", states=("reviewed",)).files
    labelmap, mask, sidecar = files
    image, reference = sitk.ReadImage(str(labelmap)), sitk.ReadImage(study.case("case0").images["t1"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected(study, "case0", {5: 2}))
    np.testing.assert_allclose(image.GetDirection(), reference.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), reference.GetOrigin(), atol=1e-5)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(mask))).any()
    listed = json.loads(sidecar.read_text(encoding="utf-8"))
    assert "case0" in json.dumps(listed)


def test_without_a_choice_all_that_is_accepted_is_exported_and_no_draft(study: Study, tmp_path: Path) -> None:
    files = export(study, tmp_path / "out", format="nrrd").files
    assert sorted({f.name.split("_")[0].split("-")[0].split(".")[0] for f in files}) == ["case0", "case1"]
    labels, _ = case_labelmap(study, "case1")
    np.testing.assert_array_equal(labels, expected(study, "case1", {3: 1}))
    only = export(study, tmp_path / "one", cases=["case1"]).files
    assert len(only) == 3


def test_of_two_readers_the_later_accept_is_exported_unless_only_the_approved_is_asked_for(study: Study) -> None:
    ref = SliceRef("case0", study.frame("case0").axis, 5)
    Session(study, annotator="three", blind=True).accept({ref: drawing(study, 1)})
    np.testing.assert_array_equal(case_labelmap(study, "case0")[0], expected(study, "case0", {2: 1, 5: 1}))
    np.testing.assert_array_equal(case_labelmap(study, "case0", states=("reviewed",))[0], expected(study, "case0", {5: 2}))


def test_a_returned_slice_is_in_no_export(study: Study) -> None:
    Session(study, annotator="two").review([SliceRef("case0", study.frame("case0").axis, 2)], verdict="returned")
    assert {a.ref.native_index for a in annotations_in(study, ("accepted", "reviewed"), case="case0")} == {5}


def test_states_that_are_none_and_an_empty_choice_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Slices that are draft cannot be exported\. Choose from accepted and reviewed"):
        export(study, tmp_path / "out", states=("draft",))
    with pytest.raises(StudyError, match="no reviewed slice to export"):
        export(study, tmp_path / "out", cases=["case1"], states=("reviewed",))
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_said(study: Study, tmp_path: Path) -> None:
    Session(study, annotator="one").draft(SliceRef("case0", study.frame("case0").axis, 7), drawing(study, 1))
    done = export(study, tmp_path / "out", cases=["case0"], states=("reviewed",))
    assert done.left_out == (
        "2 drafts that nobody accepted.",
        "1 accepted slice that no other reader approved, as only reviewed ones were chosen.",
        "1 accepted slice of case case1, which was not chosen.",
    )
    # A case whose slices are all in the other state was not left out by its name.
    assert export(study, tmp_path / "reviewed", states=("reviewed",)).left_out == (
        "2 drafts that nobody accepted.",
        "2 accepted slices that no other reader approved, as only reviewed ones were chosen.",
    )
    assert export(study, tmp_path / "accepted", states=("accepted",)).left_out == (
        "2 drafts that nobody accepted.",
        "1 accepted slice that another reader approved, as only unreviewed ones were chosen.",
    )


def test_an_unknown_format_and_model_output_where_there_is_no_place_for_it_are_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no export format docx\. Choose one of nii\.gz, nrrd"):
        export(study, tmp_path / "out", format="docx")
    with pytest.raises(InputError, match=r"The format csv has no place for model output\. Choose nii\.gz or nrrd"):
        export(study, tmp_path / "out", format="csv", completed=True)


def test_files_of_cases_that_no_longer_go_out_are_named_and_kept(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(study, out)
    stranger = {"format": "another", "files": {"labelmap": {"name": "case1_other.nii.gz"}}}
    (out / "case1_other.json").write_text(json.dumps(stranger), encoding="utf-8")
    for name, text in (
        ("case1_other.nii.gz", "mine"),
        ("broken.json", "{"),
        ("list.json", "[1]"),
        ("names.json", json.dumps({**stranger, "files": 3})),
    ):
        (out / name).write_text(text, encoding="utf-8")
    before = {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith("case0")}
    done = export(study, out, cases=["case0"], overwrite=True)
    says = f"3 files of earlier exports are still in {out}, such as case1_annotation.nii.gz: remove what is not wanted any more."
    assert done.left_out[-1] == says
    assert {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith("case0")} == before
    assert not any("earlier" in one for one in export(study, out, overwrite=True).left_out)
    assert not any("earlier" in one for one in export(study, out, format="csv", overwrite=True).left_out)


def test_every_format_keeps_a_json_of_its_own_in_one_folder(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for format in ("nii.gz", "seg.nrrd", "nii.gz", "seg.nrrd", "nrrd"):
        done = export(study, out, format=format, cases=["case0"], overwrite=True)
        named = json.loads(done.files[2].read_text(encoding="utf-8"))["files"]
        assert [one["name"] for one in named.values()] == [path.name for path in done.files[:2]]
    assert {path.name for path in out.glob("*.json")} == {
        "case0_annotation.json", "case0_annotation.seg.nrrd.json", "case0_annotation.nrrd.json",
    }  # fmt: skip
    for sidecar in out.glob("*.json"):
        for one in json.loads(sidecar.read_text(encoding="utf-8"))["files"].values():
            assert hashlib.sha256((out / one["name"]).read_bytes()).hexdigest() == one["sha256"]
    # Without the labels that it tells of, a JSON is no other format's any more.
    (out / "case0_annotation.nii.gz").unlink()
    assert export(study, out, format="nrrd", cases=["case0"], overwrite=True).files[2].name == "case0_annotation.json"


def test_files_that_are_there_are_told_apart_from_other_bad_input(study: Study, tmp_path: Path) -> None:
    export(study, tmp_path / "out")
    with pytest.raises(ExistsError) as error:
        export(study, tmp_path / "out")
    assert error.value.kind == "exists"
    assert export(study, tmp_path / "out", overwrite=True).files
