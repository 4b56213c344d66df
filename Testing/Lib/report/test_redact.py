"""A redacted report holds no name that the study was made with, not even inside its pictures."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.engine.prepare import prepare
from SuggestiveAnnotationLib.engine.report import report
from SuggestiveAnnotationLib.report.collect import collect
from SuggestiveAnnotationLib.report.redact import redacted
from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.types import Rationale, SliceRef, Suggestion, describe

MakeStudy = Callable[..., Study]
NAMES = ("Miller, Jane (1957)", "SMITH_JOHN", "12", "x")
SECRETS = (
    "Miller",
    "Jane",
    "1957",
    "SMITH_JOHN",
    "SMITH",
    "PAT-00",
    "Charité",
    "Dr. Curie",
    "Reviewer Bohr",
    "Dr. Planck",
    "Ward 7 glioma",
    "hidden-place",
)


@pytest.fixture
def study(make_study: MakeStudy, tmp_path: Path) -> Study:
    """A study whose cases, people, sites, folders and warnings all have names; slices of all its cases in the report."""
    cohort = make_study(cases=4, roles=("pool", "pool", "pool", "test"))
    named = zip(cohort.cases(), NAMES, strict=True)
    cases = [replace(case, name=name, patient=f"PAT-00{i}", site="Charité") for i, (case, name) in enumerate(named)]
    warning = f"{cases[0].images['t1']} of Miller, Jane was left out, and so was hidden-place/SMITH_JOHN_scout.nii.gz."
    study = Study.create(
        tmp_path / "hidden-place", name="Ward 7 glioma", cases=cases, schema=cohort.schema, modalities=("t1",), reference="t1",
        settings={"warnings": [warning], "labels_by": "Dr. Planck", "source": str(tmp_path / "hidden-place" / "cohort.csv"),
                  "share": r"C:\data\Jane.nii, and 3/4"},
    )  # fmt: skip
    prepare(study, pixels=32)
    number = study.start_round(strategy="random", budget=3, seed=0, unit="slice", settings={"budget": 12}).number
    refs = [SliceRef(name, study.frame(name).axis, 4) for name in NAMES[:3]]
    waiting = [replace(ref, native_index=3) for ref in refs]
    sentences = [f"Nearest to {describe(ref)}, of 12 slices." for ref in (*refs, *refs)]
    suggestions = [Suggestion(ref, rank, Rationale("random", sentences[rank])) for rank, ref in enumerate((*refs, *waiting))]
    study.publish_suggestions(number, suggestions, notes=[f"{describe(refs[1])} had no neighbour in /data/hidden-place/x.nii."])
    study.enter_stage(number, "annotating")
    session = Session(study, annotator="Dr. Curie")
    for ref in refs:
        session.open(ref)
        session.accept({ref: np.array(study.reference_labels(ref.case)[ref.native_index])})
    Session(study, annotator="Reviewer Bohr").review(refs[:1], verdict="approved")
    study.record_command("suggestive-annotation study create /data/hidden-place --cohort SMITH_JOHN")
    return study


def everything_in(page: str) -> str:
    """The page with its pictures taken apart."""
    pictures = re.findall(r"data:image/[a-z+]+;base64,([A-Za-z0-9+/=]+)", page)
    return page + "".join(base64.b64decode(picture).decode("latin-1") for picture in pictures)


def test_no_name_is_left_anywhere_on_the_page(study: Study, tmp_path: Path) -> None:
    plain = everything_in(html.unescape(report(study, tmp_path / "plain.html").read_text(encoding="utf-8")))
    # The names would be there.
    for secret in ("Miller, Jane (1957)", "Dr. Planck", "SMITH_JOHN", "Ward 7 glioma", "hidden-place", "case 12, slice 5"):
        assert secret in plain
    page = everything_in(html.unescape(report(study, tmp_path / "redacted.html", redacted=True).read_text(encoding="utf-8")))
    assert not [secret for secret in SECRETS if secret in page]
    assert str(tmp_path) not in page
    assert "case 12," not in page


def test_cases_become_numbers_in_sentences_and_tables_alike_and_other_numbers_stay(study: Study) -> None:
    done = redacted(collect(study, command=""), study)
    assert done.title == "Report"
    assert [item.case for item in done.gallery] == ["case 1", "case 2", "case 3"]
    assert [item.sentence for item in done.gallery] == [f"Nearest to case {i}, slice 5, of 12 slices." for i in (1, 2, 3)]
    assert [one.case for one in done.waiting] == ["case 1", "case 2", "case 3"]
    assert done.rounds[0].notes == ("case 2, slice 5 had no neighbour in a file",)
    assert done.settings["last round, budget"] == "12"
    assert done.settings["study, source"] == "a file"
    assert done.settings["study, share"] == "a file, and 3/4"
    assert done.classes == {"left lobe": 1, "right lobe": 2}
    # Nothing but texts is changed.
    np.testing.assert_array_equal(done.gallery[0].image, collect(study, command="").gallery[0].image)


@pytest.mark.parametrize("by", ["Dr. Planck", "MP", "7"])
def test_who_drew_the_labels_of_the_cohort_is_told_neither_as_a_setting_nor_in_a_sentence(study: Study, by: str) -> None:
    study.set_property("settings", {**study.settings, "labels_by": by})
    study = Study(study.path)
    content = replace(collect(study, command=""), disclaimer=f"Labels by {by}, of 7 slices.")
    done = redacted(content, study)
    assert content.settings["study, labels by"] == by
    assert "study, labels by" not in done.settings
    assert done.disclaimer == "Labels by reader 3, of 7 slices."


def test_a_report_that_is_not_redacted_keeps_its_names(study: Study, tmp_path: Path) -> None:
    page = html.unescape(report(study, tmp_path / "plain.html").read_text(encoding="utf-8"))
    assert "suggestive-annotation study create /data/hidden-place --cohort SMITH_JOHN" in page
