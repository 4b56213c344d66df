"""A small study to export tables and cards of: two readers, a review, imported labels, a trained model, a suggestion, free text to fear."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SuggestiveAnnotationLib.cohort.acquired import acquired_plane
from SuggestiveAnnotationLib.engine.predict import predict_slices
from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.engine.train import train
from SuggestiveAnnotationLib.geometry import SliceFrame
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion

OPTIONS = RoundOptions(network="tiny", steps=2, batch=4, budget=2, device="cpu", seed=11)
BY, READER, SECOND = "Dr Before", "=HYPERLINK(1)", "Dr | Two"
OBLIQUE = (0, 0, 1, 1, 0, 0, 0, -1, 0)
_made: list[Path] = []


def exported_study(make_study: Callable[..., Study], folder: Path) -> Study:
    """A copy of the study in `folder`; it is made once a run. Its cohort stays where it was made.

    Round 0: slice 2 of `case0` corrected from imported labels of 6 x 6 pixels to 6 x 8, and approved; slice 5 drawn by two readers; slice 6
    of `case1`, an audit slice, empty, after a model was trained and had predicted it; `case2` excluded with an accepted slice; a draft.
    """
    if not _made:
        study = _with_imported_labels(make_study)
        _work(study)
        study.close()
        _made.append(study.path)
    shutil.copytree(_made[0], folder / "copy")
    return Study(folder / "copy")


def square(study: Study, *, width: int = 6, value: int = 1) -> np.ndarray:
    """A canonical slice with a rectangle of 6 rows, `width` columns wide."""
    frame = study.frame("case0")
    out = np.zeros((frame.rows, frame.columns), np.uint16)
    out[1:7, 4 : 4 + width] = value
    return out


def _with_imported_labels(make_study: Callable[..., Study]) -> Study:
    study = make_study(
        direction=OBLIQUE, name="made-once", change_labels=lambda index, labels: labels * 0,
        settings={"labels_as": "pre-annotation", "annotated_slices": "labelled", "labels_by": BY, "seed": 5},
    )  # fmt: skip
    case = study.case("case0")
    image = sitk.ReadImage(case.label)
    labels = sitk.GetArrayFromImage(image)
    SliceFrame.of(case.geometry, acquired_plane(study.cases())).stack(labels)[2, 1:7, 4:10] = 1
    drawn = sitk.GetImageFromArray(labels)
    drawn.CopyInformation(image)
    sitk.WriteImage(drawn, case.label)
    prepare(study, pixels=32)
    return study


def _work(study: Study) -> None:
    axis = study.frame("case0").axis
    two, five, six, elsewhere = (SliceRef(*at) for at in (("case0", axis, 2), ("case0", axis, 5), ("case1", axis, 6), ("case2", axis, 1)))
    why = Rationale("random", "Drawn at random.", score=0.25)
    study.start_round(
        strategy="random", budget=2, seed=7, unit="slice", settings={"budget": 2},
        suggestions=[Suggestion(two, 0, why), Suggestion(six, 1, replace(why, score=None), kind="audit")],
    )  # fmt: skip
    study.enter_stage(0, "annotating")
    one, other = Session(study, annotator=READER), Session(study, annotator=SECOND)
    one.open(two)
    one.accept({two: square(study, width=8)}, minutes={two: 1.5})
    other.review([two], verdict="approved")
    one.accept({five: square(study, value=2)}, minutes={five: 0.25})
    Session(study, annotator=SECOND, blind=True).accept({five: square(study, width=3, value=2)})
    train(study, options=OPTIONS, seed=11, round_number=0)
    predict_slices(study, [six], device="cpu")
    one.open(six)
    one.mark_empty([six])
    one.accept({elsewhere: square(study)})
    one.draft(SliceRef("case1", axis, 3), square(study))
    one.exclude_case("case2", reason="+moved")
