"""The sample study: small, whole, and the same when it is asked for twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SuggestiveAnnotationLib.engine.run_round import run_round
from SuggestiveAnnotationLib.engine.sample import create_sample
from SuggestiveAnnotationLib.engine.settings import RoundOptions
from SuggestiveAnnotationLib.errors import Cancelled, InputError
from SuggestiveAnnotationLib.progress import CancelToken, ProgressEvent
from SuggestiveAnnotationLib.study.study import Study


def test_the_sample_is_a_prepared_study_that_suggests(tmp_path: Path) -> None:
    path = create_sample(tmp_path / "sample", subjects=4)
    study = Study(path)
    assert path == tmp_path / "sample" / "study"
    assert [case.role for case in study.cases()].count("test") == 2
    assert all(case.label is not None for case in study.cases("test"))
    assert [c.name for c in study.schema.classes] == ["brain", "oedema", "tumour core"]
    for case in study.cases():
        # Everybody has a tumour, and no label of the files is left over.
        assert set(np.unique(study.reference_labels(case.name))) == {0, 1, 2, 3}
    assert study.record.plane == "axial"
    round_ = run_round(study, options=RoundOptions(budget=3, device="cpu"))
    assert round_.stage == "annotating"
    assert len(study.suggestion_states(0)) == 3


def test_asked_for_again_it_is_the_same_study_and_another_seed_is_refused(tmp_path: Path) -> None:
    path = create_sample(tmp_path, subjects=4, seed=1)
    study = Study(path)
    study.set_property("mark", "mine")
    key = study.record.key
    study.close()
    again = Study(create_sample(tmp_path, subjects=4, seed=1))
    assert (again.properties()["mark"], again.record.key) == ("mine", key)
    with pytest.raises(InputError, match="no sample study with seed 2"):
        create_sample(tmp_path, subjects=4, seed=2)


def test_interrupted_it_goes_on(tmp_path: Path) -> None:
    cancel = CancelToken()

    def stop(event: ProgressEvent) -> None:
        if event.done == 2:
            cancel.cancel()

    with pytest.raises(Cancelled):
        create_sample(tmp_path, subjects=4, progress=stop, cancel=cancel)
    assert not (tmp_path / "study").exists()
    assert len(Study(create_sample(tmp_path, subjects=4)).cases()) == 4
