"""Public cohorts in the layouts they come in. SUGGESTIVE_ANNOTATION_DATA names the folder that holds malc2012, brats2013, ms-lesions."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.cohort.checks import examine_case
from SuggestiveAnnotationLib.cohort.discover import discover
from SuggestiveAnnotationLib.cohort.merge import apply_merge
from SuggestiveAnnotationLib.cohort.read import read_labels
from SuggestiveAnnotationLib.cohort.schema import guess_schema, load_schema


def cohort(name: str) -> Path:
    root = os.environ.get("SUGGESTIVE_ANNOTATION_DATA", "")
    if not root or not (Path(root) / name).is_dir():
        pytest.skip(f"SUGGESTIVE_ANNOTATION_DATA does not name a folder with {name}")
    return Path(root) / name


def test_malc_is_found_with_its_table_and_its_tissue_labels_fit() -> None:
    folder = cohort("malc2012")
    plan = discover(folder, label="tissue/*", table=folder / "subjects.csv")
    assert Counter(c.role for c in plan.cases) == {"pool": 15, "test": 9}
    assert (plan.modalities, len({c.patient for c in plan.cases})) == (("T1",), 24)
    schema = load_schema("malc-tissue")
    report = examine_case(plan.cases[0], schema, plan.modalities, plane="axial")
    assert (report.problems, report.warnings) == ((), ())


@pytest.mark.slow
def test_every_malc_label_has_a_place_among_the_25_structures() -> None:
    plan = discover(cohort("malc2012"))
    schema = load_schema("malc-25")
    for case in plan.usable:
        assert case.label is not None
        assert case.mask is not None
        merged = apply_merge(read_labels(case.label)[0], schema, read_labels(case.mask)[0])
        assert set(np.unique(merged)) == {0, *range(1, 26), 255}


def test_brats_is_found_and_its_labels_fit() -> None:
    plan = discover(cohort("brats2013"))
    assert (len(plan.usable), plan.modalities, plan.excluded) == (6, ("T1c", "FLAIR"), ())
    assert [c.value for c in guess_schema(plan.usable).classes] == [1, 2, 3, 4]
    assert examine_case(plan.cases[0], load_schema("brats"), plan.modalities, plane="axial").problems == ()


def test_ms_lesions_are_found_and_their_labels_fit() -> None:
    plan = discover(cohort("ms-lesions"))
    assert ([c.name for c in plan.usable], plan.modalities) == (["patient07", "patient19", "patient26"], ("T1", "FLAIR"))
    for case in plan.usable:
        assert examine_case(case, load_schema("ms-lesions"), plan.modalities, plane="axial").problems == ()
