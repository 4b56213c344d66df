"""Studies that older versions made, kept as they wrote them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from SuggestiveAnnotationLib.session import Session
from SuggestiveAnnotationLib.study.database import Database
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.study.version import SCHEMA_VERSION
from SuggestiveAnnotationLib.types import SliceRef

KEPT = sorted((Path(__file__).parent / "kept").glob("study-v*.sql"))
FIRST, SECOND, THIRD = SliceRef("case0", 0, 2), SliceRef("case0", 0, 4), SliceRef("case1", 0, 1)


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Folder of a study as that version left it."""
    folder = tmp_path / "kept"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection:
        connection.executescript(request.param.read_text(encoding="utf-8"))
    return folder


def square(value: int, left: int = 3) -> np.ndarray:
    out = np.zeros((10, 12), np.uint16)
    out[2:6, left : left + 4] = value
    return out


def layout(path: Path) -> dict[str, Any]:
    """Columns, foreign keys and indices of every table, whatever the text that made them."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        found: dict[str, Any] = {}
        for table in names:
            columns = [(c[1], c[2], c[3], c[5]) for c in connection.execute(f"PRAGMA table_info({table})")]
            keys = sorted((k[2], k[3], k[4]) for k in connection.execute(f"PRAGMA foreign_key_list({table})"))
            indices = sorted(
                # Of what SQLite makes by itself the name says nothing.
                (name if origin == "c" else "", unique, partial, tuple(c[2] for c in connection.execute(f"PRAGMA index_info('{name}')")))
                for _, name, unique, origin, partial in connection.execute(f"PRAGMA index_list({table})")
            )
            found[table] = (columns, keys, indices)
        return found


def test_every_released_version_is_kept() -> None:
    assert [path.stem for path in KEPT] == [f"study-v{version}" for version in range(1, SCHEMA_VERSION)]


def test_an_old_study_becomes_what_a_new_one_is(kept: Path, tmp_path: Path) -> None:
    Study(kept).close()
    Database.create(tmp_path / "new.sqlite").close()
    assert layout(kept / "study.sqlite") == layout(tmp_path / "new.sqlite")
    with closing(sqlite3.connect(kept / "study.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_nothing_of_an_old_study_is_lost_and_work_goes_on(kept: Path) -> None:
    study = Study(kept)
    assert (study.name, study.modalities, [c.role for c in study.cases()]) == ("kept study", ("t1",), ["pool", "pool", "test"])
    assert study.record.key
    (annotation,) = study.annotations()
    assert (annotation.ref, annotation.annotator, annotation.provenance, annotation.minutes) == (FIRST, "Dr A", "corrected", 1.5)
    np.testing.assert_array_equal(annotation.labels, square(1, 4))
    (draft,) = study.drafts()
    assert (draft.ref, draft.annotator) == (SECOND, "Dr A")
    np.testing.assert_array_equal(draft.labels, square(2))
    assert {row.suggestion.ref: (row.state, row.reason) for row in study.suggestions()} == {
        FIRST: ("accepted", ""), SECOND: ("draft", ""), THIRD: ("skipped", "motion"),
    }  # fmt: skip
    assert [m.value for m in study.metrics()] == [0.5]
    second = Session(study, annotator="Dr B")
    second.review([FIRST], verdict="approved", note="fine")
    assert second.slice_status("case0")[FIRST].state == "reviewed"


def test_the_study_as_it_was_is_kept_beside(kept: Path) -> None:
    with closing(sqlite3.connect(kept / "study.sqlite")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        before = list(connection.iterdump())
    Study(kept).close()
    with closing(sqlite3.connect(kept / f"study.v{version}.backup")) as connection:
        assert list(connection.iterdump()) == before


def test_the_database_stays_the_same_file(kept: Path) -> None:
    # Windows refuses to put another in the place of a file that is open.
    before = (kept / "study.sqlite").stat().st_ino
    Study(kept).close()
    assert (kept / "study.sqlite").stat().st_ino == before


def opening(folder: Path, *, first: str = "") -> subprocess.Popen[str]:
    """A process that is about to open the study, and does `first` before."""
    lines = [
        "import os, sys",
        "from pathlib import Path",
        "from SuggestiveAnnotationLib.study import database",
        "from SuggestiveAnnotationLib.study.study import Study",
        first,
        "print('ready', flush=True)",
        "Study(Path(sys.argv[1])).close()",
    ]
    command = [sys.executable, "-c", "\n".join(lines), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_of_two_processes_that_open_it_at_once_one_brings_it_up_to_date(kept: Path) -> None:
    before = dump(kept / "study.sqlite")
    with closing(sqlite3.connect(kept / "study.sqlite", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        both = [opening(kept) for _ in range(2)]
        # Until both have seen an old study, and wait.
        time.sleep(1.0)
        busy.execute("ROLLBACK")
    for process in both:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    (backup,) = kept.glob("*.backup")
    assert dump(backup) == before
    with closing(Study(kept)) as study:
        assert study.name == "kept study"


@pytest.mark.kill
def test_killed_in_a_step_it_is_as_it_was(kept: Path) -> None:
    before = dump(kept / "study.sqlite")
    version = kept_version(kept)
    step = f"real = database.MIGRATIONS[{version}]; database.MIGRATIONS[{version}] = lambda c: (real(c), os._exit(9))"
    process = opening(kept, first=step)
    process.communicate(timeout=60)
    assert process.returncode == 9
    assert dump(kept / "study.sqlite") == before
    assert kept_version(kept) == version
    Study(kept).close()
    assert kept_version(kept) == SCHEMA_VERSION


def kept_version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
