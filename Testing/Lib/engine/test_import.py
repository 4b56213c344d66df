"""`annotations import`: which slices of a file are taken, as what, and from segmentations too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import SimpleITK as sitk
from partly_labelled import SAYING, partly, slices, suggested, suggestion

from SuggestiveAnnotationLib.engine.annotations import import_annotations
from SuggestiveAnnotationLib.errors import InputError, StudyError
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import AnnotatedRule, SliceRef

MakeStudy = Callable[..., Study]


def test_an_explicit_rule_decides_which_slices_of_a_file_are_taken(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1, change_labels=partly)
    path = Path(study.case("case0").label)
    for rule in get_args(AnnotatedRule):
        done = import_annotations(study, path, case="case0", annotator=rule, rule=rule)
        assert slices(done.refs) == {"case0": SAYING[rule]}
    # By itself the file tells: what is ignored throughout was not annotated, all else was.
    done = import_annotations(study, path, case="case0", annotator="file")
    assert slices(done.refs) == {"case0": SAYING["marked"]}
    assert "Nobody named the slices, so those that are not marked ignore throughout were taken." in done.notes
    with pytest.raises(InputError, match=r"Both a list of slices and the rule span were given .* Give one of them"):
        import_annotations(study, path, case="case0", annotator="x", slices="3", rule="span")


def test_an_import_says_what_it_replaces_and_what_the_person_may_not_have_meant(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, roles=("pool", "test"))

    def told(case: str, annotator: str, listed: str | None) -> tuple[str, ...]:
        return import_annotations(study, Path(study.case(case).label), case=case, annotator=annotator, slices=listed).notes

    assert told("case0", "Dr A", "3-5") == ()
    assert told("case0", "Dr A", "5,6") == ("1 slice that Dr A had accepted is replaced; what was there stays in the study as superseded.",)
    assert told("case0", "Dr a", "3-4") == (
        "2 slices that Dr A had accepted are accepted by Dr a as well; the later one is trained on.",
        "Dr a is a new annotator; the study has Dr A.",
    )
    assert told("case1", "Dr A", None) == (
        "Nobody named the slices, so those that hold a label were taken.",
        "Case case1 is a test case, so its slices are not trained on.",
    )


def test_imported_pre_annotation_is_shown_and_counts_for_nothing_until_accepted(make_study: MakeStudy) -> None:
    study = make_study(prepared=True, cases=1, labelled=False, change_labels=partly)
    path = study.path.parent / "study-cohort" / "case0_label.nii.gz"
    ref = SliceRef("case0", 0, 5)
    suggested(study, suggestion(ref, 0))
    session = Session(study, annotator="reader")
    for _ in range(2):
        done = import_annotations(study, path, case="case0", annotator="Dr X", rule="labelled", as_="pre-annotation")
        assert done.notes == ()
        assert slices(done.refs) == {"case0": [2, 5]}
    (model,) = study.models("imported")
    assert (model.card["by"], model.card["labels"]["case0"]["slices"]) == ("Dr X", [3, 6])
    assert study.annotations() == ()
    shown = session.shown_labels(ref)
    assert (shown.origin, set(np.unique(shown.labels))) == ("pre-annotation", {0, 2})
    with pytest.raises(StudyError, match="needs a name"):
        import_annotations(study, path, case="case0", annotator=" ", as_="pre-annotation")


def test_a_segmentation_finds_its_structures_by_name_and_its_place_on_the_grid(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(prepared=True, cases=1)
    path = tmp_path / "drawn.seg.nrrd"
    whole = sitk.ReadImage(study.case("case0").images["t1"])
    cropped = np.zeros((2, 4, 5), np.uint8)
    cropped[0, 1:3, 1:4] = 7
    image = sitk.GetImageFromArray(cropped)
    image.SetSpacing(whole.GetSpacing())
    image.SetDirection(whole.GetDirection())
    image.SetOrigin(whole.TransformIndexToPhysicalPoint((6, 9, 3)))
    fields = {"ID": "s", "Name": "Right lobe", "LabelValue": "7", "Layer": "0", "Color": "0.1 0.2 0.3", "Extent": "0 4 0 3 0 1"}
    for key, value in fields.items():
        image.SetMetaData(f"Segment0_{key}", value)
    sitk.WriteImage(image, str(path))
    done = import_annotations(study, path, case="case0", annotator="Dr A")
    assert slices(done.refs) == {"case0": [3]}
    expected = np.zeros((24, 20), np.uint16)
    expected[10:12, 7:10] = 2
    np.testing.assert_array_equal(study.annotations()[0].labels, expected)
    image.SetMetaData("Segment0_Name", "spleen")
    sitk.WriteImage(image, str(path))
    with pytest.raises(InputError, match="structures that are not in schema two lobes: spleen"):
        import_annotations(study, path, case="case0", annotator="Dr A")
