"""What a demo finds where it is to be made: nothing, something else, or a demo that makes way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from SuggestiveAnnotationLib.engine.demo import MARK, demo
from SuggestiveAnnotationLib.errors import Cancelled, InputError, StudyLockedError
from SuggestiveAnnotationLib.progress import CancelToken
from SuggestiveAnnotationLib.study.study import Study

MakeStudy = Callable[..., Study]


@pytest.fixture
def complete(make_study: MakeStudy, tmp_path: Path) -> Study:
    """The study of a complete demo in `tmp_path`, a small one."""
    (tmp_path / "labelmaps").mkdir()
    (tmp_path / "summary.json").write_text("{}")
    return make_study(settings={MARK: "0"})


def test_the_demo_leaves_folders_alone_that_no_demo_made(tmp_path: Path) -> None:
    (tmp_path / "labelmaps").mkdir()
    (tmp_path / "labelmaps" / "hand-drawn.nii.gz").write_bytes(b"precious")
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(InputError, match="no demo made"):
        demo(tmp_path)
    assert (tmp_path / "labelmaps" / "hand-drawn.nii.gz").read_bytes() == b"precious"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
def test_a_complete_demo_makes_way_with_none_of_its_files_open(complete: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete.close()
    real = shutil.rmtree

    def as_on_windows(folder: Path) -> None:
        opened = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        assert [path for path in opened if path.startswith(str(folder))] == []
        real(folder)

    monkeypatch.setattr(shutil, "rmtree", as_on_windows)
    stopped = CancelToken()
    stopped.cancel()
    with pytest.raises(Cancelled):
        demo(tmp_path, cancel=stopped)
    assert not {"study", "labelmaps", "summary.json"} & {path.name for path in tmp_path.iterdir()}


def test_a_complete_demo_that_somebody_works_on_stays(complete: Study, tmp_path: Path) -> None:
    with complete.lock(), pytest.raises(StudyLockedError):
        demo(tmp_path)
    assert (tmp_path / "summary.json").exists()
    assert len(Study(tmp_path / "study").cases()) == 3
